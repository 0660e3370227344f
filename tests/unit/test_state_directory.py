from __future__ import annotations

from pathlib import Path

import pytest

from headstay.errors import StartupError
from headstay.state_directory import StateDirectory, StateDirectoryInUseError


def test_it_is_made_private_and_held_by_one_at_a_time(tmp_path: Path) -> None:
    directory = tmp_path / "state"
    for _ in range(2):
        with StateDirectory(directory):
            assert directory.stat().st_mode & 0o777 == 0o700
            assert (directory / "lock").stat().st_mode & 0o777 == 0o600
            with pytest.raises(StateDirectoryInUseError, match="another headstay runs on"), StateDirectory(directory):
                pass


def test_what_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot be used"), StateDirectory(tmp_path / "file"):
        pass
