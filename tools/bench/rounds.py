"""Several rounds of one measurement, so that no figure hangs on where the kernel has put a process this time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def median_of(found: Sequence[Any]) -> Any:
    """Return what was found in several rounds as one: of each number the median, or the lower one of two.

    Whatever is no number is the same in every round.
    """
    first = found[0]
    if isinstance(first, dict):
        return {key: median_of([each[key] for each in found]) for key in first}
    if isinstance(first, list):
        return [median_of(each) for each in zip(*found, strict=True)]
    if isinstance(first, int | float) and not isinstance(first, bool):
        return statistics.median_low(found)
    return first
