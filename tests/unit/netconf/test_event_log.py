"""The log on disk: what is saved is there after a restart, and no file, however damaged, stops anything."""

from __future__ import annotations

import logging
import sqlite3
import stat
from pathlib import Path

import pytest

from headstay.netconf.event_log import Batch, EventLog
from headstay.netconf.streams import Entry

NOW = 1_500_000_000.25
ENTRIES = [Entry(number, NOW + number, f"<e>{number}</e>".encode()) for number in (1, 2, 3)]


async def saved(file: Path, *batches: Batch) -> None:
    log = EventLog(file)
    log.load(NOW)
    for batch in batches:
        assert await log.save(batch)
    log.close()


def loaded(file: Path, now: float = NOW + 99) -> tuple[list[Entry], float, float | None]:
    log = EventLog(file)
    found = log.load(now)
    log.close()
    return found.since(0), found.created, found.aged


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events.db"


async def test_what_was_saved_is_there_after_a_restart(file: Path) -> None:
    await saved(file, Batch(ENTRIES[:1], 1, None), Batch(ENTRIES[1:], 1, None))
    assert loaded(file) == (ENTRIES, NOW, None)


async def test_what_has_left_the_log_leaves_the_file(file: Path) -> None:
    await saved(file, Batch(ENTRIES[:2], 1, None), Batch(ENTRIES[2:], 3, NOW + 2))
    assert loaded(file) == (ENTRIES[2:], NOW, NOW + 2)


def test_a_new_log_says_when_it_was_begun(file: Path) -> None:
    assert loaded(file, NOW) == ([], NOW, None)
    assert loaded(file, NOW + 5) == ([], NOW, None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_bound_that_was_lowered_makes_the_oldest_leave(file: Path) -> None:
    await saved(file, Batch(ENTRIES, 1, None))
    for bounds in ({"most_entries": 1}, {"most_octets": 10}):
        log = EventLog(file, **bounds)
        found = log.load(NOW)
        log.close()
        assert (found.since(0), found.aged) == (ENTRIES[2:], ENTRIES[1].time)


@pytest.mark.parametrize("content", [b"", b"no database at all", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside(file: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    file.write_bytes(content)
    assert loaded(file) == ([], NOW + 99, None)
    if content:
        assert file.with_name("events.db.damaged").read_bytes() == content
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert loaded(file, NOW + 100) == ([], NOW + 99, None)


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM notification WHERE number = 2",
        "DELETE FROM fact",
        "DROP TABLE notification",
        "PRAGMA user_version = 7",
    ],
)
async def test_a_file_that_says_too_little_is_set_aside(file: Path, damage: str) -> None:
    await saved(file, Batch(ENTRIES, 1, None))
    connection = sqlite3.connect(file)
    connection.execute(damage)
    connection.commit()
    connection.close()
    assert loaded(file) == ([], NOW + 99, None)


async def test_without_a_file_the_log_is_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "events.db.damaged" / "x").mkdir(parents=True)
    (tmp_path / "events.db").mkdir()
    log = EventLog(tmp_path / "events.db")
    assert log.load(NOW).next == 1
    assert not await log.save(Batch(ENTRIES, 1, None))
    log.close()
    assert "in memory only" in caplog.text


async def test_a_disk_that_refuses_is_said_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = EventLog(file)
    log.load(NOW)
    log._thread.submit(log._connection.execute, "PRAGMA query_only = ON").result()
    assert not await log.save(Batch(ENTRIES[:1], 1, None))
    assert not await log.save(Batch(ENTRIES[:2], 1, None))
    assert len(caplog.records) == 1
    log._thread.submit(log._connection.execute, "PRAGMA query_only = OFF").result()
    assert await log.save(Batch(ENTRIES, 1, None))
    assert len(caplog.records) == 2
    log.close()
    assert loaded(file)[0] == ENTRIES


async def test_there_is_no_file_for_shared_memory(file: Path) -> None:
    """A full disk would have no room for it."""
    log = EventLog(file)
    log.load(NOW)
    assert await log.save(Batch(ENTRIES, 1, None))
    assert {made.name for made in file.parent.iterdir()} == {"events.db", "events.db-wal"}
    log.close()


class Refusing(sqlite3.Connection):
    """A connection on a disk that cannot be read now."""

    def execute(self, *_: object) -> sqlite3.Cursor:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE
        raise error


async def test_a_whole_file_is_not_set_aside(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await saved(file, Batch(ENTRIES, 1, None))
    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr("headstay.netconf.event_log.sqlite3.connect", lambda name: real(name, factory=Refusing))
        assert loaded(file)[0] == []
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "in memory only" in caplog.text
    assert loaded(file)[0] == ENTRIES
