"""CORE: the leases that are held, one for each interface, and when each ends. Knows no model, clock or file.

The DHCP client is the authority: its word ends a lease. The end that the lease itself names counts only once it is well
past, for a client that died without a word; clients stretch short leases (udhcpc renews one of 10 s after 15 s).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from headstay.dhcp.event import INFINITE, LeaseEvent
from headstay.dhcp.values import learned

GRACE = 30.0
"""Seconds past its end after which a lease that nobody renewed or ended is gone."""
MOST = 64
"""Interfaces whose leases are kept; the one that was silent longest makes room."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What an interface's lease says about the cloud. Times are seconds since the epoch."""

    interface: str
    client: str
    received_at: float
    domain: str | None = None
    password: str | None = field(default=None, repr=False)
    ignored: str | None = None
    """What was not used, and why."""
    expires_at: float | None = None
    """When it ends unless it is renewed, where that is known."""


class Leases:
    """The leases of the device. Moments are given on two clocks: the wall's, and a monotonic one that never jumps."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}
        self._ends: dict[str, float] = {}  # monotonic
        self._told: dict[tuple[str, str], int] = {}  # by interface and client: when the latest event was told of

    def restore(self, leases: Iterable[Lease], wall: float, monotonic: float) -> None:
        """Take over what was held before a restart, but for what has ended meanwhile."""
        for lease in leases:
            self._keep(lease, wall, monotonic)
        self.expire(monotonic)

    def take(self, event: LeaseEvent, happened_at: float, wall: float, monotonic: float) -> bool:
        """Take one event that happened at `happened_at`, by the wall clock. Returns whether anything changed.

        The end of a lease counts only from the client that reported the lease, and no event after a later one of the
        same client.
        """
        if self.is_overtaken(event):
            return False
        self._remember(event)
        held = self._held.get(event.interface)
        if not event.happening.holds:
            if held is None or held.client != event.client:
                return False
            self._drop(event.interface)
            return True
        gives = learned(event.domain, event.password)
        lasts = event.lease_time if event.lease_time != INFINITE else None
        lease = Lease(
            interface=event.interface,
            client=event.client,
            received_at=happened_at,
            domain=gives.domain,
            password=gives.password,
            ignored=gives.ignored,
            expires_at=None if lasts is None else happened_at + lasts,
        )
        self._keep(lease, wall, monotonic)
        return True

    def is_overtaken(self, event: LeaseEvent) -> bool:
        """Tell whether a later event of the same client on the same interface has been taken already."""
        latest = self._told.get((event.interface, event.client))
        return event.told_at is not None and latest is not None and event.told_at < latest

    def expire(self, monotonic: float) -> list[Lease]:
        """Drop and return the leases that are well past their end."""
        ended = [self._held[interface] for interface, ends in self._ends.items() if ends <= monotonic]
        for lease in ended:
            self._drop(lease.interface)
        return ended

    def deadline(self) -> float | None:
        """Return when `expire` has something to do, in monotonic seconds."""
        return min(self._ends.values(), default=None)

    def of(self, interface: str) -> Lease | None:
        """Return the lease of an interface."""
        return self._held.get(interface)

    def all(self) -> tuple[Lease, ...]:
        """Return every lease, the one that was reported last at the end."""
        return tuple(self._held.values())

    def _remember(self, event: LeaseEvent) -> None:
        if event.told_at is None:
            return
        self._told.pop((event.interface, event.client), None)
        while len(self._told) >= MOST:
            del self._told[next(iter(self._told))]
        self._told[event.interface, event.client] = event.told_at

    def _keep(self, lease: Lease, wall: float, monotonic: float) -> None:
        self._drop(lease.interface)
        while len(self._held) >= MOST:
            self._drop(next(iter(self._held)))
        self._held[lease.interface] = lease
        if lease.expires_at is not None:
            self._ends[lease.interface] = monotonic + lease.expires_at + GRACE - wall

    def _drop(self, interface: str) -> None:
        self._held.pop(interface, None)
        self._ends.pop(interface, None)
