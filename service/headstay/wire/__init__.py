"""The wire between device and cloud, version 1: what both ends speak. Imports nothing of ours but `errors`.

In order: the device POSTs to AUTHENTICATE_PATH (one exchange, or two for SCRAM-SHA-256), POSTs to REGISTER_PATH with
the token it got, GETs the URL it was given and upgrades to WebSocket with subprotocol MAIN_SUBPROTOCOL. On that main
connection the cloud offers subconnections, each a WebSocket of its own with `subprotocol_of(service)`.

The cloud offers what the device wants: the services that `register` named. Whenever the main connection stands and the
list is no longer the one that the device named last, and only then, the device sends the whole new one:

    {"type": "services", "services": ["telemetry"]}

The cloud offers what is new in it at once, as after a handshake, and gives up offering what is no longer in it; what is
open stays open until the device, which closes the subconnections of a service it disables, says `closed`. A cloud that
does not know the message ignores it; the new list then counts from the next main connection.

A device that is to be unbound from the cloud user who registered it sends the verification code that another user was
given: as `unbind` on its main connection while that stands, else, once authenticated, in a request of its own:

    POST /v1/unbind   Authorization: Bearer token; {"serial", "code"}
                   -> {"result"} or 401, 403 not-allowed, 503 as for register

Either way the result is `unbound`, `wrong-code` (also for a code that was used before), `expired-code`,
`too-many-attempts` (a new code must be made), or, on the main connection, `busy` (the cloud cannot look it up just
now; nothing was counted). Answers on the main connection come in the order of the requests; a device sends one at a
time. Case and dashes of a code make no difference. When the device is unbound, its tokens and tickets are good no more
and its main connection ends with `bye` unbound; where it was asked there, after `unbind-result`.

A device may test the way to a cloud, beside a main connection that stands and without touching it. Two requests, which
change nothing in the cloud, are there for that:

    POST /v1/authenticate   {}                           -> 400, as for whatever lacks something; the body shows that a
                                                            cloud answered: {"reason": "malformed", "detail"}
    POST /v1/register       {"serial", "probe": true}    -> {"url", "expires-in"}, or as a registration is refused

The second needs a token and names the very URL that registering would name, but counts no generation. Its ticket is
single-use and expires like any other; the cloud completes the upgrade and closes the WebSocket with 1000 at once. A
cloud that does not know probes answers 400, since `model` and the others are missing.

`messages` holds every body and message; `text` what the texts in them may be made of; `scram` the password proof with
its bounds.

Each end checks what it hears, so that neither can fill or garble the other's logs and states:

    reason, result              1..256 characters; no control characters, none that change the direction of writing
    model, software             as a reason, but 0..255
    service                     1..64 of a-z, 0-9 and `-`; a list of them has at most 64
    instance                    1..128 visible ASCII characters (`!` to `~`)
    type, mechanism, boot-id,
    time, code                  1..64 visible ASCII characters
    url, token, exchange        1..2048 visible ASCII characters
    SCRAM message               0..1024 visible ASCII characters
    retry-after, expires-in     seconds, 0 or more
    id, generation, sequence    0..2^63-1; a sequence from 1

What breaks a bound is a protocol error: HTTP 400 from the cloud, `protocol-error` at the device, and the end of the
WebSocket that it came on.
"""

AUTHENTICATE_PATH = "/v1/authenticate"
REGISTER_PATH = "/v1/register"
UNBIND_PATH = "/v1/unbind"
MAIN_SUBPROTOCOL = "headstay.v1"

MAXIMUM_BODY = 64 * 1024
"""Octets of the largest HTTP answer, main-connection message or telemetry message; more is a protocol error."""

SERIAL_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""What a serial number looks like; it is compared without regard to case everywhere."""


def subprotocol_of(service: str) -> str:
    """Return the WebSocket subprotocol that a subconnection of this service negotiates."""
    return f"headstay.{service}.v1"
