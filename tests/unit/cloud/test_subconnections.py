from __future__ import annotations

import pytest

from headstay.cloud.subconnections import LONGEST_DELAY, Offered, Offers


def offers() -> Offers:
    made = Offers(["telemetry"], life=30.0)
    made.want(["telemetry", "novelty"], 0.0)
    assert made.due(0.0) == [Offered("telemetry", "telemetry-1")]
    return made


def test_offered_at_once_and_then_left_alone() -> None:
    made = offers()
    assert made.due(0.0) == []
    assert made.opened("telemetry-1", 1.0)
    assert made.deadline() is None
    assert made.due(1_000_000.0) == []


def test_nothing_to_offer() -> None:
    made = Offers([], life=30.0)
    made.want(["telemetry"], 0.0)
    assert (made.due(0.0), made.deadline()) == ([], None)


def test_nothing_is_wanted() -> None:
    made = Offers(["telemetry"], life=30.0)
    assert (made.due(0.0), made.deadline()) == ([], None)
    made.want([], 0.0)
    assert (made.due(0.0), made.deadline()) == ([], None)


def test_lapsed_offer_is_made_again() -> None:
    made = offers()
    assert made.deadline() == 30.0
    assert made.due(30.0) == []
    assert made.deadline() == 31.0
    assert not made.opened("telemetry-1", 30.5)
    assert made.due(31.0) == [Offered("telemetry", "telemetry-2")]


def test_delay_doubles_up_to_a_bound_and_ends_with_a_steady_one() -> None:
    made, now, delays = offers(), 0.0, []
    for number in range(1, 12):
        made.opened(f"telemetry-{number}", now)
        made.ended(f"telemetry-{number}", "lost", now)
        due = made.deadline()
        assert due is not None
        delays.append(due - now)
        now = due
        made.due(now)
    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-1] == LONGEST_DELAY
    made.opened("telemetry-12", now)
    made.ended("telemetry-12", "lost", now + 60.0)
    assert made.deadline() == now + 61.0


def test_unwanted_service_is_not_offered_again() -> None:
    made = offers()
    made.ended("telemetry-1", "disabled", 0.0)
    assert (made.deadline(), made.due(1_000_000.0)) == (None, [])


@pytest.mark.parametrize("reason", ["disabled", "unsupported"])
def test_unwanted_service_that_is_named_again_is_offered_at_once_and_anew(reason: str) -> None:
    made = offers()
    made.ended("telemetry-1", "lost", 0.0)
    made.due(1.0)
    made.ended("telemetry-2", reason, 1.0)
    made.want([], 2.0)
    assert (made.deadline(), made.due(3.0)) == (None, [])
    made.want(["telemetry"], 4.0)
    assert made.due(4.0) == [Offered("telemetry", "telemetry-3")]
    assert not made.opened("telemetry-2", 4.0)
    assert made.opened("telemetry-3", 4.0)
    made.ended("telemetry-3", "lost", 5.0)
    assert made.deadline() == 6.0


def test_pending_offer_of_what_is_no_longer_wanted_is_forgotten() -> None:
    made = offers()
    made.want([], 1.0)
    assert (made.deadline(), made.due(1_000.0)) == (None, [])
    assert not made.opened("telemetry-1", 2.0)


def test_retry_of_what_is_no_longer_wanted_is_forgotten() -> None:
    made = offers()
    made.ended("telemetry-1", "lost", 0.0)
    made.want([], 0.5)
    assert (made.deadline(), made.due(1_000.0)) == (None, [])


def test_list_that_still_names_a_service_disturbs_nothing() -> None:
    made = offers()
    made.want(["telemetry"], 1.0)
    assert (made.deadline(), made.due(1.0)) == (30.0, [])
    made.ended("telemetry-1", "lost", 1.0)
    made.want(["telemetry"], 1.0)
    assert (made.deadline(), made.due(1.0)) == (2.0, [])
    made.due(2.0)
    assert made.opened("telemetry-2", 2.0)
    made.want(["telemetry"], 3.0)
    assert (made.deadline(), made.due(1_000.0)) == (None, [])


def test_open_one_that_is_no_longer_wanted_is_left_to_the_device() -> None:
    made = offers()
    made.opened("telemetry-1", 0.0)
    made.want([], 1.0)
    made.want(["telemetry"], 2.0)
    assert (made.deadline(), made.due(2.0)) == (None, [])
    made.want([], 3.0)
    made.ended("telemetry-1", "", 4.0)
    assert (made.deadline(), made.due(1_000.0)) == (None, [])


def test_end_of_an_old_or_unknown_instance_is_ignored() -> None:
    made = offers()
    made.ended("telemetry-9", "lost", 0.0)
    made.ended("telemetry-1", "lost", 0.0)
    made.ended("telemetry-1", "lost", 0.5)
    assert made.deadline() == 1.0
    assert not made.opened("", 0.5)
