"""A real `headstay device` in a process of its own, for as long as a bench needs it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DISK = Path("/var/tmp")  # noqa: S108 - tempfile makes a private directory there
"""Where the device's state goes: /tmp is often in memory, where a durable write costs nothing."""
START = 30.0
"""Seconds that a device may take to start."""


class DeviceFailed(Exception):
    """The device did not start; the message holds what it said."""


@dataclass(frozen=True, slots=True)
class User:
    """The device's first user."""

    name: str
    public_key: str
    """A line as in OpenSSH's authorized_keys."""


@dataclass(frozen=True, slots=True)
class Device:
    """How a running device is reached."""

    netconf_port: int
    host_key: str
    pid: int


@contextlib.contextmanager
def running_device(user: User, directory: Path = DISK, more: str = "") -> Iterator[Device]:
    """Start a device on a free port of 127.0.0.1 with a new state directory, and end it. Raises DeviceFailed.

    `more` is TOML for the end of its configuration.
    """
    with tempfile.TemporaryDirectory(prefix="headstay-bench-", dir=directory) as name:
        state = Path(name, "state")
        configuration = Path(name, "device.toml")
        configuration.write_text(f"""
serial = "BENCH-1"
state-dir = {json.dumps(str(state))}
log-level = "warning"
[netconf]
listen = ["127.0.0.1"]
port = 0
[first-user]
name = {json.dumps(user.name)}
authorized-keys = [{json.dumps(user.public_key)}]
{more}""")
        command = [sys.executable, "-m", "headstay", "device", "--config", str(configuration)]
        log = Path(name, "log")
        with log.open("wb") as stream, subprocess.Popen(command, stdout=stream, stderr=stream) as process:
            try:
                facts = started(process, state / "device.json", log)
                yield Device(facts["netconf-port"], facts["host-key"], process.pid)
            finally:
                stop(process)


def started(process: subprocess.Popen[bytes], announcement: Path, log: Path) -> dict[str, Any]:
    """Wait until the device has said where it is to be reached."""
    give_up = time.monotonic() + START
    while not announcement.exists():
        if process.poll() is not None:
            raise DeviceFailed(f"headstay device has ended with status {process.returncode}:\n{log.read_text()}")
        if time.monotonic() > give_up:
            raise DeviceFailed(f"headstay device is not ready after {START:.0f} s:\n{log.read_text()}")
        time.sleep(0.02)
    facts: dict[str, Any] = json.loads(announcement.read_text())
    return facts


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
