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


def test_boots_are_counted_apart_and_bounded() -> None:
    stream = ReportStream()
    for number in range(MOST_BOOTS):
        stream.check(report(3, f"b{number}"))
        stream.stored(report(3, f"b{number}"))
    with pytest.raises(WireError, match="too many boots"):
        stream.check(report(1, "one more"))
    stream.check(report(4, "b0"))
