"""The real programs as processes on free ports, for end-to-end tests: started, asked, killed, stopped."""

from __future__ import annotations

import copy
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds after which a test gives up on something that should have happened. Nothing waits that long when it works."""


class Program:
    """`headstay …` as a process whose standard error is read line by line.

    `within` is a command that runs the rest of its line somewhere else, for instance in a network namespace; it must
    become that process, so that signals reach it.
    """

    def __init__(self, *arguments: str, within: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        self._process = subprocess.Popen(
            [*within, sys.executable, "-m", "headstay", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def until_line(self, part: str, patience: float = PATIENCE) -> str:
        """Wait for a line with this part in it, among those that came already too."""
        for line in self.lines:
            if part in line:
                return line
        end = time.monotonic() + patience
        while True:
            fresh = self._fresh.get(timeout=max(0.0, end - time.monotonic()))
            assert fresh is not None, f"it ended without saying {part!r}:\n" + "".join(self.lines)
            self.lines.append(fresh)
            if part in fresh:
                return fresh

    def freeze(self) -> None:
        """Let it stand still: its connections stay open, and nobody answers on them."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to stop, as a service manager does, and return its exit code."""
        return self._end(signal.SIGTERM)

    def ended(self) -> int:
        """Wait until it has ended by itself and return its exit code."""
        return self._end(None)

    @property
    def log(self) -> str:
        """All that it has said."""
        while not self._fresh.empty():
            fresh = self._fresh.get()
            if fresh is not None:
                self.lines.append(fresh)
        return "".join(self.lines)

    def _end(self, number: signal.Signals | None) -> int:
        if number is not None and self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self._process.stderr is not None
        self._process.stderr.close()
        return code

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._fresh.put(line)
        self._fresh.put(None)


class Cloud:
    """A cloud on a port that is free at its first start, and the same from then on."""

    def __init__(self, directory: Path, host: str = "127.0.0.1", within: Sequence[str] = ()) -> None:
        directory.mkdir()
        self.config = directory / "cloud.toml"
        self.host = host
        self.port = 0
        self._within = within
        self._state_dir = directory / "cloud"
        self.program = self.start()

    def start(self) -> Program:
        self.config.write_text(f'state-dir = "cloud"\n\n[listen]\nhost = "{self.host}"\nport = {self.port}\n')
        self.program = Program("cloud", "--config", str(self.config), within=self._within)
        self.program.until_line("listening on")
        facts: dict[str, Any] = json.loads((self._state_dir / "cloud.json").read_text())
        self.port = facts["port"]
        self.trust_anchor = Path(facts["ca_file"]).read_text()
        return self.program

    def admin(self, *arguments: str, password: str | None = None) -> subprocess.CompletedProcess[str]:
        return command("cloud-admin", *arguments, "--config", str(self.config), stdin=password)

    def add(self, serial: str, password: str | None = None) -> None:
        arguments = ["device", "add", serial, *(["--password"] if password else [])]
        done = self.admin(*arguments, password=password)
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        self.program.stop()


class Device:
    """A device on a free port, with the first user `admin`."""

    PASSWORD = "let-me-in"

    def __init__(self, directory: Path, serial: str, toml: str = "", within: Sequence[str] = ()) -> None:
        directory.mkdir()
        self.serial = serial
        self._within = within
        self.config = directory / "device.toml"
        self.config.write_text(
            f'serial = "{serial}"\nstate-dir = "device"\n{toml}\n'
            '[netconf]\nlisten = ["127.0.0.1"]\nport = 0\n\n'
            f'[first-user]\nname = "admin"\npassword = "$0${self.PASSWORD}"\n'
        )
        self.state_dir = directory / "device"
        self.program = self.start()

    def start(self) -> Program:
        self.program = Program("device", "--config", str(self.config), within=self._within)
        self.program.until_line("NETCONF on port")
        facts: dict[str, Any] = json.loads((self.state_dir / "device.json").read_text())
        self.port: int = facts["netconf-port"]
        return self.program

    def copied_to(self, directory: Path) -> Device:
        """A device that was stopped, as it is, in another directory."""
        copy_of = copy.copy(self)
        shutil.copytree(self.config.parent, directory)
        copy_of.config = directory / self.config.name
        copy_of.state_dir = directory / self.state_dir.name
        return copy_of

    def show(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command("show", *arguments, "--state-dir", str(self.state_dir))

    def password(self, *arguments: str, secret: str | None = None) -> subprocess.CompletedProcess[str]:
        return command("password", *arguments, "--state-dir", str(self.state_dir), stdin=secret)

    def unbind(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return command("unbind", *arguments, "--state-dir", str(self.state_dir), stdin=stdin)

    def state(self) -> dict[str, Any]:
        """What `headstay show state --json` says."""
        leafs: dict[str, Any] = self._shown("state")
        return leafs

    def entries(self, what: str) -> list[dict[str, Any]]:
        """What `headstay show servers|subconnections --json` says."""
        entries: list[dict[str, Any]] = self._shown(what)
        return entries

    def _shown(self, what: str) -> Any:
        done = self.show(what, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def stop(self) -> None:
        self.program.stop()


def command(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `headstay …` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "headstay", *arguments],
        input=None if stdin is None else f"{stdin}\n",
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def until(look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Look until it holds. Each look is a request to a process, which takes long enough not to need a sleep."""
    end = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < end, f"it never came to pass; last seen: {seen}"
