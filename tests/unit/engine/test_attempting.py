"""What an attempt goes through, by the machine as a whole, in a fake world."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import SetPassword
from headstay.engine.effects import Authenticate, Connect, Disconnect, Handshake, Register, Resolve
from headstay.engine.events import AuthenticationFailure, ConnectionStateChange, ServerSwitchover
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, ProcessState, State
from headstay.engine.settings import Role, Service, Settings, Source
from headstay.wire import messages
from worlds import ONE, THREE, connected, kinds

OFF = Service("telemetry", enabled=False)


# coming up ------------------------------------------------------------------------------------------


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


def test_a_busy_server_is_left_alone_while_the_others_are_tried() -> None:
    world = World(THREE, {"a.example": refusing(FailureReason.SERVER_BUSY, Authenticate, retry_after=50)})
    world.clouds["b.example"] = world.clouds["c.example"] = refusing(FailureReason.SOCKET_FAILED, Connect)
    world.start().advance(49)
    domains = [domain for _, domain in world.dialled]
    assert domains.count("a.example") == 1
    assert domains.count("b.example") >= 3
    world.advance(7)
    assert [domain for _, domain in world.dialled].count("a.example") == 2


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


# the device's network -------------------------------------------------------------------------------


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
