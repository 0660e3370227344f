from __future__ import annotations

from pathlib import Path

import pytest

from headstay.cloud.state import StateDirectory, write_whole
from headstay.errors import StartupError


def test_directory_is_for_its_owner_only(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "a" / "state")
    state.make()
    state.make()
    assert state.path.stat().st_mode & 0o777 == 0o700


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state = StateDirectory(tmp_path / "file")
    with pytest.raises(StartupError, match="cannot be made"):
        state.make()
    with pytest.raises(StartupError, match="cannot be used"):
        state.lock()


def test_one_at_a_time_has_the_lock(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    first = state.lock()
    assert first is not None
    assert state.lock() is None
    first.release()
    first.release()
    second = state.lock()
    assert second is not None
    second.release()


def test_file_is_written_whole_and_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "f"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_whole(path, b"x")
    assert list(tmp_path.iterdir()) == [path]
