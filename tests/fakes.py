"""A fake cloud and a fake shell for the engine's core: they behave, they do not record calls.

`World` drives one machine through simulated time. It performs effects as the real shell would, against clouds that
behave as each test says, and it fails at once if the machine ever holds two connections.
"""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

from headstay.engine import inputs
from headstay.engine.actions import Action
from headstay.engine.effects import (
    AskToUnbind,
    Authenticate,
    ClearTraffic,
    CloseSubconnection,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Handshake,
    OpenSubconnection,
    Probe,
    Register,
    Resolve,
    SendMessage,
    SendPing,
    TuneSubconnections,
    UnbindEnded,
    WakeServices,
)
from headstay.engine.events import Event
from headstay.engine.inputs import Failure, Input, UnbindFailure, UnbindOutcome
from headstay.engine.instant import Instant
from headstay.engine.machine import Machine
from headstay.engine.reasons import DeviceState, FailureReason
from headstay.engine.settings import Identity, Server, Service, Settings
from headstay.engine.stages import TIME_LIMIT, TIMED_OUT, Stage
from headstay.engine.status import ConnectionStatus
from headstay.engine.unbinding import outcome_of
from headstay.wire import messages

IDENTITY = Identity(serial="SN1", model="m", software="1", boot_id="boot-1")
LATENCY = 0.01
EPOCH = 1_700_000_000.0
ADDRESS = (2, 1, 6, "", ("192.0.2.1", 19443))
_MOST_TICKS_AT_ONCE = 50
_UNWANTED = ("disabled", "unsupported")
_PROBED = {Resolve: Stage.RESOLVING, Connect: Stage.CONNECTING, Authenticate: Stage.AUTHENTICATING}
"""The steps of a question to a server."""


@dataclass
class FakeCloud:
    """What one server does. The defaults accept everything."""

    fails: Failure | None = None
    """How the step in `fails_at` ends, where it fails."""
    fails_at: type[Effect] | None = None
    silent_at: type[Effect] | None = None
    """The step that never ends."""
    password: str | None = None
    """What the cloud asks for; None accepts any device."""
    answers_keepalives: bool = True
    token_lasts: float = 3600.0
    accepts_tokens: bool = True
    offers: tuple[str, ...] = ("telemetry",)
    """The services that it has; it offers those of them that the device names."""
    answers_codes: bool = True
    hears_services: bool = True
    """Whether it knows the message `services`; an older cloud does not."""


def refusing(reason: FailureReason, at: type[Effect], retry_after: float | None = None) -> FakeCloud:
    """Return a cloud at which a step fails."""
    return FakeCloud(fails=Failure(reason, "no", retry_after), fails_at=at)


@dataclass
class World:
    """One machine, its clouds, and time."""

    settings: Settings
    clouds: dict[str, FakeCloud] = field(default_factory=dict)
    seed: int = 1

    def __post_init__(self) -> None:
        self.machine = Machine(IDENTITY, self.settings, random.Random(self.seed))
        self.now = 1000.0
        self.wall_offset = EPOCH
        """What the wall clock shows beyond the monotonic one; a test may let it jump."""
        self.effects: list[Effect] = []
        self.events: list[Event] = []
        self.dialled: list[tuple[float, str]] = []
        self.probed: list[tuple[float, str]] = []
        """Which servers were asked beside the connection, and when."""
        self.codes: set[str] = set()
        """The verification codes that are good, each once, at every server: all are of one cloud."""
        self.requested: list[float] = []
        """When somebody gave a verification code; its place here is the request's number."""
        self.beats: list[tuple[float, str]] = []
        """When keepalives and pings went out."""
        self.live: int | None = None
        """The attempt that holds sockets."""
        self.main: int | None = None
        self.used: Settings | None = None
        """The settings of the live attempt."""
        self.outcomes: dict[int, UnbindOutcome] = {}
        """What came of each request to be unbound."""
        self.subconnections: dict[str, str] = {}
        self.limits: dict[str, Service] = {}
        """By service: what its subconnections were told last."""
        self._server: Server | None = None
        self._order = itertools.count()
        self._coming: list[tuple[float, int, Input]] = []
        self._tokens = itertools.count()
        self._instances = itertools.count(1)
        self._wanted: tuple[str, ...] = ()
        """The services that the device named last."""
        self._offered: dict[str, messages.Open] = {}
        """What the cloud offers, or holds to be open, by instance."""
        self._tickets: set[str] = set()
        """The URLs of offers that are still good; each is for one try."""

    # what tests say -------------------------------------------------------------------------------

    def start(self) -> World:
        self.give(inputs.Started())
        return self

    def give(self, given: Input) -> list[Effect]:
        """Give one input now; returns the effects, which are performed."""
        if isinstance(given, inputs.SubconnectionEnded):
            self.subconnections.pop(given.instance, None)
        effects = self.machine.handle(given, self.instant)
        self.effects += effects
        for effect in effects:
            self._perform(effect)
        return effects

    def configure(self, *actions: Action) -> list[Effect]:
        return self.give(inputs.Configured(actions))

    def advance(self, seconds: float) -> World:
        """Let time pass; everything that is due happens in order."""
        end = self.now + seconds
        ticks = 0
        while (due := self._due()) is not None and due <= end:
            ticks = ticks + 1 if due <= self.now else 0
            assert ticks < _MOST_TICKS_AT_ONCE, "the machine spins"
            self._happen(due)
        self.now = end
        return self

    def suspend(self, seconds: float) -> World:
        """The device sleeps: time passes, and nothing that is due happens before it wakes."""
        self.now += seconds
        return self.advance(0.0)

    def step(self) -> World:
        """Let the next thing happen, whenever that is."""
        due = self._due()
        assert due is not None, "nothing will ever happen"
        return self._happen(due)

    def until(self, state: DeviceState) -> World:
        """Let things happen until the machine is in this state."""
        for _ in range(1000):
            if self.state is state:
                return self
            self.step()
        raise AssertionError(f"never {state.value}")

    def settle(self) -> World:
        """Let a second pass: enough for an attempt, too little for any interval."""
        return self.advance(1.0)

    def receive(self, message: messages.Message | messages.Unknown) -> list[Effect]:
        """The cloud says something on the main connection."""
        assert self.main is not None
        if isinstance(message, messages.Open):
            self._tickets.add(message.url)
        return self.give(inputs.MessageReceived(self.main, message))

    def unbind(self, code: str) -> int:
        """Somebody gives a verification code; returns the request's number."""
        self.requested.append(self.now)
        self.give(inputs.UnbindRequested(len(self.requested) - 1, code))
        return len(self.requested) - 1

    def lose(self, details: str | None = None) -> list[Effect]:
        """The main connection breaks."""
        assert self.main is not None
        return self.give(inputs.ConnectionLost(self.main, details))

    @property
    def state(self) -> DeviceState:
        return self.machine.state

    @property
    def instant(self) -> Instant:
        return Instant(self.now, self.wall_offset + self.now)

    @property
    def connection(self) -> ConnectionStatus:
        return self.machine.status(self.instant).connection

    @property
    def sent(self) -> list[messages.Message]:
        return [effect.message for effect in self.effects if isinstance(effect, SendMessage)]

    def events_of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def forget(self) -> World:
        """Forget what has happened so far, so that silence can be asserted."""
        self.effects.clear()
        self.events.clear()
        self.dialled.clear()
        self.probed.clear()
        return self

    # the shell and the clouds ---------------------------------------------------------------------

    def _due(self) -> float | None:
        coming = [self._coming[0][0]] if self._coming else []
        deadline = self.machine.deadline()
        return min(coming + ([] if deadline is None else [deadline]), default=None)

    def _happen(self, due: float) -> World:
        self.now = max(self.now, due)
        if self._coming and self._coming[0][0] <= self.now:
            self.give(heapq.heappop(self._coming)[2])
        else:
            self.give(inputs.Tick())
        return self

    def _later(self, given: Input, delay: float = LATENCY) -> None:
        heapq.heappush(self._coming, (self.now + delay, next(self._order), given))

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Resolve(attempt, server, settings):
                assert self.live is None, "a second attempt beside the first"
                assert self.main is None, "an attempt beside the main connection"
                self.live, self._server, self.used = attempt, server, settings
                self.dialled.append((self.now, server.domain))
                self._step(effect, inputs.Resolved(attempt, (ADDRESS,)))
            case Connect(attempt):
                self._step(effect, inputs.Connected(attempt, "192.0.2.1"))
            case Authenticate(attempt):
                self._authenticate(effect, attempt)
            case Register(attempt, token, services):
                self._wanted = services
                self._register(effect, attempt, token)
            case Handshake(attempt):
                self._later(inputs.RequestSent(attempt))
                self._step(effect, inputs.Handshaken(attempt, "192.0.2.1"))
            case Probe():
                self._probe(effect)
            case Disconnect(attempt):
                assert attempt == self.live, "the machine lets go of what it does not hold"
                self.live = self.main = self.used = None
                self.subconnections.clear()
            case SendMessage(messages.Keepalive(id=number)):
                self.beats.append((self.now, "keepalive"))
                if self._cloud.answers_keepalives:
                    self._hear(messages.KeepaliveAck(number))
            case OpenSubconnection(attempt, instance, service, url, limits):
                assert attempt == self.main
                self.limits[service] = limits
                self._open(attempt, instance, service, url)
            case TuneSubconnections(limits):
                assert limits.name in self.subconnections.values(), "nothing to tune"
                self.limits[limits.name] = limits
            case CloseSubconnection(instance):
                self.subconnections.pop(instance)
            case Emit(event):
                self.events.append(event)
            case AskToUnbind():
                self._unbind_beside(effect)
            case UnbindEnded(request, outcome):
                assert request not in self.outcomes, "two outcomes of one request"
                self.outcomes[request] = outcome
            case SendPing():
                assert self.main is not None, "nothing can be sent"
                self.beats.append((self.now, "ping"))
            case SendMessage(message):
                assert self.main is not None, "nothing can be sent"
                self._hear_on_main(message)
            case WakeServices() | ClearTraffic():
                pass

    @property
    def _cloud(self) -> FakeCloud:
        assert self._server is not None
        return self.clouds.setdefault(self._server.domain, FakeCloud())

    def _hear(self, message: messages.Message) -> None:
        assert self.main is not None
        self._later(inputs.MessageReceived(self.main, message))

    def _hear_on_main(self, message: messages.Message) -> None:
        """The cloud offers anew what has ended and is still wanted, and follows the device's list."""
        match message:
            case messages.Closed(instance, reason):
                ended = self._offered.pop(instance, None)
                if ended is not None and ended.service in self._wanted and reason not in _UNWANTED:
                    self._offer(ended.service)
            case messages.Unbind(code) if self._cloud.answers_codes:
                result = self._spend(code)
                self._hear(messages.UnbindResult(result))
                if result == messages.UNBOUND:
                    self._hear(messages.Bye("unbound"))
            case messages.Services(services) if self._cloud.hears_services:
                self._wanted = services
                self._offer_what_is_wanted()

    def _offer_what_is_wanted(self) -> None:
        for instance, offer in list(self._offered.items()):
            if offer.service not in self._wanted:
                del self._offered[instance]
                self._tickets.discard(offer.url)
        offered = {offer.service for offer in self._offered.values()}
        for service in self._cloud.offers:
            if service in self._wanted and service not in offered:
                self._offer(service)

    def _offer(self, service: str) -> None:
        number = next(self._instances)
        url = f"wss://cloud.example:19443/sub/{service}?ticket=secret-{number}"
        offer = messages.Open(service, f"{service}-{number}", url)
        self._offered[offer.instance] = offer
        self._tickets.add(url)
        self._hear(offer)

    def _open(self, attempt: int, instance: str, service: str, url: str) -> None:
        self.subconnections[instance] = service
        if url in self._tickets:
            self._tickets.remove(url)
            self._later(inputs.SubconnectionOpened(attempt, instance))
        else:
            self._later(inputs.SubconnectionEnded(attempt, instance, "handshake-refused"))

    def _step(self, step: Effect, success: Input) -> None:
        cloud = self._cloud
        if cloud.silent_at is type(step):
            return
        if cloud.fails_at is type(step) and cloud.fails is not None and self.live is not None:
            self._later(inputs.Failed(self.live, cloud.fails))
            return
        self._later(success)
        if isinstance(success, inputs.Handshaken):
            self.main = success.attempt
            self._offered.clear()
            self._tickets.clear()
            self._offer_what_is_wanted()

    def _spend(self, code: str) -> str:
        if code not in self.codes:
            return messages.WRONG_CODE
        self.codes.remove(code)
        return messages.UNBOUND

    def _unbind_beside(self, asked: AskToUnbind) -> None:
        """Servers are asked by HTTPS: the first at which no step fails answers, unless none is left."""
        for server in asked.settings.servers:
            cloud = self.clouds.setdefault(server.domain, FakeCloud())
            if cloud.fails_at in _PROBED or cloud.silent_at in _PROBED:
                continue
            if not cloud.answers_codes:
                silent = UnbindOutcome(UnbindFailure.NO_ANSWER)
                self._later(inputs.UnbindConcluded(asked.request, silent, server), 10.0)
                return
            outcome = outcome_of(self._spend(asked.code))
            self._later(inputs.UnbindConcluded(asked.request, outcome, server), 4 * LATENCY)
            return
        self._later(inputs.UnbindConcluded(asked.request, UnbindOutcome(UnbindFailure.NOT_REACHED)), 1.0)

    def _probe(self, probe: Probe) -> None:
        """A server is asked beside the main connection: it answers as in an attempt, up to authentication."""
        assert probe.attempt == self.main, "a question without a connection beside it"
        self.probed.append((self.now, probe.server.domain))
        cloud = self.clouds.setdefault(probe.server.domain, FakeCloud())
        failure, delay = None, 3 * LATENCY
        if cloud.silent_at in _PROBED:
            stage = _PROBED[cloud.silent_at]
            failure, delay = Failure(TIMED_OUT[stage]), TIME_LIMIT[stage]
        elif cloud.fails is not None and cloud.fails_at in _PROBED:
            failure = cloud.fails
        elif cloud.password is not None and probe.settings.password != cloud.password:
            failure = Failure(FailureReason.AUTHENTICATION_REFUSED, "bad-proof")
        if failure is not None:
            self._later(inputs.ProbeFailed(probe.attempt, probe.server, failure), delay)
        else:
            token = f"token-{next(self._tokens)}"
            self._later(inputs.Probed(probe.attempt, probe.server, token, cloud.token_lasts), delay)

    def _authenticate(self, step: Effect, attempt: int) -> None:
        self._later(inputs.RequestSent(attempt))
        assert self.used is not None
        if self._cloud.silent_at is not Authenticate:
            self._later(inputs.AnswerReceived(attempt))
        if self._cloud.password is not None and self.used.password != self._cloud.password:
            reason = "password-required" if self.used.password is None else "bad-proof"
            self._later(inputs.Failed(attempt, Failure(FailureReason.AUTHENTICATION_REFUSED, reason)))
            return
        token = f"token-{next(self._tokens)}"
        self._step(step, inputs.Authenticated(attempt, token, self._cloud.token_lasts))

    def _register(self, step: Effect, attempt: int, token: str) -> None:
        self._later(inputs.RequestSent(attempt))
        if not self._cloud.accepts_tokens:
            self._later(inputs.TokenRefused(attempt))
            return
        self._step(step, inputs.Registered(attempt, "wss://cloud.example:19443/main?ticket=secret"))
