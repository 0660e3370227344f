"""How long the answer to a wrong password takes."""

from __future__ import annotations

import pytest

from headstay.netconf import login_delay
from headstay.netconf.login_delay import FORGOTTEN_AFTER, LONGEST, LoginDelay


def test_each_wrong_password_waits_twice_as_long_up_to_the_longest() -> None:
    delay = LoginDelay(0.5)
    waits = [delay.failed("192.0.2.1", now, now) for now in range(8)]
    assert waits == [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert waits[-1] == 0.5 * LONGEST


@pytest.mark.parametrize("took", [0, 0.25, 0.75, 1])
def test_when_the_answer_comes_does_not_tell_how_long_the_check_took(took: float) -> None:
    delay = LoginDelay(1)
    answered = [begun + took + delay.failed("192.0.2.1", begun, begun + took) for begun in (8.0, 16.0)]
    assert answered == [9, 18]


def test_a_check_that_took_longer_is_answered_at_once() -> None:
    assert LoginDelay(1).failed("192.0.2.1", 8, 12) == 0


def test_another_address_is_not_concerned() -> None:
    delay = LoginDelay(1)
    for now in range(5):
        delay.failed("192.0.2.1", now, now)
    assert delay.failed("192.0.2.2", 5, 5) == 1


def test_the_right_password_and_time_make_it_forgotten() -> None:
    delay = LoginDelay(1)
    assert [delay.failed("192.0.2.1", 0, 0), delay.failed("192.0.2.1", 0, 0)] == [1, 2]
    delay.succeeded("192.0.2.1")
    delay.succeeded("192.0.2.9")
    assert delay.failed("192.0.2.1", 1, 1) == 1
    assert delay.failed("192.0.2.1", FORGOTTEN_AFTER, FORGOTTEN_AFTER) == 2
    assert delay.failed("192.0.2.1", 2 * FORGOTTEN_AFTER, 2 * FORGOTTEN_AFTER) == 1


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_delay, "MOST_ORIGINS", 2)
    delay = LoginDelay(1)
    for origin in ("a", "b", "a", "c"):
        delay.failed(origin, 0, 0)
    assert delay.failed("a", 0, 0) == 4
    assert delay.failed("b", 0, 0) == 1  # it had been quiet for longest


def test_no_delay() -> None:
    delay = LoginDelay(0)
    assert [delay.failed("a", 0, 0) for _ in range(40)] == [0] * 40
