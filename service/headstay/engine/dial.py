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
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar, cast

from headstay.engine.failures import StepFailed, classify
from headstay.engine.http import HttpConnection
from headstay.engine.inputs import AddressInfo, Failure
from headstay.engine.race import Course, Missed, Reached, race, unheard
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import AddressFamily, Settings
from headstay.engine.tls import TlsContexts, tls_context

T = TypeVar("T")

_FAMILY = {
    AddressFamily.ANY: socket.AF_UNSPEC,
    AddressFamily.IPV4: socket.AF_INET,
    AddressFamily.IPV6: socket.AF_INET6,
}
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


class TlsFailed(StepFailed):
    """TCP stood, and TLS failed; of several addresses this is the one whose failure tells the most."""

    def __init__(self, failure: Failure, address: AddressInfo) -> None:
        super().__init__(failure.reason, failure.details)
        self.address = address


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
    target: Target,
    addresses: Sequence[AddressInfo],
    settings: Settings,
    contexts: TlsContexts,
    reached: Reached = unheard,
) -> HttpConnection:
    """Connect to one of the addresses and verify the server; each gets its turn. `reached`: where TCP stands.

    Raises OSError if TCP stood nowhere, TlsFailed or TlsSettingsError.
    """
    context = await asyncio.to_thread(contexts.context, settings.tls)
    try:
        return await race(_course(target, addresses, settings, context, reached))
    except Missed as missed:
        failure = classify(missed.error)
        if isinstance(missed.error, ssl.SSLCertVerificationError):
            contexts.forget()
        if failure.reason is FailureReason.CERTIFICATE_NOT_VALID_NOW:
            failure = replace(failure, details=await _both_times(target, missed.address, settings))
        raise TlsFailed(failure, missed.address) from None


def _course(
    target: Target,
    addresses: Sequence[AddressInfo],
    settings: Settings,
    context: ssl.SSLContext,
    reached: Reached = unheard,
) -> Course:
    local = None if settings.source_address is None else local_addresses(settings.source_address)
    return Course(target.host, addresses, context, local, reached)


async def _both_times(target: Target, address: AddressInfo, settings: Settings) -> str:
    """Say when the certificate is valid and what this device believes the time to be.

    A refused handshake does not show the certificate, so the device makes one more that checks trust and name as ever
    and leaves out the time; it sends nothing and closes at once.
    """
    now = datetime.now(UTC)
    text = f"this device's clock says {now:%Y-%m-%dT%H:%M:%SZ}"
    context = await asyncio.to_thread(tls_context, settings.tls)  # of its own: nothing else may ever use it
    context.verify_flags |= _NO_CHECK_TIME
    with contextlib.suppress(OSError, Missed):
        connection = await race(_course(target, [address], settings, context))
        validity = connection.certificate_validity()
        connection.abort()
        if validity is not None:
            first, last = (datetime.fromtimestamp(ssl.cert_time_to_seconds(time), UTC) for time in validity)
            which = (
                "the certificate" if not first <= now <= last else "an issuer's certificate is not; the server's own"
            )
            return f"{which} is valid from {first:%Y-%m-%dT%H:%M:%SZ} to {last:%Y-%m-%dT%H:%M:%SZ}; {text}"
    return text


def local_addresses(address: str) -> Sequence[AddressInfo]:
    """Return what a connection from this address of the device is bound to."""
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
