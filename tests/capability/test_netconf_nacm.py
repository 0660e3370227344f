"""Access control (RFC 8341): what a user with the defaults, with rules, and with none of it can see and do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import (
    NC,
    USERS,
    RawClient,
    is_ok,
    make_datastores,
    model,
    running_server,
    ssh_client,
    ssh_connection,
    tag,
    tree_of,
    unix_client,
)
from headstay import xml
from headstay.datastore.access import Access, Requester, Source, first_user_access
from headstay.datastore.edit import EditOptions
from headstay.datastore.nacm import Right
from headstay.datastore.name import Name
from headstay.datastore.secrets import Vault
from headstay.datastore.stores import Datastores

SECRET = "open sesame"
SEALED = Vault(bytes(32)).seal(SECRET, model().schema.find("/hcm:cloud-management/server/password"))
CLOUD = f"""
<cloud-management xmlns="{xml.HCM}">
  <server><domain>cloud.example</domain><password>{SEALED}</password></server>
  <backup-server><domain>b1.example</domain><port>1001</port></backup-server>
  <keepalive-interval>60</keepalive-interval>
</cloud-management>
"""
OPERATOR = "/hcm:cloud-management/hcm:backup-server"
GET_CONFIG = "<get-config><source><running/></source>{}</get-config>"
FILTER = f'<filter><cloud-management xmlns="{xml.HCM}">{{}}</cloud-management></filter>'
RUNNING, CANDIDATE, STARTUP = Name


def nacm(*rules: str, options: str = "") -> str:
    """The first user's rules, and these for the group `operators`, in which `guest` is."""
    tree = first_user_access("admin")
    numbered = "".join(f"<rule><name>{number}</name>{rule}</rule>" for number, rule in enumerate(rules))
    wanted = etree.fromstring(
        f'<nacm xmlns="{xml.NACM}" xmlns:hcm="{xml.HCM}" xmlns:sys="{xml.SYSTEM}">{options}<groups><group>'
        "<name>operators</name><user-name>guest</user-name></group></groups><rule-list><name>operators</name>"
        f"<group>operators</group>{numbered}</rule-list></nacm>"
    )
    groups = tree.find(f"{{{xml.NACM}}}groups")
    assert groups is not None
    for child in list(wanted):
        if child.tag == groups.tag:
            groups.extend(child)
        else:
            tree.append(child)
    return xml.serialise(tree).decode()


def rule(path: str, rights: str = "*", action: str = "permit") -> str:
    declared = f'xmlns:hcm="{xml.HCM}" xmlns:sys="{xml.SYSTEM}"'
    return f"<path {declared}>{path}</path><access-operations>{rights}</access-operations><action>{action}</action>"


def datastores(*rules: str, options: str = "", with_startup: bool = False) -> Datastores:
    documents = (CLOUD, USERS, nacm(*rules, options=options))
    return make_datastores(*documents, with_startup=with_startup, access=Access(model()))


@asynccontextmanager
async def session(directory: Path, stores: Datastores, user: str = "guest") -> AsyncIterator[RawClient]:
    server = running_server(directory, datastores=stores)
    async with server as started, ssh_connection(started, username=user) as connection:
        yield await (await ssh_client(connection)).greet()


def edit(content: str, target: str = "candidate", options: str = "") -> str:
    config = (
        f'<config><cloud-management xmlns="{xml.HCM}" xmlns:nc="{xml.NETCONF}">{content}</cloud-management></config>'
    )
    return f"<edit-config><target><{target}/></target>{options}{config}</edit-config>"


def path(reply: etree._Element) -> str | None:
    return reply.findtext(f"{{{xml.NETCONF}}}rpc-error/{{{xml.NETCONF}}}error-path")


def body(reply: etree._Element) -> bytes:
    return b"".join(map(etree.tostring, reply))


PASSWORD = "<server><password>$0${}</password></server>"


# reading


async def test_a_user_without_rules_reads_all_but_secrets_and_rules(tmp_path: Path) -> None:
    async with session(tmp_path, datastores()) as client:
        for operation in (GET_CONFIG.format(""), "<get/>"):
            shown = body(await client.rpc(operation))
            assert b"cloud.example" in shown
            assert b"b1.example" in shown
            assert b"password" not in shown
            assert b'ietf-netconf-acm"' not in shown.replace(b"<namespace>", b"")
            assert b"permit-all" not in shown


@pytest.mark.parametrize(
    "filter",
    [
        FILTER.format("<server><password/></server>"),
        FILTER.format(f"<server><password>{SEALED}</password><domain/></server>"),
        f'<filter type="xpath" xmlns:h="{xml.HCM}" select="//h:server[starts-with(h:password, \'$\')]/h:domain"/>',
        f'<filter type="xpath" xmlns:h="{xml.HCM}" select="//h:server[string-length(string(*[2])) > 0]"/>',
        f'<filter type="xpath" xmlns:n="{xml.NACM}" select="//n:rule"/>',
    ],
)
async def test_a_filter_finds_nothing_that_is_hidden(tmp_path: Path, filter: str) -> None:
    stores = datastores()
    async with session(tmp_path, stores) as client:
        assert len((await client.rpc(GET_CONFIG.format(filter)))[0]) == 0
        assert len((await client.rpc(f"<get>{filter}</get>"))[0]) == 0
    async with session(tmp_path, stores, "admin") as client:
        assert len((await client.rpc(GET_CONFIG.format(filter)))[0]) == 1


async def test_rules_hide_entries(tmp_path: Path) -> None:
    hidden = rule(f"{OPERATOR}[hcm:domain='b1.example']", "read", "deny")
    async with session(tmp_path, datastores(hidden)) as client:
        shown = body(await client.rpc("<get/>"))
        assert b"cloud.example" in shown
        assert b"b1.example" not in shown


async def test_state_is_hidden_by_rules_too(tmp_path: Path) -> None:
    async with session(tmp_path, datastores(rule("/hcm:cloud-management/hcm:connection", "read", "deny"))) as client:
        assert b"established" not in body(await client.rpc("<get/>"))


# writing


async def test_a_user_without_rules_changes_nothing(tmp_path: Path) -> None:
    stores = datastores()
    before = xml.serialise(stores.read(RUNNING))
    async with session(tmp_path, stores) as client:
        for target in ("candidate", "running"):
            reply = await client.rpc(edit("<keepalive-interval>20</keepalive-interval>", target))
            assert tag(reply) == "access-denied"
            assert path(reply) == "/hcm:cloud-management/hcm:keepalive-interval"
        assert tag(await client.rpc(edit('<server nc:operation="delete"/>'))) == "access-denied"
        assert is_ok(await client.rpc(edit("<keepalive-interval>60</keepalive-interval>")))  # it is 60 already
        assert is_ok(await client.rpc("<commit/>"))
    assert xml.serialise(stores.read(RUNNING)) == before
    assert stores.read(CANDIDATE) is stores.read(RUNNING)


async def test_an_operator_changes_and_commits_what_the_rules_permit(tmp_path: Path) -> None:
    stores = datastores(rule(OPERATOR))
    async with session(tmp_path, stores) as client:
        assert is_ok(await client.rpc(edit("<backup-server><domain>b2.example</domain></backup-server>")))
        assert is_ok(await client.rpc("<commit/>"))
        denied = await client.rpc(edit("<server><domain>elsewhere.example</domain></server>"))
        assert path(denied) == "/hcm:cloud-management/hcm:server/hcm:domain"
    assert b"b2.example" in xml.serialise(stores.read(RUNNING))


async def test_a_commit_needs_the_rights_to_all_that_it_changes(tmp_path: Path) -> None:
    stores = datastores(rule(OPERATOR))
    async with (
        running_server(tmp_path, datastores=stores) as server,
        ssh_connection(server, username="admin") as first,
        ssh_connection(server, username="guest") as second,
    ):
        admin, guest = await (await ssh_client(first)).greet(), await (await ssh_client(second)).greet()
        assert is_ok(await admin.rpc(edit("<ping-interval>20</ping-interval>")))
        assert is_ok(await guest.rpc(edit("<backup-server><domain>b2.example</domain></backup-server>")))
        denied = await guest.rpc("<commit/>")
        assert (tag(denied), path(denied)) == ("access-denied", "/hcm:cloud-management/hcm:ping-interval")
        assert b"b2.example" not in xml.serialise(stores.read(RUNNING))
        assert is_ok(await admin.rpc("<commit/>"))
        assert b"b2.example" in xml.serialise(stores.read(RUNNING))
        assert is_ok(await admin.rpc(edit("<ping-interval>30</ping-interval>")))
        assert is_ok(await guest.rpc("<discard-changes/>"))  # RFC 8341 section 3.2.9: no right to data needed
    assert stores.read(CANDIDATE) is stores.read(RUNNING)


async def test_replacing_needs_the_right_to_delete_what_is_hidden(tmp_path: Path) -> None:
    stores = datastores(rule("/hcm:cloud-management"), options="")
    before = xml.serialise(stores.read(RUNNING))
    replace = "<default-operation>replace</default-operation>"
    async with session(tmp_path, stores) as client:
        denied = await client.rpc(edit("<enabled>true</enabled>", options=replace))
        assert tag(denied) == "access-denied"
    assert xml.serialise(stores.read(CANDIDATE)) == before


async def test_an_operator_cannot_widen_the_own_rights(tmp_path: Path) -> None:
    stores = datastores(rule(OPERATOR))
    before = xml.serialise(stores.read(RUNNING))
    wider = first_user_access("guest")
    async with session(tmp_path, stores) as client:
        config = f"<config>{xml.serialise(wider).decode()}</config>"
        denied = await client.rpc(f"<edit-config><target><running/></target>{config}</edit-config>")
        assert tag(denied) == "access-denied"
    assert xml.serialise(stores.read(RUNNING)) == before


async def test_new_rules_count_at_once(tmp_path: Path) -> None:
    stores = datastores()
    change = edit("<ping-interval>20</ping-interval>")
    async with session(tmp_path, stores) as client:
        assert tag(await client.rpc(change)) == "access-denied"
        config = etree.fromstring(f"<config {NC}>{nacm(rule('/hcm:cloud-management'))}</config>")
        admin = Requester("admin", 99, Source.DIRECT)
        await stores.edit(admin, RUNNING, config, EditOptions())
        assert is_ok(await client.rpc(change))


# what must not be found out by guessing


@pytest.mark.parametrize("rules", [(), (rule("/hcm:cloud-management/hcm:server/hcm:password", "read"),)])
@pytest.mark.parametrize("target", ["candidate", "running"])
@pytest.mark.parametrize("options", ["", "<test-option>test-only</test-option>"])
async def test_a_secret_cannot_be_guessed_by_writing_it(
    tmp_path: Path, rules: tuple[str, ...], target: str, options: str
) -> None:
    async with session(tmp_path, datastores(*rules)) as client:
        right = await client.rpc(edit(PASSWORD.format(SECRET), target, options))
        wrong = await client.rpc(edit(PASSWORD.format("wrong"), target, options))
        stored = await client.rpc(edit(f"<server><password>{SEALED}</password></server>", target, options))
        assert tag(right) == "access-denied"
        assert body(right) == body(wrong) == body(stored)


async def test_a_secret_cannot_be_guessed_by_copying_or_validating(tmp_path: Path) -> None:
    async with session(tmp_path, datastores()) as client:
        for operation in (
            "<copy-config><target><candidate/></target><source>{}</source></copy-config>",
            "<validate><source>{}</source></validate>",
        ):
            config = f'<config><cloud-management xmlns="{xml.HCM}">{PASSWORD}</cloud-management></config>'
            answers = {body(await client.rpc(operation.format(config.format(guess)))) for guess in (SECRET, "wrong")}
            assert len(answers) == 1


@pytest.mark.parametrize("operation", ["create", "delete", "remove"])
async def test_nor_whether_there_is_one(tmp_path: Path, operation: str) -> None:
    content = f'<server><password nc:operation="{operation}">$0$x</password></server>'
    answers = []
    for stores in (datastores(), make_datastores(USERS, nacm(), access=Access(model()))):
        async with session(tmp_path, stores) as client:
            answers.append(body(await client.rpc(edit(content))))
    assert answers[0] == answers[1]
    assert b"access-denied" in answers[0]


async def test_hidden_entries_cannot_be_found_by_naming_them(tmp_path: Path) -> None:
    async with session(tmp_path, datastores(rule(OPERATOR, "*", "deny"))) as client:
        for operation in ("merge", "create", "delete", "remove", "replace"):
            replies = [
                body(
                    await client.rpc(
                        edit(f'<backup-server nc:operation="{operation}"><domain>{domain}</domain></backup-server>')
                    )
                ).replace(domain.encode(), b"")
                for domain in ("b1.example", "b9.example")
            ]
            assert replies[0] == replies[1]
            assert b"access-denied" in replies[0]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_nor_by_inserting_something_next_to_them(tmp_path: Path, where: str) -> None:
    attributes = f'xmlns:yang="{xml.YANG}" xmlns:hcm="{xml.HCM}" yang:insert="{where}" yang:key="[hcm:domain=\'{{}}\']"'
    content = f"<backup-server {attributes}><domain>new.example</domain></backup-server>"
    hidden = rule(f"{OPERATOR}[hcm:domain='b1.example']", "*", "deny")
    stores = datastores(hidden, rule(OPERATOR))
    async with session(tmp_path, stores) as client:
        replies = {body(await client.rpc(edit(content.format(name)))) for name in ("b1.example", "b9.example")}
        assert len(replies) == 1
        assert b"missing-instance" in replies.pop()
        assert stores.read(CANDIDATE) is stores.read(RUNNING)
    async with session(tmp_path, stores, "admin") as client:
        assert is_ok(await client.rpc(edit(content.format("b1.example"))))


# copying


COPY = "<copy-config><target><{}/></target><source><{}/></source></copy-config>"
HIDDEN = rule("/hcm:cloud-management/hcm:server/hcm:password", "read", "deny")


async def test_how_much_is_wrong_where_one_may_not_look_is_not_told(tmp_path: Path) -> None:
    hidden = [rule(f"/hcm:cloud-management/hcm:{name}", "read", "deny") for name in ("switchback", "source-address")]
    faults = (
        "<backup-server><domain>cloud.example</domain></backup-server><switchback><hold-down>60</hold-down></switchback>"
        "<address-family>ipv6</address-family><source-address>192.0.2.1</source-address>"
    )
    stores = datastores(*hidden)
    config = etree.fromstring(f'<config><cloud-management xmlns="{xml.HCM}">{faults}</cloud-management></config>')
    await stores.edit(Requester("admin", 77, Source.DIRECT), CANDIDATE, config, EditOptions())
    async with session(tmp_path, stores) as guest:
        reply = await guest.rpc("<validate><source><candidate/></source></validate>")
        paths = [error.findtext(f"{{{xml.NETCONF}}}error-path") for error in reply]
        assert sorted(paths, key=str) == [
            "/hcm:cloud-management/hcm:backup-server[hcm:domain='cloud.example']",
            None,
        ]


async def test_a_copy_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    stores = datastores(HIDDEN, rule("/"), with_startup=True)
    async with session(tmp_path, stores) as client:
        assert is_ok(await client.rpc(edit("<ping-interval>20</ping-interval>")))
        assert is_ok(await client.rpc(COPY.format("startup", "candidate")))
    saved = xml.serialise(stores.read(STARTUP))
    assert b"<ping-interval>20" in saved
    assert SEALED.encode() not in saved
    assert SEALED.encode() in xml.serialise(stores.read(CANDIDATE))


async def test_a_copy_over_something_hidden_needs_the_right_to_delete_it(tmp_path: Path) -> None:
    stores = datastores(HIDDEN, rule("/", "create read update exec"))
    before = xml.serialise(stores.read(RUNNING))
    async with session(tmp_path, stores) as client:
        assert is_ok(await client.rpc(edit("<ping-interval>20</ping-interval>")))
        denied = await client.rpc(COPY.format("running", "candidate"))
        assert (tag(denied), path(denied)) == ("access-denied", "/hcm:cloud-management/hcm:server")
    assert xml.serialise(stores.read(RUNNING)) == before


async def test_saving_running_needs_no_right_to_what_is_in_it(tmp_path: Path) -> None:
    stores = datastores(with_startup=True)
    async with session(tmp_path, stores) as client:
        assert is_ok(await client.rpc(COPY.format("startup", "running")))
        assert tag(await client.rpc("<delete-config><target><startup/></target></delete-config>")) == "access-denied"
    assert xml.serialise(stores.read(STARTUP)) == xml.serialise(stores.read(RUNNING))


# operations


async def test_operations_that_are_denied_unless_a_rule_permits_them(tmp_path: Path) -> None:
    kill = "<kill-session><session-id>4000000</session-id></kill-session>"
    async with session(tmp_path, datastores()) as client:
        denied = await client.rpc(kill)
        assert (tag(denied), path(denied)) == ("access-denied", "/nc:rpc/nc:kill-session")
    permitting = "<rpc-name>kill-session</rpc-name><access-operations>exec</access-operations><action>permit</action>"
    async with session(tmp_path, datastores(permitting)) as client:
        assert tag(await client.rpc(kill)) == "invalid-value"


async def test_a_session_can_always_be_closed(tmp_path: Path) -> None:
    nothing = "<exec-default>deny</exec-default>"
    async with session(tmp_path, datastores("<action>deny</action>", options=nothing)) as client:
        assert tag(await client.rpc("<get/>")) == "access-denied"
        assert is_ok(await client.rpc("<close-session/>"))
        assert await client.closed()


# the switch, the counters, the way back


async def test_who_may_change_nothing_holds_running_no_longer_than_the_session(tmp_path: Path) -> None:
    """A confirmed commit of nothing keeps everybody else from writing; with a persist id it could not be ended."""
    persist = "<commit><confirmed/><confirm-timeout>4294967295</confirm-timeout><persist>mine</persist></commit>"
    read_only = ("<module-name>*</module-name><access-operations>read exec</access-operations><action>permit</action>",)
    for rules, written in ((read_only, False), ((*read_only, rule(OPERATOR, "update")), True)):
        async with session(tmp_path, datastores(*rules)) as client:
            reply = await client.rpc(persist)
            assert is_ok(reply) if written else tag(reply) == "access-denied"
    async with session(tmp_path, datastores()) as client, unix_client(tmp_path) as other:
        await other.greet()
        assert is_ok(await client.rpc("<commit><confirmed/></commit>"))
        lock = "<lock><target><running/></target></lock>"
        assert tag(await other.rpc(lock)) == "lock-denied"
        kill = f"<kill-session><session-id>{client.session_id}</session-id></kill-session>"
        assert is_ok(await other.rpc(kill))
        assert is_ok(await other.rpc(lock))


async def test_without_access_control_everybody_may_do_everything(tmp_path: Path) -> None:
    stores = datastores(options="<enable-nacm>false</enable-nacm>")
    async with session(tmp_path, stores) as client:
        assert b"permit-all" in body(await client.rpc(GET_CONFIG.format("")))
        assert is_ok(await client.rpc(edit(PASSWORD.format("new"), "running")))


async def test_denials_are_counted(tmp_path: Path) -> None:
    stores = datastores()
    async with session(tmp_path, stores) as client:
        await client.rpc("<kill-session><session-id>1</session-id></kill-session>")
        await client.rpc(edit("<ping-interval>20</ping-interval>"))
        await client.rpc(edit(PASSWORD.format("x")))
    event = etree.Element(f"{{{xml.HCM}}}unbound")
    assert stores.may_receive(Requester("guest", 1, Source.DIRECT), event)
    async with session(tmp_path, stores, "admin") as client:
        shown = await client.rpc(f'<get><filter><nacm xmlns="{xml.NACM}"/></filter></get>')
        counters = {xml.local_name(leaf): leaf.text for leaf in shown.iter() if "denied" in str(leaf.tag)}
    assert counters == {"denied-operations": "1", "denied-data-writes": "2", "denied-notifications": "0"}


async def test_root_can_always_mend_the_rules(tmp_path: Path) -> None:
    stores = make_datastores(
        f'<nacm xmlns="{xml.NACM}"><exec-default>deny</exec-default></nacm>', access=Access(model())
    )
    async with running_server(tmp_path, datastores=stores), unix_client(tmp_path) as client:
        await client.greet()
        config = f"<config>{xml.serialise(first_user_access('admin')).decode()}</config>"
        assert is_ok(await client.rpc(f"<edit-config><target><running/></target>{config}</edit-config>"))
    assert stores.access.permissions(Requester("admin", 1, Source.DIRECT), stores.read(RUNNING)).unlimited


def test_the_rules_in_the_readme() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = readme.partition("```xml\n<nacm")[2].partition("```")[0]
    tree = tree_of(f"<nacm{example}", CLOUD)
    model().validate(tree)
    control = Access(model())
    for user, may in (("kim", True), ("someone", False)):
        permissions = control.permissions(Requester(user, 1, Source.DIRECT), tree)
        node = model().schema.find(OPERATOR.replace("/hcm:b", "/b"))
        (entry,) = tree.iter(node.tag)
        assert all(permissions.may(right, node, entry) is may for right in (Right.CREATE, Right.UPDATE, Right.DELETE))
        reconnect = ("headstay-cloud-management", "reconnect")
        assert permissions.may_execute(*reconnect, denied_by_default=True) is may
        assert not permissions.may_execute("ietf-netconf", "kill-session", denied_by_default=False)


async def test_the_default_of_a_leaf_that_is_hidden_is_not_shown(tmp_path: Path) -> None:
    stores = datastores(rule("/hcm:cloud-management/hcm:ping-interval", "read", "deny"))
    with_defaults = (
        '<with-defaults xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults">report-all</with-defaults>'
    )
    nmda = 'xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"'
    async with session(tmp_path, stores) as guest:
        for request in (
            f"<get-config><source><running/></source>{with_defaults}</get-config>",
            f"<get>{with_defaults}</get>",
            f"<get-data {nmda}><datastore>operational</datastore></get-data>",
        ):
            reply = await guest.rpc(request)
            assert reply.find(f".//{{{xml.HCM}}}enabled") is not None
            assert reply.find(f".//{{{xml.HCM}}}ping-interval") is None
            assert reply.find(f".//{{{xml.HCM}}}password") is None
