"""What a client is told of each wrong request (RFC 6241 appendix A, RFC 7950 sections 8.3 and 15), by operation.

Each row is one request and the whole of its <rpc-error>; the form of every reply is checked as well.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import CLOUD, NC, USERS, RawClient, is_ok, make_datastores, model, running_server, tag, unix_client
from headstay import xml
from headstay.datastore.access import Requester

NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DS = f'xmlns="{NMDA}" xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores"'
NCM = f'xmlns="{xml.MONITORING}"'
NOTIFICATION = f'xmlns="{xml.NOTIFICATION}"'
DECLARED = f'xmlns:nc="{xml.NETCONF}" xmlns:yang="{xml.YANG}" xmlns:hcm="{xml.HCM}"'
TOP = "/hcm:cloud-management"
B1 = f"{TOP}/hcm:backup-server[hcm:domain='b1.example']"
FORM = ["error-type", "error-tag", "error-severity", "error-app-tag", "error-path", "error-message", "error-info"]


@dataclass(frozen=True)
class Told:
    """One <rpc-error>: `type tag`, and what else it says."""

    words: str
    info: str = ""
    """`name=value` of each element of <error-info>."""
    app_tag: str | None = None
    path: str | None = None


def told(reply: etree._Element) -> list[Told]:
    """Read every <rpc-error> of a reply, and check that it has the form that RFC 6241 section 4.3 gives it."""
    found = []
    for error in reply:
        assert error.tag == f"{{{xml.NETCONF}}}rpc-error"
        names = [xml.local_name(child) for child in error]
        assert names == [name for name in FORM if name in names]
        leafs = {xml.local_name(child): child for child in error}
        assert leafs["error-severity"].text == "error"
        assert leafs["error-message"].get("{http://www.w3.org/XML/1998/namespace}lang") == "en"
        path, app_tag = leafs.get("error-path"), leafs.get("error-app-tag")
        if path is not None:
            # Every prefix resolves where it stands, and what comes of it is an absolute XPath expression.
            assert path.text is not None
            assert path.text.startswith("/")
            etree.XPath(path.text, namespaces={prefix: uri for prefix, uri in path.nsmap.items() if prefix})(reply)
        info = [f"{xml.local_name(item)}={item.text or ''}" for item in leafs.get("error-info", ())]
        words = f"{leafs['error-type'].text} {leafs['error-tag'].text}"
        app = None if app_tag is None else app_tag.text
        found.append(Told(words, " ".join(info), app, None if path is None else path.text))
    return found


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    stores = make_datastores(CLOUD, USERS)
    async with running_server(tmp_path, datastores=stores), unix_client(tmp_path) as client:
        yield await client.greet()


def missing(element: str) -> Told:
    return Told("protocol missing-element", f"bad-element={element}")


def unknown(element: str) -> Told:
    return Told("protocol unknown-element", f"bad-element={element}")


def strange(attribute: str, element: str) -> Told:
    return Told("protocol unknown-attribute", f"bad-attribute={attribute} bad-element={element}")


def foreign(element: str) -> Told:
    return Told("protocol unknown-namespace", f"bad-element={element} bad-namespace=urn:x")


def twice(element: str) -> Told:
    return Told("protocol bad-element", f"bad-element={element}")


INVALID = Told("protocol invalid-value")
CONFIG = f'<config><cloud-management xmlns="{xml.HCM}"/></config>'
RUNNING = "<running/>"

REQUESTS = {
    # which operation
    "<frob/>": Told("protocol operation-not-supported"),
    f'<frob xmlns="{xml.HCM}"/>': Told("protocol operation-not-supported"),
    '<get xmlns="urn:x"/>': Told("protocol unknown-namespace", "bad-element=get bad-namespace=urn:x"),
    # retrieval
    "<get><source/></get>": unknown("source"),
    '<get><filter type="frob"/></get>': Told("protocol bad-attribute", "bad-attribute=type bad-element=filter"),
    '<get><filter type="xpath"/></get>': Told("protocol missing-attribute", "bad-attribute=select bad-element=filter"),
    '<get><filter xmlns="urn:x"/></get>': foreign("filter"),
    "<get><filter/><filter/></get>": twice("filter"),
    "<get-config/>": missing("source"),
    "<get-config><source/></get-config>": missing("source"),
    "<get-config><source><startup/></source></get-config>": unknown("startup"),
    "<get-config><source><url>http://x/</url></source></get-config>": unknown("url"),
    "<get-config><source><running/><candidate/></source></get-config>": twice("candidate"),
    "<get-config><source><running/></source><source><running/></source></get-config>": twice("source"),
    '<get-config><source><running xmlns="urn:x"/></source></get-config>': foreign("running"),
    f"<get-data {DS}/>": missing("datastore"),
    f"<get-data {DS}><datastore>ds:dynamic</datastore></get-data>": INVALID,
    f"<get-data {DS}><datastore>ds:startup</datastore></get-data>": INVALID,
    f"<get-data {DS}><datastore>ds:running</datastore><max-depth>0</max-depth></get-data>": INVALID,
    f"<get-data {DS}><datastore>ds:running</datastore><with-origin/></get-data>": INVALID,
    f"<get-schema {NCM}/>": missing("identifier"),
    f"<get-schema {NCM}><identifier>frob</identifier></get-schema>": Told("application invalid-value"),
    f"<get-schema {NCM}><identifier>ietf-netconf</identifier><version>1</version></get-schema>": Told(
        "application invalid-value"
    ),
    f"<get-schema {NCM}><identifier>ietf-netconf</identifier><format>yin</format></get-schema>": Told(
        "application invalid-value"
    ),
    # attributes and text
    '<get foo="1"/>': strange("foo", "get"),
    '<get xmlns:x="urn:x" x:foo="1"/>': strange("foo", "get"),
    '<get><filter frob="1"/></get>': strange("frob", "filter"),
    '<get-config><source a="1"><running/></source></get-config>': strange("a", "source"),
    '<get-config><source><running type="subtree"/></source></get-config>': strange("type", "running"),
    '<lock xmlns:nc="urn:x" nc:a="1"><target><running/></target></lock>': strange("a", "lock"),
    '<commit><confirmed/><persist a="1">p</persist></commit>': strange("a", "persist"),
    f'<get-data {DS}><datastore a="1">ds:running</datastore></get-data>': strange("a", "datastore"),
    f'<get-data {DS}><datastore>ds:operational</datastore><origin-filter a="1"/></get-data>': strange(
        "a", "origin-filter"
    ),
    f'<edit-config><target><running/></target><config {DECLARED} nc:operation="delete"/></edit-config>': strange(
        "operation", "config"
    ),
    "<get>text</get>": twice("get"),
    "<commit>text</commit>": twice("commit"),
    "<lock><target><running/>text</target></lock>": twice("target"),
    "<lock><target><running>x</running></target></lock>": twice("running"),
    "<lock><target><running><x/></running></target></lock>": unknown("x"),
    "<get-config><source><running><x/></running></source></get-config>": unknown("x"),
    "<commit><confirmed><x/></confirmed></commit>": unknown("x"),
    f"<get-data {DS}><datastore>ds:operational</datastore><with-origin>x</with-origin></get-data>": twice(
        "with-origin"
    ),
    "<edit-config><target><running/></target><config>text</config></edit-config>": twice("config"),
    "<copy-config><target><candidate/></target><source><config>text</config></source></copy-config>": twice("config"),
    "<validate><source><config>text</config></source></validate>": twice("config"),
    f"<edit-data {DS}><datastore>ds:running</datastore><config>text</config></edit-data>": twice("config"),
    # edits
    f"<edit-config>{CONFIG}</edit-config>": missing("target"),
    "<edit-config><target><running/></target></edit-config>": missing("config"),
    f"<edit-config><target><startup/></target>{CONFIG}</edit-config>": unknown("startup"),
    "<edit-config><target><running/></target><url>http://x/</url></edit-config>": unknown("url"),
    f"<edit-config><target><running/></target>{CONFIG}<default-operation>no</default-operation></edit-config>": INVALID,
    f"<edit-config><target><running/></target><test-option>frob</test-option>{CONFIG}</edit-config>": INVALID,
    f"<edit-config><target><running/></target><error-option>frob</error-option>{CONFIG}</edit-config>": INVALID,
    f"<edit-data {DS}><config/></edit-data>": missing("datastore"),
    f"<edit-data {DS}><datastore>ds:running</datastore></edit-data>": missing("config"),
    f"<edit-data {DS}><datastore>ds:operational</datastore><config/></edit-data>": INVALID,
    "<copy-config><source><running/></source></copy-config>": missing("target"),
    "<copy-config><target><candidate/></target></copy-config>": missing("source"),
    "<copy-config><target><running/></target><source><running/></source></copy-config>": INVALID,
    "<delete-config/>": missing("target"),
    "<delete-config><target><running/></target></delete-config>": unknown("running"),
    "<delete-config><target><candidate/></target></delete-config>": unknown("candidate"),
    "<validate/>": missing("source"),
    "<validate><source><startup/></source></validate>": unknown("startup"),
    # locks
    "<lock/>": missing("target"),
    "<lock><target><startup/></target></lock>": unknown("startup"),
    f"<lock><target><datastore {DS}>ds:operational</datastore></target></lock>": INVALID,
    f"<unlock><target><datastore {DS}>ds:intended</datastore></target></unlock>": INVALID,
    "<unlock><target><running/></target></unlock>": Told("application operation-failed"),
    # the candidate
    "<commit><frob/></commit>": unknown("frob"),
    "<commit><confirmed>yes</confirmed></commit>": twice("confirmed"),
    "<commit><confirm-timeout>60</confirm-timeout></commit>": missing("confirmed"),
    "<commit><confirmed/><confirm-timeout>0</confirm-timeout></commit>": Told(
        "protocol invalid-value", "bad-element=confirm-timeout"
    ),
    "<commit><confirmed/><confirm-timeout>4294967296</confirm-timeout></commit>": Told(
        "protocol invalid-value", "bad-element=confirm-timeout"
    ),
    "<commit><persist-id>frob</persist-id></commit>": Told("application invalid-value"),
    "<cancel-commit/>": Told("application operation-failed"),
    "<cancel-commit><persist-id>frob</persist-id></cancel-commit>": Told("application invalid-value"),
    "<discard-changes><frob/></discard-changes>": unknown("frob"),
    # sessions
    "<close-session><frob/></close-session>": unknown("frob"),
    "<kill-session/>": missing("session-id"),
    "<kill-session><session-id>0</session-id></kill-session>": INVALID,
    "<kill-session><session-id>1</session-id></kill-session>": INVALID,  # its own
    "<kill-session><session-id>4711</session-id></kill-session>": INVALID,
    # notifications: RFC 5277 section 2.1.1
    f"<create-subscription {NOTIFICATION}><stream>frob</stream></create-subscription>": INVALID,
    f"<create-subscription {NOTIFICATION}><startTime>2999-01-01T00:00:00Z</startTime></create-subscription>": twice(
        "startTime"
    ),
    f"<create-subscription {NOTIFICATION}><stopTime>2999-01-01T00:00:00Z</stopTime></create-subscription>": missing(
        "startTime"
    ),
    f"<create-subscription {NOTIFICATION}><startTime>2001-01-02T00:00:00Z</startTime>"
    "<stopTime>2001-01-01T00:00:00Z</stopTime></create-subscription>": twice("stopTime"),
}


@pytest.mark.parametrize("request_", REQUESTS)
async def test_a_wrong_request(client: RawClient, request_: str) -> None:
    assert told(await client.rpc(request_)) == [REQUESTS[request_]]
    assert is_ok(await client.rpc("<discard-changes/>"))  # the session goes on


MESSAGES = {
    f"<rpc {NC}><get/></rpc>": Told("rpc missing-attribute", "bad-attribute=message-id bad-element=rpc"),
    f'<rpc {NC} message-id="1"/>': Told("rpc missing-element", "bad-element=rpcOperation"),
    f'<rpc {NC} message-id="1"><get/><get/></rpc>': Told("rpc unknown-element", "bad-element=get"),
    f"<hello {NC}/>": Told("rpc unknown-element", "bad-element=hello"),
    '<rpc xmlns="urn:x"/>': Told("rpc unknown-namespace", "bad-element=rpc bad-namespace=urn:x"),
    f'<rpc {NC} message-id="1"><get>': Told("rpc malformed-message"),
    f'<!DOCTYPE x><rpc {NC} message-id="1"><get/></rpc>': Told("rpc malformed-message"),
    f'<rpc {NC} message-id="1"><get>\x01</get></rpc>': Told("rpc malformed-message"),
}


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_wrong_message(client: RawClient, message: str) -> None:
    client.send(message)
    assert told(await client.message()) == [MESSAGES[message]]
    assert is_ok(await client.rpc("<discard-changes/>"))


def attribute(kind: str, name: str, element: str, path: str, app_tag: str | None = None) -> Told:
    return Told(f"application {kind}-attribute", f"bad-attribute={name} bad-element={element}", app_tag, path)


EDITS = {
    # RFC 7950 section 8.3.1
    "<keepalive-interval>frob</keepalive-interval>": Told(
        "application invalid-value", path=f"{TOP}/hcm:keepalive-interval"
    ),
    "<keepalive-interval>9</keepalive-interval>": Told(
        "application invalid-value", path=f"{TOP}/hcm:keepalive-interval"
    ),
    "<backup-server><port>1</port></backup-server>": Told(
        "protocol missing-element", "bad-element=domain", path=f"{TOP}/hcm:backup-server"
    ),
    "<frob/>": Told("application unknown-element", "bad-element=frob", path=TOP),
    '<frob xmlns="urn:x"/>': Told("application unknown-namespace", "bad-element=frob bad-namespace=urn:x", path=TOP),
    "<connection/>": Told("application unknown-element", "bad-element=connection", path=f"{TOP}/hcm:connection"),
    "<lockout-protection>off</lockout-protection>": Told(  # not supported by a deviation
        "application unknown-element", "bad-element=lockout-protection", path=TOP
    ),
    "<enabled>true</enabled><enabled>true</enabled>": Told(
        "application bad-element", "bad-element=enabled", path=f"{TOP}/hcm:enabled"
    ),
    "<enabled><frob/></enabled>": Told("application bad-element", "bad-element=enabled", path=f"{TOP}/hcm:enabled"),
    "<server>frob</server>": Told("application bad-element", "bad-element=server", path=f"{TOP}/hcm:server"),
    # what is not defined in something that is to go
    '<tls nc:operation="remove"><frob/></tls>': Told(
        "application unknown-element", "bad-element=frob", path=f"{TOP}/hcm:tls"
    ),
    '<backup-server nc:operation="delete"><domain>b1.example</domain><x xmlns="urn:x"/></backup-server>': Told(
        "application unknown-namespace", "bad-element=x bad-namespace=urn:x", path=B1
    ),
    '<backup-server nc:operation="delete"><domain>no.example</domain><port><x/></port></backup-server>': Told(
        "application bad-element",
        "bad-element=port",
        path=f"{TOP}/hcm:backup-server[hcm:domain='no.example']/hcm:port",
    ),
    '<server nc:operation="delete">frob</server>': Told(
        "application bad-element", "bad-element=server", path=f"{TOP}/hcm:server"
    ),
    '<enabled nc:operation="remove"><frob/></enabled>': Told(
        "application bad-element", "bad-element=enabled", path=f"{TOP}/hcm:enabled"
    ),
    # attributes
    '<enabled operation="delete"/>': attribute("unknown", "operation", "enabled", f"{TOP}/hcm:enabled"),
    '<enabled nc:operation="frob"/>': attribute("bad", "operation", "enabled", f"{TOP}/hcm:enabled"),
    '<service yang:insert="first"><name>a</name></service>': attribute(
        "unknown", "insert", "service", f"{TOP}/hcm:service"
    ),
    '<backup-server yang:insert="frob"><domain>a.example</domain></backup-server>': attribute(
        "bad", "insert", "backup-server", f"{TOP}/hcm:backup-server"
    ),
    '<backup-server yang:insert="after"><domain>a.example</domain></backup-server>': attribute(
        "missing", "key", "backup-server", f"{TOP}/hcm:backup-server"
    ),
    # RFC 7950 section 15.7
    '<backup-server yang:insert="after" yang:key="[hcm:domain=\'no.example\']"><domain>a.example</domain>'
    "</backup-server>": attribute(
        "bad", "key", "backup-server", f"{TOP}/hcm:backup-server", app_tag="missing-instance"
    ),
    # RFC 7950 section 8.3.2
    '<backup-server nc:operation="create"><domain>b1.example</domain></backup-server>': Told(
        "application data-exists", path=B1
    ),
    '<backup-server nc:operation="delete"><domain>no.example</domain></backup-server>': Told(
        "application data-missing", path=f"{TOP}/hcm:backup-server[hcm:domain='no.example']"
    ),
    '<enabled nc:operation="delete"/>': Told("application data-missing", path=f"{TOP}/hcm:enabled"),
    # constraints: section 15.2, and a must with an error-app-tag of its own (15.4)
    "".join(f"<backup-server><domain>{number}.example</domain></backup-server>" for number in range(7)): Told(
        "application operation-failed", app_tag="too-many-elements", path=f"{TOP}/hcm:backup-server"
    ),
    "<backup-server><domain>cloud.example</domain></backup-server>": Told(
        "application operation-failed",
        app_tag="duplicate-server",
        path=f"{TOP}/hcm:backup-server[hcm:domain='cloud.example']",
    ),
}


@pytest.mark.parametrize("content", EDITS)
async def test_a_wrong_edit(client: RawClient, content: str) -> None:
    data = f'<cloud-management xmlns="{xml.HCM}">{content}</cloud-management>'
    config = f"<config {DECLARED}>{data}</config>"
    for operation in (
        f"<edit-config><target><running/></target>{config}</edit-config>",
        f"<edit-config><target><candidate/></target><test-option>test-then-set</test-option>{config}</edit-config>",
        f"<edit-data {DS} {DECLARED}><datastore>ds:running</datastore><config>{data}</config></edit-data>",
    ):
        assert told(await client.rpc(operation)) == [EDITS[content]]
    unchanged = await client.rpc("<get-config><source><running/></source></get-config>")
    assert [d.text for d in unchanged.iter(f"{{{xml.HCM}}}domain")] == ["cloud.example", "b1.example", "b2.example"]
    assert is_ok(await client.rpc("<lock><target><candidate/></target></lock>"))  # it was not changed, either


async def test_each_mandatory_leaf_that_is_missing_is_named(client: RawClient) -> None:
    config = (
        f'<config><system xmlns="{xml.SYSTEM}"><authentication><user><name>u</name><authorized-key><name>k</name>{{}}'
        "</authorized-key></user></authentication></system></config>"
    )
    edit = f"<edit-config><target><running/></target>{config}</edit-config>"
    path = "/sys:system/sys:authentication/sys:user[sys:name='u']/sys:authorized-key[sys:name='k']/sys:"
    algorithm, data = (Told("application data-missing", path=path + leaf) for leaf in ("algorithm", "key-data"))
    assert told(await client.rpc(edit.format(""))) == [algorithm, data]
    assert told(await client.rpc(edit.format("<algorithm>ssh-ed25519</algorithm>"))) == [data]


async def test_a_mandatory_parameter_of_the_models_own_operations(tmp_path: Path) -> None:
    async def unbind(_: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        model().rpc_input(operation)
        return ()

    async with running_server(tmp_path, rpcs={(xml.HCM, "unbind"): unbind}), unix_client(tmp_path) as client:
        await client.greet()
        assert told(await client.rpc(f'<unbind xmlns="{xml.HCM}"/>')) == [missing("code")]
        assert is_ok(await client.rpc(f'<unbind xmlns="{xml.HCM}"><code>12345678</code></unbind>'))


async def test_an_entry_that_no_path_can_name(client: RawClient) -> None:
    """XPath 1.0 has no way to write a text with both kinds of quotes: the nearest ancestor is named."""
    config = (
        f'<config {DECLARED}><system xmlns="{xml.SYSTEM}"><authentication>'
        "<user{}><name>a'b\"c</name>{}</user></authentication></system></config>"
    )
    edit = f"<edit-config><target><running/></target>{config}</edit-config>"
    path = "/sys:system/sys:authentication"
    deleted = await client.rpc(edit.format(' nc:operation="delete"', ""))
    assert told(deleted) == [Told("application data-missing", path=path)]
    below = await client.rpc(edit.format("", "<frob/>"))
    assert told(below) == [Told("application unknown-element", "bad-element=frob", path=path)]


async def test_nonsense_in_the_top_container_that_is_to_go(client: RawClient) -> None:
    data = f'<cloud-management xmlns="{xml.HCM}" nc:operation="remove">{{}}</cloud-management>'
    edit = f"<edit-config><target><candidate/></target><config {DECLARED}>{data}</config></edit-config>"
    for content, element, path in (
        ("<nonsense/>", "nonsense", TOP),
        ("<connection/>", "connection", f"{TOP}/hcm:connection"),  # state data
    ):
        expected = Told("application unknown-element", f"bad-element={element}", path=path)
        assert told(await client.rpc(edit.format(content))) == [expected]
    assert is_ok(await client.rpc("<lock><target><candidate/></target></lock>"))  # nothing has gone
    assert is_ok(await client.rpc(edit.format("<server/><ping-interval>frob</ping-interval>")))


async def test_a_constraint_at_its_time(client: RawClient) -> None:
    """The candidate may break it; validate and commit name it alike, and the candidate stays for its mending."""
    content = "<backup-server><domain>cloud.example</domain></backup-server>"
    config = f'<config><cloud-management xmlns="{xml.HCM}">{content}</cloud-management></config>'
    assert is_ok(await client.rpc(f"<edit-config><target><candidate/></target>{config}</edit-config>"))
    for operation in (
        "<validate><source><candidate/></source></validate>",
        "<commit/>",
        "<commit><confirmed/></commit>",
    ):
        assert told(await client.rpc(operation)) == [EDITS[content]]


async def test_several_errors_stand_in_one_reply(client: RawClient) -> None:
    config = (
        f'<config><cloud-management xmlns="{xml.HCM}"><enabled>frob</enabled><frob/>'
        "<backup-server><domain>b1.example</domain><port>0</port></backup-server></cloud-management></config>"
    )
    assert told(await client.rpc(f"<edit-config><target><running/></target>{config}</edit-config>")) == [
        Told("application invalid-value", path=f"{TOP}/hcm:enabled"),
        Told("application unknown-element", "bad-element=frob", path=TOP),
        Told("application invalid-value", path=f"{B1}/hcm:port"),
    ]


async def test_every_constraint_that_is_broken_is_named(client: RawClient) -> None:
    content = (
        "<server><domain>cloud.example</domain></server><backup-server><domain>cloud.example</domain></backup-server>"
        "<switchback><hold-down>60</hold-down></switchback>"
        "<address-family>ipv6</address-family><source-address>192.0.2.1</source-address>"
    )
    config = f'<config><cloud-management xmlns="{xml.HCM}">{content}</cloud-management></config>'
    broken = [
        Told(
            "application operation-failed",
            app_tag="duplicate-server",
            path=f"{TOP}/hcm:backup-server[hcm:domain='cloud.example']",
        ),
        Told("application operation-failed", app_tag="address-family-mismatch", path=f"{TOP}/hcm:source-address"),
        Told("application operation-failed", app_tag="hold-down-mismatch", path=f"{TOP}/hcm:switchback"),
    ]
    edit = "<edit-config><target><{}/></target>{}{}</edit-config>"
    assert is_ok(await client.rpc(edit.format("candidate", "", config)))
    for operation in (
        "<validate><source><candidate/></source></validate>",
        "<commit/>",
        edit.format("running", "", config),
        f"<copy-config><target><running/></target><source>{config}</source></copy-config>",
    ):
        found = told(await client.rpc(operation))
        assert sorted(found, key=str) == sorted(broken, key=str), operation
    # What is wrong with the edit itself stands before that.
    options = "<error-option>continue-on-error</error-option>"
    wrong = config.replace("<switchback>", "<enabled>frob</enabled><switchback>")
    first, *others = told(await client.rpc(edit.format("running", options, wrong)))
    assert first == Told("application invalid-value", path=f"{TOP}/hcm:enabled")
    assert sorted(others, key=str) == sorted(broken, key=str)


async def test_what_another_session_holds(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as holder, unix_client(tmp_path) as other:
        await holder.greet()
        await other.greet()
        edit = f"<edit-config><target><{{}}/></target>{CONFIG}</edit-config>"
        for name in ("running", "candidate"):
            lock = f"<lock><target><{name}/></target></lock>"
            assert is_ok(await holder.rpc(lock))
            denied = [Told("protocol lock-denied", f"session-id={holder.session_id}")]
            assert told(await other.rpc(lock)) == denied
            assert told(await holder.rpc(lock)) == denied
            for operation in (edit.format(name), "<commit/>"):
                assert tag(await other.rpc(operation)) == "in-use"
            unlock = f"<unlock><target><{name}/></target></unlock>"
            assert told(await other.rpc(unlock)) == [Told("application operation-failed")]
            assert is_ok(await holder.rpc(unlock))
        changed = CONFIG.replace("/></config>", "><ping-interval>77</ping-interval></cloud-management></config>")
        assert is_ok(await holder.rpc(f"<edit-config><target><candidate/></target>{changed}</edit-config>"))
        # RFC 6241 section 7.5: 0 where it is no session that is in the way.
        lock = "<lock><target><candidate/></target></lock>"
        assert told(await other.rpc(lock)) == [Told("protocol lock-denied", "session-id=0")]
        assert is_ok(await holder.rpc("<commit><confirmed/></commit>"))
        lock = "<lock><target><running/></target></lock>"
        assert told(await other.rpc(lock)) == [Told("protocol lock-denied", f"session-id={holder.session_id}")]
