from __future__ import annotations

import random

import pytest

from headstay.engine.failover import Failover
from headstay.engine.instant import Instant
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import Server

A, B, C = Server("a"), Server("b"), Server("c")
BROKEN = FailureReason.SOCKET_FAILED


def at(seconds: float) -> Instant:
    return Instant(seconds, 1_000_000 + seconds)


class Latest(random.Random):
    """Jitter that always takes the longest wait."""

    def random(self) -> float:
        return 1.0


def policy(*servers: Server) -> Failover:
    return Failover(servers, Latest())


def test_a_round_goes_through_the_list_then_waits_then_begins_at_the_top() -> None:
    failover = policy(A, B, C)
    tried = []
    for _ in range(3):
        tried.append(failover.choose(at(0)))
        resume_at = failover.failed(tried[-1], BROKEN, None, at(0))
    assert tried == [A, B, C]
    assert 0 < resume_at <= 1
    assert failover.choose(at(resume_at)) == A


def test_after_a_backup_comes_the_rest_and_then_the_ones_before_it() -> None:
    failover = policy(A, B, C)
    failover.lost(B, 100, None, at(0))
    order = []
    for _ in range(3):
        order.append(failover.choose(at(0)))
        failover.failed(order[-1], BROKEN, None, at(0))
    assert order == [C, A, B]


def test_a_single_server_is_dialled_at_once_once() -> None:
    failover = policy(A)
    assert failover.lost(A, 100, None, at(50)) == 50
    failover.choose(at(50))
    assert failover.failed(A, BROKEN, None, at(50)) > 50


def test_backoff_is_forgotten_only_after_a_stable_connection() -> None:
    failover = policy(A)
    for _ in range(20):
        failover.failed(A, BROKEN, None, at(0))
    failover.lost(A, 59, None, at(0))
    assert failover.lost(A, 59, None, at(0)) == 300
    failover.lost(A, 60, None, at(0))
    assert failover.failed(A, BROKEN, None, at(0)) == 1


def test_silence_leads_to_the_same_server_once_and_then_on() -> None:
    failover = policy(A, B)
    assert failover.fell_silent(A, 600, at(9)) == 9
    assert failover.choose(at(9)) == A
    assert failover.failed(A, BROKEN, None, at(9)) == 9
    assert failover.choose(at(9)) == B


def test_a_slot_binds_for_its_server_only() -> None:
    failover = policy(A, B)
    assert failover.failed(A, FailureReason.SERVER_BUSY, 100, at(0)) == 0
    assert failover.choose(at(0)) == B
    resume_at = failover.failed(B, BROKEN, None, at(0))
    assert resume_at <= 1
    assert failover.choose(at(resume_at)) == B


def test_when_all_servers_gave_slots_the_first_of_them_is_used() -> None:
    failover = policy(A, B)
    failover.failed(A, FailureReason.SERVER_BUSY, 100, at(0))
    resume_at = failover.failed(B, FailureReason.SERVER_BUSY, 50, at(0))
    assert resume_at == pytest.approx(55)
    assert failover.choose(at(resume_at)) == B


def test_a_slot_is_used_even_when_the_backoff_is_longer() -> None:
    failover = policy(A, B)
    for _ in range(20):
        failover.failed(B, BROKEN, None, at(0))
        failover.failed(A, BROKEN, None, at(0))
    failover.failed(A, FailureReason.SERVER_BUSY, 3, at(0))
    resume_at = failover.failed(B, BROKEN, None, at(0))
    assert resume_at == pytest.approx(3.3)
    assert failover.choose(at(resume_at)) == A


def test_a_server_that_is_busy_again_and_again_is_left_alone_for_longer() -> None:
    failover = policy(A)
    now, waits = 0.0, []
    for _ in range(12):
        resume_at = failover.failed(A, FailureReason.SERVER_BUSY, 0.0, at(now))
        waits.append(resume_at - now)
        now = resume_at
    assert waits == pytest.approx([0.11, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300])
    assert failover.failed(A, FailureReason.SERVER_BUSY, 600, at(now)) - now == pytest.approx(660)


def test_other_servers_do_not_pay_for_one_that_is_busy() -> None:
    failover = policy(A, B)
    for _ in range(5):
        failover.failed(A, FailureReason.SERVER_BUSY, 0.0, at(0))
    failover.failed(B, FailureReason.SERVER_BUSY, 2, at(0))
    a, b = failover.statuses(at(0), None)
    assert b.next_attempt == pytest.approx(1_000_002.2)
    assert a.next_attempt == pytest.approx(1_000_008)


@pytest.mark.parametrize("stood_for", [59.9, 60.0])
def test_only_a_stable_connection_makes_up_for_busy_answers(stood_for) -> None:
    failover = policy(A)
    for _ in range(5):
        failover.failed(A, FailureReason.SERVER_BUSY, 0.0, at(0))
    failover.established(A)
    resume_at = failover.lost(A, stood_for, 0.0, at(100))
    assert resume_at - 100 == pytest.approx(0.11 if stood_for == 60.0 else 16)


def test_restart_forgets_slots_and_backoff() -> None:
    failover = policy(A, B)
    failover.failed(A, FailureReason.SERVER_BUSY, 3000, at(0))
    failover.restart()
    assert failover.choose(at(0)) == A


def test_what_is_known_of_servers_that_stay_is_kept() -> None:
    failover = policy(A, B)
    failover.choose(at(5))
    failover.failed(A, BROKEN, 100, at(5))
    failover.configure([B, Server("A")])
    b, a = failover.statuses(at(6), None)
    assert (a.order, a.last_attempt, a.last_result, a.established) == (2, 1_000_005, BROKEN, False)
    assert 1_000_105 <= a.next_attempt <= 1_000_115
    assert (b.order, b.last_attempt, b.next_attempt) == (1, None, None)


def test_statuses_tell_which_server_is_next_and_when() -> None:
    failover = policy(A, B)
    failover.dialled(A, "192.0.2.1")
    failover.established(A)
    resume_at = failover.lost(A, 100, None, at(10))
    a, b = failover.statuses(at(10), resume_at)
    assert (a.address, a.established, a.last_result, a.next_attempt) == ("192.0.2.1", True, None, None)
    assert b.next_attempt == 1_000_010


def test_hope_ends_a_backoff_but_not_sooner_than_some_seconds_after_the_last_attempt() -> None:
    failover = policy(A)
    for _ in range(12):
        failover.choose(at(100))
        resume_at = failover.failed(A, BROKEN, None, at(100))
    assert resume_at == 400
    assert failover.hope(resume_at, at(101)) == 105
    assert failover.hope(resume_at, at(200)) == 200


def test_hope_resets_the_backoff() -> None:
    failover = policy(A)
    for _ in range(12):
        failover.failed(A, BROKEN, None, at(100))
    failover.hope(400, at(200))
    assert [failover.failed(A, BROKEN, None, at(200)) for _ in range(2)] == [201, 202]


def test_hope_that_comes_every_second_does_not_make_the_device_dial_every_second() -> None:
    failover = policy(A)
    failover.hope(None, at(100))
    for _ in range(12):
        failover.failed(A, BROKEN, None, at(100))
    failover.hope(400, at(159))
    assert failover.failed(A, BROKEN, None, at(159)) == 159 + 8
    failover.hope(400, at(160))
    assert failover.failed(A, BROKEN, None, at(160)) == 160 + 1


def test_hope_does_not_overrule_what_the_cloud_asked_for() -> None:
    failover = policy(A)
    failover.choose(at(0))
    resume_at = failover.failed(A, FailureReason.SERVER_BUSY, 1000, at(0))
    assert failover.hope(resume_at, at(500)) == resume_at
    failover.restart()
    failover.choose(at(600))
    resume_at = failover.sent_away(None, at(601))
    assert failover.hope(resume_at, at(602)) == resume_at


def test_hope_leads_to_the_first_server_that_may_be_dialled() -> None:
    failover = policy(A, B)
    failover.choose(at(0))
    failover.failed(A, FailureReason.SERVER_BUSY, 1000, at(0))
    for _ in range(12):
        failover.choose(at(0))
        resume_at = failover.failed(B, BROKEN, None, at(0))
    soon = failover.hope(resume_at, at(20))
    assert soon == 20
    assert failover.choose(at(soon)) == B
