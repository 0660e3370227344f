"""The link's state machine. Core: every decision about the connection is made here, and none is carried out.

Three things drive it: the user, the network and the timer (`inputs`). What it wants done comes out as `effects`. It
never reads a clock and knows no socket, task or file. Jitter comes from a `random.Random` that is part of its initial
value: the same seed and the same inputs give the same effects, so a history can be played again.

TRANSITIONS says what each input does in each state and which states may follow. What is not in it is an
UnexpectedInput. `_enter` is the one place where the state changes, and so the one that counts, stamps and tells.
Results of an attempt that was given up carry its number and are ignored.

Between attempts the device rests in `waiting`, or, where authentication, registration or handshake failed, in the state
that says so, until the next attempt begins: an administrator who looks while the device backs off sees what is wrong.
A resting state ends by Tick when the time has come, which may be at once. A good token is used again at the server that
issued it, so a dropped connection comes back without a new proof; a 401 then costs one authentication, once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from headstay.engine import change, inputs
from headstay.engine.effects import (
    Authenticate,
    ClearTraffic,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Handshake,
    Probe,
    Register,
    Resolve,
    SendMessage,
    SendPing,
    WakeServices,
)
from headstay.engine.events import AuthenticationFailure, ConnectionStateChange, ReportBufferFull, ServerSwitchover
from headstay.engine.failover import Failover
from headstay.engine.inputs import Failure, Input
from headstay.engine.instant import Instant
from headstay.engine.keepalive import Keepalive
from headstay.engine.picture import Interrupted, Picture
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, ProcessState, State
from headstay.engine.reports import Reports, ReportStore
from headstay.engine.services import telemetry
from headstay.engine.settings import Identity, Server, Settings, service_of
from headstay.engine.stages import ATTEMPTING, FAILED_STATE, RESTING, TIME_LIMIT, TIMED_OUT, Stage
from headstay.engine.status import Status
from headstay.engine.subconnections import Subconnections
from headstay.engine.switchback import Switchback
from headstay.engine.unbinding import Unbinding
from headstay.errors import HeadstayError
from headstay.wire import messages


class UnexpectedInput(HeadstayError):
    """An input that cannot come in this state: the shell, or the table, is wrong."""


_BYE = {
    "replaced-by-newer-connection": DownReason.REPLACED_BY_NEWER_CONNECTION,
    "removed-from-cloud": DownReason.REMOVED_FROM_CLOUD,
    "unbound": DownReason.UNBOUND,
}
_ABOUT_TO_SEND = {
    DeviceState.AUTHENTICATED: DeviceState.REGISTERING,
    DeviceState.REGISTERED: DeviceState.HANDSHAKING,
}
_REFUSALS = (FailureReason.AUTHENTICATION_REFUSED, FailureReason.SERVER_PROOF_WRONG)
TOKEN_MARGIN = 5.0
"""Seconds before its end at which a token is not worth a try."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str = field(repr=False)
    place: change.Place
    """The server that issued it."""
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Why:
    """What a change of state is put down to."""

    failure: Failure | None = None
    down: DownReason | None = None
    details: str | None = None


class Machine:
    """The link. Feed it inputs and perform its effects; call `handle(Tick(), now)` once `deadline()` has passed."""

    def __init__(
        self,
        identity: Identity,
        settings: Settings,
        jitter: random.Random,
        store: ReportStore | None = None,
        interrupted: Interrupted | None = None,
    ) -> None:
        queue_limit = service_of(settings.services, telemetry.NAME).queue_limit
        self.reports = Reports(identity.boot_id, queue_limit, store)
        self._settings = settings
        self._picture = Picture()
        if interrupted is not None:
            self._picture.interrupted(interrupted)
        self._started = False
        self._transition = Transition(Machine._ignore)
        self._effects: list[Effect] = []

        self._failover = Failover(settings.servers, jitter)
        self._switchback = Switchback(settings.hold_down, settings.servers)
        self._turning_from: Server | None = None  # the server whose trouble led to the next attempt
        self._resume_at: float | None = None  # when a resting state ends
        self._token: _Token | None = None

        self._attempts = 0  # the number of the last attempt; it identifies the attempt for good
        self._attempt: int | None = None  # the one that is live, connecting or connected
        self._stage: Stage | None = None
        self._stage_ends_at: float | None = None
        self._reauthenticated = False

        self._keepalive: Keepalive | None = None
        self._subconnections = Subconnections(settings.services)
        self._unbinding = Unbinding()

    # the face -------------------------------------------------------------------------------------

    def handle(self, given: Input, now: Instant) -> list[Effect]:
        """Take one input; return what shall be done, in order.

        Raises UnexpectedInput if the input cannot come in this state; nothing has changed then.
        """
        if isinstance(given, inputs.OfAttempt) and given.attempt != self._attempt:
            return []
        transition = TRANSITIONS.get((self._picture.device_state, type(given)))
        if transition is None:
            raise UnexpectedInput(f"{type(given).__name__} in {self._picture.device_state.value}")
        self._transition, self._effects = transition, []
        transition.perform(self, given, now)
        return self._effects

    def deadline(self) -> float | None:
        """Return when Tick is due, in monotonic seconds."""
        deadlines = [self._resume_at, self._stage_ends_at, self._subconnections.deadline(), self._switchback.deadline()]
        deadlines.append(self._unbinding.deadline())
        if self._keepalive is not None:
            deadlines.append(self._keepalive.deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def state(self) -> DeviceState:
        """How far the device has come."""
        return self._picture.device_state

    @property
    def settings(self) -> Settings:
        """What the link shall be."""
        return self._settings

    def status(self, now: Instant) -> Status:
        """Return the picture at this instant."""
        return Status(
            self._picture.status(self._settings, self.reports.account, now),
            self._failover.statuses(now, self._resume_at, self._switchback.upcoming()),
            self._subconnections.statuses(),
        )

    # the one place where the state changes ----------------------------------------------------------

    def _enter(self, state: DeviceState, now: Instant, why: _Why | None = None) -> None:
        if state not in self._transition.to and state is not self._picture.device_state:
            raise UnexpectedInput(f"no transition from {self._picture.device_state.value} to {state.value}")
        why = why or _Why()
        picture = self._picture
        old, picture.device_state = picture.state, state
        new = picture.state
        if why.failure is not None:
            picture.failure_reason = why.failure.reason
        if old is new:
            return
        if new is State.REQUEST:
            picture.attempts += 1
        if new is State.ESTABLISHED:
            picture.came_up(now)
        if old is State.ESTABLISHED:
            picture.went_down(why.down, why.details, now)
        self._emit(self._change(old, new, why))
        if new is State.UNCONNECTED:
            picture.server_address = None

    def _change(self, old: State, new: State, why: _Why) -> ConnectionStateChange:
        failure, details = why.failure, why.details
        if failure is not None:
            details = failure.details
        elif why.down is not None and old is not State.ESTABLISHED:
            details = why.down.value  # an attempt that was broken off: nothing was up that could go down
        return ConnectionStateChange(
            old_state=old,
            new_state=new,
            server_domain=None if self._picture.server is None else self._picture.server.domain,
            server_address=self._picture.server_address,
            failure_reason=None if failure is None else failure.reason,
            down_reason=why.down if old is State.ESTABLISHED else None,
            details=details,
        )

    # the user -------------------------------------------------------------------------------------

    def _start(self, _: inputs.Started, now: Instant) -> None:
        self._started = True
        if change.wants_connection(self._settings):
            self._rest(now.monotonic, now)

    def _stop(self, _: inputs.Stopped, now: Instant) -> None:
        self._started = False
        self._let_go(_Why(down=DownReason.PROCESS_RESTARTED), DeviceState.IDLE, now)

    def _configure(self, given: inputs.Configured, now: Instant) -> None:
        old = self._settings
        new = self._settings = reduce(lambda settings, action: action.applied_to(settings), given.actions, old)
        self.reports.limit = service_of(new.services, telemetry.NAME).queue_limit
        self._failover.configure(new.servers)
        self._switchback.configure(new.hold_down, new.servers, now.monotonic)
        hopeful = change.reasons_to_dial_anew(old, new)
        if hopeful:
            self._failover.forget_backoff()
        if old.password != new.password or old.tls != new.tls:
            self._token = None
        if self._keepalive is not None:
            self._keepalive.retune(new.keepalive_interval, new.ping_interval, now.monotonic)
        if self._started:
            self._follow(old, new, hopeful, now)
        # Last: a connection that has just gone down takes its subconnections with it.
        self._effects += self._subconnections.configure(new.services)
        if self._picture.device_state is DeviceState.CONNECTED:
            self._effects += self._subconnections.news()

    def _follow(self, old: Settings, new: Settings, hopeful: bool, now: Instant) -> None:
        """Work out, once, what the new settings mean for what is going on."""
        if not change.wants_connection(new):
            self._failover.restart()
            self._let_go(_Why(down=change.down_reason_without_server(old, new)), DeviceState.IDLE, now)
        elif self._attempt is None:
            if hopeful or self._picture.device_state is DeviceState.IDLE:
                self._anew(now)
        elif self._picture.server is not None:
            reason = change.disturbance(old, new, self._picture.server)
            if reason is not None:
                self._let_go(_Why(down=reason), DeviceState.WAITING, now)
                self._anew(now)

    def _reconnect(self, _: inputs.ReconnectRequested, now: Instant) -> None:
        self._token = None
        self._let_go(_Why(down=DownReason.RECONNECT_REQUESTED), DeviceState.WAITING, now)
        self._anew(now)

    def _clear_counters(self, _: inputs.CountersCleared, __: Instant) -> None:
        self._picture.clear_counters()
        self.reports.account.clear_counters()
        self._effects.append(ClearTraffic())

    def _report(self, given: inputs.ReportMade, now: Instant) -> None:
        due = self._resume_at is not None and self._resume_at <= now.monotonic
        if self.reports.add(given.body, given.time, hopeful=self._attempt is not None or due, now=now.wall):
            self._emit(ReportBufferFull(buffer_full_count=self.reports.account.buffer_full_count))
        if self._subconnections.established(telemetry.NAME):
            self._effects.append(WakeServices(telemetry.NAME))

    def _unbind(self, given: inputs.UnbindRequested, now: Instant) -> None:
        established = self._picture.device_state is DeviceState.CONNECTED
        self._effects += self._unbinding.ask(given, self._settings, now, established=established)

    def _unbind_concluded(self, given: inputs.UnbindConcluded, now: Instant) -> None:
        self._effects += self._unbinding.concluded(given)
        if given.outcome.failure is not None:
            return
        self._token = None
        # A connection that stands is ended by the cloud; without one, this is where the long wait begins.
        if self._picture.device_state not in (DeviceState.IDLE, DeviceState.CONNECTED):
            self._let_go(_Why(down=DownReason.UNBOUND), DeviceState.WAITING, now)
            self._rest(self._failover.sent_away(None, now), now)

    def _hope(self, _: inputs.LinkChanged, now: Instant) -> None:
        self._resume_at = self._failover.hope(self._resume_at, now)

    # the timer ------------------------------------------------------------------------------------

    def _begin(self, _: inputs.Tick, now: Instant) -> None:
        if self._resume_at is None or now.monotonic < self._resume_at:
            return
        turning_from, self._turning_from = self._turning_from, None
        self._picture.server = server = self._failover.choose(now)
        self._resume_at = None
        self._attempts += 1
        self._attempt = self._attempts
        self._reauthenticated = False
        self._picture.process_state = ProcessState.DNS_NOT_PARSED
        self._enter(DeviceState.CONNECTING, now)
        if turning_from is not None and change.place_of(turning_from) != change.place_of(server):
            self._emit(ServerSwitchover(old_server=turning_from.domain, new_server=server.domain))
        self._step(Stage.RESOLVING, Resolve(self._attempt, server, self._settings), now)

    def _check_stage(self, _: inputs.Tick, now: Instant) -> None:
        if self._stage is None or self._stage_ends_at is None or now.monotonic < self._stage_ends_at:
            return
        self._fail_attempt(Failure(TIMED_OUT[self._stage], f"no result within {TIME_LIMIT[self._stage]:g} s"), now)

    def _check_connection(self, _: inputs.Tick, now: Instant) -> None:
        keepalive = self._keepalive
        if keepalive is None:
            return
        if now.monotonic >= keepalive.gives_up_at:
            self._picture.process_state = ProcessState.MESSAGE_NOT_RECEIVED
            self._fell_silent(now)
            return
        if now.monotonic >= keepalive.keepalive_at:
            self._send(messages.Keepalive(keepalive.sent(now.monotonic)))
            self._picture.process_state = ProcessState.MESSAGE_SENT
        if now.monotonic >= keepalive.ping_at:
            keepalive.pinged(now.monotonic)
            self._effects.append(SendPing())
        self._effects += self._subconnections.expire(now)
        self._effects += self._unbinding.expire(now)
        self._ask_earlier(now)

    # the steps of an attempt ----------------------------------------------------------------------

    def _resolved(self, given: inputs.Resolved, now: Instant) -> None:
        self._expect(Stage.RESOLVING)
        self._picture.process_state = ProcessState.DNS_PARSED
        self._step(Stage.CONNECTING, Connect(given.attempt, given.addresses), now)

    def _connected(self, given: inputs.Connected, now: Instant) -> None:
        self._expect(Stage.CONNECTING)
        self._picture.server_address = given.address
        if self._picture.server is not None:
            self._failover.dialled(self._picture.server, given.address)
        token = self._good_token(now)
        if token is None:
            self._authenticate(given.attempt, now)
        else:
            self._register(given.attempt, token, now)

    def _sent(self, _: inputs.RequestSent, now: Instant) -> None:
        self._picture.process_state = ProcessState.MESSAGE_SENT
        self._enter(_ABOUT_TO_SEND.get(self._picture.device_state, self._picture.device_state), now)

    def _answered(self, _: inputs.AnswerReceived, __: Instant) -> None:
        self._picture.process_state = ProcessState.MESSAGE_RECEIVED

    def _authenticated(self, given: inputs.Authenticated, now: Instant) -> None:
        if self._picture.server is not None:
            expires_at = now.monotonic + given.expires_in
            self._token = _Token(given.token, change.place_of(self._picture.server), expires_at)
        self._register(given.attempt, given.token, now)

    def _token_refused(self, given: inputs.TokenRefused, now: Instant) -> None:
        self._token = None
        if self._reauthenticated:
            refused = Failure(FailureReason.REGISTRATION_REFUSED, "the token was refused twice")
            self._fail_attempt(refused, now)
            return
        self._reauthenticated = True
        self._authenticate(given.attempt, now)

    def _registered(self, given: inputs.Registered, now: Instant) -> None:
        self._enter(DeviceState.REGISTERED, now)
        self._step(Stage.HANDSHAKING, Handshake(given.attempt, given.url), now)

    def _handshaken(self, given: inputs.Handshaken, now: Instant) -> None:
        self._stage = self._stage_ends_at = None
        intervals = self._settings.keepalive_interval, self._settings.ping_interval
        self._keepalive = Keepalive(*intervals, now.monotonic)
        if self._picture.server is not None:
            self._failover.established(self._picture.server)
            self._switchback.connected(self._picture.server, now.monotonic)
        self._picture.server_address = given.address
        self._unbinding.connected()
        self._enter(DeviceState.CONNECTED, now)
        self._effects += self._subconnections.news()  # the services may have changed since the registration

    def _failed(self, given: inputs.Failed, now: Instant) -> None:
        self._fail_attempt(given.failure, now)

    def _authenticate(self, attempt: int, now: Instant) -> None:
        self._enter(DeviceState.AUTHENTICATING, now)
        self._step(Stage.AUTHENTICATING, Authenticate(attempt), now)

    def _register(self, attempt: int, token: str, now: Instant) -> None:
        self._enter(DeviceState.AUTHENTICATED, now)
        self._step(Stage.REGISTERING, Register(attempt, token, self._subconnections.registering()), now)

    def _good_token(self, now: Instant) -> str | None:
        token = self._token
        if token is None or self._picture.server is None or token.place != change.place_of(self._picture.server):
            return None
        return token.text if now.monotonic < token.expires_at - TOKEN_MARGIN else None

    def _expect(self, stage: Stage) -> None:
        if self._stage is not stage:
            raise UnexpectedInput(f"the result of {stage.value} without that step")

    def _step(self, stage: Stage, step: Resolve | Connect | Authenticate | Register | Handshake, now: Instant) -> None:
        self._stage = stage
        self._stage_ends_at = now.monotonic + TIME_LIMIT[stage]
        self._effects.append(step)

    def _fail_attempt(self, failure: Failure, now: Instant) -> None:
        stage, server = self._stage, self._picture.server
        if stage is None or server is None:
            return
        if self._picture.process_state is ProcessState.MESSAGE_SENT:
            self._picture.process_state = ProcessState.MESSAGE_NOT_RECEIVED
        elif self._picture.process_state is ProcessState.DNS_PARSED or self._picture.device_state in _ABOUT_TO_SEND:
            self._picture.process_state = ProcessState.MESSAGE_NOT_SENT
        self._release(failure.reason.value, graceful=True)
        self.reports.attempt_failed(now.wall)
        resume_at = self._failover.failed(server, failure.reason, failure.retry_after, now)
        self._turning_from = server
        self._rest(resume_at, now, _Why(failure=failure), FAILED_STATE[stage])
        if failure.reason in _REFUSALS:
            self._emit(
                AuthenticationFailure(
                    server_domain=server.domain, failure_reason=failure.reason, details=failure.details
                )
            )

    # the connection -------------------------------------------------------------------------------

    def _received(self, given: inputs.MessageReceived, now: Instant) -> None:
        match given.message:
            case messages.KeepaliveAck(id=number):
                if self._keepalive is not None and self._keepalive.answered(number, now.monotonic):
                    self._picture.process_state = ProcessState.MESSAGE_RECEIVED
            case messages.Open() as offer:
                self._effects += self._subconnections.offered(given.attempt, offer, now)
            case messages.Close(instance=instance, reason=reason):
                self._effects += self._subconnections.close(instance, reason)
            case messages.Bye(reason=reason, retry_after=retry_after):
                self._told_bye(reason, retry_after, now)
            case messages.UnbindResult(result=result):
                self._effects += self._unbinding.answered(result, self._picture.server)
            case messages.Unknown():
                self._picture.unknown_messages += 1

    def _lost(self, given: inputs.ConnectionLost, now: Instant) -> None:
        why = _Why(down=given.reason, details=given.details)
        server, stood_for = self._take_down(why, now, graceful=True)
        self._rest(self._failover.lost(server, stood_for, None, now), now)

    def _subconnection_opened(self, given: inputs.SubconnectionOpened, now: Instant) -> None:
        self._effects += self._subconnections.opened(given.instance, now)

    def _subconnection_ended(self, given: inputs.SubconnectionEnded, _: Instant) -> None:
        self._effects += self._subconnections.ended(given.instance, given.details)

    def _told_bye(self, reason: str, retry_after: float | None, now: Instant) -> None:
        down = _BYE.get(reason)
        if down is None:
            details = None if reason == DownReason.CLOSED_BY_SERVER.value else reason
            why = _Why(down=DownReason.CLOSED_BY_SERVER, details=details)
            server, stood_for = self._take_down(why, now, graceful=True)
            self._rest(self._failover.lost(server, stood_for, retry_after, now), now)
            return
        if down is DownReason.UNBOUND:
            self._effects += self._unbinding.told_goodbye(self._picture.server)
        self._take_down(_Why(down=down), now, graceful=True)
        self._turning_from = self._token = None
        self._rest(self._failover.sent_away(retry_after, now), now)

    def _fell_silent(self, now: Instant) -> None:
        server, stood_for = self._take_down(_Why(down=DownReason.KEEPALIVE_TIMEOUT), now, graceful=False)
        self._rest(self._failover.fell_silent(server, stood_for, now), now)

    def _ask_earlier(self, now: Instant) -> None:
        server = self._switchback.next(now.monotonic, lambda s: self._failover.may_be_dialled(s, now.monotonic))
        if server is not None and self._attempt is not None:
            self._failover.asked(server, now)
            self._effects.append(Probe(self._attempt, server, self._settings))

    def _probe_failed(self, given: inputs.ProbeFailed, now: Instant) -> None:
        failure = given.failure
        self._failover.answered_no(given.server, failure.reason, failure.retry_after, now)
        self._switchback.refused(given.server)
        self._ask_earlier(now)

    def _probed(self, given: inputs.Probed, now: Instant) -> None:
        if not self._switchback.accepted(given.server):
            return
        self._token = _Token(given.token, change.place_of(given.server), now.monotonic + given.expires_in)
        # The model's reasons have none of its own for this: the configured policy asks for the new connection.
        why = _Why(down=DownReason.RECONNECT_REQUESTED, details="switchback")
        _, stood_for = self._take_down(why, now, graceful=True)
        self._rest(self._failover.turned_back(given.server, stood_for, now), now)

    def _take_down(self, why: _Why, now: Instant, *, graceful: bool) -> tuple[Server, float]:
        """End the established connection. Returns its server and the seconds for which it stood."""
        if self._picture.server is None or self._picture.connected_at is None or why.down is None:
            raise UnexpectedInput("there is no connection to take down")
        stood_for = now.monotonic - self._picture.connected_at.monotonic
        self._turning_from = self._picture.server
        self._release(why.down.value, graceful=graceful)
        self._enter(DeviceState.WAITING, now, why)
        return self._picture.server, stood_for

    # letting go, and resting ------------------------------------------------------------------------

    def _let_go(self, why: _Why, state: DeviceState, now: Instant) -> None:
        """Give up whatever goes on because the user said so, and enter `state`."""
        self._turning_from = self._resume_at = None
        if self._attempt is not None and why.down is not None:
            self._release(why.down.value, graceful=True)
        self._enter(state, now, why)

    def _release(self, reason: str, *, graceful: bool) -> None:
        """Give up the live attempt or connection; from here on whatever it still reports is stale."""
        if self._attempt is None:
            return
        self._effects.append(Disconnect(self._attempt, reason, graceful))
        self._attempt = self._stage = self._stage_ends_at = self._keepalive = None
        self._switchback.ended()
        self._effects += self._subconnections.main_connection_ended()
        self._effects += self._unbinding.main_connection_ended()

    def _anew(self, now: Instant) -> None:
        """Dial at once, from the top of the list, whatever was to be waited for."""
        self._failover.restart()
        self._turning_from = None
        self._rest(now.monotonic, now)

    def _rest(
        self, until: float, now: Instant, why: _Why | None = None, state: DeviceState = DeviceState.WAITING
    ) -> None:
        self._resume_at = until
        self._enter(state, now, why)

    # small things ---------------------------------------------------------------------------------

    def _ignore(self, _: Input, __: Instant) -> None:
        """Nothing follows."""

    def _emit(self, event: ConnectionStateChange | ServerSwitchover | AuthenticationFailure | ReportBufferFull) -> None:
        self._effects.append(Emit(event))

    def _send(self, message: messages.ToCloud) -> None:
        self._effects.append(SendMessage(message))


@dataclass(frozen=True, slots=True)
class Transition:
    """What an input does in a state, and which states may follow. It may always leave the state as it is."""

    perform: Callable[[Machine, Any, Instant], None]
    to: tuple[DeviceState, ...] = ()


_IDLE, _WAITING, _CONNECTED = DeviceState.IDLE, DeviceState.WAITING, DeviceState.CONNECTED
_CONNECTING, _AUTHENTICATING, _AUTHENTICATED, _REGISTERING, _REGISTERED, _HANDSHAKING = ATTEMPTING
_FAILED = {
    _CONNECTING: DeviceState.WAITING,
    _AUTHENTICATING: DeviceState.AUTHENTICATION_FAILED,
    _AUTHENTICATED: DeviceState.REGISTRATION_FAILED,
    _REGISTERING: DeviceState.REGISTRATION_FAILED,
    _REGISTERED: DeviceState.HANDSHAKE_FAILED,
    _HANDSHAKING: DeviceState.HANDSHAKE_FAILED,
}

TRANSITIONS: dict[tuple[DeviceState, type[Input]], Transition] = {
    # the user
    (_IDLE, inputs.Started): Transition(Machine._start, (_WAITING,)),
    (_IDLE, inputs.Configured): Transition(Machine._configure, (_WAITING,)),
    (_IDLE, inputs.ReconnectRequested): Transition(Machine._ignore),
    **{(s, inputs.Stopped): Transition(Machine._stop, (_IDLE,)) for s in DeviceState},
    **{(s, inputs.CountersCleared): Transition(Machine._clear_counters) for s in DeviceState},
    **{(s, inputs.ReportMade): Transition(Machine._report) for s in DeviceState},
    **{(s, inputs.UnbindRequested): Transition(Machine._unbind) for s in DeviceState},
    **{(s, inputs.UnbindConcluded): Transition(Machine._unbind_concluded) for s in (_IDLE, _CONNECTED)},
    **{
        (s, inputs.UnbindConcluded): Transition(Machine._unbind_concluded, (_WAITING,)) for s in (*RESTING, *ATTEMPTING)
    },
    **{
        (s, inputs.Configured): Transition(Machine._configure, (_IDLE, _WAITING))
        for s in (*RESTING, *ATTEMPTING, _CONNECTED)
    },
    **{
        (s, inputs.ReconnectRequested): Transition(Machine._reconnect, (_WAITING,))
        for s in (*RESTING, *ATTEMPTING, _CONNECTED)
    },
    # the device's network
    (_IDLE, inputs.LinkChanged): Transition(Machine._ignore),
    **{(s, inputs.LinkChanged): Transition(Machine._hope) for s in (*RESTING, *ATTEMPTING, _CONNECTED)},
    # the timer
    (_IDLE, inputs.Tick): Transition(Machine._ignore),
    **{(s, inputs.Tick): Transition(Machine._begin, (_CONNECTING,)) for s in RESTING},
    **{(s, inputs.Tick): Transition(Machine._check_stage, (failed,)) for s, failed in _FAILED.items()},
    (_CONNECTED, inputs.Tick): Transition(Machine._check_connection, (_WAITING,)),
    # the steps of an attempt
    (_CONNECTING, inputs.Resolved): Transition(Machine._resolved),
    (_CONNECTING, inputs.Connected): Transition(Machine._connected, (_AUTHENTICATING, _AUTHENTICATED)),
    **{(s, inputs.RequestSent): Transition(Machine._sent) for s in (_AUTHENTICATING, _REGISTERING, _HANDSHAKING)},
    **{(s, inputs.RequestSent): Transition(Machine._sent, (to,)) for s, to in _ABOUT_TO_SEND.items()},
    **{
        (s, inputs.AnswerReceived): Transition(Machine._answered) for s in (_AUTHENTICATING, _REGISTERING, _HANDSHAKING)
    },
    (_AUTHENTICATING, inputs.Authenticated): Transition(Machine._authenticated, (_AUTHENTICATED,)),
    (_REGISTERING, inputs.TokenRefused): Transition(Machine._token_refused, (_AUTHENTICATING, _FAILED[_REGISTERING])),
    (_REGISTERING, inputs.Registered): Transition(Machine._registered, (_REGISTERED,)),
    (_HANDSHAKING, inputs.Handshaken): Transition(Machine._handshaken, (_CONNECTED,)),
    **{(s, inputs.Failed): Transition(Machine._failed, (failed,)) for s, failed in _FAILED.items()},
    # the connection
    (_CONNECTED, inputs.MessageReceived): Transition(Machine._received, (_WAITING,)),
    (_CONNECTED, inputs.ConnectionLost): Transition(Machine._lost, (_WAITING,)),
    (_CONNECTED, inputs.SubconnectionOpened): Transition(Machine._subconnection_opened),
    (_CONNECTED, inputs.SubconnectionEnded): Transition(Machine._subconnection_ended),
    (_CONNECTED, inputs.ProbeFailed): Transition(Machine._probe_failed),
    (_CONNECTED, inputs.Probed): Transition(Machine._probed, (_WAITING,)),
}
"""(state, input) -> what is done. A pair that is not here cannot happen; it is an UnexpectedInput."""
