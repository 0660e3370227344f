"""A new key for every stored secret: whole or not at all, wherever it is cut off."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from headstay import xml
from headstay.datastore import rotation
from headstay.datastore.disk import Disk
from headstay.datastore.rotation import KEY_IN_FORCE, begin, new_key_file, rotate, settle, settle_at_start, store
from headstay.datastore.secrets import SecretUnreadableError, Vault
from headstay.errors import OperationFailed, StartupError
from models import config, device_model, hcm, made, values

SCHEMA = device_model().schema
PASSWORD = SCHEMA.find("/hcm:cloud-management/server/password")
PRIVATE_KEY = SCHEMA.find("/hcm:cloud-management/tls/private-key")
HASH = "$6$salt$" + "a" * 86
SECRETS = {
    "running": {"password": "hunter2", "private-key": "a PEM", "ping-interval": "20"},
    "startup": {"password": "hunter1", "private-key": "another PEM", "ping-interval": "30"},
}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "secrets.key"
    Vault.at(file)
    return file


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[Disk]:
    opened = Disk(tmp_path / "datastore.db")
    yield opened
    opened.close()


def tree(vault: Vault, clear: dict[str, str]) -> bytes:
    password, private_key = vault.seal(clear["password"], PASSWORD), vault.seal(clear["private-key"], PRIVATE_KEY)
    content = hcm(
        f"<server><domain>a.example</domain><password>{password}</password></server>"
        f"<tls><private-key>{private_key}</private-key></tls><ping-interval>{clear['ping-interval']}</ping-interval>"
    )
    content.append(
        config(
            f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>admin</name><password>{HASH}</password></user>'
            "</authentication></system>"
        )[0]
    )
    return xml.serialise(made(device_model(), content))


async def filled(disk: Disk, vault: Vault) -> dict[str, bytes]:
    contents = {name: tree(vault, clear) for name, clear in SECRETS.items()}
    await disk.save(dict(contents), {"boot-id": "1"})
    return contents


def opened(disk: Disk, key_file: Path) -> dict[str, dict[str, str]]:
    """What the key file opens, of all that is stored."""
    vault = Vault.existing(key_file)
    found = {}
    for name, content in disk.load().items():
        root = xml.parse(content)
        found[name] = {
            "password": vault.open(values(root, ".//hcm:password")[0], PASSWORD),
            "private-key": vault.open(values(root, ".//hcm:private-key")[0], PRIVATE_KEY),
            "ping-interval": values(root, ".//hcm:ping-interval")[0],
        }
        assert values(root, ".//sys:password") == [HASH]
    return found


def octets_of(file: Path) -> bytes:
    return file.read_bytes()


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def user(file: Path) -> int:
    return file.stat().st_uid


def copied(directory: Path) -> Path:
    copy = directory / "copy"
    copy.mkdir()
    for file in directory.glob("*.*"):
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def files(key_file: Path) -> set[str]:
    """The keys that lie about."""
    return {file.name for file in key_file.parent.iterdir() if "key" in file.name}


async def test_every_secret_is_encrypted_under_a_new_key(disk: Disk, key_file: Path) -> None:
    old = Vault.existing(key_file)
    before = await filled(disk, old)
    assert await rotate(SCHEMA, disk, key_file) == 4
    new = Vault.existing(key_file)
    assert new.fingerprint != old.fingerprint
    assert opened(disk, key_file) == SECRETS
    assert disk.load() == {name: tree(new, clear) for name, clear in SECRETS.items()} != before
    assert disk.facts() == {"boot-id": "1", KEY_IN_FORCE: new.fingerprint}
    assert files(key_file) == {"secrets.key"}
    assert mode(key_file) == 0o600


async def test_a_key_can_be_changed_again_and_again(disk: Disk, key_file: Path) -> None:
    await filled(disk, Vault.existing(key_file))
    fingerprints = {Vault.existing(key_file).fingerprint}
    for _ in range(3):
        assert await rotate(SCHEMA, disk, key_file) == 4
        fingerprints.add(Vault.existing(key_file).fingerprint)
    assert len(fingerprints) == 4
    assert opened(disk, key_file) == SECRETS


async def test_without_secrets_the_key_changes_all_the_same(disk: Disk, key_file: Path) -> None:
    old = Vault.existing(key_file)
    await disk.save({"running": xml.serialise(made(device_model(), hcm("<ping-interval>20</ping-interval>")))})
    before = disk.load()
    assert await rotate(SCHEMA, disk, key_file) == 0
    assert disk.load() == before
    assert Vault.existing(key_file).fingerprint != old.fingerprint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for another user")
async def test_the_new_key_belongs_to_whom_the_old_one_did(disk: Disk, key_file: Path) -> None:
    os.chown(key_file, 4711, -1)
    await rotate(SCHEMA, disk, key_file)
    assert user(key_file) == 4711


# cut off ----------------------------------------------------------------------------------------------


async def after_begin(disk: Disk, key_file: Path) -> None:
    begin(key_file)


async def after_store(disk: Disk, key_file: Path) -> None:
    await store(SCHEMA, disk, Vault.existing(key_file), begin(key_file))


async def after_the_new_key_took_its_place(disk: Disk, key_file: Path) -> None:
    await after_store(disk, key_file)
    new_key_file(key_file).replace(key_file)


@pytest.mark.parametrize(
    ("killed", "finished"),
    [(after_begin, False), (after_store, True), (after_the_new_key_took_its_place, True)],
)
@pytest.mark.parametrize("earlier", [0, 1])  # a fact of an earlier rotation must not mislead
async def test_killed_after_any_step_the_next_start_settles_it(
    key_file: Path, tmp_path: Path, killed, finished: bool, earlier: int, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(tmp_path / "datastore.db")
    await filled(disk, Vault.existing(key_file))
    for _ in range(earlier):
        await rotate(SCHEMA, disk, key_file)
    old = Vault.existing(key_file).fingerprint
    await killed(disk, key_file)
    waiting = new_key_file(key_file).exists()
    disk.close()

    for _ in range(2):  # the second start finds nothing to do
        settle_at_start(key_file, tmp_path / "datastore.db")
    disk = Disk(tmp_path / "datastore.db")
    assert opened(disk, key_file) == SECRETS
    assert (Vault.existing(key_file).fingerprint != old) == finished
    assert files(key_file) == {"secrets.key"}
    assert caplog.text.count("was cut off") == waiting
    assert await rotate(SCHEMA, disk, key_file) == 4
    assert opened(disk, key_file) == SECRETS
    disk.close()


@pytest.mark.parametrize("killed", [after_begin, after_store, after_the_new_key_took_its_place])
async def test_killed_after_any_step_the_next_rotation_settles_it_too(disk: Disk, key_file: Path, killed) -> None:
    await filled(disk, Vault.existing(key_file))
    await killed(disk, key_file)
    assert await rotate(SCHEMA, disk, key_file) == 4
    assert opened(disk, key_file) == SECRETS
    assert files(key_file) == {"secrets.key"}


async def test_killed_within_the_transaction_nothing_has_happened(disk: Disk, key_file: Path, tmp_path: Path) -> None:
    before = await filled(disk, Vault.existing(key_file))
    new = begin(key_file)

    def half() -> None:
        disk._connection.execute("BEGIN")
        disk._connection.execute("UPDATE datastore SET content = ?", (b"half",))
        disk._connection.execute("INSERT INTO fact VALUES (?, ?)", (KEY_IN_FORCE, new.fingerprint))

    disk._thread.submit(half).result()
    copy = copied(tmp_path)  # what is on the disk at this moment
    disk._thread.submit(disk._connection.rollback).result()

    settle_at_start(copy / "secrets.key", copy / "datastore.db")
    left = Disk(copy / "datastore.db")
    assert left.load() == before
    assert opened(left, copy / "secrets.key") == SECRETS
    left.close()


async def test_cut_off_without_any_secret(disk: Disk, key_file: Path) -> None:
    old = Vault.existing(key_file)
    new = begin(key_file)
    assert not settle(key_file, disk)
    assert Vault.existing(key_file).fingerprint == old.fingerprint
    new = begin(key_file)
    await store(SCHEMA, disk, old, new)
    assert settle(key_file, disk)
    assert Vault.existing(key_file).fingerprint == new.fingerprint


async def test_a_datastore_of_before_asks_for_the_key_of_before(disk: Disk, key_file: Path) -> None:
    """A backup that was put back in the middle of it."""
    old = Vault.existing(key_file)
    before = await filled(disk, old)
    await after_store(disk, key_file)
    await disk.save(dict(before), {KEY_IN_FORCE: "of an earlier key"})
    assert not settle(key_file, disk)
    assert opened(disk, key_file) == SECRETS


def test_a_start_without_a_rotation_touches_nothing(key_file: Path, tmp_path: Path) -> None:
    settle_at_start(key_file, tmp_path / "datastore.db")
    assert list(tmp_path.iterdir()) == [key_file]


# refused ----------------------------------------------------------------------------------------------


async def test_a_wrong_key_changes_nothing_and_the_leafs_are_named(disk: Disk, key_file: Path) -> None:
    before = await filled(disk, Vault(b"\1" * 32))
    octets = octets_of(key_file)
    with pytest.raises(SecretUnreadableError) as caught:
        await rotate(SCHEMA, disk, key_file)
    for leaf in ("server/password in running", "tls/private-key in running", "server/password in startup"):
        assert leaf in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert (disk.load(), octets_of(key_file), files(key_file)) == (before, octets, {"secrets.key"})
    assert KEY_IN_FORCE not in disk.facts()


async def test_one_secret_that_does_not_open_is_enough(disk: Disk, key_file: Path) -> None:
    vault = Vault.existing(key_file)
    await filled(disk, vault)
    await disk.save({"startup": tree(Vault(b"\1" * 32), SECRETS["startup"])})
    before = disk.load()
    with pytest.raises(SecretUnreadableError, match="in startup") as caught:
        await rotate(SCHEMA, disk, key_file)
    assert "in running" not in str(caught.value)
    assert disk.load() == before
    assert Vault.existing(key_file).fingerprint == vault.fingerprint


async def test_a_disk_that_is_read_only(disk: Disk, key_file: Path) -> None:
    vault = Vault.existing(key_file)
    before = await filled(disk, vault)
    disk._thread.submit(disk._connection.execute, "PRAGMA query_only = ON").result()
    with pytest.raises(OperationFailed, match="readonly"):
        await rotate(SCHEMA, disk, key_file)
    assert disk.load() == before
    assert Vault.existing(key_file).fingerprint == vault.fingerprint
    assert files(key_file) == {"secrets.key"}


@pytest.mark.parametrize("step", ["open", "fsync", "link"])
async def test_a_directory_that_takes_no_new_key(
    disk: Disk, key_file: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = await filled(disk, Vault.existing(key_file))
    octets = octets_of(key_file)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, refuse)
        with pytest.raises(StartupError, match=r"secrets\.key\.new cannot be written: Read-only file system"):
            await rotate(SCHEMA, disk, key_file)
    assert (disk.load(), octets_of(key_file), files(key_file)) == (before, octets, {"secrets.key"})


async def test_a_new_key_that_cannot_take_its_place_waits(
    disk: Disk, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(disk, Vault.existing(key_file))

    def refuse(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", refuse)
        with pytest.raises(StartupError, match="cannot be brought into force: Input/output error"):
            await rotate(SCHEMA, disk, key_file)
    assert files(key_file) == {"secrets.key", "secrets.key.new"}
    assert settle(key_file, disk)
    assert opened(disk, key_file) == SECRETS


async def test_a_damaged_configuration_changes_nothing(disk: Disk, key_file: Path) -> None:
    octets = octets_of(key_file)
    await disk.save({"running": b"<data"})
    with pytest.raises(StartupError, match=r"datastore\.db .*stored running configuration is damaged.*; restore"):
        await rotate(SCHEMA, disk, key_file)
    assert (disk.load(), octets_of(key_file)) == ({"running": b"<data"}, octets)


async def test_no_key(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"secrets\.key cannot be read: No such file"):
        await rotate(SCHEMA, disk, tmp_path / "secrets.key")
    assert files(tmp_path / "secrets.key") == set()


async def test_a_damaged_new_key_is_left_for_a_person_to_judge(disk: Disk, key_file: Path) -> None:
    new_key_file(key_file).write_bytes(b"short")
    with pytest.raises(StartupError, match=r"secrets\.key\.new has 5 octets"):
        settle(key_file, disk)
    assert files(key_file) == {"secrets.key", "secrets.key.new"}


def test_what_is_no_part_of_the_model_is_left_alone() -> None:
    root = xml.parse(b'<data xmlns="urn:x"><password>$aes-256-gcm$AAAA</password></data>')
    assert list(rotation._secrets(SCHEMA, root)) == []


async def test_facts_that_hold_secrets_change_in_the_same_transaction(disk: Disk, key_file: Path) -> None:
    old = Vault.existing(key_file)
    await filled(disk, old)
    await disk.save({}, {"lease": old.seal("hunter2", PASSWORD), "other": "x"})

    def reseal(facts: Mapping[str, str], present: Vault, new: Vault) -> dict[str, str]:
        return {"lease": new.seal(present.open(facts["lease"], PASSWORD), PASSWORD)}

    await rotate(SCHEMA, disk, key_file, reseal)
    facts = disk.facts()
    assert Vault.existing(key_file).open(facts["lease"], PASSWORD) == "hunter2"
    assert facts["other"] == "x"
