from __future__ import annotations

import asyncio

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore import access, passwords
from headstay.datastore.access import Access, Requester, Source
from headstay.datastore.edit import edited
from headstay.errors import AccessDenied, ErrorPath, ErrorType, InvalidValue, StartupError
from models import config, device_model, hcm, made, text, values

ADMIN = Requester("admin", 1, Source.DIRECT)
GUEST = Requester("guest", 2, Source.TUNNEL)
RECOVERY = Requester("root", 3, Source.LOCAL, recovery=True)
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


GUESTS = "<groups><group><name>guests</name><user-name>guest</user-name></group></groups>"


def with_rules(*rules: str) -> etree._Element:
    numbered = "".join(f"<rule><name>{number}</name>{rule}</rule>" for number, rule in enumerate(rules))
    listed = f"<rule-list><name>l</name><group>guests</group>{numbered}</rule-list>"
    tree = edited(device_model().schema, running(), config(f'<nacm xmlns="{xml.NACM}">{GUESTS}{listed}</nacm>'))
    first = config("")
    first.append(access.first_user_access("admin"))
    return edited(device_model().schema, tree, first)


def tags(*operations: str) -> list[str]:
    return [f"{{{xml.NETCONF}}}{operation}" for operation in operations]


@pytest.mark.parametrize("requester", [ADMIN, RECOVERY])
def test_the_first_user_and_recovery_sessions_may_do_everything(requester: Requester) -> None:
    control, tree = Access(device_model()), with_rules()
    for operation in (*tags("edit-config", "kill-session", "delete-config"), f"{{{xml.HCM}}}reconnect"):
        control.authorize(requester, tree, operation)
    assert control.visible(requester, tree, tree) is tree
    assert control.denials == access.Denials()


def test_the_rules_of_the_first_user_are_configuration() -> None:
    wrapped = config("")
    wrapped.append(access.first_user_access("alice"))
    tree = made(device_model(), wrapped)
    device_model().validate(tree)
    alice = Requester("alice", 1, Source.DIRECT)
    assert Access(device_model()).permissions(alice, tree).unlimited
    assert not Access(device_model()).permissions(ADMIN, tree).unlimited
    assert values(tree, ".//nacm:user-name") == ["alice"]
    assert values(tree, ".//nacm:group/nacm:name") == values(tree, ".//nacm:rule-list/nacm:group") == ["admin"]


def test_an_operation_that_is_denied() -> None:
    control, tree = Access(device_model()), with_rules()
    control.authorize(GUEST, tree, *tags("edit-config"))
    with pytest.raises(AccessDenied, match="guest may not execute kill-session") as caught:
        control.authorize(GUEST, tree, *tags("kill-session"))
    assert caught.value.type is ErrorType.PROTOCOL
    assert caught.value.path == ErrorPath("/nc:rpc/nc:kill-session", (("nc", xml.NETCONF),))
    with pytest.raises(AccessDenied) as caught:
        control.authorize(GUEST, tree, f"{{{xml.HCM}}}reconnect")
    assert caught.value.path == ErrorPath("/nc:rpc/hcm:reconnect", (("nc", xml.NETCONF), ("hcm", xml.HCM)))
    control.authorize(GUEST, with_rules("<module-name>other</module-name><action>deny</action>"), "{urn:x}y")
    with pytest.raises(AccessDenied):
        control.authorize(GUEST, with_rules("<action>deny</action>"), "{urn:x}y")
    assert control.denials == access.Denials(operations=3)
    assert values(control.state(), ".//{*}denied-operations") == ["3"]


def test_notifications() -> None:
    control = Access(device_model())
    event = etree.Element(f"{{{xml.HCM}}}unbound")
    around = etree.fromstring(
        '<notification xmlns="urn:ietf:params:xml:ns:netconf:notification:1.0"><eventTime>x</eventTime>'
        f'<unbound xmlns="{xml.HCM}"/></notification>'
    )
    tree = with_rules("<notification-name>unbound</notification-name><action>deny</action>")
    for notification in (event, around):
        assert control.may_receive(ADMIN, tree, notification)
        assert control.may_receive(GUEST, running(), notification)
        assert not control.may_receive(GUEST, tree, notification)
    assert control.denials == access.Denials(notifications=2)


@pytest.mark.parametrize("name", ["replayComplete", "notificationComplete"])
def test_the_ends_of_a_replay_are_always_received(name: str) -> None:
    tree = with_rules("<action>deny</action>")
    end = etree.Element(f"{{urn:ietf:params:xml:ns:netmod:notification}}{name}")
    assert Access(device_model()).may_receive(GUEST, tree, end)


def test_what_is_protected_is_not_shown() -> None:
    tree = running()
    before = text(tree)
    shown = text(Access(device_model()).visible(GUEST, tree, tree))
    assert "password" not in shown
    assert "<domain>a</domain>" in shown
    assert "<key-data>AAAA</key-data>" in shown
    assert text(tree) == before


def test_rules_are_read_anew_only_when_they_change() -> None:
    control, tree = Access(device_model()), with_rules()
    before = control.permissions(GUEST, tree)
    other = edited(device_model().schema, tree, hcm("<ping-interval>20</ping-interval>"))
    assert control.permissions(GUEST, other) is before
    assert control.permissions(GUEST, with_rules("<action>permit</action>")) is not before
    assert control.permissions(GUEST, with_rules("<action>permit</action>")).unlimited


async def test_changes_that_are_denied() -> None:
    control, old = Access(device_model()), with_rules()
    new = edited(device_model().schema, old, hcm("<server><domain>b</domain></server>"))
    await control.authorize_changes(ADMIN, old, old, new)
    await control.authorize_changes(GUEST, old, old, old)
    with pytest.raises(AccessDenied) as caught:
        await control.authorize_changes(GUEST, old, old, new)
    assert caught.value.type is ErrorType.APPLICATION
    assert caught.value.path is not None
    assert caught.value.path.text == "/hcm:cloud-management/hcm:server/hcm:domain"
    assert control.denials == access.Denials(data_writes=1)


async def test_a_denial_names_nothing_that_is_hidden() -> None:
    control, old = Access(device_model()), with_rules("<path>/sys:system</path><action>deny</action>")
    without = edited(device_model().schema, old, config(f'<system xmlns="{xml.SYSTEM}" nc:operation="remove"/>'))
    with pytest.raises(AccessDenied) as caught:
        await control.authorize_changes(GUEST, old, old, without)
    assert caught.value.path is None
    assert str(caught.value) == "guest may not make this change"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/hcm:cloud-management/hcm:server/hcm:domain", True),
        ("/hcm:cloud-management/hcm:server/hcm:password", False),
        ("/sys:system/sys:authentication/sys:user[sys:name='admin']/sys:password", False),
        ("/sys:system/sys:authentication/sys:user[sys:name='admin']", True),
        ("/nacm:nacm/nacm:groups/nacm:group[nacm:name='admin']", False),
        ("/hcm:dhcp-update/hcm:domain", True),  # of an operation's own input
    ],
)
def test_errors_about_what_is_hidden_are_concealed(path: str, told: bool) -> None:
    control, tree = Access(device_model()), with_rules()
    error = InvalidValue("wrong", path=ErrorPath(path, ()))
    assert control.concealed(ADMIN, tree, error) is error
    shown = control.concealed(GUEST, tree, error)
    assert (shown is error) is told
    if not told:
        assert (shown.tag, shown.path, shown.info) == ("operation-failed", None, ())
    writer = with_rules("<access-operations>update</access-operations><action>permit</action>")
    assert control.concealed(GUEST, writer, error) is error


def test_an_error_about_what_no_path_can_name_is_concealed() -> None:
    error = InvalidValue("wrong", path=ErrorPath("/sys:system/sys:authentication", (), exact=False))
    assert Access(device_model()).concealed(GUEST, with_rules(), error).path is None


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
    for rounds in (str(passwords.MOST_ROUNDS + 1), "9" * 5000, "٩٩٩٩٩٩٩٩٩", "²", "-1", ""):
        assert not passwords.hash_matches(f"$6$rounds={rounds}$salt$" + "." * 86, "x")


AUTHENTICATION = f'<system xmlns="{xml.SYSTEM}"><authentication>%s</authentication></system>'


@pytest.mark.parametrize(
    ("after", "gone"),
    [
        ("", {"admin", "guest"}),
        (AUTHENTICATION % "<user><name>guest</name></user>", {"admin"}),
        (AUTHENTICATION % "<user><name>guest</name></user><user><name>admin</name></user>", set()),
        (AUTHENTICATION % "<user><name>Guest</name></user>", {"admin", "guest"}),
        (
            AUTHENTICATION
            % "<user><name>admin</name></user><user><name>guest</name></user><user><name>x</name></user>",
            set(),
        ),
    ],
)
def test_which_users_a_change_removes(after: str, gone: set[str]) -> None:
    tree = made(device_model(), config(after))
    assert access.removed_users(running(), tree) == gone
    for name in ("admin", "guest"):
        assert access.knows(running(), name)
        assert access.knows(tree, name) == (name not in gone)
