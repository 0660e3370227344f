"""When to ask whether the other end is there, and when to give it up. Pure: knows neither messages nor sockets."""

from __future__ import annotations

UNANSWERED_INTERVALS = 3


class Keepalive:
    """The keepalives and pings of one connection. Times are monotonic seconds."""

    def __init__(self, interval: float, ping_interval: float, now: float) -> None:
        self.interval = interval
        self.ping_interval = ping_interval
        self._sent_at = now  # the handshake counts as the first keepalive, and its answer as the first answer
        self._pinged_at = now
        self._patience_from = now
        self._last_id = 0

    @property
    def gives_up_at(self) -> float:
        """When silence becomes a failure: three intervals after the last answer."""
        return self._patience_from + UNANSWERED_INTERVALS * self.interval

    @property
    def keepalive_at(self) -> float:
        """When the next keepalive is due."""
        return self._sent_at + self.interval

    @property
    def ping_at(self) -> float:
        """When the next ping is due."""
        return self._pinged_at + self.ping_interval

    def deadline(self) -> float:
        """Return the earliest of the three."""
        return min(self.gives_up_at, self.keepalive_at, self.ping_at)

    def sent(self, now: float) -> int:
        """Note that a keepalive goes out; returns its id."""
        self._sent_at = now
        self._last_id += 1
        return self._last_id

    def pinged(self, now: float) -> None:
        """Note that a ping goes out."""
        self._pinged_at = now

    def answered(self, number: int, now: float) -> bool:
        """Note an answer. A late one to an earlier keepalive counts; an id that was never sent does not."""
        if not 1 <= number <= self._last_id:
            return False
        self._patience_from = now
        return True

    def retune(self, interval: float, ping_interval: float, now: float) -> None:
        """Take over new intervals; what is due is counted from what was last sent.

        Patience starts anew: a shorter interval must never turn a silence that was fine a moment ago into a failure.
        """
        if interval != self.interval:
            self._patience_from = now
        self.interval = interval
        self.ping_interval = ping_interval
