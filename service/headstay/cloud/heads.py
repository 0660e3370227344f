"""SHELL: closes connections that bring no whole request head in time. Owns one timer for each connection.

aiohttp waits for a request head without end. A HeadTimer stands between asyncio and aiohttp's protocol and passes
everything on; while no request is being handled its timer runs. Knows nothing of what is requested.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HeadTimers:
    """Makes the timed protocols of one server. `limit` is in seconds."""

    def __init__(self, make_protocol: Callable[[], asyncio.Protocol], limit: float) -> None:
        self._make_protocol = make_protocol
        self._limit = limit
        # aiohttp's protocol -> its timer, while the connection lives
        self._timers: dict[object, HeadTimer] = {}

    def __call__(self) -> HeadTimer:
        """Make the protocol of one connection; what `loop.create_server` calls."""
        inner = self._make_protocol()
        timer = self._timers[inner] = HeadTimer(inner, self._limit, lambda: self._timers.pop(inner, None))
        return timer

    async def timed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Handle a request, whose head is whole, with the timer of its connection stopped."""
        timer = self._timers.get(request.protocol)
        if timer is None:  # its connection was lost already
            return await handler(request)
        timer.stop()
        try:
            return await handler(request)
        finally:
            timer.start()


class HeadTimer(asyncio.Protocol):
    """One connection: passes everything on to aiohttp's protocol, and closes the transport when its timer ends."""

    def __init__(self, inner: asyncio.Protocol, limit: float, forget: Callable[[], object]) -> None:
        self._inner = inner
        self._limit = limit
        self._forget = forget
        self._transport: asyncio.BaseTransport | None = None
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """From now on a whole request head must come within the limit."""
        self.stop()
        if self._transport is not None:
            self._handle = asyncio.get_running_loop().call_later(self._limit, self._transport.close)

    def stop(self) -> None:
        """A request is being handled: it may take as long as it likes."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the timer: the first head is awaited."""
        self._transport = transport
        self.start()
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer for good."""
        self.stop()
        self._transport = None
        self._forget()
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Pass on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._inner.resume_writing()
