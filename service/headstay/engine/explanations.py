"""What to do about each failure, in words for whoever stands in front of the device. Pure text; knows no socket."""

from __future__ import annotations

from collections.abc import Mapping

from headstay.engine.inputs import Failure
from headstay.engine.reasons import FailureReason
from headstay.engine.verdicts import StageName
from headstay.wire.text import legible

ADVICE: Mapping[FailureReason, str] = {
    FailureReason.DNS_FAILED: "Check the spelling of the name, and that the device's name servers know it.",
    FailureReason.SOCKET_FAILED: "Check that the server is up and listens on this port, that no firewall refuses the "
    "connection, and the device's route and source address.",
    FailureReason.TLS_FAILED: "Server and device do not agree on TLS. The server must speak TLS 1.2 or later; if it "
    "demands a client certificate, configure tls/client-certificate.",
    FailureReason.CERTIFICATE_UNTRUSTED: "If it is your own issuer, configure its certificate as tls/trust-anchor. If "
    "the server leaves out an intermediate certificate, have it send the whole chain. If the issuer is strange to "
    "you, a proxy or portal on the way intercepts TLS.",
    FailureReason.CERTIFICATE_NAME_MISMATCH: "Configure the server by a name that its certificate holds, or give the "
    "server a certificate with this one. If the certificate is somebody else's, the name leads to the wrong place.",
    FailureReason.CERTIFICATE_NOT_VALID_NOW: "If this device's clock is wrong, set it (NTP); if it is right, the "
    "certificate must be renewed.",
    FailureReason.HTTP_INTERCEPTED: "Something else than the cloud answers. Log in to the network's portal, or have "
    "the proxy let this device through to the server.",
    FailureReason.AUTHENTICATION_REFUSED: "The cloud does not let this device in; its log says why.",
    FailureReason.SERVER_PROOF_WRONG: "The server does not know this device's password, so it is not your cloud, or "
    "the cloud holds another password. The device will not use it.",
    FailureReason.REGISTRATION_REFUSED: "The cloud knows the device and does not let it register; its log says why.",
    FailureReason.HANDSHAKE_REFUSED: "The server that registration named did not accept its ticket. Check that it "
    "belongs to this cloud, and that no proxy takes away the query of a URL.",
    FailureReason.PROTOCOL_ERROR: "What answers is not a headstay cloud, or something on the way changes its answers. "
    "Check domain and port.",
    FailureReason.SERVER_BUSY: "Wait and try again. A device that was refused many times is told to wait, too.",
    FailureReason.TIMEOUT_RESOLVING: "Check that the device reaches its name servers.",
    FailureReason.TIMEOUT_CONNECTING: "Nothing answers. Check the device's route, and that no firewall drops "
    "connections to this port.",
    FailureReason.TIMEOUT_AUTHENTICATING: "The server takes requests and does not answer them. It is overloaded, or a "
    "proxy on the way holds them up.",
    FailureReason.TIMEOUT_REGISTERING: "The server is overloaded, or cannot reach its own database; see its log.",
    FailureReason.TIMEOUT_HANDSHAKING: "A proxy or firewall on the way holds WebSockets up. Have it let them through "
    "to this server.",
}
"""What to do, for each reason."""

IN_STAGE: Mapping[tuple[StageName, FailureReason], str] = {
    (StageName.TLS, FailureReason.SOCKET_FAILED): "TCP works, and the connection is cut when TLS begins. Check that "
    "this is the port of a TLS server, and that no firewall filters TLS by the server's name.",
    (StageName.TLS, FailureReason.TIMEOUT_CONNECTING): "TCP works, and nothing answers to TLS. Check that this is the "
    "port of a TLS server, that no firewall holds TLS up, and the MTU of the way.",
    (StageName.TLS, FailureReason.HTTP_INTERCEPTED): "Check the port. If it is right, a proxy or portal answers in "
    "the server's place: log in to it, or have it let this device through.",
    (StageName.HANDSHAKE, FailureReason.PROTOCOL_ERROR): "A proxy on the way does not let WebSockets through. Have it "
    "hand on the Upgrade and Connection fields, or let this device go past it.",
    (StageName.HANDSHAKE, FailureReason.SOCKET_FAILED): "Check that this server is up, and that no proxy or firewall "
    "on the way cuts WebSockets.",
}
"""What to do instead where the stage tells more."""

REFUSED: Mapping[str, str] = {
    "unknown-serial": "Add this device's serial number to the cloud.",
    "bad-proof": "Device and cloud hold different passwords for this serial number: set server/password, or the one "
    "that DHCP gives, to the cloud's.",
    "password-required": "The cloud holds a password for this serial number, and the device has none: configure "
    "server/password.",
    "certificate-mismatch": "The common name of the device's client certificate must be its serial number.",
    "not-allowed": "The device has a password, and the cloud holds none for this serial number: set it in the cloud, "
    "or remove it from the device.",
}
"""What to do about each reason of a refusal that the wire knows."""


_REFUSALS = (
    FailureReason.AUTHENTICATION_REFUSED,
    FailureReason.REGISTRATION_REFUSED,
    FailureReason.HANDSHAKE_REFUSED,
)


def explain(stage: StageName, failure: Failure, found: str | None = None) -> str:
    """Return what was found and what to do about it, in one line; `found` where more is known than the failure says."""
    advice = IN_STAGE.get((stage, failure.reason), ADVICE[failure.reason])
    if failure.reason is FailureReason.AUTHENTICATION_REFUSED:
        advice = REFUSED.get(failure.details or "", advice)
    said = found or _said(failure)
    if failure.retry_after:
        said += f", to be asked again in {failure.retry_after:.0f} s"
    return f"{said[:1].upper()}{said[1:].rstrip('.')}. {advice}"


def _said(failure: Failure) -> str:
    if failure.details is None:
        return failure.reason.value.replace("-", " ")
    if failure.reason in _REFUSALS:
        return f"refused: {failure.details}"
    return f"the answer was {failure.details}" if failure.details.startswith("HTTP ") else failure.details


def listed(texts: tuple[str, ...], most: int = 4) -> str:
    """Return some texts from elsewhere in one line, and how many more there are."""
    shown = ", ".join(legible(text) for text in texts[:most])
    return shown if len(texts) <= most else f"{shown} and {len(texts) - most} more"
