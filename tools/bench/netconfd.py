"""Debian's `netconfd` (yuma123) behind an sshd of its own, for as long as a bench needs it. For root only."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

NETCONFD, SUBSYSTEM, SSHD = Path("/usr/sbin/netconfd"), Path("/usr/sbin/netconf-subsystem"), Path("/usr/sbin/sshd")
EDIT = '<system xmlns="urn:ietf:params:xml:ns:yang:ietf-system"><contact>contact {value}</contact></system>'
"""A leaf of ietf-system, which netconfd loads without code of its own for it."""
START = 20.0
"""Seconds that either may take to start."""


class PeerFailed(Exception):
    """netconfd or its sshd cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """How the running netconfd is reached, as root."""

    port: int
    key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey
    version: str
    daemons: list[int] = field(default_factory=list)

    def pids(self) -> list[int]:
        """Return its processes: netconfd, sshd, and what sshd has started for each session."""
        found = list(self.daemons)
        for pid in found:  # which grows on the way
            found += _children(pid)
        return found


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


@contextlib.contextmanager
def running_netconfd() -> Iterator[Peer]:
    """Start both on a free port of 127.0.0.1, with nothing stored, and end them. Raises PeerFailed."""
    if os.geteuid() != 0 or not all(file.exists() for file in (NETCONFD, SUBSYSTEM, SSHD)):
        raise PeerFailed("the peer needs root, and Debian's packages netconfd and openssh-server")
    with tempfile.TemporaryDirectory(prefix="headstay-bench-") as name, contextlib.ExitStack() as ends:
        directory = Path(name)
        peer = Peer(_free_port(), _key(directory / "user"), _key(directory / "host").convert_to_public(), _version())
        ncx_socket = directory / "ncx.sock"
        (directory / "sshd_config").write_text(_sshd_config(directory, peer.port, ncx_socket))
        netconfd: list[Path | str] = [
            NETCONFD, "--no-startup", "--target=candidate", "--module=ietf-system", "--superuser=root",
            f"--port={peer.port}", f"--ncxserver-sockname={ncx_socket}", "--log-level=error",
        ]  # fmt: skip
        peer.daemons.append(ends.enter_context(_running(netconfd, directory, ncx_socket.exists)))
        sshd: list[Path | str] = [SSHD, "-D", "-e", "-f", directory / "sshd_config"]
        peer.daemons.append(ends.enter_context(_running(sshd, directory, lambda: _listens(peer.port))))
        yield peer


def _sshd_config(directory: Path, port: int, ncx_socket: Path) -> str:
    shutil.copy(directory / "user.pub", directory / "authorized_keys")
    Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, once it has no privileges any more, is shut in
    return f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host
AuthorizedKeysFile {directory}/authorized_keys
StrictModes no
PidFile none
UsePAM no
UseDNS no
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxStartups 1000
MaxSessions 1000
Subsystem netconf "{SUBSYSTEM} --ncxserver-sockname={port}@{ncx_socket}"
"""


@contextlib.contextmanager
def _running(command: list[Path | str], directory: Path, ready: Callable[[], bool]) -> Iterator[int]:
    # netconfd leaves a file in its working directory.
    log = directory / f"{Path(command[0]).name}.log"
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(directory)}
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=directory, env=environment
        ) as process,
    ):
        try:
            give_up = time.monotonic() + START
            while not ready():
                if process.poll() is not None or time.monotonic() > give_up:
                    raise PeerFailed(f"{command[0]} does not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.02)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()


def _key(file: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(file)
    file.chmod(0o600)
    key.write_public_key(file.with_suffix(".pub"))
    return key


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _version() -> str:
    query = ["dpkg-query", "--show", "--showformat=${Version}", "netconfd"]
    found = subprocess.run(query, capture_output=True, text=True, check=False)
    return f"netconfd {found.stdout or '(version unknown)'}"
