"""An attempt, step by step: from the end of the wait before it to the connection, or to the failure that it ends with.

Part of the machine's core. Each function is what one input brings about, as TRANSITIONS says; each step has its own
time limit. Owns when a token is worth a try: a good one is used again at the server that issued it, so a dropped
connection comes back without a new proof; a 401 then costs one authentication, once. Which server is dialled, and when,
is for `failover` to say; what happens once the connection is established is not known here.
"""

from __future__ import annotations

from headstay.engine import change, inputs
from headstay.engine.effects import Authenticate, Connect, Handshake, Register, Resolve, Step
from headstay.engine.events import AuthenticationFailure, ServerSwitchover
from headstay.engine.inputs import Failure
from headstay.engine.instant import Instant
from headstay.engine.keepalive import Keepalive
from headstay.engine.link import Link, Token, UnexpectedInput, Why
from headstay.engine.reasons import DeviceState, FailureReason, ProcessState
from headstay.engine.stages import ABOUT_TO_SEND, FAILED_STATE, TIME_LIMIT, TIMED_OUT, Stage

TOKEN_MARGIN = 5.0
"""Seconds before its end at which a token is not worth a try."""

_REFUSALS = (FailureReason.AUTHENTICATION_REFUSED, FailureReason.SERVER_PROOF_WRONG)


def hope(link: Link, _: inputs.LinkChanged, now: Instant) -> None:
    """The device's network has changed: the wait for the next attempt may end sooner."""
    link.resume_at = link.failover.hope(link.resume_at, now)


def begin(link: Link, _: inputs.Tick, now: Instant) -> None:
    """Begin the next attempt if its time has come."""
    if link.resume_at is None or now.monotonic < link.resume_at:
        return
    turning_from, link.turning_from = link.turning_from, None
    link.picture.server = server = link.failover.choose(now)
    link.resume_at = None
    link.attempts += 1
    link.attempt = link.attempts
    link.reauthenticated = False
    link.picture.process_state = ProcessState.DNS_NOT_PARSED
    link.enter(DeviceState.CONNECTING, now)
    if turning_from is not None and change.place_of(turning_from) != change.place_of(server):
        link.emit(ServerSwitchover(old_server=turning_from.domain, new_server=server.domain))
    _step(link, Stage.RESOLVING, Resolve(link.attempt, server, link.settings), now)


def check_stage(link: Link, _: inputs.Tick, now: Instant) -> None:
    """Give the attempt up if its stage takes too long."""
    if link.stage is None or link.stage_ends_at is None or now.monotonic < link.stage_ends_at:
        return
    _fail(link, Failure(TIMED_OUT[link.stage], f"no result within {TIME_LIMIT[link.stage]:g} s"), now)


def resolved(link: Link, given: inputs.Resolved, now: Instant) -> None:
    """The server's addresses are known: dial them."""
    _expect(link, Stage.RESOLVING)
    link.picture.process_state = ProcessState.DNS_PARSED
    _step(link, Stage.CONNECTING, Connect(given.attempt, given.addresses), now)


def connected(link: Link, given: inputs.Connected, now: Instant) -> None:
    """The server is reached: show it a good token, or authenticate."""
    _expect(link, Stage.CONNECTING)
    link.picture.server_address = given.address
    if link.picture.server is not None:
        link.failover.dialled(link.picture.server, given.address)
    token = _good_token(link, now)
    if token is None:
        _authenticate(link, given.attempt, now)
    else:
        _register(link, given.attempt, token, now)


def sent(link: Link, _: inputs.RequestSent, now: Instant) -> None:
    """A request is on its way."""
    link.picture.process_state = ProcessState.MESSAGE_SENT
    link.enter(ABOUT_TO_SEND.get(link.picture.device_state, link.picture.device_state), now)


def answered(link: Link, _: inputs.AnswerReceived, __: Instant) -> None:
    """A request was answered; what the answer says comes as an input of its own."""
    link.picture.process_state = ProcessState.MESSAGE_RECEIVED


def authenticated(link: Link, given: inputs.Authenticated, now: Instant) -> None:
    """The server let the device in: keep its token, and register."""
    if link.picture.server is not None:
        expires_at = now.monotonic + given.expires_in
        link.token = Token(given.token, change.place_of(link.picture.server), expires_at)
    _register(link, given.attempt, given.token, now)


def token_refused(link: Link, given: inputs.TokenRefused, now: Instant) -> None:
    """The token is good no more: authenticate anew, once."""
    link.token = None
    if link.reauthenticated:
        refused = Failure(FailureReason.REGISTRATION_REFUSED, "the token was refused twice")
        _fail(link, refused, now)
        return
    link.reauthenticated = True
    _authenticate(link, given.attempt, now)


def registered(link: Link, given: inputs.Registered, now: Instant) -> None:
    """The server said where the main connection goes: open it there."""
    link.enter(DeviceState.REGISTERED, now)
    _step(link, Stage.HANDSHAKING, Handshake(given.attempt, given.url), now)


def handshaken(link: Link, given: inputs.Handshaken, now: Instant) -> None:
    """The main connection is established."""
    link.stage = link.stage_ends_at = None
    intervals = link.settings.keepalive_interval, link.settings.ping_interval
    link.keepalive = Keepalive(*intervals, now.monotonic)
    if link.picture.server is not None:
        link.failover.established(link.picture.server)
        link.switchback.connected(link.picture.server, now.monotonic)
    link.picture.server_address = given.address
    link.unbinding.connected()
    link.enter(DeviceState.CONNECTED, now)
    link.effects += link.subconnections.news()  # the services may have changed since the registration


def failed(link: Link, given: inputs.Failed, now: Instant) -> None:
    """A step failed, and the attempt with it."""
    _fail(link, given.failure, now)


def _authenticate(link: Link, attempt: int, now: Instant) -> None:
    link.enter(DeviceState.AUTHENTICATING, now)
    _step(link, Stage.AUTHENTICATING, Authenticate(attempt), now)


def _register(link: Link, attempt: int, token: str, now: Instant) -> None:
    link.enter(DeviceState.AUTHENTICATED, now)
    _step(link, Stage.REGISTERING, Register(attempt, token, link.subconnections.registering()), now)


def _good_token(link: Link, now: Instant) -> str | None:
    token = link.token
    if token is None or link.picture.server is None or token.place != change.place_of(link.picture.server):
        return None
    return token.text if now.monotonic < token.expires_at - TOKEN_MARGIN else None


def _expect(link: Link, stage: Stage) -> None:
    if link.stage is not stage:
        raise UnexpectedInput(f"the result of {stage.value} without that step")


def _step(link: Link, stage: Stage, step: Step, now: Instant) -> None:
    link.stage = stage
    link.stage_ends_at = now.monotonic + TIME_LIMIT[stage]
    link.effects.append(step)


def _fail(link: Link, failure: Failure, now: Instant) -> None:
    stage, server = link.stage, link.picture.server
    if stage is None or server is None:
        return
    if link.picture.process_state is ProcessState.MESSAGE_SENT:
        link.picture.process_state = ProcessState.MESSAGE_NOT_RECEIVED
    elif link.picture.process_state is ProcessState.DNS_PARSED or link.picture.device_state in ABOUT_TO_SEND:
        link.picture.process_state = ProcessState.MESSAGE_NOT_SENT
    link.release(failure.reason.value, graceful=True)
    link.reports.attempt_failed(now.wall)
    resume_at = link.failover.failed(server, failure.reason, failure.retry_after, now)
    link.turning_from = server
    link.rest(resume_at, now, Why(failure=failure), FAILED_STATE[stage])
    if failure.reason in _REFUSALS:
        link.emit(
            AuthenticationFailure(server_domain=server.domain, failure_reason=failure.reason, details=failure.details)
        )
