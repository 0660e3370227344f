"""What the engine is told to do. A batch of actions is applied as one: the machine first takes over every value, then
works out once what follows from the difference. Applying all of `actions_between(a, b)` to settings `a` gives `b`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from headstay.engine.settings import AddressFamily, Server, Service, Settings, Source, Tls


@dataclass(frozen=True, slots=True)
class SetEnabled:
    """Keep the link up, or take it down."""

    enabled: bool

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, enabled=self.enabled)


@dataclass(frozen=True, slots=True)
class SetServers:
    """Replace the list of servers. Only a change of the one in use disturbs the connection."""

    servers: tuple[Server, ...]

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, servers=self.servers)


@dataclass(frozen=True, slots=True)
class SetPassword:
    """Replace the password. A different one reconnects."""

    password: str | None = field(repr=False)
    source: Source

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, password=self.password, password_source=self.source)


@dataclass(frozen=True, slots=True)
class SetIntervals:
    """Re-tune keepalive and ping. Never disturbs the connection."""

    keepalive_interval: float
    ping_interval: float

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, keepalive_interval=self.keepalive_interval, ping_interval=self.ping_interval)


@dataclass(frozen=True, slots=True)
class SetSwitchback:
    """Replace the hold-down time for going back to an earlier server; None: never. Never disturbs the connection."""

    hold_down: float | None

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, hold_down=self.hold_down)


@dataclass(frozen=True, slots=True)
class SetSource:
    """Replace the local address and the address family. Reconnects."""

    source_address: str | None
    address_family: AddressFamily

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, source_address=self.source_address, address_family=self.address_family)


@dataclass(frozen=True, slots=True)
class SetTls:
    """Replace trust anchors, client certificate and key. Reconnects."""

    tls: Tls

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, tls=self.tls)


@dataclass(frozen=True, slots=True)
class SetServices:
    """Replace the list of services. Opens, closes and re-tunes subconnections; never disturbs the main connection."""

    services: tuple[Service, ...]

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, services=self.services)


@dataclass(frozen=True, slots=True)
class SetUnreadable:
    """Say which secrets cannot be decrypted. While there is one the link stays down."""

    secrets: tuple[str, ...]

    def applied_to(self, settings: Settings) -> Settings:
        """Return the settings with this action's values."""
        return replace(settings, unreadable=self.secrets)


Action = (
    SetEnabled
    | SetServers
    | SetPassword
    | SetIntervals
    | SetSwitchback
    | SetSource
    | SetTls
    | SetServices
    | SetUnreadable
)


def actions_between(old: Settings, new: Settings) -> tuple[Action, ...]:
    """Return the actions that turn `old` into `new`: one for each group of values that differs."""
    if old == new:
        return ()
    actions: tuple[Action, ...] = (
        SetEnabled(new.enabled),
        SetServers(new.servers),
        SetPassword(new.password, new.password_source),
        SetIntervals(new.keepalive_interval, new.ping_interval),
        SetSwitchback(new.hold_down),
        SetSource(new.source_address, new.address_family),
        SetTls(new.tls),
        SetServices(new.services),
        SetUnreadable(new.unreadable),
    )
    return tuple(action for action in actions if action.applied_to(old) != old)
