"""The link through whole histories: servers die, recover, refuse and fall silent, the device sleeps, clocks jump.

`Watched` holds the machine to the rules of failover, written down here once more and apart from the policy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import SetIntervals, SetSwitchback
from headstay.engine.effects import Authenticate, Connect, Disconnect, Effect, Emit, Handshake, Register, Resolve
from headstay.engine.events import ConnectionStateChange
from headstay.engine.reasons import DeviceState, DownReason, FailureReason
from headstay.engine.settings import Role, Server, Settings
from headstay.wire import messages

NAMES = ["a.example", "b.example", "c.example", "d.example"]
SENT_AWAY = (DownReason.REPLACED_BY_NEWER_CONNECTION, DownReason.REMOVED_FROM_CLOUD, DownReason.UNBOUND)
A_MOMENT = 1e-6
LONGEST_JITTER = 100.0
"""Seconds: a tenth of the longest `retry-after` here."""
HEALTHY = st.just(("healthy", FakeCloud()))
CLOUDS = st.one_of(
    HEALTHY,
    HEALTHY,
    st.builds(
        lambda step, reason: ("refuses", refusing(reason, step)),
        st.sampled_from([Resolve, Connect, Authenticate, Register, Handshake]),
        st.sampled_from([FailureReason.SOCKET_FAILED, FailureReason.AUTHENTICATION_REFUSED]),
    ),
    st.builds(lambda step: ("hangs", FakeCloud(silent_at=step)), st.sampled_from([Resolve, Connect, Register])),
    st.builds(
        lambda after: ("busy", refusing(FailureReason.SERVER_BUSY, Authenticate, after)),
        st.sampled_from([30.0, 1000.0]),
    ),
    st.just(("deaf", FakeCloud(answers_keepalives=False))),
    st.just(("healthy", FakeCloud(answers_codes=False))),
)


@dataclass(frozen=True)
class Expected:
    """Where the next attempt goes (None: not foreseen), and between which moments it begins."""

    server: str | None
    earliest: float
    latest: float


@dataclass
class Watched(World):
    """A world that checks each attempt against the rules as it begins."""

    expected: Expected | None = None
    rounds: int = 0
    failed: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    held: dict[str, float] = field(default_factory=dict)
    """Until when a server wants to be left alone."""
    banished: bool = False
    up_since: float = 0.0
    heard_at: float = 0.0
    last_dial: float = float("-inf")
    reset_at: float = float("-inf")
    """When a change of the device's network last reset the backoff."""
    awake_since: float = float("-inf")

    def give(self, given: inputs.Input) -> list[Effect]:
        server = self.name_in_use
        if isinstance(given, inputs.ReconnectRequested | inputs.Started):
            self._restart()
        if isinstance(given, inputs.LinkChanged):
            self._hope()
        effects = super().give(given)
        if isinstance(given, inputs.UnbindConcluded) and given.outcome.failure is None:
            self._sent_away()
        if isinstance(given, inputs.Handshaken):
            self.up_since = self.heard_at = self.now
        if isinstance(given, inputs.MessageReceived) and isinstance(given.message, messages.KeepaliveAck):
            self.heard_at = self.now
        if isinstance(given, inputs.ProbeFailed) and given.failure.retry_after is not None:
            self.held[given.server.domain] = self.now + given.failure.retry_after
        for effect in effects:
            if isinstance(effect, Emit) and isinstance(effect.event, ConnectionStateChange) and server is not None:
                self._changed(given, effect.event, server)
            if isinstance(effect, Resolve):
                self._dials(effect.server.domain)
        return effects

    @property
    def name_in_use(self) -> str | None:
        return None if self._server is None else self._server.domain

    @property
    def order(self) -> list[str]:
        return [server.domain for server in self.machine.settings.servers]

    def woken(self) -> None:
        """What was due while the device slept is due now."""
        self.awake_since = self.now
        if self.expected is not None and self.expected.latest < self.now:
            self.expected = Expected(self.expected.server, self.expected.earliest, self.now)

    # the rules ------------------------------------------------------------------------------------

    def _dials(self, domain: str) -> None:
        expected, self.expected = self.expected, None
        assert expected is not None, f"{domain} is dialled without a reason"
        assert expected.server in (domain, None), f"{domain} is dialled, {expected.server} is next"
        assert expected.earliest <= self.now + A_MOMENT, "too early"
        assert self.now <= expected.latest + A_MOMENT, "too late"
        assert self.held.get(domain, 0.0) <= self.now + A_MOMENT, "this server wants to be left alone"
        self.banished = False
        self.last_dial = self.now

    def _changed(self, given: inputs.Input, event: ConnectionStateChange, server: str) -> None:
        down = event.down_reason
        if event.failure_reason is not None:
            self._hold(server, given.failure.retry_after if isinstance(given, inputs.Failed) else None)
            self.failed.add(server)
            self._plan(server)
        elif down is DownReason.KEEPALIVE_TIMEOUT:
            due = self.heard_at + 3 * self.machine.settings.keepalive_interval
            assert due - A_MOMENT <= self.now <= max(due, self.awake_since) + A_MOMENT
            self._weigh()
            self.expected = Expected(server, self.now, self.now)
        elif down in SENT_AWAY:
            self._sent_away()
        elif isinstance(given, inputs.Probed):
            assert event.details == "switchback"
            self._goes_back(given.server.domain, server)
        elif down in (DownReason.SOCKET_ERROR, DownReason.CLOSED_BY_SERVER):
            self._lost(given, server)

    def _sent_away(self) -> None:
        self.failed.clear()
        self.banished = True
        self.expected = Expected(None if self.holds else self.order[0], self.now + 300, self.now + 330)

    def _goes_back(self, to: str, leaving: str) -> None:
        assert self.machine.settings.hold_down is not None, "nobody asked to go back"
        assert self.order.index(to) < self.order.index(leaving)
        assert self.now >= self.up_since + self.machine.settings.hold_down - A_MOMENT
        self._weigh()
        self.failed.clear()
        self.expected = Expected(to, self.now, self.now)

    def _lost(self, given: inputs.Input, server: str) -> None:
        self._weigh()
        if isinstance(given, inputs.MessageReceived) and isinstance(given.message, messages.Bye):
            self._hold(server, given.message.retry_after)
        if server in self.dropped:
            self.failed.add(server)
        self.dropped.add(server)
        self._plan(server)

    def _plan(self, last: str) -> None:
        """The next in the list that has not failed, at once; if all have, the first, after a backoff."""
        if self.holds:
            self.rounds = 16  # what the policy counts while servers are held is its own affair; its bounds hold
            self.expected = Expected(
                None, self.now, max([self.now + 300, *(at + LONGEST_JITTER for at in self.held.values())])
            )
            return
        start = self.order.index(last) + 1
        for domain in self.order[start:] + self.order[:start]:
            if domain not in self.failed:
                self.expected = Expected(domain, self.now, self.now)
                return
        self.failed.clear()
        self.expected = Expected(self.order[0], self.now, self.now + min(300.0, 2.0**self.rounds))
        self.rounds += 1

    @property
    def holds(self) -> bool:
        """Whether a server has asked to be left alone, so that this round may have gone another way."""
        return bool(self.held)

    def _hold(self, server: str, retry_after: float | None) -> None:
        if retry_after is not None:
            self.held[server] = self.now + retry_after

    def _weigh(self) -> None:
        if self.now - self.up_since >= 60:
            self.rounds = 0
            self.failed.clear()
            self.dropped.clear()
            self.held = {server: at for server, at in self.held.items() if at + LONGEST_JITTER > self.now}

    def _restart(self) -> None:
        self.rounds = 0
        for memory in (self.failed, self.dropped, self.held):
            memory.clear()
        self.banished = False
        self.expected = Expected(self.order[0], self.now, self.now)

    def _hope(self) -> None:
        if self.now >= self.reset_at + 60:
            self.rounds, self.reset_at = 0, self.now
        self.rounds = min(self.rounds, 3)
        if self.banished:
            return
        sooner = max(self.now, self.last_dial + 5.0)
        if self.expected is not None and sooner < self.expected.latest:
            server = None if self.holds else self.order[0]
            latest = self.expected.latest if self.holds else sooner
            self.expected = Expected(server, min(self.expected.earliest, sooner), latest)


class Histories(RuleBasedStateMachine):
    """Two devices live through the same; only the wall clock of one jumps."""

    @initialize(
        count=st.integers(1, 4),
        hold_down=st.sampled_from([None, None, 10, 300]),
        seed=st.integers(0, 1000),
        dead=st.sets(st.sampled_from(NAMES)),
    )
    def begin(self, count: int, hold_down: int | None, seed: int, dead: set[str]) -> None:
        servers = tuple(Server(name, role=Role.BACKUP if order else Role.PRIMARY) for order, name in enumerate(NAMES))
        configured = Settings(servers=servers[:count], hold_down=hold_down)
        refuses = refusing(FailureReason.SOCKET_FAILED, Connect)
        self.kinds = {name: "refuses" if name in dead else "healthy" for name in NAMES}
        clouds = {name: refuses if name in dead else FakeCloud() for name in NAMES}
        self.world, self.twin = (Watched(configured, dict(clouds), seed) for _ in range(2))
        self.both(lambda world: world.start())

    def both(self, do: Callable[[Watched], object]) -> None:
        do(self.world)
        do(self.twin)

    @property
    def connected(self) -> bool:
        return self.world.state is DeviceState.CONNECTED

    @property
    def undisturbed(self) -> bool:
        """Whether the connection stands, and nothing is configured that might end it."""
        return self.connected and self.world.machine.settings.hold_down is None

    @property
    def in_use(self) -> str:
        return self.world.connection.server_domain or ""

    # what happens -----------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), cloud=CLOUDS)
    def a_server_changes(self, name: str, cloud: tuple[str, FakeCloud]) -> None:
        self.kinds[name] = cloud[0]
        self.both(lambda world: world.clouds.__setitem__(name, cloud[1]))

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 5.0, 40.0, 700.0, 4000.0]))
    def time_passes(self, seconds: float) -> None:
        before, attempts, since = self.in_use, len(self.world.dialled), self.world.connection.connected_at
        stays = self.undisturbed and self.kinds[before] != "deaf"
        # A server that was deaf a moment ago may be given up yet.
        stays = stays and self.world.now - self.world.heard_at <= self.world.machine.settings.keepalive_interval
        self.both(lambda world: world.advance(seconds))
        if stays:
            assert (self.connected, self.in_use, self.world.connection.connected_at) == (True, before, since)
        count = len(self.world.order)
        assert len(self.world.dialled) - attempts <= count * (25 + seconds / 20), "a storm"

    @rule(hours=st.sampled_from([0.01, 1.0, 9.0, 200.0]))
    def the_device_sleeps(self, hours: float) -> None:
        self.both(lambda world: world.advance(0.2))  # what is on its way arrives
        before, attempts = self.in_use, len(self.world.dialled)
        up = self.undisturbed and self.kinds[before] == "healthy"
        silence = self.world.now + hours * 3600 - self.world.heard_at
        long = silence >= 3 * self.world.machine.settings.keepalive_interval
        waits = self.world.machine.deadline() if not self.connected and self.world.live is None else None

        def sleep(world: Watched) -> None:
            world.now += hours * 3600
            world.woken()
            world.advance(1.0)

        self.both(sleep)
        tried = len(self.world.dialled) - attempts
        assert tried <= 5 * len(self.world.order), "a storm after waking"
        if up:
            assert (self.connected, self.in_use, tried) == (True, before, int(long))
        if waits is not None and waits <= self.world.now - 1.0:
            assert tried >= 1, "awake, and still waiting"

    @rule(seconds=st.sampled_from([-1e8, -3600.0, 3600.0, 1e9]))
    def the_wall_clock_jumps(self, seconds: float) -> None:
        self.world.wall_offset += seconds

    @precondition(lambda self: self.connected)
    @rule()
    def the_connection_breaks(self) -> None:
        self.both(lambda world: world.lose())

    @precondition(lambda self: self.connected)
    @rule(
        reason=st.sampled_from(["closed-by-server", "server-busy", "unbound", "replaced-by-newer-connection"]),
        retry_after=st.sampled_from([None, None, 20.0]),
    )
    def the_cloud_says_goodbye(self, reason: str, retry_after: float | None) -> None:
        away = reason in ("unbound", "replaced-by-newer-connection")
        self.both(lambda world: world.receive(messages.Bye(reason, None if away else retry_after)))

    @rule()
    def a_link_changes(self) -> None:
        connected, since = self.connected, self.world.connection.connected_at
        self.both(lambda world: world.give(inputs.LinkChanged()))
        assert (self.connected, self.world.connection.connected_at) == (connected, since)

    @rule()
    def somebody_asks_for_a_new_connection(self) -> None:
        self.both(lambda world: world.give(inputs.ReconnectRequested()))

    @rule(right=st.booleans())
    def somebody_gives_a_verification_code(self, right: bool) -> None:
        state, since = self.world.state, self.world.connection.connected_at

        def give(world: Watched) -> None:
            if right:
                world.codes.add("right")
            world.unbind("right" if right else "wrong")

        self.both(give)
        # Asking disturbs nothing; only the answer may.
        assert (self.world.state, self.world.connection.connected_at) == (state, since)
        self.both(lambda world: world.advance(0.2))
        last = len(self.world.requested) - 1
        outcome = self.world.outcomes.get(last)
        if outcome is not None and outcome.failure is None:
            assert right
            assert (self.world.state, self.world.banished) == (DeviceState.WAITING, True)

    @rule(keepalive=st.integers(10, 600), ping=st.integers(10, 600))
    def intervals_change(self, keepalive: int, ping: int) -> None:
        state, events = self.world.state, len(self.world.events)

        def change(world: Watched) -> None:
            if keepalive != world.machine.settings.keepalive_interval:
                world.heard_at = world.now
            effects = world.configure(SetIntervals(keepalive, ping))
            assert not [effect for effect in effects if isinstance(effect, Disconnect)]

        self.both(change)
        assert (self.world.state, len(self.world.events)) == (state, events)

    @rule(hold_down=st.sampled_from([None, None, 10, 86400]))
    def the_switchback_changes(self, hold_down: int | None) -> None:
        state, events = self.world.state, len(self.world.events)
        self.both(lambda world: world.configure(SetSwitchback(hold_down)))
        assert (self.world.state, len(self.world.events)) == (state, events)

    # what always holds --------------------------------------------------------------------------------

    @invariant()
    def the_wall_clock_makes_no_difference(self) -> None:
        if not hasattr(self, "world"):
            return
        one, other = self.world, self.twin
        assert (one.state, one.dialled, one.probed) == (other.state, other.dialled, other.probed)
        assert one.beats[-5:] == other.beats[-5:]
        assert one.machine.deadline() == other.machine.deadline()

    @invariant()
    def silence_lasts_three_intervals_at_most(self) -> None:
        if hasattr(self, "world") and self.connected:
            patience = 3 * self.world.machine.settings.keepalive_interval
            assert self.world.now <= self.world.heard_at + patience + A_MOMENT

    @invariant()
    def every_code_has_its_outcome_in_time(self) -> None:
        if hasattr(self, "world"):
            for request, asked_at in enumerate(self.world.requested):
                assert request in self.world.outcomes or self.world.now <= asked_at + 10.0 + A_MOMENT

    @invariant()
    def something_will_happen(self) -> None:
        if hasattr(self, "world"):
            assert self.world.machine.deadline() is not None
            assert self.world.state is not DeviceState.IDLE


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=100,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)


def test_a_watched_world_notices_a_wrong_server() -> None:
    """The watcher itself works: an attempt that no rule foresees fails."""
    world = Watched(Settings(servers=(Server("a.example"), Server("b.example"))))
    world.start().settle()
    world.expected = Expected("b.example", world.now, world.now)
    with pytest.raises(AssertionError, match=r"b\.example is next"):
        world._dials("a.example")
