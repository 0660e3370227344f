"""Namespaces in which tests have networks of their own.

Each namespace (network, mounts, processes) lives as long as its holder, the first process in it. When the holder dies,
the kernel ends every process in the namespace and takes its interfaces down: nothing outlives a test, however it ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from end_to_end.processes import PATIENCE, until


class Namespace:
    """Use it as a context manager."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sleep", "infinity"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # it complains when what it holds is killed
        )
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children")
        self.pid = int(until(children.read_text, lambda text: _is_sleeping(text.strip())))

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        # The first process inside, not `unshare`, which waits for it and then ends as well.
        os.kill(self.pid, signal.SIGKILL)
        for process in (self._holder, *self._started):
            process.wait(PATIENCE)

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command that runs this command in the namespace."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--pid", "--", *command]

    @property
    def network(self) -> list[str]:
        """What to put before a command so that it has this network, and is otherwise the test's own process."""
        return ["nsenter", f"--target={self.pid}", "--net", "--"]

    @property
    def network_and_files(self) -> list[str]:
        """The same for a command that also sees the files that this namespace has in place of the machine's.

        Such a process is not in the /proc that it sees, as that shows the namespace's own.
        """
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", "--"]

    def run(self, *command: str) -> None:
        """Run a command to its end; it must succeed."""
        done = subprocess.run(
            self.inside(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"

    def start(self, command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command that goes on; what it says is in the log."""
        with log.open("ab") as stream:
            process = subprocess.Popen(
                self.inside(command), stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT
            )
        self._started.append(process)
        return process

    def put(self, source: Path, target: str) -> None:
        """Show a file or directory in place of one that the machine has; the machine's own stays as it is."""
        self.run("mount", "--bind", str(source), target)


def _is_sleeping(pid: str) -> bool:
    return bool(pid) and Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"


def child_of(process: subprocess.Popen[bytes]) -> int:
    """Return the process id of the command itself, which `nsenter` waits for."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return int(until(children.read_text, bool).split()[0])


def can_be_made() -> bool:
    """Tell whether this machine lets us make namespaces: in some containers not even root may."""
    made = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False)
    return made.returncode == 0


def missing(*programs: str) -> list[str]:
    """Return the programs that this machine does not have."""
    return [program for program in programs if shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
