"""SHELL: drives the confirmed commit: owns its one timer and the roll-backs that nobody waits for.

Decides nothing: `confirmed` does. The transactions that it asks for are carried out by the datastores, in their turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from headstay.datastore.confirmed import Done, Input, Install, Procedure, RollBack, SessionEnded, Tell, Tick
from headstay.datastore.events import DatastoreEvent
from headstay.datastore.turns import Turns

LONGEST_SLEEP = 30.0
"""Seconds. The loop's clock stands still while the device is suspended, so the timer looks at ours this often."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

_log = logging.getLogger(__name__)


def boottime() -> float:
    """Return seconds on a clock that never jumps, runs while the device is suspended and begins at its boot."""
    return time.clock_gettime(_CLOCK)


class Confirming:
    """Runs one procedure."""

    def __init__(
        self,
        procedure: Procedure,
        turn: Turns,
        carry_out: Callable[[Install | RollBack], Awaitable[None]],
        observe: Callable[[DatastoreEvent], None],
        clock: Callable[[], float],
    ) -> None:
        """`carry_out` performs a transaction whole or raises a NetconfError; a roll-back that nobody has asked for
        cannot be refused. With a procedure that is under way already this needs a running loop.
        """
        self.procedure = procedure
        self._turn = turn
        self._carry_out = carry_out
        self._observe = observe
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._set_timer()

    async def take(self, input: Input) -> None:
        """Take in an input and do what follows, in the caller's turn.

        Raises a NetconfError or RpcErrors; then nothing changed.
        """
        for effect in self.procedure.handle(input, self._clock()):
            if isinstance(effect, Tell):
                _log.info("confirmed commit: %s", effect.event.confirm_event.value)
                self._observe(effect.event)
            else:
                await self._carry_out(effect)
                await self.take(Done(effect))
        self._set_timer()

    def session_ended(self, session_id: int) -> None:
        """Undo what has to end with this session."""
        if self.procedure.ends_with(session_id):
            self._begin(SessionEnded(session_id))

    async def check_time(self) -> None:
        """Undo a confirmed commit whose time is over."""
        async with self._turn.of(None):
            await self.take(Tick())

    async def settled(self) -> None:
        """Wait until the roll-backs that have begun are in force."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def stop(self) -> None:
        """Stop the timer and finish what has begun."""
        await self.settled()
        self._cancel_timer()

    def _begin(self, input: Input) -> None:
        task = asyncio.get_running_loop().create_task(self._take_later(input), name="confirmed commit")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _take_later(self, input: Input) -> None:
        try:
            async with self._turn.of(None):
                await self.take(input)
        except Exception:  # noqa: BLE001 -- the supervisor: nobody awaits this, so what went wrong is logged here
            _log.exception("a confirmed commit could not be undone; it is tried again")
            self._cancel_timer()
            self._timer = asyncio.get_running_loop().call_later(LONGEST_SLEEP, self._begin, input)

    def _set_timer(self) -> None:
        self._cancel_timer()
        if (due := self.procedure.deadline()) is not None:
            delay = min(max(0.0, due - self._clock()), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._begin, Tick())

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
