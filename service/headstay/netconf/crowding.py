"""CORE: whether there is room for a further connection, by where it comes from. Knows no SSH and no session."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Protocol

from headstay.netconf.limits import Limits


class Guest(Protocol):
    """A connection as it counts here."""

    @property
    def user(self) -> str | None:
        """The authenticated user; None until then."""

    @property
    def host(self) -> str:
        """Where it comes from."""


def refusal(limits: Limits, guests: Collection[Guest], host: str) -> str | None:
    """Return why no further connection may come from this address now; None if there is room."""
    strangers = [guest for guest in guests if guest.user is None]
    everyone = limits.sessions + limits.unauthenticated
    if len(strangers) >= limits.unauthenticated or len(guests) >= everyone:
        return "too many connections"
    own = origin(host)
    if sum(1 for guest in strangers if origin(guest.host) == own) >= limits.unauthenticated_of_address:
        return "too many connections from one address that have not logged in"
    return None


def origin(host: str) -> str:
    """Return what counts as one address: of IPv6 the first 64 bits, since a single host has all the others."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network((int(address), 64), strict=False))
