"""The one request to be unbound that may be pending: over which way it goes, and what comes of it.

Part of the machine's core. It goes over the main connection where that stands; else servers are asked by HTTPS, beside
whatever the machine does. Either way it has an outcome after a bounded time, and asking never disturbs the connection.

The main connection answers in order, so an answer counts for the request that was sent last only if none is owed after
it: the late answer to a request that was given up is never taken for the next one's.
"""

from __future__ import annotations

from headstay.engine.effects import AskToUnbind, Effect, Emit, SendMessage, UnbindEnded
from headstay.engine.events import Unbound
from headstay.engine.inputs import UnbindConcluded, UnbindFailure, UnbindOutcome, UnbindRequested
from headstay.engine.instant import Instant
from headstay.engine.settings import Server, Settings
from headstay.wire import messages

ANSWER_WITHIN = 10.0
"""Seconds from a code to the cloud's answer, on either way."""

_OUTCOME = {
    messages.UNBOUND: UnbindOutcome(),
    messages.WRONG_CODE: UnbindOutcome(UnbindFailure.WRONG_CODE),
    messages.EXPIRED_CODE: UnbindOutcome(UnbindFailure.EXPIRED_CODE),
    messages.TOO_MANY_ATTEMPTS: UnbindOutcome(UnbindFailure.TOO_MANY_ATTEMPTS),
    messages.BUSY: UnbindOutcome(UnbindFailure.SERVER_BUSY),
}


def outcome_of(result: str) -> UnbindOutcome:
    """Return the outcome that a result on the wire stands for."""
    return _OUTCOME.get(result, UnbindOutcome(UnbindFailure.PROTOCOL_ERROR, result))


class Unbinding:
    """Each method returns the effects of what it was told."""

    def __init__(self) -> None:
        self._request: int | None = None  # the one whose outcome is awaited
        self._due: float | None = None  # when its answer on the main connection is late; None if it goes by HTTPS
        self._owed = 0  # answers that the present main connection still has to bring
        self._told = False  # whether it is known, and was told, that the device is unbound

    def deadline(self) -> float | None:
        """Return when the answer on the main connection is late."""
        return self._due

    def ask(self, given: UnbindRequested, settings: Settings, now: Instant, *, established: bool) -> list[Effect]:
        """Somebody gave a code."""
        if self._request is not None:
            return [UnbindEnded(given.request, UnbindOutcome(UnbindFailure.UNDER_WAY))]
        if not settings.enabled:
            return [UnbindEnded(given.request, UnbindOutcome(UnbindFailure.DISABLED))]
        if settings.obstacle is not None:
            return [UnbindEnded(given.request, UnbindOutcome(UnbindFailure.UNREADABLE_SECRET, settings.obstacle))]
        if not settings.servers:
            return [UnbindEnded(given.request, UnbindOutcome(UnbindFailure.NO_SERVER))]
        self._request = given.request
        self._told = False
        if not established:
            return [AskToUnbind(given.request, given.code, settings)]
        self._due = now.monotonic + ANSWER_WITHIN
        self._owed += 1
        return [SendMessage(messages.Unbind(given.code))]

    def answered(self, result: str, server: Server | None) -> list[Effect]:
        """The cloud answered on the main connection. What nobody asked for is ignored."""
        if self._owed == 0:
            return []
        self._owed -= 1
        effects = self._unbound(server) if result == messages.UNBOUND else []
        return effects + self._end(outcome_of(result)) if self._owed == 0 and self._due is not None else effects

    def concluded(self, given: UnbindConcluded) -> list[Effect]:
        """The servers that were asked by HTTPS have answered, or none has."""
        if given.request != self._request:
            return []
        effects = self._unbound(given.server) if given.outcome.failure is None else []
        return effects + self._end(given.outcome)

    def told_goodbye(self, server: Server | None) -> list[Effect]:
        """The cloud ends the main connection because the device is unbound."""
        return self._unbound(server) + (self._end(UnbindOutcome()) if self._due is not None else [])

    def connected(self) -> None:
        """A new main connection stands: whatever made the device unbound before has been told."""
        self._told = False

    def main_connection_ended(self) -> list[Effect]:
        """The main connection, or the attempt at one, is no more: it brings no answer."""
        self._owed = 0
        if self._due is None:
            return []
        return self._end(UnbindOutcome(UnbindFailure.NO_ANSWER, "the connection ended"))

    def expire(self, now: Instant) -> list[Effect]:
        """Give up an answer that is late."""
        if self._due is None or now.monotonic < self._due:
            return []
        return self._end(UnbindOutcome(UnbindFailure.NO_ANSWER, f"nothing within {ANSWER_WITHIN:g} s"))

    def _unbound(self, server: Server | None) -> list[Effect]:
        if self._told or server is None:
            return []
        self._told = True
        return [Emit(Unbound(server_domain=server.domain))]

    def _end(self, outcome: UnbindOutcome) -> list[Effect]:
        if self._request is None:
            return []
        ended = UnbindEnded(self._request, outcome)
        self._request = self._due = None
        return [ended]
