"""Asks a server whether it would take the device, beside the connection that stands: up to authentication, no further.

Shell. It performs the first steps of an attempt with sockets of its own, under the same rules and time limits, and
stops where registering would make the cloud count a new connection of this device.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from headstay.engine import inputs
from headstay.engine.effects import Authenticate, Connect, Probe, Resolve
from headstay.engine.failures import StepFailed, classify
from headstay.engine.inputs import OfAttempt
from headstay.engine.settings import Identity
from headstay.engine.stages import TIME_LIMIT, TIMED_OUT, Stage
from headstay.engine.steps import Attempt
from headstay.engine.tls import TlsContexts

T = TypeVar("T")

_STAGE = {Resolve: Stage.RESOLVING, Connect: Stage.CONNECTING, Authenticate: Stage.AUTHENTICATING}


async def ask(probe: Probe, identity: Identity, contexts: TlsContexts) -> inputs.Probed | inputs.ProbeFailed:
    """Ask the server; return what came of it. Whatever goes wrong is the answer; cancelling closes the connection."""
    begin = Resolve(probe.attempt, probe.server, probe.settings)
    attempt = Attempt(begin, identity, _unheard, contexts)
    try:
        authenticated = await let_in(attempt, begin)
        return inputs.Probed(probe.attempt, probe.server, authenticated.token, authenticated.expires_in)
    except Exception as error:  # noqa: BLE001 -- the supervisor: one place classifies every failure
        return inputs.ProbeFailed(probe.attempt, probe.server, classify(error))
    finally:
        attempt.abort()


async def let_in(attempt: Attempt, begin: Resolve) -> inputs.Authenticated:
    """Take the first steps, up to authentication, each within its time limit. Raises what `failures.classify` knows."""
    step: Resolve | Connect | Authenticate = begin
    while True:
        match await in_time(_STAGE[type(step)], attempt.perform(step)):
            case inputs.Resolved(addresses=addresses):
                step = Connect(begin.attempt, addresses)
            case inputs.Connected():
                step = Authenticate(begin.attempt)
            case inputs.Authenticated() as authenticated:
                return authenticated


async def in_time(stage: Stage, work: Awaitable[T]) -> T:
    """Return what comes of `work`. Raises StepFailed if it takes longer than the stage may."""
    limit = asyncio.timeout(TIME_LIMIT[stage])
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise  # the system's own
        raise StepFailed(TIMED_OUT[stage], f"no result within {TIME_LIMIT[stage]:g} s") from None


def _unheard(_: OfAttempt) -> None:
    """How far a question has come is no news of the connection."""
