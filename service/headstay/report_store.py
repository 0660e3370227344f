"""The reports on disk: the daemon's `ReportStore`, one SQLite file that follows the report buffer a moment behind.

Owns the file's format and when it is written. Knows no YANG and no connection; that a connection stood when the process
ended is a fact that it keeps beside the reports.

Reports are not configuration, and the flash of a device wears out. So the file is written behind: SAVE_AFTER seconds
after something changed it is made to hold what the buffer holds then, in one transaction. A report that the cloud
acknowledges within that time, as nearly all are, never reaches the disk. An outage costs at most one transaction a
second until the buffer is full, and none after that.

What this promises, and what it does not:

- A report need not be on disk before it is sent. If it is acknowledged first, it is in the cloud. If the daemon dies
  first, it is not sent again. A row that outlived its acknowledgement is sent again, and the cloud knows it.
- A clean stop loses nothing. A kill -9 loses the reports of the last SAVE_AFTER seconds and of a write under way.
- WAL with synchronous=NORMAL does not wait for the disk at each transaction. A power cut leaves the file whole, but as
  it was some time before: what the kernel had not written back, half a minute perhaps, is lost.
- Whatever state the file is in, it is one in which the buffer once was: the numbers of a boot are without gaps.

A file that is damaged, or that another release made, is set aside as `….damaged` and a new one begun. A disk that
refuses a write is asked again later, and the reports stay in memory meanwhile; so they do for the life of the process
where the file cannot even be opened. Nothing of this stops or delays the daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from headstay.engine.events import ConnectionStateChange
from headstay.engine.picture import Interrupted
from headstay.engine.reasons import DownReason, State
from headstay.engine.reports import WaitingReport
from headstay.errors import WireError
from headstay.sqlite_refusals import Cause, NotOursError, cause_of
from headstay.wire.messages import TELEMETRY_TO_CLOUD, Report

_log = logging.getLogger("headstay.device")

FORMAT = 1
"""The format of the file, in SQLite's user_version."""
SAVE_AFTER = 1.0
"""Seconds between a change and the write. Longer than an acknowledgement usually takes; the most that a kill costs."""
ASK_AGAIN_AFTER = 60.0
"""Seconds after which a disk that refused is tried again."""

_SCHEMA = """
CREATE TABLE report (
    id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, sequence INTEGER NOT NULL, message BLOB NOT NULL,
    UNIQUE (boot_id, sequence)
) STRICT;
CREATE TABLE fact (name TEXT PRIMARY KEY, value REAL NOT NULL) STRICT;
"""
_ESTABLISHED = "established-since"
_INTERRUPTED = "interrupted-at"

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Content:
    """What the file holds."""

    reports: tuple[WaitingReport, ...] = ()
    """In the order in which they were made."""
    facts: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """One transaction: what makes the file hold what it should."""

    removed: tuple[Key, ...]
    added: tuple[WaitingReport, ...]
    facts: Mapping[str, float] | None
    """None: as they are."""


class Mirror:
    """What the file should hold, and what it does. Pure: it says what to write, and is told what was written."""

    def __init__(self, content: Content) -> None:
        self.facts = dict(content.facts or {})
        self._reports = {_key(report): report for report in content.reports}
        self._saved_facts: Mapping[str, float] = dict(self.facts)
        self._saved = set(self._reports)

    def append(self, report: WaitingReport) -> None:
        """The file should hold this report too, behind all others."""
        self._reports[_key(report)] = report

    def forget(self, reports: Iterable[WaitingReport]) -> None:
        """The file need not hold these any more."""
        for report in reports:
            self._reports.pop(_key(report), None)

    def changes(self) -> Changes | None:
        """Return what is to be written now; None if there is nothing. Call written() once that is done."""
        removed = tuple(self._saved - self._reports.keys())
        added = tuple(report for key, report in self._reports.items() if key not in self._saved)
        facts = None if self.facts == self._saved_facts else dict(self.facts)
        return None if not removed and not added and facts is None else Changes(removed, added, facts)

    def written(self, changes: Changes) -> None:
        """These changes are in the file."""
        self._saved.difference_update(changes.removed)
        self._saved.update(_key(report) for report in changes.added)
        if changes.facts is not None:
            self._saved_facts = changes.facts

    def started_over(self) -> None:
        """There is a new file, and nothing in it."""
        self._saved.clear()
        self._saved_facts = {}


class ReportFile:
    """The open file; see `engine.reports.ReportStore`. All methods belong to the loop's thread and none waits, but
    `close`, which must come in the end.
    """

    def __init__(self, file: Path, *, save_after: float = SAVE_AFTER) -> None:
        """Open the file, or make it. Raises nothing: what cannot be read or kept is said on the log."""
        self._file = file
        self._save_after = save_after
        # One thread does all the work on the file, so that the event loop never waits for a disk.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reports")
        self._connection, self._found = self._thread.submit(_opened, file).result()
        self._mirror = Mirror(self._found)
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._refused = False
        self._task = asyncio.create_task(self._follow(), name="reports")

    # what the engine calls ----------------------------------------------------------------------------

    def earlier(self) -> Sequence[WaitingReport]:
        """Return what earlier processes left, oldest first."""
        return self._found.reports

    def append(self, report: WaitingReport) -> None:
        """Keep a report."""
        self._mirror.append(report)
        self._changed.set()

    def forget(self, reports: Sequence[WaitingReport]) -> None:
        """Keep these no more."""
        self._mirror.forget(reports)
        self._changed.set()

    # what the daemon calls ----------------------------------------------------------------------------

    def interrupted(self) -> Interrupted | None:
        """Return how the process before this one left the connection."""
        facts = self._found.facts or {}
        if _ESTABLISHED in facts:
            return Interrupted()
        return Interrupted(facts[_INTERRUPTED]) if _INTERRUPTED in facts else None

    def connection_changed(self, change: ConnectionStateChange, time: float) -> None:
        """Keep whether the connection stands, for the next process to know."""
        if change.new_state is State.ESTABLISHED:
            self._mirror.facts = {_ESTABLISHED: time}
        elif change.down_reason is DownReason.PROCESS_RESTARTED:
            self._mirror.facts = {_INTERRUPTED: time}
        elif change.old_state is State.ESTABLISHED:
            self._mirror.facts = {}
        self._changed.set()

    async def close(self) -> None:
        """Write what is left, and close the file."""
        self._ending.set()
        self._changed.set()
        await self._task
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown(wait=False)

    # the file -----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        """Write what has changed, some time after it did, until the end."""
        ended = False
        while not ended:
            await self._changed.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ASK_AGAIN_AFTER if self._refused else self._save_after):
                    await self._ending.wait()
            ended = self._ending.is_set()
            self._changed.clear()
            await self._save()

    async def _save(self) -> None:
        changes = self._mirror.changes()
        if changes is None or self._connection is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, _write, self._connection, changes)
        except sqlite3.Error as error:
            if cause_of(error, self._file) is Cause.DAMAGED:
                _log.error("%s is damaged (%s)", self._file, error)
                self._connection = await loop.run_in_executor(self._thread, _begun_anew, self._file, self._connection)
                self._mirror.started_over()
            elif not self._refused:
                _log.error("reports cannot be saved (%s): they stay in memory for now", error)
            self._refused = True
            self._changed.set()
            return
        self._mirror.written(changes)
        if self._refused:
            _log.info("reports are saved again")
        self._refused = False


def _key(report: WaitingReport) -> Key:
    return report.boot_id, report.sequence


# what the thread does -------------------------------------------------------------------------------------


def _opened(file: Path) -> tuple[sqlite3.Connection | None, Content]:
    """Open the file and read it; one that is damaged is set aside."""
    try:
        return _open(file)
    except (sqlite3.Error, OSError) as error:
        if cause_of(error, file) is not Cause.DAMAGED:
            _log.error("%s cannot be used (%s): reports stay in memory", file, error)
            return None, Content()
        _log.error("%s is damaged (%s)", file, error)
        return _begun_anew(file, None), Content()


def _begun_anew(file: Path, damaged: sqlite3.Connection | None) -> sqlite3.Connection | None:
    """Set the file aside, in the place of one that was set aside before, and make a new one."""
    aside = file.with_name(f"{file.name}.damaged")
    try:
        if damaged is not None:
            with contextlib.suppress(sqlite3.Error):
                damaged.close()
        for ending in ("", "-wal"):
            part = file.with_name(file.name + ending)
            there = aside.with_name(aside.name + ending)
            there.unlink(missing_ok=True)
            if part.exists():
                part.replace(there)
        connection, _ = _open(file)
    except (sqlite3.Error, OSError) as error:
        _log.error("%s cannot be made anew (%s): reports stay in memory", file, error)
        return None
    _log.warning("the damaged file of reports is set aside as %s", aside)
    return connection


def _open(file: Path) -> tuple[sqlite3.Connection, Content]:
    file.touch(mode=0o600)  # for its mode; SQLite gives its side files the same
    connection = sqlite3.connect(file)
    try:
        # Nobody else has this file open. So SQLite needs no file for shared memory, which a full disk might refuse.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection, _read(connection)
    except BaseException:
        connection.close()
        raise


def _read(connection: sqlite3.Connection) -> Content:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == 0:
        if connection.execute("SELECT 1 FROM sqlite_schema").fetchone():
            raise NotOursError("it is another program's database")
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT;")
        return Content()
    if version != FORMAT:
        raise NotOursError(f"it has format {version}, this release knows format {FORMAT}")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise NotOursError(" ".join(str(verdict).split()))
    rows = connection.execute("SELECT boot_id, sequence, message FROM report ORDER BY id").fetchall()
    reports = tuple(WaitingReport(*row) for row in rows)
    _check(reports)
    return Content(reports, dict(connection.execute("SELECT name, value FROM fact").fetchall()))


def _check(reports: Iterable[WaitingReport]) -> None:
    """Raise NotOursError if the cloud would refuse one of these: it would be sent in vain for ever."""
    last: dict[str, int] = {}
    for report in reports:
        try:
            message = TELEMETRY_TO_CLOUD.decode(report.octets)
        except WireError as error:
            raise NotOursError(f"a report is none: {error}") from None
        if not isinstance(message, Report) or _key(report) != (message.boot_id, message.sequence):
            raise NotOursError("a report stands under a wrong number")
        if report.sequence != last.get(report.boot_id, report.sequence - 1) + 1:
            raise NotOursError("a report is missing")
        last[report.boot_id] = report.sequence


def _write(connection: sqlite3.Connection, changes: Changes) -> None:
    with connection:
        connection.executemany("DELETE FROM report WHERE boot_id = ? AND sequence = ?", changes.removed)
        connection.executemany(
            "INSERT INTO report (boot_id, sequence, message) VALUES (?, ?, ?)",
            [(report.boot_id, report.sequence, report.octets) for report in changes.added],
        )
        if changes.facts is not None:
            connection.execute("DELETE FROM fact")
            connection.executemany("INSERT INTO fact VALUES (?, ?)", list(changes.facts.items()))
