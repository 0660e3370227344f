"""From TLS settings to an SSLContext. Pure but for the system's trust store; knows no connection.

Verification has no off switch. TLS 1.2 is the least that is spoken.

TLS sessions are resumed (RFC 8446 section 2.2): each connection to a server saves the cloud a full handshake. A session
belongs to one server name, is used for one connection (RFC 8446 appendix C.4), and dies with its context: with a change
of the settings, a certificate that is not verified, or after LONGEST_LIFE. So no verification is older than that.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from headstay.engine.instant import Instant, read_clock
from headstay.engine.settings import Tls
from headstay.errors import HeadstayError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LONGEST_LIFE = 3600.0
"""Seconds after which a context is made anew: the system's store may have changed, and sessions end with it."""


class TlsSettingsError(HeadstayError):
    """A PEM text that cannot be used. `leaf` names the model's leaf; the message holds nothing of the text itself."""

    def __init__(self, leaf: str, message: str) -> None:
        super().__init__(message)
        self.leaf = leaf


class TlsContexts:
    """The context of the present settings, kept so that its sessions can be resumed."""

    def __init__(self, clock: Callable[[], Instant] = read_clock) -> None:
        self._clock = clock
        self._kept: tuple[Tls, float, ssl.SSLContext] | None = None

    def context(self, tls: Tls) -> ssl.SSLContext:
        """Return the context for these settings; as `tls_context`, to be called in a thread."""
        now = self._clock().monotonic
        if self._kept is not None:
            of, made_at, context = self._kept
            if of == tls and now - made_at < LONGEST_LIFE:
                return context
        context = tls_context(tls)
        self._kept = tls, now, context
        return context

    def forget(self) -> None:
        """Make the next context anew, without a session."""
        self._kept = None


class _ResumableObject(ssl.SSLObject):
    """A TLS connection that leaves its session to the next one to the same server."""

    _left = False

    def read(self, len: int = 1024, buffer: WriteableBuffer | None = None) -> Any:
        """Read; the first octets come after TLS 1.3's ticket, which is in the session from then on."""
        result = super().read(len) if buffer is None else super().read(len, buffer)
        if not self._left and result and isinstance(self.context, _ResumingContext):
            self._left = True
            self.context.leave(self.server_hostname, self.session)
        return result


class _ResumingContext(ssl.SSLContext):
    """A context whose connections begin with the last session of their server, where there is one."""

    sslobject_class = _ResumableObject

    def __init__(self, protocol: int) -> None:
        del protocol  # __new__ has it
        self._sessions: dict[str | None, ssl.SSLSession] = {}

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection; asyncio, which calls this, has no way to hand a session over."""
        name = server_hostname.decode() if isinstance(server_hostname, bytes) else server_hostname
        session = session or self._sessions.pop(name, None)
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

    def leave(self, name: str | None, session: ssl.SSLSession | None) -> None:
        """Keep a session for the next connection to a server."""
        if session is not None and session.has_ticket:
            self._sessions[name] = session


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for every connection that the device dials.

    Reads the system's store where no trust anchor is configured, which takes tens of milliseconds: on a running loop,
    call it in a thread. Raises TlsSettingsError if a PEM text is malformed, or certificate and key do not match.
    """
    context = _ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.trust_anchors:
        # RFC 5280 section 6.1.1 (d): whatever is configured as a trust anchor is one, be it self-signed or not.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        for anchor in tls.trust_anchors:
            _trust(context, anchor)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _identify(context, tls)
    return context


def _trust(context: ssl.SSLContext, anchor: str) -> None:
    try:
        context.load_verify_locations(cadata=anchor)
    except (ssl.SSLError, ValueError, TypeError):  # a TypeError is a text that is not ASCII
        raise TlsSettingsError("trust-anchor", "a trust anchor is not a certificate in PEM form") from None


def _identify(context: ssl.SSLContext, tls: Tls) -> None:
    if tls.client_certificate is None and tls.private_key is None:
        return
    if tls.client_certificate is None:
        raise TlsSettingsError("client-certificate", "a private key needs its client certificate")
    if tls.private_key is None:
        raise TlsSettingsError("private-key", "a client certificate needs its private key")
    # An encrypted key would make OpenSSL ask at a terminal; an empty password makes it an error instead.
    _read_client_pem(
        f"{tls.client_certificate}\n{tls.private_key}\n", lambda file: context.load_cert_chain(file, password="")
    )


def check_client_certificate(certificate: str) -> None:
    """Look at a client certificate without its key. Raises TlsSettingsError, as `tls_context`, if it is none."""
    _read_client_pem(certificate, ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations)


def _read_client_pem(text: str, read: Callable[[str], None]) -> None:
    # The ssl module reads keys from files only. A memory file never touches a disk and dies with its descriptor.
    descriptor = os.memfd_create("headstay-client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
            read(f"/proc/self/fd/{descriptor}")
        except (ssl.SSLError, ValueError, OSError):
            raise TlsSettingsError(
                "client-certificate",
                "client certificate and private key are not a matching pair of unencrypted PEM texts",
            ) from None
