"""Why a step failed: the one place that turns exceptions and HTTP answers into the model's failure reasons.

Knows no state. No detail holds a secret, and each is `legible`: it ends in logs, states and notifications.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from html import unescape
from urllib.parse import urlsplit

import h11
from websockets.exceptions import (
    InvalidHandshake,
    InvalidHeader,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
    NegotiationError,
    WebSocketException,
)

from headstay.engine.inputs import Failure
from headstay.engine.reasons import FailureReason
from headstay.engine.tls import TlsSettingsError
from headstay.errors import HeadstayError, WireError
from headstay.wire import MAXIMUM_BODY, messages
from headstay.wire.scram import WrongProof
from headstay.wire.text import legible

# X509_V_ERR_* of OpenSSL's x509_vfy.h.
_NOT_VALID_NOW = (9, 10)  # not yet, and no longer
_NAME_MISMATCH = (62, 64)  # of a host name, of an IP address
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST")
"""OpenSSL's reasons for an answer that is plain text."""
_TITLE = re.compile(rb"<title>([^<]{1,200})</title", re.IGNORECASE)
_TITLE_WITHIN = 4096
"""Octets of a page in which its title is looked for."""


_IN_WORDS: Mapping[type[BaseException], str] = {
    EOFError: "the server closed the connection",
    ConnectionResetError: "the connection was reset",
    ConnectionRefusedError: "the connection was refused",
    BrokenPipeError: "the server closed the connection",
    TimeoutError: "nothing came in time",
    OSError: "the connection broke",
    h11.RemoteProtocolError: "what the server answers is not HTTP",
    InvalidMessage: "what the server answers is not HTTP",
    InvalidUpgrade: "the server did not switch to WebSocket",
    NegotiationError: "the server chose a WebSocket subprotocol or extension that was not offered",
    InvalidHeader: "the server's answer to the WebSocket handshake has a wrong or missing field",
    InvalidHandshake: "the server's answer is not that of a WebSocket handshake",
    WebSocketException: "the server breaks the WebSocket protocol",
    UnicodeError: "a text has characters that cannot be sent",
}
"""What exceptions mean that say nothing for a person to read. The first that fits counts."""
_UNFORESEEN = "something unforeseen; the log names it at level debug"


class StepFailed(HeadstayError):
    """A step failed for a reason that is known where it is raised."""

    def __init__(self, reason: FailureReason, details: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason.value)
        self.failure = Failure(reason, details, retry_after)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes
    location: str = ""
    """Where a redirect leads. Nobody follows it."""


def classify(error: BaseException) -> Failure:
    """Return the failure that an exception stands for. Anything unforeseen is a protocol-error."""
    match error:
        case StepFailed():
            return error.failure
        case socket.gaierror():
            return Failure(FailureReason.DNS_FAILED, legible(error.strerror or "no address"))
        case ssl.SSLCertVerificationError():
            return Failure(_certificate_reason(error.verify_code), legible(error.verify_message))
        case ssl.SSLError():
            return _tls_failure(error)
        case TlsSettingsError():
            return Failure(FailureReason.TLS_FAILED, f"{error.leaf}: {error}")
        case WrongProof():
            return Failure(FailureReason.SERVER_PROOF_WRONG, str(error))
        case InvalidStatus():
            response = error.response
            content_type = response.headers.get("Content-Type", "")
            location = response.headers.get("Location", "")
            answer = Answer(response.status_code, content_type, bytes(response.body or b""), location)
            return refusal(answer, FailureReason.HANDSHAKE_REFUSED)
        case InvalidMessage() if isinstance(error.__cause__, EOFError | OSError):
            return Failure(FailureReason.SOCKET_FAILED, _in_words(EOFError()))
        case EOFError():
            return Failure(FailureReason.SOCKET_FAILED, _in_words(error))
        case OSError():
            return Failure(FailureReason.SOCKET_FAILED, legible(error.strerror or str(error)) or _in_words(error))
        case WireError():
            return Failure(FailureReason.PROTOCOL_ERROR, legible(str(error)))
        case _:
            return Failure(FailureReason.PROTOCOL_ERROR, _in_words(error))


def _in_words(error: BaseException) -> str:
    """Return what an exception means. Its own text may quote what was received, a ticket for instance: it is not told.

    Nor is its class, whose name is for programmers: the log has it, at level debug.
    """
    return next((words for kind, words in _IN_WORDS.items() if isinstance(error, kind)), _UNFORESEEN)


def refusal(answer: Answer, refused: FailureReason) -> Failure:
    """Return the failure that an answer other than success stands for; `refused` is what a 403 means here."""
    if intercepted(answer):
        return Failure(FailureReason.HTTP_INTERCEPTED, legible(_page(answer)))
    if len(answer.body) > MAXIMUM_BODY:
        return Failure(FailureReason.PROTOCOL_ERROR, "the answer is too large")
    try:
        if answer.status == 403:
            return Failure(refused, legible(messages.decode_body(answer.body, messages.Refused).reason))
        if answer.status == 503:
            busy = messages.decode_body(answer.body, messages.Busy)
            return Failure(FailureReason.SERVER_BUSY, legible(busy.reason), busy.retry_after)
    except WireError as error:
        if answer.status == 403 and refused is FailureReason.HANDSHAKE_REFUSED:
            return Failure(refused)  # the wire gives a bad ticket's 403 no body
        return Failure(FailureReason.PROTOCOL_ERROR, legible(f"HTTP {answer.status}: {error}"))
    return Failure(FailureReason.PROTOCOL_ERROR, f"HTTP {answer.status}")


def intercepted(answer: Answer) -> bool:
    """Tell whether something other than a cloud answered: a redirect, or a page for people."""
    return 300 <= answer.status < 400 or answer.content_type.partition(";")[0].strip().lower() == "text/html"


def _page(answer: Answer) -> str:
    """Say what answered in the cloud's place: a captive portal, mostly, gives itself away by its name."""
    try:
        host = urlsplit(answer.location).hostname
    except ValueError:
        host = None
    title = _TITLE.search(answer.body[:_TITLE_WITHIN])
    said = f"HTTP {answer.status}"
    if host:
        said += f", which leads to {host}"
    if title:
        said += f", a page with the title “{' '.join(unescape(title[1].decode(errors='replace')).split())}”"
    return said


def _certificate_reason(verify_code: int) -> FailureReason:
    if verify_code in _NAME_MISMATCH:
        return FailureReason.CERTIFICATE_NAME_MISMATCH
    if verify_code in _NOT_VALID_NOW:
        return FailureReason.CERTIFICATE_NOT_VALID_NOW
    return FailureReason.CERTIFICATE_UNTRUSTED


def _tls_failure(error: ssl.SSLError) -> Failure:
    if error.reason in _NOT_TLS:
        return Failure(FailureReason.HTTP_INTERCEPTED, "the server does not speak TLS")
    return Failure(FailureReason.TLS_FAILED, legible((error.reason or "TLS failed").lower().replace("_", " ")))
