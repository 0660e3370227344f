"""The report buffer: what waits to reach the cloud's sink, and an exact account of what never will.

Pure. Owns sequence numbers, the bound, re-sending and the counters. Knows the wire's form of a report, but no socket
and no clock.

A report that waits for a connection that is being made has not failed: the first one of every start, and the one that
tells of a lost connection, always wait so. What counts as `not-connected` is

- a report that is made while there is no connection and no attempt at one, under way or due;
- an attempt that fails while a report waits.

So a start that connects at once, or a connection that comes back at once, leaves no trace, and an outage does. While
the main connection stands a report waits for its subconnection, whose own state tells how that fares.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from headstay.engine.reasons import ReportFailure, ReportIncomplete
from headstay.engine.settings import QUEUE_OCTETS
from headstay.wire import MAXIMUM_BODY, messages

DEFAULT_LIMIT = 1000


@dataclass(slots=True)
class Account:
    """What became of reports. The fields bear the names of the model's leafs; times are seconds since the epoch."""

    last_report_failure_reason: ReportFailure | None = None
    last_report_failure_at: float | None = None
    last_report_incomplete_reason: ReportIncomplete | None = None
    last_report_incomplete_at: float | None = None
    dropped_after_buffer_limit: int = 0
    dropped_total: int = 0
    buffer_full_count: int = 0

    def clear_counters(self) -> None:
        """Count from zero again. Times and reasons stay."""
        self.dropped_after_buffer_limit = self.dropped_total = self.buffer_full_count = 0


class Reports:
    """The bounded buffer of one boot. A report stays in it until the cloud has acknowledged it."""

    def __init__(self, boot_id: str, limit: int = DEFAULT_LIMIT) -> None:
        self.account = Account()
        self._boot_id = boot_id
        self.limit = limit
        """Reports that may wait. A lower one drops nothing that waits already."""
        self._waiting: deque[bytes] = deque()
        self._octets = 0  # of all that is in _waiting
        self._first = 1  # the sequence number of _waiting[0], or of the next report where it is empty
        self._sent = 0  # how many of _waiting are sent on the connection that is up

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def unacknowledged(self) -> int:
        """How many reports are sent on the connection that is up and not acknowledged yet."""
        return self._sent

    def add(self, body: dict[str, object], time: float, *, hopeful: bool, now: float) -> bool:
        """Buffer one report of something that happened at `time`, or drop it and say so in the account.

        `hopeful` tells whether there is a connection, or an attempt at one; `now` is wall seconds. Returns whether this
        report has just filled the buffer. Raises TypeError if `body` cannot be written as JSON.
        """
        if not hopeful:
            self._failed(ReportFailure.NOT_CONNECTED, now)
        if self._full:
            self.account.dropped_after_buffer_limit += 1
            self._dropped(ReportIncomplete.BUFFER_FULL, now)
            return False
        happened = datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        octets = messages.encode(messages.Report(self._boot_id, self._first + len(self._waiting), happened, body))
        if len(octets) > MAXIMUM_BODY:
            self._dropped(ReportIncomplete.TOO_LARGE, now)
            return False
        self._waiting.append(octets)
        self._octets += len(octets)
        if not self._full:
            return False
        self.account.buffer_full_count += 1
        return True

    def take(self, window: int) -> list[bytes]:
        """Return the messages to send now so that at most `window` are unacknowledged; they count as sent."""
        until = max(self._sent, min(window, len(self._waiting)))
        taken = list(islice(self._waiting, self._sent, until))
        self._sent = until
        return taken

    def acknowledge(self, boot_id: str, sequence: int) -> bool:
        """Forget every report up to `sequence`. Returns False if that one was never sent: the cloud is confused."""
        if boot_id != self._boot_id:
            return True  # of an earlier boot: nothing of it is left here
        if sequence >= self._first + self._sent:
            return False
        while self._first <= sequence:
            self._octets -= len(self._waiting.popleft())
            self._first += 1
            self._sent -= 1
        return True

    def attempt_failed(self, now: float) -> None:
        """An attempt to connect has failed: what waits could not be delivered."""
        if self._waiting:
            self._failed(ReportFailure.NOT_CONNECTED, now)

    def connection_lost(self, now: float, *, sending: bool = False) -> None:
        """The subconnection is gone: what it did not acknowledge is sent again on the next one.

        `sending` tells that it broke under a report that was being sent.
        """
        if sending:
            self._failed(ReportFailure.SEND_FAILED, now)
        if self._sent:
            self.account.last_report_incomplete_reason = ReportIncomplete.CONNECTION_LOST
            self.account.last_report_incomplete_at = now
        self._sent = 0

    def not_acknowledged(self, now: float) -> None:
        """Note that the cloud has been silent for too long."""
        self._failed(ReportFailure.NOT_ACKNOWLEDGED, now)

    @property
    def _full(self) -> bool:
        return len(self._waiting) >= self.limit or self._octets >= QUEUE_OCTETS

    def _failed(self, reason: ReportFailure, now: float) -> None:
        self.account.last_report_failure_reason = reason
        self.account.last_report_failure_at = now

    def _dropped(self, reason: ReportIncomplete, now: float) -> None:
        self.account.dropped_total += 1
        self.account.last_report_incomplete_reason = reason
        self.account.last_report_incomplete_at = now
