"""The datastores on disk: one SQLite file, durable at every commit (WAL, synchronous=FULL).

Owns the file's format, and what is said of a file that cannot be used. Knows no YANG: a tree is its octets here. One
thread does all the work on the file, so that the event loop never waits for a disk. Nobody else can read or write the
file while it is open.

What is in force already, whether the disk takes it or not (what a start or a roll-back has undone), stays owed when it
cannot be saved: the next save that succeeds writes it too, in the same transaction. So what is on disk is always what
was in force at one moment, never a new fact beside an old tree.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from headstay.datastore.secrets import sync_directory
from headstay.errors import OperationFailed, StartupError
from headstay.sqlite_refusals import Cause, NotOursError, cause_of

_log = logging.getLogger(__name__)

FORMAT = 1
"""The format of the file, in SQLite's user_version. A later release that changes it migrates."""

_LEAST_OCTETS = 4096
"""One page of SQLite: a database with anything in it is not smaller."""

_WAL_PAGES = 100
"""Pages after which the write-ahead log is copied into the file and begun anew. Writing where the log has been written
before takes half the time of making it longer, since the file system then has nothing of its own to write.
"""

RESTORE = "restore it from a backup, or move it away to start with the first user only"
"""What to do about a file whose content is lost or cannot be understood."""

_SCHEMA = """
CREATE TABLE datastore (name TEXT PRIMARY KEY, content BLOB NOT NULL, saved_at TEXT NOT NULL) STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


_Record = tuple[Mapping[str, bytes | None], Mapping[str, str | None]]
"""Datastores and facts; None: delete."""


class Disk:
    """The open file."""

    def __init__(self, file: Path) -> None:
        """Open the file, or make it. Raises StartupError if it cannot be used, with what to do about that."""
        self.file = file
        self._owed: _Record = {}, {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="disk")
        try:
            self._connection = self._thread.submit(_open, file).result()
        except (sqlite3.Error, OSError) as error:
            self._thread.shutdown()
            raise _refused(file, error) from None
        except BaseException:
            self._thread.shutdown()
            raise

    def load(self) -> dict[str, bytes]:
        """Return every saved datastore by name. Raises StartupError."""
        rows = self._now("SELECT name, content FROM datastore")
        return dict(rows)

    def facts(self) -> dict[str, str]:
        """Return the small facts saved beside the datastores. Raises StartupError."""
        return dict(self._now("SELECT name, value FROM fact"))

    async def save(
        self,
        contents: Mapping[str, bytes | None],
        facts: Mapping[str, str | None] | None = None,
        *,
        in_force: bool = False,
    ) -> None:
        """Save datastores and facts (None: delete) in one transaction, with what is owed; durable when this returns.

        Raises OperationFailed if the disk refuses; then nothing was saved. `in_force`: it is owed then.
        """
        record = contents, facts or {}
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._save, record, in_force)
        except sqlite3.Error as error:
            raise OperationFailed(f"the configuration could not be saved: {_unsaved(self.file, error)}") from None

    def close(self) -> None:
        """Finish what is being written and close the file."""
        self._thread.submit(self._connection.close).result()
        self._thread.shutdown()

    def _now(self, query: str) -> list[Any]:
        def read() -> list[Any]:
            return self._connection.execute(query).fetchall()

        try:
            return self._thread.submit(read).result()
        except sqlite3.Error as error:
            raise _refused(self.file, error) from None

    def _save(self, record: _Record, in_force: bool) -> None:
        contents, facts = {**self._owed[0], **record[0]}, {**self._owed[1], **record[1]}
        try:
            self._write(contents, facts)
        except sqlite3.Error:
            if in_force:
                self._owed = contents, facts
            raise
        if any(self._owed):
            _log.info("what could not be stored in %s before is stored now", self.file)
        self._owed = {}, {}

    def _write(self, contents: Mapping[str, bytes | None], facts: Mapping[str, str | None]) -> None:
        with self._connection:
            for name, content in contents.items():
                if content is None:
                    self._connection.execute("DELETE FROM datastore WHERE name = ?", (name,))
                else:
                    self._connection.execute(
                        "INSERT INTO datastore VALUES (?, ?, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
                        " ON CONFLICT (name) DO UPDATE SET content = excluded.content, saved_at = excluded.saved_at",
                        (name, content),
                    )
            for name, value in facts.items():
                if value is None:
                    self._connection.execute("DELETE FROM fact WHERE name = ?", (name,))
                else:
                    self._connection.execute(
                        "INSERT INTO fact VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        (name, value),
                    )


def _open(file: Path) -> sqlite3.Connection:
    if not file.exists():
        _make(file)
    # SQLite would take these for new ones, and throw away the write-ahead log beside them.
    if not (size := file.stat().st_size):
        raise NotOursError("it is empty")
    if size < _LEAST_OCTETS:
        raise NotOursError("it is truncated")
    connection = sqlite3.connect(file)
    try:
        # Before anything else: so SQLite makes no file for shared memory, for which a full disk has no room.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
        _check(connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(file: Path) -> None:
    """Make a file with nothing in it, durably.

    It is made aside, and takes its place when it is whole: a start that is killed leaves no file, or one that is ours.
    So a file that is empty is one whose content was lost.
    """
    aside = file.with_name(f".{file.name}.new")
    journal = aside.with_name(f"{aside.name}-journal")
    aside.unlink(missing_ok=True)
    journal.unlink(missing_ok=True)
    try:
        aside.touch(mode=0o600)  # for its mode; SQLite gives its side files the same
        with closing(sqlite3.connect(aside)) as connection:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        _put_log_aside(file)
        aside.replace(file)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    sync_directory(file.parent)


def _put_log_aside(file: Path) -> None:
    """Keep the write-ahead log of a file that was moved away: SQLite would mix it into the one that takes its place."""
    left = file.with_name(f"{file.name}-wal")
    if left.exists():
        aside = left.with_name(f"{left.name}.left")
        left.replace(aside)
        _log.warning("%s belongs to a datastore that is not here any more; it is kept as %s", left, aside)


def _check(connection: sqlite3.Connection, file: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        (foreign,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        raise NotOursError("it is another program's database" if foreign else "it is empty")
    if version != FORMAT:
        raise StartupError(
            f"the datastore {file} has format {version}, this release reads format {FORMAT}; "
            "start the release that wrote it"
        )
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise NotOursError(" ".join(str(verdict).split()))


def _refused(file: Path, error: sqlite3.Error | OSError) -> StartupError:
    """Return the error of a file that cannot be used, in words that never cost anybody an intact file."""
    what = f"the datastore {file} cannot be used"
    match cause_of(error, file):
        case Cause.NO_SPACE:
            return StartupError(f"{what}: no space left on {file.parent}; free some and start again")
        case Cause.READ_ONLY:
            return StartupError(f"{what}: it is read-only ({error}); make it writable and start again")
        case Cause.IN_USE:
            return StartupError(f"{what}: another program has it open ({error}); end that and start again")
        case Cause.DAMAGED:
            return StartupError(f"{what}: it is damaged ({error}); {RESTORE}")
        case Cause.OTHER:
            see = "see that the daemon may read and write it and its directory, and what the kernel's log says"
            return StartupError(f"{what}: {error}; {see}")


def _unsaved(file: Path, error: sqlite3.Error) -> str:
    if cause_of(error, file) is Cause.NO_SPACE:
        return f"no space left on {file.parent}; free some and try again"
    return str(error)
