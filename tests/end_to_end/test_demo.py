"""`headstay demo`: comes up, says where everything is, works with the demo's own files, stops cleanly on Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from end_to_end.processes import PATIENCE, command
from headstay import xml
from headstay.cli.local_session import LocalSession

FREE_PORTS = ("--cloud-port", "0", "--netconf-port", "0")


class Demo:
    """The demo as a process whose standard output is read."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._process = subprocess.Popen(
            [sys.executable, "-m", "headstay", "demo", "--state-dir", str(state_dir), *FREE_PORTS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        self.output = ""
        for line in self._process.stdout:
            self.output += line
            if "Ctrl-C stops the demo" in line:
                return
        pytest.fail(f"the demo ended:\n{self.output}")

    def interrupt(self) -> int:
        self._process.send_signal(signal.SIGINT)
        assert self._process.stdout is not None
        self.output += self._process.stdout.read()
        self._process.stdout.close()
        return self._process.wait(PATIENCE)


def test_demo(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    try:
        assert "Cloud connection state                      : Established" in demo.output
        facts = json.loads((demo.state_dir / "demo.json").read_text())
        assert set(facts) == {
            "netconf_host",
            "netconf_port",
            "username",
            "password",
            "host_key",
            "netconf_socket",
            "serial",
            "cloud_url",
            "ca_file",
        }
        assert Path(facts["ca_file"]).read_text().startswith("-----BEGIN CERTIFICATE-----")
        assert facts["host_key"].startswith("ssh-ed25519 ")
        for where in ("--config", str(demo.state_dir / "device.toml")), ("--state-dir", str(demo.state_dir / "device")):
            shown = command("show", "state", *where)
            assert shown.returncode == 0, shown.stderr
            assert "Established" in shown.stdout
        listed = command("cloud-admin", "device", "list", "--config", str(demo.state_dir / "cloud.toml"))
        assert facts["serial"] in listed.stdout
        for secret in demo.state_dir.glob("*.json"):
            assert secret.stat().st_mode & 0o077 == 0
        logs = "".join(log.read_text() for log in demo.state_dir.glob("*.log"))
        assert facts["password"] not in logs
        assert json.loads((demo.state_dir / "passwords.json").read_text())["serial"] not in logs
    finally:
        assert demo.interrupt() == 0
    assert "Traceback" not in demo.output
    assert not Path(facts["netconf_socket"]).exists()


@pytest.mark.parametrize("option", ["--cloud-port", "--netconf-port"])
def test_a_port_that_is_taken_names_the_option(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("demo", "--state-dir", str(tmp_path / "demo"), *FREE_PORTS, option, str(port))
    assert done.returncode == 1
    assert done.stderr == f"headstay: port {port} is taken by another program; `{option} 0` takes a free one\n"


def test_a_second_demo_in_one_directory_leaves_the_first_alone(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    try:
        before = {file: file.read_bytes() for file in demo.state_dir.glob("*.toml")}
        second = command("demo", "--state-dir", str(demo.state_dir), *FREE_PORTS)
        assert second.returncode == 1
        assert second.stderr == f"headstay: another demo runs in {demo.state_dir}; name another directory\n"
        assert {file: file.read_bytes() for file in demo.state_dir.glob("*.toml")} == before
        assert (demo.state_dir / "demo.json").exists()
    finally:
        assert demo.interrupt() == 0


def test_the_next_demo_goes_on_and_says_what_keeps_it_down(tmp_path: Path) -> None:
    demo = Demo(tmp_path / "demo")
    with LocalSession(demo.state_dir / "device" / "netconf.sock") as session:
        config = f'<config><cloud-management xmlns="{xml.HCM}"><enabled>false</enabled></cloud-management></config>'
        target = "<target><running/></target>"
        session.rpc(xml.parse(f'<edit-config xmlns="{xml.NETCONF}">{target}{config}</edit-config>'.encode()))
    assert demo.interrupt() == 0
    again = Demo(tmp_path / "demo")
    assert "The device is not connected" in again.output
    assert again.interrupt() == 0
