"""The watch over systemd-networkd's lease files: each change becomes one event."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headstay.dhcp.event import Happening
from headstay.dhcp.watch import NetworkdWatch

LEASE = "ADDRESS=192.0.2.9\nOPTION_253={}\n"


def name_of(index: int) -> str:
    if index > 9:
        raise OSError("no such interface")
    return f"eth{index}"


@pytest.fixture
def watch(tmp_path: Path) -> NetworkdWatch:
    return NetworkdWatch(tmp_path, name_of=name_of)


def seen(watch: NetworkdWatch) -> list[tuple[str, Happening, bytes | None]]:
    return [(event.interface, event.happening, event.domain) for event, _ in watch.look()]


def write(directory: Path, index: int, domain: bytes, modified: int) -> None:
    file = directory / str(index)
    file.write_text(LEASE.format(domain.hex()))
    os.utime(file, ns=(modified, modified))


def test_the_life_of_a_lease(watch: NetworkdWatch, tmp_path: Path) -> None:
    assert seen(watch) == []
    write(tmp_path, 2, b"a", 1_000_000_000)
    assert [(event.domain, at) for event, at in watch.look()] == [(b"a", 1.0)]
    assert seen(watch) == []
    write(tmp_path, 2, b"b", 2_000_000_000)
    assert seen(watch) == [("eth2", Happening.BOUND, b"b")]
    (tmp_path / "2").unlink()
    assert seen(watch) == [("eth2", Happening.EXPIRED, None)]
    assert seen(watch) == []


def test_a_lease_that_ended_while_nobody_looked(tmp_path: Path) -> None:
    write(tmp_path, 2, b"a", 1)
    watch = NetworkdWatch(tmp_path, known=["eth2", "eth3"], name_of=name_of)
    assert seen(watch) == [("eth2", Happening.BOUND, b"a"), ("eth3", Happening.EXPIRED, None)]


def test_what_is_no_lease(watch: NetworkdWatch, tmp_path: Path) -> None:
    write(tmp_path, 77, b"a", 1)
    (tmp_path / "3").write_text("nothing")
    (tmp_path / "x").write_text(LEASE.format("61"))
    (tmp_path / "5").mkdir()
    assert seen(watch) == []


def test_without_systemd_networkd(tmp_path: Path) -> None:
    assert seen(NetworkdWatch(tmp_path / "nowhere")) == []
