"""The report buffer: what waits to reach the cloud's sink, and an exact account of what never will.

Pure. Owns sequence numbers, the bound, re-sending and the counters. Knows the wire's form of a report, but no socket,
no clock and no disk: a `ReportStore` is told what comes and goes.

Reports of several boots may wait: those that outlived a restart keep their boot-id and their numbers, and go first.
Each boot is acknowledged for itself. The counters are of this process.

A report that waits for a connection that is being made has not failed: the first one of every start, and the one that
tells of a lost connection, always wait so. What counts as `not-connected` is

- a report that is made while there is no connection and no attempt at one, under way or due;
- an attempt that fails while a report waits.

So a start that connects at once, or a connection that comes back at once, leaves no trace, and an outage does. While
the main connection stands a report waits for its subconnection, whose own state tells how that fares.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Protocol

from headstay.engine.reasons import ReportFailure, ReportIncomplete
from headstay.engine.settings import QUEUE_OCTETS
from headstay.wire import MAXIMUM_BODY, messages

DEFAULT_LIMIT = 1000
"""Reports."""


@dataclass(frozen=True, slots=True)
class WaitingReport:
    """One report that the cloud has not acknowledged."""

    boot_id: str
    sequence: int
    octets: bytes
    """The message, as it is sent."""


class ReportStore(Protocol):
    """Where reports outlive the daemon. It holds what the buffer holds, if perhaps a little later.

    It takes note and returns at once: no method waits for a disk, and none raises. What it cannot keep is lost when
    the process ends, and no sooner.
    """

    def earlier(self) -> Sequence[WaitingReport]:
        """Return what earlier processes left, oldest first; of each boot, numbers without gaps."""

    def append(self, report: WaitingReport) -> None:
        """A report has entered the buffer, behind all others."""

    def forget(self, reports: Sequence[WaitingReport]) -> None:
        """These were acknowledged and have left the buffer."""


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
    """The bounded buffer. A report stays in it until the cloud has acknowledged it, across restarts if `store` can."""

    def __init__(self, boot_id: str, limit: int = DEFAULT_LIMIT, store: ReportStore | None = None) -> None:
        self.account = Account()
        self._boot_id = boot_id
        self.limit = limit
        """Reports that may wait. A lower one drops nothing that waits already."""
        self._store = store
        self._waiting: deque[WaitingReport] = deque(() if store is None else store.earlier())
        self._octets = sum(len(report.octets) for report in self._waiting)
        self._next = 1  # the sequence number of the next report of this boot
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
        octets = messages.encode(messages.Report(self._boot_id, self._next, happened, body))
        if len(octets) > MAXIMUM_BODY:
            self._dropped(ReportIncomplete.TOO_LARGE, now)
            return False
        self._append(WaitingReport(self._boot_id, self._next, octets))
        if not self._full:
            return False
        self.account.buffer_full_count += 1
        return True

    def take(self, window: int) -> list[bytes]:
        """Return the messages to send now so that at most `window` are unacknowledged; they count as sent."""
        until = max(self._sent, min(window, len(self._waiting)))
        taken = [report.octets for report in islice(self._waiting, self._sent, until)]
        self._sent = until
        return taken

    def acknowledge(self, boot_id: str, sequence: int) -> bool:
        """Forget every report of this boot up to `sequence`. Returns False if that one was never sent."""
        known = self._last_sent(boot_id)
        if known is None:
            return True  # of an earlier boot: nothing of it is left here
        if sequence > known:
            return False
        sent = [self._waiting.popleft() for _ in range(self._sent)]
        gone = [report for report in sent if report.boot_id == boot_id and report.sequence <= sequence]
        left = [report for report in sent if report.boot_id != boot_id or report.sequence > sequence]
        self._waiting.extendleft(reversed(left))
        self._sent = len(left)
        self._octets -= sum(len(report.octets) for report in gone)
        if gone and self._store is not None:
            self._store.forget(gone)
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

    def _append(self, report: WaitingReport) -> None:
        self._waiting.append(report)
        self._octets += len(report.octets)
        self._next = report.sequence + 1
        if self._store is not None:
            self._store.append(report)

    def _last_sent(self, boot_id: str) -> int | None:
        """Return the highest number of a boot that was sent, or acknowledged before; 0 where there is none yet.

        None for an earlier boot of which nothing waits.
        """
        of_boot = (report.sequence for report in islice(self._waiting, self._sent, None) if report.boot_id == boot_id)
        unsent = next(of_boot, None)
        if unsent is not None:
            return unsent - 1  # the numbers of a boot have no gaps
        if boot_id == self._boot_id:
            return self._next - 1
        sent = islice(self._waiting, self._sent)
        return max((report.sequence for report in sent if report.boot_id == boot_id), default=None)

    def _failed(self, reason: ReportFailure, now: float) -> None:
        self.account.last_report_failure_reason = reason
        self.account.last_report_failure_at = now

    def _dropped(self, reason: ReportIncomplete, now: float) -> None:
        self.account.dropped_total += 1
        self.account.last_report_incomplete_reason = reason
        self.account.last_report_incomplete_at = now
