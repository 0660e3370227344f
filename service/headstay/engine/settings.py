"""What the link shall be: the values that the machine and its policies follow. Frozen; knows nothing of where they came
from.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

DEFAULT_PORT = 19443
QUEUE_OCTETS = 8 * 1024 * 1024
"""Octets that the queue of one service may hold, whatever its limit in messages: a queue that holds as many is full."""


class Role(enum.Enum):
    """Which place a server has in the list."""

    PRIMARY = "primary"
    BACKUP = "backup"


class Source(enum.Enum):
    """Where a value in force comes from."""

    CONFIGURED = "configured"
    DHCP = "dhcp"
    NONE = "none"


class AddressFamily(enum.Enum):
    """Which addresses of a name are tried."""

    ANY = "any"
    IPV4 = "ipv4"
    IPV6 = "ipv6"


@dataclass(frozen=True, slots=True)
class Server:
    """One server that the device may dial."""

    domain: str
    """A domain name (A-labels, lower case) or an IP address."""
    port: int = DEFAULT_PORT
    role: Role = Role.PRIMARY
    source: Source = Source.CONFIGURED


@dataclass(frozen=True, slots=True)
class Tls:
    """What the server's certificate is verified against, and what the device shows of itself. PEM texts."""

    trust_anchors: tuple[str, ...] = ()
    """Empty: the system's store. Nothing turns verification off."""
    client_certificate: str | None = None
    private_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Service:
    """One service."""

    name: str
    enabled: bool = True
    queue_limit: int = 1000
    """Messages that may wait to be sent."""
    rate_limit: int | None = None
    """Messages a second that may be sent; None: no limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole of what the link shall be. The defaults are the model's."""

    enabled: bool = True
    servers: tuple[Server, ...] = ()
    """In the order of priority; the first is the primary where there is one. Empty: there is nothing to dial."""
    password: str | None = field(default=None, repr=False)
    password_source: Source = Source.NONE
    keepalive_interval: float = 180
    """Seconds between keepalives; no answer for three of them ends the connection."""
    ping_interval: float = 60
    """Seconds between WebSocket pings."""
    source_address: str | None = None
    address_family: AddressFamily = AddressFamily.ANY
    hold_down: float | None = None
    """Seconds before the device tries to go back to an earlier server; None: it never does."""
    tls: Tls = field(default_factory=Tls)
    services: tuple[Service, ...] = ()
    """Configured services only; a known service without an entry is enabled."""
    unreadable: tuple[str, ...] = ()
    """The secrets that are configured but cannot be decrypted, by name. While there is one nothing is dialled: the
    device would say less of itself than it was told to, and could be let in all the same."""

    @property
    def obstacle(self) -> str | None:
        """What keeps the link down however much it is wanted, and what to do about it."""
        if not self.unreadable:
            return None
        secrets, them = ("secret", "it") if len(self.unreadable) == 1 else ("secrets", "them")
        return f"the {secrets} {' and '.join(self.unreadable)} cannot be decrypted; set {them} again"


def service_of(configured: tuple[Service, ...], name: str) -> Service:
    """Return what is configured for a service, or the defaults."""
    return next((service for service in configured if service.name == name), Service(name))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device says it is. Fixed for the life of the daemon."""

    serial: str
    model: str
    software: str
    boot_id: str
    """Made anew at each start of the daemon."""
