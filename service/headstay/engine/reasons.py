"""The states and reasons that the link can have: one list, with the human text where `headstay show` prints one.

The values are the model's enumeration names. Knows nothing of how they come about.
"""

from __future__ import annotations

import enum


class State(enum.Enum):
    """The cloud connection as a whole."""

    UNCONNECTED = "unconnected"
    REQUEST = "request"
    ESTABLISHED = "established"


class DeviceState(enum.Enum):
    """How far the device has come: the states of the machine."""

    IDLE = "idle"
    WAITING = "waiting"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    AUTHENTICATION_FAILED = "authentication-failed"
    AUTHENTICATED = "authenticated"
    REGISTERING = "registering"
    REGISTRATION_FAILED = "registration-failed"
    REGISTERED = "registered"
    HANDSHAKING = "handshaking"
    HANDSHAKE_FAILED = "handshake-failed"
    CONNECTED = "connected"


class ProcessState(enum.Enum):
    """How far the last message came."""

    DNS_NOT_PARSED = "dns-not-parsed"
    DNS_PARSED = "dns-parsed"
    MESSAGE_NOT_SENT = "message-not-sent"
    MESSAGE_SENT = "message-sent"
    MESSAGE_NOT_RECEIVED = "message-not-received"
    MESSAGE_RECEIVED = "message-received"


class FailureReason(enum.Enum):
    """Why the last attempt failed."""

    DNS_FAILED = "dns-failed"
    SOCKET_FAILED = "socket-failed"
    TLS_FAILED = "tls-failed"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_NAME_MISMATCH = "certificate-name-mismatch"
    CERTIFICATE_NOT_VALID_NOW = "certificate-not-valid-now"
    HTTP_INTERCEPTED = "http-intercepted"
    AUTHENTICATION_REFUSED = "authentication-refused"
    SERVER_PROOF_WRONG = "server-proof-wrong"
    REGISTRATION_REFUSED = "registration-refused"
    HANDSHAKE_REFUSED = "handshake-refused"
    PROTOCOL_ERROR = "protocol-error"
    SERVER_BUSY = "server-busy"
    TIMEOUT_RESOLVING = "timeout-resolving"
    TIMEOUT_CONNECTING = "timeout-connecting"
    TIMEOUT_AUTHENTICATING = "timeout-authenticating"
    TIMEOUT_REGISTERING = "timeout-registering"
    TIMEOUT_HANDSHAKING = "timeout-handshaking"


class DownReason(enum.Enum):
    """Why the last established connection ended."""

    SOCKET_ERROR = "socket-error"
    KEEPALIVE_TIMEOUT = "keepalive-timeout"
    CLOSED_BY_SERVER = "closed-by-server"
    REPLACED_BY_NEWER_CONNECTION = "replaced-by-newer-connection"
    CONFIGURATION_CHANGED = "configuration-changed"
    DHCP_CHANGED = "dhcp-changed"
    DISABLED = "disabled"
    RECONNECT_REQUESTED = "reconnect-requested"
    UNBOUND = "unbound"
    REMOVED_FROM_CLOUD = "removed-from-cloud"
    PROCESS_RESTARTED = "process-restarted"


class ReportFailure(enum.Enum):
    """Why a report could not be delivered; `reports` says what counts as a failure."""

    NOT_CONNECTED = "not-connected"
    SEND_FAILED = "send-failed"
    NOT_ACKNOWLEDGED = "not-acknowledged"


class ReportIncomplete(enum.Enum):
    """Why the last report that was lost, or delivered in part, was so."""

    BUFFER_FULL = "buffer-full"
    CONNECTION_LOST = "connection-lost"
    TOO_LARGE = "too-large"


class SubconnectionState(enum.Enum):
    """How far a subconnection has come."""

    OPENING = "opening"
    ESTABLISHED = "established"
    CLOSED = "closed"
    FAILED = "failed"
    DISABLED = "disabled"
    UNSUPPORTED = "unsupported"


_SHOWN: dict[enum.Enum, str] = {
    DeviceState.AUTHENTICATING: "Request_cloud_auth",
    DeviceState.AUTHENTICATION_FAILED: "Request_cloud_auth_failed",
    DeviceState.AUTHENTICATED: "Request_cloud_auth_success",
    DeviceState.REGISTERING: "Register",
    DeviceState.REGISTRATION_FAILED: "Register_failed",
    DeviceState.REGISTERED: "Register_success",
    DeviceState.HANDSHAKING: "Request",
    DeviceState.HANDSHAKE_FAILED: "Request_failed",
    DeviceState.CONNECTED: "Request_success",
    ProcessState.DNS_NOT_PARSED: "DNS not parsed",
    ProcessState.DNS_PARSED: "DNS parsed",
    DownReason.SOCKET_ERROR: "socket connection error",
}
_CAPITALISED = (State, DeviceState, ProcessState)


def shown(value: enum.Enum) -> str:
    """Return the text that `headstay show` prints for a value."""
    text = _SHOWN.get(value)
    if text is not None:
        return text
    words = str(value.value).replace("-", " ")
    return words.capitalize() if isinstance(value, _CAPITALISED) else words
