"""Everything that can ever drive the machine: the user, the network, the timer. Frozen; no I/O in any of it.

What a step of an attempt reports carries the attempt's number. The machine ignores numbers other than the one that is
live: they belong to an attempt that it has given up.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any

from headstay.engine.actions import Action
from headstay.engine.reasons import DownReason, FailureReason
from headstay.engine.settings import Server
from headstay.wire.messages import Message, Unknown

AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""One entry of getaddrinfo's answer; the machine only hands it on."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a step of an attempt failed."""

    reason: FailureReason
    details: str | None = None
    """For a person to read; holds no secret."""
    retry_after: float | None = None
    """Seconds that the server asked for."""


class UnbindFailure(enum.Enum):
    """Why the device was not unbound; the model's error-app-tags of `unbind`."""

    WRONG_CODE = "wrong-code"
    EXPIRED_CODE = "expired-code"
    TOO_MANY_ATTEMPTS = "too-many-attempts"
    SERVER_BUSY = "server-busy"
    PROTOCOL_ERROR = "protocol-error"
    NOT_REACHED = "not-reached"
    NO_ANSWER = "no-answer"
    NO_SERVER = "no-server"
    DISABLED = "disabled"
    UNREADABLE_SECRET = "unreadable-secret"  # noqa: S105 (a reason)
    UNDER_WAY = "under-way"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class UnbindOutcome:
    """What came of a verification code."""

    failure: UnbindFailure | None = None
    """None: the device is unbound."""
    details: str | None = None
    """For a person to read; holds no secret."""


# the user -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The engine runs: from now on the machine may dial."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The engine ends: the machine lets go of everything and dials no more."""


@dataclass(frozen=True, slots=True)
class Configured:
    """One commit's actions, applied as one."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class ReconnectRequested:
    """Somebody asked for a new connection, now."""


@dataclass(frozen=True, slots=True)
class CountersCleared:
    """Somebody wants to count from zero again."""


@dataclass(frozen=True, slots=True)
class ReportMade:
    """Something happened that the cloud shall know."""

    body: dict[str, object]
    time: float
    """Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class UnbindRequested:
    """Somebody gave a verification code. Ends with the effect UnbindEnded."""

    request: int
    """Which request this is: the shell's own number."""
    code: str = field(repr=False)


# servers that were asked to unbind the device, beside whatever the machine does --------------------


@dataclass(frozen=True, slots=True)
class UnbindConcluded:
    """How AskToUnbind ended."""

    request: int
    outcome: UnbindOutcome
    server: Server | None = None
    """Whose answer it is; None where there is none."""


# the network of the device -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkChanged:
    """A link, an address or a route of the device has changed: what failed before may work now."""


# the timer ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline may have passed."""


# the steps of an attempt --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Resolved:
    """The server's name has addresses."""

    attempt: int
    addresses: tuple[AddressInfo, ...]


@dataclass(frozen=True, slots=True)
class Connected:
    """TCP and TLS stand; the certificate is verified."""

    attempt: int
    address: str


@dataclass(frozen=True, slots=True)
class RequestSent:
    """A request of the present step is on its way."""

    attempt: int


@dataclass(frozen=True, slots=True)
class AnswerReceived:
    """The answer to the last request is here."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The server let the device in, and has proved what it had to prove."""

    attempt: int
    token: str = field(repr=False)
    expires_in: float
    """Seconds for which the token may register."""


@dataclass(frozen=True, slots=True)
class TokenRefused:
    """The server does not accept the token (any more)."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Registered:
    """The server told where the main connection goes."""

    attempt: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Handshaken:
    """The main connection stands."""

    attempt: int
    address: str
    """The address at its other end."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The present step failed."""

    attempt: int
    failure: Failure


# the main connection and its subconnections -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message came on the main connection."""

    attempt: int
    message: Message | Unknown


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """The main connection broke, or the server closed it."""

    attempt: int
    details: str | None = None
    reason: DownReason = DownReason.SOCKET_ERROR


@dataclass(frozen=True, slots=True)
class SubconnectionOpened:
    """A subconnection's WebSocket stands."""

    attempt: int
    instance: str


@dataclass(frozen=True, slots=True)
class SubconnectionEnded:
    """A subconnection's WebSocket could not be opened, or is gone."""

    attempt: int
    instance: str
    details: str | None = None
    """What went wrong; None when it ended in good order."""


# questions to earlier servers, beside the main connection of `attempt` -----------------------------


@dataclass(frozen=True, slots=True)
class Probed:
    """The server that was asked would take the device: it has let it in."""

    attempt: int
    server: Server
    token: str = field(repr=False)
    expires_in: float
    """Seconds for which the token may register."""


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """The server that was asked would not take the device, or was not reached."""

    attempt: int
    server: Server
    failure: Failure


OfAttempt = (
    Resolved
    | Connected
    | RequestSent
    | AnswerReceived
    | Authenticated
    | TokenRefused
    | Registered
    | Handshaken
    | Failed
    | MessageReceived
    | ConnectionLost
    | SubconnectionOpened
    | SubconnectionEnded
    | Probed
    | ProbeFailed
)
"""What carries an attempt's number."""
Input = (
    Started
    | Stopped
    | Configured
    | ReconnectRequested
    | CountersCleared
    | ReportMade
    | UnbindRequested
    | UnbindConcluded
    | LinkChanged
    | Tick
    | OfAttempt
)
