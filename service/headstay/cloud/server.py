"""SHELL: the composition of one cloud server. Owns its sockets and the order of starting and stopping.

Everything is put together in `start`, in an order in which each part can be taken down again; whatever prevents the
start is a StartupError. One process is one node; a cloud of many nodes would share the registry and differ in
`public-url`.
"""

from __future__ import annotations

import asyncio
import datetime
import errno
import logging
import secrets
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from headstay.cloud.administration import LocalAdministration, admin_application
from headstay.cloud.authentication import Authentication
from headstay.cloud.certificates import server_context, server_files
from headstay.cloud.configuration import Configuration
from headstay.cloud.connections import Connections, Sources
from headstay.cloud.device_api import DeviceApi
from headstay.cloud.heads import HeadTimers
from headstay.cloud.limits import Limits
from headstay.cloud.registry import Registry
from headstay.cloud.sessions import Sessions
from headstay.cloud.state import StateDirectory, write_whole
from headstay.errors import StartupError

log = logging.getLogger("headstay.cloud")


def system_sources() -> Sources:
    """Return the clocks and the randomness of this machine."""
    return Sources(
        clock=time.monotonic,
        wall=lambda: datetime.datetime.now(datetime.UTC),
        draw=lambda: secrets.token_urlsafe(32),
    )


class CloudServer:
    """One running cloud; made by `running`."""

    def __init__(
        self, port: int, ca_file: Path | None, registry: Registry, administration: LocalAdministration
    ) -> None:
        self.port = port
        """The real one, also when the configuration says 0."""
        self.ca_file = ca_file
        """What devices must trust; None when the certificate was given from outside."""
        self.registry = registry
        self.administration = administration


@asynccontextmanager
async def running(
    configuration: Configuration, limits: Limits | None = None, sources: Sources | None = None
) -> AsyncIterator[CloudServer]:
    """Run a cloud for as long as the context lasts; leaving it says goodbye to all devices.

    Raises StartupError when it cannot start: state directory in use, corrupt registry, unreadable key, port in use.
    """
    async with AsyncExitStack() as stack:
        yield await _start(configuration, limits or Limits(), sources or system_sources(), stack)


async def _start(configuration: Configuration, limits: Limits, sources: Sources, stack: AsyncExitStack) -> CloudServer:
    state = StateDirectory(configuration.state_dir)
    state.make()
    lock = state.lock()
    if lock is None:
        raise StartupError(f"{state.path}: another cloud, or a cloud-admin command, is using this state directory")
    stack.callback(lock.release)
    files = server_files(configuration, sources.wall())
    context = server_context(files, configuration.device_trust_anchor)
    registry = await Registry.open(state.registry)
    stack.push_async_callback(registry.close)

    authentication = Authentication(limits, sources.draw)
    sessions = Sessions(configuration.services, limits.silence, limits.ticket_life)
    connections = Connections(sessions, registry, limits, sources, authentication.revoke)
    api = DeviceApi(registry, authentication, connections, limits, sources, configuration.public_authority)
    listener = Listener(configuration, context, limits)
    await listener.prepare(api.application())
    stack.push_async_callback(listener.clean_up)
    stack.push_async_callback(connections.stop)

    def removed(folded: str) -> None:
        authentication.revoke(folded)
        connections.remove(folded)

    def changed(folded: str) -> None:
        # The connection stays up: a password can be changed here first, and then on the device through its connection.
        authentication.revoke(folded)
        connections.forget_tickets(folded)

    administration = LocalAdministration(registry, sources.wall, removed, changed)
    stack.push_async_callback(await _listen_to_administrators(state.admin_socket, administration))
    port = await listener.listen()
    stack.callback(listener.close)
    _announce(state.announcement, port, files.ca)
    stack.callback(state.announcement.unlink, missing_ok=True)
    return CloudServer(port, files.ca, registry, administration)


class Listener:
    """The TLS sockets on which devices connect. prepare(), listen(), close(), clean_up(), in this order."""

    def __init__(self, configuration: Configuration, context: ssl.SSLContext, limits: Limits) -> None:
        self._listen = configuration.listen
        self._context = context
        self._limits = limits
        self._servers: list[asyncio.Server] = []
        self._runner: web.AppRunner | None = None
        self._timers: HeadTimers | None = None

    async def prepare(self, application: web.Application) -> None:
        """Make ready to serve `application`."""
        application.middlewares.insert(0, self._timed)
        quiet = logging.getLogger("headstay.cloud.http")
        quiet.addFilter(_tells_nothing_of_the_request)
        self._runner = web.AppRunner(
            application, access_log=None, logger=quiet, shutdown_timeout=self._limits.goodbye, lingering_time=1.0
        )
        await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 (for mypy: setup() has made it)
        self._timers = HeadTimers(self._runner.server, self._limits.request_head)

    async def listen(self) -> int:
        """Listen on every address and return the port. Raises StartupError when one of them cannot be had."""
        assert self._timers is not None  # noqa: S101 (for mypy: prepare() has made them)
        port = self._listen.port
        for host in self._listen.hosts:
            try:
                # asyncio sets TCP_NODELAY on what it accepts.
                server = await asyncio.get_running_loop().create_server(
                    self._timers,
                    host,
                    port,
                    ssl=self._context,
                    ssl_handshake_timeout=self._limits.handshake,
                    ssl_shutdown_timeout=self._limits.goodbye,
                )
            except OSError as error:
                self.close()
                raise StartupError(
                    f"cannot listen on {host}, port {port}: {_why(error)} (listen.host, listen.port)"
                ) from None
            self._servers.append(server)
            port = server.sockets[0].getsockname()[1]
        return port

    def close(self) -> None:
        """Accept no more connections; those that there are stay."""
        for server in self._servers:
            server.close()

    async def clean_up(self) -> None:
        """End every connection that is left, idle or not, within the goodbye limit."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _timed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        assert self._timers is not None  # noqa: S101 (for mypy: nothing comes before prepare())
        return await self._timers.timed(request, handler)


async def _listen_to_administrators(path: Path, administration: LocalAdministration) -> Callable[[], Awaitable[None]]:
    """Serve `administration` on a Unix socket and return what ends that. The state directory's lock is held."""
    runner = web.AppRunner(admin_application(administration), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        listening = _bound(path)
    except OSError as error:
        await runner.cleanup()
        raise StartupError(f"{path}: the administration socket cannot be made: {_why(error)}") from None
    await web.SockSite(runner, listening).start()

    async def end() -> None:
        await runner.cleanup()
        path.unlink(missing_ok=True)  # noqa: ASYNC240 (one file, at the end)

    return end


def _bound(path: Path) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)  # left behind by a kill -9: the lock says that nobody serves it
        listening.bind(str(path))
        path.chmod(0o600)  # before listen(): until then nobody can connect
    except OSError:
        listening.close()
        raise
    return listening


def _announce(path: Path, port: int, ca_file: Path | None) -> None:
    found = {"port": port, "ca_file": None if ca_file is None else str(ca_file)}
    try:
        write_whole(path, msgspec.json.encode(found) + b"\n")
    except OSError as error:
        raise StartupError(f"{path}: cannot be written: {_why(error)}") from None


def _tells_nothing_of_the_request(record: logging.LogRecord) -> bool:
    """Drop aiohttp's report of a malformed request: it is answered with 400, and its text may hold a token."""
    return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use"
    return error.strerror or str(error)
