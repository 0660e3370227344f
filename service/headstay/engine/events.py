"""What happened to the link. Each class is a notification of the model, its fields the notification's leafs.

`name` is the notification's name, as the log shows it. Holds no secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from headstay.engine.reasons import DownReason, FailureReason, State, SubconnectionState


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStateChange:
    """The cloud connection went from one state to another."""

    name: ClassVar[str] = "connection-state-change"
    old_state: State
    new_state: State
    server_domain: str | None = None
    server_address: str | None = None
    failure_reason: FailureReason | None = None
    """Why an attempt failed, where that is what happened."""
    down_reason: DownReason | None = None
    """Why an established connection ended, where that is what happened."""
    details: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSwitchover:
    """The device turned from one server to another: the first failed, or a switchback is configured."""

    name: ClassVar[str] = "server-switchover"
    old_server: str
    new_server: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticationFailure:
    """A server refused the device, or could not prove that it knows the password."""

    name: ClassVar[str] = "authentication-failure"
    server_domain: str
    failure_reason: FailureReason
    details: str | None = None
    """The cloud's reason: unknown-serial, bad-proof, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubconnectionStateChange:
    """A subconnection went from one state to another."""

    name: ClassVar[str] = "subconnection-state-change"
    service: str
    instance: str
    new_state: SubconnectionState
    details: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unbound:
    """The cloud unbound the device from the user who had registered it."""

    name: ClassVar[str] = "unbound"
    server_domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportBufferFull:
    """The report buffer reached its limit; reports are dropped until it drains."""

    name: ClassVar[str] = "report-buffer-full"
    buffer_full_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DhcpChange:
    """DHCP gave, changed or took away a server's name or a password. It comes from outside the engine."""

    name: ClassVar[str] = "dhcp-change"
    interface: str
    domain: str | None = None
    password_present: bool | None = None
    ignored: str | None = None
    """What was not used, and why."""


Event = (
    ConnectionStateChange
    | ServerSwitchover
    | AuthenticationFailure
    | SubconnectionStateChange
    | Unbound
    | ReportBufferFull
    | DhcpChange
)
