from __future__ import annotations

import pytest

from headstay.rate_limit import RateLimit


def spent(limit: RateLimit, now: float) -> int:
    count = 0
    while count < 1000 and limit.admits(now):
        limit.spend(now)
        count += 1
    return count


@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (5, 1), (10, 1), (50, 5), (100, 10)])
def test_a_tenth_of_a_second_may_go_at_once_and_the_rest_at_the_rate(rate: int, burst: int) -> None:
    limit = RateLimit(rate)
    assert spent(limit, 0.0) == burst
    assert limit.deadline() == pytest.approx(1 / rate)
    assert spent(limit, 0.5 / rate) == 0
    assert spent(limit, 1.001 / rate) == 1
    assert 1 <= spent(limit, 100.0) <= burst  # what was not used is not saved up


def test_the_burst_may_be_given() -> None:
    assert spent(RateLimit(1, burst=30), 0.0) == 30


def test_without_a_rate_there_is_no_limit() -> None:
    limit = RateLimit(None)
    assert spent(limit, 0.0) == 1000
    assert limit.deadline() is None


def test_a_limit_that_is_taken_away_or_given_counts_at_once() -> None:
    limit = RateLimit(1)
    assert spent(limit, 0.0) == 1
    limit.retune(None)
    assert spent(limit, 0.0) == 1000
    limit.retune(10)  # what was spent stays spent
    assert not limit.admits(0.9)
    assert spent(limit, 1.0) == 1
    assert limit.deadline() == pytest.approx(1.1)
