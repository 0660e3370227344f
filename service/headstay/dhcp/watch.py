"""SHELL: looks again and again at what no hook brings: systemd-networkd's lease files.

It remembers what it has seen, so that each change of a file becomes one event. A look costs a directory listing and a
stat for each file.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from headstay.dhcp import networkd
from headstay.dhcp.event import LeaseEvent
from headstay.dhcp.lease import MOST

NETWORKD_LEASES = Path("/run/systemd/netif/leases")
_MOST_OCTETS = 1 << 18
"""A lease file with two options of 65 535 octets in hex is smaller."""


@dataclass(frozen=True, slots=True)
class _Seen:
    interface: str
    inode: int
    modified: int
    size: int


class NetworkdWatch:
    """The lease files as they were at the last look."""

    def __init__(
        self,
        directory: Path = NETWORKD_LEASES,
        *,
        known: Collection[str] = (),
        name_of: Callable[[int], str] = socket.if_indextoname,
    ) -> None:
        """`known` are the interfaces of whose leases somebody knows already: an end is told of them too."""
        self._directory = directory
        self._name_of = name_of
        self._seen: dict[str, _Seen] = {}  # by file name
        self._known = set(known)

    def look(self) -> list[tuple[LeaseEvent, float]]:
        """Return what has happened since the last look, each event with when it happened. Raises nothing."""
        found: list[tuple[LeaseEvent, float]] = []
        now = {name: seen for name in self._names() if (seen := self._stat(name)) is not None}
        here = {seen.interface for seen in now.values()}
        for name, seen in now.items():
            if self._seen.get(name) != seen:
                event = self._event(name, seen)
                if event is not None:
                    self._known.add(seen.interface)
                    found.append((event, seen.modified / 1e9))
        for interface in sorted(self._known - here):
            self._known.discard(interface)
            found.append((networkd.gone(interface), 0.0))
        self._seen = now
        return found

    def _names(self) -> list[str]:
        try:
            names = [file.name for file in self._directory.iterdir()]
        except OSError:
            return []
        return sorted(name for name in names if name.isascii() and name.isdecimal() and len(name) < 10)[:MOST]

    def _stat(self, name: str) -> _Seen | None:
        # Both fail when the interface or its lease has gone since the directory was listed.
        with contextlib.suppress(OSError):
            status = (self._directory / name).stat()
            return _Seen(self._name_of(int(name)), status.st_ino, status.st_mtime_ns, status.st_size)
        return None

    def _event(self, name: str, seen: _Seen) -> LeaseEvent | None:
        try:
            with (self._directory / name).open("rb") as stream:
                text = stream.read(_MOST_OCTETS).decode("utf-8", "replace")
        except OSError:
            return None
        return networkd.decode(seen.interface, text)
