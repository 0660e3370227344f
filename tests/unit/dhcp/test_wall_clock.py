"""Moments that were written down before the wall clock was set."""

from __future__ import annotations

import pytest

from headstay.dhcp.wall_clock import WallClock, read_boot_id


@pytest.mark.parametrize(("boot_id", "seconds"), [("this", 990.0), ("another", 0.0)])
def test_by_how_much_a_clock_was_set(boot_id: str, seconds: float) -> None:
    assert WallClock("this", 1000.0).set_since(WallClock(boot_id, 10.0)) == seconds


def test_a_boot_keeps_its_id() -> None:
    assert read_boot_id() == read_boot_id() != ""
