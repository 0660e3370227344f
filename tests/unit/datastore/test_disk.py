from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from headstay.datastore.disk import Disk
from headstay.errors import OperationFailed, StartupError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "datastores.sqlite"


@pytest.fixture
def disk(file: Path) -> Iterator[Disk]:
    opened = Disk(file)
    yield opened
    opened.close()


LOSES_THE_FILE = "move it away"
"""Advice for a file whose content is lost, and for no other."""


def refused(file: Path) -> str:
    with pytest.raises(StartupError) as caught:
        Disk(file)
    message = str(caught.value)
    assert "\n" not in message
    assert str(file) in message
    return message


def saved(file: Path) -> dict[str, bytes]:
    disk = Disk(file)
    try:
        return disk.load()
    finally:
        disk.close()


async def test_what_is_saved_is_there_after_a_restart(file: Path) -> None:
    disk = Disk(file)
    assert disk.load() == {}
    assert disk.facts() == {}
    await disk.save({"running": b"<data/>", "startup": b"<s/>"}, {"boot-id": "1"})
    await disk.save({"running": b"<new/>", "startup": None}, {"boot-id": "2"})
    assert disk.load() == {"running": b"<new/>"}
    assert disk.facts() == {"boot-id": "2"}
    disk.close()
    again = Disk(file)
    assert (again.load(), again.facts()) == ({"running": b"<new/>"}, {"boot-id": "2"})
    again.close()


def test_every_commit_is_durable(disk: Disk, file: Path) -> None:
    """WAL with synchronous=FULL syncs at each commit; a killed process leaves what was committed."""

    def setting(name: str) -> object:
        return disk._connection.execute(f"PRAGMA {name}").fetchone()[0]

    settings = {name: disk._thread.submit(setting, name).result() for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    asyncio.run(disk.save({"running": b"x"}))
    copy = file.with_name("copy.sqlite")  # what a crash at this moment would leave
    copy.write_bytes(file.read_bytes())
    copy.with_name("copy.sqlite-wal").write_bytes(file.with_name(f"{file.name}-wal").read_bytes())
    assert saved(copy) == {"running": b"x"}


def test_the_file_is_the_owners_only(disk: Disk, file: Path) -> None:
    for made in file.parent.iterdir():
        assert stat.S_IMODE(made.stat().st_mode) == 0o600, made


def test_there_is_no_file_for_shared_memory(disk: Disk, file: Path) -> None:
    """A full disk would have no room for it."""
    asyncio.run(disk.save({"running": b"x"}))
    assert {made.name for made in file.parent.iterdir()} == {file.name, f"{file.name}-wal"}


async def test_a_save_that_fails_saves_nothing(disk: Disk) -> None:
    await disk.save({"running": b"old"}, {"boot-id": "1"})
    disk._thread.submit(disk._connection.execute, "PRAGMA query_only = ON").result()
    with pytest.raises(OperationFailed, match="could not be saved") as caught:
        await disk.save({"running": b"new"}, {"boot-id": "2"})
    assert "new" not in str(caught.value)
    assert disk.load() == {"running": b"old"}
    disk._thread.submit(disk._connection.execute, "PRAGMA query_only = OFF").result()
    await disk.save({"running": b"new"})
    assert disk.load() == {"running": b"new"}


async def test_a_fact_is_deleted(disk: Disk, file: Path) -> None:
    await disk.save({}, {"one": "1", "two": "2"})
    await disk.save({}, {"one": None, "three": None})
    assert disk.facts() == {"two": "2"}


async def test_a_save_is_whole_or_not_at_all(disk: Disk) -> None:
    await disk.save({"running": b"old"})
    with pytest.raises(OperationFailed):
        await disk.save({"running": b"new"}, {"boot-id": 1, "no-such-type": object()})  # type: ignore[dict-item]
    assert disk.load() == {"running": b"old"}


# files that are not ours ------------------------------------------------------------------------------


def filled(file: Path) -> None:
    disk = Disk(file)
    asyncio.run(disk.save({"running": b"<data/>" + b"x" * 20000}))
    disk.close()


def test_a_truncated_file(file: Path) -> None:
    filled(file)
    octets = file.read_bytes()
    for length in (50, 1000, 4096, len(octets) - 4096):
        file.write_bytes(octets[:length])
        assert LOSES_THE_FILE in refused(file)
        assert file.read_bytes() == octets[:length]  # nothing is thrown away


@pytest.mark.parametrize("octets", [b"garbage", os.urandom(8192), b"SQLite format 3\0" + b"\xff" * 5000])
def test_garbage(file: Path, octets: bytes) -> None:
    file.write_bytes(octets)
    assert LOSES_THE_FILE in refused(file)
    assert file.read_bytes() == octets


def test_overwritten_pages(file: Path) -> None:
    filled(file)
    octets = bytearray(file.read_bytes())
    octets[4096:12288] = b"\xaa" * 8192
    file.write_bytes(octets)
    refused(file)


def test_a_later_format(file: Path) -> None:
    filled(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 2")
    message = refused(file)
    assert "format 2, this release reads format 1; start the release that wrote it" in message
    assert LOSES_THE_FILE not in message


def test_another_programs_database(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE device (serial TEXT)")
    assert "another program" in refused(file)
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("device",)]


def test_an_empty_file_is_one_whose_content_was_lost(file: Path) -> None:
    filled(file)
    file.write_bytes(b"")
    log = file.with_name(f"{file.name}-wal")
    log.write_bytes(b"what can still be rescued")
    message = refused(file)
    assert "it is empty" in message
    assert LOSES_THE_FILE in message
    assert (file.read_bytes(), log.read_bytes()) == (b"", b"what can still be rescued")


def test_a_database_without_content_is_one_whose_content_was_lost(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert file.stat().st_size > 0
    assert "it is empty" in refused(file)


KILLED = """
import os, sys
from pathlib import Path
from headstay.datastore import disk
{}
disk.Disk(Path(sys.argv[1]))
"""


@pytest.mark.parametrize(
    "at",
    [
        "disk.sqlite3.connect = lambda _: os._exit(9)",
        "disk._put_log_aside = lambda _: os._exit(9)",
        "disk.sync_directory = lambda _: os._exit(9)",
        "disk._check = lambda *_: os._exit(9)",
    ],
)
def test_a_first_start_that_is_killed_leaves_no_empty_file(file: Path, at: str) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED.format(at), file], check=False)
    assert killed.returncode == 9
    assert not file.exists() or file.stat().st_size > 0
    assert saved(file) == {}
    filled(file)
    assert {left.name for left in file.parent.iterdir()} == {file.name}


def test_a_first_start_that_is_refused_leaves_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(sqlite3.Connection):
        def executescript(self, *_: object) -> sqlite3.Cursor:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr("headstay.datastore.disk.sqlite3.connect", lambda name: real(name, factory=Full))
        assert "no space left" in refused(file)
    assert list(file.parent.iterdir()) == []


def test_the_log_of_a_file_that_was_moved_away_is_not_mixed_into_the_next(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(file)
    asyncio.run(disk.save({"running": b"of before"}))
    log = file.with_name(f"{file.name}-wal")
    octets = log.read_bytes()
    disk.close()
    file.unlink()
    log.write_bytes(octets)  # as kill -9 leaves it
    assert saved(file) == {}
    assert log.with_name(f"{log.name}.left").read_bytes() == octets
    assert "is kept as" in caplog.text


def test_a_directory(file: Path) -> None:
    file.mkdir()
    assert LOSES_THE_FILE not in refused(file)


def test_no_directory(file: Path) -> None:
    assert LOSES_THE_FILE not in refused(file.parent / "no-such-directory" / "datastores.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_no_permission(file: Path) -> None:
    filled(file)
    file.chmod(0)
    refused(file)
    file.chmod(0o400)
    refused(file)


def test_a_table_that_is_gone_is_an_error_at_load(file: Path) -> None:
    filled(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE fact")
    disk = Disk(file)
    with pytest.raises(StartupError, match=LOSES_THE_FILE):
        disk.facts()
    disk.close()


# files that are whole, and refused all the same -------------------------------------------------------


def test_a_file_that_another_program_has_open(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(file)
    patient = sqlite3.connect
    with closing(patient(file)) as other:
        other.execute("SELECT * FROM datastore").fetchall()
        monkeypatch.setattr("headstay.datastore.disk.sqlite3.connect", lambda name: patient(name, timeout=0))
        message = refused(file)
    assert "another program has it open" in message
    assert LOSES_THE_FILE not in message


class Refusing(sqlite3.Connection):
    """A connection whose every question SQLite answers with `code`."""

    code = 0

    def execute(self, *_: object) -> sqlite3.Cursor:
        error = sqlite3.OperationalError("what SQLite says")
        error.sqlite_errorcode = self.code
        raise error


@pytest.mark.parametrize(
    ("code", "free", "says", "damaged"),
    [
        (sqlite3.SQLITE_FULL, 1000, "no space left on {0}; free some and start again", False),
        (sqlite3.SQLITE_IOERR_SHMSIZE, 0, "no space left on {0}; free some and start again", False),
        (sqlite3.SQLITE_IOERR_SHMSIZE, 7, "no space left on {0}; free some and start again", False),
        (sqlite3.SQLITE_CANTOPEN, 0, "no space left on {0}; free some and start again", False),
        (sqlite3.SQLITE_IOERR_READ, 1000, "what SQLite says; see that", False),
        (sqlite3.SQLITE_CANTOPEN, 1000, "what SQLite says; see that", False),
        (sqlite3.SQLITE_READONLY, 0, "it is read-only (what SQLite says); make it writable", False),
        (sqlite3.SQLITE_READONLY_DBMOVED, 0, "it is read-only (what SQLite says); make it writable", False),
        (sqlite3.SQLITE_CORRUPT, 1000, "it is damaged (what SQLite says); restore it", True),
        (sqlite3.SQLITE_CORRUPT_VTAB, 0, "it is damaged (what SQLite says); restore it", True),
        (sqlite3.SQLITE_NOTADB, 0, "it is damaged (what SQLite says); restore it", True),
    ],
)
def test_only_a_damaged_file_is_to_be_moved_away(
    file: Path, monkeypatch: pytest.MonkeyPatch, code: int, free: int, says: str, damaged: bool
) -> None:
    filled(file)
    real = sqlite3.connect
    monkeypatch.setattr(Refusing, "code", code)
    monkeypatch.setattr("headstay.datastore.disk.sqlite3.connect", lambda name: real(name, factory=Refusing))
    space = os.statvfs_result((4096, 4096, 10_000, free, free, 100, 50, 50, 0, 255))
    monkeypatch.setattr("headstay.sqlite_refusals.os.statvfs", lambda _: space)
    message = refused(file)
    assert says.format(file.parent) in message
    assert (LOSES_THE_FILE in message) == damaged


@pytest.mark.parametrize(
    ("inodes", "unused", "says"), [(100, 0, "no space left"), (100, 1, "what SQLite says"), (0, 0, "what SQLite says")]
)
def test_a_file_system_without_room_for_another_file_is_full(
    file: Path, monkeypatch: pytest.MonkeyPatch, inodes: int, unused: int, says: str
) -> None:
    filled(file)
    real = sqlite3.connect
    monkeypatch.setattr(Refusing, "code", sqlite3.SQLITE_CANTOPEN)
    monkeypatch.setattr("headstay.datastore.disk.sqlite3.connect", lambda name: real(name, factory=Refusing))
    space = os.statvfs_result((4096, 4096, 10_000, 900, 900, inodes, unused, unused, 0, 255))
    monkeypatch.setattr("headstay.sqlite_refusals.os.statvfs", lambda _: space)
    assert says in refused(file)


async def test_a_commit_on_a_full_disk_is_told_so(disk: Disk, file: Path) -> None:
    disk._thread.submit(disk._connection.execute, "PRAGMA max_page_count = 1").result()
    with pytest.raises(OperationFailed, match=r"could not be saved: no space left on .*; free some and try again"):
        await disk.save({"running": b"x" * 50_000})
