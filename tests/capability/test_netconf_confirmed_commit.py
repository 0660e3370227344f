""":confirmed-commit: what a client can do with it (RFC 6241 section 8.4), raw and with ncclient."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError

from fakes_netconf import CLOUD, USERS, RawClient, is_ok, make_datastores, running_server, tag, unix_client
from headstay import xml
from headstay.datastore.name import Name
from headstay.datastore.stores import Datastores

CANCEL = "<cancel-commit/>"
LOCK = "<lock><target><running/></target></lock>"
OLD = "60"


def edit(target: str, seconds: int) -> str:
    config = (
        f'<cloud-management xmlns="{xml.HCM}"><keepalive-interval>{seconds}</keepalive-interval></cloud-management>'
    )
    return f"<edit-config><target><{target}/></target><config>{config}</config></edit-config>"


def commit(content: str = "") -> str:
    return f"<commit><confirmed/>{content}</commit>"


async def tried(client: RawClient, content: str = "", seconds: int = 77) -> None:
    """Edit the candidate and try it out."""
    assert is_ok(await client.rpc(edit("candidate", seconds)))
    assert is_ok(await client.rpc(commit(content)))


async def running(client: RawClient) -> str | None:
    reply = await client.rpc("<get-config><source><running/></source></get-config>")
    return reply.findtext(f".//{{{xml.HCM}}}keepalive-interval")


def bad_element(reply: etree._Element) -> str | None:
    return reply.findtext(f".//{{{xml.NETCONF}}}bad-element")


async def test_both_versions_are_announced(tmp_path: Path) -> None:
    """A client of version 1.0 asks for 1.0 (RFC 6241 section 8.4.1 lets a server announce both)."""
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        uris = {uri.text for uri in client.server_hello.iter(f"{{{xml.NETCONF}}}capability")}
        capability = "urn:ietf:params:netconf:capability:"
        assert {f"{capability}confirmed-commit:1.0", f"{capability}confirmed-commit:1.1"} <= uris
        state = await client.rpc(f'<get><filter><netconf-state xmlns="{xml.MONITORING}"/></filter></get>')
        shown = {uri.text for uri in state.iter(f"{{{xml.MONITORING}}}capability")}
        assert uris == shown
        [netconf] = [uri for uri in uris if uri is not None and "module=ietf-netconf&" in uri]
        assert "confirmed-commit" in netconf


async def test_confirm(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        await tried(client, "<confirm-timeout>5</confirm-timeout>")
        await tried(client, seconds=78)
        assert is_ok(await client.rpc("<commit/>"))
        assert tag(await client.rpc(CANCEL)) == "operation-failed"
        assert await running(client) == "78"


async def test_cancel(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        await tried(client)
        await tried(client, seconds=78)
        assert is_ok(await client.rpc(CANCEL))
        assert await running(client) == OLD
        assert tag(await client.rpc(CANCEL)) == "operation-failed"


async def gone(datastores: Datastores) -> None:
    """Wait until running is the old configuration again."""
    async with asyncio.timeout(10):
        while datastores.read(Name.RUNNING).findtext(f".//{{{xml.HCM}}}keepalive-interval") != OLD:  # noqa: ASYNC110 - nothing tells when
            await asyncio.sleep(0)


@pytest.mark.parametrize("how", ["close", "drop", "kill"])
async def test_the_end_of_the_session_undoes_it(tmp_path: Path, how: str) -> None:
    datastores = make_datastores(CLOUD, USERS)
    async with running_server(tmp_path, datastores=datastores), unix_client(tmp_path) as other:
        await other.greet()
        async with unix_client(tmp_path) as client:
            await client.greet()
            await tried(client)
            assert await running(client) == "77"  # the last operation is a get: no other server's scar
            if how == "close":
                assert is_ok(await client.rpc("<close-session/>"))
            if how == "kill":
                session_id = f"<session-id>{client.session_id}</session-id>"
                assert is_ok(await other.rpc(f"<kill-session>{session_id}</kill-session>"))
                assert await running(other) == OLD  # at once: the reply waits for it
        await gone(datastores)
        assert is_ok(await other.rpc(LOCK))
        assert await running(other) == OLD


async def test_with_a_persist_id_any_session_confirms(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as other:
        await other.greet()
        async with unix_client(tmp_path) as client:
            await client.greet()
            await tried(client, "<persist>one two</persist>")
            assert tag(await client.rpc("<commit/>")) == "in-use"
            assert is_ok(await client.rpc("<close-session/>"))
        assert tag(await other.rpc("<commit><persist-id>one</persist-id></commit>")) == "invalid-value"
        assert is_ok(await other.rpc("<commit><persist-id>one two</persist-id></commit>"))
        assert await running(other) == "77"


async def test_with_a_persist_id_any_session_cancels(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as other:
        await other.greet()
        async with unix_client(tmp_path) as client:
            await client.greet()
            await tried(client, "<persist>p</persist>")
        error = await other.rpc(CANCEL)
        assert (tag(error), bad_element(error)) == ("missing-element", "persist-id")
        assert tag(await other.rpc("<cancel-commit><persist-id>q</persist-id></cancel-commit>")) == "invalid-value"
        assert await running(other) == "77"
        assert is_ok(await other.rpc("<cancel-commit><persist-id>p</persist-id></cancel-commit>"))
        assert await running(other) == OLD


async def test_others_meanwhile(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client, unix_client(tmp_path) as other:
        await client.greet()
        await other.greet()
        await tried(client)
        denied = await other.rpc(LOCK)
        assert tag(denied) == "lock-denied"
        assert denied.findtext(f".//{{{xml.NETCONF}}}session-id") == str(client.session_id)
        assert tag(await other.rpc("<commit/>")) == "in-use"
        assert tag(await other.rpc(commit())) == "in-use"
        assert tag(await other.rpc(edit("running", 78))) == "in-use"
        copy = "<copy-config><target><running/></target><source><candidate/></source></copy-config>"
        assert tag(await other.rpc(copy)) == "in-use"
        assert tag(await other.rpc(CANCEL)) == "operation-failed"
        assert is_ok(await other.rpc(edit("candidate", 79)))
        assert is_ok(await client.rpc("<discard-changes/>"))
        assert is_ok(await client.rpc(LOCK))
        assert is_ok(await client.rpc("<commit/>"))
        assert await running(other) == "77"


async def test_ncclient(tmp_path: Path) -> None:
    """It offers version 1.0 only, and asks for `:confirmed-commit`."""

    def connected() -> manager.Manager:
        return manager.connect_uds(path=str(tmp_path / "netconf.sock"), timeout=20)

    def value(session: manager.Manager) -> str:
        path = "string(//hcm:keepalive-interval)"
        return str(session.get_config("running").data_ele.xpath(path, namespaces={"hcm": xml.HCM}))

    def talk() -> None:
        config = etree.fromstring(f'<r xmlns="{xml.NETCONF}">{edit("candidate", 77)}</r>')[0][-1]
        with connected() as session:
            session.edit_config(target="candidate", config=config)
            session.commit(confirmed=True, timeout="60", persist="token")
        with connected() as session:
            assert value(session) == "77"
            with pytest.raises(RPCError) as caught:
                session.cancel_commit(persist_id="other")
            assert caught.value.tag == "invalid-value"
            session.cancel_commit(persist_id="token")
            assert value(session) == OLD
            with session.locked("candidate"):
                session.edit_config(target="candidate", config=config)
                session.commit(confirmed=True, timeout="60")
                session.commit()
            assert value(session) == "77"
            session.commit(confirmed=True, persist="token")
            session.commit(persist_id="token")

    async with running_server(tmp_path):
        await asyncio.to_thread(talk)
