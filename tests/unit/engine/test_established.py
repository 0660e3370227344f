"""What befalls the established connection, by the machine as a whole, in a fake world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import FakeCloud, World
from headstay.engine import inputs
from headstay.engine.actions import SetIntervals, SetServices
from headstay.engine.effects import Connect, Disconnect, OpenSubconnection, SendPing
from headstay.engine.events import ConnectionStateChange, SubconnectionStateChange
from headstay.engine.reasons import DeviceState, DownReason, ProcessState, State, SubconnectionState
from headstay.engine.settings import Service
from headstay.wire import messages
from worlds import ONE, THREE, A, connected, kinds

OFF = Service("telemetry", enabled=False)


# keepalive and ping ---------------------------------------------------------------------------------


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


# losing it ------------------------------------------------------------------------------------------


def test_a_lost_socket_is_dialled_again_at_once_with_a_single_server() -> None:
    world = connected()
    at = world.now
    world.lose("the connection was reset")
    assert world.connection.last_down_details == "the connection was reset"
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


# subconnections -------------------------------------------------------------------------------------


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


def test_open_subconnection_carries_the_attempt() -> None:
    world = World(ONE).start().settle()
    opened = next(e for e in world.effects if isinstance(e, OpenSubconnection))
    assert opened.attempt == world.main
