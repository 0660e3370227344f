"""A disk without space: a device that has run comes up with what it holds, and says that it can store nothing.

The state directory is a small file system that is really full. It is mounted in a namespace, so that nothing of it
outlives a test.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ncclient.operations import RPCError

from end_to_end.northbound import configure, connected
from end_to_end.processes import Device, Program
from peers.namespaces import Namespace, can_be_made, missing


def why_not() -> str | None:
    """Return why this machine cannot fill a file system of a test's own; None if it can."""
    if os.geteuid() != 0:
        return "only root mounts file systems"
    if absent := missing("mount", "nsenter", "unshare"):
        return f"these programs are missing: {', '.join(absent)}"
    return None if can_be_made() else "this machine lets nobody make namespaces"


pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture(scope="module")
def has_run(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device whose ping interval is 20, killed, so that its last commit is in the write-ahead log only."""
    device = Device(tmp_path_factory.mktemp("template") / "d", "HS-FULL")
    with connected(device) as session:
        configure(session, "<ping-interval>20</ping-interval>")
    device.program.kill()
    (device.state_dir / "netconf.sock").unlink()  # nobody can copy a socket
    for file in device.state_dir.glob("*-shm"):  # room that SQLite would have already
        file.unlink()
    return device


class SmallDevice:
    """A copy of a device, on a file system of 2 MiB that has no octet left."""

    def __init__(self, of: Device, directory: Path, namespace: Namespace) -> None:
        self.device = of.copied_to(directory)
        self._namespace = namespace
        mounted = str(self.device.state_dir)
        namespace.run("mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", mounted)
        namespace.run("cp", "-a", f"{of.state_dir}/.", mounted)
        self.fill()

    def start(self) -> Program:
        program = Program(
            *("device", "--config", str(self.device.config)),
            within=["nsenter", f"--target={self._namespace.pid}", "--mount", "--"],
        )
        # Where it listens stands in no file: there is no space for that either.
        line = program.until_line("NETCONF on port")
        self.device.port = int(line.partition("NETCONF on port ")[2].partition(",")[0])
        return program

    def reboot(self) -> None:
        """Have the next start take place in another boot of the kernel."""
        script = (
            f"import sqlite3; connection = sqlite3.connect('{self.device.state_dir}/datastore.db'); "
            "connection.execute('PRAGMA locking_mode = EXCLUSIVE'); "
            "connection.execute(\"UPDATE fact SET value = 'earlier' WHERE name = 'boot-id'\"); connection.commit()"
        )
        self._namespace.run(sys.executable, "-c", script)

    def fill(self) -> None:
        self._namespace.run("sh", "-c", f"cat /dev/zero >{self.device.state_dir}/filling || true")

    def free_space(self) -> None:
        self._namespace.run("rm", f"{self.device.state_dir}/filling")


@pytest.fixture
def small(has_run: Device, tmp_path: Path) -> Iterator[SmallDevice]:
    with Namespace() as namespace:
        yield SmallDevice(has_run, tmp_path / "d", namespace)


def test_a_restart_on_a_full_disk(small: SmallDevice) -> None:
    program = small.start()
    with connected(small.device) as session:
        assert "<ping-interval>20<" in session.get_config("running").data_xml
        with pytest.raises(RPCError, match=r"no space left on .*; free some and try again"):
            configure(session, "<ping-interval>30</ping-interval>")
        small.free_space()
        session.discard_changes()
        configure(session, "<ping-interval>40</ping-interval>")
    assert program.stop() == 0
    assert "damaged" not in program.log
    assert "begun anew" not in program.log
    program = small.start()
    with connected(small.device) as session:
        assert "<ping-interval>40<" in session.get_config("running").data_xml
    assert program.stop() == 0


def test_a_new_boot_on_a_full_disk(small: SmallDevice) -> None:
    small.free_space()
    small.reboot()
    small.fill()
    program = small.start()
    assert "can store nothing, no commit either: " in program.log
    assert "no space left on" in program.log
    with connected(small.device) as session:
        assert "<ping-interval>20<" in session.get_config("running").data_xml
        small.free_space()
        configure(session, "<keepalive-interval>50</keepalive-interval>")
        small.fill()
    assert program.stop() == 0
    program = small.start()
    assert "can store nothing" not in program.log
    with connected(small.device) as session:
        assert "<keepalive-interval>50<" in session.get_config("running").data_xml
    assert program.stop() == 0
