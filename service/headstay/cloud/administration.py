"""What an operator does to the registry from the shell, on a running cloud or on its state directory alone.

Owns the small HTTP protocol on the cloud's Unix socket, both ends of it. The socket's mode is the only access control:
whoever may write to it is the cloud's administrator. A password never passes here, only the verifier made from it.

    GET    /devices                                       -> [DeviceEntry]
    PUT    /devices/SERIAL  {"verifier": {…} or absent}   -> {"outcome": "added" | "updated" | "bound" | "exists"}
    DELETE /devices/SERIAL                                -> {"outcome": "removed" | "unknown"}
    POST   /devices/SERIAL/code  {"life": seconds}        -> {"outcome": "made", "code", "expires-at"}
                                                          or {"outcome": "unbound" | "unknown"}
"""

from __future__ import annotations

import datetime
import enum
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Protocol

import aiohttp
import msgspec
from aiohttp import web

from headstay.cloud.codes import CODE_OCTETS, LONGEST_LIFE, SHORTEST_LIFE, code_of
from headstay.cloud.devices import Device, fold
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.errors import CommandError, WireError
from headstay.wire.messages import Body, decode_body, encode
from headstay.wire.scram import Verifier


class Outcome(enum.Enum):
    """What an operation did."""

    ADDED = "added"
    UPDATED = "updated"
    BOUND = "bound"
    EXISTS = "exists"
    REMOVED = "removed"
    UNKNOWN = "unknown"
    MADE = "made"
    UNBOUND = "unbound"


class DeviceEntry(Body, frozen=True, omit_defaults=False):
    """One device as `headstay cloud-admin device list --json` prints it."""

    serial: str
    password: bool
    """Whether the cloud holds one."""
    bound: bool
    """False from when it is unbound until it is added once more."""
    connected: bool
    since: str | None
    """RFC 3339, UTC: since when it is connected; when it is not, when it was last."""
    address: str | None
    """Where it is connected from."""
    model: str | None
    software: str | None
    added_at: str


class NewCode(Body, frozen=True):
    """What came of asking for a verification code: MADE, UNBOUND (there is nothing to unbind) or UNKNOWN."""

    outcome: Outcome
    code: str = ""
    expires_at: str = ""
    """RFC 3339, UTC."""

    def __repr__(self) -> str:
        return f"NewCode({self.outcome.value!r})"


class _VerifierBody(Body, frozen=True):
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return "_VerifierBody()"


class _Addition(Body, frozen=True):
    verifier: _VerifierBody | None = None


class _CodeRequest(Body, frozen=True):
    life: Annotated[float, msgspec.Meta(ge=0, le=LONGEST_LIFE.total_seconds())]


class _Answer(Body, frozen=True):
    outcome: Outcome
    detail: str = ""


class Administration(Protocol):
    """The operations, wherever they are carried out. Each raises WireError for a malformed serial number."""

    async def add(self, serial: str, verifier: Verifier | None) -> Outcome:
        """Add a serial; one that exists gets the new password, if there is one, and one that was unbound is bound.

        ADDED, UPDATED, BOUND (whatever the password) or EXISTS.
        """

    async def remove(self, serial: str) -> Outcome:
        """Remove a serial. REMOVED or UNKNOWN."""

    async def devices(self) -> list[DeviceEntry]:
        """Return all devices."""

    async def make_code(self, serial: str, life: datetime.timedelta) -> NewCode:
        """Make the code with which the device of a serial has itself unbound; its last one is good no more.

        Raises WireError if `life` is not between SHORTEST_LIFE and LONGEST_LIFE.
        """


class LocalAdministration:
    """Works on the registry itself. `removed` and `changed` are told the folded serial, after it is durable.

    `draw` returns so many random octets.
    """

    def __init__(
        self,
        registry: Registry,
        wall: Callable[[], datetime.datetime],
        removed: Callable[[str], None] = lambda _: None,
        changed: Callable[[str], None] = lambda _: None,
        draw: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._registry = registry
        self._draw = draw
        self._wall = wall
        self._removed = removed
        self._changed = changed

    async def add(self, serial: str, verifier: Verifier | None) -> Outcome:
        """Add a serial, or give it another password."""
        if await self._registry.add(serial, verifier, self._wall()):
            return Outcome.ADDED
        folded = fold(serial)
        updated = verifier is not None and await self._registry.set_verifier(folded, verifier)
        if updated:
            self._changed(folded)
        if await self._registry.bind(folded):
            return Outcome.BOUND
        return Outcome.UPDATED if updated else Outcome.EXISTS

    async def remove(self, serial: str) -> Outcome:
        """Remove a serial."""
        folded = fold(serial)
        if not await self._registry.remove(folded):
            return Outcome.UNKNOWN
        self._removed(folded)
        return Outcome.REMOVED

    async def devices(self) -> list[DeviceEntry]:
        """Return all devices."""
        return [_entry(device) for device in await self._registry.devices()]

    async def make_code(self, serial: str, life: datetime.timedelta) -> NewCode:
        """Make a verification code."""
        folded = fold(serial)
        if not SHORTEST_LIFE <= life <= LONGEST_LIFE:
            raise WireError("a verification code is valid for one minute to seven days")
        device = await self._registry.device(folded)
        if device is not None and device.unbound_at is not None:
            return NewCode(Outcome.UNBOUND)
        code, expires_at = code_of(self._draw(CODE_OCTETS)), self._wall() + life
        if not await self._registry.set_code(folded, code, expires_at):
            return NewCode(Outcome.UNKNOWN)
        return NewCode(Outcome.MADE, code, _rfc3339(expires_at))


class SocketAdministration:
    """Asks a running cloud on its Unix socket. Raises CommandError when it does not answer as it should."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def add(self, serial: str, verifier: Verifier | None) -> Outcome:
        """Add a serial, or give it another password."""
        body = _Addition() if verifier is None else _Addition(_body(verifier))
        return _outcome(await self._request("PUT", f"/devices/{serial}", encode(body)))

    async def remove(self, serial: str) -> Outcome:
        """Remove a serial."""
        return _outcome(await self._request("DELETE", f"/devices/{serial}"))

    async def devices(self) -> list[DeviceEntry]:
        """Return all devices."""
        return msgspec.json.decode(await self._request("GET", "/devices"), type=list[DeviceEntry])

    async def make_code(self, serial: str, life: datetime.timedelta) -> NewCode:
        """Make a verification code."""
        body = encode(_CodeRequest(life.total_seconds()))
        return decode_body(await self._request("POST", f"/devices/{serial}/code", body), NewCode)

    async def _request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        try:
            connector = aiohttp.UnixConnector(str(self._path))
            async with (
                aiohttp.ClientSession(connector=connector) as session,
                session.request(method, f"http://cloud{path}", data=body) as response,
            ):
                octets = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise CommandError(f"{self._path}: the cloud does not answer: {error}") from None
        if response.status != 200:
            raise CommandError(f"{self._path}: the cloud answered {response.status}: {octets.decode(errors='replace')}")
        return octets


def admin_application(administration: LocalAdministration) -> web.Application:
    """Make the aiohttp application for the Unix socket."""

    async def devices(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await administration.devices()), content_type="application/json")

    async def add(request: web.Request) -> web.Response:
        verifier = decode_body(await request.read(), _Addition).verifier
        return _answer(await administration.add(request.match_info["serial"], _verifier(verifier)))

    async def remove(request: web.Request) -> web.Response:
        return _answer(await administration.remove(request.match_info["serial"]))

    async def make_code(request: web.Request) -> web.Response:
        life = datetime.timedelta(seconds=decode_body(await request.read(), _CodeRequest).life)
        made = await administration.make_code(request.match_info["serial"], life)
        return web.Response(body=encode(made), content_type="application/json")

    application = web.Application(middlewares=[_boundary])
    application.router.add_get("/devices", devices)
    application.router.add_put("/devices/{serial}", add)
    application.router.add_delete("/devices/{serial}", remove)
    application.router.add_post("/devices/{serial}/code", make_code)
    return application


@web.middleware
async def _boundary(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except WireError as error:
        return web.Response(text=str(error), status=400)
    except RegistryUnavailable as error:
        return web.Response(text=str(error), status=503)


def _answer(outcome: Outcome) -> web.Response:
    return web.Response(body=encode(_Answer(outcome)), content_type="application/json")


def _outcome(octets: bytes) -> Outcome:
    return decode_body(octets, _Answer).outcome


def _body(verifier: Verifier) -> _VerifierBody:
    return _VerifierBody(verifier.salt, verifier.iterations, verifier.stored_key, verifier.server_key)


def _verifier(body: _VerifierBody | None) -> Verifier | None:
    return None if body is None else Verifier(body.salt, body.iterations, body.stored_key, body.server_key)


def _entry(device: Device) -> DeviceEntry:
    online = device.online
    since = device.last_seen_at if online is None else online.since
    return DeviceEntry(
        serial=device.serial,
        password=device.verifier is not None,
        bound=device.unbound_at is None,
        connected=online is not None,
        since=None if since is None else _rfc3339(since),
        address=None if online is None else online.address,
        model=device.model,
        software=device.software,
        added_at=_rfc3339(device.added_at),
    )


def _rfc3339(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
