"""The confirmed commit with its transactions, its timer and the disk (RFC 6241 section 8.4).

The scars of other servers are here too, each as a test: see `test_scar_…`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from device_datastores import FIRST, ONE, TWO, Device, FillableDisk, interval
from headstay.datastore import confirming
from headstay.datastore.access import Requester, Source
from headstay.datastore.confirmed import BEFORE, FACT, CommitRequest
from headstay.datastore.disk import Disk
from headstay.datastore.edit import EditOptions
from headstay.datastore.events import ConfigChange, ConfirmedCommit, ConfirmEvent
from headstay.datastore.name import Name
from headstay.errors import InUse, InvalidValue, LockDenied, MissingElement, NetconfError, OperationFailed
from models import hcm

RUNNING, CANDIDATE, STARTUP = Name
INVALID = hcm("<source-address>::</source-address><address-family>ipv4</address-family>")


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    made = await Device(tmp_path).start()
    yield made
    await made.kill()


async def test_without_confirmation_the_old_configuration_comes_back(device: Device) -> None:
    await device.try_out(30)
    assert device.in_force(30)
    assert device.stored_roll_back == str(FIRST)
    await device.advance(599)
    assert device.in_force(30)
    await device.advance(1)
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None
    assert device.confirm_events == ["start", "timeout"]


async def test_a_confirmed_configuration_stays(device: Device) -> None:
    await device.try_out(30)
    await device.commit()
    assert device.stored_roll_back is None
    await device.advance(10_000)
    await device.end_session()
    assert device.in_force(30)
    assert device.confirm_events == ["start", "complete"]


async def test_the_confirming_commit_may_bring_changes_of_its_own(device: Device) -> None:
    await device.try_out(30)
    await device.commit(40)
    await device.advance(600)
    assert device.in_force(40)


async def test_a_follow_up_goes_back_to_the_configuration_before_the_first(device: Device) -> None:
    await device.try_out(30, timeout=60)
    await device.advance(59)
    await device.try_out(40, timeout=60)
    await device.advance(59)
    assert device.in_force(40)
    await device.advance(1)
    assert device.in_force(FIRST)
    assert device.confirm_events == ["start", "extend", "timeout"]


async def test_a_confirmed_commit_without_changes(device: Device) -> None:
    await device.try_out()
    assert device.stored_roll_back == str(FIRST)
    await device.edit(30, target=RUNNING)  # by its own session: it is undone too
    await device.advance(600)
    assert device.in_force(FIRST)
    await device.try_out()
    await device.commit()
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None


async def test_cancel(device: Device) -> None:
    await device.try_out(30)
    await device.stores.cancel_commit(ONE)
    assert device.in_force(FIRST)
    with pytest.raises(OperationFailed):
        await device.stores.cancel_commit(ONE)
    assert device.confirm_events == ["start", "cancel"]


async def test_the_end_of_the_session_undoes_it(device: Device) -> None:
    await device.try_out(30)
    await device.end_session(TWO)
    assert device.in_force(30)
    await device.end_session(ONE)
    assert device.in_force(FIRST)


async def test_scar_the_last_operation_was_a_get(device: Device) -> None:
    await device.try_out(30)
    device.stores.view(ONE)
    await device.stores.validate(ONE, RUNNING)
    await device.end_session()
    assert device.in_force(FIRST)


async def test_scar_cancel_after_the_session_has_ended(device: Device) -> None:
    await device.try_out(30, persist="p")
    await device.end_session()
    with pytest.raises(MissingElement):
        await device.stores.cancel_commit(TWO)
    await device.stores.cancel_commit(TWO, "p")
    assert device.in_force(FIRST)
    await device.try_out(30)
    await device.end_session()
    with pytest.raises(OperationFailed):
        await device.stores.cancel_commit(TWO)
    with pytest.raises(InvalidValue):
        await device.stores.cancel_commit(TWO, "p")
    assert device.in_force(FIRST)


async def fail(device: Device, how: str) -> None:
    """Make the next commit fail, and let it."""
    await device.edit(40)
    if how == "model":
        await device.stores.edit(ONE, CANDIDATE, INVALID, EditOptions())
    device.engine.refusal = InvalidValue("no") if how == "backend" else None
    device.disk.full = how == "disk"
    with pytest.raises(NetconfError):
        await device.try_out(timeout=5000)
    with pytest.raises(NetconfError):
        await device.commit()
    device.engine.refusal, device.disk.full = None, False


HOW = ["model", "backend", "disk"]


@pytest.mark.parametrize("how", HOW)
async def test_scar_a_confirmed_commit_that_fails_arms_nothing(device: Device, how: str) -> None:
    await fail(device, how)
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None
    await device.advance(10_000)
    await device.end_session()
    assert device.events == []
    await device.stores.discard(TWO)
    await device.stores.lock(TWO, RUNNING)  # and no lock is left that nobody could release
    await device.stores.lock(TWO, CANDIDATE)


@pytest.mark.parametrize("how", HOW)
async def test_scar_a_follow_up_that_fails_leaves_the_roll_back_as_it_was(device: Device, how: str) -> None:
    await device.try_out(30)
    await device.advance(599)
    await fail(device, how)
    assert device.in_force(30)
    assert device.stored_roll_back == str(FIRST)
    await device.advance(1)
    assert device.in_force(FIRST)
    assert device.confirm_events == ["start", "timeout"]
    assert interval(device.stores.read(CANDIDATE)) == "40"  # still there to be put right


async def test_scar_unlock_discards_though_a_confirmed_commit_is_pending(device: Device) -> None:
    await device.stores.lock(ONE, CANDIDATE)
    await device.try_out(30)
    await device.edit(40)
    await device.stores.unlock(ONE, CANDIDATE)
    assert interval(device.stores.read(CANDIDATE)) == "30"
    await device.commit()
    assert device.in_force(30)


async def test_a_roll_back_reaches_a_candidate_that_follows_running(device: Device) -> None:
    await device.try_out(30)
    await device.advance(600)
    assert interval(device.stores.read(CANDIDATE)) == str(FIRST)
    await device.commit()
    assert device.in_force(FIRST)


async def test_a_candidate_that_the_roll_back_makes_equal_can_be_locked(device: Device) -> None:
    await device.try_out(30)
    await device.edit(FIRST)
    await device.advance(600)
    await device.stores.lock(TWO, CANDIDATE)


# others meanwhile -------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [{}, {"persist": "p"}])
async def test_others_wait(device: Device, request_: dict[str, str]) -> None:
    await device.try_out(30, **request_)
    await device.edit(40, TWO)  # the candidate is free
    for refused in (
        device.commit(who=TWO),
        device.try_out(who=TWO),
        device.edit(41, TWO, RUNNING),
        device.stores.copy(TWO, CANDIDATE, RUNNING),
        device.stores.copy(TWO, hcm(""), RUNNING),
    ):
        with pytest.raises(InUse):
            await refused
    with pytest.raises(LockDenied):
        await device.stores.lock(TWO, RUNNING)
    assert device.in_force(30)
    await device.advance(600)
    await device.commit(who=TWO)
    assert device.in_force(40)


async def test_its_own_session_may_lock_running(device: Device) -> None:
    await device.try_out(30)
    await device.stores.lock(ONE, RUNNING)
    await device.commit()
    assert device.in_force(30)


async def test_a_lock_of_running_keeps_out_who_knows_the_persist_id(device: Device) -> None:
    await device.try_out(30, persist="p")
    await device.stores.lock(ONE, RUNNING)
    with pytest.raises(InUse):
        await device.stores.cancel_commit(TWO, "p")
    with pytest.raises(InUse):
        await device.commit(who=TWO, persist_id="p")
    assert device.in_force(30)
    await device.advance(600)  # time asks no lock
    assert device.in_force(FIRST)


# what cannot be refused -------------------------------------------------------------------------------


async def test_the_backend_cannot_refuse_the_way_back(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    await device.try_out(30)
    device.engine.refusal = InvalidValue("no")
    await device.advance(600)
    assert device.in_force(FIRST)
    assert "comes back although: no" in caplog.text


@pytest.mark.parametrize("persist", [None, "p"])
async def test_a_full_disk_does_not_stop_the_way_back(
    device: Device, persist: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    await device.try_out(30, persist=persist)
    device.disk.full = True
    await device.advance(600)
    assert (device.running, device.engine.interval) == (str(FIRST), str(FIRST))
    assert "not on disk" in caplog.text
    await device.restart()  # what the disk still says is undone now
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None


async def test_what_is_undone_without_the_disk_does_not_come_back_beside_a_later_commit(device: Device) -> None:
    """The later one changes nothing, so it stores only what is pending, and what the disk is owed."""
    await device.try_out(30)
    device.disk.full = True
    await device.end_session()
    assert device.running == str(FIRST)
    device.disk.full = False
    await device.try_out(persist="p", who=TWO)
    assert device.in_force(FIRST)
    await device.restart()
    assert (device.in_force(FIRST), device.stored_roll_back) == (True, str(FIRST))


async def test_what_is_pending_is_stored_when_it_changes_and_not_before(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[list[str]] = []

    def write(disk: FillableDisk, contents: Mapping[str, bytes | None], facts: Mapping[str, str | None]) -> None:
        stored.append(sorted({**contents, **facts}))
        Disk._write(disk, contents, facts)

    monkeypatch.setattr(FillableDisk, "_write", write)
    await device.commit(30)
    await device.commit(40, confirmed=True)
    await device.edit(50, target=RUNNING)
    await device.commit(60)
    await device.commit(70)
    pending = sorted([BEFORE, FACT])
    assert stored == [["running"], [*pending, "running"], ["running"], [*pending, "running"], ["running"]]


# a boot on a full disk: its boot-id is not stored ------------------------------------------------------


async def test_a_boot_on_a_full_disk_undoes_what_is_pending(device: Device) -> None:
    await device.try_out(30, persist="p")
    await device.reboot(full=True)
    assert (device.running, device.engine.interval) == (str(FIRST), str(FIRST))
    await device.restart(full=True)
    assert device.running == str(FIRST)
    await device.restart()
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None


async def test_what_an_earlier_boot_left_pending_does_not_come_back_with_a_later_save(device: Device) -> None:
    """The disk must not take the new boot-id without the way back: the next start would find it pending."""
    await device.try_out(30, persist="p", timeout=100_000)
    await device.reboot(full=True)
    device.disk.full = False
    await device.disk.save({}, {"dhcp-leases": "[]"})
    await device.restart()
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None


async def test_a_commit_after_a_boot_on_a_full_disk_outlives_the_daemon(tmp_path: Path) -> None:
    """The restart must not take itself for a new boot, which would load startup, or undo what is pending."""
    device = await Device(tmp_path, with_startup=True).start()
    await device.edit(20, target=Name.STARTUP)
    await device.reboot(full=True)
    assert device.running == "20"
    device.disk.full = False
    await device.try_out(30, persist="p")
    await device.restart()
    assert device.in_force(30)
    assert device.stored_roll_back == "20"
    await device.commit(who=TWO, persist_id="p")
    await device.restart()
    assert device.in_force(30)
    await device.reboot()
    assert device.in_force(20)
    await device.kill()


async def test_a_cancel_that_the_disk_refuses_is_none(device: Device) -> None:
    await device.try_out(30, persist="p")
    device.disk.full = True
    with pytest.raises(OperationFailed, match="disk full"):
        await device.stores.cancel_commit(ONE, "p")
    assert device.in_force(30)
    device.disk.full = False
    await device.restart()
    await device.stores.cancel_commit(TWO, "p")
    assert device.in_force(FIRST)


# restarts ---------------------------------------------------------------------------------------------


async def test_a_persistent_one_survives_a_restart(device: Device) -> None:
    await device.try_out(30, persist="p", timeout=100)
    await device.restart()
    assert device.in_force(30)
    with pytest.raises(InUse):
        await device.commit()  # session 1 of today is not session 1 of yesterday
    await device.restart()
    await device.commit(who=TWO, persist_id="p")
    await device.restart()
    await device.advance(10_000)
    assert device.in_force(30)
    assert device.confirm_events == ["start", "complete"]


async def test_after_a_restart_its_time_still_runs(device: Device) -> None:
    await device.try_out(30, persist="p", timeout=100)
    await device.advance(60)
    await device.restart()
    await device.advance(39)
    assert device.in_force(30)
    await device.advance(1)
    assert device.in_force(FIRST)
    assert device.confirm_events == ["start", "timeout"]


async def test_its_time_runs_out_while_the_daemon_is_down(device: Device) -> None:
    await device.try_out(30, persist="p", timeout=100)
    device.now += 100
    await device.restart()
    assert device.in_force(FIRST)
    assert device.confirm_events == ["start", "timeout"]


async def test_without_a_persist_id_a_restart_undoes_it(device: Device) -> None:
    await device.try_out(30)
    await device.restart()
    assert device.in_force(FIRST)
    assert device.stored_roll_back is None
    changes = [event for event in device.events if isinstance(event, ConfigChange)]
    assert [event.requester for event in changes] == [ONE, None]
    assert device.events[-1] == ConfirmedCommit(None, ConfirmEvent.CANCEL)


@pytest.mark.parametrize("persist", [None, "p"])
async def test_a_reboot_undoes_it(device: Device, persist: str | None) -> None:
    await device.try_out(30, persist=persist)
    await device.reboot()
    assert device.in_force(FIRST)
    assert device.confirm_events == ["start", "cancel"]
    await device.reboot()
    assert device.confirm_events == ["start", "cancel"]


async def test_a_reboot_with_a_startup_configuration_loads_that(tmp_path: Path) -> None:
    device = await Device(tmp_path, with_startup=True).start()
    await device.commit(25)
    await device.stores.copy(ONE, RUNNING, STARTUP)
    await device.commit(26)
    await device.try_out(30, persist="p")
    await device.reboot()
    assert device.in_force(25)
    assert device.stored_roll_back is None
    await device.kill()


# the timer --------------------------------------------------------------------------------------------


async def undone(device: Device) -> None:
    """Wait until the first configuration is in force again."""
    async with asyncio.timeout(10):
        while device.running != str(FIRST):  # noqa: ASYNC110 - nothing tells the end of what nobody waits for
            await asyncio.sleep(0)
    await device.stores.settled()
    assert device.in_force(FIRST)


async def test_the_timer_fires_by_itself(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirming, "LONGEST_SLEEP", 0)  # it looks at the clock, which is ours, again and again
    await device.try_out(30)
    await asyncio.sleep(0)
    assert device.in_force(30)
    device.now += 600
    await undone(device)
    assert device.confirm_events == ["start", "timeout"]


async def test_the_timer_looks_at_the_clock_though_the_loop_slept(device: Device) -> None:
    """The loop's clock stands still while the device is suspended; waking it must not take the rest of the time-out."""
    await device.try_out(30, timeout=100_000)
    timer = device.stores._confirming._timer
    assert timer is not None
    assert timer.when() - asyncio.get_running_loop().time() <= confirming.LONGEST_SLEEP


async def test_a_pending_one_found_at_start_has_its_timer(device: Device) -> None:
    await device.try_out(30, persist="p")
    await device.restart()
    assert device.stores._confirming._timer is not None
    await device.stores.stop()
    assert device.stores._confirming._timer is None


async def test_sessions_that_go_on_confirming_do_not_keep_others_waiting(device: Device) -> None:
    await device.try_out(30, persist="p")
    done: list[str] = []

    async def confirms(who: Requester) -> None:
        for _ in range(20):
            await device.stores.commit(who, CommitRequest(confirmed=True, persist_id="p"))
            done.append("confirmed")

    async def discards() -> None:
        await device.stores.discard(Requester("kim", 9, Source.DIRECT))
        done.append("discarded")

    await asyncio.gather(confirms(ONE), confirms(TWO), confirms(Requester("lou", 3, Source.DIRECT)), discards())
    assert done.index("discarded") < 6


async def test_what_is_confirmed_in_time_but_behind_others_in_the_turn_counts(device: Device) -> None:
    await device.try_out(30)
    async with device.stores._turn.of("somebody else"):
        confirming_commit = asyncio.create_task(device.commit())
        await asyncio.sleep(0)
        device.now += 600
        late = asyncio.create_task(device.stores.check_time())
        await asyncio.sleep(0)
    await asyncio.gather(confirming_commit, late)
    assert device.in_force(30)


async def test_a_roll_back_that_breaks_is_tried_again(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await device.try_out(30)
    with monkeypatch.context() as broken:
        broken.setattr(device.engine, "prepare", None)
        await device.end_session()
    assert "tried again" in caplog.text
    assert device.in_force(30)
    timer = device.stores._confirming._timer
    assert timer is not None
    timer._run()  # its time has come
    await undone(device)
    assert device.confirm_events == ["start", "cancel"]


async def test_what_the_log_says_holds_no_persist_id(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await device.try_out(30, persist="very-secret")
    with pytest.raises(InvalidValue) as caught:
        await device.stores.cancel_commit(TWO, "also-secret")
    assert "secret" not in caplog.text + str(caught.value)
    assert b"very-secret" not in (device.directory / "datastores.sqlite").read_bytes()
