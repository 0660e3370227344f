"""What the link is: a frozen picture for whoever asks. Every field bears the name of the model's leaf.

Times are seconds since the epoch, UTC. Holds no secret: URLs stand without their query.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from headstay.engine.reasons import (
    DeviceState,
    DownReason,
    FailureReason,
    ProcessState,
    ReportFailure,
    ReportIncomplete,
    State,
    SubconnectionState,
)
from headstay.engine.settings import Role, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionStatus:
    """`cloud-management/connection`."""

    state: State = State.UNCONNECTED
    device_state: DeviceState = DeviceState.IDLE
    process_state: ProcessState | None = None
    server_domain: str | None = None
    server_address: str | None = None
    server_port: int | None = None
    server_role: Role | None = None
    domain_source: Source = Source.NONE
    password_source: Source = Source.NONE
    connected_at: float | None = None
    """When the connection that is up was established; None while none is."""
    duration: int | None = None
    """Whole seconds since then."""
    failure_reason: FailureReason | None = None
    """Why the last attempt failed; None once one succeeds."""
    last_down_reason: DownReason | None = None
    last_down_details: str | None = None
    last_down_at: float | None = None
    last_report_failure_reason: ReportFailure | None = None
    last_report_failure_at: float | None = None
    last_report_incomplete_reason: ReportIncomplete | None = None
    last_report_incomplete_at: float | None = None
    dropped_after_buffer_limit: int = 0
    dropped_total: int = 0
    buffer_full_count: int = 0
    attempts: int = 0
    established_count: int = 0
    unknown_messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """An entry of `cloud-management/server-status`."""

    domain: str
    order: int
    """1 for the server of the highest priority."""
    role: Role
    port: int
    address: str | None = None
    last_attempt: float | None = None
    last_result: FailureReason | None = None
    """Why the last attempt failed; see `established`."""
    established: bool = False
    """Whether the last attempt ended established."""
    next_attempt: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubconnectionStatus:
    """An entry of `cloud-management/subconnection`."""

    service: str
    instance: str
    state: SubconnectionState
    url: str | None = None
    """Without its query: the ticket in it is a secret."""
    established_at: float | None = None
    in_messages: int = 0
    out_messages: int = 0
    in_octets: int = 0
    out_octets: int = 0
    queued: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, at one instant. Few values, however many services are configured."""

    connection: ConnectionStatus
    servers: tuple[ServerStatus, ...] = ()
    subconnections: tuple[SubconnectionStatus, ...] = ()
    """Those that the cloud has offered."""
    unoffered: Callable[[], tuple[SubconnectionStatus, ...]] = field(default=tuple, compare=False)
    """Makes the entries of the configured services that there can be no subconnection of: as many as there are
    services, so it is best called in a thread. It may be called in any.
    """
