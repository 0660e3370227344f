"""One subconnection at work: its WebSocket, its service's core, and the task that joins the two.

Shell. Each subconnection is a task of its own; whatever goes wrong in it ends here and is told to the machine, and
nothing else notices. Reading, sending and keeping time do not wait for each other, so that a cloud that reads nothing
is still heard. Nothing piles up here: a message to send stays in the service's queue until the rate limit and the
WebSocket have room for it, and what the cloud sends too fast stays in the cloud, because it is not read (TCP's flow
control holds it there). After each message the other tasks of the daemon have their turn.

A cloud that floods a subconnection, or reads nothing of it, for three ping intervals loses that subconnection: its
answer to a ping is stuck behind the flood.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from headstay.engine.effects import OpenSubconnection
from headstay.engine.failures import classify
from headstay.engine.inputs import OfAttempt, SubconnectionEnded, SubconnectionOpened
from headstay.engine.instant import Instant
from headstay.engine.log import log
from headstay.engine.settings import Service, Settings
from headstay.engine.status import SubconnectionStatus
from headstay.engine.steps import open_subconnection
from headstay.engine.subconnection import (
    Break,
    Elapsed,
    Lost,
    Opened,
    Received,
    ServiceCore,
    ServiceInput,
    Tuned,
    Woken,
)
from headstay.engine.tls import TlsContexts
from headstay.engine.websocket import close, url_of, why_closed
from headstay.rate_limit import RateLimit

READ_RATE = 1000
"""Messages a second that are read from one subconnection. Ten times what a service needs, and few enough that a flood
leaves most of a small processor to the rest."""


@dataclass(slots=True)
class Traffic:
    """What has gone through a subconnection since it was opened, or since the counters were cleared."""

    in_messages: int = 0
    out_messages: int = 0
    in_octets: int = 0
    out_octets: int = 0


class _Broken(Exception):
    """The service's core ended the subconnection."""


class Channel:
    """A subconnection from `open` to its end. `run` is its task."""

    def __init__(self, opening: OpenSubconnection, core: ServiceCore, clock: Callable[[], Instant]) -> None:
        self.service = opening.service
        self.traffic = Traffic()
        self._opening = opening
        self._core = core
        self._clock = clock
        self._limits = opening.limits
        self._tuned_to: Service | None = None  # the limits that the core was told
        self._rate = RateLimit(opening.limits.rate_limit)
        self._read_rate = RateLimit(READ_RATE)
        self._woken = False
        self._to_read, self._to_write, self._to_attend = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._sending = False
        self._dropped_before = core.dropped  # before this subconnection, or when the counters were last cleared

    async def run(self, settings: Settings, contexts: TlsContexts, tell: Callable[[OfAttempt], None]) -> None:
        """Open the WebSocket, serve it until it ends, and tell both. Cancelling closes it and tells nothing more."""
        attempt, instance = self._opening.attempt, self._opening.instance
        try:
            connection = await open_subconnection(url_of(self._opening.url), self.service, settings, contexts)
            tell(SubconnectionOpened(attempt, instance))
            details = await self._serve(connection)
        except Exception as error:  # noqa: BLE001 -- the supervisor: no subconnection disturbs anything else
            failure = classify(error)
            log.debug("subconnection of %s failed: %s", self.service, type(error).__name__)
            details = failure.reason.value if failure.details is None else f"{failure.reason.value}: {failure.details}"
        tell(SubconnectionEnded(attempt, instance, details))

    def wake(self) -> None:
        """Something may have come that the service waits for."""
        self._woken = True
        self._to_attend.set()

    def tune(self, limits: Service) -> None:
        """Take over other limits, at once."""
        self._limits = limits
        self._rate.retune(limits.rate_limit)
        self._to_attend.set()
        self._to_write.set()

    def clear_counters(self) -> None:
        """Count from zero again."""
        self.traffic = Traffic()
        self._dropped_before = self._core.dropped

    def measured(self, status: SubconnectionStatus) -> SubconnectionStatus:
        """Return the machine's picture of this subconnection with what only its task knows."""
        traffic = self.traffic
        return replace(
            status,
            in_messages=traffic.in_messages,
            out_messages=traffic.out_messages,
            in_octets=traffic.in_octets,
            out_octets=traffic.out_octets,
            queued=self._core.queued,
            dropped=self._core.dropped - self._dropped_before,
        )

    async def _serve(self, connection: ClientConnection) -> str | None:
        """Serve until the WebSocket ends; returns what went wrong, None if nothing did."""
        graceful = False
        tasks: list[asyncio.Task[None]] = []
        try:
            self._tell_limits()
            self._give(Opened())
            works = (self._read(connection), self._write(connection), self._attend())
            tasks += [asyncio.create_task(work) for work in works]
            await asyncio.gather(*tasks)
        except _Broken as error:
            graceful = True
            return str(error)
        except ConnectionClosed as error:
            in_order = error.rcvd is not None and error.rcvd.code in (1000, 1001)
            return None if in_order else why_closed(error)[1] or "lost"
        except asyncio.CancelledError:
            graceful = True
            raise
        finally:
            self._core.handle(Lost(self._sending), self._clock())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await close(connection, "", graceful=graceful)
        return None

    async def _read(self, connection: ClientConnection) -> None:
        """Hand what the cloud sends to the core, no faster than READ_RATE and no further than the core accepts."""
        while True:
            if not self._core.accepts:
                await self._stirred(self._to_read, None)
            elif not self._read_rate.admits(self._clock().monotonic):
                await self._stirred(self._to_read, self._read_rate.deadline())
            else:
                data = await connection.recv()
                self._read_rate.spend(self._clock().monotonic)
                self.traffic.in_messages += 1
                self.traffic.in_octets += _octets(data)
                self._give(Received(data))
                await asyncio.sleep(0)

    async def _write(self, connection: ClientConnection) -> None:
        """Send what the core has, no faster than the rate limit and no further than the cloud reads."""
        while True:
            now = self._clock()
            if not self._rate.admits(now.monotonic):
                await self._stirred(self._to_write, self._rate.deadline())
            elif (data := self._core.take(now)) is None:
                await self._stirred(self._to_write, None)
            else:
                self._rate.spend(now.monotonic)
                self._to_read.set()  # what was taken has made room
                self._to_attend.set()  # and may have to be answered in time
                await self._send(connection, data)
                await asyncio.sleep(0)

    async def _attend(self) -> None:
        """Tell the core what time it is when it wants to know, that it was woken, and its limits when they change."""
        while True:
            deadline = self._core.deadline()
            if self._limits != self._tuned_to:
                self._tell_limits()
            elif self._woken:
                self._woken = False
                self._give(Woken())
            elif deadline is not None and self._clock().monotonic >= deadline:
                self._give(Elapsed())
                await asyncio.sleep(0)
            else:
                await self._stirred(self._to_attend, deadline)

    def _tell_limits(self) -> None:
        self._tuned_to = self._limits
        self._give(Tuned(self._limits))

    def _give(self, given: ServiceInput) -> None:
        for effect in self._core.handle(given, self._clock()):
            match effect:
                case Break(details):
                    raise _Broken(details)
        for event in (self._to_read, self._to_write, self._to_attend):
            event.set()

    async def _stirred(self, event: asyncio.Event, deadline: float | None) -> None:
        """Wait until something has changed, or the time has come."""
        delay = None if deadline is None else max(0.0, deadline - self._clock().monotonic)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await event.wait()
        event.clear()

    async def _send(self, connection: ClientConnection, data: str | bytes) -> None:
        self._sending = True
        await connection.send(data)
        self._sending = False
        self.traffic.out_messages += 1
        self.traffic.out_octets += _octets(data)


def _octets(data: str | bytes) -> int:
    return len(data.encode() if isinstance(data, str) else data)
