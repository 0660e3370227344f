"""The laws of the link, on random histories."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import fields, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import IDENTITY, FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import SetIntervals, SetServers, actions_between
from headstay.engine.effects import Authenticate, Connect, Disconnect, Handshake, Register, Resolve
from headstay.engine.inputs import Failure, UnbindOutcome
from headstay.engine.link import UnexpectedInput
from headstay.engine.machine import TRANSITIONS, Machine
from headstay.engine.reasons import DeviceState, FailureReason, State
from headstay.engine.settings import AddressFamily, Role, Server, Service, Settings, Source, Tls
from headstay.engine.stages import STATE_OF
from headstay.wire import messages

DOMAINS = ["a.example", "b.example", "c.example", "d.example"]
INTERVALS = st.integers(10, 600)


@st.composite
def server_lists(draw: st.DrawFn) -> tuple[Server, ...]:
    domains = draw(st.lists(st.sampled_from(DOMAINS), unique=True, max_size=4))
    port = st.sampled_from([19443, 443])
    source = draw(st.sampled_from([Source.CONFIGURED, Source.DHCP]))
    return tuple(
        Server(
            domain,
            draw(port),
            Role.BACKUP if order else Role.PRIMARY,
            Source.CONFIGURED if order else source,
        )
        for order, domain in enumerate(domains)
    )


SETTINGS = st.builds(
    Settings,
    enabled=st.sampled_from([True, True, True, False]),
    servers=server_lists(),
    password=st.sampled_from([None, "one", "two"]),
    password_source=st.sampled_from(Source),
    keepalive_interval=INTERVALS,
    ping_interval=INTERVALS,
    source_address=st.sampled_from([None, "192.0.2.7"]),
    address_family=st.sampled_from(AddressFamily),
    hold_down=st.sampled_from([None, None, 10, 300]),
    tls=st.sampled_from([Tls(), Tls(trust_anchors=("x",))]),
    services=st.sampled_from(
        [
            (),
            (Service("telemetry", enabled=False),),
            (Service("novelty", rate_limit=1),),
            (Service("telemetry", queue_limit=3),),
            (Service("telemetry", rate_limit=5),),
        ]
    ),
)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Settings, Settings]:
    """Two settings that have more in common than chance gives them: most changes leave the connection up."""
    one, other = draw(SETTINGS), draw(SETTINGS)
    names = [field.name for field in fields(Settings)]
    changed = draw(st.one_of(st.just({"services"}), st.sets(st.sampled_from(names), max_size=2), st.just(set(names))))
    return one, replace(one, **{name: getattr(other, name) for name in changed})


RETRY_AFTER = st.sampled_from([None, 0.0, 0.5, 30.0, 1e9, -1.0])
STEPS = st.sampled_from([Resolve, Connect, Authenticate, Register, Handshake])
CLOUDS = st.one_of(
    st.just(FakeCloud()),
    st.builds(lambda step: FakeCloud(silent_at=step), STEPS),
    st.builds(refusing, st.sampled_from(FailureReason), STEPS, RETRY_AFTER),
    st.builds(FakeCloud, password=st.sampled_from(["one", "two"])),
    st.just(FakeCloud(answers_keepalives=False)),
    st.just(FakeCloud(accepts_tokens=False)),
    st.just(FakeCloud(token_lasts=0.0)),
    st.just(FakeCloud(answers_codes=False)),
)
WORLDS = st.dictionaries(st.sampled_from(DOMAINS), CLOUDS)
MESSAGES = st.one_of(
    st.builds(messages.KeepaliveAck, st.integers(-1, 5)),
    st.builds(
        messages.Open,
        st.sampled_from(["telemetry", "novelty"]),
        st.sampled_from(["1", "2", "telemetry-1"]),
        st.just("wss://cloud.example/s?t=secret"),
    ),
    st.builds(messages.Close, st.sampled_from(["1", "2", "telemetry-1"]), st.just("done")),
    st.builds(
        messages.Bye,
        st.sampled_from(["closed-by-server", "server-busy", "unbound", "removed-from-cloud", "odd"]),
        RETRY_AFTER,
    ),
    st.builds(messages.UnbindResult, st.sampled_from(["unbound", "wrong-code", "odd"])),
    st.just(messages.Unknown("novelty")),
)
HAPPENINGS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([0.001, 0.02, 1.0, 30.0, 700.0])),
    st.tuples(st.just("configure"), SETTINGS),
    st.tuples(st.just("receive"), MESSAGES),
    st.tuples(st.just("lose"), st.none()),
    st.tuples(st.just("reconnect"), st.none()),
    st.tuples(st.just("report"), st.none()),
    st.tuples(st.just("change the link"), st.none()),
    st.tuples(st.just("clear counters"), st.none()),
    st.tuples(st.just("unbind"), st.sampled_from(["right", "wrong"])),
    st.tuples(st.just("end a subconnection"), st.sampled_from([None, "socket-failed"])),
)


def play(world: World, history: list[tuple[str, object]]) -> World:
    for what, value in history:
        match what:
            case "wait":
                world.advance(value)
            case "configure":
                world.configure(*actions_between(world.machine.settings, value))
            case "receive" if world.main is not None and world.state is DeviceState.CONNECTED:
                world.receive(value)
            case "lose" if world.main is not None and world.state is DeviceState.CONNECTED:
                world.lose()
            case "reconnect":
                world.give(inputs.ReconnectRequested())
            case "change the link":
                world.give(inputs.LinkChanged())
            case "report":
                world.give(inputs.ReportMade({"event": "x"}, 0.0))
            case "clear counters":
                world.give(inputs.CountersCleared())
            case "unbind":
                world.codes.add("right")
                world.unbind(value)
                world.advance(0.1)  # the goodbye that may follow is part of it
            case "end a subconnection" if world.subconnections:
                instance = next(iter(world.subconnections))
                world.give(inputs.SubconnectionEnded(world.main, instance, value))
    return world


HISTORIES = st.lists(HAPPENINGS, max_size=10)


def samples(attempt: int) -> list[inputs.Input]:
    """One of each kind of input, as of this attempt."""
    return [
        inputs.Started(),
        inputs.Stopped(),
        inputs.Configured(()),
        inputs.Configured((SetServers(()),)),
        inputs.ReconnectRequested(),
        inputs.CountersCleared(),
        inputs.ReportMade({"event": "x"}, 0.0),
        inputs.UnbindRequested(10**6, "1"),
        inputs.UnbindConcluded(10**6, UnbindOutcome(), Server("a.example")),
        inputs.LinkChanged(),
        inputs.Tick(),
        inputs.Resolved(attempt, ()),
        inputs.Connected(attempt, "192.0.2.1"),
        inputs.RequestSent(attempt),
        inputs.AnswerReceived(attempt),
        inputs.Authenticated(attempt, "t", 60.0),
        inputs.TokenRefused(attempt),
        inputs.Registered(attempt, "wss://x/"),
        inputs.Handshaken(attempt, "192.0.2.1"),
        inputs.Failed(attempt, Failure(FailureReason.SOCKET_FAILED)),
        inputs.MessageReceived(attempt, messages.Bye("unbound")),
        inputs.ConnectionLost(attempt),
        inputs.SubconnectionOpened(attempt, "1"),
        inputs.SubconnectionEnded(attempt, "1"),
        inputs.Probed(attempt, Server("a.example"), "t", 60.0),
        inputs.ProbeFailed(attempt, Server("a.example"), Failure(FailureReason.SOCKET_FAILED)),
    ]


def test_the_samples_are_complete() -> None:
    assert {type(sample) for sample in samples(1)} == set(inputs.Input.__args__)


@settings(deadline=None, max_examples=60)
@given(SETTINGS, WORLDS, HISTORIES, st.floats(0, 50))
def test_every_state_and_input_gives_a_legal_state_or_a_typed_error(configured, clouds, history, wait) -> None:
    world = play(World(configured, clouds).start(), history).advance(wait)
    before = world.state
    for given_input in samples(world.live or 10**6):
        machine = copy.deepcopy(world.machine)
        try:
            machine.handle(given_input, world.instant)
        except UnexpectedInput:
            assert machine.state is before
            assert machine.status(world.instant) == world.machine.status(world.instant)
            continue
        stale = hasattr(given_input, "attempt") and world.live is None
        allowed = () if stale else TRANSITIONS[before, type(given_input)].to
        assert machine.state is before or machine.state in allowed
        assert machine.handle(inputs.Resolved(10**7, ()), world.instant) == []


def test_each_state_is_reached_by_the_table_and_left_by_it() -> None:
    reached = {to for transition in TRANSITIONS.values() for to in transition.to}
    left = {state for (state, _), transition in TRANSITIONS.items() if set(transition.to) - {state}}
    assert reached == left == set(DeviceState)


@settings(deadline=None, max_examples=60)
@given(SETTINGS, WORLDS, HISTORIES)
def test_there_is_never_more_than_one_connection_and_the_status_tells_the_truth(configured, clouds, history) -> None:
    # The fake shell itself fails when a second attempt or connection begins beside the first.
    world = play(World(configured, clouds).start(), history)
    status = world.connection
    assert status.state is STATE_OF[world.state]
    assert (world.live is None) == (status.state is State.UNCONNECTED)
    assert (status.connected_at is None) == (status.state is not State.ESTABLISHED)
    assert "secret" not in repr(world.effects)
    assert "secret" not in repr(world.machine.status(world.instant))
    # What the device says keeps to the wire's bounds.
    for message in world.sent:
        assert messages.TO_CLOUD.decode(messages.encode(message)) == message


@settings(deadline=None, max_examples=40)
@given(SETTINGS, WORLDS, HISTORIES, st.integers(0, 3))
def test_the_same_seed_and_history_give_the_same_effects(configured, clouds, history, seed) -> None:
    one = play(World(configured, copy.deepcopy(clouds), seed).start(), history)
    two = play(World(configured, copy.deepcopy(clouds), seed).start(), history)
    assert one.effects == two.effects


def essence(world: World) -> tuple[object, ...]:
    """What the link is like, but for the server that history chose."""
    # Long enough for a connection to settle and too short for any interval.
    status = world.settle().machine.status(world.instant)
    used = world.used
    subconnections = sorted(
        {
            (s.service, s.state.value)
            for s in (*status.subconnections, *status.unoffered())
            if s.state.value not in ("closed", "failed")
        }
    )
    return (
        world.machine.settings,
        status.connection.state,
        None if used is None else (used.password, used.tls, used.source_address, used.address_family),
        status.connection.server_domain in {server.domain for server in world.machine.settings.servers}
        or status.connection.server_domain is None,
        subconnections,
        {name: limits for name, limits in world.limits.items() if name in world.subconnections.values()},
        world.machine.reports.limit,
        status.connection.password_source,
        status.connection.domain_source,
    )


@settings(deadline=None, max_examples=60)
@given(neighbours(), st.lists(HAPPENINGS, max_size=5))
def test_applying_the_difference_equals_a_fresh_start_and_going_back_equals_the_first(pair, history) -> None:
    a, b = pair
    world = play(World(a).start(), history)
    for target in (a, b, a):
        world.configure(*actions_between(world.machine.settings, target))
        waits_for_the_cloud = world.state is DeviceState.WAITING and (world.machine.deadline() or 0) > world.now
        if waits_for_the_cloud:
            # A slot or a ban that the cloud gave is no part of the configuration: an administrator ends it.
            world.give(inputs.ReconnectRequested())
        assert essence(world) == essence(World(target).start())
        fresh = World(target).start().settle()
        assert rhythm(world) == rhythm(fresh)


def rhythm(world: World) -> set[tuple[str, float]]:
    """How keepalives and pings follow one another, once the first of each is out."""
    since = world.now + 650
    world.advance(2500)
    return {
        (kind, round(later - earlier, 6))
        for kind in ("keepalive", "ping")
        for earlier, later in itertools.pairwise([t for t, name in world.beats if name == kind and t > since])
    }


@settings(deadline=None, max_examples=40)
@given(
    SETTINGS, WORLDS, HISTORIES, st.lists(st.tuples(INTERVALS, INTERVALS, st.floats(0, 700)), min_size=1, max_size=5)
)
def test_changing_an_interval_never_tears_the_connection_down(configured, clouds, history, changes) -> None:
    world = play(World(configured, clouds).start(), history)
    for keepalive, ping, wait in changes:
        for cloud in world.clouds.values():
            cloud.answers_keepalives = True
        before = world.forget().state
        world.configure(SetIntervals(keepalive, ping))
        assert (world.state, world.events) == (before, [])
        assert not any(isinstance(effect, Disconnect) for effect in world.effects)
        if before is DeviceState.CONNECTED:
            world.settle()
            assert world.state is DeviceState.CONNECTED
        world.advance(wait)


@settings(deadline=None, max_examples=40)
@given(SETTINGS, WORLDS, HISTORIES, server_lists())
def test_changing_a_server_that_is_not_in_use_never_does_either(configured, clouds, history, others) -> None:
    world = play(World(configured, clouds).start(), history)
    status = world.connection
    servers = world.machine.settings.servers
    if status.state is State.UNCONNECTED or any(server.source is Source.DHCP for server in (*servers, *others)):
        return
    in_use = next(server for server in servers if server.domain == status.server_domain)
    changed = tuple(server for server in others if server.domain != in_use.domain)
    for kept in ((in_use, *changed), (*changed, replace(in_use, role=Role.BACKUP))):
        world.forget().configure(SetServers(kept))
        assert (world.effects, world.connection.state) == ([], status.state)


@settings(deadline=None)
@given(SETTINGS, st.lists(st.sampled_from(samples(1)), max_size=30))
def test_inputs_in_any_order_never_break_the_machine(configured, given_inputs) -> None:
    machine = Machine(IDENTITY, configured, random.Random(1))
    now = World(configured).instant
    for each in given_inputs:
        try:
            machine.handle(each, now)
        except UnexpectedInput:
            continue
        machine.deadline()
        machine.status(now)
