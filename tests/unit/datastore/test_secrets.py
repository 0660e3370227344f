from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore import secrets
from headstay.datastore.edit import edited
from headstay.datastore.passwords import hash_matches
from headstay.datastore.secrets import SecretUnreadableError, Vault, protected
from headstay.errors import InvalidValue, StartupError
from models import config, device_model, hcm, made, text, values

VAULT = Vault(bytes(32))
PASSWORD = device_model().schema.find("/hcm:cloud-management/server/password")
PRIVATE_KEY = device_model().schema.find("/hcm:cloud-management/tls/private-key")


def password(value: str) -> etree._Element:
    return hcm(f"<server><password>{value}</password></server>")


def user(value: str, name: str = "admin") -> etree._Element:
    return config(
        f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>{name}</name><password>{value}</password></user>'
        "</authentication></system>"
    )


async def stored(change: etree._Element, before: etree._Element | None = None) -> etree._Element:
    """Return the tree after a change, as the datastores make it."""
    model = device_model()
    tree = before if before is not None else model.empty()
    return edited(model.schema, tree, await protected(VAULT, model.schema, change, tree))


# sealing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clear", ["s", "pä€😀", "$0$", "x" * 16384])
def test_what_is_sealed_opens(clear: str) -> None:
    sealed = VAULT.seal(clear, PASSWORD)
    assert sealed.startswith("$aes-256-gcm$")
    assert clear not in sealed.removeprefix("$aes-256-gcm$") or len(clear) == 1
    assert VAULT.open(sealed, PASSWORD) == clear


def test_the_same_secret_has_the_same_form_in_one_leaf_only() -> None:
    assert VAULT.seal("s", PASSWORD) == VAULT.seal("s", PASSWORD)
    assert VAULT.seal("s", PASSWORD) != VAULT.seal("t", PASSWORD)
    assert VAULT.seal("s", PASSWORD) != VAULT.seal("s", PRIVATE_KEY)
    assert VAULT.seal("s", PASSWORD) != Vault(b"\1" * 32).seal("s", PASSWORD)


@pytest.mark.parametrize(
    "foreign",
    [
        "$aes-256-gcm$",
        "$aes-256-gcm$AAAA",
        "$aes-256-gcm$!",
        "$aes-256-gcm$A",
        "$0$s",
        "é",
        VAULT.seal("s", PRIVATE_KEY),
        Vault(b"\1" * 32).seal("s", PASSWORD),
        VAULT.seal("s", PASSWORD)[:-4] + "AAA=",
    ],
)
def test_what_this_device_did_not_seal_for_this_leaf_does_not_open(foreign: str) -> None:
    with pytest.raises(SecretUnreadableError) as caught:
        VAULT.open(foreign, PASSWORD)
    assert foreign not in str(caught.value)


# the key --------------------------------------------------------------------------------------------


def test_the_key_is_made_once_and_for_the_owner_only(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    sealed = Vault.at(file).seal("s", PASSWORD)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_bytes()) == 32
    assert Vault.at(file).open(sealed, PASSWORD) == "s"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("octets", [b"", b"x" * 31, b"x" * 33])
def test_a_key_of_the_wrong_length(tmp_path: Path, octets: bytes) -> None:
    file = tmp_path / "secret.key"
    file.write_bytes(octets)
    with pytest.raises(StartupError, match=f"{len(octets)} octets instead of 32; restore it from a backup, or move it"):
        Vault.at(file)
    assert file.read_bytes() == octets


def test_a_key_that_cannot_be_read_or_made(tmp_path: Path) -> None:
    for file, says in (
        (
            tmp_path,
            "cannot be read: Is a directory; restore it from a backup, or move it away and set every secret again",
        ),
        (tmp_path / "no-such-directory" / "key", "cannot be made: No such file or directory; see that there is space"),
    ):
        with pytest.raises(StartupError, match=f"{file} {says}") as caught:
            Vault.at(file)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_key_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    file.write_bytes(bytes(32))
    file.chmod(0)
    with pytest.raises(StartupError, match="Permission denied; only the daemon's user and root may read it"):
        Vault.at(file)


def test_two_starts_at_once_do_not_make_two_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret.key"
    make = secrets.create_key

    def after_another(path: Path) -> None:
        path.write_bytes(b"1" * 32)
        make(path)

    monkeypatch.setattr(secrets, "create_key", after_another)
    with pytest.raises(StartupError):
        Vault.at(file)
    assert file.read_bytes() == b"1" * 32
    assert list(tmp_path.iterdir()) == [file]


# protecting an edit -----------------------------------------------------------------------------------


async def test_a_clear_secret_is_stored_sealed() -> None:
    tree = await stored(password("$0$hunter2"))
    assert "hunter2" not in text(tree)
    (value,) = values(tree, ".//hcm:password")
    assert VAULT.open(value, PASSWORD) == "hunter2"
    device_model().validate(tree)


async def test_writing_the_same_clear_secret_again_changes_nothing() -> None:
    before = await stored(password("$0$x"))
    assert text(await stored(password("$0$x"), before)) == text(before)
    assert text(await stored(password("$0$y"), before)) != text(before)


async def test_writing_back_what_was_returned_changes_nothing() -> None:
    before = await stored(password("$0$x"))
    assert text(await stored(password(values(before, ".//hcm:password")[0]), before)) == text(before)


async def test_a_users_clear_password_is_stored_hashed() -> None:
    tree = await stored(user("$0$hunter2"))
    assert "hunter2" not in text(tree)
    assert hash_matches(values(tree, ".//sys:password")[0], "hunter2")
    device_model().validate(tree)


async def test_writing_the_same_clear_password_again_changes_nothing() -> None:
    before = await stored(user("$0$x"))
    assert text(await stored(user("$0$x"), before)) == text(before)
    other = await stored(user("$0$x", "second"), before)
    first, second = values(other, ".//sys:password")
    assert first != second  # each hash has a salt of its own


async def test_a_hash_is_stored_as_it_is() -> None:
    hashed = "$6$salt$" + "a" * 86
    assert values(await stored(user(hashed)), ".//sys:password") == [hashed]


async def test_a_password_too_long_to_hash_is_refused() -> None:
    with pytest.raises(InvalidValue, match="too long") as caught:
        await stored(user("$0$" + "x" * 5000))
    assert caught.value.path is not None
    assert caught.value.path.text.endswith("/sys:user[sys:name='admin']/sys:password")


async def test_the_clear_text_is_gone_from_the_edit_handed_in() -> None:
    """A copy would keep it, and bring whatever names a client has made up into the thread that copies."""
    change = password("$0$x")
    assert await protected(VAULT, device_model().schema, change, device_model().empty()) is change
    assert "$0$x" not in text(change)


async def test_an_edit_without_clear_secrets_is_handed_back() -> None:
    for change in (hcm("<enabled>true</enabled>"), password("$aes-256-gcm$AAAA"), password("x")):
        assert await protected(VAULT, device_model().schema, change, device_model().empty()) is change


@pytest.mark.parametrize("value", ["$0$", "$0$a\nb", "$0$" + "p" * 129])
async def test_what_is_no_secret_stays_for_the_edit_to_refuse(value: str) -> None:
    change = await protected(VAULT, device_model().schema, password(value), device_model().empty())
    assert values(change, ".//hcm:password") == [value]


async def test_elements_outside_the_model_are_left_to_the_edit() -> None:
    change = hcm("<no-such><password>$0$x</password></no-such><server><password>$0$x</password></server>")
    result = await protected(VAULT, device_model().schema, change, made(device_model(), hcm("<enabled>true</enabled>")))
    assert values(result, ".//hcm:no-such/hcm:password") == ["$0$x"]
    assert values(result, ".//hcm:server/hcm:password") == [VAULT.seal("x", PASSWORD)]
