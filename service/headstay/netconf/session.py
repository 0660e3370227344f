"""CORE: one NETCONF session (RFC 6241 section 4, RFC 6242): hello, one rpc after the other, the end.

Owns the state of a session and its counters, and is the one place where a NetconfError becomes an <rpc-error>. Knows no
socket, no clock and no operation: whoever drives it carries out the effects and hands back what came of them.

An rpc that comes while another runs waits in the deframer, so replies come in the order of the rpcs (RFC 6241 section
4.5) and what waits is bounded by `wants_octets`. No wrong message ends a session; wrong framing does. A message that
takes long to parse, or for whose names there is no room, is handed out for that, as an rpc is to be executed. Of a
large message no more is taken in than shows that it is one before its reservation has come; so what all sessions hold
together is bounded.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headstay.errors import ErrorType, HeadstayError, MalformedMessage, NetconfError, OperationFailed, RpcErrors, TooBig
from headstay.netconf import messages
from headstay.netconf.framing import Deframer, Framing, FramingError, MessageTooBig, frame
from headstay.netconf.limits import Limits
from headstay.netconf.messages import BASE_1_1, BadHello, Reply, Rpc, Unreadable
from headstay.netconf.session_words import (
    CloseTransport,
    Effect,
    Execute,
    Input,
    Killed,
    Lost,
    Notified,
    Octets,
    Opened,
    Parse,
    Parsed,
    PeerClosed,
    Release,
    Replied,
    Reserve,
    Reserved,
    Revoked,
    Send,
    Subscribed,
    Termination,
    Tick,
    Unsubscribed,
)
from headstay.netconf.statistics import Counters
from headstay.netconf.vocabulary import Vocabulary

MOST_WAITING: Final = 65_536
"""Octets that may wait while an rpc runs; after that no more are asked for."""
LARGE: Final = 65_536
"""Octets of a message from which on it is not parsed here: that takes milliseconds, and more the larger it is. From
here on it needs a reservation, too.
"""
MOST_AT_ONCE: Final = 64
"""Wrong messages that are answered in one go; then all other sessions have a turn."""
LAST_REPLY_WITHIN: Final = 2.0
"""Seconds for which a session that has lost its right to be here is still waited for."""


class UnexpectedInput(HeadstayError):
    """An input that makes no sense in the session's state: whoever drives it has a defect."""


class State(enum.Enum):
    """Where a session is."""

    __hash__ = object.__hash__  # enum's own is written in Python, and each input looks up a transition

    NEW = "new"
    GREETING = "greeting"
    """Our <hello> is sent, the client's has not come."""
    READY = "ready"
    WAITING = "waiting"
    """A large message has no reservation yet."""
    PARSING = "parsing"
    """A message is being parsed."""
    RUNNING = "running"
    """An rpc is being executed."""
    CLOSED = "closed"


class Session:
    """One session. Give it every input as it comes, and carry out the effects in their order."""

    def __init__(
        self,
        session_id: int,
        capabilities: Sequence[str],
        limits: Limits | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        self.session_id = session_id
        self.capabilities = tuple(capabilities)
        self.client_capabilities: frozenset[str] = frozenset()
        """What the client's <hello> announced."""
        self.counters = Counters()
        self.termination: Termination | None = None
        """Why the session ended; None while it lasts."""
        self._state = State.NEW
        self._limits = limits or Limits()
        self._vocabulary = vocabulary or Vocabulary()
        self._deframer = Deframer(min(self._limits.hello_octets, self._limits.message_octets))
        self._quiet_since = 0.0
        """When the session opened, or a request or its reply last went by."""
        self._peer_closed = False
        self._subscribed = False
        self._revoked: Revoked | None = None
        self._last_reply_due: float | None = None
        self._large = b""
        """The large message that waits for its reservation, if it is complete already."""
        self._reserved_since: float | None = None
        """When the reservation came that lasts."""
        self._opening = b""
        """The start tag of the reply to the rpc that runs."""

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._state

    @property
    def wants_octets(self) -> bool:
        """Whether the transport should go on reading."""
        if self._state is State.WAITING:
            return False
        return self._state not in _BUSY or self._deframer.pending < MOST_WAITING

    def deadline(self) -> float | None:
        """Return when `Tick` is due, in the seconds of `now`; None if there is nothing to wait for."""
        match self._state:
            case State.READY if self._reserved_since is not None:
                return self._reserved_since + self._limits.large_message_timeout
            case State.READY if self._limits.idle_timeout and not self._subscribed:
                return self._quiet_since + self._limits.idle_timeout
            case State.RUNNING:
                return self._last_reply_due
            case State.GREETING:
                return self._quiet_since + self._limits.hello_timeout
        return None

    def handle(self, input: Input, now: float) -> list[Effect]:
        """Take in one input at time `now` (seconds, monotonic) and return what to do.

        Nothing that a client does raises. Raises UnexpectedInput for a pair of state and input that cannot be; a
        closed session ignores everything.
        """
        transition = TRANSITIONS.get((self._state, type(input)))
        if transition is None:
            if self._state is State.CLOSED:
                return []
            raise UnexpectedInput(f"{type(input).__name__} while {self._state.value}")
        return transition(self, input, now)

    # transitions

    def _open(self, _input: Opened, now: float) -> list[Effect]:
        self._state = State.GREETING
        self._quiet_since = now
        hello = messages.hello(self.session_id, self.capabilities)
        return [Send(frame(hello, Framing.END_OF_MESSAGE))]

    def _receive(self, input: Octets, now: float) -> list[Effect]:
        if self._state is not State.GREETING:  # the time for <hello> runs from the start, however slowly it comes
            self._quiet_since = now
        waiting = self._deframer.receive(input.octets)
        return [] if self._state in _BUSY else self._go_on(waiting)

    def _finish_reading(self, _input: PeerClosed, _now: float) -> list[Effect]:
        self._peer_closed = True
        return [] if self._state in _BUSY else self._go_on(self._deframer.messages())

    def _lose(self, _input: Lost, _now: float) -> list[Effect]:
        return self._end(Termination.DROPPED, "the connection is lost")

    def _reserved(self, _input: Reserved, now: float) -> list[Effect]:
        self._state = State.READY
        self._reserved_since = self._quiet_since = now
        message, self._large = self._large, b""
        effects = self._take(message, others_wait=False) if message else []
        return effects + self._go_on(self._deframer.messages())

    def _parsed(self, input: Parsed, now: float) -> list[Effect]:
        self._state = State.READY
        self._quiet_since = now
        return self._begin(input.message) + self._go_on(self._deframer.messages())

    def _reply(self, input: Replied, now: float) -> list[Effect]:
        self._state = State.READY
        self._quiet_since = now
        effects = [self._answer(self._opening, input.outcome), *self._release()]
        if isinstance(input.outcome, Reply) and input.outcome.ends_session:
            return [*effects, *self._end(Termination.CLOSED, "closed by its client")]
        if self._revoked is not None:
            return [*effects, *self._end(Termination.OTHER, self._revoked.reason)]
        if not self._deframer.held and not self._peer_closed:
            return effects
        return effects + self._go_on(self._deframer.messages())

    def _subscribe(self, _input: Subscribed, _now: float) -> list[Effect]:
        self._subscribed = True
        return []

    def _unsubscribe(self, _input: Unsubscribed, now: float) -> list[Effect]:
        self._subscribed = False
        self._quiet_since = now
        return []

    def _notify(self, input: Notified, _now: float) -> list[Effect]:
        self.counters.out_notifications += 1
        return [Send(frame(input.message, self._deframer.framing))]

    def _kill(self, input: Killed, _now: float) -> list[Effect]:
        return self._end(input.termination, input.reason)

    def _revoke(self, input: Revoked, now: float) -> list[Effect]:
        if self._state is not State.RUNNING:
            return self._end(Termination.OTHER, input.reason)
        self._revoked = input
        self._last_reply_due = now + LAST_REPLY_WITHIN
        return []

    def _check_time(self, _input: Tick, now: float) -> list[Effect]:
        due = self.deadline()
        if due is None or now < due:
            return []
        if self._revoked is not None:
            return self._end(Termination.OTHER, self._revoked.reason)
        late = "no hello from the client in time" if self._state is State.GREETING else "idle for too long"
        if self._reserved_since is not None:
            late = "a large message is not complete in time"
        return self._end(Termination.TIMEOUT, late)

    # messages

    def _go_on(self, waiting: Any) -> list[Effect]:
        """Take in the messages that wait, up to the first that has to be executed."""
        effects: list[Effect] = []
        taken = 0
        try:
            while self._state in (State.GREETING, State.READY):
                message = next(waiting, None)
                if message is None:
                    break
                if self._state is State.GREETING:
                    effects += self._greet(message)
                else:
                    effects += self._take(message, others_wait=taken >= MOST_AT_ONCE)
                taken += 1
        except FramingError as error:
            if isinstance(error, MessageTooBig) and self._state is State.READY:
                too_big = TooBig(str(error), type=ErrorType.TRANSPORT)
                effects.append(self._refuse(messages.reply_opening(None), too_big))
            return effects + self._end(Termination.DROPPED, str(error))
        if self._state is State.READY and self._deframer.held >= LARGE and self._reserved_since is None:
            effects += self._reserve()
        if self._peer_closed and self._state in (State.GREETING, State.READY):
            effects += self._end(Termination.DROPPED, "closed by its client without close-session")
        return effects

    def _greet(self, message: bytes) -> list[Effect]:
        try:
            self.client_capabilities = messages.read_hello(message)
        except BadHello as error:
            return self._end(Termination.BAD_HELLO, str(error))
        # RFC 6242 section 4.1: chunked framing if both ends announced base:1.1.
        if BASE_1_1 in self.client_capabilities and BASE_1_1 in self.capabilities:
            self._deframer.framing = Framing.CHUNKED
        self._deframer.most_octets = self._limits.message_octets
        self._state = State.READY
        return []

    def _take(self, message: bytes, *, others_wait: bool) -> list[Effect]:
        if len(message) >= LARGE and self._reserved_since is None:
            self._large = message
            return self._reserve()
        if others_wait or len(message) >= LARGE or not self._vocabulary.admits(message):
            self._state = State.PARSING
            return [Parse(message, self._limits.message_elements)]
        return self._begin(messages.read_message(message, self._limits.message_elements))

    def _begin(self, message: Rpc | Unreadable) -> list[Effect]:
        """Begin with an rpc, or say what is wrong with the message."""
        if isinstance(message, Unreadable):
            error = message.error if isinstance(message.error, NetconfError) else self._malformed(str(message.error))
            return [self._refuse(message.opening, error), *self._release()]
        self.counters.in_rpcs += 1
        self._opening = message.opening
        self._state = State.RUNNING
        return [Execute(message)]

    def _reserve(self) -> list[Effect]:
        self._state = State.WAITING
        return [Reserve()]

    def _release(self) -> list[Effect]:
        if self._reserved_since is None:
            return []
        self._reserved_since = None
        return [Release()]

    def _malformed(self, message: str) -> NetconfError:
        # RFC 6241 appendix A: malformed-message is returned in base:1.1 sessions only.
        if self._deframer.framing is Framing.CHUNKED:
            return MalformedMessage(message)
        return OperationFailed(message, type=ErrorType.RPC)

    def _refuse(self, opening: bytes, error: NetconfError) -> Send:
        self.counters.in_bad_rpcs += 1
        return self._answer(opening, error)

    def _answer(self, opening: bytes, outcome: Reply | NetconfError | RpcErrors) -> Send:
        if isinstance(outcome, Reply):
            body = outcome.body
        else:
            self.counters.out_rpc_errors += 1
            body = messages.error_body(outcome)
        return Send(frame(messages.rpc_reply(opening, body), self._deframer.framing))

    def _end(self, termination: Termination, reason: str) -> list[Effect]:
        self._state = State.CLOSED
        self.termination = termination
        return [CloseTransport(reason)]


_BUSY: Final = (State.WAITING, State.PARSING, State.RUNNING)
"""What comes now waits."""

_Transition = Callable[[Session, Any, float], list[Effect]]

_WHILE_OPEN: Final[Mapping[type, _Transition]] = {
    Octets: Session._receive,
    PeerClosed: Session._finish_reading,
    Lost: Session._lose,
    Killed: Session._kill,
    Revoked: Session._revoke,
    Tick: Session._check_time,
}

_WHILE_GREETED: Final[Mapping[type, _Transition]] = {
    **_WHILE_OPEN,
    Subscribed: Session._subscribe,
    Unsubscribed: Session._unsubscribe,
    Notified: Session._notify,
}
_GREETED: Final = (State.READY, *_BUSY)

TRANSITIONS: Final[Mapping[tuple[State, type], _Transition]] = {
    (State.NEW, Opened): Session._open,
    (State.NEW, Lost): Session._lose,
    (State.NEW, Killed): Session._kill,
    **{(State.GREETING, kind): transition for kind, transition in _WHILE_OPEN.items()},
    **{(state, kind): transition for state in _GREETED for kind, transition in _WHILE_GREETED.items()},
    (State.WAITING, Reserved): Session._reserved,
    (State.PARSING, Parsed): Session._parsed,
    (State.RUNNING, Replied): Session._reply,
}
"""What each input does in each state. A pair that is missing cannot be; CLOSED ignores every input."""
