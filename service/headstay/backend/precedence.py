"""Which values are in force: the configured ones, or what DHCP gives. Pure; commits and leases both come through here.

A learned domain takes the primary's place, with the configured port; the backups follow, but for one of the same name.
A learned password outranks the configured one. Nothing else is DHCP's: it can never touch what a certificate is
verified against.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstay.dhcp.lease import Lease
from headstay.engine.settings import DEFAULT_PORT, Role, Server, Settings, Source

PASSWORD = "/hcm:cloud-management/server/password"  # noqa: S105 (a path)
"""The leaf that a learned password outranks, so that nobody misses what it holds."""


@dataclass(frozen=True, slots=True)
class DhcpUse:
    """Which lease counts, if any, and what the configuration adds to it."""

    enabled: bool = True
    interface: str = "vlan1"
    port: int = DEFAULT_PORT
    """The configured port of the primary."""


def in_force(configured: Settings, use: DhcpUse, lease: Lease | None) -> Settings:
    """Return the settings in force. `lease` is that of the interface in `use`."""
    if not use.enabled or lease is None:
        return configured
    settings = configured
    if lease.domain is not None:
        settings = replace(settings, servers=_led_by(lease.domain, use.port, configured.servers))
    if lease.password is not None:
        unreadable = tuple(path for path in settings.unreadable if path != PASSWORD)
        settings = replace(settings, password=lease.password, password_source=Source.DHCP, unreadable=unreadable)
    return settings


def _led_by(domain: str, port: int, servers: tuple[Server, ...]) -> tuple[Server, ...]:
    backups = (server for server in servers if server.role is Role.BACKUP and server.domain.lower() != domain.lower())
    return Server(domain.lower(), port, Role.PRIMARY, Source.DHCP), *backups
