"""What happened to a lease, whichever DHCP client tells it. Frozen; the octets are as the server sent them."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

_INTERFACE = re.compile(r"[!-~]{1,64}")
INFINITE = 0xFFFF_FFFF
"""A lease time that never ends (RFC 2131 section 3.3)."""


class Client(enum.Enum):
    """The DHCP clients whose language is understood."""

    UDHCPC = "udhcpc"
    DHCLIENT = "dhclient"
    DHCPCD = "dhcpcd"
    NETWORK_MANAGER = "networkmanager"
    SYSTEMD_NETWORKD = "systemd-networkd"


class Happening(enum.Enum):
    """What happened to a lease. The values are those of the RPC `dhcp-update`."""

    BOUND = "bound"
    RENEWED = "renewed"
    EXPIRED = "expired"
    RELEASED = "released"
    REFUSED = "refused"

    @property
    def holds(self) -> bool:
        """Whether there is a lease afterwards. What its options do not carry then is no longer given."""
        return self in (Happening.BOUND, Happening.RENEWED)


@dataclass(frozen=True, slots=True)
class LeaseEvent:
    """One event of one interface's lease."""

    interface: str
    client: str
    """A `Client`'s name, or whatever `dhcp-update` was told."""
    happening: Happening
    domain: bytes | None = None
    """Option 253; None where the lease does not carry it."""
    password: bytes | None = field(default=None, repr=False)
    """Option 252."""
    lease_time: int | None = None
    """Seconds, where the client tells."""
    told_at: int | None = None
    """When the client told of it, in milliseconds since the kernel booted; None where nobody knows. Calls of a hook can
    overtake each other: of two events of one client on one interface that say when, the later one counts."""


def is_interface(name: str) -> bool:
    """Tell whether this can be an interface's name, as the model has it."""
    return _INTERFACE.fullmatch(name) is not None


def lease_time(text: str | None) -> int | None:
    """Return a lease time in seconds; None where there is none or it is no number of 32 bits."""
    if text is None or re.fullmatch(r"[0-9]{1,10}", text) is None or int(text) > INFINITE:
        return None
    return int(text)
