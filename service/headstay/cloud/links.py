"""SHELL: one WebSocket with a device, bounded in every direction. Owns its outbox and its end; knows no session.

A peer that does not read fills the outbox and is cut; a peer that sends too fast is read no faster than the limits say,
and after each message the others have their turn; a peer that sends what the wire does not allow is closed with 1003 or
1008; a goodbye that is not answered in time ends with the connection cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator

from aiohttp import WSCloseCode, WSMsgType, web

from headstay.cloud.limits import Limits
from headstay.errors import WireError
from headstay.rate_limit import RateLimit
from headstay.wire import MAXIMUM_BODY
from headstay.wire.messages import Message, MessageDecoder, Unknown, encode

log = logging.getLogger("headstay.cloud")


def socket_for(subprotocol: str, limits: Limits) -> web.WebSocketResponse:
    """Make the response that upgrades a request to a WebSocket of this subprotocol.

    Without compression: it costs 316 instead of 64 KiB a connection (facts/cloud-links).
    """
    # aiohttp refuses a message that is as long as its limit, hence one more.
    return web.WebSocketResponse(
        protocols=(subprotocol,), compress=False, max_msg_size=MAXIMUM_BODY + 1, timeout=limits.goodbye
    )


class Link:
    """One WebSocket. After its handshake call start(); whoever reads it must await ended() when it is done."""

    def __init__(self, name: str, socket: web.WebSocketResponse, transport: asyncio.Transport, limits: Limits) -> None:
        self._name = name
        self._socket = socket
        self._transport = transport
        self._limits = limits
        self._rate = RateLimit(limits.messages_per_second, limits.messages_at_once)
        self._outbox: deque[str] = deque()
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._is_cut = False
        self._over = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to send what is posted."""
        self._writer = asyncio.create_task(self._write())

    def post(self, message: Message) -> None:
        """Send a message when the peer reads. Never waits; a peer that is too far behind is cut."""
        if self._ending is not None:
            return
        if len(self._outbox) >= self._limits.outbox:
            log.warning("%s: does not read; its connection is cut", self._name)
            self._cut()
            return
        self._put(message)

    async def flushed(self) -> None:
        """Wait until everything posted is on its way. Whoever reads calls this, so that a flood stops itself."""
        await self._emptied.wait()

    async def messages(self, decoder: MessageDecoder) -> AsyncIterator[Message | Unknown]:
        """Yield what comes until the connection ends. What breaks the wire's rules ends it."""
        async for frame in self._socket:
            if frame.type is WSMsgType.BINARY:
                self.end(WSCloseCode.UNSUPPORTED_DATA)
                return
            if frame.type is not WSMsgType.TEXT:  # aiohttp has closed it: too large, or not a WebSocket frame
                log.warning("%s: %s", self._name, frame.data)
                return
            try:
                message = decoder.decode(frame.data)
            except WireError as error:
                self.refuse(error)
                return
            yield message
            await self._pause()

    def refuse(self, error: WireError) -> None:
        """End the connection because the peer broke the wire's rules."""
        log.warning("%s: %s", self._name, error)
        self.end(WSCloseCode.POLICY_VIOLATION)

    def end(self, code: int, farewell: Message | None = None) -> None:
        """Begin to close: the farewell, then the close, within the goodbye limit. Only the first counts."""
        if self._ending is None:
            if farewell is not None:
                self._put(farewell)
            self._ending = asyncio.create_task(self._end(code))

    async def ended(self) -> None:
        """Close, unless that has begun already, and wait until it is done."""
        self.end(WSCloseCode.OK)
        assert self._ending is not None  # noqa: S101 (for mypy: end() has just seen to it)
        await self._ending

    async def _pause(self) -> None:
        """Let the others have their turn, and wait until the peer may be read further: meanwhile TCP holds it up."""
        clock = asyncio.get_running_loop().time
        self._rate.spend(clock())
        await asyncio.sleep(0)
        if not self._rate.admits(clock()):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._rate.deadline()):
                    await self._over.wait()

    async def _write(self) -> None:
        try:
            while True:
                await self._filled.wait()
                while self._outbox:
                    await self._socket.send_str(self._outbox.popleft())
                self._filled.clear()
                self._emptied.set()
        except ConnectionError:
            self._cut()

    async def _end(self, code: int) -> None:
        try:
            async with asyncio.timeout(self._limits.goodbye):
                await self.flushed()
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            self._cut()
        finally:
            self._over.set()
            if self._writer is not None:
                self._writer.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._writer

    def _put(self, message: Message) -> None:
        if self._is_cut:  # nobody is left to send it
            return
        self._outbox.append(encode(message).decode())
        self._emptied.clear()
        self._filled.set()

    def _cut(self) -> None:
        self._is_cut = True
        self._outbox.clear()
        self._emptied.set()
        self._transport.abort()
