"""The confirmed commit's core: who may do what while one is pending, and how it ends (RFC 6241 section 8.4)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import etree

from headstay.datastore.access import Requester, Source
from headstay.datastore.confirmed import (
    BEFORE,
    FACT,
    CancelCommit,
    Commit,
    CommitRequest,
    Done,
    Effect,
    Input,
    Install,
    Pending,
    Procedure,
    RollBack,
    SessionEnded,
    Tell,
    Tick,
    end_at_start,
    record,
    restored,
)
from headstay.datastore.events import ConfirmedCommit, ConfirmEvent
from headstay.errors import InUse, InvalidValue, LockDenied, MissingElement, NetconfError, OperationFailed

ONE = Requester("admin", 1, Source.DIRECT)
TWO = Requester("admin", 2, Source.DIRECT)
A, B, C = (etree.Element(name) for name in "abc")
PLAIN, TRY = CommitRequest(), CommitRequest(confirmed=True)
KEEP = CommitRequest(confirmed=True, persist="secret")


def given(procedure: Procedure, input: Input, now: float = 0.0) -> list[Effect]:
    """Hand in an input; every transaction succeeds. Returns the effects, those that follow too."""
    effects = procedure.handle(input, now)
    for effect in list(effects):
        if isinstance(effect, Install | RollBack):
            effects += procedure.handle(Done(effect), now)
    return effects


def pending(request: CommitRequest = TRY) -> Procedure:
    """A procedure that session 1 has begun at time 0, running being A."""
    procedure = Procedure()
    given(procedure, Commit(ONE, request, A))
    return procedure


def refused(procedure: Procedure, input: Input) -> NetconfError:
    """Hand in what is refused; nothing changes."""
    before = procedure.pending
    with pytest.raises(NetconfError) as caught:
        procedure.handle(input, 1.0)
    assert procedure.pending is before
    return caught.value


def events(effects: list[Effect]) -> list[ConfirmedCommit]:
    return [effect.event for effect in effects if isinstance(effect, Tell)]


def test_a_plain_commit_leaves_nothing_pending() -> None:
    procedure = Procedure()
    assert given(procedure, Commit(ONE, PLAIN, A)) == [Install(ONE, None, None)]
    assert (procedure.pending, procedure.deadline()) == (None, None)


def test_a_confirmed_commit_begins_when_its_transaction_has_succeeded() -> None:
    procedure = Procedure()
    [effect] = procedure.handle(Commit(ONE, TRY, A), 10.0)
    assert isinstance(effect, Install)
    assert procedure.pending is None  # a transaction that fails hands nothing back, and nothing is armed
    assert procedure.handle(Done(effect), 11.0) == [Tell(ConfirmedCommit(ONE, ConfirmEvent.START, 600))]
    assert procedure.pending == Pending(A, 610.0, None, ONE)
    assert procedure.deadline() == 610.0


def test_a_confirming_commit_ends_it() -> None:
    procedure = pending()
    effects = given(procedure, Commit(ONE, PLAIN, B), 5.0)
    assert events(effects) == [ConfirmedCommit(ONE, ConfirmEvent.COMPLETE)]
    assert procedure.deadline() is None
    assert given(procedure, Tick(), 1000.0) == []


def test_a_follow_up_extends_and_keeps_the_first_configuration() -> None:
    procedure = pending()
    effects = given(procedure, Commit(ONE, CommitRequest(confirmed=True, timeout=7), B), 100.0)
    assert events(effects) == [ConfirmedCommit(ONE, ConfirmEvent.EXTEND, 7)]
    assert procedure.pending == Pending(A, 107.0, None, ONE)


def test_a_follow_up_may_shorten_the_time() -> None:
    procedure = pending(CommitRequest(confirmed=True, timeout=4_294_967_295))
    given(procedure, Commit(ONE, CommitRequest(confirmed=True, timeout=1), B), 100.0)
    assert procedure.deadline() == 101.0


@pytest.mark.parametrize("request_", [PLAIN, replace(TRY, timeout=1)])
def test_a_follow_up_that_fails_leaves_the_roll_back_as_it_was(request_: CommitRequest) -> None:
    procedure = pending()
    before = procedure.pending
    procedure.handle(Commit(ONE, request_, B), 100.0)  # no Done
    assert procedure.pending is before
    assert given(procedure, Tick(), 600.0)[0] == RollBack(A, None, ConfirmedCommit(None, ConfirmEvent.TIMEOUT))


def test_it_runs_out() -> None:
    procedure = pending()
    assert given(procedure, Tick(), 599.9) == []
    told = ConfirmedCommit(None, ConfirmEvent.TIMEOUT)
    assert given(procedure, Tick(), 600.0) == [RollBack(A, None, told), Tell(told)]
    assert procedure.pending is None
    assert given(procedure, Tick(), 601.0) == []


def test_a_roll_back_that_fails_stays_due() -> None:
    procedure = pending()
    procedure.handle(Tick(), 600.0)
    assert procedure.deadline() == 600.0
    assert len(given(procedure, Tick(), 630.0)) == 2


def test_the_end_of_its_session_undoes_it() -> None:
    procedure = pending()
    assert procedure.ends_with(1)
    assert not procedure.ends_with(2)
    assert given(procedure, SessionEnded(2)) == []
    told = ConfirmedCommit(ONE, ConfirmEvent.CANCEL)
    assert given(procedure, SessionEnded(1)) == [RollBack(A, None, told), Tell(told)]
    assert procedure.pending is None


def test_with_a_persist_id_it_outlives_its_session() -> None:
    procedure = pending(KEEP)
    assert given(procedure, SessionEnded(1)) == []
    assert procedure.deadline() == 600.0
    # Session ids are used again: a later session 1 has nothing to do with it.
    assert not procedure.ends_with(1)
    assert isinstance(refused(procedure, Commit(ONE, PLAIN, B)), InUse)
    assert events(given(procedure, Commit(TWO, CommitRequest(persist_id="secret"), B))) == [
        ConfirmedCommit(TWO, ConfirmEvent.COMPLETE)
    ]


def test_the_persist_id_is_kept_as_a_digest_only() -> None:
    procedure = pending(KEEP)
    assert procedure.pending is not None
    assert "secret" not in repr((KEEP, CancelCommit(ONE, "secret"), procedure.pending, record(procedure.pending)))


def test_another_session_follows_up_with_the_persist_id() -> None:
    procedure = pending(KEEP)
    request = CommitRequest(confirmed=True, persist_id="secret")
    assert events(given(procedure, Commit(TWO, request, B), 10.0)) == [ConfirmedCommit(TWO, ConfirmEvent.EXTEND, 600)]
    # It stays persistent, under the same id, though the follow-up gave no <persist>.
    assert given(procedure, SessionEnded(2)) == []
    assert procedure.pending is not None
    assert procedure.pending.before is A
    assert len(given(procedure, Commit(TWO, CommitRequest(persist_id="secret"), C))) == 2


def test_a_follow_up_sets_another_persist_id() -> None:
    procedure = pending(KEEP)
    given(procedure, Commit(TWO, CommitRequest(confirmed=True, persist="new", persist_id="secret"), B))
    assert isinstance(refused(procedure, Commit(TWO, CommitRequest(persist_id="secret"), B)), InvalidValue)
    assert len(given(procedure, CancelCommit(ONE, "new"))) == 2


def test_a_follow_up_makes_it_persistent() -> None:
    procedure = pending()
    given(procedure, Commit(ONE, KEEP, B))
    assert given(procedure, SessionEnded(1)) == []
    assert procedure.pending is not None


@pytest.mark.parametrize("request_", [PLAIN, TRY, KEEP])
def test_another_session_may_not_follow_up_without_a_persist_id(request_: CommitRequest) -> None:
    assert isinstance(refused(pending(), Commit(TWO, request_, B)), InUse)
    assert isinstance(refused(pending(KEEP), Commit(TWO, request_, B)), InUse)


def test_a_persistent_one_needs_its_id_even_from_its_own_session() -> None:
    """Section 8.4.1: the follow-up and the confirming commit MUST include it."""
    assert isinstance(refused(pending(KEEP), Commit(ONE, PLAIN, B)), InUse)
    error = refused(pending(KEEP), CancelCommit(ONE))
    assert isinstance(error, MissingElement)
    assert [(item.name, item.value) for item in error.info] == [("bad-element", "persist-id")]


@pytest.mark.parametrize("procedure", [Procedure(), pending(), pending(KEEP)])
@pytest.mark.parametrize("persist_id", ["wrong", ""])
def test_a_persist_id_that_does_not_match(procedure: Procedure, persist_id: str) -> None:
    for given_ in (
        Commit(ONE, CommitRequest(persist_id=persist_id), B),
        Commit(ONE, CommitRequest(confirmed=True, persist_id=persist_id), B),
        CancelCommit(ONE, persist_id),
    ):
        assert isinstance(refused(procedure, given_), InvalidValue)


def test_cancel() -> None:
    for procedure, cancel in ((pending(), CancelCommit(ONE)), (pending(KEEP), CancelCommit(TWO, "secret"))):
        told = ConfirmedCommit(cancel.requester, ConfirmEvent.CANCEL)
        assert given(procedure, cancel) == [RollBack(A, cancel.requester, told), Tell(told)]
        assert procedure.pending is None


def test_a_cancel_that_fails_leaves_it_pending() -> None:
    procedure = pending()
    procedure.handle(CancelCommit(ONE), 1.0)
    assert procedure.deadline() == 600.0


def test_who_may_not_cancel() -> None:
    assert isinstance(refused(pending(), CancelCommit(TWO)), OperationFailed)
    assert isinstance(refused(pending(KEEP), CancelCommit(TWO)), MissingElement)
    assert isinstance(refused(Procedure(), CancelCommit(ONE)), OperationFailed)


def test_others_neither_write_nor_lock_running_meanwhile() -> None:
    for procedure in (pending(), pending(KEEP)):
        procedure.free_for(ONE)
        procedure.lockable_by(ONE)
        with pytest.raises(InUse):
            procedure.free_for(TWO)
        with pytest.raises(LockDenied) as caught:
            procedure.lockable_by(TWO)
        assert [(item.name, item.value) for item in caught.value.info] == [("session-id", "1")]
    given(procedure, SessionEnded(1))
    with pytest.raises(LockDenied) as caught:
        procedure.lockable_by(ONE)
    assert [(item.name, item.value) for item in caught.value.info] == [("session-id", "0")]
    Procedure().free_for(TWO)
    Procedure().lockable_by(TWO)


# the stored form --------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [TRY, KEEP])
def test_what_is_stored_comes_back_without_its_owner(request_: CommitRequest) -> None:
    found = pending(request_).pending
    assert found is not None
    contents, facts = record(found)
    assert contents == {BEFORE: b"<a/>"}
    assert restored(A, facts[FACT] or "") == replace(found, owner=None)
    assert record(None) == ({BEFORE: None}, {FACT: None})


@pytest.mark.parametrize("fact", ["", "{", "[]", "{}", '{"due": "x", "persist": null}', '{"due": 1.0, "persist": 2}'])
def test_a_damaged_fact(fact: str) -> None:
    with pytest.raises(ValueError, match=r"confirmed commit|Expecting"):
        restored(A, fact)


@pytest.mark.parametrize(
    ("persist", "new_boot", "now", "end"),
    [
        ("x", False, 599.0, None),
        ("x", False, 600.0, ConfirmEvent.TIMEOUT),
        ("x", True, 1.0, ConfirmEvent.CANCEL),
        (None, False, 599.0, ConfirmEvent.CANCEL),
        (None, True, 1.0, ConfirmEvent.CANCEL),
    ],
)
def test_what_a_start_makes_of_it(persist: str | None, new_boot: bool, now: float, end: ConfirmEvent | None) -> None:
    assert end_at_start(Pending(A, 600.0, persist), now, new_boot=new_boot) is end
