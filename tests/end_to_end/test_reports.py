"""Reports reach the cloud's sink once, whichever end is killed: a real cloud and a real device."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from ncclient import manager

from end_to_end.processes import Cloud, Device, command, until

HCM = "urn:headstay:yang:cloud-management"
SERIAL = "HS-E2E-REPORTS"
Number = tuple[str, int]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A cloud that keeps its port when it is started again."""
    cloud = Cloud(tmp_path / "c")
    cloud.add(SERIAL)
    cloud.config.write_text(cloud.config.read_text().replace("port = 0", f"port = {cloud.port}"))
    yield cloud
    cloud.stop()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", SERIAL)
    yield device
    device.stop()


def configure(device: Device, cloud: Cloud, port: int) -> None:
    content = (
        f"<server><domain>localhost</domain><port>{port}</port></server><dhcp><interface>eth0</interface></dhcp>"
        f"<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>"
    )
    with manager.connect(
        host="127.0.0.1",
        port=device.port,
        username="admin",
        password=Device.PASSWORD,
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    ) as session:
        config = f'<config><cloud-management xmlns="{HCM}">{content}</cloud-management></config>'
        session.edit_config(target="running", config=config)


def established(device: Device) -> dict[str, Any]:
    return until(device.state, lambda state: state["state"] == "established")


def reconnect(device: Device) -> None:
    """Do not wait for the backoff."""
    assert command("reconnect", "--state-dir", str(device.state_dir)).returncode == 0


def delivered(cloud: Cloud) -> list[tuple[Number, str]]:
    """What is in the cloud's sink: the number and the event of each report."""
    registry = cloud.config.parent / "cloud" / "registry.sqlite"
    with closing(sqlite3.connect(f"file:{registry}?mode=ro", uri=True)) as beside:
        rows = beside.execute("SELECT boot_id, sequence, body FROM report ORDER BY id").fetchall()
    return [((boot_id, sequence), json.loads(body)["event"]) for boot_id, sequence, body in rows]


def events(device: Device, cloud: Cloud) -> list[str]:
    """The events in the cloud's sink. Asks the device something first, so that time passes."""
    device.state()
    return [event for _, event in delivered(cloud)]


def left_behind(device: Device, query: str = "SELECT boot_id, sequence FROM report ORDER BY id") -> list[Any]:
    """What a device that is killed now leaves behind."""
    with tempfile.TemporaryDirectory() as directory:
        for part in device.state_dir.glob("reports.db*"):
            shutil.copy(part, directory)
        with closing(sqlite3.connect(Path(directory) / "reports.db")) as beside:
            return beside.execute(query).fetchall()


def on_disk(device: Device) -> list[Number]:
    """The same of a device that runs. Asks it something first, so that time passes."""
    device.state()
    return left_behind(device)


def test_reports_made_while_the_cloud_was_down_outlive_the_device(cloud: Cloud, device: Device) -> None:
    cloud.stop()
    configure(device, cloud, cloud.port)
    until(lambda: on_disk(device), lambda rows: len(rows) >= 2)
    device.program.kill()
    first = left_behind(device)
    assert first == [(first[0][0], number) for number in range(1, len(first) + 1)]

    device.start()
    until(lambda: on_disk(device), lambda rows: len(rows) >= len(first) + 2)
    device.program.kill()
    both = left_behind(device)
    assert both[: len(first)] == first
    (second,) = {boot_id for boot_id, _ in both} - {first[0][0]}

    device.start()
    cloud.start()
    reconnect(device)
    established(device)
    until(lambda: on_disk(device), lambda rows: not rows)
    sink = [number for number, _ in delivered(cloud)]
    assert sink[: len(both)] == both
    (third,) = {boot_id for boot_id, _ in sink} - {first[0][0], second}
    of_third = sink[len(both) :]
    assert of_third == [(third, number) for number in range(1, len(of_third) + 1)]


class Relay:
    """Stands between device and cloud. While it is `deaf`, what the cloud says is lost."""

    def __init__(self, port: int) -> None:
        self.deaf = False
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                device, _ = self._listener.accept()
                try:
                    cloud = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    device.close()
                    continue
                for source, sink in ((device, cloud), (cloud, device)):
                    threading.Thread(target=self._carry, args=(source, sink, source is cloud), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, from_cloud: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (from_cloud and self.deaf):
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def relay(cloud: Cloud) -> Iterator[Relay]:
    relay = Relay(cloud.port)
    yield relay
    relay.close()


def test_a_cloud_killed_before_it_could_acknowledge_stores_nothing_twice(
    cloud: Cloud, device: Device, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(device, cloud, relay.port)
    established(device)
    until(lambda: events(device, cloud), lambda seen: "subconnection-state-change" in seen)

    relay.deaf = True
    for name, value in {"reason": "BOUND", "interface": "eth0", "new_dhcp_lease_time": "3600"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("new_cloud_domain", ",".join(map(str, b"localhost")))
    assert command("dhcp-event", "--state-dir", str(device.state_dir)).returncode == 0
    until(lambda: events(device, cloud), lambda seen: "dhcp-change" in seen)
    number = next(number for number, event in delivered(cloud) if event == "dhcp-change")
    until(lambda: on_disk(device), lambda rows: number in rows)
    cloud.program.kill()
    until(device.state, lambda state: state["state"] != "established")
    device.program.kill()

    relay.deaf = False
    cloud.start()
    device.start()
    established(device)
    until(lambda: on_disk(device), lambda rows: not rows)
    sink = delivered(cloud)
    assert [event for _, event in sink].count("dhcp-change") == 1
    for boot in {boot_id for (boot_id, _), _ in sink}:
        sequences = [sequence for (boot_id, sequence), _ in sink if boot_id == boot]
        assert sequences == list(range(1, len(sequences) + 1))


def test_the_next_process_says_that_the_connection_stood(cloud: Cloud, device: Device) -> None:
    configure(device, cloud, cloud.port)
    established(device)
    device.stop()
    device.start()
    state = device.state()
    assert state["last-down-reason"] == "process-restarted"
    assert state["last-down-at"] is not None
    established(device)
    # The fact that it stands is written a moment later.
    fact = "SELECT name FROM fact"
    until(lambda: device.state() and left_behind(device, fact), lambda found: found == [("established-since",)])
    device.program.kill()
    device.start()
    state = device.state()
    assert (state["last-down-reason"], state.get("last-down-at")) == ("process-restarted", None)


def test_a_damaged_file_of_reports_stops_nothing(device: Device) -> None:
    device.stop()
    (device.state_dir / "reports.db").write_bytes(b"no database at all" * 1000)
    device.start()
    assert "is damaged" in device.program.until_line("reports.db")
    assert device.state()["state"] == "unconnected"
    assert (device.state_dir / "reports.db.damaged").exists()
