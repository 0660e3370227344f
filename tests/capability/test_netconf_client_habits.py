"""What clients really send, and what other servers have stumbled over: ncclient, Ansible, and raw streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import (
    BOTH,
    CLOUD,
    NC,
    USERS,
    RawClient,
    hello,
    is_ok,
    make_datastores,
    running_server,
    ssh_client,
    ssh_connection,
    tag,
    unix_client,
)
from headstay import xml
from headstay.netconf.framing import Framing

EX = "urn:example:client"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    stores = make_datastores(CLOUD, USERS, with_startup=True)
    async with running_server(tmp_path, datastores=stores), unix_client(tmp_path) as client:
        yield client


def chunks(*pieces: bytes) -> bytes:
    return b"".join(b"\n#%d\n%b" % (len(piece), piece) for piece in pieces) + b"\n##\n"


def edit(seconds: int, target: str = "candidate") -> str:
    config = (
        f'<cloud-management xmlns="{xml.HCM}"><keepalive-interval>{seconds}</keepalive-interval></cloud-management>'
    )
    return f"<edit-config><target><{target}/></target><config>{config}</config></edit-config>"


async def shown(client: RawClient, datastore: str) -> str | None:
    reply = await client.rpc(f"<get-config><source><{datastore}/></source></get-config>")
    return reply.findtext(f".//{{{xml.HCM}}}keepalive-interval")


# ncclient


async def test_everything_with_a_prefix(client: RawClient) -> None:
    """ncclient's hello and each of its rpcs: the protocol's namespace has a prefix, the data have none."""
    await client.message()
    greeting = hello(*BOTH).replace(b"<", b"<nc:").replace(b"<nc:/", b"</nc:").replace(b"xmlns=", b"xmlns:nc=")
    client.send_raw(greeting + b"]]>]]>")
    client.framing = client._deframer.framing = Framing.CHUNKED
    client.send(
        f'<?xml version="1.0" encoding="UTF-8"?><nc:rpc xmlns:nc="{xml.NETCONF}" message-id="urn:uuid:1">'
        f'<nc:edit-config><nc:target><nc:candidate/></nc:target><nc:config><cloud-management xmlns="{xml.HCM}">'
        '<keepalive-interval nc:operation="replace">90</keepalive-interval></cloud-management></nc:config>'
        "</nc:edit-config></nc:rpc>"
    )
    reply = await client.message()
    assert is_ok(reply)
    assert reply.get("message-id") == "urn:uuid:1"
    assert await shown(client, "candidate") == "90"


async def test_every_attribute_of_an_rpc_comes_back(client: RawClient) -> None:
    """RFC 6241 section 4.1; ncclient waits for ever for a reply without its message-id."""
    await client.greet()
    declared = f'xmlns:nc="{xml.NETCONF}" xmlns:ex="{EX}"'
    sent = f'<nc:rpc {declared} message-id="1 &lt;&amp;&#10;&#34;é" ex:user-id="fred" plain=""'
    for operation in ("<nc:get-config><nc:source><nc:running/></nc:source></nc:get-config>", "<nc:frob/>", ""):
        client.send(f"{sent}>{operation}</nc:rpc>")
        reply = await client.message()
        assert dict(reply.attrib) == {"message-id": '1 <&\n"é', f"{{{EX}}}user-id": "fred", "plain": ""}


async def test_without_a_message_id_there_is_an_answer_and_the_other_attributes(client: RawClient) -> None:
    await client.greet()
    client.send(f'<rpc {NC} user-id="fred"><get/></rpc>')
    reply = await client.message()
    assert (tag(reply), dict(reply.attrib)) == ("missing-attribute", {"user-id": "fred"})


@pytest.mark.parametrize("over", ["unix", "ssh"])
async def test_chunks_that_cut_characters_and_hold_the_other_delimiter(tmp_path: Path, over: str) -> None:
    """One octet a chunk: each character of more than one is cut; and what ends a message of base:1.0 is content."""
    edited = "<user><name>zoë ]]&gt;]]&gt; 😀</name></user><!-- ]]>]]> \n##\n -->"
    config = f'<system xmlns="{xml.SYSTEM}"><authentication>{edited}</authentication></system>'
    message = (
        f'<rpc {NC} message-id="]]&gt;]]>é"><edit-config><target><candidate/></target><config>{config}</config>'
        "</edit-config></rpc>"
    ).encode()

    async def check(client: RawClient) -> None:
        await client.greet()
        client.send_raw(chunks(*(message[at : at + 1] for at in range(len(message)))))
        reply = await client.message()
        assert is_ok(reply)
        assert reply.get("message-id") == "]]>]]>é"
        names = (await client.rpc("<get-config><source><candidate/></source></get-config>")).iter(
            f"{{{xml.SYSTEM}}}name"
        )
        assert "zoë ]]>]]> 😀" in [name.text for name in names]

    async with running_server(tmp_path, datastores=make_datastores(CLOUD, USERS)) as server:
        if over == "unix":
            async with unix_client(tmp_path) as client:
                await check(client)
        else:
            async with ssh_connection(server) as connection:
                await check(await ssh_client(connection))


# XML's own attributes, and those that clients qualify


@pytest.mark.parametrize(
    "operation",
    [
        '<get xml:lang="en" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:nil="false" xmlns:x="urn:x"/>',
        (
            f'<nc:get-config xmlns:nc="{xml.NETCONF}"><nc:source xml:space="preserve"><nc:running/></nc:source>'
            '<nc:filter nc:type="subtree"/></nc:get-config>'
        ),
        '<get>\n  <!-- all --> <filter type="xpath" select="/hcm:cloud-management"/>\n</get>',
    ],
)
async def test_attributes_that_do_no_harm(client: RawClient, operation: str) -> None:
    await client.greet()
    assert xml.local_name((await client.rpc(operation))[0]) == "data"


# Ansible


async def test_operations_and_parameters_without_a_namespace(client: RawClient) -> None:
    """netconf_rpc sends an operation in no namespace at all, within an rpc that has a prefix."""
    await client.greet()

    async def rpc(operation: str) -> etree._Element:
        client.send(f'<nc:rpc xmlns:nc="{xml.NETCONF}" message-id="1">{operation}</nc:rpc>')
        return await client.message()

    assert is_ok(await rpc("<lock><target><candidate/></target></lock>"))
    assert is_ok(await rpc(edit(91)))
    assert is_ok(await rpc("<validate><source><candidate/></source></validate>"))
    assert is_ok(await rpc("<commit><confirmed/><confirm-timeout>60</confirm-timeout></commit>"))
    assert is_ok(await rpc("<commit/>"))
    assert is_ok(await rpc(edit(92)))
    assert is_ok(await rpc("<discard-changes/>"))
    assert is_ok(await rpc("<copy-config><source><candidate/></source><target><startup/></target></copy-config>"))
    assert is_ok(await rpc("<unlock><target><candidate/></target></unlock>"))
    assert await shown(client, "startup") == "91"


async def test_a_filter_whose_prefixes_are_not_declared(client: RawClient) -> None:
    await client.greet()
    for prefix in ("hcm", "headstay-cloud-management"):
        select = f"/{prefix}:cloud-management/{prefix}:keepalive-interval"
        reply = await client.rpc(
            f'<get-config><source><running/></source><filter type="xpath" select="{select}"/></get-config>'
        )
        assert reply.findtext(f".//{{{xml.HCM}}}keepalive-interval") == "60"


async def test_the_play_that_edits_running_where_there_is_a_candidate(client: RawClient) -> None:
    """netconf_config with target=running compares the candidate before and after, and ends with a commit."""
    await client.greet()
    assert is_ok(await client.rpc("<lock><target><running/></target></lock>"))
    assert await shown(client, "running") == "60"
    assert is_ok(await client.rpc(edit(93, "running")))
    assert await shown(client, "candidate") == "93"
    assert is_ok(await client.rpc("<commit/>"))
    assert is_ok(await client.rpc("<unlock><target><running/></target></unlock>"))
    assert await shown(client, "running") == "93"


async def test_the_same_configuration_reads_the_same(client: RawClient) -> None:
    """`changed` compares texts: what is edited to what it is, in whatever order, must read as before."""
    await client.greet()
    get = "<get-config><source><candidate/></source></get-config>"
    before = etree.tostring((await client.rpc(get))[0])
    shuffled = etree.fromstring(CLOUD.strip())
    scalar = shuffled[-1]
    shuffled.insert(0, scalar)
    config = etree.tostring(shuffled).decode()
    assert is_ok(await client.rpc(f"<edit-config><target><candidate/></target><config>{config}</config></edit-config>"))
    assert etree.tostring((await client.rpc(get))[0]) == before
    assert is_ok(await client.rpc("<lock><target><candidate/></target></lock>"))


async def test_ansible_and_ncclient_find_the_capabilities_they_ask_for(client: RawClient) -> None:
    """Both look for these as parts of the URIs."""
    await client.greet()
    uris = [uri.text or "" for uri in client.server_hello.iter(f"{{{xml.NETCONF}}}capability")]
    asked = "candidate writable-running startup validate confirmed-commit xpath rollback-on-error"
    assert [
        name for name in (*asked.split(), "with-defaults", "notification") if not any(f":{name}" in uri for uri in uris)
    ] == []


# other servers' scars


async def test_a_refused_commit_leaves_no_lock_behind(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as first:
        await first.greet()
        assert is_ok(await first.rpc("<lock><target><candidate/></target></lock>"))
        twice = "<backup-server><domain>cloud.example</domain></backup-server>"
        config = f'<cloud-management xmlns="{xml.HCM}">{twice}</cloud-management>'
        assert is_ok(
            await first.rpc(f"<edit-config><target><candidate/></target><config>{config}</config></edit-config>")
        )
        for commit in ("<commit/>", "<commit><confirmed/></commit>"):
            assert tag(await first.rpc(commit)) == "operation-failed"
        assert tag(await first.rpc("<cancel-commit/>")) == "operation-failed"
        assert is_ok(await first.rpc("<unlock><target><candidate/></target></unlock>"))
        assert await shown(first, "candidate") == "60"
        async with unix_client(tmp_path) as second:
            await second.greet()
            for name in ("candidate", "running"):
                assert is_ok(await second.rpc(f"<lock><target><{name}/></target></lock>"))


async def test_a_confirmed_commit_whose_session_ends_after_a_get(tmp_path: Path) -> None:
    """And a cancel-commit, once that has happened, is an error and nothing worse."""
    async with running_server(tmp_path), unix_client(tmp_path) as second:
        await second.greet()
        async with unix_client(tmp_path) as first:
            await first.greet()
            assert is_ok(await first.rpc(edit(94)))
            assert is_ok(await first.rpc("<commit><confirmed/></commit>"))
            assert xml.local_name((await first.rpc("<get/>"))[0]) == "data"
            assert tag(await second.rpc("<cancel-commit/>")) == "operation-failed"
            number = first.session_id
            assert is_ok(await second.rpc(f"<kill-session><session-id>{number}</session-id></kill-session>"))
        assert await shown(second, "running") == "60"
        assert tag(await second.rpc("<cancel-commit/>")) == "operation-failed"
        assert is_ok(await second.rpc("<lock><target><running/></target></lock>"))
