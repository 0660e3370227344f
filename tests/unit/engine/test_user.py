"""What the user asks of the link, by the machine as a whole, in a fake world."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs, user
from headstay.engine.actions import (
    SetEnabled,
    SetIntervals,
    SetPassword,
    SetServers,
    SetServices,
    SetSource,
    SetTls,
    SetUnreadable,
)
from headstay.engine.effects import (
    ClearTraffic,
    Connect,
    Disconnect,
    Effect,
    Emit,
    Resolve,
    TuneSubconnections,
    WakeServices,
)
from headstay.engine.events import ConnectionStateChange, ReportBufferFull, ServerSwitchover
from headstay.engine.machine import TRANSITIONS, Transition
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, ReportFailure
from headstay.engine.settings import AddressFamily, Role, Server, Service, Settings, Source, Tls
from headstay.wire import messages
from worlds import ONE, THREE, A, B, C, connected, kinds

OFF = Service("telemetry", enabled=False)


# starting -------------------------------------------------------------------------------------------


def test_without_a_server_nothing_happens() -> None:
    world = World(Settings()).start().advance(1000)
    assert (world.state, world.effects, world.machine.deadline()) == (DeviceState.IDLE, [], None)


def test_disabled_nothing_happens() -> None:
    world = World(replace(ONE, enabled=False)).start().advance(1000)
    assert (world.state, world.effects) == (DeviceState.IDLE, [])


def test_before_it_is_started_nothing_is_dialled() -> None:
    world = World(ONE)
    world.configure(SetServers((A, B)))
    world.advance(10)
    assert world.effects == []


# reconnect and stop ---------------------------------------------------------------------------------


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


# configuration --------------------------------------------------------------------------------------


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


def test_a_secret_that_cannot_be_decrypted_keeps_it_down_and_the_status_says_so() -> None:
    world = connected()
    world.configure(SetUnreadable(("server/password",)))
    assert (world.state, world.connection.last_down_reason) == (DeviceState.IDLE, DownReason.CONFIGURATION_CHANGED)
    assert world.connection.last_down_details == "the secret server/password cannot be decrypted; set it again"
    world.give(inputs.ReconnectRequested())
    world.advance(1000)
    assert world.state is DeviceState.IDLE
    world.configure(SetUnreadable(()))
    world.settle()
    assert (world.state, world.connection.last_down_details) == (DeviceState.CONNECTED, None)


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


def test_a_password_that_dhcp_takes_is_a_dhcp_change_also_where_it_made_up_for_a_lost_one() -> None:
    world = connected(replace(ONE, password="given", password_source=Source.DHCP))
    world.configure(SetPassword(None, Source.CONFIGURED), SetUnreadable(("server/password",)))
    assert (world.state, world.connection.last_down_reason) == (DeviceState.IDLE, DownReason.DHCP_CHANGED)
    assert world.connection.last_down_details == "the secret server/password cannot be decrypted; set it again"


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


# reports --------------------------------------------------------------------------------------------


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


# the counters ---------------------------------------------------------------------------------------


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
    assert transition == Transition(user.clear_counters)


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
