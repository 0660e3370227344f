"""The machine's face: what it takes and what it refuses. What each input does is tested with its function's module."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from fakes import FakeCloud, World
from headstay.engine import inputs
from headstay.engine.effects import Connect
from headstay.engine.instant import Instant
from headstay.engine.link import UnexpectedInput
from headstay.engine.machine import Machine
from headstay.engine.picture import Interrupted
from headstay.engine.reasons import DownReason, FailureReason, State
from headstay.engine.settings import Identity
from worlds import ONE, connected


@pytest.mark.parametrize("at", [None, 1_700_000_000.0])
def test_a_connection_that_an_earlier_process_had_is_down_since_then(at: float | None) -> None:
    machine = Machine(Identity("SN1", "m", "1", "boot-2"), ONE, random.Random(1), interrupted=Interrupted(at))
    connection = machine.status(Instant(0.0, 0.0)).connection
    assert (connection.last_down_reason, connection.last_down_at) == (DownReason.PROCESS_RESTARTED, at)
    assert (connection.state, connection.established_count) == (State.UNCONNECTED, 0)


def test_no_repr_shows_a_secret() -> None:
    world = World(replace(ONE, password="hunter2")).start().settle()
    assert "hunter2" not in repr(world.effects)
    assert "token-0" not in repr(world.effects)
    assert "secret" not in repr(world.effects)
    assert "secret" not in repr(world.machine.status(world.instant))


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
