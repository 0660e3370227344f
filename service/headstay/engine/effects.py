"""What the machine asks its shell to do. Frozen; the shell performs them in the order given and never waits for one.

A step is performed in the background; it ends with exactly one input that says what came of it, unless `Disconnect`
comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from headstay.engine.events import Event
from headstay.engine.inputs import AddressInfo, UnbindOutcome
from headstay.engine.settings import Server, Service, Settings
from headstay.wire.messages import ToCloud


@dataclass(frozen=True, slots=True)
class Resolve:
    """Begin attempt `attempt` at `server`: find its addresses. Ends with Resolved or Failed.

    `settings` are those of the whole attempt.
    """

    attempt: int
    server: Server
    settings: Settings


@dataclass(frozen=True, slots=True)
class Connect:
    """Dial the addresses, make TLS. Ends with Connected or Failed."""

    attempt: int
    addresses: tuple[AddressInfo, ...]


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Prove who the device is. Ends with Authenticated or Failed."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Register:
    """Ask where the main connection goes. Ends with Registered, TokenRefused or Failed."""

    attempt: int
    token: str = field(repr=False)
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Handshake:
    """Open the main connection. Ends with Handshaken or Failed."""

    attempt: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Probe:
    """Ask `server`, beside the main connection of `attempt`, whether it would take the device.

    Goes as far as authentication. Ends with Probed or ProbeFailed; `Disconnect` of that attempt ends it too.
    """

    attempt: int
    server: Server
    settings: Settings


@dataclass(frozen=True, slots=True)
class AskToUnbind:
    """Have a server unbind the device by HTTPS, beside whatever else goes on. Ends with UnbindConcluded.

    The servers of `settings` are asked in their order, up to the first that answers.
    """

    request: int
    code: str = field(repr=False)
    settings: Settings


@dataclass(frozen=True, slots=True)
class UnbindEnded:
    """Tell whoever made this request what came of it."""

    request: int
    outcome: UnbindOutcome


@dataclass(frozen=True, slots=True)
class Disconnect:
    """Let go of everything that attempt holds: the step that runs, the connection, its subconnections."""

    attempt: int
    reason: str
    """For the peer to read in the closing frame."""
    graceful: bool
    """False when the peer is dead: do not wait for its answer."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send a message on the main connection."""

    message: ToCloud


@dataclass(frozen=True, slots=True)
class SendPing:
    """Send a WebSocket ping on the main connection, so that NAT entries do not age out. Nobody waits for the pong."""


@dataclass(frozen=True, slots=True)
class OpenSubconnection:
    """Open a subconnection. Ends with SubconnectionOpened and later SubconnectionEnded, or with the latter alone."""

    attempt: int
    instance: str
    service: str
    url: str = field(repr=False)
    limits: Service


@dataclass(frozen=True, slots=True)
class TuneSubconnections:
    """The limits of a service have changed: its subconnections take them over and stay open."""

    limits: Service


@dataclass(frozen=True, slots=True)
class CloseSubconnection:
    """Close a subconnection; nothing more is said of it."""

    instance: str


@dataclass(frozen=True, slots=True)
class WakeServices:
    """Tell the cores of this service that something they wait for may have come."""

    service: str


@dataclass(frozen=True, slots=True)
class ClearTraffic:
    """Set the counters of every subconnection to zero; only their tasks have them."""


@dataclass(frozen=True, slots=True)
class Emit:
    """Tell whoever observes what happened."""

    event: Event


Step = Resolve | Connect | Authenticate | Register | Handshake
Effect = (
    Step
    | Probe
    | AskToUnbind
    | UnbindEnded
    | Disconnect
    | SendMessage
    | SendPing
    | OpenSubconnection
    | TuneSubconnections
    | CloseSubconnection
    | WakeServices
    | ClearTraffic
    | Emit
)
