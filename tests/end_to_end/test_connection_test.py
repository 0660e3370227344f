"""`headstay test-connection` with the real programs: what it prints, and that the connection that stands stays.

The device, the cloud and the command are processes of their own.
"""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from ncclient import manager

from end_to_end.processes import PATIENCE, Cloud, Device, command, until

HCM = "urn:headstay:yang:cloud-management"
SERIAL = "HS-E2E-0007"
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud") / "c")
    cloud.add(SERIAL, PASSWORD)
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory, cloud: Cloud) -> Iterator[Device]:
    device = Device(tmp_path_factory.mktemp("device") / "d", SERIAL)
    login: dict[str, Any] = {"username": "admin", "password": Device.PASSWORD, "hostkey_verify": False, "timeout": 30}
    config = (
        f'<config><cloud-management xmlns="{HCM}"><server><domain>localhost</domain><port>{cloud.port}</port>'
        f"<password>$0${PASSWORD}</password></server><tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>"
        "</cloud-management></config>"
    )
    with manager.connect(
        host="127.0.0.1", port=device.port, allow_agent=False, look_for_keys=False, **login
    ) as session:
        session.edit_config(target="running", config=config)
    until(device.state, lambda seen: seen["state"] == "established")
    yield device
    device.stop()


def outcome(device: Device, *arguments: str) -> subprocess.CompletedProcess[str]:
    done = command("test-connection", *arguments, "--state-dir", str(device.state_dir))
    assert PASSWORD not in done.stdout
    assert "ticket" not in done.stdout
    return done


def generation(cloud: Cloud) -> int:
    registry = sqlite3.connect(f"file:{cloud.config.parent}/cloud/registry.sqlite?mode=ro", uri=True)
    ((number,),) = registry.execute("select last from generation where folded = ?", (SERIAL.lower(),))
    registry.close()
    return int(number)


def test_the_connection_that_stands_stays(cloud: Cloud, device: Device) -> None:
    before, counted = device.state(), generation(cloud)
    done = outcome(device)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("passed") == 7
    assert max(map(len, done.stdout.splitlines())) <= 80
    after = device.state()
    for leaf in ("state", "connected-at", "established-count", "attempts", "server-address"):
        assert after[leaf] == before[leaf]
    assert generation(cloud) == counted
    assert json.loads(cloud.admin("device", "list", "--json").stdout)[0]["connected"] is True


def test_for_machines(device: Device, cloud: Cloud) -> None:
    done = outcome(device, "LOCALHOST", "--json")
    assert done.returncode == 0
    stages = json.loads(done.stdout)
    names = ["resolve", "connect", "tls", "http", "authenticate", "register", "handshake"]
    assert [stage["name"] for stage in stages] == names
    assert {stage["domain"] for stage in stages} == {"LOCALHOST"}
    assert {stage["port"] for stage in stages[1:]} == {cloud.port}
    assert all(isinstance(stage["time-taken"], int) for stage in stages)


def test_a_server_that_is_not_there(device: Device) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        done = outcome(device, "127.0.0.1", "--port", str(port))
    assert done.returncode == 1
    assert "socket-failed" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_test_that_takes_long_holds_nobody_up_and_ends_with_its_command(device: Device, how: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        mute.settimeout(PATIENCE)
        where = ("127.0.0.1", "--port", str(mute.getsockname()[1]), "--state-dir", str(device.state_dir))
        asking = subprocess.Popen(
            [sys.executable, "-m", "headstay", "test-connection", *where],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        taken, _ = mute.accept()
        with taken:
            assert device.state()["state"] == "established"
            second = outcome(device)
            assert (second.returncode, second.stdout) == (1, "")
            assert "another test of a connection runs" in second.stderr
            asking.send_signal(how)
            asking.wait(PATIENCE)
            taken.settimeout(5)  # half of what the stage may take
            while taken.recv(65536):
                pass
    assert outcome(device).returncode == 0


def test_a_command_line_that_makes_no_sense(device: Device) -> None:
    assert "--port needs a DOMAIN" in outcome(device, "--port", "443").stderr
    assert outcome(device, "https://cloud.example/").returncode == 1
