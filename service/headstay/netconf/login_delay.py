"""CORE: how long the answer to a wrong password takes. Who guesses waits longer each time; who knows it never waits.

The time runs from the attempt and not from its verdict: how long a password takes to check depends on how the user's
hash was made, and on whether there is such a user.

Owns what is remembered of an address, for how long and of how many. Knows no password and no user: guesses spread over
many users come from one place all the same.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

LONGEST: Final = 16
"""Times the first delay that a delay is at most."""
FORGOTTEN_AFTER: Final = 900.0
"""Seconds after which a wrong password is forgotten."""
MOST_ORIGINS: Final = 4096
"""Addresses that are remembered; the one that has been quiet for longest is forgotten first."""


class LoginDelay:
    """The delays of one server."""

    def __init__(self, first: float) -> None:
        """`first` is the delay of a first failure in seconds; 0 delays nothing."""
        self._first = first
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, origin: str, begun: float, now: float) -> float:
        """Count a wrong password from an address, tried at `begun` and found wrong at `now` (seconds, monotonic).

        Returns how long its answer still waits: nothing where checking it took longer than the delay.
        """
        failures, last = self._failures.pop(origin, (0, now))
        if now - last >= FORGOTTEN_AFTER:
            failures = 0
        self._failures[origin] = failures + 1, now
        if len(self._failures) > MOST_ORIGINS:
            self._failures.popitem(last=False)
        return max(0.0, begun + self._first * min(LONGEST, 1 << min(failures, 32)) - now)

    def succeeded(self, origin: str) -> None:
        """Forget the failures of an address: somebody there knows a password."""
        self._failures.pop(origin, None)
