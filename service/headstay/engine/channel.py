"""One subconnection at work: its WebSocket, its service's core, and the task that joins the two.

Shell. Each subconnection is a task of its own with a bounded queue; whatever goes wrong in it ends here and is told to
the machine, and nothing else notices.
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
from headstay.engine.settings import Settings
from headstay.engine.status import SubconnectionStatus
from headstay.engine.steps import open_subconnection
from headstay.engine.subconnection import (
    Break,
    Elapsed,
    Lost,
    Opened,
    Received,
    Send,
    ServiceCore,
    ServiceInput,
    Woken,
)
from headstay.engine.tls import TlsContexts
from headstay.engine.websocket import close, url_of, why_closed

MOST_QUEUED = 16
"""Inputs that wait for the core; a cloud that sends more is read no further."""


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
        self._inbox: asyncio.Queue[ServiceInput] = asyncio.Queue(MOST_QUEUED)
        self._sending = False
        self._dropped_before = 0  # what the core had dropped when the counters were last cleared

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
        # A full queue wakes it just as well: it looks after every input.
        with contextlib.suppress(asyncio.QueueFull):
            self._inbox.put_nowait(Woken())

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
        reader = asyncio.create_task(self._read(connection))
        graceful = False
        try:
            await self._work(connection)
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
            reader.cancel()
            await asyncio.wait([reader])
            await close(connection, "", graceful=graceful)
        return None

    async def _read(self, connection: ClientConnection) -> None:
        """Feed the inbox until the WebSocket ends."""
        with contextlib.suppress(ConnectionClosed):
            while True:
                data = await connection.recv()
                self.traffic.in_messages += 1
                self.traffic.in_octets += len(data.encode() if isinstance(data, str) else data)
                await self._inbox.put(Received(data))
        await self._inbox.put(Lost())

    async def _work(self, connection: ClientConnection) -> None:
        given: ServiceInput = Opened()
        while True:
            for effect in self._core.handle(given, self._clock()):
                match effect:
                    case Send(data):
                        await self._send(connection, data)
                    case Break(details):
                        raise _Broken(details)
            given = await self._next()
            if isinstance(given, Lost):
                await connection.recv()  # raises what the reader has seen
                return

    async def _next(self) -> ServiceInput:
        deadline = self._core.deadline()
        delay = None if deadline is None else max(0.0, deadline - self._clock().monotonic)
        try:
            async with asyncio.timeout(delay):
                return await self._inbox.get()
        except TimeoutError:
            return Elapsed()

    async def _send(self, connection: ClientConnection, data: str | bytes) -> None:
        self._sending = True
        await connection.send(data)
        self._sending = False
        self.traffic.out_messages += 1
        self.traffic.out_octets += len(data.encode() if isinstance(data, str) else data)
