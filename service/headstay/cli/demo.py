"""`headstay demo`: cloud and device on loopback, wired together as an operator would, until Ctrl-C.

Everything it does, a person could do by hand: it writes the two configuration files, starts `headstay cloud` and
`headstay device`, adds the serial number with `headstay cloud-admin` and configures the device over NETCONF. Owns
`demo.json`, which says where everything is.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from headstay import xml
from headstay.cli.local_session import LocalSession
from headstay.cli.show import read_connection, state_text
from headstay.device_file import SOCKET_NAME
from headstay.errors import CommandError

SERIAL = "HS-DEMO-0001"
USER = "admin"
_HOST = "127.0.0.1"
_START_LIMIT = 30.0
_STOP_LIMIT = 5.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="run cloud and device on this machine, wired together",
        description="Run the cloud and a device on loopback, wired together, until Ctrl-C. What they store stays in "
        "the state directory, and the next demo goes on from there.",
    )
    parser.add_argument(
        "--state-dir", type=Path, default=Path("demo-state"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--cloud-port", type=int, default=19443, metavar="PORT", help="default: %(default)s; 0 takes a free one"
    )
    parser.add_argument(
        "--netconf-port", type=int, default=8300, metavar="PORT", help="default: %(default)s; 0 takes a free one"
    )
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    demo = _Demo(arguments.state_dir.absolute(), arguments.cloud_port, arguments.netconf_port)
    # SIGINT too: a shell that starts the demo in the background has it ignored, and `kill -INT` must stop it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        demo.start()
        demo.wait()
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        demo.stop()
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@dataclass
class _Demo:
    """One run of the demo."""

    state_dir: Path
    cloud_port: int
    netconf_port: int

    def __post_init__(self) -> None:
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Bring everything up and say what to try. Raises CommandError."""
        self._take_directory()
        passwords = self._passwords()
        _demand_free(self.cloud_port, "--cloud-port")
        _demand_free(self.netconf_port, "--netconf-port")
        self._write_configurations(passwords["user"])
        cloud = self._start("cloud", self.state_dir / "cloud" / "cloud.json")
        print(f"cloud: up on https://localhost:{cloud['port']}", flush=True)
        self._add_serial(passwords["serial"])
        device = self._start("device", self.state_dir / "device" / "device.json")
        print(f"device: up, NETCONF on 127.0.0.1:{device['netconf-port']}", flush=True)
        self._configure(cloud, passwords["serial"])
        self._write_demo_json(cloud, device, passwords["user"])
        connection, established = self._settled()
        print(f"\n{state_text(connection)}\n", flush=True)
        if not established:
            print("The device is not connected; what an earlier demo has configured may keep it from that.\n")
        print(self._advice(device, passwords["user"]), flush=True)

    def wait(self) -> None:
        """Stay up until Ctrl-C. Raises CommandError if a program ends by itself."""
        while True:
            for name, program in self._programs.items():
                if program.poll() is not None:
                    raise CommandError(f"the {name} ended; see {self._log(name)}")
            time.sleep(0.5)

    def stop(self) -> None:
        """Stop both programs, the device first."""
        for name in reversed(self._programs):
            program = self._programs[name]
            program.terminate()
            try:
                program.wait(_STOP_LIMIT)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()

    def _take_directory(self) -> None:
        """Make the directory and keep other demos out of it. Raises CommandError."""
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self.state_dir / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(f"another demo runs in {self.state_dir}; name another directory") from None
        except OSError as error:
            raise CommandError(f"{self.state_dir} cannot be used: {error.strerror}") from None
        # What an earlier demo has written tells ports and programs that are gone.
        (self.state_dir / "demo.json").unlink(missing_ok=True)

    def _passwords(self) -> dict[str, str]:
        """Return the demo's passwords, made at its first run and kept readable by this user only."""
        file = self.state_dir / "passwords.json"
        if file.exists():
            kept: dict[str, str] = json.loads(file.read_text())
            return kept
        made = {"user": secrets.token_urlsafe(12), "serial": secrets.token_urlsafe(24)}
        _write_private(file, json.dumps(made))
        return made

    def _write_configurations(self, user_password: str) -> None:
        cloud = f"""# The demo's cloud. `headstay cloud --config` runs on it.
state-dir = "cloud"

[listen]
host = "{_HOST}"
port = {self.cloud_port}
"""
        device = f"""# The demo's device. `headstay device --config` runs on it.
serial = "{SERIAL}"
model = "demo"
state-dir = "device"

[netconf]
listen = ["{_HOST}"]
port = {self.netconf_port}

[first-user]
name = "{USER}"
password = "$0${user_password}"
"""
        _write_private(self.state_dir / "cloud.toml", cloud)
        _write_private(self.state_dir / "device.toml", device)

    def _start(self, name: str, ready: Path) -> dict[str, Any]:
        """Start a program and return what its ready file says."""
        ready.unlink(missing_ok=True)
        with self._log(name).open("ab") as log:
            self._programs[name] = subprocess.Popen(
                [sys.executable, "-m", "headstay", name, "--config", str(self.state_dir / f"{name}.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C at the terminal is the demo's to handle: it stops them in order.
                start_new_session=True,
            )

        def told() -> dict[str, Any] | None:
            if self._programs[name].poll() is not None:
                raise CommandError(f"the {name} did not start: {self._last_words(name)}")
            return json.loads(ready.read_text()) if ready.exists() else None

        return _until(told, f"the {name} is not up after {_START_LIMIT:.0f} seconds; see {self._log(name)}")

    def _add_serial(self, password: str) -> None:
        """Add the serial number, or renew its password where an earlier run has added it."""
        add = ["cloud-admin", "device", "add", SERIAL, "--password", "--config", str(self.state_dir / "cloud.toml")]
        done = subprocess.run(
            [sys.executable, "-m", "headstay", *add],
            input=f"{password}\n",
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandError(f"the serial number could not be added: {done.stderr.strip()}")

    def _configure(self, cloud: dict[str, Any], password: str) -> None:
        """Point the device at the cloud: lock, edit-config, commit, unlock."""
        anchor = Path(cloud["ca_file"]).read_text()
        config = xml.element(f"{{{xml.NETCONF}}}config")
        top = _child(config, "cloud-management", namespace=xml.HCM)
        server = _child(top, "server")
        _child(server, "domain", "localhost")
        _child(server, "port", str(cloud["port"]))
        _child(server, "password", f"$0${password}")
        tls = _child(top, "tls")
        tls.set(f"{{{xml.NETCONF}}}operation", "replace")
        _child(tls, "trust-anchor", anchor)
        candidate = "<target><candidate/></target>"
        with LocalSession(self._socket) as session:
            session.rpc(_operation("lock", candidate))
            edit = _operation("edit-config", candidate)
            edit.append(config)
            session.rpc(edit)
            session.rpc(_operation("commit"))
            session.rpc(_operation("unlock", candidate))

    def _settled(self) -> tuple[dict[str, str | int], bool]:
        """Wait until the device is connected, or rests without a connection. Returns its state and whether it is."""

        def settled() -> dict[str, Any] | None:
            connection = read_connection(self._socket)
            resting = "failure-reason" in connection or connection.get("device-state") == "idle"
            return connection if resting or connection.get("state") == "established" else None

        connection = _until(settled, f"the device does not say what it does; see {self._log('device')}")
        return connection, connection.get("state") == "established"

    def _write_demo_json(self, cloud: dict[str, Any], device: dict[str, Any], password: str) -> None:
        facts = {
            "netconf_host": "127.0.0.1",
            "netconf_port": device["netconf-port"],
            "username": USER,
            "password": password,
            "host_key": device["host-key"],
            "netconf_socket": str(self._socket),
            "serial": SERIAL,
            "cloud_url": f"https://localhost:{cloud['port']}",
            "ca_file": cloud["ca_file"],
        }
        _write_private(self.state_dir / "demo.json", json.dumps(facts, indent=2) + "\n")

    def _advice(self, device: dict[str, Any], password: str) -> str:
        headstay, device_dir, cloud_toml = (
            shlex.quote(str(path))
            for path in (
                Path(sys.executable).with_name("headstay"),
                self.state_dir / "device",
                self.state_dir / "cloud.toml",
            )
        )
        return f"""Both are up. In another terminal, try:

  {headstay} show state \\
    --state-dir {device_dir}
  {headstay} cloud-admin device list \\
    --config {cloud_toml}
  ssh -p {device["netconf-port"]} {USER}@127.0.0.1 -s netconf      (password: {password})

Everything a script needs, and the logs:

  {self.state_dir / "demo.json"}
  {self._log("device")}
  {self._log("cloud")}

Ctrl-C stops the demo."""

    @property
    def _socket(self) -> Path:
        return self.state_dir / "device" / SOCKET_NAME

    def _log(self, name: str) -> Path:
        return self.state_dir / f"{name}.log"

    def _last_words(self, name: str) -> str:
        lines = self._log(name).read_text(errors="replace").splitlines()
        return lines[-1].removeprefix("headstay: ") if lines else "it said nothing"


def _demand_free(port: int, option: str) -> None:
    """Raise CommandError if the port cannot be had. The programs say which setting of their files to change; whoever
    runs a demo has written none.
    """
    try:
        with socket.create_server((_HOST, port)):  # with SO_REUSEADDR, as both do
            pass
    except OSError as error:
        why = "taken by another program" if error.errno == errno.EADDRINUSE else f"not to be had: {error.strerror}"
        raise CommandError(f"port {port} is {why}; `{option} 0` takes a free one") from None
    except OverflowError:
        raise CommandError(f"{port} is no port; `{option} 0` takes a free one") from None


def _write_private(file: Path, text: str) -> None:
    """Replace a file that only this user may read."""
    aside = file.with_name(f".{file.name}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text)
    aside.replace(file)


def _until(look: Callable[[], dict[str, Any] | None], complaint: str) -> dict[str, Any]:
    """Look again and again until there is something. Raises CommandError when it takes too long."""
    end = time.monotonic() + _START_LIMIT
    while time.monotonic() < end:
        seen = look()
        if seen is not None:
            return seen
        time.sleep(0.05)
    raise CommandError(complaint)


def _operation(name: str, content: str = "") -> Any:
    return xml.parse(f'<{name} xmlns="{xml.NETCONF}">{content}</{name}>'.encode())


def _child(parent: Any, name: str, text: str | None = None, namespace: str = xml.HCM) -> Any:
    element = xml.element(f"{{{namespace}}}{name}", text)
    parent.append(element)
    return element
