"""What follows from a change of settings. Pure: old and new go in, a verdict comes out.

Warm or cold is decided here, and only here.
"""

from __future__ import annotations

from headstay.engine.reasons import DownReason
from headstay.engine.settings import Role, Server, Settings, Source

Place = tuple[str, int]
"""What makes two entries the same server: the name without regard to case, and the port that is dialled."""


def place_of(server: Server) -> Place:
    """Return what a server is compared by; its role, its order and where its name comes from are not part of it."""
    return server.domain.lower(), server.port


def wants_connection(settings: Settings) -> bool:
    """Return whether there is anything to dial."""
    return settings.enabled and bool(settings.servers) and not settings.unreadable


def reasons_to_dial_anew(old: Settings, new: Settings) -> bool:
    """Return whether a device that waits has reason to hope, and so dials at once."""
    return (
        [place_of(server) for server in old.servers] != [place_of(server) for server in new.servers]
        or old.password != new.password
        or _dials_differently(old, new)
    )


def disturbance(old: Settings, new: Settings, in_use: Server) -> DownReason | None:
    """Return why the connection to `in_use`, or the attempt at it, must not go on; None if it may."""
    learned = _learned(old, new)
    if not new.enabled:
        return DownReason.DISABLED
    if place_of(in_use) not in {place_of(server) for server in new.servers}:
        return DownReason.DHCP_CHANGED if learned else DownReason.CONFIGURATION_CHANGED
    if old.password != new.password:
        return DownReason.DHCP_CHANGED if _password_learned(old, new) else DownReason.CONFIGURATION_CHANGED
    if _dials_differently(old, new):
        return DownReason.CONFIGURATION_CHANGED
    return DownReason.DHCP_CHANGED if learned else None


def down_reason_without_server(old: Settings, new: Settings) -> DownReason:
    """Return why a connection ends when nothing is left to dial, or a secret to dial with is missing."""
    if not new.enabled:
        return DownReason.DISABLED
    return (
        DownReason.DHCP_CHANGED
        if _learned(old, new) or _password_learned(old, new)
        else DownReason.CONFIGURATION_CHANGED
    )


def _dials_differently(old: Settings, new: Settings) -> bool:
    return (old.tls, old.source_address, old.address_family) != (new.tls, new.source_address, new.address_family)


def _learned(old: Settings, new: Settings) -> bool:
    """Tell whether DHCP gave or took the primary's name.

    That ends a connection to a backup too: the name that DHCP gives is where the device belongs.
    """
    before, after = _primary(old), _primary(new)
    by_dhcp = any(server is not None and server.source is Source.DHCP for server in (before, after))
    return by_dhcp and (before and before.domain.lower()) != (after and after.domain.lower())


def _password_learned(old: Settings, new: Settings) -> bool:
    """Tell whether DHCP gave or took the password."""
    return old.password != new.password and Source.DHCP in (old.password_source, new.password_source)


def _primary(settings: Settings) -> Server | None:
    return next((server for server in settings.servers if server.role is Role.PRIMARY), None)
