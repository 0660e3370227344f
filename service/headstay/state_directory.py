"""The device's state directory: the names of what lies in it, and the lock that gives it to one process at a time.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import fcntl
from pathlib import Path

from headstay.errors import StartupError

DATASTORE = "datastore.db"
EVENTS = "events.db"
SECRETS_KEY = "secrets.key"
REPORTS = "reports.db"
_LOCK = "lock"


class StateDirectoryInUseError(StartupError):
    """Another process holds the state directory."""


class StateDirectory:
    """The state directory, for as long as the context lasts."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        """Make the directory (mode 0700) if there is none and lock it. Raises StartupError."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = (self._directory / _LOCK).open("w")
            # Whoever can open it can hold it, and keep the daemon from starting.
            (self._directory / _LOCK).chmod(0o600)
        except OSError as error:
            raise StartupError(f"the state directory {self._directory} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise StateDirectoryInUseError(f"another headstay runs on the state directory {self._directory}") from None

    def __exit__(self, *_: object) -> None:
        self._lock.close()
