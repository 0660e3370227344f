"""Events that wait for the daemon in files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstay.dhcp.event import Happening, LeaseEvent
from headstay.dhcp.pending import leave, waiting

EVENT = LeaseEvent("eth0", "dhclient", Happening.BOUND, b"cloud.example", b"\0\xff", 120)


def test_what_is_left_is_found(tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 7.5)
    assert list(waiting(tmp_path)) == [(file, (EVENT, 7.5))]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_only_the_last_event_of_an_interface_counts(tmp_path: Path) -> None:
    leave(tmp_path, EVENT, 1.0)
    ended = LeaseEvent("eth0", "dhclient", Happening.EXPIRED)
    file = leave(tmp_path, ended, 2.0)
    leave(tmp_path, LeaseEvent("../x", "udhcpc", Happening.BOUND), 3.0)
    assert dict(waiting(tmp_path))[file] == (ended, 2.0)
    assert len(list(file.parent.iterdir())) == 2


def test_nothing_waits(tmp_path: Path) -> None:
    assert list(waiting(tmp_path)) == []
    assert list(waiting(tmp_path / "nowhere")) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"null", b'{"interface": 1}', b"[" * 100_000])
def test_what_cannot_be_read_is_told(content: bytes, tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 1.0)
    file.write_bytes(content)
    assert list(waiting(tmp_path)) == [(file, None)]


def test_a_link_and_a_pipe_are_not_followed(tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 1.0)
    moved = file.replace(tmp_path / "elsewhere")
    file.symlink_to(moved)
    os.mkfifo(file.with_name("pipe.json"))
    assert [found for _, found in waiting(tmp_path)] == [None, None]


def test_where_nothing_can_be_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        leave(tmp_path / "nowhere", EVENT, 1.0)
