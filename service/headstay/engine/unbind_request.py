"""Asks the servers to unbind the device by HTTPS, while no main connection stands.

Shell. It performs the first steps of an attempt with sockets of its own, under the same rules and time limits, then
sends the code. A server that cannot be reached, or does not let the device in, leads to the next. The first answer
counts: all servers are of one cloud. Once a code is on its way and no answer comes, no other server is asked, since the
code may have been taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from headstay.engine import inputs
from headstay.engine.effects import AskToUnbind, Resolve
from headstay.engine.failures import classify
from headstay.engine.inputs import Failure, OfAttempt, UnbindConcluded, UnbindFailure, UnbindOutcome
from headstay.engine.probe import let_in
from headstay.engine.settings import Identity, Server
from headstay.engine.steps import Attempt
from headstay.engine.tls import TlsContexts
from headstay.engine.unbinding import ANSWER_WITHIN, outcome_of

ALTOGETHER = 60.0
"""Seconds after which no further server is asked."""
_NO_ATTEMPT = 0
"""The machine's attempts have other numbers."""


class Asking:
    """One request, of all servers in their order."""

    def __init__(self, asked: AskToUnbind, identity: Identity, contexts: TlsContexts) -> None:
        self._asked = asked
        self._identity = identity
        self._contexts = contexts
        self._let_in = False  # whether the present server has let the device in: the next request is the code
        self._under_way = False  # whether the code was sent and no answer has come yet
        self._failures: list[str] = []
        self._given_up = False
        self._work: asyncio.Task[UnbindConcluded] | None = None

    async def run(self) -> UnbindConcluded:
        """Ask. Whatever goes wrong is the outcome; cancelling closes the connection."""
        self._work = asyncio.create_task(self._ask_all())
        try:
            return await self._work
        except asyncio.CancelledError:
            if not self._given_up:
                raise
            return self._not_reached("nobody waits for it")

    def give_up(self) -> None:
        """Ask no further server, since nobody waits for the outcome any more. A code that may be on its way already is
        not: what becomes of it is still heard, ANSWER_WITHIN at most.
        """
        self._given_up = True
        if not self._let_in and self._work is not None:
            self._work.cancel()

    async def _ask_all(self) -> UnbindConcluded:
        try:
            async with asyncio.timeout(ALTOGETHER):
                for server in self._asked.settings.servers:
                    if self._given_up:
                        break
                    outcome = await self._ask(server)
                    if outcome is not None:
                        return UnbindConcluded(self._asked.request, outcome, server)
        except TimeoutError:
            if self._under_way:
                return UnbindConcluded(self._asked.request, UnbindOutcome(UnbindFailure.NO_ANSWER))
            return self._not_reached(f"given up after {ALTOGETHER:g} s")
        return self._not_reached()

    def _not_reached(self, *why: str) -> UnbindConcluded:
        self._failures += why
        outcome = UnbindOutcome(UnbindFailure.NOT_REACHED, "; ".join(self._failures))
        return UnbindConcluded(self._asked.request, outcome)

    async def _ask(self, server: Server) -> UnbindOutcome | None:
        """Ask one server; None leads to the next."""
        begin = Resolve(_NO_ATTEMPT, server, self._asked.settings)
        attempt = Attempt(begin, self._identity, self._heard, self._contexts)
        self._let_in = False
        try:
            token = (await let_in(attempt, begin)).token
            self._let_in = True
            return outcome_of(await _in_time(attempt.unbind(token, self._asked.code)))
        except Exception as error:  # noqa: BLE001 -- the supervisor: one place classifies every failure
            failure = classify(error)
            if self._under_way:
                return UnbindOutcome(UnbindFailure.NO_ANSWER, failure.details)
            self._failures.append(_text(server, failure))
            return None
        finally:
            attempt.abort()

    def _heard(self, news: OfAttempt) -> None:
        self._under_way = self._let_in and isinstance(news, inputs.RequestSent)


async def _in_time(work: Awaitable[str]) -> str:
    limit = asyncio.timeout(ANSWER_WITHIN)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise  # the system's own
        raise TimeoutError(f"nothing within {ANSWER_WITHIN:g} s") from None


def _text(server: Server, failure: Failure) -> str:
    details = "" if failure.details is None else f" ({failure.details})"
    return f"{server.domain}: {failure.reason.value}{details}"
