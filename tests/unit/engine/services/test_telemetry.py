from __future__ import annotations

import pytest

from headstay.engine.instant import Instant
from headstay.engine.reasons import ReportFailure
from headstay.engine.reports import Reports
from headstay.engine.services.telemetry import ACKNOWLEDGE_WITHIN, WINDOW, Telemetry
from headstay.engine.subconnection import Break, Elapsed, Lost, Opened, Received, Send, ServiceContext, Woken
from headstay.wire.messages import TELEMETRY_TO_CLOUD, ReportAck, encode


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_000_000 + seconds)


def telemetry(count: int) -> tuple[Telemetry, Reports]:
    reports = Reports("boot")
    for number in range(count):
        reports.add({"event": str(number)}, 0.0, hopeful=True, now=0.0)
    return Telemetry(ServiceContext(reports)), reports


def sequences(effects: list) -> list[int]:
    assert all(isinstance(effect, Send) and isinstance(effect.data, str) for effect in effects)
    return [TELEMETRY_TO_CLOUD.decode(effect.data).sequence for effect in effects]


def ack(sequence: int, boot: str = "boot") -> Received:
    return Received(encode(ReportAck(boot, sequence)).decode())


def test_it_sends_what_waits_within_a_window_and_goes_on_as_it_is_acknowledged() -> None:
    core, _ = telemetry(WINDOW + 3)
    assert sequences(core.handle(Opened(), at(0))) == list(range(1, WINDOW + 1))
    assert core.handle(Woken(), at(1)) == []
    assert sequences(core.handle(ack(2), at(1))) == [WINDOW + 1, WINDOW + 2]
    assert core.queued == WINDOW + 1


def test_a_new_report_goes_out_when_woken() -> None:
    core, reports = telemetry(0)
    assert core.handle(Opened(), at(0)) == []
    assert core.deadline() is None
    reports.add({"event": "x"}, 0.0, hopeful=True, now=0.0)
    assert sequences(core.handle(Woken(), at(1))) == [1]
    assert core.deadline() == 1 + ACKNOWLEDGE_WITHIN


def test_silence_is_noted_each_time_and_ends_with_an_acknowledgement() -> None:
    core, reports = telemetry(1)
    core.handle(Opened(), at(0))
    assert core.handle(Elapsed(), at(29)) == []
    assert reports.account.last_report_failure_reason is None
    assert core.handle(Elapsed(), at(30)) == []
    assert reports.account.last_report_failure_reason is ReportFailure.NOT_ACKNOWLEDGED
    assert reports.account.last_report_failure_at == 1_000_030
    assert core.deadline() == 60
    core.handle(ack(1), at(31))
    assert core.deadline() is None


def test_what_was_not_acknowledged_is_sent_again_by_the_next_subconnection() -> None:
    core, reports = telemetry(2)
    core.handle(Opened(), at(0))
    core.handle(ack(1), at(1))
    assert core.handle(Lost(sending=True), at(2)) == []
    assert reports.account.last_report_failure_reason is ReportFailure.SEND_FAILED
    assert sequences(Telemetry(ServiceContext(reports)).handle(Opened(), at(3))) == [2]


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
    core.handle(Opened(), at(0))
    (effect,) = core.handle(ack(2), at(0))
    assert isinstance(effect, Break)
    assert len(reports) == 1
