from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import (
    SetEnabled,
    SetIntervals,
    SetPassword,
    SetServers,
    SetServices,
    SetSource,
    SetTls,
    actions_between,
)
from headstay.engine.effects import (
    Authenticate,
    ClearTraffic,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Handshake,
    OpenSubconnection,
    Register,
    Resolve,
    SendPing,
    TuneSubconnections,
    WakeServices,
)
from headstay.engine.events import (
    AuthenticationFailure,
    ConnectionStateChange,
    ReportBufferFull,
    ServerSwitchover,
    SubconnectionStateChange,
)
from headstay.engine.instant import Instant
from headstay.engine.machine import TRANSITIONS, Machine, Transition, UnexpectedInput
from headstay.engine.picture import Interrupted
from headstay.engine.reasons import (
    DeviceState,
    DownReason,
    FailureReason,
    ProcessState,
    ReportFailure,
    State,
    SubconnectionState,
)
from headstay.engine.settings import AddressFamily, Identity, Role, Server, Service, Settings, Source, Tls
from headstay.wire import messages

A = Server("a.example")
B = Server("b.example", role=Role.BACKUP)
C = Server("c.example", role=Role.BACKUP)
OFF = Service("telemetry", enabled=False)
ONE = Settings(servers=(A,))
THREE = Settings(servers=(A, B, C))


def connected(settings: Settings = ONE, clouds: dict[str, FakeCloud] | None = None) -> World:
    world = World(settings, clouds or {}).start().settle()
    assert world.state is DeviceState.CONNECTED
    return world.forget()


def kinds(world: World) -> list[str]:
    return [type(effect).__name__ for effect in world.effects if not hasattr(effect, "event")]


# coming up ------------------------------------------------------------------------------------------


def test_without_a_server_nothing_happens() -> None:
    world = World(Settings()).start().advance(1000)
    assert (world.state, world.effects, world.machine.deadline()) == (DeviceState.IDLE, [], None)


@pytest.mark.parametrize("at", [None, 1_700_000_000.0])
def test_a_connection_that_an_earlier_process_had_is_down_since_then(at: float | None) -> None:
    machine = Machine(Identity("SN1", "m", "1", "boot-2"), ONE, random.Random(1), interrupted=Interrupted(at))
    connection = machine.status(Instant(0.0, 0.0)).connection
    assert (connection.last_down_reason, connection.last_down_at) == (DownReason.PROCESS_RESTARTED, at)
    assert (connection.state, connection.established_count) == (State.UNCONNECTED, 0)


def test_disabled_nothing_happens() -> None:
    world = World(replace(ONE, enabled=False)).start().advance(1000)
    assert (world.state, world.effects) == (DeviceState.IDLE, [])


def test_before_it_is_started_nothing_is_dialled() -> None:
    world = World(ONE)
    world.configure(SetServers((A, B)))
    world.advance(10)
    assert world.effects == []


def test_the_steps_come_in_order_and_end_connected() -> None:
    world = World(ONE).start().settle()
    assert kinds(world)[:5] == ["Resolve", "Connect", "Authenticate", "Register", "Handshake"]
    status = world.connection
    assert status.state is State.ESTABLISHED
    assert status.process_state is ProcessState.MESSAGE_SENT  # this fake tells of no answer to the upgrade
    assert (status.attempts, status.established_count, status.failure_reason) == (1, 1, None)
    assert (status.server_domain, status.server_address, status.server_port) == ("a.example", "192.0.2.1", 19443)
    assert status.duration == 0
    changes = [(event.old_state, event.new_state) for event in world.events_of(ConnectionStateChange)]
    assert changes == [(State.UNCONNECTED, State.REQUEST), (State.REQUEST, State.ESTABLISHED)]


def test_every_state_on_the_way_is_seen() -> None:
    world = World(ONE)
    seen = [world.state]
    world.start()
    while world.state is not DeviceState.CONNECTED:
        if world.state is not seen[-1]:
            seen.append(world.state)
        world.step()
    assert [state.value for state in seen] == [
        "idle", "waiting", "connecting", "authenticating", "authenticated", "registering", "registered", "handshaking",
    ]  # fmt: skip


def test_the_cloud_hears_of_the_services_that_are_enabled() -> None:
    world = World(ONE).start().settle()
    assert next(e for e in world.effects if isinstance(e, Register)).services == ("telemetry",)
    world = World(replace(ONE, services=(OFF, Service("other")))).start().settle()
    assert next(e for e in world.effects if isinstance(e, Register)).services == ()


def test_no_repr_shows_a_secret() -> None:
    world = World(replace(ONE, password="hunter2")).start().settle()
    assert "hunter2" not in repr(world.effects)
    assert "token-0" not in repr(world.effects)
    assert "secret" not in repr(world.effects)
    assert "secret" not in repr(world.machine.status(world.instant))


# failing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "limit", "reason", "state"),
    [
        (Resolve, 5, FailureReason.TIMEOUT_RESOLVING, DeviceState.WAITING),
        (Connect, 10, FailureReason.TIMEOUT_CONNECTING, DeviceState.WAITING),
        (Authenticate, 10, FailureReason.TIMEOUT_AUTHENTICATING, DeviceState.AUTHENTICATION_FAILED),
        (Register, 10, FailureReason.TIMEOUT_REGISTERING, DeviceState.REGISTRATION_FAILED),
        (Handshake, 10, FailureReason.TIMEOUT_HANDSHAKING, DeviceState.HANDSHAKE_FAILED),
    ],
)
def test_a_silent_stage_times_out(step, limit, reason, state) -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=step)}).start().advance(limit - 0.1)
    assert world.connection.state is State.REQUEST
    world.advance(0.2)
    assert (world.state, world.connection.failure_reason) == (state, reason)
    assert isinstance(world.effects[-1], Disconnect) or isinstance(world.effects[-2], Disconnect)


@pytest.mark.parametrize(
    ("step", "process"),
    [
        (Resolve, ProcessState.DNS_NOT_PARSED),
        (Connect, ProcessState.MESSAGE_NOT_SENT),
        (Authenticate, ProcessState.MESSAGE_NOT_RECEIVED),
        (Register, ProcessState.MESSAGE_NOT_RECEIVED),
        (Handshake, ProcessState.MESSAGE_NOT_RECEIVED),
    ],
)
def test_process_state_says_how_far_the_last_message_came(step, process) -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=step)}).start().until(DeviceState.CONNECTING)
    while world.connection.state is State.REQUEST:
        world.step()
    assert world.connection.process_state is process


def test_a_request_that_could_not_be_sent_is_named_so() -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=Register)}).start().until(DeviceState.AUTHENTICATED)
    world.give(inputs.Failed(world.live, inputs.Failure(FailureReason.SOCKET_FAILED)))
    assert world.connection.process_state is ProcessState.MESSAGE_NOT_SENT


def test_a_refusal_stays_visible_while_the_device_backs_off() -> None:
    world = World(ONE, {"a.example": FakeCloud(password="right")}).start().until(DeviceState.AUTHENTICATION_FAILED)
    status = world.connection
    assert (status.state, status.failure_reason) == (State.UNCONNECTED, FailureReason.AUTHENTICATION_REFUSED)
    assert status.process_state is ProcessState.MESSAGE_RECEIVED
    assert world.events_of(AuthenticationFailure) == [
        AuthenticationFailure(
            server_domain="a.example",
            failure_reason=FailureReason.AUTHENTICATION_REFUSED,
            details="password-required",
        )
    ]
    assert world.machine.deadline() is not None


def test_a_time_out_is_no_authentication_failure_event() -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=Authenticate)}).start().advance(11)
    assert world.events_of(AuthenticationFailure) == []


def test_a_failed_server_is_followed_by_the_next_at_once() -> None:
    refuses = refusing(FailureReason.SOCKET_FAILED, Connect)
    world = World(THREE, {"a.example": refuses}).start().settle()
    assert [domain for _, domain in world.dialled] == ["a.example", "b.example"]
    assert world.connection.server_role is Role.BACKUP
    assert world.connection.failure_reason is None
    assert world.events_of(ServerSwitchover) == [ServerSwitchover(old_server="a.example", new_server="b.example")]


def test_after_a_full_round_the_device_backs_off_and_begins_at_the_top() -> None:
    refuses = refusing(FailureReason.SOCKET_FAILED, Connect)
    world = World(THREE, dict.fromkeys(("a.example", "b.example", "c.example"), refuses)).start().advance(600)
    domains = [domain for _, domain in world.dialled]
    assert domains == (["a.example", "b.example", "c.example"] * len(domains))[: len(domains)]
    starts = [time for time, domain in world.dialled if domain == "a.example"]
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert 3 <= len(starts) < 40
    assert all(gap <= 2**n + 1 for n, gap in enumerate(gaps))
    assert max(gaps) > 8


@pytest.mark.parametrize("step", [Authenticate, Register])
def test_a_busy_server_that_asks_for_no_wait_is_dialled_less_and_less(step) -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SERVER_BUSY, step, 0.0)}).start().advance(3600)
    times = [time for time, _ in world.dialled]
    assert len([time for time in times if time < times[0] + 10]) <= 8
    assert len([time for time in times if time < times[0] + 600]) <= 25
    assert len(times) >= 10
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) > 60


def test_neither_is_one_that_lets_the_device_in_and_sends_it_away() -> None:
    world = World(ONE).start()
    while world.now < 1600:
        world.step()
        if world.state is DeviceState.CONNECTED:
            world.receive(messages.Bye("server-busy", 0.0))
    times = [time for time, _ in world.dialled]
    assert len([time for time in times if time < times[0] + 10]) <= 8
    assert 5 <= len(times) <= 25


def test_a_busy_server_is_obeyed_to_the_tenth() -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SERVER_BUSY, Authenticate, 40.0)}).start().advance(100)
    first, second, third = [time for time, _ in world.dialled]
    assert 40 <= second - first <= 44 + 1
    assert 40 <= third - second <= 44 + 1


def test_results_of_an_attempt_that_was_given_up_are_ignored() -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=Connect)}).start().advance(0.5)
    stale = world.live
    world.advance(10)
    assert world.live != stale
    before = world.forget().connection
    for late in (
        inputs.Connected(stale, "192.0.2.9"),
        inputs.Failed(stale, inputs.Failure(FailureReason.SOCKET_FAILED)),
        inputs.Handshaken(stale, "192.0.2.9"),
        inputs.ConnectionLost(stale),
    ):
        assert world.give(late) == []
    assert world.connection == before


def test_an_input_that_cannot_come_is_a_typed_error_and_changes_nothing() -> None:
    world = connected()
    before = world.connection
    for wrong in (inputs.Resolved(world.main, ()), inputs.Authenticated(world.main, "t", 1), inputs.Started()):
        with pytest.raises(UnexpectedInput):
            world.give(wrong)
    assert world.connection == before


def test_a_step_told_twice_is_an_error() -> None:
    world = World(ONE, {"a.example": FakeCloud(silent_at=Connect)}).start().advance(0.1)
    with pytest.raises(UnexpectedInput):
        world.give(inputs.Resolved(world.live, ()))


# the token ------------------------------------------------------------------------------------------


def test_a_good_token_is_used_again_at_the_same_server() -> None:
    world = connected()
    world.lose()
    world.settle()
    assert world.state is DeviceState.CONNECTED
    assert "Authenticate" not in kinds(world)


def test_a_token_that_has_run_out_is_not_tried() -> None:
    world = connected(clouds={"a.example": FakeCloud(token_lasts=4)})
    world.lose()
    world.settle()
    assert "Authenticate" in kinds(world)


def test_a_token_is_never_shown_to_another_server() -> None:
    world = connected(THREE)
    world.clouds["a.example"] = refusing(FailureReason.SOCKET_FAILED, Connect)
    world.lose()
    world.settle()
    assert world.dialled[-1][1] == "b.example"
    assert "Authenticate" in kinds(world)


def test_a_refused_token_costs_one_authentication_and_the_second_refusal_is_final() -> None:
    world = World(ONE, {"a.example": FakeCloud(accepts_tokens=False)}).start().until(DeviceState.REGISTRATION_FAILED)
    assert kinds(world).count("Authenticate") == 2
    assert world.connection.failure_reason is FailureReason.REGISTRATION_REFUSED
    world.until(DeviceState.CONNECTING).until(DeviceState.REGISTRATION_FAILED)
    assert kinds(world).count("Authenticate") == 4  # a token that was refused is not tried again


def test_a_new_password_makes_the_old_token_worthless() -> None:
    world = connected(replace(ONE, password="old"))
    world.configure(SetPassword("new", Source.CONFIGURED))
    world.settle()
    assert "Authenticate" in kinds(world)


# keepalive and ping -----------------------------------------------------------------------------------


def test_keepalives_and_pings_go_out_at_their_intervals() -> None:
    world = connected()
    world.advance(180 * 3)
    assert world.sent == [messages.Keepalive(1), messages.Keepalive(2), messages.Keepalive(3)]
    assert sum(isinstance(effect, SendPing) for effect in world.effects) == 9
    assert world.state is DeviceState.CONNECTED
    world.advance(1)
    assert world.connection.process_state is ProcessState.MESSAGE_RECEIVED


def test_three_intervals_of_silence_end_the_connection_and_the_same_server_is_tried_once_more() -> None:
    world = connected(THREE, {"a.example": FakeCloud(answers_keepalives=False)})
    established = world.now - world.connection.duration
    world.advance(538)
    assert world.state is DeviceState.CONNECTED
    world.advance(3)
    assert world.connection.last_down_reason is DownReason.KEEPALIVE_TIMEOUT
    assert next(e for e in world.effects if isinstance(e, Disconnect)).graceful is False
    assert [domain for _, domain in world.dialled] == ["a.example"]
    assert "Authenticate" not in kinds(world)
    assert world.state is DeviceState.CONNECTED
    assert established < world.connection.connected_at


def test_after_silence_a_failure_at_the_same_server_leads_to_the_next() -> None:
    world = connected(THREE, {"a.example": FakeCloud(answers_keepalives=False)})
    world.clouds["a.example"].silent_at = Connect
    world.advance(560)
    assert [domain for _, domain in world.dialled] == ["a.example", "b.example"]


def test_each_registration_ends_the_count_of_once_more() -> None:
    world = connected(THREE, {"a.example": FakeCloud(answers_keepalives=False)})
    world.advance(541 * 3)
    assert {domain for _, domain in world.dialled} == {"a.example"}
    assert len(world.dialled) == 3


# losing it --------------------------------------------------------------------------------------------


def test_a_lost_socket_is_dialled_again_at_once_with_a_single_server() -> None:
    world = connected()
    at = world.now
    world.lose("ConnectionResetError")
    assert world.connection.last_down_details == "ConnectionResetError"
    assert world.connection.connected_at is None
    world.settle()
    assert world.dialled == [(at, "a.example")]
    assert world.state is DeviceState.CONNECTED


def test_a_server_that_drops_at_once_is_not_dialled_in_a_circle() -> None:
    world = connected()
    for _ in range(6):
        world.lose()
        world.until(DeviceState.CONNECTED)
    assert world.dialled[-1][0] - world.dialled[0][0] > 3


def test_a_lost_socket_leads_to_the_next_server() -> None:
    world = connected(THREE)
    world.lose()
    world.settle()
    assert [domain for _, domain in world.dialled] == ["b.example"]
    change = world.events_of(ConnectionStateChange)[0]
    assert (change.down_reason, change.new_state) == (DownReason.SOCKET_ERROR, State.UNCONNECTED)


@pytest.mark.parametrize("reason", ["replaced-by-newer-connection", "removed-from-cloud", "unbound"])
def test_a_device_that_was_sent_away_waits_the_longest_backoff(reason) -> None:
    world = connected(THREE)
    world.receive(messages.Bye(reason))
    world.advance(299)
    assert world.dialled == []
    assert world.connection.last_down_reason.value == reason
    world.advance(32)
    assert [domain for _, domain in world.dialled] == ["a.example"]
    assert "Authenticate" in kinds(world)


@pytest.mark.parametrize(
    ("reason", "details"), [("closed-by-server", None), ("server-busy", "server-busy"), ("x", "x")]
)
def test_any_other_bye_is_closed_by_server_and_its_slot_binds(reason, details) -> None:
    world = connected()
    world.receive(messages.Bye(reason, 100.5))
    world.advance(100)
    assert world.dialled == []
    status = world.connection
    assert (status.last_down_reason, status.last_down_details) == (DownReason.CLOSED_BY_SERVER, details)
    world.advance(11)
    assert len(world.dialled) == 1


def test_a_busy_server_is_left_alone_while_the_others_are_tried() -> None:
    world = World(THREE, {"a.example": refusing(FailureReason.SERVER_BUSY, Authenticate, retry_after=50)})
    world.clouds["b.example"] = world.clouds["c.example"] = refusing(FailureReason.SOCKET_FAILED, Connect)
    world.start().advance(49)
    domains = [domain for _, domain in world.dialled]
    assert domains.count("a.example") == 1
    assert domains.count("b.example") >= 3
    world.advance(7)
    assert [domain for _, domain in world.dialled].count("a.example") == 2


def test_reconnect_overrules_every_wait() -> None:
    world = connected()
    world.receive(messages.Bye("unbound", 3600.0))
    world.settle()
    world.give(inputs.ReconnectRequested())
    world.settle()
    assert world.state is DeviceState.CONNECTED


def test_reconnect_takes_an_established_connection_down_and_dials_the_first() -> None:
    world = connected(THREE)
    world.give(inputs.ReconnectRequested())
    assert world.connection.last_down_reason is DownReason.RECONNECT_REQUESTED
    world.settle()
    assert [domain for _, domain in world.dialled] == ["a.example"]
    assert "Authenticate" in kinds(world)
    assert world.events_of(ServerSwitchover) == []


def test_reconnect_without_server_does_nothing() -> None:
    world = World(Settings()).start()
    assert world.give(inputs.ReconnectRequested()) == []


def test_stop_lets_go_of_everything_for_good() -> None:
    world = connected()
    world.give(inputs.Stopped())
    world.advance(1000)
    assert (world.live, world.state, world.dialled) == (None, DeviceState.IDLE, [])
    assert world.machine.deadline() is None


# the device's network ---------------------------------------------------------------------------------


def test_a_link_that_changes_ends_the_wait() -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start().advance(2000)
    while world.machine.deadline() - world.now < 20:
        world.step()
    world.clouds["a.example"] = FakeCloud()
    world.forget().give(inputs.LinkChanged())
    assert world.dialled == []
    world.advance(5.1)
    assert (len(world.dialled), world.state) == (1, DeviceState.CONNECTED)


def test_a_link_that_changes_all_the_time_causes_no_storm() -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start()
    for _ in range(1000):
        world.advance(0.1).give(inputs.LinkChanged())
    assert len(world.dialled) <= 2 * 100 / 5


@pytest.mark.parametrize("hours", [0.5, 9, 2000])
def test_after_a_sleep_one_attempt_follows(hours) -> None:
    world = connected(THREE, {})
    world.wall_offset += 1e8  # and the clock is set
    world.suspend(hours * 3600).give(inputs.LinkChanged())
    world.advance(10)
    assert ([domain for _, domain in world.dialled], world.state) == (["a.example"], DeviceState.CONNECTED)
    assert world.connection.last_down_reason is DownReason.KEEPALIVE_TIMEOUT


def test_a_sleep_during_a_long_wait_is_part_of_it() -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start().advance(2000)
    while world.machine.deadline() - world.now < 20:
        world.step()
    world.forget().suspend(9 * 3600).give(inputs.LinkChanged())
    assert len(world.dialled) == 1


@pytest.mark.parametrize("state", [DeviceState.IDLE, DeviceState.CONNECTING, DeviceState.CONNECTED])
def test_a_link_that_changes_disturbs_nothing_else(state) -> None:
    world = World(Settings() if state is DeviceState.IDLE else ONE, {"a.example": FakeCloud()}).start()
    if state is not DeviceState.IDLE:
        world.until(state)
    deadline = world.machine.deadline()
    assert world.give(inputs.LinkChanged()) == []
    assert (world.state, world.machine.deadline()) == (state, deadline)


# configuration ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        SetServers((B,)),
        SetServers((replace(A, port=1),)),
        SetPassword("new", Source.CONFIGURED),
        SetTls(Tls(trust_anchors=("x",))),
        SetSource("192.0.2.7", AddressFamily.ANY),
        SetSource(None, AddressFamily.IPV4),
    ],
)
def test_a_change_of_what_the_connection_depends_on_connects_anew_at_once(action) -> None:
    world = connected()
    at = world.now
    world.configure(action)
    assert world.connection.last_down_reason is DownReason.CONFIGURATION_CHANGED
    world.advance(0.001)
    assert world.dialled[0][0] == at
    assert world.used == action.applied_to(ONE)


@pytest.mark.parametrize(
    "actions",
    [
        (SetIntervals(10, 10),),
        (SetServers((A, B)),),
        (SetServers((replace(B, role=Role.PRIMARY), replace(A, role=Role.BACKUP, domain="A.Example"))),),
        (SetServices((Service("other"),)),),
        (SetEnabled(enabled=True), SetPassword(None, Source.NONE)),
        (SetEnabled(enabled=False), SetServers(()), SetEnabled(enabled=True), SetServers((A,))),
        (),
    ],
)
def test_any_other_change_leaves_it_alone(actions) -> None:
    world = connected()
    world.configure(*actions)
    world.advance(5)
    assert [type(e) for e in world.effects if isinstance(e, Resolve | Disconnect)] == []
    assert world.events_of(ConnectionStateChange) == []


def test_disabling_takes_it_down_and_enabling_brings_it_back() -> None:
    world = connected()
    world.configure(SetEnabled(enabled=False))
    assert (world.state, world.connection.last_down_reason) == (DeviceState.IDLE, DownReason.DISABLED)
    world.advance(1000)
    assert world.dialled == []
    world.configure(SetEnabled(enabled=True))
    world.settle()
    assert world.state is DeviceState.CONNECTED


def test_removing_the_last_server_leaves_it_idle() -> None:
    world = connected()
    world.configure(SetServers(()))
    status = world.connection
    assert (status.device_state, status.last_down_reason) == (DeviceState.IDLE, DownReason.CONFIGURATION_CHANGED)
    assert (status.server_domain, status.server_address, status.domain_source) == (None, None, Source.NONE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Server("x.example"), Server("l.example", source=Source.DHCP)),
        (Server("l.example", source=Source.DHCP), Server("x.example")),
    ],
)
def test_a_name_that_dhcp_gives_or_takes_ends_a_connection_to_a_backup_too(old, new) -> None:
    world = World(Settings(servers=(old, B)), {old.domain: refusing(FailureReason.SOCKET_FAILED, Connect)})
    world.start().settle().forget()
    assert world.connection.server_domain == "b.example"
    world.configure(SetServers((new, B)))
    assert world.connection.last_down_reason is DownReason.DHCP_CHANGED
    world.settle()
    assert next(domain for _, domain in world.dialled) == new.domain


def test_the_same_name_by_dhcp_keeps_the_connection() -> None:
    world = connected()
    world.configure(SetServers((replace(A, source=Source.DHCP),)))
    assert world.effects == []
    assert world.connection.domain_source is Source.DHCP


def test_the_primarys_own_name_by_dhcp_keeps_a_connection_to_a_backup() -> None:
    world = World(Settings(servers=(A, B)), {A.domain: refusing(FailureReason.SOCKET_FAILED, Connect)})
    world.start().settle().forget()
    assert world.connection.server_domain == "b.example"
    for source in (Source.DHCP, Source.CONFIGURED):
        world.configure(SetServers((replace(A, source=source), B)))
        assert world.effects == []


def test_a_password_by_dhcp_is_a_dhcp_change() -> None:
    world = connected(replace(ONE, password="old", password_source=Source.CONFIGURED))
    world.configure(SetPassword("new", Source.DHCP))
    assert world.connection.last_down_reason is DownReason.DHCP_CHANGED


def test_while_connecting_only_what_the_attempt_depends_on_restarts_it() -> None:
    world = World(THREE, {"a.example": FakeCloud(silent_at=Connect)}).start().advance(1).forget()
    world.configure(SetIntervals(10, 10), SetServers((A, C)))
    assert world.effects == []
    world.configure(SetPassword("p", Source.CONFIGURED))
    assert kinds(world) == ["Disconnect"]
    assert world.connection.last_down_reason is None
    world.advance(0.001)
    assert kinds(world)[1] == "Resolve"
    assert [e.details for e in world.events_of(ConnectionStateChange)] == ["configuration-changed", None]


def test_a_change_ends_the_wait_and_resets_the_backoff() -> None:
    world = World(ONE, {"a.example": FakeCloud(password="right")}).start().advance(200).forget()
    assert world.state is DeviceState.AUTHENTICATION_FAILED
    world.configure(SetPassword("right", Source.CONFIGURED))
    world.settle()
    assert world.state is DeviceState.CONNECTED


def test_an_interval_does_not_end_the_wait() -> None:
    world = connected()
    world.receive(messages.Bye("unbound"))
    resume_at = world.machine.deadline()
    world.configure(SetIntervals(10, 10))
    assert world.machine.deadline() == resume_at


def test_a_shorter_interval_counts_from_what_was_last_sent_and_never_ends_the_connection() -> None:
    world = connected(replace(ONE, keepalive_interval=600, ping_interval=600))
    world.advance(500)
    world.configure(SetIntervals(10, 10))
    world.settle()
    assert world.sent == [messages.Keepalive(1)]
    assert world.state is DeviceState.CONNECTED
    assert world.events == []


# subconnections -----------------------------------------------------------------------------------------


def states_of(world: World) -> list[SubconnectionState]:
    return [event.new_state for event in world.events_of(SubconnectionStateChange)]


def test_a_subconnection_that_the_cloud_offers_is_opened() -> None:
    world = World(ONE).start().settle()
    assert states_of(world) == [SubconnectionState.OPENING, SubconnectionState.ESTABLISHED]
    (status,) = world.machine.status(world.instant).subconnections
    assert (status.service, status.state) == ("telemetry", SubconnectionState.ESTABLISHED)
    assert status.url == "wss://cloud.example:19443/sub/telemetry"


def test_a_broken_subconnection_is_reported_and_disturbs_nothing() -> None:
    world = connected()
    (instance,) = world.subconnections
    world.give(inputs.SubconnectionEnded(world.main, instance, "socket-failed"))
    assert world.sent == [messages.Closed(instance, "socket-failed")]
    assert states_of(world) == [SubconnectionState.FAILED]
    assert world.state is DeviceState.CONNECTED


def test_disabling_the_service_closes_its_subconnection_only() -> None:
    world = connected()
    (instance,) = world.subconnections
    world.configure(SetServices((OFF,)))
    assert world.subconnections == {}
    assert world.sent == [messages.Closed(instance, "disabled"), messages.Services(())]
    assert states_of(world) == [SubconnectionState.DISABLED]
    assert world.state is DeviceState.CONNECTED
    world.forget().advance(10)
    assert world.effects == []


def test_enabling_the_service_again_tells_the_cloud_which_offers_anew() -> None:
    world = connected()
    (instance,) = world.subconnections
    world.configure(SetServices((OFF,)))
    world.settle().forget()
    world.configure(SetServices(()))
    assert world.sent == [messages.Services(("telemetry",))]
    world.settle()
    assert states_of(world) == [SubconnectionState.OPENING, SubconnectionState.ESTABLISHED]
    assert len(world.subconnections) == 1
    assert instance not in world.subconnections
    (status,) = world.machine.status(world.instant).subconnections
    assert status.state is SubconnectionState.ESTABLISHED
    assert world.events_of(ConnectionStateChange) == []


def test_services_that_change_during_an_attempt_are_told_once_connected() -> None:
    world = World(replace(ONE, services=(OFF,))).start().until(DeviceState.HANDSHAKING)
    world.configure(SetServices(()))
    assert world.sent == []
    world.settle()
    assert world.sent == [messages.Services(("telemetry",))]
    assert len(world.subconnections) == 1


@pytest.mark.parametrize("before", [DeviceState.CONNECTING, DeviceState.AUTHENTICATING, DeviceState.WAITING])
def test_services_that_change_before_the_registration_need_no_message(before) -> None:
    world = World(replace(ONE, services=(OFF,))).start().until(before)
    world.configure(SetServices(()))
    world.settle()
    assert world.sent == []
    assert len(world.subconnections) == 1


def test_a_change_that_leaves_the_list_as_it_is_is_not_told() -> None:
    world = connected()
    world.configure(SetServices((Service("telemetry"), Service("other"))))
    world.configure(SetIntervals(100, 100))
    world.settle()
    assert world.sent == []


def test_a_cloud_that_does_not_know_the_message_offers_with_the_next_main_connection() -> None:
    world = connected(clouds={A.domain: FakeCloud(hears_services=False)})
    world.configure(SetServices((OFF,)))
    world.configure(SetServices(()))
    world.settle()
    assert (world.state, world.subconnections) == (DeviceState.CONNECTED, {})
    world.lose()
    world.settle()
    assert list(world.subconnections.values()) == ["telemetry"]


def test_a_ticket_is_used_once() -> None:
    world = connected()
    (instance,) = world.subconnections
    world.give(inputs.SubconnectionEnded(world.main, instance, None))
    world.settle()
    opened = [effect.url for effect in world.effects if isinstance(effect, OpenSubconnection)]
    assert len(opened) == len(set(opened)) == len(world.subconnections) == 1


def test_losing_the_main_connection_ends_its_subconnections() -> None:
    world = connected()
    world.lose()
    assert states_of(world) == [SubconnectionState.CLOSED]
    world.settle()
    assert len(world.subconnections) == 1


def test_an_offer_in_an_old_connection_opens_nothing() -> None:
    world = connected()
    old = world.main
    world.lose()
    world.settle().forget()
    assert world.give(inputs.MessageReceived(old, messages.Open("telemetry", "x", "wss://x/"))) == []


def test_an_unknown_message_is_counted_and_ignored() -> None:
    world = connected()
    world.receive(messages.Unknown("novelty"))
    world.receive(messages.UnbindResult("unbound"))
    assert world.connection.unknown_messages == 1
    assert world.effects == []


# reports ------------------------------------------------------------------------------------------------


def test_a_report_wakes_the_telemetry_subconnection() -> None:
    world = connected()
    effects = world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert effects == [WakeServices("telemetry")]
    assert world.connection.last_report_failure_reason is None


class Reporting(World):
    """A world whose observer reports each event, as the daemon's does."""

    def give(self, given: inputs.Input) -> list[Effect]:
        effects = super().give(given)
        for effect in effects:
            if isinstance(effect, Emit):
                super().give(inputs.ReportMade({"event": effect.event.name}, self.instant.wall))
        return effects


def report_failure(world: World) -> tuple[ReportFailure | None, float | None]:
    status = world.connection
    return status.last_report_failure_reason, status.last_report_failure_at


def test_a_start_that_connects_has_no_report_failure() -> None:
    world = Reporting(ONE).start().settle()
    assert world.state is DeviceState.CONNECTED
    assert len(world.machine.reports) > 0
    assert report_failure(world) == (None, None)


def test_a_connection_that_comes_back_at_once_has_none_either() -> None:
    world = Reporting(ONE).start().advance(100)
    world.lose()
    assert world.state is DeviceState.WAITING
    assert report_failure(world) == (None, None)
    world.settle()
    assert (world.state, world.connection.established_count) == (DeviceState.CONNECTED, 2)
    assert report_failure(world) == (None, None)


def test_neither_has_a_reconnection_that_was_asked_for() -> None:
    world = Reporting(ONE).start().settle()
    world.give(inputs.ReconnectRequested())
    world.settle()
    assert world.connection.established_count == 2
    assert report_failure(world) == (None, None)


def test_an_attempt_that_fails_is_a_failure_of_what_waits() -> None:
    world = Reporting(ONE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start()
    world.until(DeviceState.CONNECTING)
    assert report_failure(world) == (None, None)
    world.until(DeviceState.WAITING)
    assert report_failure(world) == (ReportFailure.NOT_CONNECTED, world.instant.wall)


def test_so_it_is_when_the_next_server_is_dialled_at_once() -> None:
    world = Reporting(THREE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start()
    world.until(DeviceState.CONNECTING).until(DeviceState.WAITING)
    failed_at = world.instant.wall
    assert world.machine.deadline() == world.now
    world.settle()
    assert world.state is DeviceState.CONNECTED
    assert report_failure(world) == (ReportFailure.NOT_CONNECTED, failed_at)


def test_a_report_made_in_an_outage_has_failed_then() -> None:
    world = World(ONE, {"a.example": refusing(FailureReason.SOCKET_FAILED, Connect)}).start()
    while world.state is not DeviceState.WAITING or world.machine.deadline() <= world.now + 5:
        world.step()
    assert report_failure(world) == (None, None)
    world.advance(2.0)
    assert world.give(inputs.ReportMade({"event": "x"}, 1.0)) == []
    assert report_failure(world) == (ReportFailure.NOT_CONNECTED, world.instant.wall)
    assert len(world.machine.reports) == 1


@pytest.mark.parametrize("settings", [Settings(), replace(ONE, enabled=False)])
def test_a_report_made_where_nothing_is_to_be_dialled_has_failed(settings) -> None:
    world = World(settings).start()
    world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert report_failure(world) == (ReportFailure.NOT_CONNECTED, world.instant.wall)


def test_a_report_waits_for_its_subconnection_while_the_main_connection_stands() -> None:
    world = connected(clouds={"a.example": FakeCloud(offers=())})
    assert world.give(inputs.ReportMade({"event": "x"}, 1.0)) == []
    assert report_failure(world) == (None, None)


def test_a_full_buffer_is_an_event() -> None:
    world = World(ONE)
    for _ in range(1001):
        world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert world.events == [ReportBufferFull(buffer_full_count=1)]
    status = world.connection
    assert (status.dropped_after_buffer_limit, status.dropped_total, status.buffer_full_count) == (1, 1, 1)


def test_the_buffer_follows_the_services_queue_limit_and_disturbs_nothing() -> None:
    world = World(replace(ONE, services=(Service("telemetry", queue_limit=2),)))
    for _ in range(3):
        world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert (len(world.machine.reports), world.connection.dropped_total) == (2, 1)
    world.start().settle().forget()
    slow = Service("telemetry", queue_limit=4, rate_limit=1)
    assert world.configure(SetServices((slow,))) == [TuneSubconnections(slow)]
    for _ in range(3):
        world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert (len(world.machine.reports), world.connection.dropped_total) == (4, 2)
    assert world.configure(SetServices(())) == [TuneSubconnections(Service("telemetry"))]
    world.give(inputs.ReportMade({"event": "x"}, 1.0))
    assert (len(world.machine.reports), world.connection.dropped_total) == (5, 2)


COUNTERS = (
    *("attempts", "established_count", "unknown_messages"),
    *("dropped_after_buffer_limit", "dropped_total", "buffer_full_count"),
)


def test_clearing_the_counters_leaves_everything_else_as_it_is() -> None:
    world = connected()
    world.receive(messages.Unknown("novelty"))
    world.give(inputs.SubconnectionEnded(world.main, next(iter(world.subconnections)), "broken"))
    for _ in range(1001):
        world.give(inputs.ReportMade({"event": "x"}, 1.0))
    world.lose()
    world.settle()
    before = world.connection
    assert all(getattr(before, name) > 0 for name in COUNTERS)
    assert None not in (before.last_down_at, before.last_report_incomplete_at)
    assert world.give(inputs.CountersCleared()) == [ClearTraffic()]
    assert world.connection == replace(before, **dict.fromkeys(COUNTERS, 0))


@pytest.mark.parametrize("state", DeviceState)
def test_the_counters_can_be_cleared_in_every_state(state) -> None:
    transition = TRANSITIONS[state, inputs.CountersCleared]
    assert transition == Transition(Machine._clear_counters)


def test_counting_goes_on_after_clearing() -> None:
    world = connected()
    world.give(inputs.CountersCleared())
    world.lose()
    world.settle()
    assert (world.connection.attempts, world.connection.established_count) == (1, 1)
    world.receive(messages.Unknown("novelty"))
    assert world.connection.unknown_messages == 1


def test_clearing_the_counters_of_a_full_buffer_loses_no_report() -> None:
    world = World(ONE)
    for _ in range(1001):
        world.give(inputs.ReportMade({"event": "x"}, 1.0))
    world.give(inputs.CountersCleared())
    assert len(world.machine.reports) == 1000
    world.give(inputs.ReportMade({"event": "x"}, 1.0))
    status = world.connection
    assert (status.dropped_after_buffer_limit, status.dropped_total, status.buffer_full_count) == (1, 1, 0)


def test_open_subconnection_carries_the_attempt() -> None:
    world = World(ONE).start().settle()
    opened = next(e for e in world.effects if isinstance(e, OpenSubconnection))
    assert opened.attempt == world.main


def test_actions_between_says_only_what_differs() -> None:
    assert actions_between(ONE, ONE) == ()
    assert actions_between(ONE, replace(ONE, ping_interval=10)) == (SetIntervals(180, 10),)
