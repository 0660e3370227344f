from __future__ import annotations

import pytest

from headstay.engine.instant import Instant
from headstay.engine.reasons import ReportFailure
from headstay.engine.reports import Reports
from headstay.engine.services.telemetry import ACKNOWLEDGE_WITHIN, WINDOW, Telemetry
from headstay.engine.settings import Service
from headstay.engine.subconnection import (
    Break,
    Elapsed,
    Lost,
    Opened,
    Received,
    ServiceContext,
    ServiceInput,
    Tuned,
    Woken,
)
from headstay.wire.messages import TELEMETRY_TO_CLOUD, ReportAck, encode


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_000_000 + seconds)


def telemetry(count: int) -> tuple[Telemetry, Reports]:
    reports = Reports("boot")
    for number in range(count):
        reports.add({"event": str(number)}, 0.0, hopeful=True, now=0.0)
    return Telemetry(ServiceContext(reports)), reports


def sent(core: Telemetry, given: ServiceInput, now: Instant) -> list[int]:
    """Give one input; return the numbers of the reports that may go out then."""
    assert core.handle(given, now) == []
    return [TELEMETRY_TO_CLOUD.decode(data).sequence for data in iter(lambda: core.take(now), None)]


def ack(sequence: int, boot: str = "boot") -> Received:
    return Received(encode(ReportAck(boot, sequence)).decode())


def test_it_sends_what_waits_within_a_window_and_goes_on_as_it_is_acknowledged() -> None:
    core, _ = telemetry(WINDOW + 3)
    assert sent(core, Opened(), at(0)) == list(range(1, WINDOW + 1))
    assert sent(core, Woken(), at(1)) == []
    assert sent(core, ack(2), at(1)) == [WINDOW + 1, WINDOW + 2]
    assert core.queued == WINDOW + 1


def test_what_is_not_taken_waits_in_the_buffer() -> None:
    core, reports = telemetry(3)
    core.handle(Tuned(Service("telemetry")), at(0))
    core.handle(Opened(), at(0))
    assert core.deadline() is None
    assert (core.take(at(1)) is None, reports.unacknowledged, core.queued) == (False, 1, 3)
    assert core.deadline() == 1 + ACKNOWLEDGE_WITHIN


def test_only_what_the_full_buffer_dropped_counts_as_dropped() -> None:
    core, reports = telemetry(0)
    reports.limit = 1
    for size in (70_000, 1, 1):  # too large for the wire, buffered, one too many
        reports.add({"event": "x" * size}, 0.0, hopeful=True, now=0.0)
    assert (core.queued, core.dropped, reports.account.dropped_total) == (1, 1, 2)


def test_a_new_report_goes_out_when_woken() -> None:
    core, reports = telemetry(0)
    assert sent(core, Opened(), at(0)) == []
    assert core.deadline() is None
    reports.add({"event": "x"}, 0.0, hopeful=True, now=0.0)
    assert sent(core, Woken(), at(1)) == [1]
    assert core.deadline() == 1 + ACKNOWLEDGE_WITHIN


def test_silence_is_noted_each_time_and_ends_with_an_acknowledgement() -> None:
    core, reports = telemetry(1)
    sent(core, Opened(), at(0))
    assert core.handle(Elapsed(), at(29)) == []
    assert reports.account.last_report_failure_reason is None
    assert core.handle(Elapsed(), at(30)) == []
    assert reports.account.last_report_failure_reason is ReportFailure.NOT_ACKNOWLEDGED
    assert reports.account.last_report_failure_at == 1_000_030
    assert core.deadline() == 60
    core.handle(ack(1), at(31))
    assert core.deadline() is None


def test_a_sink_that_repeats_itself_is_as_good_as_silent() -> None:
    core, _ = telemetry(2)
    sent(core, Opened(), at(0))
    core.handle(ack(1), at(10))
    assert core.deadline() == 40
    core.handle(ack(1), at(20))
    core.handle(ack(7, "another-boot"), at(20))
    assert core.deadline() == 40
    core.handle(ack(2), at(25))
    assert core.deadline() is None


def test_what_was_not_acknowledged_is_sent_again_by_the_next_subconnection() -> None:
    core, reports = telemetry(2)
    sent(core, Opened(), at(0))
    core.handle(ack(1), at(1))
    assert core.handle(Lost(sending=True), at(2)) == []
    assert reports.account.last_report_failure_reason is ReportFailure.SEND_FAILED
    assert sent(Telemetry(ServiceContext(reports)), Opened(), at(3)) == [2]


def test_unknown_messages_are_counted_and_ignored() -> None:
    core, _ = telemetry(0)
    assert core.handle(Received('{"type": "novelty"}'), at(0)) == []
    assert core.unknown_messages == 1


@pytest.mark.parametrize("data", [b"\x00", "", "[]", "{}", '{"type": "report-ack"}', "x" * 70_000])
def test_what_breaks_the_wire_ends_the_subconnection(data) -> None:
    core, _ = telemetry(1)
    (effect,) = core.handle(Received(data), at(0))
    assert isinstance(effect, Break)
    assert effect.details.startswith("protocol-error")


def test_an_acknowledgement_of_what_was_not_sent_ends_it() -> None:
    core, reports = telemetry(1)
    sent(core, Opened(), at(0))
    (effect,) = core.handle(ack(2), at(0))
    assert isinstance(effect, Break)
    assert len(reports) == 1
