from __future__ import annotations

from headstay.engine.keepalive import Keepalive


def test_the_first_deadlines_count_from_the_handshake() -> None:
    keepalive = Keepalive(180, 60, 1000)
    assert (keepalive.keepalive_at, keepalive.ping_at, keepalive.gives_up_at) == (1180, 1060, 1540)
    assert keepalive.deadline() == 1060


def test_ids_are_new_each_time() -> None:
    keepalive = Keepalive(10, 10, 0)
    assert [keepalive.sent(t) for t in (10, 20, 30)] == [1, 2, 3]


def test_an_answer_gives_three_more_intervals_and_a_late_one_does_too() -> None:
    keepalive = Keepalive(10, 100, 0)
    keepalive.sent(10)
    keepalive.sent(20)
    assert keepalive.answered(1, 25)
    assert keepalive.gives_up_at == 55


def test_an_answer_to_what_was_never_asked_is_none() -> None:
    keepalive = Keepalive(10, 100, 0)
    keepalive.sent(10)
    for number in (0, 2, -1, 10**9):
        assert not keepalive.answered(number, 25)
    assert keepalive.gives_up_at == 30


def test_retuning_counts_from_what_was_last_sent() -> None:
    keepalive = Keepalive(600, 600, 0)
    keepalive.pinged(50)
    keepalive.retune(30, 40, 100)
    assert (keepalive.keepalive_at, keepalive.ping_at) == (30, 90)
    assert keepalive.gives_up_at == 190


def test_retuning_the_ping_alone_does_not_stretch_patience() -> None:
    keepalive = Keepalive(10, 10, 0)
    keepalive.retune(10, 60, 25)
    assert keepalive.gives_up_at == 30
