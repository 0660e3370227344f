"""The law of the token bucket: never more than rate * t + burst, and never starved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headstay.rate_limit import RateLimit

RATES = st.one_of(st.integers(1, 20), st.integers(1, 2**32 - 1))
PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 2)), max_size=200)
EPSILON = 1e-6


def burst_of(rate: float) -> float:
    return max(1.0, rate / 10)


def spend(limit: RateLimit, now: float, most: int = 50) -> int:
    """Spend what is admitted now."""
    spent = 0
    while spent < most and limit.admits(now):
        limit.spend(now)
        spent += 1
    return spent


@given(RATES, PAUSES)
def test_no_time_sees_more_than_the_rate_and_one_burst(rate: int, pauses: list[float]) -> None:
    limit, now, history = RateLimit(rate), 1000.0, []
    for pause in pauses:
        now += pause
        history.append((now, spend(limit, now)))
    for first, (start, _) in enumerate(history):
        total = 0
        for at, spent in history[first:]:
            total += spent
            assert total <= rate * (at - start + EPSILON) + burst_of(rate) + EPSILON


@given(RATES, PAUSES)
def test_whoever_waits_for_the_deadline_is_never_starved(rate: int, pauses: list[float]) -> None:
    limit, now = RateLimit(rate), 1000.0
    for pause in pauses:
        now += pause
        spend(limit, now)
        deadline = limit.deadline()
        assert deadline is not None
        assert deadline <= now + 1 / rate + EPSILON
        assert limit.admits(max(now, deadline))


@given(st.one_of(st.none(), RATES), RATES, PAUSES)
def test_another_rate_holds_from_the_moment_it_is_configured(old: int | None, new: int, pauses: list[float]) -> None:
    limit, now = RateLimit(old), 1000.0
    for pause in pauses:
        now += pause
        spend(limit, now)
    limit.retune(new)
    total, start = 0, now
    for pause in pauses:
        now += pause
        total += spend(limit, now)
        assert total <= new * (now - start + EPSILON) + burst_of(new) + EPSILON
    deadline = limit.deadline()
    assert deadline is not None
    assert deadline <= now + 1 + 1 / new + EPSILON
