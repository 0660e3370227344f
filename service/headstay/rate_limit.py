"""CORE: how fast something may go on. Owns one token bucket; knows nothing of what is counted. Both ends use it.

The bucket is kept as one time: when what has gone would be paid for at the rate. So nothing is counted while nothing
happens, and time is an argument.
"""

from __future__ import annotations

_BURST_SECONDS = 0.1
"""The usual burst, in seconds at the rate. Timers are not exact: a device that may send one message at a time only
would stay below a high rate."""


class RateLimit:
    """A token bucket that is full at first: of `rate` tokens a second, at most `burst` at once; None: no limit.

    In any time t at most rate * t + burst are spent, if nobody spends what is not admitted. Times are monotonic
    seconds. Without `burst` it holds a tenth of a second's tokens, at least one.
    """

    def __init__(self, rate: float | None, burst: float | None = None) -> None:
        self._paid_at = float("-inf")
        self.retune(rate, burst)

    def retune(self, rate: float | None, burst: float | None = None) -> None:
        """Take over another rate. What was spent is not given back."""
        self._interval = 0.0 if rate is None else 1 / rate
        if rate is None or burst is None:
            burst = max(1.0, _BURST_SECONDS / self._interval) if self._interval else 1.0
        self._ahead = (burst - 1) * self._interval

    def admits(self, now: float) -> bool:
        """Tell whether one may be spent now."""
        return now >= self._admits_at

    def spend(self, now: float) -> None:
        """Spend one token."""
        self._paid_at = max(self._paid_at, now) + self._interval

    def deadline(self) -> float | None:
        """Return when the next one is admitted; None if that does not depend on time."""
        return self._admits_at if self._interval else None

    @property
    def _admits_at(self) -> float:
        return self._paid_at - self._ahead if self._interval else float("-inf")
