"""The link as the machine remembers it, and the one place where its state changes.

Part of the machine's core. `enter` is that place, and so the one that counts, stamps and tells; it lets the state go
only where TRANSITIONS says that it may. Beside it stands how the link lets go and comes to rest, because anything can
lead there: the user (`user`), an attempt (`attempting`), the connection (`established`). What an input brings about is
theirs; the link knows no input, and never dials.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from headstay.engine.change import Place
from headstay.engine.effects import Disconnect, Effect, Emit, SendMessage
from headstay.engine.events import AuthenticationFailure, ConnectionStateChange, ReportBufferFull, ServerSwitchover
from headstay.engine.failover import Failover
from headstay.engine.inputs import Failure
from headstay.engine.instant import Instant
from headstay.engine.keepalive import Keepalive
from headstay.engine.picture import Picture
from headstay.engine.reasons import DeviceState, DownReason, State
from headstay.engine.reports import Reports
from headstay.engine.settings import Server, Settings
from headstay.engine.stages import Stage
from headstay.engine.subconnections import Subconnections
from headstay.engine.switchback import Switchback
from headstay.engine.unbinding import Unbinding
from headstay.errors import HeadstayError
from headstay.wire import messages


class UnexpectedInput(HeadstayError):
    """An input that cannot come in this state: the shell, or the table, is wrong."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a server lets the device in with, without a new proof."""

    text: str = field(repr=False)
    place: Place
    """The server that issued it."""
    expires_at: float


@dataclass(frozen=True, slots=True)
class Why:
    """What a change of state is put down to."""

    failure: Failure | None = None
    down: DownReason | None = None
    details: str | None = None


class Link:
    """Everything that is known of the link. `effects` is what shall be done about the input that is handled now."""

    def __init__(self, settings: Settings, reports: Reports, jitter: random.Random) -> None:
        self.reports = reports
        self.settings = settings
        self.picture = Picture()
        self.started = False
        self.may_follow: tuple[DeviceState, ...] = ()  # the states that may follow from the input that is handled now
        self.effects: list[Effect] = []

        self.failover = Failover(settings.servers, jitter)
        self.switchback = Switchback(settings.hold_down, settings.servers)
        self.turning_from: Server | None = None  # the server whose trouble led to the next attempt
        self.resume_at: float | None = None  # when a resting state ends
        self.token: Token | None = None

        self.attempts = 0  # the number of the last attempt; it identifies the attempt for good
        self.attempt: int | None = None  # the one that is live, connecting or connected
        self.stage: Stage | None = None
        self.stage_ends_at: float | None = None
        self.reauthenticated = False

        self.keepalive: Keepalive | None = None
        self.subconnections = Subconnections(settings.services)
        self.unbinding = Unbinding()

    # the one place where the state changes ----------------------------------------------------------

    def enter(self, state: DeviceState, now: Instant, why: Why | None = None) -> None:
        """Be in `state` from now on: the one place where the state changes. `why` is what that is put down to."""
        if state not in self.may_follow and state is not self.picture.device_state:
            raise UnexpectedInput(f"no transition from {self.picture.device_state.value} to {state.value}")
        why = why or Why()
        picture = self.picture
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
        self.emit(self._change(old, new, why))
        if new is State.UNCONNECTED:
            picture.server_address = None

    def _change(self, old: State, new: State, why: Why) -> ConnectionStateChange:
        failure, details = why.failure, why.details
        if failure is not None:
            details = failure.details
        elif why.down is not None and old is not State.ESTABLISHED:
            details = why.down.value  # an attempt that was broken off: nothing was up that could go down
        return ConnectionStateChange(
            old_state=old,
            new_state=new,
            server_domain=None if self.picture.server is None else self.picture.server.domain,
            server_address=self.picture.server_address,
            failure_reason=None if failure is None else failure.reason,
            down_reason=why.down if old is State.ESTABLISHED else None,
            details=details,
        )

    # letting go, and resting ------------------------------------------------------------------------

    def let_go(self, why: Why, state: DeviceState, now: Instant) -> None:
        """Give up whatever goes on because the user said so, and enter `state`."""
        self.turning_from = self.resume_at = None
        if self.attempt is not None and why.down is not None:
            self.release(why.down.value, graceful=True)
        self.enter(state, now, why)

    def release(self, reason: str, *, graceful: bool) -> None:
        """Give up the live attempt or connection; from here on whatever it still reports is stale."""
        if self.attempt is None:
            return
        self.effects.append(Disconnect(self.attempt, reason, graceful))
        self.attempt = self.stage = self.stage_ends_at = self.keepalive = None
        self.switchback.ended()
        self.effects += self.subconnections.main_connection_ended()
        self.effects += self.unbinding.main_connection_ended()

    def anew(self, now: Instant) -> None:
        """Dial at once, from the top of the list, whatever was to be waited for."""
        self.failover.restart()
        self.turning_from = None
        self.rest(now.monotonic, now)

    def rest(
        self, until: float, now: Instant, why: Why | None = None, state: DeviceState = DeviceState.WAITING
    ) -> None:
        """Wait for the next attempt, which may begin at once, in a state that says what came of the last."""
        self.resume_at = until
        self.enter(state, now, why)

    # telling ----------------------------------------------------------------------------------------

    def emit(self, event: ConnectionStateChange | ServerSwitchover | AuthenticationFailure | ReportBufferFull) -> None:
        """Tell whoever observes."""
        self.effects.append(Emit(event))

    def send(self, message: messages.ToCloud) -> None:
        """Say something on the main connection."""
        self.effects.append(SendMessage(message))
