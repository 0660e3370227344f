"""The link's state machine. Core: every decision about the connection is made here, and none is carried out.

Three things drive it: the user, the network and the timer (`inputs`). What it wants done comes out as `effects`. It
never reads a clock and knows no socket, task or file. Jitter comes from a `random.Random` that is part of its initial
value: the same seed and the same inputs give the same effects, so a history can be played again.

TRANSITIONS says what each input does in each state and which states may follow. What is not in it is an
UnexpectedInput. What is done stands in `user`, `attempting` and `established`, each of which knows its own part of the
link's life only; what is remembered stands in `link`, whose `enter` is the one place where the state changes. Results
of an attempt that was given up carry its number and are ignored.

Between attempts the device rests in `waiting`, or, where authentication, registration or handshake failed, in the state
that says so, until the next attempt begins: an administrator who looks while the device backs off sees what is wrong.
A resting state ends by Tick when the time has come, which may be at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from headstay.engine import attempting, established, inputs, user
from headstay.engine.effects import Effect
from headstay.engine.inputs import Input
from headstay.engine.instant import Instant
from headstay.engine.link import Link, UnexpectedInput
from headstay.engine.picture import Interrupted
from headstay.engine.reasons import DeviceState
from headstay.engine.reports import Reports, ReportStore
from headstay.engine.services import telemetry
from headstay.engine.settings import Identity, Settings, service_of
from headstay.engine.stages import ABOUT_TO_SEND, ATTEMPTING, RESTING
from headstay.engine.status import Status


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
        self._link = Link(settings, self.reports, jitter)
        if interrupted is not None:
            self._link.picture.interrupted(interrupted)

    def handle(self, given: Input, now: Instant) -> list[Effect]:
        """Take one input; return what shall be done, in order.

        Raises UnexpectedInput if the input cannot come in this state; nothing has changed then.
        """
        link = self._link
        if isinstance(given, inputs.OfAttempt) and given.attempt != link.attempt:
            return []
        transition = TRANSITIONS.get((self.state, type(given)))
        if transition is None:
            raise UnexpectedInput(f"{type(given).__name__} in {self.state.value}")
        link.may_follow, link.effects = transition.to, []
        transition.perform(link, given, now)
        return link.effects

    def deadline(self) -> float | None:
        """Return when Tick is due, in monotonic seconds."""
        link = self._link
        deadlines = [link.resume_at, link.stage_ends_at, link.subconnections.deadline(), link.switchback.deadline()]
        deadlines.append(link.unbinding.deadline())
        if link.keepalive is not None:
            deadlines.append(link.keepalive.deadline())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    @property
    def state(self) -> DeviceState:
        """How far the device has come."""
        return self._link.picture.device_state

    @property
    def settings(self) -> Settings:
        """What the link shall be."""
        return self._link.settings

    def status(self, now: Instant) -> Status:
        """Return the picture at this instant."""
        link = self._link
        return Status(
            link.picture.status(link.settings, link.reports.account, now),
            link.failover.statuses(now, link.resume_at, link.switchback.upcoming()),
            link.subconnections.statuses(),
            link.subconnections.unoffered(),
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """What an input does in a state, and which states may follow. It may always leave the state as it is."""

    perform: Callable[[Link, Any, Instant], None]
    to: tuple[DeviceState, ...] = ()


def _ignore(_: Link, __: Input, ___: Instant) -> None:
    """Nothing follows."""


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
    (_IDLE, inputs.Started): Transition(user.start, (_WAITING,)),
    (_IDLE, inputs.Configured): Transition(user.configure, (_WAITING,)),
    (_IDLE, inputs.ReconnectRequested): Transition(_ignore),
    **{(s, inputs.Stopped): Transition(user.stop, (_IDLE,)) for s in DeviceState},
    **{(s, inputs.CountersCleared): Transition(user.clear_counters) for s in DeviceState},
    **{(s, inputs.ReportMade): Transition(user.report) for s in DeviceState},
    **{(s, inputs.UnbindRequested): Transition(user.unbind) for s in DeviceState},
    (_IDLE, inputs.UnbindConcluded): Transition(user.unbind_concluded),
    **{
        (s, inputs.UnbindConcluded): Transition(user.unbind_concluded, (_WAITING,))
        for s in (*RESTING, *ATTEMPTING, _CONNECTED)
    },
    **{
        (s, inputs.Configured): Transition(user.configure, (_IDLE, _WAITING))
        for s in (*RESTING, *ATTEMPTING, _CONNECTED)
    },
    **{
        (s, inputs.ReconnectRequested): Transition(user.reconnect, (_WAITING,))
        for s in (*RESTING, *ATTEMPTING, _CONNECTED)
    },
    # the device's network
    (_IDLE, inputs.LinkChanged): Transition(_ignore),
    **{(s, inputs.LinkChanged): Transition(attempting.hope) for s in (*RESTING, *ATTEMPTING, _CONNECTED)},
    # the timer
    (_IDLE, inputs.Tick): Transition(_ignore),
    **{(s, inputs.Tick): Transition(attempting.begin, (_CONNECTING,)) for s in RESTING},
    **{(s, inputs.Tick): Transition(attempting.check_stage, (failed,)) for s, failed in _FAILED.items()},
    (_CONNECTED, inputs.Tick): Transition(established.check, (_WAITING,)),
    # the steps of an attempt
    (_CONNECTING, inputs.Resolved): Transition(attempting.resolved),
    (_CONNECTING, inputs.Connected): Transition(attempting.connected, (_AUTHENTICATING, _AUTHENTICATED)),
    **{(s, inputs.RequestSent): Transition(attempting.sent) for s in (_AUTHENTICATING, _REGISTERING, _HANDSHAKING)},
    **{(s, inputs.RequestSent): Transition(attempting.sent, (to,)) for s, to in ABOUT_TO_SEND.items()},
    **{
        (s, inputs.AnswerReceived): Transition(attempting.answered)
        for s in (_AUTHENTICATING, _REGISTERING, _HANDSHAKING)
    },
    (_AUTHENTICATING, inputs.Authenticated): Transition(attempting.authenticated, (_AUTHENTICATED,)),
    (_REGISTERING, inputs.TokenRefused): Transition(attempting.token_refused, (_AUTHENTICATING, _FAILED[_REGISTERING])),
    (_REGISTERING, inputs.Registered): Transition(attempting.registered, (_REGISTERED,)),
    (_HANDSHAKING, inputs.Handshaken): Transition(attempting.handshaken, (_CONNECTED,)),
    **{(s, inputs.Failed): Transition(attempting.failed, (failed,)) for s, failed in _FAILED.items()},
    # the connection
    (_CONNECTED, inputs.MessageReceived): Transition(established.received, (_WAITING,)),
    (_CONNECTED, inputs.ConnectionLost): Transition(established.lost, (_WAITING,)),
    (_CONNECTED, inputs.SubconnectionOpened): Transition(established.subconnection_opened),
    (_CONNECTED, inputs.SubconnectionEnded): Transition(established.subconnection_ended),
    (_CONNECTED, inputs.ProbeFailed): Transition(established.probe_failed),
    (_CONNECTED, inputs.Probed): Transition(established.probed, (_WAITING,)),
}
"""(state, input) -> what is done. A pair that is not here cannot happen; it is an UnexpectedInput."""
