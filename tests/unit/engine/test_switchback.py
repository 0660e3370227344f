"""Going back to an earlier server: the policy by itself, and what the machine makes of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import SetServers, SetSwitchback
from headstay.engine.effects import Authenticate, Connect, Disconnect, Probe, Register, Resolve
from headstay.engine.events import ConnectionStateChange, ServerSwitchover
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, State
from headstay.engine.settings import Role, Server, Settings
from headstay.engine.switchback import LONGEST_WAIT, Switchback

A = Server("a.example")
B = Server("b.example", role=Role.BACKUP)
C = Server("c.example", role=Role.BACKUP)
THREE = Settings(servers=(A, B, C), hold_down=300)
DEAD = refusing(FailureReason.SOCKET_FAILED, Connect)


def anyone(_: Server) -> bool:
    return True


# the policy -------------------------------------------------------------------------------------------


def policy(in_use: Server, hold_down: float | None = 300) -> Switchback:
    switchback = Switchback(hold_down, (A, B, C))
    switchback.connected(in_use, 0)
    return switchback


def test_without_a_hold_down_time_nobody_is_ever_asked() -> None:
    switchback = policy(C, None)
    assert (switchback.deadline(), switchback.upcoming(), switchback.next(1e9, anyone)) == (None, None, None)


def test_from_the_first_server_there_is_no_way_back() -> None:
    switchback = policy(A)
    assert (switchback.deadline(), switchback.next(1e9, anyone)) == (None, None)


def test_the_earlier_servers_are_asked_in_order_each_hold_down_time() -> None:
    switchback = policy(C)
    assert switchback.upcoming() == (A, 300)
    assert switchback.next(299.9, anyone) is None
    assert switchback.next(300, anyone) == A
    assert switchback.deadline() is None
    switchback.refused(A)
    assert switchback.next(301, anyone) == B
    switchback.refused(B)
    assert switchback.next(302, anyone) is None
    assert switchback.upcoming() == (A, 602)


def test_a_server_that_wants_to_be_left_alone_is_passed_over() -> None:
    switchback = policy(C)
    assert switchback.next(300, lambda server: server != A) == B


def test_each_fruitless_return_doubles_the_wait_up_to_a_day_and_a_good_one_ends_that() -> None:
    switchback = policy(B)
    now = 0.0
    waits = []
    for _ in range(12):
        at = switchback.deadline()
        waits.append(at - now)
        now = at
        assert switchback.next(now, anyone) == A
        assert switchback.accepted(A)
        switchback.ended()
        switchback.connected(B, now)
    assert waits[:3] == [300, 600, 1200]
    assert waits[-1] == LONGEST_WAIT
    switchback.next(now + LONGEST_WAIT, anyone)
    switchback.accepted(A)
    switchback.ended()
    switchback.connected(A, now)
    switchback.ended()
    switchback.connected(B, now)
    assert switchback.deadline() == now + 300


def test_a_change_of_the_time_is_counted_anew_and_makes_an_answer_on_its_way_worthless() -> None:
    switchback = policy(B)
    assert switchback.next(300, anyone) == A
    switchback.configure(60, (A, B, C), 301)
    assert not switchback.accepted(A)
    assert switchback.deadline() == 361
    switchback.configure(60, (A, B, C), 350)  # the same again
    assert switchback.deadline() == 361


def test_an_answer_counts_only_while_its_server_comes_before_the_one_in_use() -> None:
    switchback = policy(B)
    switchback.next(300, anyone)
    switchback.configure(300, (B, A), 301)
    assert not switchback.accepted(A)
    assert not switchback.accepted(C)  # which nobody asked


# the machine ------------------------------------------------------------------------------------------


def on_a_backup(settings: Settings = THREE) -> World:
    """A device that is connected to b.example, because a.example was dead when it started; now it lives."""
    world = World(settings, {"a.example": DEAD}).start().settle()
    assert world.connection.server_domain == "b.example"
    world.clouds["a.example"] = FakeCloud()
    return world.forget()


def test_off_by_default_it_never_goes_back() -> None:
    assert Settings().hold_down is None
    world = on_a_backup(replace(THREE, hold_down=None)).advance(100_000)
    assert (world.probed, world.dialled, world.events) == ([], [], [])


def test_after_the_hold_down_time_it_goes_back_to_a_server_that_lets_it_in() -> None:
    world = on_a_backup()
    world.advance(298)
    assert (world.probed, world.dialled) == ([], [])
    world.advance(3)
    status = world.connection
    assert (status.state, status.server_domain, status.attempts) == (State.ESTABLISHED, "a.example", 3)
    assert (status.last_down_reason, status.last_down_details) == (DownReason.RECONNECT_REQUESTED, "switchback")
    assert [domain for _, domain in world.probed] == [domain for _, domain in world.dialled] == ["a.example"]
    assert world.events_of(ServerSwitchover) == [ServerSwitchover(old_server="b.example", new_server="a.example")]
    assert not [e for e in world.effects if isinstance(e, Authenticate)]  # the token of the question is good
    world.forget().advance(10_000)
    assert (world.probed, world.dialled) == ([], [])


@pytest.mark.parametrize(
    "cloud",
    [
        DEAD,
        refusing(FailureReason.DNS_FAILED, Resolve),
        refusing(FailureReason.AUTHENTICATION_REFUSED, Authenticate),
        FakeCloud(silent_at=Connect),
        FakeCloud(password="another"),
    ],
)
def test_while_the_earlier_server_would_not_take_it_the_connection_goes_on(cloud) -> None:
    world = on_a_backup()
    since = world.connection.connected_at
    world.clouds["a.example"] = cloud
    world.advance(1000)
    assert len(world.probed) == 3
    assert (world.connection.connected_at, world.dialled, world.events) == (since, [], [])
    assert not [e for e in world.effects if isinstance(e, Disconnect)]
    assert world.connection.failure_reason is None  # it speaks of attempts to connect
    first, second, _ = world.machine.status(world.instant).servers
    assert first.last_result is not None
    assert first.next_attempt is not None
    assert second.established


def test_keepalives_go_on_while_an_earlier_server_is_silent() -> None:
    world = on_a_backup(replace(THREE, hold_down=10, keepalive_interval=10))
    world.clouds["a.example"] = FakeCloud(silent_at=Connect)
    world.advance(1000)
    assert sum(kind == "keepalive" for _, kind in world.beats) >= 99
    assert world.state is DeviceState.CONNECTED


def test_a_busy_server_is_left_alone_as_long_as_it_said() -> None:
    world = on_a_backup(replace(THREE, hold_down=10))
    world.clouds["a.example"] = refusing(FailureReason.SERVER_BUSY, Authenticate, retry_after=1000)
    world.advance(999)
    assert len(world.probed) == 1
    world.advance(200)
    assert len(world.probed) == 2


def test_the_first_of_several_earlier_servers_that_lets_it_in_is_taken() -> None:
    world = World(THREE, {"a.example": DEAD, "b.example": DEAD}).start().settle()
    assert world.connection.server_domain == "c.example"
    world.clouds["b.example"] = FakeCloud()
    world.forget().advance(301)
    assert [domain for _, domain in world.probed] == ["a.example", "b.example"]
    assert world.connection.server_domain == "b.example"


def test_a_server_that_refuses_after_all_costs_one_short_interruption_each_time_less_often() -> None:
    world = on_a_backup(replace(THREE, hold_down=10))
    world.clouds["a.example"] = refusing(FailureReason.REGISTRATION_REFUSED, Register)
    world.advance(3600)
    assert world.connection.server_domain == "b.example"
    assert 5 <= len(world.probed) <= 10
    assert [domain for _, domain in world.dialled][:4] == ["a.example", "b.example"] * 2


def test_an_answer_after_the_connection_is_gone_means_nothing() -> None:
    world = on_a_backup()
    while not world.probed:
        world.step()
    attempt = world.main
    world.lose()
    assert world.give(inputs.Probed(attempt, A, "token", 60.0)) == []
    world.settle()
    assert world.connection.server_domain == "c.example"


@pytest.mark.parametrize("hold_down", [None, 10, 86400])
def test_a_change_of_the_mode_never_disturbs_the_connection(hold_down) -> None:
    world = on_a_backup().advance(100)
    world.forget().configure(SetSwitchback(hold_down))
    assert (world.effects, world.state) == ([], DeviceState.CONNECTED)
    world.advance(5)
    assert (world.dialled, world.probed, world.events_of(ConnectionStateChange)) == ([], [], [])


def test_switched_off_while_a_server_is_asked_it_stays() -> None:
    world = on_a_backup()
    while not world.probed:
        world.step()
    world.configure(SetSwitchback(None))
    world.settle()
    assert (world.connection.server_domain, world.dialled) == ("b.example", [])


def test_a_server_removed_while_it_is_asked_is_not_gone_to() -> None:
    world = on_a_backup()
    while not world.probed:
        world.step()
    world.configure(SetServers((B, C)))
    world.settle()
    assert (world.connection.server_domain, world.dialled) == ("b.example", [])


def test_status_tells_when_the_earlier_server_is_asked_next_and_no_token_is_shown() -> None:
    world = on_a_backup()
    first, second, third = world.machine.status(world.instant).servers
    assert 298 < first.next_attempt - world.instant.wall <= 300
    assert (second.next_attempt, third.next_attempt) == (None, None)
    assert "token" not in repr(inputs.Probed(1, A, "token-1", 1.0)).replace("expires", "")
    world.advance(301)
    assert any(isinstance(e, Probe) for e in world.effects)
