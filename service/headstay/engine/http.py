"""HTTP/1.1 requests on one TLS connection, which may then be handed on to a WebSocket.

Shell. Frames through h11; knows no path and no body. Never follows a redirect, and never reads more of an answer than
MAXIMUM_BODY.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import h11

from headstay.engine.failures import Answer
from headstay.errors import WireError
from headstay.wire import MAXIMUM_BODY


@dataclass(frozen=True, slots=True)
class Request:
    """A POST of a JSON body."""

    host: str
    """What stands in the Host field."""
    path: str
    body: bytes
    token: str | None = None


class HttpConnection(asyncio.Protocol):
    """The client's end. One request at a time; ends when the peer says so, or by `abort`."""

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._awaited: asyncio.Future[None] | None = None
        self._lost: BaseException | None = None
        self._ended = False
        self._heard = False  # whether anything of the present answer has come

    # called by asyncio ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP and TLS stand."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Octets came. Without a request there is nothing to say: then the peer breaks HTTP."""
        if self._awaited is None:
            self._fail(WireError("the server speaks without being asked"))
            return
        self._heard = True
        self._http.receive_data(data)
        self._wake()

    def eof_received(self) -> None:
        """The peer has no more to say."""
        if not self._ended:
            self._ended = True
            self._http.receive_data(b"")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone."""
        self._lost = self._lost or exc or EOFError()
        self._wake()

    # called by the steps --------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        """Whether another request may go out here."""
        idle = self._http.our_state is h11.IDLE and self._http.their_state is h11.IDLE
        return idle and self._lost is None and not self._ended and self._transport is not None

    @property
    def fault(self) -> WireError | ssl.SSLError | None:
        """What the peer did that no HTTP server does, or why TLS broke: no point in dialling it once more.

        With TLS 1.3 a server refuses the device's certificate after the device's handshake is over.
        """
        if isinstance(self._lost, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return None  # only the end
        return self._lost if isinstance(self._lost, WireError | ssl.SSLError) else None

    async def post(self, request: Request, sent: Callable[[], None]) -> Answer:
        """Send a request, call `sent`, and return the answer.

        Raises OSError or EOFError if the connection breaks, WireError if the answer is too large, and h11's
        RemoteProtocolError if it is not HTTP. After an error, or when cancelled, the connection is of no more use.
        """
        if self._transport is None or not self.reusable:
            raise self._lost or EOFError()
        fields = [
            ("host", request.host),
            ("content-type", "application/json"),
            ("content-length", str(len(request.body))),
        ]
        if request.token is not None:
            fields.append(("authorization", f"Bearer {request.token}"))
        head = h11.Request(method="POST", target=request.path, headers=fields)
        parts = (head, h11.Data(data=request.body), h11.EndOfMessage())
        self._heard = False
        # One write, so one TLS record and one packet.
        self._awaited = asyncio.get_running_loop().create_future()
        self._transport.write(b"".join(self._http.send(part) or b"" for part in parts))
        sent()
        answer = await self._answer()
        self._awaited = None
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        return answer

    def release(self) -> asyncio.Transport:
        """Hand the transport on to another protocol. Only while `reusable`: then nothing received is left behind."""
        if self._transport is None or not self.reusable or self._http.trailing_data[0]:
            raise EOFError
        transport, self._transport = self._transport, None
        return transport

    def abort(self) -> None:
        """Close the connection now."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def address(self) -> str:
        """The address at the other end, without zone."""
        peer = None if self._transport is None else self._transport.get_extra_info("peername")
        return "" if peer is None else str(peer[0]).partition("%")[0]

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The TLS connection, for whoever wants to know what was agreed on and which certificate was shown."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    def certificate_validity(self) -> tuple[str, str] | None:
        """Return from when until when the server's certificate is valid, in the form of ssl.cert_time_to_seconds."""
        certificate = None if self._transport is None else self._transport.get_extra_info("peercert")
        return None if not certificate else (certificate["notBefore"], certificate["notAfter"])

    async def _answer(self) -> Answer:
        response: h11.Response | None = None
        body = bytearray()
        while True:
            if self._ended and not self._heard:
                raise self._lost or EOFError()
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                await self._more()
            elif isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAXIMUM_BODY:
                    raise WireError(f"the answer is larger than the {MAXIMUM_BODY} octets allowed")
            elif isinstance(event, h11.EndOfMessage) and response is not None:
                fields = {name: value.decode("latin-1") for name, value in response.headers}
                content_type, location = fields.get(b"content-type", ""), fields.get(b"location", "")
                return Answer(response.status_code, content_type, bytes(body), location)
            elif not isinstance(event, h11.InformationalResponse):
                raise EOFError

    async def _more(self) -> None:
        if self._lost is not None:
            raise self._lost
        if self._awaited is None or self._awaited.done():
            self._awaited = asyncio.get_running_loop().create_future()
        await self._awaited

    def _wake(self) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)

    def _fail(self, error: BaseException) -> None:
        self._lost = self._lost or error
        self.abort()
