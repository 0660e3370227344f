"""Each operation's parameters, what it does to the datastores, and which error a wrong one gets."""

from __future__ import annotations

import asyncio

import pytest
from lxml import etree

from fakes_netconf import (
    CLOUD,
    NC,
    USERS,
    make_context,
    make_datastores,
    operation,
    parsed,
    some_state,
)
from headstay import errors, xml
from headstay.datastore.access import Requester, Source
from headstay.datastore.name import Name
from headstay.datastore.stores import Datastores
from headstay.netconf import messages
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations import OPERATIONS, Context, execute

PING = f'<cloud-management xmlns="{xml.HCM}"><ping-interval>%d</ping-interval></cloud-management>'


async def run(context: Context, text: str) -> Reply:
    outcome = execute(context, operation(text))
    return outcome if isinstance(outcome, Reply) else await outcome


async def refused(context: Context, text: str) -> errors.NetconfError:
    with pytest.raises(errors.NetconfError) as caught:
        await run(context, text)
    return caught.value


def ping(datastores: Datastores, name: Name) -> str | None:
    return datastores.read(name).findtext(f".//{{{xml.HCM}}}ping-interval")


def edit(target: str, seconds: int, options: str = "") -> str:
    return f"<edit-config><target><{target}/></target>{options}<config>{PING % seconds}</config></edit-config>"


# reading


async def test_get_config_returns_the_datastore_that_it_names() -> None:
    datastores = make_datastores(CLOUD)
    context = make_context(datastores)
    await run(context, edit("candidate", 77))
    for name, expected in ((Name.RUNNING, None), (Name.CANDIDATE, "77")):
        reply = await run(context, f"<get-config><source><{name.value}/></source></get-config>")
        assert parsed(reply.body).findtext(f".//{{{xml.HCM}}}ping-interval") == expected


async def test_get_config_twice_gives_the_same_octets_and_leaves_the_tree_alone() -> None:
    datastores = make_datastores(CLOUD, USERS)
    before = etree.tostring(datastores.read(Name.RUNNING))
    text = "<get-config><source><running/></source></get-config>"
    first = await run(make_context(datastores), text)
    assert await run(make_context(datastores), text) == first
    assert etree.tostring(datastores.read(Name.RUNNING)) == before
    assert first.body.startswith(b"<data><cloud-management xmlns=")


async def test_get_lays_the_state_over_running() -> None:
    reply = await run(make_context(state=some_state), "<get/>")
    data = parsed(reply.body)[0]
    [cloud] = data.findall(f"{{{xml.HCM}}}cloud-management")
    assert cloud.findtext(f"{{{xml.HCM}}}connection/{{{xml.HCM}}}state") == "established"
    assert cloud.findtext(f"{{{xml.HCM}}}server/{{{xml.HCM}}}domain") == "cloud.example"


async def test_an_empty_answer_is_an_empty_data() -> None:
    reply = await run(make_context(), '<get><filter type="subtree"/></get>')
    assert reply.body == b"<data></data>"


# editing


async def test_edit_config_hands_its_options_on() -> None:
    context = make_context()
    options = "<default-operation>replace</default-operation><test-option>set</test-option>"
    assert await run(context, edit("candidate", 99, options)) == OK
    assert ping(context.datastores, Name.CANDIDATE) == "99"
    assert context.datastores.read(Name.CANDIDATE).find(f".//{{{xml.HCM}}}server") is None


async def test_edit_config_of_running() -> None:
    context = make_context()
    assert await run(context, edit("running", 99)) == OK
    assert ping(context.datastores, Name.RUNNING) == "99"


async def test_parameters_without_a_namespace_are_taken() -> None:
    context = make_context()
    text = edit("candidate", 55, "<error-option>rollback-on-error</error-option>")
    bare = etree.fromstring(f"<rpc>{text}</rpc>")[0]
    assert xml.namespace(bare) == ""
    assert await execute(context, bare) == OK
    assert await execute(context, etree.fromstring("<commit/>")) == OK
    assert ping(context.datastores, Name.RUNNING) == "55"


async def test_commit_and_discard() -> None:
    context = make_context()
    await run(context, edit("candidate", 11))
    assert await run(context, "<discard-changes/>") == OK
    await run(context, "<commit/>")
    assert ping(context.datastores, Name.RUNNING) is None
    await run(context, edit("candidate", 12))
    assert await run(context, "<commit/>") == OK
    assert ping(context.datastores, Name.RUNNING) == "12"


async def test_copy_config_from_a_datastore_and_from_the_rpc() -> None:
    context = make_context()
    inline = f"<source><config>{PING % 44}</config></source>"
    assert await run(context, f"<copy-config><target><candidate/></target>{inline}</copy-config>") == OK
    assert ping(context.datastores, Name.CANDIDATE) == "44"
    copy = "<copy-config><target><running/></target><source><candidate/></source></copy-config>"
    assert await run(context, copy) == OK
    assert ping(context.datastores, Name.RUNNING) == "44"


async def test_startup_is_there_only_when_the_datastores_have_it() -> None:
    copy = "<copy-config><target><startup/></target><source><running/></source></copy-config>"
    delete = "<delete-config><target><startup/></target></delete-config>"
    with_startup = make_context(make_datastores(CLOUD, with_startup=True))
    assert await run(with_startup, copy) == OK
    assert len(with_startup.datastores.read(Name.STARTUP)) == 1
    assert await run(with_startup, delete) == OK
    assert len(with_startup.datastores.read(Name.STARTUP)) == 0
    for text in (copy, delete):
        assert (await refused(make_context(), text)).tag == "unknown-element"


async def test_validate_a_datastore_and_a_configuration() -> None:
    context = make_context()
    assert await run(context, "<validate><source><running/></source></validate>") == OK
    assert await run(context, f"<validate><source><config>{PING % 60}</config></source></validate>") == OK
    with pytest.raises((errors.NetconfError, errors.RpcErrors)):
        await run(context, f"<validate><source><config>{PING % 1}</config></source></validate>")


# locks


async def test_lock_and_unlock() -> None:
    context = make_context()
    other = make_context(context.datastores, requester=Requester("admin", 2, Source.DIRECT))
    assert await run(context, "<lock><target><running/></target></lock>") == OK
    error = await refused(other, "<lock><target><running/></target></lock>")
    assert error.tag == "lock-denied"
    assert [(item.name, item.value) for item in error.info] == [("session-id", "1")]
    assert (await refused(other, edit("running", 33))).tag == "in-use"
    assert await run(context, "<unlock><target><running/></target></unlock>") == OK
    assert await run(other, "<lock><target><running/></target></lock>") == OK


# wrong parameters

WRONG = [
    ("<get-config/>", "missing-element", "source"),
    ("<get-config><source/></get-config>", "missing-element", "source"),
    ("<get-config><source><running/><candidate/></source></get-config>", "bad-element", "candidate"),
    ("<get-config><source><running/></source><source><running/></source></get-config>", "bad-element", "source"),
    ("<get-config><source><nowhere/></source></get-config>", "unknown-element", "nowhere"),
    ("<get-config><source><url>file:///x</url></source></get-config>", "unknown-element", "url"),
    ("<get><sort/></get>", "unknown-element", "sort"),
    ('<get><with-defaults xmlns="urn:x">trim</with-defaults></get>', "unknown-namespace", "with-defaults"),
    ("<edit-config><target><candidate/></target></edit-config>", "missing-element", "config"),
    ("<edit-config><target><startup/></target><config/></edit-config>", "unknown-element", "startup"),
    ("<edit-config><target><candidate/></target><config-text/></edit-config>", "unknown-element", "config-text"),
    (edit("candidate", 50, "<test-option>maybe</test-option>"), "invalid-value", None),
    (edit("candidate", 50, "<default-operation><x/></default-operation>"), "unknown-element", "x"),
    ("<copy-config><target><candidate/></target><source><candidate/></source></copy-config>", "invalid-value", None),
    ("<delete-config><target><running/></target></delete-config>", "unknown-element", "running"),
    ("<commit><comment/></commit>", "unknown-element", "comment"),
    ("<commit><confirmed>yes</confirmed></commit>", "bad-element", "confirmed"),
    ("<commit><confirm-timeout>5</confirm-timeout></commit>", "missing-element", "confirmed"),
    ("<commit><persist>x</persist></commit>", "missing-element", "confirmed"),
    *(
        (f"<commit><confirmed/><confirm-timeout>{wrong}</confirm-timeout></commit>", "invalid-value", "confirm-timeout")
        for wrong in ("0", "-1", "4294967296", "1.5", "0x10", "ten", "")
    ),
    ("<commit><persist-id/><persist-id/></commit>", "bad-element", "persist-id"),
    ("<cancel-commit><persist/></cancel-commit>", "unknown-element", "persist"),
    ("<discard-changes><now/></discard-changes>", "unknown-element", "now"),
    ("<close-session><now/></close-session>", "unknown-element", "now"),
    ("<kill-session/>", "missing-element", "session-id"),
    ("<kill-session><session-id>x</session-id></kill-session>", "invalid-value", None),
    ("<kill-session><session-id>0</session-id></kill-session>", "invalid-value", None),
    ("<kill-session><session-id>4294967296</session-id></kill-session>", "invalid-value", None),
    ("<kill-session><session-id>1</session-id></kill-session>", "invalid-value", None),
    ("<kill-session><session-id>99</session-id></kill-session>", "invalid-value", None),
    ("<no-such-operation/>", "operation-not-supported", None),
    (f'<get xmlns="{xml.HCM}"/>', "operation-not-supported", None),
    ('<get xmlns="urn:nowhere"/>', "unknown-namespace", "get"),
]


@pytest.mark.parametrize(("text", "tag", "element"), WRONG)
async def test_a_wrong_rpc_says_what_is_wrong_and_changes_nothing(text: str, tag: str, element: str | None) -> None:
    context = make_context()
    before = [etree.tostring(context.datastores.read(name)) for name in context.datastores.names]
    error = await refused(context, text)
    assert error.tag == tag
    assert error.type is errors.ErrorType.PROTOCOL
    assert {item.name: item.value for item in error.info}.get("bad-element") == element
    assert [etree.tostring(context.datastores.read(name)) for name in context.datastores.names] == before
    assert not context.datastores.locks()


# the end of sessions


async def test_close_session_ends_the_session() -> None:
    assert await run(make_context(), "<close-session/>") == Reply(b"<ok/>", ends_session=True)


# who may do what


@pytest.mark.parametrize("name", sorted(name for _, name in OPERATIONS))
async def test_every_operation_is_authorized(name: str) -> None:
    none_by_default = f'<nacm xmlns="{xml.NACM}"><exec-default>deny</exec-default></nacm>'
    guest = make_context(make_datastores(none_by_default), requester=Requester("guest", 5, Source.DIRECT))
    namespace = next(namespace for namespace, local in OPERATIONS if local == name)
    denied = False
    try:
        await run(guest, f'<{name} xmlns="{namespace}"/>')
    except errors.AccessDenied:
        denied = True
    except errors.NetconfError:
        pass
    assert denied is (name != "close-session")


# the model's own RPCs


def with_rpc(output: list[etree._Element], seen: list[object]) -> Context:
    async def reconnect(requester: Requester, element: etree._Element) -> list[etree._Element]:
        await asyncio.sleep(0)
        seen.append((requester.user, element.tag))
        return output

    return make_context(rpcs={(xml.HCM, "reconnect"): reconnect})


async def test_an_rpc_of_the_model() -> None:
    seen: list[object] = []
    assert await run(with_rpc([], seen), f'<reconnect xmlns="{xml.HCM}"/>') == OK
    reply = await run(with_rpc([xml.element(f"{{{xml.HCM}}}took", "3")], seen), f'<reconnect xmlns="{xml.HCM}"/>')
    assert reply.body == f'<took xmlns="{xml.HCM}">3</took>'.encode()
    assert seen == [("admin", f"{{{xml.HCM}}}reconnect")] * 2
    assert messages.output([]) is OK


async def test_an_rpc_of_the_model_is_authorized_too() -> None:
    seen: list[object] = []
    context = with_rpc([], seen)
    guest = make_context(context.datastores, rpcs=context.rpcs, requester=Requester("guest", 5, Source.DIRECT))
    assert (await refused(guest, f'<reconnect xmlns="{xml.HCM}"/>')).tag == "access-denied"
    assert seen == []


async def test_an_rpc_of_the_model_without_its_namespace_is_none() -> None:
    assert (await refused(with_rpc([], []), f"<reconnect {NC}/>")).tag == "operation-not-supported"
