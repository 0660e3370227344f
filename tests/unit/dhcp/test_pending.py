"""Events that wait for the daemon in files."""

from __future__ import annotations

import itertools
import json
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


def test_only_the_last_event_of_a_client_on_an_interface_counts(tmp_path: Path) -> None:
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


def test_an_event_takes_nothing_away_that_another_client_told(tmp_path: Path) -> None:
    """As while the daemon runs: the end of a lease counts only from the client that reported the lease."""
    others = leave(tmp_path, replace(EVENT, client="dhcpcd", told_at=1000), 1.0, CLOCK)
    leave(tmp_path, RELEASED, 2.0, CLOCK)
    assert [found and found[0].client for _, found in waiting(tmp_path, CLOCK)] == ["dhcpcd", "dhclient"]
    leave(tmp_path, replace(EVENT, client="dhcpcd", told_at=3000), 3.0, CLOCK)
    assert [found and found[0].client for _, found in waiting(tmp_path, CLOCK)] == ["dhclient", "dhcpcd"]
    assert not others.exists()


@pytest.mark.parametrize("clients", [("dhclient", "dhclient"), ("dhclient", "dhcpcd"), ("dhcpcd", "dhclient")])
def test_of_one_moment_the_event_that_was_left_last_is_the_later_one(
    clients: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for client, pid in zip(clients, (9999, 10_000), strict=True):
        monkeypatch.setattr(os, "getpid", lambda pid=pid: pid)
        leave(tmp_path, replace(EVENT, client=client, told_at=1000, lease_time=pid), 1.0, CLOCK)
    found = [each[0].lease_time for _, each in waiting(tmp_path, CLOCK) if each is not None]
    assert found == ([10_000] if len(set(clients)) == 1 else [9999, 10_000])


@pytest.mark.parametrize("name", ["told-at", "lease-time", "happened-at", "booted-at"])
@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1" + "0" * 30, "-1" + "0" * 30, "1" + "0" * 400])
def test_a_number_that_can_be_none_is_no_event(name: str, number: str, tmp_path: Path) -> None:
    file = leave(tmp_path, EVENT, 1.0, CLOCK)
    content = {**json.loads(file.read_text()), name: "NUMBER"}
    file.write_text(json.dumps(content).replace('"NUMBER"', number))
    assert waiting(tmp_path, CLOCK) == [(file, None)]


def test_what_is_no_file_costs_no_descriptor(tmp_path: Path) -> None:
    directory = leave(tmp_path, EVENT, 1.0, CLOCK).parent
    (directory / "directory.json").mkdir()
    os.mkfifo(directory / "pipe.json")
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert [found for _, found in waiting(tmp_path, CLOCK)].count(None) == 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_root_gives_away_what_it_has_made_and_nothing_that_took_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "chown", lambda *_: pytest.fail("by its name"))
    monkeypatch.setattr(os, "fchown", lambda descriptor, *_: given.append(os.fstat(descriptor).st_ino))
    file = leave(tmp_path, EVENT, 1.0, CLOCK)
    assert given == [file.parent.stat().st_ino, file.stat().st_ino]
    file.parent.rename(tmp_path / "moved")
    file.parent.symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        leave(tmp_path, EVENT, 1.0, CLOCK)


@pytest.mark.parametrize(
    ("event", "kept"),
    [
        (RELEASED, False),
        (replace(EVENT, told_at=2000, password=b"another"), False),
        (replace(EVENT, told_at=2000, happening=Happening.RENEWED), True),  # what it said is true still
        (replace(RELEASED, client="dhcpcd"), True),
        (replace(RELEASED, told_at=999), True),
    ],
)
def test_where_there_is_no_space_nothing_stays_that_is_untrue_now(
    event: LeaseEvent, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = leave(tmp_path, RENEWED, 1.0, CLOCK)
    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space"):
        leave(tmp_path, event, 2.0, CLOCK)
    assert [path.name for path in file.parent.iterdir()] == ([file.name] if kept else [])


def full(content: object, stream: object) -> None:
    """Find the disk full."""
    del content, stream
    raise OSError(28, "No space left on device")
