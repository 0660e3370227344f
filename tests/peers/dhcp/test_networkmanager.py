"""The life of a lease as the real NetworkManager tells it, by its dispatcher; of renewals it tells nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.processes import Device, until
from headstay.cli.operational import Leafs
from peers.dhcp.cable import CLIENT_INTERFACE, laid, skip_without
from peers.dhcp.clients import NetworkManager, ScriptedServer
from peers.link.site import read
from peers.namespaces import Namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
LEASE = 6
"""Seconds; it is renewed after two."""


@pytest.fixture
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    skip_without(NetworkManager.PROGRAM, "nmcli", "dbus-daemon")
    with laid() as ends:
        yield ends


@pytest.fixture
def device(cable: tuple[Namespace, Namespace], tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", "HS-NM-0001")
    yield device
    device.stop()


def lease_of(device: Device) -> Leafs:
    return next(iter(read(device, "dhcp-lease")), {})


def sources(device: Device) -> tuple[str | int, str | int]:
    state = read(device, "connection")[0]
    return state["domain-source"], state["password-source"]


def test_the_life_of_a_lease(device: Device, cable: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    # It never asks for option 253; this server gives it unasked.
    server = ScriptedServer(cable[1], tmp_path / "s", {253: FIRST.encode(), 252: b"hunter2"}, LEASE)
    client = NetworkManager(cable[0], tmp_path / "c", device.state_dir)
    client.start()
    lease = until(lambda: lease_of(device), bool)
    assert (lease["interface"], lease["client"]) == (CLIENT_INTERFACE, "networkmanager")
    assert (lease["domain"], lease["password-present"]) == (FIRST, "true")
    assert sources(device) == ("dhcp", "dhcp")

    # Nothing tells of a renewal, so nobody knows when the lease would end.
    before = server.granted
    until(lambda: server.granted, lambda now: now >= before + 2)
    assert lease_of(device) == lease
    assert "expires-at" not in lease

    client.release()
    until(lambda: lease_of(device), lambda lease: lease == {})
    assert sources(device) == ("none", "none")

    server.offers({253: SECOND.encode(), 252: b"http://wpad/wpad.dat\n\0"})
    client.connect()
    lease = until(lambda: lease_of(device), bool)
    assert (lease["domain"], lease["password-present"], "WPAD" in str(lease["ignored"])) == (SECOND, "false", True)

    server.falls_silent()
    until(lambda: lease_of(device), lambda lease: lease == {})
    assert sources(device) == ("none", "none")

    server.offers({253: FIRST.encode()})
    assert until(lambda: lease_of(device), bool)["domain"] == FIRST
    assert sources(device) == ("dhcp", "none")
