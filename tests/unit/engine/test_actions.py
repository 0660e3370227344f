from __future__ import annotations

from dataclasses import replace

from headstay.engine.actions import SetIntervals, actions_between
from worlds import ONE


def test_actions_between_says_only_what_differs() -> None:
    assert actions_between(ONE, ONE) == ()
    assert actions_between(ONE, replace(ONE, ping_interval=10)) == (SetIntervals(180, 10),)
