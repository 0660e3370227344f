"""What a channel says of its subconnection without a socket; with one, `test_runner` tells."""

from __future__ import annotations

from headstay.engine.channel import Channel, Traffic
from headstay.engine.effects import OpenSubconnection
from headstay.engine.instant import Instant
from headstay.engine.reasons import SubconnectionState
from headstay.engine.status import SubconnectionStatus
from headstay.engine.subconnection import ServiceEffect, ServiceInput

ESTABLISHED = SubconnectionStatus(service="s", instance="1", state=SubconnectionState.ESTABLISHED, established_at=1.0)


class FakeCore:
    """A service that counts what it dropped for as long as it lives."""

    unknown_messages = 0
    queued = 3
    dropped = 5

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        return []

    def deadline(self) -> float | None:
        return None


def test_clearing_counters() -> None:
    core = FakeCore()
    channel = Channel(OpenSubconnection(1, "1", "s", "wss://x/"), core, lambda: Instant(0.0, 0.0))
    channel.traffic = Traffic(1, 2, 3, 4)
    shown = channel.measured(ESTABLISHED)
    assert (shown.in_messages, shown.out_messages, shown.in_octets, shown.out_octets) == (1, 2, 3, 4)
    assert (shown.queued, shown.dropped) == (3, 5)
    channel.clear_counters()
    shown = channel.measured(ESTABLISHED)
    assert (shown.in_messages, shown.out_messages, shown.in_octets, shown.out_octets) == (0, 0, 0, 0)
    assert (shown.queued, shown.dropped, shown.established_at) == (3, 0, 1.0)
    core.dropped = 6
    assert channel.measured(ESTABLISHED).dropped == 1
