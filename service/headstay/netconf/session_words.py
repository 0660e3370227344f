"""What goes into the core of a NETCONF session and what comes out of it. Owns the words and no behaviour."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from headstay.errors import NetconfError, RpcErrors
from headstay.netconf.messages import Reply, Rpc, Unreadable


class Termination(enum.Enum):
    """Why a session ended; the words are RFC 6470's (section 2.2, netconf-session-end)."""

    CLOSED = "closed"
    KILLED = "killed"
    DROPPED = "dropped"
    TIMEOUT = "timeout"
    BAD_HELLO = "bad-hello"
    OTHER = "other"


# inputs


@dataclass(frozen=True, slots=True)
class Opened:
    """The transport is there."""


@dataclass(frozen=True, slots=True)
class Octets:
    """The client sent something."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class PeerClosed:
    """The client will send nothing more. It still reads: what it asked for before is answered."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The transport is gone; nothing can be sent any more."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """The large message may be taken in."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What stands in the message that was to be parsed."""

    message: Rpc | Unreadable


@dataclass(frozen=True, slots=True)
class Replied:
    """What came of the rpc that was to be executed."""

    outcome: Reply | NetconfError | RpcErrors


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The session has subscribed to notifications: from now on it may have nothing to say for as long as it likes."""


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """The subscription is over, and the session goes on: it is as idle as any other."""


@dataclass(frozen=True, slots=True)
class Notified:
    """There is a notification for a session that has subscribed."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Killed:
    """The session shall end at once."""

    termination: Termination = Termination.KILLED
    reason: str = "ended by the server"
    """For the log."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """The session's user is one no more. It ends, but not before the rpc that runs is answered, if that is soon."""

    reason: str
    """For the log."""


@dataclass(frozen=True, slots=True)
class Tick:
    """The time of `deadline` may have come."""


Input = (
    Opened
    | Octets
    | PeerClosed
    | Lost
    | Reserved
    | Parsed
    | Replied
    | Subscribed
    | Unsubscribed
    | Notified
    | Killed
    | Revoked
    | Tick
)


# effects


@dataclass(frozen=True, slots=True)
class Send:
    """Send these octets."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hand back `Reserved` when a large message may be taken in."""


@dataclass(frozen=True, slots=True)
class Release:
    """The large message is answered. Without this effect its reservation ends with the session's last operation."""


@dataclass(frozen=True, slots=True)
class Parse:
    """Read this message with `messages.read_message` in a thread that ends with it, and hand back `Parsed`."""

    octets: bytes
    most_elements: int


@dataclass(frozen=True, slots=True)
class Execute:
    """Execute this rpc and hand back `Replied`."""

    rpc: Rpc


@dataclass(frozen=True, slots=True)
class CloseTransport:
    """Close the transport once everything sent before has left. The session is over."""

    reason: str
    """For the log."""


Effect = Send | Reserve | Release | Parse | Execute | CloseTransport
