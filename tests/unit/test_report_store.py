from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from headstay.engine.events import ConnectionStateChange
from headstay.engine.picture import Interrupted
from headstay.engine.reasons import DownReason, State
from headstay.engine.reports import WaitingReport
from headstay.report_store import ReportFile
from headstay.wire import messages

NEVER = 1e6
"""Seconds after which nothing is saved by itself: the test says when."""


def report(boot_id: str, sequence: int, event: str = "e") -> WaitingReport:
    octets = messages.encode(messages.Report(boot_id, sequence, "2026-01-27T14:18:40Z", {"event": event}))
    return WaitingReport(boot_id, sequence, octets)


A1, A2, A3, B1 = report("a", 1), report("a", 2), report("a", 3), report("b", 1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "reports.db"


@pytest.fixture
async def opened(path: Path) -> AsyncIterator[Callable[[], ReportFile]]:
    files = []

    def open_it() -> ReportFile:
        files.append(ReportFile(path, save_after=NEVER))
        return files[-1]

    yield open_it
    for file in files:
        await file.close()


async def left(path: Path) -> tuple[WaitingReport, ...]:
    """What the next process finds if this one is killed now."""
    killed = path.parent / "killed"
    killed.mkdir()
    for part in path.parent.glob(f"{path.name}*"):
        if not part.name.endswith("-shm"):
            shutil.copy(part, killed)
    file = ReportFile(killed / path.name)
    await file.close()
    shutil.rmtree(killed)
    return tuple(file.earlier())


async def made(path: Path, reports: Iterable[WaitingReport], *statements: str) -> None:
    """Leave a file behind that holds these reports, and was changed by these statements afterwards."""
    file = ReportFile(path)
    for one in reports:
        file.append(one)
    await file.close()
    with closing(sqlite3.connect(path)) as beside, beside:
        for statement in statements:
            beside.execute(statement)


def files(path: Path) -> dict[str, bytes]:
    """What lies in the directory."""
    return {part.name: part.read_bytes() for part in path.parent.iterdir()}


def write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


# what outlives the process --------------------------------------------------------------------------


async def test_a_clean_stop_loses_nothing_and_keeps_the_order(path: Path) -> None:
    await made(path, [A1, A2])
    file = ReportFile(path, save_after=NEVER)
    assert file.earlier() == (A1, A2)
    file.append(B1)
    file.forget([A1])
    await file.close()
    assert await left(path) == (A2, B1)


def test_nobody_else_may_read_it(path: Path) -> None:
    asyncio.run(made(path, [A1]))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_kill_loses_what_was_not_written_yet(path: Path, opened: Any) -> None:
    file = opened()
    file.append(A1)
    file.append(A2)
    await file._save()
    file.append(A3)
    file.forget([A1])
    assert await left(path) == (A1, A2)
    await file._save()
    assert await left(path) == (A2, A3)


async def test_it_is_written_by_itself_some_time_after_a_change(path: Path) -> None:
    file = ReportFile(path, save_after=0.0)
    for expected in ((A1,), (A1, A2)):
        file.append(expected[-1])
        async with asyncio.timeout(10):
            while await left(path) != expected:  # noqa: ASYNC110 (the file tells nobody)
                await asyncio.sleep(0)
    await file.close()


async def test_what_is_acknowledged_soon_never_reaches_the_disk(path: Path, opened: Any) -> None:
    file = opened()
    file.append(A1)
    file.connection_changed(UP, 1.0)
    await file._save()
    before = files(path)
    assert before.keys() == {"reports.db", "reports.db-wal"}
    file.append(A2)
    file.forget([A2])
    file.connection_changed(LOST, 2.0)
    file.connection_changed(UP, 1.0)
    await file._save()
    assert files(path) == before


async def test_nothing_waits_for_the_disk_at_each_transaction(opened: Any) -> None:
    file = opened()

    def setting(name: str) -> object:
        return file._connection.execute(f"PRAGMA {name}").fetchone()[0]

    settings = [file._thread.submit(setting, name).result() for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 1]


async def test_the_file_stays_small_however_many_reports_go_through_it(path: Path) -> None:
    file = ReportFile(path, save_after=NEVER)
    for number in range(1, 60):
        batch = [report("a", number * 100 + n, "x" * 500) for n in range(100)]
        for one in batch:
            file.append(one)
        await file._save()
        file.forget(batch)
        await file._save()
    await file.close()
    assert files(path).keys() == {"reports.db"}
    assert len(files(path)["reports.db"]) < 200_000


# the connection of the process before ---------------------------------------------------------------

UP = ConnectionStateChange(old_state=State.REQUEST, new_state=State.ESTABLISHED)


def down(reason: DownReason) -> ConnectionStateChange:
    return ConnectionStateChange(old_state=State.ESTABLISHED, new_state=State.UNCONNECTED, down_reason=reason)


LOST = down(DownReason.SOCKET_ERROR)
STOPPED = down(DownReason.PROCESS_RESTARTED)
TRIED = ConnectionStateChange(old_state=State.UNCONNECTED, new_state=State.REQUEST)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ([], None),
        ([TRIED], None),
        ([UP], Interrupted()),
        ([UP, LOST], None),
        ([UP, LOST, TRIED, UP], Interrupted()),
        ([UP, STOPPED], Interrupted(2.0)),
    ],
)
async def test_the_next_process_knows_whether_the_connection_stood(path: Path, changes: Any, known: Any) -> None:
    file = ReportFile(path)
    for time, change in enumerate(changes, 1):
        file.connection_changed(change, time)
    await file.close()
    for change in (TRIED, LOST):  # one process that never gets through, and one that does
        file = ReportFile(path)
        assert file.interrupted() == known
        file.connection_changed(change, 9.0)
        await file.close()
    file = ReportFile(path)
    assert file.interrupted() is None
    await file.close()


# files that are not what they should be -------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path: Path) -> None:
    octets = path.read_bytes()
    path.write_bytes(octets[:4096] + b"\xff" * 4096 + octets[8192:])


def changed_by(statement: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with closing(sqlite3.connect(path)) as beside, beside:
            beside.execute(statement)

    return change


DAMAGES = {
    "garbage": garbage,
    "cut short": cut_short,
    "overwritten": overwritten,
    "format of another release": changed_by("PRAGMA user_version = 2"),
    "another program's": changed_by("PRAGMA user_version = 0"),
    "a table is gone": changed_by("DROP TABLE fact"),
    "a gap": changed_by("DELETE FROM report WHERE sequence = 2"),
    "a wrong number": changed_by("UPDATE report SET sequence = 4 WHERE sequence = 3"),
    "a wrong boot": changed_by("UPDATE report SET boot_id = 'z' WHERE sequence = 1"),
    "not JSON": changed_by("UPDATE report SET message = x'00' WHERE sequence = 1"),
    "another message": changed_by("""UPDATE report SET message = CAST('{"type": "x"}' AS BLOB) WHERE sequence = 1"""),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_file_is_set_aside(path: Path, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    await made(path, [A1, A2, A3])
    damage(path)
    damaged = files(path)["reports.db"]
    file = ReportFile(path)
    assert (file.earlier(), file.interrupted()) == ((), None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.WARNING]
    assert str(path) in caplog.messages[0]
    assert files(path)["reports.db.damaged"] == damaged
    file.append(B1)
    await file.close()
    assert await left(path) == (B1,)
    assert files(path).keys() == {"reports.db", "reports.db.damaged"}


async def test_only_the_last_damaged_file_is_kept(path: Path) -> None:
    for content in (b"first" * 999, b"second" * 999):
        write(path, content)
        await ReportFile(path).close()
    assert files(path)["reports.db.damaged"] == b"second" * 999
    assert files(path).keys() == {"reports.db", "reports.db.damaged"}


async def test_an_empty_file_is_a_new_one(path: Path) -> None:
    write(path, b"")
    await made(path, [A1])
    assert await left(path) == (A1,)


async def test_where_there_can_be_no_file_the_reports_stay_in_memory(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for place in (tmp_path, tmp_path / "missing" / "reports.db"):
        caplog.clear()
        file = ReportFile(place, save_after=0.0)
        file.append(A1)
        file.connection_changed(UP, 1.0)
        await asyncio.sleep(0)
        await file.close()
        assert file.earlier() == ()
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "stay in memory" in caplog.messages[0]


# a disk that refuses --------------------------------------------------------------------------------


class Disk:
    """What stands between the store and its file."""

    def __init__(self) -> None:
        self.full = self.damaged = False

    def connect(self, file: Path) -> sqlite3.Connection:
        disk = self

        class Connection(sqlite3.Connection):
            def executemany(self, *given: Any) -> sqlite3.Cursor:
                if disk.damaged:
                    disk.damaged = False
                    error = sqlite3.DatabaseError("database disk image is malformed")
                    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                    raise error
                # SQLite's own limit, which it meets as it would the disk's.
                self.execute(f"PRAGMA max_page_count = {1 if disk.full else 1_000_000}")
                return super().executemany(*given)

        return sqlite3.connect(file, factory=Connection)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    real = sqlite3.connect

    def connect(file: Path, **more: Any) -> sqlite3.Connection:
        return real(file, **more) if more else disk.connect(file)

    monkeypatch.setattr("headstay.report_store.sqlite3.connect", connect)
    return disk


async def test_on_a_full_disk_reports_wait_in_memory(
    path: Path, opened: Any, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    file = opened()
    file.append(A1)
    await file._save()
    disk.full = True
    large = report("a", 2, "x" * 50_000)
    file.append(large)
    await file._save()
    await file._save()
    assert caplog.messages == ["reports cannot be saved (database or disk is full): they stay in memory for now"]
    assert await left(path) == (A1,)
    file.append(A3)
    disk.full = False
    await file._save()
    assert caplog.messages[1:] == ["reports are saved again"]
    assert await left(path) == (A1, large, A3)


async def test_damage_found_while_writing_costs_no_report(path: Path, disk: Disk) -> None:
    file = ReportFile(path, save_after=NEVER)
    file.append(A1)
    file.connection_changed(UP, 1.0)
    await file._save()
    disk.damaged = True
    file.append(A2)
    await file._save()
    assert "reports.db.damaged" in files(path)
    await file._save()
    assert await left(path) == (A1, A2)
    await file.close()
    again = ReportFile(path)
    assert again.interrupted() == Interrupted()
    await again.close()


async def test_a_read_only_file_is_left_as_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await made(path, [A1, A2])
    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr("headstay.report_store.sqlite3.connect", lambda file: real(f"file:{file}?mode=ro", uri=True))
        file = ReportFile(path)
        file.append(B1)
        await file.close()
    assert ["stay in memory" in message for message in caplog.messages] == [True]
    assert await left(path) == (A1, A2)


async def test_a_file_that_becomes_read_only_keeps_what_it_has(
    path: Path, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = opened()
    file.append(A1)
    await file._save()
    file._thread.submit(file._connection.execute, "PRAGMA query_only = ON").result()
    file.forget([A1])
    file.append(A2)
    await file._save()
    assert ["stay in memory for now" in message for message in caplog.messages] == [True]
    file._thread.submit(file._connection.execute, "PRAGMA query_only = OFF").result()
    await file._save()
    assert await left(path) == (A2,)
