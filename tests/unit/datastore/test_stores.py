"""The datastores: what each operation changes, who may, and what a failure leaves (RFC 6241 sections 7 and 8)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore import boot, passwords
from headstay.datastore.access import Requester, Source
from headstay.datastore.difference import Change
from headstay.datastore.disk import Disk
from headstay.datastore.edit import EditOptions
from headstay.datastore.events import ConfigChange, DatastoreEvent
from headstay.datastore.name import Name
from headstay.datastore.parts import Parts
from headstay.datastore.secrets import MOST_PASSWORDS, Vault
from headstay.datastore.stores import Datastores
from headstay.errors import (
    AccessDenied,
    ErrorInfo,
    HeadstayError,
    InUse,
    InvalidValue,
    LockDenied,
    NetconfError,
    OperationFailed,
    RpcErrors,
    TooBig,
)
from models import OpenTo, config, device_model, hcm, made, text, values

ONE = Requester("admin", 1, Source.DIRECT)
TWO = Requester("admin", 2, Source.DIRECT)
INITIAL = hcm("<ping-interval>20</ping-interval>")
INVALID = hcm("<source-address>::</source-address><address-family>ipv4</address-family>")
RUNNING, CANDIDATE, STARTUP = Name


@dataclass
class Engine:
    """A backend that remembers what it was given, and refuses when told to."""

    refusal: NetconfError | None = None
    applied: list[list[str]] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Engine:
        if self.refusal is not None:
            raise self.refusal
        self.pending = [change.node.name for change in changes]
        return self

    def apply(self) -> None:
        self.applied.append(self.pending)


@dataclass
class World:
    """The datastores and what lies around them."""

    stores: Datastores
    disk: Disk
    engine: Engine

    def interval(self, name: Name) -> str:
        return "".join(values(self.stores.read(name), ".//hcm:ping-interval"))

    async def edit(self, seconds: int | str, target: Name = CANDIDATE, who: Requester = ONE) -> None:
        change = hcm(f"<ping-interval>{seconds}</ping-interval>")
        await self.stores.edit(who, target, change, EditOptions())

    def saved(self, name: str = "running") -> str:
        return "".join(values(xml.parse(self.disk.load()[name]), ".//hcm:ping-interval"))

    def unchanged(self) -> None:
        """Assert that running is what it was at start, in memory, on disk and in the engine."""
        assert (self.interval(RUNNING), self.saved(), self.engine.applied) == ("20", "20", [])


async def world_in(directory: Path, *, with_startup: bool) -> World:
    model, disk, engine = device_model(), Disk(directory / "datastores.sqlite"), Engine()
    loaded = await boot.load(model, disk, INITIAL, "boot", with_startup=with_startup)
    parts = Parts(model, disk, Vault(bytes(32)), OpenTo("admin"), engine)
    return World(Datastores(parts, loaded.running, loaded.startup, with_startup=with_startup), disk, engine)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made_world = await world_in(tmp_path, with_startup=False)
    yield made_world
    made_world.disk.close()


@pytest.fixture
async def with_startup(tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "with-startup").mkdir()
    made_world = await world_in(tmp_path / "with-startup", with_startup=True)
    yield made_world
    made_world.disk.close()


# candidate and commit -------------------------------------------------------------------------------


async def test_an_edit_of_the_candidate_waits_for_the_commit(world: World) -> None:
    await world.edit(30)
    assert world.interval(CANDIDATE) == "30"
    world.unchanged()
    await world.stores.commit(ONE)
    assert (world.interval(RUNNING), world.interval(CANDIDATE), world.saved()) == ("30", "30", "30")
    assert world.engine.applied == [["ping-interval"]]


async def test_a_commit_survives_a_restart(tmp_path: Path) -> None:
    world = await world_in(tmp_path, with_startup=False)
    await world.edit(30)
    await world.stores.commit(ONE)
    world.disk.close()
    again = await world_in(tmp_path, with_startup=False)
    assert again.interval(RUNNING) == "30"
    again.disk.close()


async def test_an_unmodified_candidate_follows_running(world: World) -> None:
    await world.edit(30, RUNNING)
    assert world.interval(CANDIDATE) == "30"
    await world.stores.commit(ONE)  # Ansible sends it after an edit of running: it must revert nothing
    assert (world.interval(RUNNING), world.saved()) == ("30", "30")
    assert world.engine.applied == [["ping-interval"]]


async def test_a_commit_of_nothing_does_nothing(world: World) -> None:
    await world.stores.commit(ONE)
    await world.edit(20)
    await world.stores.commit(ONE)
    world.unchanged()


async def test_discard(world: World) -> None:
    await world.edit(30)
    await world.stores.discard(ONE)
    assert world.interval(CANDIDATE) == "20"
    await world.edit(40, RUNNING)
    assert world.interval(CANDIDATE) == "40"


async def test_constraints_of_the_candidate_wait_for_the_commit(world: World) -> None:
    await world.stores.edit(ONE, CANDIDATE, INVALID, EditOptions())
    with pytest.raises(OperationFailed) as caught:
        await world.stores.validate(ONE, CANDIDATE)
    assert caught.value.app_tag == "address-family-mismatch"
    with pytest.raises(OperationFailed):
        await world.stores.commit(ONE)
    world.unchanged()
    assert values(world.stores.read(CANDIDATE), ".//hcm:address-family") == ["ipv4"]  # still there to be put right
    await world.stores.edit(ONE, CANDIDATE, hcm("<address-family>any</address-family>"), EditOptions())
    await world.stores.commit(ONE)
    assert values(world.stores.read(RUNNING), ".//hcm:source-address") == ["::"]


async def test_the_backend_refuses_and_nothing_has_changed(world: World) -> None:
    world.engine.refusal = InvalidValue("no")
    await world.edit(30)
    with pytest.raises(InvalidValue):
        await world.stores.commit(ONE)
    world.unchanged()
    world.engine.refusal = None
    await world.stores.commit(ONE)
    assert world.interval(RUNNING) == "30"


async def test_the_disk_refuses_and_nothing_has_changed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def save(*_: object, **__: object) -> None:
        raise OperationFailed("disk full")

    await world.edit(30)
    with monkeypatch.context() as full:
        full.setattr(world.disk, "save", save)
        with pytest.raises(OperationFailed, match="disk full"):
            await world.stores.commit(ONE)
        world.unchanged()
    await world.stores.commit(ONE)
    assert (world.interval(RUNNING), world.saved()) == ("30", "30")


async def test_running_is_on_disk_before_it_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, list[list[str]]]] = []
    save = world.disk.save

    async def watched(contents: dict[str, bytes | None], facts: dict[str, str | None]) -> None:
        await save(contents, facts)
        seen.append((world.interval(RUNNING), list(world.engine.applied)))

    monkeypatch.setattr(world.disk, "save", watched)
    await world.edit(30, RUNNING)
    assert seen == [("20", [])]
    assert world.interval(RUNNING) == "30"


async def test_writers_take_turns_and_readers_do_not_wait(world: World) -> None:
    writing = [asyncio.create_task(world.edit(30 + number, RUNNING)) for number in range(4)]
    await asyncio.sleep(0)
    assert world.interval(RUNNING) == "20"
    await asyncio.gather(*writing)
    assert (world.interval(RUNNING), world.saved()) == ("33", "33")
    assert world.engine.applied == [["ping-interval"]] * 4


async def test_a_published_tree_never_changes(world: World) -> None:
    running, candidate = world.stores.read(RUNNING), world.stores.read(CANDIDATE)
    before = text(running)
    await world.edit(30)
    await world.edit(31, RUNNING)
    await world.stores.commit(ONE)
    assert text(running) == text(candidate) == before


# edit-config's options --------------------------------------------------------------------------------


async def test_an_edit_with_errors_changes_nothing(world: World) -> None:
    change = hcm("<ping-interval>30</ping-interval><keepalive-interval>9</keepalive-interval><no-such/>")
    for options in (EditOptions(), EditOptions(error_option="rollback-on-error")):
        with pytest.raises(RpcErrors) as caught:
            await world.stores.edit(ONE, RUNNING, change, options)
        assert [error.tag for error in caught.value.errors] == ["invalid-value", "unknown-element"]
    world.unchanged()


@pytest.mark.parametrize("target", [RUNNING, CANDIDATE])
async def test_continue_on_error(world: World, target: Name) -> None:
    change = hcm("<ping-interval>30</ping-interval><keepalive-interval>9</keepalive-interval>")
    with pytest.raises(RpcErrors) as caught:
        await world.stores.edit(ONE, target, change, EditOptions(error_option="continue-on-error"))
    assert [error.tag for error in caught.value.errors] == ["invalid-value"]
    assert world.interval(target) == "30"


async def test_continue_on_error_installs_nothing_that_the_model_refuses(world: World) -> None:
    change = hcm("<source-address>::</source-address><address-family>ipv4</address-family><no-such/>")
    with pytest.raises(RpcErrors) as caught:
        await world.stores.edit(ONE, RUNNING, change, EditOptions(error_option="continue-on-error"))
    assert [error.tag for error in caught.value.errors] == ["unknown-element", "operation-failed"]
    world.unchanged()


async def test_test_only(world: World) -> None:
    for target in (RUNNING, CANDIDATE):
        await world.stores.edit(
            ONE, target, hcm("<ping-interval>30</ping-interval>"), EditOptions(test_option="test-only")
        )
        with pytest.raises(OperationFailed):
            await world.stores.edit(ONE, target, INVALID, EditOptions(test_option="test-only"))
        assert world.interval(target) == "20"
    world.unchanged()


async def test_test_then_set(world: World) -> None:
    with pytest.raises(OperationFailed):
        await world.stores.edit(ONE, CANDIDATE, INVALID, EditOptions(test_option="test-then-set"))
    assert values(world.stores.read(CANDIDATE), ".//hcm:address-family") == []
    await world.stores.edit(ONE, CANDIDATE, INVALID, EditOptions(test_option="set"))
    assert values(world.stores.read(CANDIDATE), ".//hcm:address-family") == ["ipv4"]


async def test_running_is_always_checked(world: World) -> None:
    with pytest.raises(OperationFailed):
        await world.stores.edit(ONE, RUNNING, INVALID, EditOptions(test_option="set"))
    world.unchanged()


async def test_default_operations(world: World) -> None:
    other = hcm("<keepalive-interval>20</keepalive-interval>")
    await world.stores.edit(ONE, RUNNING, other, EditOptions("replace"))
    assert world.interval(RUNNING) == ""
    with pytest.raises(RpcErrors):
        await world.stores.edit(ONE, RUNNING, INITIAL, EditOptions("none"))


async def test_secrets_are_sealed_on_their_way_in(world: World) -> None:
    change = hcm("<server><password>$0$hunter2</password></server>")
    for _ in range(2):
        await world.stores.edit(ONE, RUNNING, change, EditOptions())
    assert world.engine.applied == [["password"]]  # the second time nothing changed
    assert "hunter2" not in text(world.stores.read(RUNNING))
    assert b"hunter2" not in world.disk.load()["running"]
    replacement = config(
        f'<cloud-management xmlns="{xml.HCM}"><server><password>$0$x</password></server></cloud-management>'
    )
    await world.stores.copy(ONE, replacement, RUNNING)
    assert "$0$" not in text(world.stores.read(RUNNING))


async def test_a_users_password_set_twice_changes_nothing(world: World) -> None:
    change = config(
        f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>a</name><password>$0$x</password></user>'
        "</authentication></system>"
    )
    await world.stores.edit(ONE, RUNNING, change, EditOptions())
    await world.stores.edit(ONE, RUNNING, change, EditOptions())
    await world.stores.edit(ONE, CANDIDATE, change, EditOptions())
    await world.stores.commit(ONE)
    assert len(world.engine.applied) == 1


# copy, delete, validate -------------------------------------------------------------------------------


async def test_copy_between_datastores(with_startup: World) -> None:
    world = with_startup
    await world.edit(30)
    await world.stores.copy(ONE, CANDIDATE, STARTUP)
    assert (world.interval(STARTUP), world.saved("startup"), world.interval(RUNNING)) == ("30", "30", "20")
    await world.stores.copy(ONE, STARTUP, RUNNING)
    assert (world.interval(RUNNING), world.saved()) == ("30", "30")
    assert world.engine.applied == [["ping-interval"]]


async def test_copy_of_running_to_the_candidate_leaves_it_unmodified(world: World) -> None:
    await world.edit(30)
    await world.stores.copy(ONE, RUNNING, CANDIDATE)
    await world.stores.lock(ONE, CANDIDATE)
    await world.edit(40, RUNNING)
    assert world.interval(CANDIDATE) == "40"


async def test_copy_of_a_configuration_replaces_everything(world: World) -> None:
    await world.stores.copy(ONE, hcm("<keepalive-interval>20</keepalive-interval>"), RUNNING)
    assert text(world.stores.read(RUNNING)) == text(
        made(device_model(), hcm("<keepalive-interval>20</keepalive-interval>"))
    )


async def test_copy_checks_what_comes_into_force(with_startup: World) -> None:
    world = with_startup
    for target in (RUNNING, STARTUP):
        with pytest.raises(OperationFailed):
            await world.stores.copy(ONE, INVALID, target)
    with pytest.raises(RpcErrors):
        await world.stores.copy(ONE, hcm("<no-such/>"), CANDIDATE)
    with pytest.raises(InvalidValue):
        await world.stores.copy(ONE, RUNNING, RUNNING)
    world.unchanged()
    assert "startup" not in world.disk.load()


async def test_a_deleted_startup_is_empty(with_startup: World) -> None:
    world = with_startup
    await world.stores.copy(ONE, RUNNING, STARTUP)
    await world.stores.delete(ONE, STARTUP)
    assert len(world.stores.read(STARTUP)) == 0
    assert "startup" not in world.disk.load()


@pytest.mark.parametrize("target", [RUNNING, CANDIDATE])
async def test_only_startup_can_be_deleted(with_startup: World, target: Name) -> None:
    with pytest.raises(InvalidValue):
        await with_startup.stores.delete(ONE, target)
    with_startup.unchanged()


async def test_validate(world: World) -> None:
    await world.stores.validate(ONE, RUNNING)
    await world.stores.validate(ONE, CANDIDATE)
    await world.stores.validate(ONE, hcm("<ping-interval>30</ping-interval>"))
    for wrong in (INVALID, hcm("<no-such/>")):
        with pytest.raises(HeadstayError):
            await world.stores.validate(ONE, wrong)
    world.unchanged()


async def test_there_is_no_startup_unless_it_is_enabled(world: World, with_startup: World) -> None:
    assert world.stores.names == (RUNNING, CANDIDATE)
    assert with_startup.stores.names == (RUNNING, CANDIDATE, STARTUP)
    with pytest.raises(InvalidValue):
        world.stores.read(STARTUP)
    with pytest.raises(InvalidValue):
        await world.stores.lock(ONE, STARTUP)
    with pytest.raises(InvalidValue):
        await world.stores.unlock(ONE, STARTUP)
    for operation in (
        world.stores.copy(ONE, RUNNING, STARTUP),
        world.stores.copy(ONE, STARTUP, RUNNING),
        world.stores.delete(ONE, STARTUP),
        world.stores.validate(ONE, STARTUP),
    ):
        with pytest.raises(InvalidValue):
            await operation


# locks ------------------------------------------------------------------------------------------------


async def test_a_lock_keeps_others_out(with_startup: World) -> None:
    world = with_startup
    for name in Name:
        await world.stores.lock(ONE, name)
    assert {name: lock.session_id for name, lock in world.stores.locks().items()} == dict.fromkeys(Name, 1)
    for refused in (
        world.edit(30, RUNNING, TWO),
        world.edit(30, CANDIDATE, TWO),
        world.stores.copy(TWO, RUNNING, STARTUP),
        world.stores.copy(TWO, RUNNING, CANDIDATE),
        world.stores.delete(TWO, STARTUP),
        world.stores.commit(TWO),
        world.stores.discard(TWO),
    ):
        with pytest.raises(InUse, match="session 1"):
            await refused
    world.unchanged()
    await world.edit(30, CANDIDATE, ONE)
    await world.stores.commit(ONE)
    await world.stores.copy(ONE, CANDIDATE, STARTUP)  # Ansible's `save` does it under its own lock
    assert world.interval(STARTUP) == "30"


async def test_a_lock_of_running_keeps_commits_out_but_not_edits_of_the_candidate(world: World) -> None:
    await world.stores.lock(ONE, RUNNING)
    await world.edit(30, CANDIDATE, TWO)
    with pytest.raises(InUse):
        await world.stores.commit(TWO)
    world.unchanged()
    assert world.interval(CANDIDATE) == "30"


async def test_everybody_may_read_and_validate_what_is_locked(world: World) -> None:
    await world.stores.lock(ONE, RUNNING)
    await world.stores.lock(ONE, CANDIDATE)
    assert world.stores.view(TWO).config(world.stores.read(RUNNING)) is world.stores.read(RUNNING)
    await world.stores.validate(ONE, CANDIDATE)


@pytest.mark.parametrize("who", [ONE, TWO])
async def test_a_lock_is_held_once(world: World, who: Requester) -> None:
    """RFC 6241 section 7.5: it is denied to the session that holds it, too."""
    await world.stores.lock(ONE, RUNNING)
    with pytest.raises(LockDenied) as caught:
        await world.stores.lock(who, RUNNING)
    assert caught.value.info == (ErrorInfo("session-id", "1"),)
    await world.stores.lock(TWO, CANDIDATE)  # another datastore is another matter


@pytest.mark.parametrize("who", [ONE, TWO])
async def test_a_modified_candidate_cannot_be_locked(world: World, who: Requester) -> None:
    await world.edit(30, CANDIDATE, ONE)
    with pytest.raises(LockDenied) as caught:
        await world.stores.lock(who, CANDIDATE)
    assert caught.value.info == (ErrorInfo("session-id", "0"),)
    assert world.stores.locks() == {}
    await world.stores.discard(TWO)
    await world.stores.lock(who, CANDIDATE)


@pytest.mark.parametrize("how", ["commit", "discard"])
async def test_a_candidate_can_be_locked_again(world: World, how: str) -> None:
    await world.edit(30)
    await getattr(world.stores, how)(ONE)
    await world.stores.lock(TWO, CANDIDATE)


async def test_a_failed_commit_leaves_no_lock_and_can_be_discarded(world: World) -> None:
    await world.stores.edit(ONE, CANDIDATE, INVALID, EditOptions())
    with pytest.raises(OperationFailed):
        await world.stores.commit(ONE)
    assert world.stores.locks() == {}
    await world.stores.discard(ONE)
    await world.stores.lock(TWO, CANDIDATE)


async def test_unlock_discards_the_candidates_changes(world: World) -> None:
    await world.stores.lock(ONE, CANDIDATE)
    await world.edit(30)
    await world.stores.unlock(ONE, CANDIDATE)
    assert world.interval(CANDIDATE) == "20"
    await world.stores.lock(TWO, CANDIDATE)


async def test_unlock_of_running_keeps_the_candidates_changes(world: World) -> None:
    await world.stores.lock(ONE, RUNNING)
    await world.edit(30)
    await world.stores.unlock(ONE, RUNNING)
    assert world.interval(CANDIDATE) == "30"


async def test_only_the_holder_unlocks(world: World) -> None:
    with pytest.raises(OperationFailed):
        await world.stores.unlock(ONE, RUNNING)
    await world.stores.lock(ONE, CANDIDATE)
    await world.edit(30)
    with pytest.raises(OperationFailed):
        await world.stores.unlock(TWO, CANDIDATE)
    assert world.interval(CANDIDATE) == "30"
    assert list(world.stores.locks()) == [CANDIDATE]


async def test_the_end_of_a_session_releases_its_locks_and_nothing_else(world: World) -> None:
    await world.stores.lock(ONE, CANDIDATE)
    await world.stores.lock(TWO, RUNNING)
    await world.edit(30)
    world.stores.session_ended(3)
    assert world.interval(CANDIDATE) == "30"
    world.stores.session_ended(1)
    assert world.interval(CANDIDATE) == "20"
    assert list(world.stores.locks()) == [RUNNING]


async def test_the_end_of_a_session_without_a_lock_keeps_its_changes(world: World) -> None:
    """The candidate is shared (RFC 6241 section 8.3.1): only a lock ties changes to a session."""
    await world.edit(30)
    world.stores.session_ended(1)
    assert world.interval(CANDIDATE) == "30"


# what readers see -------------------------------------------------------------------------------------


async def test_state_is_laid_over_running(world: World) -> None:
    attempts = "<connection><attempts>3</attempts></connection>"
    state = config(f'<cloud-management xmlns="{xml.HCM}">{attempts}</cloud-management>')
    tree = world.stores.view(ONE).with_state(state)
    assert values(tree, ".//hcm:ping-interval") == ["20"]
    assert values(tree, ".//hcm:attempts") == ["3"]
    assert values(world.stores.read(RUNNING), ".//hcm:attempts") == []


async def test_readers_see_no_secrets(world: World) -> None:
    await world.stores.edit(ONE, RUNNING, hcm("<server><password>$0$x</password></server>"), EditOptions())
    guest = Requester("guest", 3, Source.DIRECT)
    assert "password" not in text(world.stores.view(guest).config(world.stores.read(RUNNING)))
    assert "password" not in text(world.stores.view(guest).with_state())
    assert "password" in text(world.stores.view(ONE).with_state())
    with pytest.raises(AccessDenied):
        world.stores.authorize(guest, f"{{{xml.HCM}}}reconnect")


async def test_who_may_not_write_makes_nobody_hash_passwords(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def hashing(_: str) -> str:
        raise AssertionError

    monkeypatch.setattr(passwords, "hash_password", hashing)
    guest = Requester("guest", 3, Source.DIRECT)
    user = "<user><name>guest</name><password>$0$x</password></user>"
    given = config(f'<system xmlns="{xml.SYSTEM}"><authentication>{user}</authentication></system>')
    with pytest.raises(AccessDenied):
        await world.stores.edit(guest, CANDIDATE, given, EditOptions())
    with pytest.raises(AccessDenied):
        await world.stores.copy(guest, given, CANDIDATE)


async def test_an_edit_that_changes_nothing_leaves_the_candidate_unmodified(world: World) -> None:
    await world.edit(20)
    await world.stores.edit(ONE, CANDIDATE, config(""), EditOptions())
    await world.stores.lock(TWO, CANDIDATE)


async def test_a_change_that_is_taken_back_leaves_the_candidate_unmodified(world: World) -> None:
    await world.edit(30)
    await world.edit(20)
    await world.stores.lock(TWO, CANDIDATE)


# turns ------------------------------------------------------------------------------------------------


async def test_a_lock_waits_for_the_write_that_is_under_way(world: World) -> None:
    """What has been locked does not change any more, not even by a write that began before (RFC 6241 section 7.5)."""
    write = asyncio.create_task(world.edit(30, RUNNING, ONE))
    await asyncio.sleep(0)  # it is in its turn now, and waits for a thread
    await world.stores.lock(TWO, RUNNING)
    assert write.done()
    assert world.interval(RUNNING) == "30"
    with pytest.raises(InUse):
        await world.edit(40, RUNNING, ONE)
    assert world.interval(RUNNING) == "30"


async def test_a_write_that_waits_finds_the_lock(world: World) -> None:
    first = asyncio.create_task(world.edit(30, RUNNING, TWO))
    await asyncio.sleep(0)
    locking = asyncio.create_task(world.stores.lock(TWO, RUNNING))
    await asyncio.sleep(0)
    with pytest.raises(InUse):
        await world.edit(40, RUNNING, ONE)
    await asyncio.gather(first, locking)
    assert world.interval(RUNNING) == "30"


async def test_tested_edit_reports_all_that_is_wrong(world: World) -> None:
    """continue-on-error with a test: the errors of the edit and of the model stand in one reply."""
    both = hcm("<nonsense/><source-address>::</source-address><address-family>ipv4</address-family>")
    options = EditOptions(test_option="test-then-set", error_option="continue-on-error")
    with pytest.raises(RpcErrors) as caught:
        await world.stores.edit(ONE, CANDIDATE, both, options)
    assert [error.tag for error in caught.value.errors] == ["unknown-element", "operation-failed"]
    assert world.interval(CANDIDATE) == "20"
    assert not values(world.stores.read(CANDIDATE), ".//hcm:source-address")


# passwords --------------------------------------------------------------------------------------------


def users(count: int, password: str = "$0$x") -> etree._Element:
    entries = "".join(f"<user><name>u{n}</name><password>{password}</password></user>" for n in range(count))
    return config(f'<system xmlns="{xml.SYSTEM}"><authentication>{entries}</authentication></system>')


async def test_validate_neither_hashes_nor_compares_a_password(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be a slow oracle for whoever may validate."""

    def never(*_: object) -> bool:
        raise AssertionError("a password was hashed")

    monkeypatch.setattr(passwords, "hash_matches", never)
    monkeypatch.setattr(passwords, "hash_password", never)
    await world.stores.validate(ONE, users(150))


async def test_too_many_clear_passwords_in_one_edit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hash_matches", lambda stored, password: False)
    monkeypatch.setattr(passwords, "hash_password", lambda password: passwords.NOBODY)
    await world.stores.edit(ONE, CANDIDATE, users(MOST_PASSWORDS), EditOptions())
    await world.stores.discard(ONE)
    with pytest.raises(TooBig):
        await world.stores.edit(ONE, CANDIDATE, users(MOST_PASSWORDS + 1), EditOptions())
    await world.stores.lock(TWO, CANDIDATE)


async def test_nobody_waits_for_the_hashing_of_anothers_passwords(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashing, go_on = asyncio.Event(), asyncio.Event()

    async def hashed(password: str) -> str:
        hashing.set()
        await go_on.wait()
        return passwords.NOBODY

    monkeypatch.setattr(passwords, "hashed", hashed)
    slow = asyncio.create_task(world.stores.edit(ONE, RUNNING, users(1), EditOptions()))
    await hashing.wait()
    await world.edit(30, RUNNING, TWO)
    assert world.interval(RUNNING) == "30"
    go_on.set()
    await slow
    assert values(world.stores.read(RUNNING), ".//sys:name") == ["u0"]
    assert world.interval(RUNNING) == "30"


# a user who is removed


@pytest.mark.parametrize(
    "operation",
    [
        lambda stores: stores.edit(ONE, RUNNING, hcm("<ping-interval>30</ping-interval>"), EditOptions()),
        lambda stores: stores.copy(ONE, hcm("<ping-interval>30</ping-interval>"), RUNNING),
        lambda stores: stores.delete(ONE, STARTUP),
        lambda stores: stores.commit(ONE),
        lambda stores: stores.cancel_commit(ONE),
        lambda stores: stores.discard(ONE),
        lambda stores: stores.lock(ONE, RUNNING),
    ],
    ids=["edit", "copy", "delete", "commit", "cancel-commit", "discard", "lock"],
)
async def test_what_waits_for_its_turn_while_its_user_is_removed_is_refused(
    with_startup: World, monkeypatch: pytest.MonkeyPatch, operation: Callable[[Datastores], Coroutine[None, None, None]]
) -> None:
    saving, go_on, save = asyncio.Event(), asyncio.Event(), with_startup.disk.save

    async def slowly(contents: dict[str, bytes | None], facts: dict[str, str | None]) -> None:
        saving.set()
        await go_on.wait()
        await save(contents, facts)

    await with_startup.edit(99, CANDIDATE)
    monkeypatch.setattr(with_startup.disk, "save", slowly)
    removal = asyncio.create_task(with_startup.edit(25, RUNNING, TWO))
    await saving.wait()
    waiting = asyncio.create_task(operation(with_startup.stores))
    await asyncio.sleep(0)
    with_startup.stores.session_revoked(ONE.session_id)
    go_on.set()
    await removal
    with pytest.raises(AccessDenied, match="no more"):
        await waiting
    assert (with_startup.interval(RUNNING), with_startup.interval(CANDIDATE)) == ("25", "99")


async def test_a_later_session_with_the_id_of_a_removed_users_is_not_refused(world: World) -> None:
    world.stores.session_revoked(ONE.session_id)
    world.stores.session_ended(ONE.session_id)
    await world.edit(30, RUNNING)
    assert world.interval(RUNNING) == "30"


# what is told of changes


@dataclass
class Told:
    """Datastores, and what they told of themselves."""

    stores: Datastores
    engine: Engine
    events: list[tuple[str, str, list[str]]] = field(default_factory=list)


@pytest.fixture
async def told(tmp_path: Path) -> AsyncIterator[Told]:
    disk = Disk(tmp_path / "datastore.db")
    told: Told

    def observe(event: DatastoreEvent) -> None:
        assert isinstance(event, ConfigChange)
        assert event.requester is not None
        # What is told is in force and durable by then.
        assert event.datastore == "startup" or told.engine.applied
        assert event.datastore in disk.load() or event.changes[0].new is None
        names = [change.node.name for change in event.changes]
        told.events.append((event.datastore, event.requester.user, names))

    engine = Engine()
    parts = Parts(device_model(), disk, Vault(bytes(32)), OpenTo("admin"), engine, observe)
    stores = Datastores(parts, made(device_model(), INITIAL), None, with_startup=True)
    told = Told(stores, engine)
    yield told
    disk.close()


async def test_a_commit_is_told_once_and_only_if_it_changes_something(told: Told) -> None:
    await told.stores.edit(ONE, CANDIDATE, hcm("<ping-interval>30</ping-interval>"), EditOptions())
    assert told.events == []
    await told.stores.commit(ONE)
    assert told.events == [("running", "admin", ["ping-interval"])]
    await told.stores.commit(ONE)
    await told.stores.edit(ONE, RUNNING, hcm("<ping-interval>30</ping-interval>"), EditOptions())
    assert len(told.events) == 1


async def test_an_edit_of_running_and_a_copy_to_it_are_told(told: Told) -> None:
    await told.stores.edit(ONE, RUNNING, hcm("<ping-interval>30</ping-interval>"), EditOptions())
    await told.stores.copy(ONE, hcm("<keepalive-interval>30</keepalive-interval>"), RUNNING)
    assert told.events[1:] == [("running", "admin", ["keepalive-interval", "ping-interval"])]


async def test_what_is_refused_is_not_told(told: Told) -> None:
    told.engine.refusal = InvalidValue("no")
    with pytest.raises(InvalidValue):
        await told.stores.edit(ONE, RUNNING, hcm("<ping-interval>30</ping-interval>"), EditOptions())
    assert told.events == []


async def test_changes_of_startup_are_told(told: Told) -> None:
    await told.stores.copy(ONE, RUNNING, STARTUP)
    await told.stores.copy(ONE, RUNNING, STARTUP)
    await told.stores.delete(ONE, STARTUP)
    await told.stores.delete(ONE, STARTUP)
    assert told.events == [("startup", "admin", ["ping-interval"])] * 2
