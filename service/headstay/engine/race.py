"""From a name's addresses to a TLS connection: every address gets its turn before the server counts as failed.

Shell. Owns the order of addresses and how long each may keep the others waiting; knows no name, and what a certificate
must say is the context's.

TCP connections are raced as RFC 8305 says. TLS is not: a handshake costs the cloud far more than a SYN, and a device
that always made two would double the storm after a power cut. So the address at which TCP stood first makes its
handshake alone. Where that fails, the others are raced at once; where it stalls, they are raced beside it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import aiohappyeyeballs

from headstay.engine.http import HttpConnection
from headstay.engine.inputs import AddressInfo
from headstay.engine.stages import TIME_LIMIT, Stage
from headstay.errors import HeadstayError

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds between dialling one address and the next (RFC 8305 section 5)."""
HANDSHAKE_PATIENCE = 3.0
"""Seconds after which the next address is dialled beside a TLS handshake that does not come to its end."""
SPEAK_WITHIN = TIME_LIMIT[Stage.CONNECTING] - 1.0
"""Seconds after which a failed handshake is told although other addresses are still silent: the stage's time limit
would cut the race short, and say nothing but that it took too long."""

_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))

Reached = Callable[[str], None]
"""Called with an address whenever TCP stands there."""


def unheard(_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Course:
    """What is dialled, and how."""

    host: str
    """As the certificate must name it."""
    addresses: Sequence[AddressInfo]
    context: ssl.SSLContext
    local: Sequence[AddressInfo] | None = None
    """Where the connections come from; None: as the system chooses."""
    reached: Reached = unheard


class Missed(HeadstayError):
    """TCP stood at an address, and TLS failed there."""

    def __init__(self, address: AddressInfo, error: Exception) -> None:
        super().__init__("no TLS connection")
        self.address = address
        self.error = error


async def race(course: Course) -> HttpConnection:
    """Return the first TLS connection that stands; cancelling closes all of them.

    Raises Missed for the most telling handshake that failed, or OSError if TCP stood nowhere.
    """
    running = _Race(course)
    try:
        return await running.run()
    finally:
        await running.end()


@dataclass(slots=True)
class _Race:
    course: Course
    left: list[AddressInfo] = field(init=False)
    """Addresses at which TCP has not stood yet."""
    dialling: asyncio.Task[socket.socket] | None = None
    handshakes: dict[asyncio.Task[HttpConnection], AddressInfo] = field(default_factory=dict)
    missed: list[Missed] = field(default_factory=list)
    unreachable: Exception | None = None
    """Why TCP stood at none of those that were left."""

    def __post_init__(self) -> None:
        self.left = list(self.course.addresses)

    async def run(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        speak_at, patient_until = loop.time() + SPEAK_WITHIN, 0.0
        while True:
            if self.dialling is None and self.left and (not self.handshakes or loop.time() >= patient_until):
                self.dialling = asyncio.create_task(self._dial())
            waits = [] if self.dialling is not None or not self.left else [patient_until]
            waits += [speak_at] if self.missed else []
            tasks = {*self.handshakes, *([self.dialling] if self.dialling is not None else [])}
            if not tasks or (self.missed and loop.time() >= speak_at):
                raise self._most_telling()
            limit = max(0.0, min(waits) - loop.time()) if waits else None
            done, _ = await asyncio.wait(tasks, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if self.dialling in done and self._dialled():
                patient_until = loop.time() + HANDSHAKE_PATIENCE
            for task in [task for task in self.handshakes if task in done]:
                if (connection := self._made(task)) is not None:
                    return connection

    async def end(self) -> None:
        """Close what has not been handed over."""
        tasks: list[asyncio.Task[socket.socket] | asyncio.Task[HttpConnection]] = [*self.handshakes]
        if self.dialling is not None:
            tasks.append(self.dialling)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, socket.socket):
                result.close()
            elif isinstance(result, HttpConnection):
                result.abort()

    async def _dial(self) -> socket.socket:
        return await aiohappyeyeballs.start_connection(
            self.left, local_addr_infos=self.course.local, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY
        )

    def _dialled(self) -> bool:
        """Take note of a round of dialling that has ended; whether TCP stands."""
        task, self.dialling = cast("asyncio.Task[socket.socket]", self.dialling), None
        try:
            sock = task.result()
        except OSError as error:
            self.unreachable, self.left = error, []
            return False
        address = _same_as(sock.getpeername(), self.left)
        self.left = [other for other in self.left if _place(other[4]) != _place(address[4])]
        self.course.reached(str(address[4][0]).partition("%")[0])
        self.handshakes[asyncio.create_task(self._shake_hands(sock))] = address
        return True

    async def _shake_hands(self, sock: socket.socket) -> HttpConnection:
        course = self.course
        try:
            _prepare(sock)
            _, connection = await asyncio.get_running_loop().create_connection(
                HttpConnection, sock=sock, ssl=course.context, server_hostname=course.host
            )
        except BaseException:
            sock.close()
            raise
        return connection

    def _made(self, task: asyncio.Task[HttpConnection]) -> HttpConnection | None:
        address = self.handshakes.pop(task)
        try:
            return task.result()
        except Exception as error:  # noqa: BLE001 -- whatever went wrong there, another address may do
            self.missed.append(Missed(address, error))
            return None

    def _most_telling(self) -> Exception:
        """A certificate that is not accepted tells more than other failures, and any more than a dead address."""
        certificates = [one for one in self.missed if isinstance(one.error, ssl.SSLCertVerificationError)]
        for found in (certificates, self.missed):
            if found:
                return found[0]
        return self.unreachable or OSError("no address")


def _same_as(peer: tuple[object, ...], addresses: Sequence[AddressInfo]) -> AddressInfo:
    """Return the entry of the address at which a socket stands."""
    return next((info for info in addresses if _place(info[4]) == _place(peer)), addresses[0])


def _place(address: Sequence[object]) -> tuple[object, object]:
    return ipaddress.ip_address(str(address[0]).partition("%")[0]), address[1]


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)  # not every system has each of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
