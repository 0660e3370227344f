"""When to go back to an earlier server, where that is configured. Pure policy; off unless there is a hold-down time.

A connection to a later server is left only for a server that would take the device. Once the connection has stood for
the hold-down time, the earlier servers are asked, one after the other in their order, *beside* the connection, as far
as authentication. The first that answers well is where the device goes. If none does, they are asked again one
hold-down time later. A device that went back and was then refused after all waits twice as long the next time: a server
that authenticates but cannot connect must not interrupt the link again and again at the same pace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headstay.engine.change import Place, place_of
from headstay.engine.settings import Server

LONGEST_WAIT = 86400.0
"""Seconds; doubling ends here."""


class Switchback:
    """The questions to earlier servers. Times are monotonic seconds."""

    def __init__(self, hold_down: float | None, servers: Sequence[Server]) -> None:
        self._hold_down = hold_down
        self._servers = tuple(servers)
        self._in_use: Place | None = None  # the server of the connection that stands
        self._ask_at = 0.0
        self._asked: Place | None = None  # the server whose answer is awaited
        self._done: set[Place] = set()  # asked in this round
        self._aim: Place | None = None  # where the device last went back to, until it is known where it arrived
        self._fruitless = 0

    def deadline(self) -> float | None:
        """Return when the next question is due; None while there is nothing to ask, or an answer is awaited."""
        return None if self._asked is not None or not self._earlier() else self._ask_at

    def upcoming(self) -> tuple[Server, float] | None:
        """Return which server will be asked first in the next round, and when."""
        at = self.deadline()
        return None if at is None else (self._earlier()[0], at)

    def configure(self, hold_down: float | None, servers: Sequence[Server], now: float) -> None:
        """Take over new settings. A changed hold-down time is counted from now; an answer on its way counts no more."""
        if hold_down != self._hold_down:
            self._hold_down, self._fruitless, self._asked = hold_down, 0, None
            self._wait(now)
        self._servers = tuple(servers)

    def connected(self, server: Server, now: float) -> None:
        """The connection stands."""
        self._in_use = place_of(server)
        if self._aim is not None:
            self._fruitless = 0 if self._aim == self._in_use else self._fruitless + 1
        self._aim = None
        self._wait(now)

    def ended(self) -> None:
        """The connection is no more, and with it whatever was asked beside it."""
        self._in_use = self._asked = None

    def next(self, now: float, may_be_asked: Callable[[Server], bool]) -> Server | None:
        """Return the server to ask now, if one is due; call it again after each answer that led nowhere."""
        due = self.deadline()
        if due is None or now < due:
            return None
        for server in self._earlier():
            if place_of(server) not in self._done and may_be_asked(server):
                self._asked = place_of(server)
                self._done.add(self._asked)
                return server
        self._wait(now)
        return None

    def refused(self, server: Server) -> None:
        """The server that was asked would not take the device, or does not answer."""
        if self._asked == place_of(server):
            self._asked = None

    def accepted(self, server: Server) -> bool:
        """The server that was asked would take the device. Returns whether the device is to go there still."""
        place = place_of(server)
        wanted = self._asked == place and place in map(place_of, self._earlier())
        if self._asked == place:
            self._asked = None
        if wanted:
            self._aim = place
        return wanted

    def _earlier(self) -> tuple[Server, ...]:
        """The servers before the one in use; none without a hold-down time."""
        places = [place_of(server) for server in self._servers]
        if self._hold_down is None or self._in_use not in places:
            return ()
        return self._servers[: places.index(self._in_use)]

    def _wait(self, now: float) -> None:
        self._done.clear()
        if self._hold_down is not None:
            self._ask_at = now + min(self._hold_down * 2.0 ** min(self._fruitless, 16), LONGEST_WAIT)
