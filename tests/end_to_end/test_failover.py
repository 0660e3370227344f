"""A device with two clouds: one ends, whether it says so or not, and the other takes over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from end_to_end.northbound import configure, connected
from end_to_end.processes import Cloud, Device, until

SERIAL = "HS-E2E-FAILOVER"
PASSWORD = "known to both clouds"
PRIMARY, BACKUP = "localhost", "127.0.0.1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cloud, Cloud]]:
    directory = tmp_path_factory.mktemp("clouds")
    pair = Cloud(directory / "primary"), Cloud(directory / "backup")
    for cloud in pair:
        cloud.add(SERIAL, PASSWORD)
    yield pair
    for cloud in pair:
        cloud.stop()


@pytest.fixture
def clouds(pair: tuple[Cloud, Cloud]) -> tuple[Cloud, Cloud]:
    """Both clouds, running."""
    for cloud in pair:
        if not cloud.program.runs:
            cloud.start()
    return pair


def bring_up(device: Device, primary: Cloud, backup: Cloud) -> dict[str, Any]:
    """Configure both servers; returns the state once the primary's connection stands."""
    anchors = "".join(f"<trust-anchor>{cloud.trust_anchor}</trust-anchor>" for cloud in (primary, backup))
    with connected(device) as session:
        configure(
            session,
            f"<server><domain>{PRIMARY}</domain><port>{primary.port}</port><password>$0${PASSWORD}</password></server>"
            f"<backup-server><domain>{BACKUP}</domain><port>{backup.port}</port></backup-server><tls>{anchors}</tls>",
        )
    return established(device, "primary")


def established(device: Device, role: str) -> dict[str, Any]:
    return until(device.state, lambda state: state["state"] == "established" and state.get("server-role") == role)


def results(device: Device) -> list[tuple[str, str]]:
    """What came of each server the last time, in their order."""
    return [(server["role"], server.get("last-result", "")) for server in device.entries("servers")]


def test_a_killed_primary_is_followed_by_the_backup_for_good(device: Device, clouds: tuple[Cloud, Cloud]) -> None:
    primary, backup = clouds
    first = bring_up(device, primary, backup)
    until(lambda: device.entries("subconnections"), lambda seen: [e["state"] for e in seen] == ["established"])
    primary.program.kill()
    second = established(device, "backup")
    assert second["last-down-reason"] == "socket-error"
    assert second["last-down-details"] in ("the server closed the connection", "Connection reset by peer")
    assert second["connected-at"] > second["last-down-at"] > first["connected-at"]
    assert (second["server-domain"], second["server-port"]) == (BACKUP, backup.port)
    assert (second["established-count"], second["attempts"]) == (2, 2)
    assert results(device) == [("primary", "established"), ("backup", "established")]
    (open_one,) = until(
        lambda: device.entries("subconnections"), lambda seen: [e["state"] for e in seen] == ["established"]
    )
    assert str(backup.port) in open_one["url"]
    assert "Cloud server domain name                    : 127.0.0.1" in device.show("state").stdout
    lines = device.show("servers").stdout.splitlines()
    assert [line.split()[:3] for line in lines[2:]] == [["1", "primary", PRIMARY], ["*", "2", "backup"]]

    primary.start()
    with connected(device) as session:  # an edit of a server that is not in use
        configure(session, f"<server><port>{backup.port}</port></server>")
        configure(session, f"<server><port>{primary.port}</port></server>")
    assert device.state()["connected-at"] == second["connected-at"]
    dialled = f"{SERIAL.lower()}: connected"
    assert dialled in backup.program.log
    assert dialled not in primary.program.log
    device.program.until_line("server-switchover")
    assert device.program.log.count("server-switchover") == 1


def test_when_all_are_gone_the_device_waits_and_comes_back(device: Device, clouds: tuple[Cloud, Cloud]) -> None:
    primary, backup = clouds
    bring_up(device, primary, backup)
    primary.program.kill()
    backup.program.kill()
    state = until(
        device.state, lambda state: state["device-state"] == "waiting" and state.get("failure-reason") is not None
    )
    assert (state["state"], state["failure-reason"]) == ("unconnected", "socket-failed")
    assert ("backup", "socket-failed") in results(device)
    until(lambda: device.entries("servers"), lambda servers: any("next-attempt" in server for server in servers))
    backup.start()
    state = established(device, "backup")
    assert state["established-count"] == 2
    assert results(device) == [("primary", "socket-failed"), ("backup", "established")]


def test_a_cloud_that_stops_says_goodbye(device: Device, clouds: tuple[Cloud, Cloud]) -> None:
    primary, backup = clouds
    bring_up(device, primary, backup)
    assert primary.program.stop() == 0
    state = established(device, "backup")
    assert state["last-down-reason"] == "closed-by-server"
