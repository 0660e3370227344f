"""SHELL: the HTTP requests of devices (design section 4). Owns status codes and the one boundary of errors.

Everything that is decided is decided elsewhere: `authentication`, `registry`, `sessions`. Logs serial numbers and
addresses, never a token, a ticket or a proof.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass

from aiohttp import web

from headstay.cloud.authentication import NOT_ALLOWED, UNKNOWN_SERIAL, Authentication, Peer
from headstay.cloud.certificates import common_name
from headstay.cloud.connections import SUBCONNECTION_PATH, Connections, Main, MainTicket, Sources
from headstay.cloud.devices import Device, fold
from headstay.cloud.limits import Limits
from headstay.cloud.links import Link, socket_for
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.cloud.sessions import Holder
from headstay.errors import WireError
from headstay.wire import (
    AUTHENTICATE_PATH,
    MAIN_SUBPROTOCOL,
    MAXIMUM_BODY,
    REGISTER_PATH,
    UNBIND_PATH,
    subprotocol_of,
)
from headstay.wire.messages import (
    BUSY,
    Authenticate,
    AuthenticateFinal,
    Body,
    Busy,
    Probed,
    Refused,
    Register,
    Registered,
    RegisterProbe,
    UnbindAnswer,
    UnbindRequest,
    decode_body,
    encode,
)

log = logging.getLogger("headstay.cloud")

CONNECT_PATH = "/v1/connect"
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,253})(:[0-9]{1,5})?")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Body, frozen=True):
    """What goes with a status for which the wire has no body of its own: 400 and its like."""

    reason: str
    detail: str = ""


class _Either(Body, frozen=True):
    """Tells the two requests to AUTHENTICATE_PATH apart."""

    exchange: str | None = None


class _Asked(Body, frozen=True):
    """Tells the two requests to REGISTER_PATH apart."""

    probe: bool = False


@dataclass(frozen=True, slots=True)
class DeviceApi:
    """What the requests of devices need."""

    registry: Registry
    authentication: Authentication
    connections: Connections
    limits: Limits
    sources: Sources
    public_authority: str | None
    """`HOST[:PORT]` for the URLs given to devices; None takes the request's Host header."""

    def application(self) -> web.Application:
        """Make the aiohttp application."""
        application = web.Application(client_max_size=MAXIMUM_BODY + 1, middlewares=[_boundary])
        application.router.add_post(AUTHENTICATE_PATH, self.authenticate)
        application.router.add_post(REGISTER_PATH, self.register)
        application.router.add_post(UNBIND_PATH, self.unbind)
        application.router.add_get(CONNECT_PATH, self.connect, allow_head=False)
        application.router.add_get(SUBCONNECTION_PATH, self.subconnect, allow_head=False)
        return application

    async def authenticate(self, request: web.Request) -> web.Response:
        """Answer POST /v1/authenticate, first or second request."""
        octets = await self._body(request)
        peer = _peer(request)
        if decode_body(octets, _Either).exchange is not None:
            final = decode_body(octets, AuthenticateFinal)
            answer = self.authentication.finish(final, peer, self.sources.clock())
            return _answered("a SCRAM exchange", peer, answer)
        first = decode_body(octets, Authenticate)
        folded = fold(first.serial)
        device = await self._device(folded)
        answer = self.authentication.begin(first, device, peer, self.sources.clock())
        return _answered(folded, peer, answer)

    async def _device(self, folded: str) -> Device | None:
        """Return the registry's record of a serial, read after whatever was revoked last."""
        while True:
            revocations = self.authentication.revocations
            device = await self.registry.device(folded)
            # Else a password that was changed meanwhile would still be good for this exchange.
            if revocations == self.authentication.revocations:
                return device

    async def register(self, request: web.Request) -> web.Response:
        """Answer POST /v1/register."""
        octets = await self._body(request)
        holder = self._holder(request)
        if holder is None:
            return _bad_token()
        if decode_body(octets, _Asked).probe:
            return await self._probe(request, decode_body(octets, RegisterProbe), holder)
        said = decode_body(octets, Register)
        if fold(said.serial) != holder:
            return _answered(holder, _peer(request), Refused(NOT_ALLOWED))
        authority = self._authority(request)
        generation = await self.registry.register(holder, said.model, said.software)
        if generation is None:
            return _answered(holder, _peer(request), Refused(UNKNOWN_SERIAL))
        if self._holder(request) is None:
            return _bad_token()  # while this waited for the registry, the device was unbound, or its password changed
        ticket = self.connections.issue_ticket(MainTicket(Holder(holder, generation), said.services))
        url = _main_url(authority, ticket)
        return _response(Registered(url, generation, self.limits.ticket_life), 200)

    async def unbind(self, request: web.Request) -> web.Response:
        """Answer POST /v1/unbind."""
        octets = await self._body(request)
        holder = self._holder(request)
        if holder is None:
            return _bad_token()
        asked = decode_body(octets, UnbindRequest)
        if fold(asked.serial) != holder:
            return _answered(holder, _peer(request), Refused(NOT_ALLOWED))
        result = await self.connections.unbind(holder, asked.code)
        if result == BUSY:
            return _answered(holder, _peer(request), Busy(self.limits.busy_retry))
        return _response(UnbindAnswer(result), 200)

    async def _probe(self, request: web.Request, said: RegisterProbe, holder: str) -> web.Response:
        """Answer where a registration would lead. Touches no generation and no session."""
        if fold(said.serial) != holder:
            return _answered(holder, _peer(request), Refused(NOT_ALLOWED))
        if await self.registry.device(holder) is None:
            return _answered(holder, _peer(request), Refused(UNKNOWN_SERIAL))
        if self._holder(request) is None:
            return _bad_token()  # as in `register`
        authority = self._authority(request)
        url = _main_url(authority, self.connections.issue_probe_ticket(holder))
        return _response(Probed(url, self.limits.ticket_life), 200)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """Upgrade to a main connection and carry it until it ends."""
        socket = socket_for(MAIN_SUBPROTOCOL, self.limits)
        _demand_upgrade(request, socket)
        authority = self._authority(request)
        secret = request.query.get("ticket", "")
        probed = self.connections.take_probe_ticket(secret)
        if probed is not None:
            link = await self._link(f"{probed}: a test of the way", request, socket)
            await link.ended()
            return socket
        ticket = self.connections.take_main_ticket(secret)
        if ticket is None:
            return _bad_ticket(request)
        link = await self._link(ticket.holder.folded, request, socket)
        await _carried(self.connections.carry_main(Main(ticket, link, request.remote or "", authority)))
        return socket

    async def subconnect(self, request: web.Request) -> web.StreamResponse:
        """Upgrade to a telemetry subconnection and carry it until it ends."""
        socket = socket_for(subprotocol_of("telemetry"), self.limits)
        _demand_upgrade(request, socket)
        ticket = self.connections.take_subconnection_ticket(request.query.get("ticket", ""))
        if ticket is None:
            return _bad_ticket(request)
        link = await self._link(f"{ticket.holder.folded}: {ticket.instance}", request, socket)
        await _carried(self.connections.carry_telemetry(ticket, link))
        return socket

    async def _link(self, name: str, request: web.Request, socket: web.WebSocketResponse) -> Link:
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the connection is lost")
        await socket.prepare(request)
        return Link(name, socket, transport, self.limits)

    def _holder(self, request: web.Request) -> str | None:
        """Return the folded serial that holds the request's token; None without a good one."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.authentication.holder(token.strip(), self.sources.clock()) if scheme.lower() == "bearer" else None

    async def _body(self, request: web.Request) -> bytes:
        try:
            async with asyncio.timeout(self.limits.request_body):
                octets = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        if len(octets) > MAXIMUM_BODY:
            raise web.HTTPRequestEntityTooLarge(MAXIMUM_BODY, len(octets))
        return octets

    def _authority(self, request: web.Request) -> str:
        if self.public_authority is not None:
            return self.public_authority
        if _AUTHORITY.fullmatch(request.host) is None:
            raise WireError("the Host header is malformed")
        return request.host


def _main_url(authority: str, ticket: str) -> str:
    return f"wss://{authority}{CONNECT_PATH}?ticket={ticket}"


async def _carried(connection: Coroutine[None, None, None]) -> None:
    """Let no error of one connection out: after the handshake there is no HTTP answer to turn it into."""
    try:
        await connection
    except Exception:
        log.exception("a connection failed")


@web.middleware
async def _boundary(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into an answer. The only place that catches all of them."""
    try:
        return await handler(request)
    except WireError as error:
        return _response(Problem("malformed", str(error)), 400)
    except web.HTTPException as error:
        return _response(Problem(error.reason), error.status)
    except ConnectionError:
        raise
    except RegistryUnavailable as error:
        log.error("the registry cannot answer: %s", error)  # noqa: TRY400 (the text says it all)
        return _response(Busy(Limits().busy_retry), 503)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _response(Problem("internal"), 500)


def _answered(who: str, peer: Peer, answer: Body) -> web.Response:
    if isinstance(answer, Refused):
        log.warning("%s from %s: refused: %s", who, peer.address, answer.reason)
        return _response(answer, 403)
    if isinstance(answer, Busy):
        log.warning("%s from %s: told to wait %.1f s", who, peer.address, answer.retry_after)
        return _response(answer, 503)
    return _response(answer, 200)


def _response(body: Body, status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        body=encode(body),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _bad_token() -> web.Response:
    problem = Problem("token", "the token is missing, wrong or expired: authenticate anew")
    return _response(problem, 401, {"WWW-Authenticate": "Bearer"})


def _bad_ticket(request: web.Request) -> web.Response:
    log.warning("%s: a bad, spent or expired ticket", request.remote)
    return _response(Problem("ticket", "the ticket is bad, spent or expired"), 403)


def _peer(request: web.Request) -> Peer:
    transport = request.transport
    certificate = None if transport is None else transport.get_extra_info("peercert")
    return Peer(request.remote or "", common_name(certificate))


def _demand_upgrade(request: web.Request, socket: web.WebSocketResponse) -> None:
    """Refuse before the ticket is spent what could not be upgraded anyway."""
    ready = socket.can_prepare(request)
    if not ready.ok:
        raise WireError("not a WebSocket handshake")
    if ready.protocol is None:
        raise WireError("the subprotocol is not offered")
