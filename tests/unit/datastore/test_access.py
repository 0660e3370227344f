from __future__ import annotations

import asyncio

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore import access, passwords
from headstay.datastore.access import READING, Access, Requester, Source
from headstay.errors import AccessDenied, StartupError
from models import config, device_model, hcm, made, text, values

ADMIN = Requester("admin", 1, Source.DIRECT)
GUEST = Requester("guest", 2, Source.TUNNEL)
RECOVERY = Requester("root", 3, Source.LOCAL, recovery=True)
RULES = Access("admin")
HASH = passwords.hash_password("s3cret")


def running() -> etree._Element:
    content = (
        f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>admin</name><password>{HASH}</password>'
        "<authorized-key><name>k</name><algorithm>ssh-ed25519</algorithm><key-data>AAAA</key-data></authorized-key>"
        "</user><user><name>guest</name></user></authentication></system>"
        f'<cloud-management xmlns="{xml.HCM}"><server><domain>a</domain><password>$aes-256-gcm$AAAA</password></server>'
        "</cloud-management>"
    )
    return made(device_model(), config(content))


@pytest.mark.parametrize("requester", [ADMIN, RECOVERY])
def test_the_first_user_and_recovery_sessions_may_do_everything(requester: Requester) -> None:
    for operation in (*READING, "edit-config", "commit", "kill-session", "reconnect"):
        RULES.authorize(requester, operation)


def test_every_other_user_may_read() -> None:
    for operation in READING:
        RULES.authorize(GUEST, operation)
    for operation in ("edit-config", "lock", "commit", "reconnect", "kill-session"):
        with pytest.raises(AccessDenied, match=operation) as caught:
            RULES.authorize(GUEST, operation)
        assert caught.value.tag == "access-denied"


def test_what_is_protected_is_not_shown_to_readers() -> None:
    tree = running()
    before = text(tree)
    shown = text(RULES.visible(GUEST, device_model().schema, tree))
    assert "password" not in shown
    assert "<domain>a</domain>" in shown
    assert "<key-data>AAAA</key-data>" in shown
    assert text(tree) == before
    assert RULES.visible(ADMIN, device_model().schema, tree) is tree


async def test_passwords() -> None:
    assert await access.verify_password(running(), "admin", "s3cret")
    assert not await access.verify_password(running(), "admin", "S3cret")
    assert not await access.verify_password(running(), "admin", "")
    assert not await access.verify_password(running(), "guest", "")
    assert not await access.verify_password(running(), "nobody", "s3cret")


async def test_an_unknown_user_costs_a_verification(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the time taken does not tell whether a user exists."""
    verified: list[str] = []

    def matches(stored: str, password: str) -> bool:
        verified.append(stored[:20])
        return True

    monkeypatch.setattr(passwords, "hash_matches", matches)
    assert not await access.verify_password(running(), "nobody", "x")
    assert not await access.verify_password(running(), "guest", "x")
    assert verified == ["$6$rounds=100000$hea"] * 2


def test_hashes() -> None:
    assert HASH.startswith("$6$rounds=100000$")
    assert passwords.hash_matches("$5$rounds=1000$salt$YUcnKvFyRJHoZPI8vPrJ82vBkRPlSkm1k0t4xaoCdt5", "x") in (
        True,
        False,
    )
    for stored in ("", "$1$salt$x", "plain", "$6$", "$6$rounds=1$salt$x", "$6$salt$short"):
        assert not passwords.hash_matches(stored, "x")
    assert not passwords.hash_matches(HASH, "x" * 5000)


def test_keys() -> None:
    assert access.authorized_keys(running(), "admin") == ("ssh-ed25519 AAAA",)
    assert access.authorized_keys(running(), "guest") == ()
    assert access.authorized_keys(running(), "nobody") == ()


def test_the_first_user() -> None:
    edit = access.first_user_config("admin", HASH, ("ssh-ed25519 AAAA me@here", "ssh-ed25519 BBBB"))
    wrapped = config("")
    wrapped.append(edit)
    tree = made(device_model(), wrapped)
    device_model().validate(tree)
    assert values(tree, ".//sys:user/sys:name") == ["admin"]
    assert values(tree, ".//sys:authorized-key/sys:name") == ["me@here", "key-2"]
    assert values(tree, ".//sys:key-data") == ["AAAA", "BBBB"]
    assert values(tree, ".//sys:password") == [HASH]


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "   "])
def test_a_line_that_is_no_key(line: str) -> None:
    with pytest.raises(StartupError, match="line 2"):
        access.first_user_config("admin", None, ("ssh-ed25519 AAAA", line))


def test_two_keys_with_one_comment_both_count() -> None:
    edit = access.first_user_config("admin", None, ("ssh-ed25519 AAAA me", "ssh-rsa BBBB me"))
    wrapped = config("")
    wrapped.append(edit)
    assert values(made(device_model(), wrapped), ".//sys:key-data") == ["AAAA", "BBBB"]


async def test_verifying_leaves_the_loop_free() -> None:
    verifying = asyncio.create_task(access.verify_password(running(), "admin", "s3cret"))
    await asyncio.sleep(0)
    assert not verifying.done()
    assert await verifying


def test_a_hash_of_too_many_rounds_matches_nothing() -> None:
    """Checking it would occupy the thread of passwords for minutes."""
    assert not passwords.hash_matches(f"$6$rounds={passwords.MOST_ROUNDS + 1}$salt$" + "." * 86, "x")


def test_what_is_left_empty_is_not_shown() -> None:
    tree = made(device_model(), hcm("<server><password>$aes-256-gcm$AAAA</password></server>"))
    assert len(RULES.visible(GUEST, device_model().schema, tree)) == 0
    assert len(tree) == 1
