"""WebSockets of the link: the URL's rules, the upgrade, and reading in the engine's own words.

Shell. websockets does the protocol; it is handed a TLS connection that stands, so a URL on the server that the device
has just talked to costs no new connection. No compression: it would cost more memory than it saves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidURI
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI, parse_uri

from headstay.engine.dial import Target, target_of
from headstay.engine.failures import classify
from headstay.engine.http import HttpConnection
from headstay.engine.reasons import DownReason
from headstay.errors import WireError
from headstay.wire import MAXIMUM_BODY

CLOSE_WITHIN = 2.0
"""Seconds that a closing handshake may take."""
MOST_QUEUED = 16
"""Frames received and not yet read; then the socket is not read either."""
MOST_UNSENT = 32 * 1024
"""Octets not yet written; then whoever sends waits."""
MOST_UNREAD_ANSWERS = 256 * 1024
"""Octets not yet written, where they can only be answers to pings; then the socket is not read either. More than what
waits beside them, so that two ends that both send never wait for each other."""
SLICE = 4096
"""Octets that are parsed at a time. A frame may have two octets, and a TLS connection hands over 256 KiB at once: in
one go that is half a second in which nothing else on the device runs, and a hundred thousand frames in memory."""

_PROTOCOL_ERRORS = (1002, 1003, 1007, 1009)
"""Codes with which websockets ends a connection whose peer breaks the protocol (RFC 6455 section 7.4.1)."""

# At level DEBUG websockets logs the request line, and with it the ticket.
_log = logging.getLogger("headstay.engine.websockets")
_log.setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class Url:
    """A URL that the cloud gave, checked."""

    target: Target
    uri: WebSocketURI = field(repr=False)


def url_of(text: str) -> Url:
    """Check a URL. Raises WireError, which quotes nothing of it, unless it is `wss`, names a host and no user."""
    try:
        parts = urlsplit(text)
        uri = parse_uri(text)
    except (InvalidURI, ValueError):
        raise WireError("the URL is malformed") from None
    if parts.scheme != "wss":
        raise WireError("the URL is not wss")
    if uri.user_info is not None:
        raise WireError("the URL names a user")
    return Url(target_of(uri.host, uri.port), uri)


class _Connection(ClientConnection):
    """websockets' client, bounded against a hostile peer in three ways that websockets is not.

    - It parses what comes in slices, and other tasks have their turn between them. While the queue of frames is full
      it parses no further.
    - A peer that pings and does not read the answers is read no further.
    - It ends when the peer does not finish a closing handshake that either has begun. websockets itself waits without
      end for a peer that sends its closing frame, or breaks the protocol, and then keeps the TCP connection open.
    """

    _given_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The transport stands."""
        super().connection_made(transport)
        self._slices: deque[bytes] = deque()
        self._is_full = self._is_clogged = self._is_paused = False
        self._next_slice: asyncio.Handle | None = None
        self.recv_messages.pause = self._filled
        self.recv_messages.resume = self._emptied

    def data_received(self, data: bytes) -> None:
        """Octets came."""
        self._slices.extend(data[start : start + SLICE] for start in range(0, len(data), SLICE))
        if self._next_slice is None:
            self._parse_slice()

    def eof_received(self) -> None:
        """The peer has no more to say; what it has said counts."""
        self._parse_all()
        super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        if self.protocol.state is State.OPEN:  # else nobody waits for what has come
            self._parse_all()
        self._slices.clear()
        if self._given_up is not None:
            self._given_up.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """The peer reads again."""
        super().resume_writing()
        self._is_clogged = False
        self._go_on()

    def _filled(self) -> None:
        self._is_full = True

    def _emptied(self) -> None:
        self._is_full = False
        self._go_on()

    def _parse_slice(self) -> None:
        self._next_slice = None
        if self._slices and not self._is_full and not self._is_clogged:
            self._parse(self._slices.popleft())
        self._go_on()

    def _parse(self, octets: bytes) -> None:
        """Parse; from the first octets that announce the end, the peer has CLOSE_WITHIN seconds."""
        super().data_received(octets)
        self._is_clogged = self.transport.get_write_buffer_size() > MOST_UNREAD_ANSWERS
        if self._given_up is None and self.protocol.close_expected():
            self._given_up = self.loop.call_later(CLOSE_WITHIN, self.transport.abort)

    def _parse_all(self) -> None:
        if self._next_slice is not None:
            self._next_slice.cancel()
            self._next_slice = None
        while self._slices:
            self._parse(self._slices.popleft())

    def _go_on(self) -> None:
        """Have the next slice parsed, if there is one and there is room; read the socket only if there is none."""
        held_up = self._is_full or self._is_clogged
        if self._slices and not held_up and self._next_slice is None:
            self._next_slice = self.loop.call_soon(self._parse_slice)
        pause = held_up or bool(self._slices)
        if pause != self._is_paused:
            self._is_paused = pause
            (self.transport.pause_reading if pause else self.transport.resume_reading)()


async def upgrade(
    http: HttpConnection, url: Url, subprotocol: str, *, sent: Callable[[], None], ping_interval: float | None = None
) -> ClientConnection:
    """Turn an HTTP connection into a WebSocket. With `ping_interval`, websockets pings and notices a dead peer itself.

    Raises OSError, EOFError, WireError, or an InvalidHandshake of websockets. After an error the connection is closed.
    """
    protocol = ClientProtocol(url.uri, subprotocols=[Subprotocol(subprotocol)], max_size=MAXIMUM_BODY, logger=_log)
    connection = _Connection(
        protocol,
        ping_interval=ping_interval,
        ping_timeout=None if ping_interval is None else 3 * ping_interval,
        close_timeout=CLOSE_WITHIN,
        max_queue=MOST_QUEUED,
        write_limit=MOST_UNSENT,
    )
    transport = http.release()
    # The server speaks only when asked, and `release` has made sure that nothing is left over: no octet falls between.
    connection.connection_made(transport)
    transport.set_protocol(connection)
    try:
        sent()
        await connection.handshake(user_agent_header=None)
        _require(connection.subprotocol == subprotocol, "the server did not agree on the subprotocol")
    except BaseException:
        transport.abort()
        raise
    connection.start_keepalive()
    return connection


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise WireError(message)


async def close(connection: ClientConnection, reason: str, *, graceful: bool, code: int = 1000) -> None:
    """Close a WebSocket, within CLOSE_WITHIN seconds in all; at once if it need not be graceful."""
    try:
        if graceful:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_WITHIN):
                    await connection.close(code, reason)
    finally:
        connection.transport.abort()


def why_closed(error: ConnectionClosed) -> tuple[DownReason, str | None]:
    """Return what to say of a WebSocket that ended without our doing."""
    if error.rcvd is not None and error.rcvd_then_sent is not False:
        return DownReason.CLOSED_BY_SERVER, f"closed with code {error.rcvd.code}"
    if error.sent is not None and error.sent.code in _PROTOCOL_ERRORS:
        return DownReason.SOCKET_ERROR, "protocol-error"
    cause = error.__cause__
    return DownReason.SOCKET_ERROR, None if cause is None else classify(cause).details
