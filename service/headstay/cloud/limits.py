"""The cloud's bounds on time, size and number, and the tallies of failures that slow guessing down.

Owns numbers and small tables. Knows no socket and no clock: time is an argument.

Every failure to authenticate is counted three times, and each count has its own allowance:

    pair       serial number and origin (`origin_of` an address)
    address    the origin, whatever the serial number
    serial     the serial number, whatever the origin; only if it was added

The first binds always. The other two bind a serial number only at an origin where it was not let in before (`Places`).

So guessing is bounded: from one origin at one serial number, from one origin at all of them, and at one serial number
from everywhere. Yet a stranger elsewhere cannot lock a device out. Where it was let in before, strangers' failures are
not held against it; at a new origin they are, but only once there are so many strangers that they use up the allowance
of its serial number, which has room for many pairs. Nor can a device with a wrong password, or one that was never
added, lock out its neighbours behind the same address: the allowance of its pair, a fraction of the address's, stops it
first. Only who shares the address of a device *and* tries its serial number is in its way. A restart of the cloud
forgets it all.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many failures in a row one key may have before it has to wait."""

    burst: int
    """Failures that are allowed at once."""
    seconds: float
    """After this time one more is allowed."""
    most: int
    """Keys that are remembered; beyond them the one that failed longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the cloud in one place. Times are seconds."""

    handshake: float = 10.0
    """A TLS handshake that takes longer is closed (design section 4)."""
    request_head: float = 10.0
    """A connection that brings no whole request head in this time is closed (design section 4)."""
    request_body: float = 10.0
    """A request whose body takes longer is answered with 408."""
    goodbye: float = 2.0
    """How long a peer may take over our last message and the close; then its connection is cut."""
    silence: float = 1_800.0
    """A main connection on which nothing was heard for this long is dead: thrice the longest keepalive interval."""
    outbox: int = 64
    """Messages that may wait for one slow reader; more and its connection is cut."""
    messages_per_second: float = 100.0
    """Messages that are read from one connection of one device. What it sends beyond that waits in the device."""
    messages_at_once: int = 1_000
    """Those that may come faster: a device that was away brings what its report buffer holds."""
    exchange_life: float = 30.0
    exchanges: int = 4_096
    """SCRAM exchanges under way in the whole cloud; beyond them the answer is `busy`."""
    exchanges_per_pair: int = 4
    """Beyond them the oldest of this serial number at this origin is dropped, so that none can fill the table, and
    nobody elsewhere can drop those of a device."""
    token_life: float = 900.0
    """Longer than three usual keepalive intervals, so that a device that lost its connection can register at once."""
    tokens_per_serial: int = 4
    ticket_life: float = 30.0
    tickets_per_serial: int = 8
    busy_retry: float = 5.0
    """The `retry-after` of an answer `busy` that has no better one."""
    failures_of_pair: Allowance = field(default_factory=lambda: Allowance(burst=10, seconds=6.0, most=65_536))
    failures_of_address: Allowance = field(default_factory=lambda: Allowance(burst=60, seconds=1.0, most=65_536))
    failures_of_serial: Allowance = field(default_factory=lambda: Allowance(burst=200, seconds=1.0, most=65_536))
    failures_of_code: Allowance = field(default_factory=lambda: Allowance(burst=10, seconds=6.0, most=65_536))
    """Of one serial number's verification codes. The right one is void earlier; this bounds the work and the log."""
    places_per_serial: int = 4
    """Origins at which a serial number was let in that are remembered."""


class Failures:
    """Counts failures by key and says how long a key has to wait: a leaky bucket, kept as one time for each key."""

    def __init__(self, allowance: Allowance) -> None:
        self._allowance = allowance
        # key -> when its bucket will have run dry, the key that failed longest ago first
        self._dry_at: OrderedDict[str, float] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        """Return for how many seconds `key` has to wait before it may try again; 0 when it may now."""
        full = (self._allowance.burst - 1) * self._allowance.seconds
        return max(0.0, self._dry_at.get(key, now) - now - full)

    def count(self, key: str, now: float) -> None:
        """Count one failure of `key`."""
        self._dry_at[key] = max(self._dry_at.get(key, now), now) + self._allowance.seconds
        self._dry_at.move_to_end(key)
        while len(self._dry_at) > self._allowance.most or next(iter(self._dry_at.values())) <= now:
            self._dry_at.popitem(last=False)

    def __len__(self) -> int:
        return len(self._dry_at)


class Places:
    """Where each serial number was let in: its last few origins. Bounded, since only added ones are ever let in."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._origins: dict[str, tuple[str, ...]] = {}  # the latest first

    def note(self, folded: str, origin: str) -> None:
        """Note that a serial number was let in."""
        others = tuple(other for other in self._origins.get(folded, ()) if other != origin)
        self._origins[folded] = (origin, *others)[: self._most]

    def known(self, folded: str, origin: str) -> bool:
        """Tell whether a serial number was let in there."""
        return origin in self._origins.get(folded, ())

    def forget(self, folded: str) -> None:
        """Forget a serial number: it was removed, or its password changed."""
        self._origins.pop(folded, None)


def origin_of(address: str) -> str:
    """Return the key under which an address is counted: IPv6 by its /64, since one host has a whole one."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
