"""The certificate that a server shows, for a person to read: whose it is, who issued it, until when it is valid.

Shell. **Nothing here decides whether a server is trusted.** `look` is the one place that makes a TLS handshake without
verification, with a context of its own, because a handshake that was refused does not show the certificate that it
was refused for. It sends nothing, shows no certificate of the device, reads nothing, and closes at once.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

from headstay.engine.explanations import listed
from headstay.engine.inputs import AddressInfo
from headstay.engine.race import Course, race
from headstay.wire.text import legible

LOOK_WITHIN = 4.0
"""Seconds."""
_MOST_CERTIFICATES = 10
"""Of a chain; a hostile server may send more."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a server shows of itself. All of it is legible."""

    names: str
    issuer: str
    until: str
    chain: str
    """Where its chain leads to, or breaks off."""


def describe(tls: ssl.SSLObject) -> str:
    """Return what was agreed on and shown on a connection that was verified."""
    shown = shown_on(tls)
    version = tls.version() or "TLS"
    if shown is None:
        return version
    return f"{version}; certificate for {shown.names}, issued by {shown.issuer}, valid until {shown.until}"


def shown_on(tls: ssl.SSLObject) -> Shown | None:
    """Return what the server has shown on a connection; None if it cannot be read."""
    leaf = tls.getpeercert(True)
    if leaf is None:
        return None
    try:
        chain = _sent(tls) or [x509.load_der_x509_certificate(leaf)]
        own = chain[0]
        names = _names(own)
        until = f"{own.not_valid_after_utc:%Y-%m-%d}"
        return Shown(listed(names) if names else "no name", _called(own.issuer), until, _end(chain))
    except (ValueError, IndexError):  # nothing obliges a server to show what can be read
        return None


async def look(host: str, address: AddressInfo, local: Sequence[AddressInfo] | None) -> Shown | None:
    """Return what the server at an address shows, trusted or not; None if that cannot be found out.

    `local`: where the connection comes from, as in `Course`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(LOOK_WITHIN):
            connection = await race(Course(host, [address], context, local))
    except Exception:  # noqa: BLE001 -- the failure that is to be explained stands; this only adds to it
        return None
    try:
        return None if connection.tls is None else shown_on(connection.tls)
    finally:
        connection.abort()


def _sent(tls: ssl.SSLObject) -> list[x509.Certificate]:
    """Return the certificates that the server has sent, its own first; nothing where Python does not tell them."""
    public: Callable[[], list[bytes]] | None = getattr(tls, "get_unverified_chain", None)  # since Python 3.13
    if public is not None:
        return [x509.load_der_x509_certificate(octets) for octets in public()[:_MOST_CERTIFICATES]]
    # Before that only the object inside has them, hence a way to do without.
    inside: Callable[[], list[Any]] | None = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    sent = (inside() if inside is not None else None) or []
    return [x509.load_pem_x509_certificate(one.public_bytes().encode()) for one in sent[:_MOST_CERTIFICATES]]


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(str(name.value) for name in extension if isinstance(name, x509.DNSName | x509.IPAddress))


def _called(name: x509.Name) -> str:
    attributes = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(
        NameOID.ORGANIZATION_NAME
    )
    return f"“{legible(str(attributes[0].value) if attributes else name.rfc4514_string())}”"


def _end(chain: list[x509.Certificate]) -> str:
    """Say where a chain leads to: who would have to be trusted."""
    own = last = chain[0]
    if own.issuer == own.subject:
        return "it is self-signed"
    others = chain[1:]
    while last.issuer != last.subject:
        above = next((one for one in others if one.subject == last.issuer), None)
        if above is None:
            return f"the certificate of its issuer {_called(last.issuer)} is missing"
        others.remove(above)
        last = above
    return f"its chain ends at {_called(last.subject)}, which is not trusted"
