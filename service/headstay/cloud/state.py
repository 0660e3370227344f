"""The cloud's state directory: which files it holds, and who may use it. Knows nothing of their contents.

One process at a time uses a state directory: the running cloud, or a `cloud-admin` command while no cloud runs. A lock
on a file says which; the kernel drops it with the process, so that a kill -9 leaves nothing behind.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from headstay.errors import StartupError


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Names of the files in one state directory."""

    path: Path

    @property
    def registry(self) -> Path:
        """The database."""
        return self.path / "registry.sqlite"

    @property
    def admin_socket(self) -> Path:
        """Where `headstay cloud-admin` reaches a running cloud."""
        return self.path / "admin.sock"

    @property
    def announcement(self) -> Path:
        """`cloud.json`: the port and the CA of the running cloud; there only while it runs."""
        return self.path / "cloud.json"

    def make(self) -> None:
        """Make the directory if it is missing, for its owner only. Raises StartupError when that fails."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StartupError(f"{self.path}: the state directory cannot be made: {error.strerror}") from None

    def lock(self) -> StateLock | None:
        """Take the directory for this process; None when another process has it. The caller must release it."""
        try:
            handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(f"{self.path}: the state directory cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            return None
        return StateLock(handle)


@dataclass(slots=True)
class StateLock:
    """The right to use a state directory; release() gives it up."""

    _handle: int

    def release(self) -> None:
        """Give the directory up. A second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def write_whole(path: Path, octets: bytes) -> None:
    """Write a file of mode 0600; after a crash it is either the old one or the new one, whole. Raises OSError."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
