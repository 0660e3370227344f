"""CORE: the order of reports on one telemetry subconnection. Owns what may be acknowledged; stores nothing itself.

A device sends its reports in order, the oldest that was never acknowledged first. So the first report of a boot on a
subconnection sets where this boot begins: what came before was acknowledged here or by another server. From then on
each report must follow the one before it, or repeat an earlier one. Acknowledgements are cumulative and never reach
beyond what came on this subconnection and was stored.

Which reports came before, on whatever subconnection, the registry knows: it stores none twice.
"""

from __future__ import annotations

from headstay.errors import WireError
from headstay.wire.messages import Report, ReportAck

MOST_BOOTS = 1024
"""Boots of one device that are remembered, those that sent last; here and, across restarts, in the registry.

A device buffers 1000 reports, each of another boot at the worst, and sends them in order. So what it may still send
again is always among these. Whoever invents boot-ids fills no memory and no disk.
"""


class ReportStream:
    """One telemetry subconnection. For each report: check(), store it, then send what stored() returns."""

    def __init__(self) -> None:
        # boot-id -> the last sequence number that was stored; the boot that sent last stands last
        self._stored: dict[str, int] = {}

    def check(self, report: Report) -> None:
        """Raise WireError unless `report` may come now. Changes nothing."""
        last = self._stored.get(report.boot_id)
        if last is not None and report.sequence > last + 1:
            raise WireError("a report is missing before this one")

    def stored(self, report: Report) -> ReportAck:
        """Return the acknowledgement to send now that `report`, which check() let pass, is stored durably."""
        last = max(self._stored.pop(report.boot_id, 0), report.sequence)
        self._stored[report.boot_id] = last
        if len(self._stored) > MOST_BOOTS:
            del self._stored[next(iter(self._stored))]
        return ReportAck(report.boot_id, last)
