""":startup, where `device.toml` enables it: what a client can do with it (RFC 6241 section 8.7).

That a reboot loads it is shown in tests/unit/datastore/test_boot.py, what a crash leaves in tests/end_to_end.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from fakes_netconf import CLOUD, USERS, RawClient, is_ok, make_datastores, running_server, tag, unix_client
from headstay import xml
from headstay.netconf.server import NetconfServer

SAVE = "<copy-config><target><startup/></target><source><running/></source></copy-config>"
DELETE = "<delete-config><target><startup/></target></delete-config>"
LOAD = "<copy-config><target><running/></target><source><startup/></source></copy-config>"


def edit(target: str, seconds: int) -> str:
    config = f'<cloud-management xmlns="{xml.HCM}"><ping-interval>{seconds}</ping-interval></cloud-management>'
    return f"<edit-config><target><{target}/></target><config>{config}</config></edit-config>"


async def interval(client: RawClient, datastore: str) -> str | None:
    reply = await client.rpc(f"<get-config><source><{datastore}/></source></get-config>")
    assert tag(reply) is None
    return reply.findtext(f".//{{{xml.HCM}}}ping-interval")


def with_startup(directory: Path) -> AbstractAsyncContextManager[NetconfServer]:
    return running_server(directory, datastores=make_datastores(CLOUD, USERS, with_startup=True))


async def test_it_is_announced_only_where_there_is_one(tmp_path: Path) -> None:
    for server, announced in ((running_server(tmp_path), False), (with_startup(tmp_path), True)):
        async with server, unix_client(tmp_path) as client:
            await client.greet()
            uris = [uri.text or "" for uri in client.server_hello.iter(f"{{{xml.NETCONF}}}capability")]
            assert any(uri.endswith(":startup:1.0") for uri in uris) is announced
            assert is_ok(await client.rpc(SAVE)) is announced


async def test_a_commit_does_not_save(tmp_path: Path) -> None:
    async with with_startup(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(SAVE))
        assert is_ok(await client.rpc(edit("running", 33)))
        assert (await interval(client, "running"), await interval(client, "startup")) == ("33", None)
        assert is_ok(await client.rpc(SAVE))
        assert await interval(client, "startup") == "33"


async def test_what_was_saved_can_be_loaded_and_deleted(tmp_path: Path) -> None:
    async with with_startup(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(edit("running", 33)))
        assert is_ok(await client.rpc(SAVE))
        assert is_ok(await client.rpc(edit("running", 34)))
        assert is_ok(await client.rpc(LOAD))
        assert await interval(client, "running") == "33"
        assert is_ok(await client.rpc(DELETE))
        assert await interval(client, "startup") is None
        assert await interval(client, "running") == "33"
        assert is_ok(await client.rpc(DELETE))  # to be without one is what was asked for


async def test_it_is_no_target_of_an_edit(tmp_path: Path) -> None:
    """Section 8.7.5: only copy-config, delete-config, lock and validate know it."""
    async with with_startup(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert tag(await client.rpc(edit("startup", 33))) == "unknown-element"
        assert is_ok(await client.rpc(SAVE))
        assert is_ok(await client.rpc("<validate><source><startup/></source></validate>"))
        assert is_ok(await client.rpc("<lock><target><startup/></target></lock>"))


async def test_the_candidate_is_saved_under_its_own_lock(tmp_path: Path) -> None:
    """Ansible's `save` does it."""
    async with with_startup(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc("<lock><target><candidate/></target></lock>"))
        assert is_ok(await client.rpc(edit("candidate", 33)))
        assert is_ok(await client.rpc("<commit/>"))
        copy = "<copy-config><target><startup/></target><source><candidate/></source></copy-config>"
        assert is_ok(await client.rpc(copy))
        assert await interval(client, "startup") == "33"


async def test_a_confirmed_commit_that_was_saved_stays_saved(tmp_path: Path) -> None:
    """What is undone is running; whoever copied it to startup has said that the next boot shall have it."""
    async with with_startup(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(edit("candidate", 33)))
        assert is_ok(await client.rpc("<commit><confirmed/></commit>"))
        assert is_ok(await client.rpc(SAVE))
        assert is_ok(await client.rpc("<cancel-commit/>"))
        assert (await interval(client, "running"), await interval(client, "startup")) == (None, "33")
