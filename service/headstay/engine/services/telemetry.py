"""Telemetry: brings the device's reports to the cloud's sink, each once, in order.

Core. Owns the window and the wait for acknowledgements; the buffer itself outlives the subconnection and is `reports`'.
"""

from __future__ import annotations

from headstay.engine.instant import Instant
from headstay.engine.subconnection import (
    Break,
    Elapsed,
    Lost,
    Received,
    ServiceContext,
    ServiceEffect,
    ServiceInput,
)
from headstay.errors import WireError
from headstay.wire.messages import TELEMETRY_TO_DEVICE, ReportAck

NAME = "telemetry"
WINDOW = 16
"""Reports that may be unacknowledged; it bounds what one loss sends twice."""
ACKNOWLEDGE_WITHIN = 30.0
"""Seconds of silence after which the last report failure says not-acknowledged. The subconnection stays: a slow sink
is no reason to send everything again."""


class Telemetry:
    """The core of one telemetry subconnection."""

    def __init__(self, context: ServiceContext) -> None:
        self.unknown_messages = 0
        self._reports = context.reports
        self._answer_due: float | None = None

    @property
    def queued(self) -> int:
        """How many reports are in the buffer: all that the cloud has not acknowledged."""
        return len(self._reports)

    @property
    def dropped(self) -> int:
        """How many reports the full buffer dropped since the daemon started, or since the counters were cleared."""
        return self._reports.account.dropped_after_buffer_limit

    @property
    def accepts(self) -> bool:
        """Always: an acknowledgement makes room, and takes none."""
        return True

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        """Take one input and return what shall be done."""
        match given:
            case Lost(sending):
                self._reports.connection_lost(now.wall, sending=sending)
                self._answer_due = None
            case Received(data):
                details = self._received(data, now)
                if details is not None:
                    return [Break(details)]
            case Elapsed() if self._answer_due is not None and now.monotonic >= self._answer_due:
                self._reports.not_acknowledged(now.wall)
                self._answer_due = now.monotonic + ACKNOWLEDGE_WITHIN
        return []

    def take(self, now: Instant) -> str | None:
        """Return the next report, unless as many as WINDOW are unacknowledged. It counts as sent."""
        for message in self._reports.take(min(WINDOW, self._reports.unacknowledged + 1)):
            if self._answer_due is None:
                self._answer_due = now.monotonic + ACKNOWLEDGE_WITHIN
            return message.decode()
        return None

    def deadline(self) -> float | None:
        """Return when an acknowledgement is overdue."""
        return self._answer_due

    def _received(self, data: str | bytes, now: Instant) -> str | None:
        """Take one message; returns what is wrong with it, if anything is."""
        if isinstance(data, bytes):
            return "protocol-error: a binary message"
        try:
            message = TELEMETRY_TO_DEVICE.decode(data)
        except WireError as error:
            return f"protocol-error: {error}"
        if not isinstance(message, ReportAck):
            self.unknown_messages += 1
            return None
        before = self._reports.unacknowledged
        if not self._reports.acknowledge(message.boot_id, message.sequence):
            return "protocol-error: an acknowledgement of a report that was never sent"
        if self._reports.unacknowledged < before:  # a sink that repeats itself acknowledges nothing
            self._answer_due = now.monotonic + ACKNOWLEDGE_WITHIN if self._reports.unacknowledged else None
        return None
