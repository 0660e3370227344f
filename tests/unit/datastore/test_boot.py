"""What the device comes up with."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore import boot
from headstay.datastore.boot import Boot
from headstay.datastore.confirmed import BEFORE, FACT, Pending, record
from headstay.datastore.disk import Disk
from headstay.errors import StartupError
from models import config, device_model, hcm, made, text, values

INITIAL = hcm("<ping-interval>11</ping-interval>")


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    opened = Disk(tmp_path / "datastores.sqlite")
    yield opened
    opened.close()


def interval(tree: etree._Element) -> str:
    return values(tree, ".//hcm:ping-interval")[0]


def octets(seconds: int) -> bytes:
    return xml.serialise(made(device_model(), hcm(f"<ping-interval>{seconds}</ping-interval>")))


async def load(disk: Disk, boot_id: str = "this-boot", *, with_startup: bool = False) -> Boot:
    return await boot.load(device_model(), disk, INITIAL, boot_id, with_startup=with_startup)


async def test_the_first_start_makes_the_first_configuration_and_saves_it(disk: Disk) -> None:
    loaded = await load(disk)
    assert interval(loaded.running) == "11"
    assert loaded.startup is None
    assert disk.load() == {"running": xml.serialise(loaded.running)}
    assert disk.facts() == {"boot-id": "this-boot"}


@pytest.mark.parametrize("boot_id", ["this-boot", "next-boot"])
async def test_a_restart_comes_up_with_the_last_commit(disk: Disk, boot_id: str) -> None:
    await disk.save({"running": octets(20)}, {"boot-id": "this-boot"})
    assert interval((await load(disk, boot_id)).running) == "20"


@pytest.mark.parametrize(
    ("boot_id", "with_startup", "expected"),
    [
        ("this-boot", True, "20"),  # the daemon restarted, the device did not
        ("next-boot", True, "30"),
        ("next-boot", False, "20"),
        ("this-boot", False, "20"),
    ],
)
async def test_startup_counts_after_a_new_boot(disk: Disk, boot_id: str, with_startup: bool, expected: str) -> None:
    await disk.save({"running": octets(20), "startup": octets(30)}, {"boot-id": "this-boot"})
    loaded = await load(disk, boot_id, with_startup=with_startup)
    assert interval(loaded.running) == expected
    assert disk.load() == {"running": xml.serialise(loaded.running), "startup": octets(30)}
    assert disk.facts()["boot-id"] == boot_id
    if with_startup:
        assert loaded.startup is not None
        assert interval(loaded.startup) == "30"


ACCESS = config(
    f'<nacm xmlns="{xml.NACM}"><groups><group><name>admin</name><user-name>alice</user-name></group></groups></nacm>'
    f'<cloud-management xmlns="{xml.HCM}"><ping-interval>11</ping-interval></cloud-management>'
)


async def test_a_configuration_from_before_access_control_gets_that_of_the_first_user(disk: Disk) -> None:
    await disk.save({"running": octets(20)}, {"boot-id": "this-boot"})
    loaded = await boot.load(device_model(), disk, ACCESS, "this-boot", with_startup=False)
    assert interval(loaded.running) == "20"
    assert values(loaded.running, ".//nacm:user-name") == ["alice"]
    assert disk.load() == {"running": xml.serialise(loaded.running)}


async def test_access_control_that_is_configured_stays_as_it_is(disk: Disk) -> None:
    own = config(f'<nacm xmlns="{xml.NACM}"><read-default>deny</read-default></nacm>')
    await disk.save({"running": xml.serialise(made(device_model(), own))}, {"boot-id": "this-boot"})
    loaded = await boot.load(device_model(), disk, ACCESS, "next-boot", with_startup=False)
    assert text(loaded.running) == text(made(device_model(), own))


async def test_a_new_boot_without_a_startup_configuration_keeps_running(disk: Disk) -> None:
    await disk.save({"running": octets(20)}, {"boot-id": "this-boot"})
    loaded = await load(disk, "next-boot", with_startup=True)
    assert (interval(loaded.running), loaded.startup) == ("20", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"<data", "damaged"),
        (b"<html/>", "damaged"),
        (b"<!DOCTYPE data><data/>", "damaged"),
        (octets(20).replace(b">20<", b">9<"), "does not obey the model: ping-interval"),
        (octets(20).replace(b"ping-interval", b"pong-interval"), "does not obey the model"),
        (
            xml.serialise(made(device_model(), hcm("<server><domain>a</domain></server>"))).replace(
                b"</server>", b"</server><backup-server><domain>A</domain></backup-server>"
            ),
            "in the list already",
        ),
    ],
)
async def test_what_is_stored_is_checked(disk: Disk, content: bytes, message: str) -> None:
    await disk.save({"running": content}, {"boot-id": "this-boot"})
    with pytest.raises(StartupError, match=f"stored running configuration .*{message}") as caught:
        await load(disk)
    assert str(caught.value).startswith(f"the datastore {disk.file} cannot be used: ")
    assert str(caught.value).endswith("; restore it from a backup, or move it away to start with the first user only")
    assert disk.load() == {"running": content}  # nothing is lost


async def test_a_damaged_startup_configuration_matters_where_there_is_one(disk: Disk) -> None:
    await disk.save({"running": octets(20), "startup": b"<data"}, {"boot-id": "this-boot"})
    with pytest.raises(StartupError, match="stored startup configuration is damaged"):
        await load(disk, with_startup=True)
    assert interval((await load(disk)).running) == "20"


async def test_the_first_configuration_is_checked(disk: Disk) -> None:
    for wrong in (
        hcm("<ping-interval>9</ping-interval>"),
        hcm("<source-address>::</source-address><address-family>ipv4</address-family>"),
    ):
        with pytest.raises(StartupError, match=r"^device\.toml does not obey the model.*; correct it and start again$"):
            await boot.load(device_model(), disk, wrong, "b", with_startup=False)
    assert disk.load() == {}


async def test_a_secret_never_stands_in_the_error(disk: Disk) -> None:
    content = octets(20).replace(b"<ping-interval>20</ping-interval>", b"<server><password>hunter2</password></server>")
    await disk.save({"running": content})
    with pytest.raises(StartupError) as caught:
        await load(disk)
    assert "hunter2" not in str(caught.value)


def refuse(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the disk take nothing more."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("disk full")

    monkeypatch.setattr(disk, "_write", full)


async def test_a_disk_that_refuses_stops_the_first_start(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(disk, monkeypatch)
    with pytest.raises(StartupError, match="disk full"):
        await load(disk)


async def test_what_is_loaded_is_canonical(disk: Disk) -> None:
    await disk.save({"running": octets(20).replace(b">20<", b">+20<")})
    assert text((await load(disk)).running).encode() == octets(20)


async def test_a_restart_that_changes_nothing_does_not_write(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = await load(disk)
    refuse(disk, monkeypatch)
    again = await load(disk)
    assert text(again.running) == text(first.running)
    assert caplog.messages == []


@pytest.mark.parametrize(("with_startup", "expected"), [(True, "30"), (False, "20")])
async def test_a_full_disk_does_not_keep_a_new_boot_from_starting(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, with_startup: bool, expected: str
) -> None:
    await disk.save({"running": octets(20), "startup": octets(30)}, {"boot-id": "this-boot"})
    refuse(disk, monkeypatch)
    for _ in range(2):
        loaded = await load(disk, "next-boot", with_startup=with_startup)
        assert interval(loaded.running) == expected
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "can store nothing, no commit either: " in caplog.messages[0]
    assert disk.facts() == {"boot-id": "this-boot"}


async def test_access_control_that_cannot_be_stored_is_in_force(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    await disk.save({"running": octets(20)}, {"boot-id": "this-boot"})
    refuse(disk, monkeypatch)
    loaded = await boot.load(device_model(), disk, ACCESS, "this-boot", with_startup=False)
    assert values(loaded.running, ".//nacm:user-name") == ["alice"]


# a confirmed commit that is pending ------------------------------------------------------------------


async def store_pending(disk: Disk, persist: str | None = "digest", running: bytes | None = None) -> None:
    before = made(device_model(), hcm("<ping-interval>20</ping-interval>"))
    contents, facts = record(Pending(before, 600.0, persist))
    await disk.save({"running": running or octets(30), **contents}, {"boot-id": "this-boot", **facts})


async def load_at(disk: Disk, now: float, boot_id: str = "this-boot") -> Boot:
    return await boot.load(device_model(), disk, INITIAL, boot_id, with_startup=False, clock=lambda: now)


async def test_a_persistent_confirmed_commit_goes_on(disk: Disk) -> None:
    await store_pending(disk)
    before = disk.load()
    loaded = await load_at(disk, 599.0)
    assert interval(loaded.running) == "30"
    assert loaded.pending is not None
    assert (interval(loaded.pending.before), loaded.pending.due, loaded.pending.persist) == ("20", 600.0, "digest")
    assert loaded.events == ()
    assert disk.load() == before


@pytest.mark.parametrize(
    ("persist", "now", "boot_id", "event"),
    [
        ("digest", 600.0, "this-boot", "timeout"),
        ("digest", 1.0, "next-boot", "cancel"),
        (None, 1.0, "this-boot", "cancel"),
    ],
)
async def test_any_other_is_undone(disk: Disk, persist: str | None, now: float, boot_id: str, event: str) -> None:
    await store_pending(disk, persist)
    loaded = await load_at(disk, now, boot_id)
    assert (interval(loaded.running), loaded.pending) == ("20", None)
    change, told = loaded.events
    assert [made_.node.name for made_ in change.changes] == ["ping-interval"]  # type: ignore[union-attr]
    assert told.confirm_event.value == event  # type: ignore[union-attr]
    assert disk.load() == {"running": octets(20)}
    assert FACT not in disk.facts()


@pytest.mark.parametrize(
    ("persist", "now", "boot_id", "event"),
    [
        ("digest", 600.0, "this-boot", "timeout"),
        ("digest", 1.0, "next-boot", "cancel"),
        (None, 1.0, "this-boot", "cancel"),
    ],
)
async def test_what_cannot_be_undone_on_disk_is_undone_at_each_start(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, persist: str | None, now: float, boot_id: str, event: str
) -> None:
    await store_pending(disk, persist)
    with monkeypatch.context() as patch:
        refuse(disk, patch)
        for _ in range(2):
            loaded = await load_at(disk, now, boot_id)
            assert (interval(loaded.running), loaded.pending) == ("20", None)
            assert loaded.events[1].confirm_event.value == event  # type: ignore[union-attr]
    assert disk.load()["running"] == octets(30)
    await disk.save({}, {"dhcp-leases": "[]"})  # whatever the disk takes first
    assert disk.load() == {"running": octets(20)}
    assert disk.facts() == {"boot-id": boot_id, "dhcp-leases": "[]"}


async def test_what_is_undone_need_not_obey_the_model(disk: Disk) -> None:
    await store_pending(disk, None, running=b"<data")
    loaded = await load_at(disk, 1.0)
    assert interval(loaded.running) == "20"
    assert len(loaded.events) == 1


async def test_a_damaged_confirmed_commit_stops_the_start(disk: Disk) -> None:
    await store_pending(disk)
    await disk.save({}, {FACT: "{"})
    with pytest.raises(StartupError, match=r"datastores\.sqlite .*confirmed commit is damaged; restore it"):
        await load_at(disk, 1.0)
    await store_pending(disk)
    await disk.save({BEFORE: b"<data"})
    with pytest.raises(StartupError, match=r"datastores\.sqlite .*earlier configuration is damaged.*; restore it"):
        await load_at(disk, 1.0)
