"""What is counted and stamped as it happens, and the `connection/` part of the status made from it.

Part of the machine's core: the machine writes to it, mostly from the one place where its state changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from headstay.engine.change import place_of
from headstay.engine.instant import Instant
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, ProcessState, State
from headstay.engine.reports import Account
from headstay.engine.settings import Server, Settings, Source
from headstay.engine.stages import STATE_OF
from headstay.engine.status import ConnectionStatus


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The connection was established when an earlier process of the daemon ended, and has not been since."""

    at: float | None = None
    """When that process ended, in seconds since the epoch; None if it could not say so any more."""


@dataclass(slots=True)
class Picture:
    """The link as it has come to be. The fields bear the names of the model's leafs."""

    device_state: DeviceState = DeviceState.IDLE
    process_state: ProcessState | None = None
    server: Server | None = None
    """In use, or last tried."""
    server_address: str | None = None
    connected_at: Instant | None = None
    failure_reason: FailureReason | None = None
    last_down_reason: DownReason | None = None
    last_down_details: str | None = None
    last_down_at: float | None = None
    attempts: int = 0
    established_count: int = 0
    unknown_messages: int = 0

    @property
    def state(self) -> State:
        """The connection as a whole."""
        return STATE_OF[self.device_state]

    def interrupted(self, interrupted: Interrupted) -> None:
        """Take over what is known of an earlier process."""
        self.last_down_reason = DownReason.PROCESS_RESTARTED
        self.last_down_at = interrupted.at

    def came_up(self, now: Instant) -> None:
        """The connection is established."""
        self.connected_at = now
        self.established_count += 1
        self.failure_reason = None

    def went_down(self, reason: DownReason | None, details: str | None, now: Instant) -> None:
        """The established connection is no more."""
        self.connected_at = None
        self.last_down_reason = reason
        self.last_down_details = details
        self.last_down_at = now.wall

    def clear_counters(self) -> None:
        """Count from zero again. Times and reasons stay."""
        self.attempts = self.established_count = self.unknown_messages = 0

    def status(self, settings: Settings, account: Account, now: Instant) -> ConnectionStatus:
        """Return `connection/` at this instant."""
        status = ConnectionStatus(
            state=self.state,
            device_state=self.device_state,
            process_state=self.process_state,
            server_address=self.server_address,
            domain_source=settings.servers[0].source if settings.servers else Source.NONE,
            password_source=settings.password_source,
            failure_reason=self.failure_reason,
            last_down_reason=self.last_down_reason,
            last_down_details=settings.obstacle or self.last_down_details,
            last_down_at=self.last_down_at,
            last_report_failure_reason=account.last_report_failure_reason,
            last_report_failure_at=account.last_report_failure_at,
            last_report_incomplete_reason=account.last_report_incomplete_reason,
            last_report_incomplete_at=account.last_report_incomplete_at,
            dropped_after_buffer_limit=account.dropped_after_buffer_limit,
            dropped_total=account.dropped_total,
            buffer_full_count=account.buffer_full_count,
            attempts=self.attempts,
            established_count=self.established_count,
            unknown_messages=self.unknown_messages,
        )
        server = self._shown(settings)
        if server is not None:
            status = replace(status, server_domain=server.domain, server_port=server.port, server_role=server.role)
        if self.connected_at is not None:
            duration = int(now.monotonic - self.connected_at.monotonic)
            status = replace(status, connected_at=self.connected_at.wall, duration=duration)
        return status

    def _shown(self, settings: Settings) -> Server | None:
        """The server's entry as it stands in the list now; its role may have changed since it was dialled."""
        tried = None if self.server is None else place_of(self.server)
        entry = next((server for server in settings.servers if place_of(server) == tried), None)
        return entry or (settings.servers[0] if settings.servers else None)
