"""From a server's name to a TLS connection: resolve, dial, verify.

Shell. Knows addresses and certificates, no HTTP. The server's certificate is always verified, for its trust and for its
name; see `tls`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar, cast

import aiohappyeyeballs

from headstay.engine.failures import EXPIRED, NOT_YET_VALID, StepFailed
from headstay.engine.http import HttpConnection
from headstay.engine.inputs import AddressInfo
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import AddressFamily, Settings
from headstay.engine.tls import TlsContexts, tls_context

T = TypeVar("T")

HAPPY_EYEBALLS_DELAY = 0.25
"""Seconds between dialling one address and the next (RFC 8305 section 5)."""
_FAMILY = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}
_KEEPALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
_NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; the ssl module has no name for it


@dataclass(frozen=True, slots=True)
class Target:
    """Where a connection goes."""

    host: str
    """As the certificate must name it: no trailing dot, no brackets."""
    port: int

    @property
    def authority(self) -> str:
        """The Host field (RFC 9110 section 7.2)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def target_of(host: str, port: int) -> Target:
    """Return the target for a configured or received host."""
    return Target(host.removesuffix(".").lower(), port)


async def resolve(target: Target, family: AddressFamily) -> tuple[AddressInfo, ...]:
    """Return the target's addresses. Raises socket.gaierror if there are none, StepFailed if the name cannot be one."""

    def look_up(flags: int = 0) -> Sequence[AddressInfo]:
        found = socket.getaddrinfo(target.host, target.port, _FAMILY[family], socket.SOCK_STREAM, flags=flags)
        return cast("Sequence[AddressInfo]", found)

    if _is_address(target.host):
        return tuple(look_up(socket.AI_NUMERICHOST))
    try:
        return tuple(await _in_thread_of_its_own(look_up))
    except UnicodeError:
        # Python refuses a label over 63 octets before it asks anyone.
        raise StepFailed(FailureReason.DNS_FAILED, "not a domain name") from None


async def dial(
    target: Target, addresses: Sequence[AddressInfo], settings: Settings, contexts: TlsContexts
) -> HttpConnection:
    """Connect to whichever address answers first, and make TLS.

    Raises OSError, ssl.SSLError (a certificate that is not verified among them), TlsSettingsError, or StepFailed.
    """
    context = await asyncio.to_thread(contexts.context, settings.tls)
    try:
        return await _connect(target, addresses, settings, context)
    except ssl.SSLCertVerificationError as error:
        contexts.forget()
        if error.verify_code not in (NOT_YET_VALID, EXPIRED):
            raise
        details = await _both_times(target, addresses, settings)
        raise StepFailed(FailureReason.CERTIFICATE_NOT_VALID_NOW, details) from None


async def _connect(
    target: Target, addresses: Sequence[AddressInfo], settings: Settings, context: ssl.SSLContext
) -> HttpConnection:
    local = None if settings.source_address is None else _local(settings.source_address)
    loop = asyncio.get_running_loop()
    sock = await aiohappyeyeballs.start_connection(
        addresses, local_addr_infos=local, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=loop
    )
    _prepare(sock)
    _, connection = await loop.create_connection(HttpConnection, sock=sock, ssl=context, server_hostname=target.host)
    return connection


async def _both_times(target: Target, addresses: Sequence[AddressInfo], settings: Settings) -> str:
    """Say when the certificate is valid and what this device believes the time to be.

    A refused handshake does not show the certificate, so the device makes one more that checks trust and name as ever
    and leaves out the time; it sends nothing and closes at once.
    """
    now = datetime.now(UTC)
    text = f"this device's clock says {now:%Y-%m-%dT%H:%M:%SZ}"
    context = await asyncio.to_thread(tls_context, settings.tls)  # of its own: nothing else may ever use it
    context.verify_flags |= _NO_CHECK_TIME
    with contextlib.suppress(OSError):  # ssl.SSLError is one, too
        connection = await _connect(target, addresses, settings, context)
        validity = connection.certificate_validity()
        connection.abort()
        if validity is not None:
            first, last = (datetime.fromtimestamp(ssl.cert_time_to_seconds(time), UTC) for time in validity)
            which = (
                "the certificate" if not first <= now <= last else "an issuer's certificate is not; the server's own"
            )
            return f"{which} is valid from {first:%Y-%m-%dT%H:%M:%SZ} to {last:%Y-%m-%dT%H:%M:%SZ}; {text}"
    return text


def _prepare(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        option = getattr(socket, name, None)  # not every system has each of them
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _local(address: str) -> Sequence[AddressInfo]:
    flags = socket.AI_NUMERICHOST | socket.AI_PASSIVE
    return cast("Sequence[AddressInfo]", socket.getaddrinfo(address, 0, type=socket.SOCK_STREAM, flags=flags))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _in_thread_of_its_own(work: Callable[[], T]) -> T:
    """Run `work` in a daemon thread.

    The resolver may hang for half a minute and cannot be cancelled. In the loop's pool it would hold up whatever else
    the daemon does in threads, and its exit.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def deliver(result: T | None, error: Exception | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast("T", result))

    def run() -> None:
        result: T | None = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 -- the boundary of the thread: it goes on in the task that waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
            loop.call_soon_threadsafe(deliver, result, failure)

    threading.Thread(target=run, name="headstay-resolve", daemon=True).start()
    return await done
