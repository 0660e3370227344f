"""SHELL: the replay log on disk: one SQLite file of its own, written in batches by one thread.

Owns the file's format. The file is a convenience, the datastores are not, so nothing here stops the daemon: a file that
is damaged is set aside and begun anew, one that cannot be used for another reason stays as it is and leaves the log in
memory, and both are said once.

Made for flash: WAL with synchronous=NORMAL writes a batch without waiting for the medium. What is lost by a power cut
is the last batches; the file itself stays whole, and a daemon that is killed loses no batch at all.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headstay.netconf.streams import MOST_ENTRIES, MOST_OCTETS, Entry, Log
from headstay.sqlite_refusals import Cause, NotOursError, cause_of

FORMAT: Final = 1
"""The format of the file, in SQLite's user_version. Another one is set aside like a damaged file."""

_SCHEMA: Final = """
CREATE TABLE notification (number INTEGER PRIMARY KEY, time REAL NOT NULL, content BLOB NOT NULL) STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, time REAL NOT NULL) STRICT;
"""
_CREATED: Final = "created"
_AGED: Final = "aged"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be written at once."""

    entries: Sequence[Entry]
    first: int
    """Entries before this number have left the log."""
    aged: float | None
    """The time of the last one of those."""


class EventLog:
    """The open file, or none where it cannot be used."""

    def __init__(self, file: Path, *, most_entries: int = MOST_ENTRIES, most_octets: int = MOST_OCTETS) -> None:
        """The log holds so many notifications, and so many octets of them; what the file has beyond that leaves it."""
        self._file = file
        self._most_entries = most_entries
        self._most_octets = most_octets
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="events")
        self._connection: sqlite3.Connection | None = None
        self._failing = False

    def load(self, now: float) -> Log:
        """Open the file and return what is in it; an empty log, begun `now`, where there is nothing to be had."""
        return self._thread.submit(self._load, now).result()

    async def save(self, batch: Batch) -> bool:
        """Write a batch; False if it could not be written, which is in the log by then."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._save, batch)

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _load(self, now: float) -> Log:
        try:
            return self._whole(now)
        except (sqlite3.Error, OSError) as error:
            _log.error("the log of notifications %s cannot be kept (%s); it is in memory only", self._file, error)
        return self._made(now)

    def _whole(self, now: float) -> Log:
        """Open the file; one that is damaged is set aside before."""
        try:
            return self._opened(now)
        except sqlite3.Error as error:
            if cause_of(error, self._file) is not Cause.DAMAGED:
                raise
            _log.warning("the log of notifications %s cannot be read (%s); it is begun anew", self._file, error)
        _set_aside(self._file)
        return self._opened(now)

    def _opened(self, now: float) -> Log:
        connection = _connected(self._file, now)
        try:
            created, entries, aged = _read(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return self._made(created, entries, aged)

    def _made(self, created: float, entries: Sequence[Entry] = (), aged: float | None = None) -> Log:
        return Log(created, entries, aged, most_entries=self._most_entries, most_octets=self._most_octets)

    def _save(self, batch: Batch) -> bool:
        if self._connection is None:
            return False
        try:
            _write(self._connection, batch)
        except sqlite3.Error as error:
            if not self._failing:
                _log.error("notifications cannot be saved in %s: %s", self._file, error)
            self._failing = True
            return False
        if self._failing:
            _log.info("notifications are saved in %s again", self._file)
        self._failing = False
        return True


def _connected(file: Path, now: float) -> sqlite3.Connection:
    existed = file.exists()
    connection = sqlite3.connect(file)
    try:
        if not existed:
            file.chmod(0o600)
        # As for the datastores: no file for shared memory, for which a full disk has no room.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        _prepare(connection, now)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, now: float) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        with connection:
            connection.execute("INSERT INTO fact VALUES (?, ?)", (_CREATED, now))
    elif version != FORMAT:
        raise NotOursError(f"it has format {version}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise NotOursError(" ".join(str(verdict).split()))


def _read(connection: sqlite3.Connection) -> tuple[float, list[Entry], float | None]:
    rows = connection.execute("SELECT number, time, content FROM notification ORDER BY number").fetchall()
    entries = [Entry(*row) for row in rows]
    if entries and entries[-1].number - entries[0].number != len(entries) - 1:
        raise NotOursError("entries are missing")
    facts = dict(connection.execute("SELECT name, time FROM fact").fetchall())
    if _CREATED not in facts:
        raise NotOursError("it does not say when it was begun")
    return facts[_CREATED], entries, facts.get(_AGED)


def _write(connection: sqlite3.Connection, batch: Batch) -> None:
    with connection:
        connection.execute("DELETE FROM notification WHERE number < ?", (batch.first,))
        connection.executemany(
            "INSERT INTO notification VALUES (?, ?, ?)",
            [(entry.number, entry.time, entry.content) for entry in batch.entries],
        )
        if batch.aged is not None:
            connection.execute(
                "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET time = excluded.time",
                (_AGED, batch.aged),
            )


def _set_aside(file: Path) -> None:
    """Keep a damaged file for whoever wants to look at it; the one before it is gone then."""
    file.replace(file.with_name(f"{file.name}.damaged"))
    for companion in ("-wal", "-shm"):
        file.with_name(f"{file.name}{companion}").unlink(missing_ok=True)
