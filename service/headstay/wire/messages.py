"""The bodies and messages of the wire, as msgspec structs. Owns their form; knows neither sockets nor state.

Every field name is the wire's own with `_` for `-`. Unknown fields are ignored (a later version may add some); a field
of the wrong type, or outside the bounds of `text`, is a WireError. `MessageDecoder.decode` returns `Unknown` for a type
that it does not know, since a receiver counts and ignores those.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from headstay.errors import WireError
from headstay.wire import MAXIMUM_BODY, text

SCRAM_SHA_256 = "SCRAM-SHA-256"
CERTIFICATE = "certificate"
NONE = "none"

UNBOUND = "unbound"
WRONG_CODE = "wrong-code"
EXPIRED_CODE = "expired-code"
TOO_MANY_ATTEMPTS = "too-many-attempts"
BUSY = "busy"
"""What can come of a verification code; BUSY on the main connection only."""

B = TypeVar("B", bound="Body")


def _kebab(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


class Body(msgspec.Struct, frozen=True, rename="kebab", omit_defaults=True):
    """What all bodies share: frozen, names in kebab case."""


class Message(Body, frozen=True, tag_field="type", tag=_kebab):
    """What all WebSocket messages share: a `type` that is the class's name in kebab case."""


# POST /v1/authenticate ----------------------------------------------------------------------------


class Authenticate(Body, frozen=True):
    """The first request: which serial number, and how it proves itself."""

    serial: text.Serial
    mechanism: text.Word
    """SCRAM_SHA_256, CERTIFICATE or NONE."""
    message: text.ScramText = ""
    """SCRAM's client-first-message (RFC 5802 section 7), the text itself."""


class AuthenticateFinal(Body, frozen=True):
    """SCRAM's second request."""

    exchange: text.Secret
    message: text.ScramText
    """client-final-message."""


class Challenge(Body, frozen=True):
    """SCRAM's first answer."""

    exchange: text.Secret
    message: text.ScramText
    """server-first-message."""


class Granted(Body, frozen=True):
    """The device is authenticated."""

    token: text.Secret
    expires_in: text.Seconds
    """Seconds for which `token` may register."""
    message: text.ScramText = ""
    """server-final-message: the device checks the signature in it before it uses the token. Empty without SCRAM."""

    def __repr__(self) -> str:
        return f"Granted(expires_in={self.expires_in})"


class Refused(Body, frozen=True):
    """403: the explicit failure answer.

    `reason` is unknown-serial, bad-proof, password-required, certificate-mismatch or not-allowed.
    """

    reason: text.Reason


class Busy(Body, frozen=True, omit_defaults=False):
    """503: try again after `retry_after` seconds (fractions allowed); the device obeys and adds jitter."""

    retry_after: text.Seconds
    reason: text.Reason = "busy"


# POST /v1/register --------------------------------------------------------------------------------


class Register(Body, frozen=True):
    """What the device says of itself."""

    serial: text.Serial
    model: text.Description
    software: text.Description
    boot_id: text.Word
    services: text.Services
    """The services that the device knows and has enabled. `Services` says so when that changes."""


class Registered(Body, frozen=True):
    """Where the main connection goes."""

    url: text.Url
    """A `wss` URL with a single-use ticket: a secret, never logged or shown."""
    generation: text.Number
    expires_in: text.Seconds
    """Seconds for which the ticket in `url` is good."""

    def __repr__(self) -> str:
        return f"Registered(generation={self.generation}, expires_in={self.expires_in})"


# POST /v1/unbind ----------------------------------------------------------------------------------


class UnbindRequest(Body, frozen=True):
    """The verification code that the device's administrator gave."""

    serial: text.Serial
    code: text.Word

    def __repr__(self) -> str:
        return f"UnbindRequest(serial={self.serial!r})"


class UnbindAnswer(Body, frozen=True):
    """UNBOUND, WRONG_CODE, EXPIRED_CODE or TOO_MANY_ATTEMPTS."""

    result: text.Reason


class RegisterProbe(Body, frozen=True):
    """Asks where registering would lead, and registers nothing.

    It lacks what `Register` must have: a cloud that does not know it refuses it, and counts no connection.
    """

    serial: text.Serial
    probe: bool
    """True."""


class Probed(Body, frozen=True):
    """Where the main connection of a registration would go now."""

    url: text.Url
    """As in `Registered`, with a single-use ticket whose WebSocket the cloud closes with 1000 as soon as it stands."""
    expires_in: text.Seconds
    """Seconds for which the ticket in `url` is good."""

    def __repr__(self) -> str:
        return f"Probed(expires_in={self.expires_in})"


# main connection ----------------------------------------------------------------------------------


class Keepalive(Message, frozen=True):
    """Device to cloud: are you there?"""

    id: text.Number


class KeepaliveAck(Message, frozen=True):
    """Cloud to device: the answer to the keepalive of the same id."""

    id: text.Number


class Open(Message, frozen=True):
    """Cloud to device: open a subconnection for `service` at `url`."""

    service: text.ServiceName
    instance: text.Instance
    """Unique within the main connection."""
    url: text.Url
    """A `wss` URL with a ticket: a secret, shown only without its query."""

    def __repr__(self) -> str:
        return f"Open(service={self.service!r}, instance={self.instance!r})"


class Close(Message, frozen=True):
    """Cloud to device: close the subconnection."""

    instance: text.Instance
    reason: text.Reason


class Bye(Message, frozen=True):
    """Cloud to device: this main connection ends. `reason` is one of closed-by-server, server-busy,
    replaced-by-newer-connection, removed-from-cloud, unbound; any other counts as closed-by-server.
    """

    reason: text.Reason
    retry_after: text.Seconds | None = None


class Closed(Message, frozen=True):
    """Device to cloud: the subconnection is closed, or could not be opened."""

    instance: text.Instance
    reason: text.Reason


class Services(Message, frozen=True):
    """Device to cloud: the services that the device knows and has enabled are no longer those it last named."""

    services: text.Services
    """All of them, in place of the list before."""


class Unbind(Message, frozen=True):
    """Device to cloud: the verification code that the device's administrator gave."""

    code: text.Word

    def __repr__(self) -> str:
        return "Unbind()"


class UnbindResult(Message, frozen=True):
    """Cloud to device: UNBOUND, WRONG_CODE, EXPIRED_CODE, TOO_MANY_ATTEMPTS or BUSY."""

    result: text.Reason


# telemetry subconnection --------------------------------------------------------------------------


class Report(Message, frozen=True):
    """Device to cloud: one event. (`boot_id`, `sequence`) is unique; sequences start at 1 and have no gaps."""

    boot_id: text.Word
    sequence: text.Sequence
    time: text.Word
    """RFC 3339, UTC: when the event happened."""
    body: dict[str, Any]
    """`event`, and the notification's leafs as RFC 7951 JSON."""


class ReportAck(Message, frozen=True):
    """Cloud to device: every report of this boot up to `sequence` has reached its sink (cumulative)."""

    boot_id: text.Word
    sequence: text.Sequence


class Unknown(msgspec.Struct, frozen=True):
    """A well-formed message of a type that this version does not know: counted and ignored."""

    type: str


ToDevice = KeepaliveAck | Open | Close | Bye | UnbindResult
ToCloud = Keepalive | Closed | Services | Unbind

_encoder = msgspec.json.Encoder()
_PATTERN = re.compile(r"Expected `str` matching regex .*(?= - at `)")
"""How msgspec begins to say that a text breaks its pattern. Nobody who reads a log wants to see the pattern."""


class _Typed(msgspec.Struct):
    type: text.Word


def encode(message: Body) -> bytes:
    """Return the JSON octets of a body or message."""
    return _encoder.encode(message)


def decode_body(octets: bytes, expected: type[B]) -> B:
    """Decode an HTTP body. Raises WireError if it is larger than MAXIMUM_BODY or is not of the expected form."""
    body: B = _decode(octets, msgspec.json.Decoder(expected))
    return body


class MessageDecoder:
    """Decodes the messages of one direction of one kind of connection."""

    def __init__(self, *known: type[Message]) -> None:
        self._types = {str(kind.__struct_config__.tag) for kind in known}
        union: Any = known[0]
        for kind in known[1:]:
            union = union | kind
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(union)

    def decode(self, octets: bytes | str) -> Message | Unknown:
        """Decode one message. Raises WireError if it is too large, is not JSON or breaks its type's form."""
        octets = octets.encode() if isinstance(octets, str) else octets
        typed = _decode(octets, msgspec.json.Decoder(_Typed))
        if typed.type not in self._types:
            return Unknown(typed.type)
        message: Message = _decode(octets, self._decoder)
        return message


def _decode(octets: bytes, decoder: msgspec.json.Decoder[Any]) -> Any:
    if len(octets) > MAXIMUM_BODY:
        raise WireError(f"a message of {len(octets)} octets is larger than the {MAXIMUM_BODY} allowed")
    try:
        return decoder.decode(octets)
    except msgspec.MsgspecError as error:
        # msgspec names the path and what it expects there. The one value that it quotes is a second `type`.
        raise WireError(text.legible(_PATTERN.sub("Expected other characters", str(error)))) from None
    except UnicodeDecodeError:  # no MsgspecError, and only of the texts that are looked at
        raise WireError("the message is not in UTF-8") from None
    except RecursionError:
        raise WireError("the message is nested too deeply") from None


TO_DEVICE = MessageDecoder(KeepaliveAck, Open, Close, Bye, UnbindResult)
"""What a device may receive on the main connection."""
TO_CLOUD = MessageDecoder(Keepalive, Closed, Services, Unbind)
"""What the cloud may receive on the main connection."""
TELEMETRY_TO_DEVICE = MessageDecoder(ReportAck)
TELEMETRY_TO_CLOUD = MessageDecoder(Report)
