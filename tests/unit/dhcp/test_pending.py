"""Events that wait for the daemon in files."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path

import pytest

from headstay.dhcp.event import Happening, LeaseEvent
from headstay.dhcp.pending import leave, waiting
from headstay.dhcp.wall_clock import WallClock

EVENT = LeaseEvent("eth0", "dhclient", Happening.BOUND, b"cloud.example", b"\0\xff", 120)
CLOCK = WallClock("boot", 5.0)


def test_what_is_left_is_found(tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 7.5, CLOCK)
    assert list(waiting(tmp_path, CLOCK)) == [(file, (EVENT, 7.5))]
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_only_the_last_event_of_an_interface_counts(tmp_path: Path) -> None:
    leave(tmp_path, replace(EVENT, told_at=1000), 1.0, CLOCK)
    leave(tmp_path, replace(EVENT, told_at=9000), 1.0, WallClock("an earlier boot", 0.0))
    ended = LeaseEvent("eth0", "dhclient", Happening.EXPIRED, told_at=2000)
    file = leave(tmp_path, ended, 2.0, CLOCK)
    leave(tmp_path, LeaseEvent("../x", "udhcpc", Happening.BOUND), 3.0, CLOCK)
    assert dict(waiting(tmp_path, CLOCK))[file] == (ended, 2.0)
    assert len(list(file.parent.iterdir())) == 2


def test_nothing_waits(tmp_path: Path) -> None:
    assert list(waiting(tmp_path, CLOCK)) == []
    assert list(waiting(tmp_path / "nowhere", CLOCK)) == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b"null", b'{"interface": 1}', b"[" * 100_000])
def test_what_cannot_be_read_is_told(content: bytes, tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 1.0, CLOCK)
    file.write_bytes(content)
    assert list(waiting(tmp_path, CLOCK)) == [(file, None)]


def test_a_link_and_a_pipe_are_not_followed(tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 1.0, CLOCK)
    moved = file.replace(tmp_path / "elsewhere")
    file.symlink_to(moved)
    os.mkfifo(file.with_name("pipe.json"))
    assert [found for _, found in waiting(tmp_path, CLOCK)] == [None, None]


def test_where_nothing_can_be_left(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        leave(tmp_path / "nowhere", EVENT, 1.0, CLOCK)


def test_a_clock_that_was_set_meanwhile(tmp_path: Path) -> None:
    leave(tmp_path, EVENT, 7.5, CLOCK)
    assert [found for _, found in waiting(tmp_path, WallClock("boot", 1005.0))] == [(EVENT, 1007.5)]
    assert [found for _, found in waiting(tmp_path, WallClock("another", 1005.0))] == [(EVENT, 7.5)]


RENEWED, RELEASED = replace(EVENT, told_at=1000), LeaseEvent("eth0", "dhclient", Happening.RELEASED, told_at=2000)


def test_news_that_is_overtaken_neither_hides_nor_takes_away_later_news(tmp_path: Path) -> None:
    later = leave(tmp_path, RELEASED, 2.0, CLOCK)
    earlier = leave(tmp_path, RENEWED, 1.0, CLOCK)
    assert waiting(tmp_path, CLOCK) == [(earlier, (RENEWED, 1.0)), (later, (RELEASED, 2.0))]
    earlier.unlink()  # as the hook does once the daemon has it
    assert waiting(tmp_path, CLOCK) == [(later, (RELEASED, 2.0))]


def test_whatever_waits_is_in_the_order_of_events(tmp_path: Path) -> None:
    """Files of an earlier boot stay beside later ones only if who left those was killed before it removed them."""
    events = [replace(EVENT, told_at=told_at, lease_time=told_at) for told_at in (9, 1000, 20_000)]
    for number, order in enumerate(
        itertools.permutations(zip(events, ("an earlier boot", "boot", "boot"), strict=True))
    ):
        state_dir = tmp_path / str(number)
        state_dir.mkdir()
        kept = {}
        for event, boot in order:
            file = leave(state_dir, event, 1.0, WallClock(boot, 5.0))
            kept |= {path: path.read_bytes() for path in (*kept, file) if path.exists()}
        for path, octets in kept.items():
            path.write_bytes(octets)
        found = [each[0].lease_time for _, each in waiting(state_dir, CLOCK) if each is not None]
        assert found == [9, 1000, 20_000]
