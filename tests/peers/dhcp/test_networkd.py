"""The life of a lease as the real systemd-networkd has it: no hook tells of it, the device watches the lease's file.

As on a device, both have the same interfaces and the same /run; the cloud is on that network too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.processes import Cloud, Device, until
from headstay.cli.operational import Leafs
from peers.dhcp.cable import CLIENT_INTERFACE, laid, skip_without
from peers.dhcp.clients import Networkd, ScriptedServer
from peers.link.site import configure, read
from peers.namespaces import Namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

SERIAL = "HS-NETWORKD-0001"
PASSWORD = "learned by DHCP alone"
LEASE = 6
"""Seconds; it is renewed after two."""


@pytest.fixture
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    skip_without(Networkd.PROGRAM)
    with laid() as ends:
        yield ends


@pytest.fixture
def device(cable: tuple[Namespace, Namespace], tmp_path: Path) -> Iterator[Device]:
    """A device that knows its cloud's port and certificate, and has name and password from DHCP if at all."""
    with contextlib.ExitStack() as stack:
        cloud = Cloud(tmp_path / "cloud", within=cable[0].network)
        stack.callback(cloud.stop)
        cloud.add(SERIAL, PASSWORD)
        device = Device(tmp_path / "d", SERIAL, within=cable[0].network_and_files)
        stack.callback(device.stop)
        trusted = f"<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>"
        configure(device, f"<server><port>{cloud.port}</port></server>{trusted}")
        yield device


def state_of(device: Device) -> Leafs:
    return read(device, "connection")[0]


def established(device: Device, count: int) -> Leafs:
    return until(
        lambda: state_of(device), lambda state: (state["state"], state["established-count"]) == ("established", count)
    )


def idle(device: Device) -> Leafs:
    return until(lambda: state_of(device), lambda state: state["device-state"] == "idle")


def lease_of(device: Device) -> Leafs:
    return next(iter(read(device, "dhcp-lease")), {})


def test_the_life_of_a_lease(device: Device, cable: tuple[Namespace, Namespace], tmp_path: Path) -> None:
    given = {253: b"localhost", 252: PASSWORD.encode()}
    server = ScriptedServer(cable[1], tmp_path / "s", given, LEASE)
    networkd = Networkd(cable[0], tmp_path / "c", device.state_dir)
    networkd.start()
    state = established(device, 1)
    assert (state["server-domain"], state["domain-source"], state["password-source"]) == ("localhost", "dhcp", "dhcp")
    lease = lease_of(device)
    assert (lease["interface"], lease["client"]) == (CLIENT_INTERFACE, "systemd-networkd")

    # Renewals that bring the same leave the file as it is, so nobody can tell from it when the lease would end.
    before = server.granted
    until(lambda: server.granted, lambda now: now >= before + 1)
    assert established(device, 1)["connected-at"] == state["connected-at"]
    assert lease_of(device) == lease
    assert "expires-at" not in lease

    server.offers({253: b"127.0.0.1\0", 252: PASSWORD.encode()})
    state = established(device, 2)
    assert (state["server-domain"], state["last-down-reason"]) == ("127.0.0.1", "dhcp-changed")

    server.falls_silent()
    state = idle(device)
    assert (state["last-down-reason"], state["domain-source"], state["password-source"]) == (
        "dhcp-changed",
        "none",
        "none",
    )
    assert lease_of(device) == {}

    server.offers(given)
    assert established(device, 3)["server-domain"] == "localhost"

    server.offers({252: b"http://wpad/wpad.dat"})
    assert idle(device)["domain-source"] == "none"
    lease = lease_of(device)
    assert (lease["password-present"], "domain" in lease, "WPAD" in str(lease["ignored"])) == ("false", False, True)
    assert PASSWORD not in device.program.log
