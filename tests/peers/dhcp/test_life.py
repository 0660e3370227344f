"""The life of a lease, told by the real DHCP clients: bound, changed, taken away, given back.

The device is a process of its own; client and server are each in a namespace of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.processes import Device, until
from peers.dhcp.cable import CLIENT_INTERFACE, laid, skip_without
from peers.dhcp.clients import CLIENTS, NOT_SOON, Client, Dnsmasq, ScriptedServer, Udhcpc
from peers.namespaces import Namespace

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")

FIRST, SECOND = "127.0.0.1", "127.0.0.2"
Leafs = dict[str, Any]


@pytest.fixture(params=CLIENTS, ids=lambda kind: kind.PROGRAM)
def kind(request: pytest.FixtureRequest) -> type[Client]:
    skip_without(request.param.PROGRAM, "dnsmasq")
    found: type[Client] = request.param
    return found


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", "HS-DHCP-0001")
    yield device
    device.stop()


@pytest.fixture
def cable(kind: type[Client]) -> Iterator[tuple[Namespace, Namespace]]:
    with laid() as ends:
        yield ends


def lease_of(device: Device) -> Leafs:
    done = device.show("dhcp", "--json")
    assert done.returncode == 0, done.stderr
    leafs: Leafs = json.loads(done.stdout)
    return leafs


def renewing(client: Client, device: Device) -> Callable[[], Leafs]:
    """Return what looks at the lease and has it renewed."""

    def renewed() -> Leafs:
        client.renew()  # a client that is busy with its hook pays no attention, so it is told again
        return lease_of(device)

    return renewed


def has(**expected: object) -> Callable[[Leafs], bool]:
    """Tell whether the lease has these leafs; None is for a leaf that is absent."""
    wanted = {name.replace("_", "-"): value for name, value in expected.items()}
    return lambda lease: bool(lease) and {name: lease.get(name) for name in wanted} == wanted


def test_the_life_of_a_lease(
    kind: type[Client], device: Device, cable: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    server = Dnsmasq(cable[1], tmp_path / "s", {253: FIRST, 252: "hunter2"})
    client = kind(cable[0], tmp_path / "c", device.state_dir)
    renewed = renewing(client, device)
    client.start()
    lease = until(lambda: lease_of(device), has(domain=FIRST, password_present=True))
    assert lease["interface"] == CLIENT_INTERFACE
    assert lease["client"] == kind.__name__.lower()
    assert {"received-at", "expires-at"} <= lease.keys()
    assert "ignored" not in lease
    state = device.state()
    assert (state["server-domain"], state["domain-source"], state["password-source"]) == (FIRST, "dhcp", "dhcp")

    server.offers({253: SECOND, 252: "http://wpad/wpad.dat"})
    lease = until(renewed, has(domain=SECOND, password_present=False))
    assert "WPAD" in lease["ignored"]
    # Asked twice at a time to renew its lease, udhcpc gives it up and begins anew.
    until(device.state, lambda seen: (seen["domain-source"], seen["password-source"]) == ("dhcp", "none"))

    server.offers({})
    until(renewed, has(domain=None, password_present=False, ignored=None))
    assert device.state()["domain-source"] == "none"

    server.offers({253: FIRST}, NOT_SOON)
    until(renewed, has(domain=FIRST))
    client.release()
    until(lambda: lease_of(device), lambda lease: lease == {})
    assert device.state()["domain-source"] == "none"
    assert "hunter2" not in device.program.log
    # The hook takes its event away after the daemon has it, so not before it shows.
    until(lambda: list((device.state_dir / "dhcp").iterdir()), lambda files: not files)


def test_a_lease_that_came_before_the_daemon(
    kind: type[Client], device: Device, cable: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    device.stop()
    Dnsmasq(cable[1], tmp_path / "s", {253: FIRST})
    client = kind(cable[0], tmp_path / "c", device.state_dir)
    client.start()
    until(lambda: list(device.state_dir.glob("dhcp/*.json")), lambda files: bool(files) and b"bound" in _read(files[0]))
    device.start()
    until(lambda: lease_of(device), has(domain=FIRST))
    # What was stored is in force from the first moment of the next start.
    device.stop()
    device.start()
    assert has(domain=FIRST)(lease_of(device))


def test_a_lease_that_runs_out_and_comes_back(
    kind: type[Client], device: Device, cable: tuple[Namespace, Namespace], tmp_path: Path
) -> None:
    # udhcpc takes no lease at all that has an option in parts.
    password = b"x" * (129 if kind is Udhcpc else 300)
    server = ScriptedServer(cable[1], tmp_path / "s", {253: b"https://cloud.example/\0", 252: password})
    client = kind(cable[0], tmp_path / "c", device.state_dir)
    client.start()
    lease = until(lambda: lease_of(device), has(domain=None, password_present=False))
    assert "option 253 is no domain name but a URL" in lease["ignored"]
    assert "option 252 is longer than 128 characters" in lease["ignored"]

    server.offers({253: FIRST.encode() + b"\r\n\0"})
    until(renewing(client, device), has(domain=FIRST, ignored=None))
    server.falls_silent()
    patiently(lambda: lease_of(device), lambda lease: lease == {})
    assert device.state()["domain-source"] == "none"
    server.offers({253: FIRST.encode()})
    patiently(lambda: lease_of(device), has(domain=FIRST))


def patiently(look: Callable[[], Leafs], holds: Callable[[Leafs], bool]) -> Leafs:
    """Wait twice as long as usual: clients stretch short leases, and pause before they ask again."""
    try:
        return until(look, holds)
    except AssertionError:
        return until(look, holds)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""
