from __future__ import annotations

import pytest

from headstay.cloud.telemetry import MOST_BOOTS, ReportStream
from headstay.errors import WireError
from headstay.wire.messages import Report, ReportAck


def report(sequence: int, boot_id: str = "b") -> Report:
    return Report(boot_id, sequence, "t", {})


def test_each_report_follows_the_one_before() -> None:
    stream = ReportStream()
    for sequence in (5, 6, 7):
        stream.check(report(sequence))
        assert stream.stored(report(sequence)) == ReportAck("b", sequence)
    with pytest.raises(WireError, match="missing"):
        stream.check(report(9))
    stream.check(report(8))


def test_repeated_report_is_acknowledged_with_what_is_stored() -> None:
    stream = ReportStream()
    for sequence in (1, 2, 1):
        stream.check(report(sequence))
        acknowledged = stream.stored(report(sequence))
    assert acknowledged == ReportAck("b", 2)


def test_boots_are_counted_apart() -> None:
    stream = ReportStream()
    for sent in (report(3, "old"), report(1, "new"), report(4, "old")):
        stream.check(sent)
        assert stream.stored(sent) == ReportAck(sent.boot_id, sent.sequence)
    with pytest.raises(WireError, match="missing"):
        stream.check(report(3, "new"))


def test_of_too_many_boots_those_that_sent_last_are_remembered() -> None:
    stream = ReportStream()
    for number in [*range(MOST_BOOTS), 0, MOST_BOOTS]:
        stream.stored(report(3, f"b{number}"))
    for number in (0, 2, MOST_BOOTS):
        with pytest.raises(WireError, match="missing"):
            stream.check(report(5, f"b{number}"))
    stream.check(report(5, "b1"))
    assert len(stream._stored) == MOST_BOOTS
