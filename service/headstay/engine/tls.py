"""From TLS settings to an SSLContext. Pure but for the system's trust store; knows no connection.

Verification has no off switch. TLS 1.2 is the least that is spoken.
"""

from __future__ import annotations

import os
import ssl

from headstay.engine.settings import Tls
from headstay.errors import HeadstayError


class TlsSettingsError(HeadstayError):
    """A PEM text that cannot be used. `leaf` names the model's leaf; the message holds nothing of the text itself."""

    def __init__(self, leaf: str, message: str) -> None:
        super().__init__(message)
        self.leaf = leaf


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return the context for every connection that the device dials.

    Reads the system's store where no trust anchor is configured, which takes tens of milliseconds: on a running loop,
    call it in a thread. Raises TlsSettingsError if a PEM text is malformed, or certificate and key do not match.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
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
    # The ssl module reads keys from files only. A memory file never touches a disk and dies with its descriptor.
    descriptor = os.memfd_create("headstay-client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        try:
            file.write(f"{tls.client_certificate}\n{tls.private_key}\n")
            file.flush()
            # An encrypted key would make OpenSSL ask at a terminal; an empty password makes it an error instead.
            context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
        except (ssl.SSLError, ValueError, OSError):
            raise TlsSettingsError(
                "client-certificate",
                "client certificate and private key are not a matching pair of unencrypted PEM texts",
            ) from None
