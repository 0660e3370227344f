from __future__ import annotations

import pytest

from headstay.engine import backoff


def test_full_jitter_is_anything_from_nothing_to_a_doubling_ceiling() -> None:
    assert [backoff.delay(n, 1.0) for n in range(11)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert backoff.delay(5, 0.0) == 0
    assert backoff.delay(3, 0.5) == 4


def test_a_very_long_outage_does_not_overflow() -> None:
    assert backoff.delay(10**9, 1.0) == 300


@pytest.mark.parametrize(
    ("asked", "least"), [(10.5, 10.5), (0, 0.1), (-5, 0.1), (10**9, 3600), (float("inf"), 3600), (3600, 3600)]
)
def test_a_slot_is_never_early_and_at_most_a_tenth_late(asked, least) -> None:
    assert backoff.slot(asked, 0.0) == least
    assert backoff.slot(asked, 1.0) == pytest.approx(least * 1.1)


def test_banishment_is_the_longest_backoff_or_more() -> None:
    assert backoff.banishment(None, 0.0) == 300
    assert backoff.banishment(10, 0.0) == 300
    assert backoff.banishment(1000, 0.0) == 1000
