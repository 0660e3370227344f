"""Being unbound: over the main connection while it stands, else beside whatever the device does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes import FakeCloud, World, refusing
from headstay.engine import inputs
from headstay.engine.actions import SetEnabled
from headstay.engine.backoff import LONGEST_CEILING
from headstay.engine.effects import AskToUnbind, Connect, Disconnect, SendMessage
from headstay.engine.events import ConnectionStateChange, Unbound
from headstay.engine.inputs import UnbindFailure, UnbindOutcome, UnbindRequested
from headstay.engine.reasons import DeviceState, DownReason, FailureReason, State
from headstay.engine.settings import Role, Server, Settings
from headstay.wire import messages

A, B = Server("a.example"), Server("b.example", role=Role.BACKUP)
BOTH = Settings(servers=(A, B))
CODE = "7K3M-9QXA-2BWD-HT5F"
DONE = UnbindOutcome()


def up(**clouds: FakeCloud) -> World:
    world = World(BOTH, {f"{name}.example": cloud for name, cloud in clouds.items()}).start().settle()
    assert world.state is DeviceState.CONNECTED
    world.codes.add(CODE)
    return world.forget()


def waiting() -> World:
    """A device that backs off; its servers would let it in by now."""
    dead = refusing(FailureReason.SOCKET_FAILED, Connect)
    world = World(BOTH, {"a.example": dead, "b.example": dead}, seed=3).start()
    while world.machine.deadline() is None or (world.machine.deadline() or 0) < world.now + 20 or world.live:
        world.step()
    world.clouds.clear()
    world.codes.add(CODE)
    return world.forget()


# over the main connection -------------------------------------------------------------------------


def test_the_right_code_goes_over_the_connection_and_the_device_waits_long() -> None:
    world = up()
    request = world.unbind(CODE)
    assert world.effects == [SendMessage(messages.Unbind(CODE))]
    world.settle()
    assert world.outcomes == {request: DONE}
    assert (world.state, world.connection.last_down_reason) == (DeviceState.WAITING, DownReason.UNBOUND)
    assert world.events_of(Unbound) == [Unbound(server_domain="a.example")]
    assert world.machine.deadline() >= world.now + 298
    world.forget().advance(298)
    assert world.dialled == []


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        ("wrong-code", UnbindFailure.WRONG_CODE),
        ("expired-code", UnbindFailure.EXPIRED_CODE),
        ("too-many-attempts", UnbindFailure.TOO_MANY_ATTEMPTS),
        ("busy", UnbindFailure.SERVER_BUSY),
    ],
)
def test_a_refusal_leaves_the_connection_as_it_is(result: str, failure: UnbindFailure) -> None:
    world = up(a=FakeCloud(answers_codes=False))
    before = world.connection
    request = world.unbind("no")
    world.receive(messages.UnbindResult(result))
    assert world.outcomes == {request: UnbindOutcome(failure)}
    assert (world.connection, world.events) == (before, [])
    assert not [effect for effect in world.effects if isinstance(effect, Disconnect)]


def test_a_result_that_nobody_knows() -> None:
    world = up(a=FakeCloud(answers_codes=False))
    request = world.unbind("no")
    world.receive(messages.UnbindResult("perhaps"))
    assert world.outcomes[request] == UnbindOutcome(UnbindFailure.PROTOCOL_ERROR, "perhaps")


def test_an_answer_that_nobody_asked_for_is_ignored() -> None:
    world = up()
    assert world.receive(messages.UnbindResult("unbound")) == []


def test_silence_has_an_end_and_a_late_answer_is_not_taken_for_the_next() -> None:
    world = up(a=FakeCloud(answers_codes=False))
    first = world.unbind("one")
    world.advance(9.9)
    assert world.outcomes == {}
    world.advance(0.2)
    assert world.outcomes[first].failure is UnbindFailure.NO_ANSWER
    second = world.unbind("two")
    world.receive(messages.UnbindResult("wrong-code"))  # to the first
    assert second not in world.outcomes
    world.receive(messages.UnbindResult("expired-code"))
    assert world.outcomes[second].failure is UnbindFailure.EXPIRED_CODE
    assert world.state is DeviceState.CONNECTED


def test_one_at_a_time() -> None:
    world = up(a=FakeCloud(answers_codes=False))
    first, second = world.unbind("one"), world.unbind("two")
    assert world.outcomes == {second: UnbindOutcome(UnbindFailure.UNDER_WAY)}
    world.receive(messages.UnbindResult("wrong-code"))
    assert world.outcomes[first].failure is UnbindFailure.WRONG_CODE


@pytest.mark.parametrize(
    "end",
    [
        lambda world: world.lose(),
        lambda world: world.configure(SetEnabled(False)),
        lambda world: world.receive(messages.Bye("closed-by-server")),
        lambda world: world.give(inputs.Stopped()),
        lambda world: world.give(inputs.ReconnectRequested()),
    ],
)
def test_a_connection_that_ends_first_leaves_it_open_what_became_of_the_code(end) -> None:
    world = up(a=FakeCloud(answers_codes=False))
    request = world.unbind(CODE)
    end(world)
    assert world.outcomes == {request: UnbindOutcome(UnbindFailure.NO_ANSWER, "the connection ended")}
    world.clouds["a.example"] = FakeCloud()
    world.give(inputs.ReconnectRequested())
    world.configure(SetEnabled(True))
    if world.state is not DeviceState.IDLE:
        world.settle()
        # What an earlier connection owed, this one does not.
        again = world.unbind("no")
        world.settle()
        assert world.outcomes[again].failure is UnbindFailure.WRONG_CODE


def test_goodbye_instead_of_an_answer_says_it_too() -> None:
    world = up(a=FakeCloud(answers_codes=False))
    request = world.unbind(CODE)
    world.receive(messages.Bye("unbound"))
    assert world.outcomes == {request: DONE}
    assert len(world.events_of(Unbound)) == 1


def test_an_administrator_of_the_cloud_unbinds_it() -> None:
    world = up()
    world.receive(messages.Bye("unbound"))
    assert world.outcomes == {}
    assert [type(event) for event in world.events if isinstance(event, Unbound | ConnectionStateChange)] == [
        Unbound,
        ConnectionStateChange,
    ]


def test_unbound_twice_is_told_twice() -> None:
    world = up()
    for _ in range(2):
        world.codes.add(CODE)
        world.unbind(CODE)
        world.settle()
        world.give(inputs.ReconnectRequested())
        world.settle()
        assert world.state is DeviceState.CONNECTED
    assert len(world.events_of(Unbound)) == 2


# by HTTPS -------------------------------------------------------------------------------------------


def test_without_a_connection_servers_are_asked_beside_and_success_begins_the_long_wait() -> None:
    world = waiting()
    state = world.state
    request = world.unbind(CODE)
    assert world.effects == [AskToUnbind(request, CODE, BOTH)]
    assert world.state is state
    world.settle()
    assert world.outcomes == {request: DONE}
    assert world.events == [Unbound(server_domain="a.example")]
    assert (world.state, world.dialled) == (DeviceState.WAITING, [])
    assert world.machine.deadline() >= world.now + 298
    world.give(inputs.ReconnectRequested())
    world.settle()
    assert world.state is DeviceState.CONNECTED


def test_a_wrong_code_by_https_changes_nothing() -> None:
    world = waiting()
    before, due = world.machine.status(world.instant), world.machine.deadline()
    request = world.unbind("no")
    world.settle()
    assert world.outcomes[request].failure is UnbindFailure.WRONG_CODE
    assert world.machine.deadline() == due
    assert world.machine.status(world.instant).connection == before.connection
    assert world.events == []


def test_an_attempt_under_way_is_given_up_when_the_device_is_unbound() -> None:
    world = World(BOTH, {"a.example": FakeCloud(silent_at=Connect)}).start().until(DeviceState.CONNECTING)
    world.advance(1.0).forget()
    world.codes.add(CODE)
    request = world.unbind(CODE)
    assert world.state is DeviceState.CONNECTING
    world.settle()
    assert world.outcomes == {request: DONE}
    assert (world.state, world.live) == (DeviceState.WAITING, None)
    (_, change) = world.events
    assert (change.old_state, change.new_state, change.details) == (State.REQUEST, State.UNCONNECTED, "unbound")


def test_a_connection_that_comes_meanwhile_is_let_go_of() -> None:
    world = waiting()
    request = world.unbind("unknown")
    asked = next(effect for effect in world.effects if isinstance(effect, AskToUnbind))
    world._coming.clear()  # the answer takes its time
    world.give(inputs.ReconnectRequested())
    world.settle().forget()
    assert world.state is DeviceState.CONNECTED
    world.give(inputs.UnbindConcluded(asked.request, DONE, A))
    assert world.outcomes == {request: DONE}
    assert (world.state, world.live) == (DeviceState.WAITING, None)
    assert world.connection.last_down_reason is DownReason.UNBOUND
    assert (world.machine.deadline() or 0) >= world.now + LONGEST_CEILING


def test_a_connection_that_comes_meanwhile_may_be_ended_by_the_cloud_first() -> None:
    world = waiting()
    request = world.unbind("unknown")
    asked = next(effect for effect in world.effects if isinstance(effect, AskToUnbind))
    world._coming.clear()  # the answer takes its time
    world.give(inputs.ReconnectRequested())
    world.settle().forget()
    assert world.state is DeviceState.CONNECTED
    world.receive(messages.Bye("unbound"))
    world.give(inputs.UnbindConcluded(asked.request, DONE, A))
    assert world.outcomes == {request: DONE}
    assert len(world.events_of(Unbound)) == 1


@pytest.mark.parametrize(
    ("settings", "failure"),
    [
        (Settings(), UnbindFailure.NO_SERVER),
        (replace(BOTH, enabled=False), UnbindFailure.DISABLED),
        (replace(BOTH, unreadable=("password",)), UnbindFailure.UNREADABLE_SECRET),
    ],
)
def test_where_there_is_nobody_to_ask(settings: Settings, failure: UnbindFailure) -> None:
    world = World(settings).start()
    request = world.unbind(CODE)
    assert world.outcomes[request].failure is failure
    assert not [effect for effect in world.effects if isinstance(effect, AskToUnbind)]


def test_a_device_that_was_disabled_meanwhile_stays_so() -> None:
    world = waiting()
    world.unbind(CODE)
    world.configure(SetEnabled(False))
    world.settle()
    assert world.outcomes == {0: DONE}
    assert world.state is DeviceState.IDLE


def test_no_repr_holds_the_code() -> None:
    for each in (UnbindRequested(1, CODE), AskToUnbind(1, CODE, BOTH), SendMessage(messages.Unbind(CODE))):
        assert CODE not in repr(each)
    assert CODE not in repr(messages.UnbindRequest("SN1", CODE))
