from __future__ import annotations

from collections.abc import Sequence

import pytest

from headstay.engine import reports as module
from headstay.engine.reasons import ReportFailure, ReportIncomplete
from headstay.engine.reports import Account, Reports, WaitingReport
from headstay.wire import messages


def add(reports: Reports, number: int, *, hopeful: bool = True, now: float = 10.0) -> bool:
    return reports.add({"event": f"e{number}"}, 1_700_000_000.25, hopeful=hopeful, now=now)


class Store:
    """Keeps reports as a disk would that is never late."""

    def __init__(self, *numbers: tuple[str, int]) -> None:
        self.kept = [
            WaitingReport(boot_id, sequence, messages.encode(messages.Report(boot_id, sequence, "t", {})))
            for boot_id, sequence in numbers
        ]

    def earlier(self) -> Sequence[WaitingReport]:
        return tuple(self.kept)

    def append(self, report: WaitingReport) -> None:
        self.kept.append(report)

    def forget(self, reports: Sequence[WaitingReport]) -> None:
        for report in reports:
            self.kept.remove(report)

    @property
    def numbers(self) -> list[tuple[str, int]]:
        return [(report.boot_id, report.sequence) for report in self.kept]


def numbers(reports: Reports, window: int = 100) -> list[tuple[str, int]]:
    decoded = [messages.TELEMETRY_TO_CLOUD.decode(octets) for octets in reports.take(window)]
    return [(report.boot_id, report.sequence) for report in decoded]


def taken(reports: Reports, window: int = 100) -> list[int]:
    decoded = [messages.TELEMETRY_TO_CLOUD.decode(octets) for octets in reports.take(window)]
    return [report.sequence for report in decoded]


def test_a_report_has_the_form_of_the_wire() -> None:
    reports = Reports("boot")
    add(reports, 1)
    (octets,) = reports.take(1)
    report = messages.TELEMETRY_TO_CLOUD.decode(octets)
    assert report == messages.Report("boot", 1, "2023-11-14T22:13:20.250Z", {"event": "e1"})


def test_each_is_sent_once_within_the_window_and_again_only_after_a_loss() -> None:
    reports = Reports("boot")
    for number in range(5):
        add(reports, number)
    assert (taken(reports, 3), taken(reports, 3), reports.unacknowledged) == ([1, 2, 3], [], 3)
    assert reports.acknowledge("boot", 2)
    assert taken(reports, 3) == [4, 5]
    reports.connection_lost(20.0)
    assert taken(reports) == [3, 4, 5]
    assert reports.account.last_report_incomplete_reason is ReportIncomplete.CONNECTION_LOST
    assert reports.account.last_report_incomplete_at == 20.0


def test_a_loss_without_anything_unacknowledged_is_no_incomplete_report() -> None:
    reports = Reports("boot")
    add(reports, 1)
    taken(reports)
    reports.acknowledge("boot", 1)
    reports.connection_lost(20.0)
    assert reports.account.last_report_incomplete_reason is None


def test_dropped_reports_take_no_number_and_are_counted_exactly() -> None:
    reports = Reports("boot", limit=2)
    assert [add(reports, n, now=n) for n in (1, 2, 3, 4)] == [False, True, False, False]
    account = reports.account
    assert (account.dropped_after_buffer_limit, account.dropped_total, account.buffer_full_count) == (2, 2, 1)
    assert (account.last_report_incomplete_reason, account.last_report_incomplete_at) == (
        ReportIncomplete.BUFFER_FULL,
        4,
    )
    taken(reports)
    reports.acknowledge("boot", 1)
    assert add(reports, 5) is True
    assert (account.buffer_full_count, account.dropped_total) == (2, 2)
    assert taken(reports) == [3]


def test_a_report_over_the_limit_is_dropped_and_takes_no_number() -> None:
    reports = Reports("boot")
    reports.add({"event": "x" * 70_000}, 0.0, hopeful=True, now=5.0)
    add(reports, 1)
    account = reports.account
    assert (account.dropped_total, account.dropped_after_buffer_limit) == (1, 0)
    assert (account.last_report_incomplete_reason, account.last_report_incomplete_at) == (ReportIncomplete.TOO_LARGE, 5)
    assert taken(reports) == [1]


def test_exactly_the_limit_still_fits() -> None:
    reports = Reports("boot")
    reports.add({"event": ""}, 0.0, hopeful=True, now=0)
    (empty,) = reports.take(1)
    reports = Reports("boot")
    reports.add({"event": "x" * (65536 - len(empty))}, 0.0, hopeful=True, now=0)
    assert len(reports) == 1
    reports.add({"event": "x" * (65537 - len(empty))}, 0.0, hopeful=True, now=0)
    assert len(reports) == 1


def test_acknowledgements_are_cumulative_and_old_ones_mean_nothing() -> None:
    reports = Reports("boot")
    for number in range(3):
        add(reports, number)
    taken(reports)
    assert reports.acknowledge("boot", 3)
    assert reports.acknowledge("boot", 1)
    assert reports.acknowledge("another boot", 99)
    assert len(reports) == 0


@pytest.mark.parametrize("sequence", [3, 4, 10**12])
def test_an_acknowledgement_of_what_was_not_sent_is_refused(sequence) -> None:
    reports = Reports("boot")
    for number in range(4):
        add(reports, number)
    taken(reports, 2)
    assert not reports.acknowledge("boot", sequence)
    assert len(reports) == 4


def test_failures_carry_their_time() -> None:
    reports = Reports("boot")
    add(reports, 1, hopeful=False, now=7.0)
    account = reports.account
    assert (account.last_report_failure_reason, account.last_report_failure_at) == (ReportFailure.NOT_CONNECTED, 7.0)
    reports.not_acknowledged(8.0)
    assert (account.last_report_failure_reason, account.last_report_failure_at) == (ReportFailure.NOT_ACKNOWLEDGED, 8.0)
    reports.connection_lost(9.0, sending=True)
    assert (account.last_report_failure_reason, account.last_report_failure_at) == (ReportFailure.SEND_FAILED, 9.0)


def test_clearing_the_counters_keeps_times_reasons_and_reports() -> None:
    reports = Reports("boot", limit=1)
    add(reports, 1)
    add(reports, 2, now=7.0)
    account = reports.account
    assert (account.dropped_after_buffer_limit, account.dropped_total, account.buffer_full_count) == (1, 1, 1)
    account.clear_counters()
    assert account == Account(last_report_incomplete_reason=ReportIncomplete.BUFFER_FULL, last_report_incomplete_at=7.0)
    assert taken(reports, 2) == [1]


def test_a_failed_attempt_is_a_failure_of_what_waits_and_of_nothing_else() -> None:
    reports = Reports("boot")
    reports.attempt_failed(7.0)
    add(reports, 1)
    account = reports.account
    assert (account.last_report_failure_reason, account.last_report_failure_at) == (None, None)
    reports.attempt_failed(8.0)
    assert (account.last_report_failure_reason, account.last_report_failure_at) == (ReportFailure.NOT_CONNECTED, 8.0)
    taken(reports)
    reports.acknowledge("boot", 1)
    reports.attempt_failed(9.0)
    assert account.last_report_failure_at == 8.0


def test_what_is_no_json_is_refused_before_anything_changes() -> None:
    reports = Reports("boot")
    with pytest.raises(TypeError):
        reports.add({"event": object()}, 0.0, hopeful=True, now=0.0)
    assert len(reports) == 0


def test_what_outlived_a_restart_goes_first_under_its_own_boot() -> None:
    store = Store(("a", 3), ("a", 4), ("b", 1))
    reports = Reports("c", store=store)
    add(reports, 1)
    assert len(reports) == 4
    assert numbers(reports) == [("a", 3), ("a", 4), ("b", 1), ("c", 1)]
    assert store.numbers == [("a", 3), ("a", 4), ("b", 1), ("c", 1)]


def test_each_boot_is_acknowledged_for_itself() -> None:
    store = Store(("a", 3), ("a", 4), ("b", 1), ("b", 2))
    reports = Reports("c", store=store)
    add(reports, 1)
    assert numbers(reports, 3) == [("a", 3), ("a", 4), ("b", 1)]
    assert reports.acknowledge("b", 1)
    assert store.numbers == [("a", 3), ("a", 4), ("b", 2), ("c", 1)]
    assert reports.unacknowledged == 2
    assert numbers(reports, 3) == [("b", 2)]
    assert reports.acknowledge("a", 4)
    assert reports.acknowledge("a", 4)
    reports.connection_lost(20.0)
    assert numbers(reports) == [("b", 2), ("c", 1)]
    assert reports.acknowledge("b", 2)
    assert reports.acknowledge("c", 1)
    assert (len(reports), store.numbers) == (0, [])


@pytest.mark.parametrize("never_sent", [("a", 5), ("b", 1), ("b", 2), ("c", 1), ("c", 2)])
def test_an_acknowledgement_of_what_another_boot_has_not_sent_is_refused(never_sent) -> None:
    store = Store(("a", 3), ("a", 4), ("b", 1))
    reports = Reports("c", store=store)
    add(reports, 1)
    numbers(reports, 2)
    assert not reports.acknowledge(*never_sent)
    assert len(store.kept) == 4


def test_earlier_reports_count_towards_the_limit() -> None:
    reports = Reports("b", 2, Store(("a", 1), ("a", 2)))
    assert add(reports, 1) is False
    assert (reports.account.dropped_total, reports.account.buffer_full_count) == (1, 0)
    numbers(reports)
    reports.acknowledge("a", 1)
    assert add(reports, 2) is True
    assert numbers(reports) == [("b", 1)]


def test_a_dropped_report_never_reaches_the_store() -> None:
    store = Store()
    reports = Reports("boot", 1, store)
    reports.add({"event": "x" * 70_000}, 0.0, hopeful=True, now=5.0)
    add(reports, 1)
    add(reports, 2)
    assert store.numbers == [("boot", 1)]


def test_the_buffer_is_bounded_in_octets_too(monkeypatch) -> None:
    monkeypatch.setattr(module, "QUEUE_OCTETS", 1000)
    store = Store()
    reports = Reports("boot", store=store)
    large = {"event": "x" * 600}
    assert [reports.add(large, 0.0, hopeful=True, now=1.0) for _ in range(3)] == [False, True, False]
    account = reports.account
    assert (account.dropped_after_buffer_limit, account.dropped_total, account.buffer_full_count) == (1, 1, 1)
    taken(reports)
    reports.acknowledge("boot", 1)
    assert reports.add(large, 0.0, hopeful=True, now=1.0)
    after_a_restart = Reports("next", store=store)
    assert not add(after_a_restart, 1)
    assert after_a_restart.account.dropped_total == 1


def test_a_lower_limit_drops_nothing_that_waits_and_a_higher_one_counts_at_once() -> None:
    reports = Reports("boot", limit=3)
    add(reports, 1)
    add(reports, 2)
    reports.limit = 1
    assert not add(reports, 3)
    assert (len(reports), reports.account.dropped_after_buffer_limit, reports.account.buffer_full_count) == (2, 1, 0)
    assert taken(reports) == [1, 2]
    reports.limit = 3
    assert add(reports, 4)
    assert (len(reports), reports.account.buffer_full_count) == (3, 1)
