"""Who is removed from the users loses access: sessions and connections over SSH end, and others stay."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest
from lxml import etree

from fakes_netconf import (
    CLOUD,
    NC,
    OnePassword,
    RawClient,
    is_ok,
    make_datastores,
    running_server,
    ssh_client,
    ssh_connection,
    tag,
    unix_client,
)
from headstay import device, xml
from headstay.datastore import access, passwords
from headstay.datastore.name import Name
from headstay.datastore.stores import Datastores
from headstay.netconf.notifications import Notifications
from headstay.netconf.server import NetconfServer

LOCAL_USER = pwd.getpwuid(os.geteuid()).pw_name
NAMES = ("admin", "kim", LOCAL_USER)
LOCK = "<lock><target><running/></target></lock>"
GET_CONFIG = (
    f'<get-config><source><running/></source><filter><cloud-management xmlns="{xml.HCM}"/></filter></get-config>'
)
EVENTS = f'<create-subscription xmlns="{xml.NOTIFICATION}"/>'


def users(*entries: str) -> str:
    return f'<system xmlns="{xml.SYSTEM}"><authentication>{"".join(entries)}</authentication></system>'


def user(name: str, content: str = "") -> str:
    return f"<user><name>{name}</name>{content}</user>"


def removed(name: str) -> str:
    return f'<user xmlns:nc="{xml.NETCONF}" nc:operation="delete"><name>{name}</name></user>'


def edit(content: str, target: str = "running") -> str:
    return f"<edit-config><target><{target}/></target><config>{content}</config></edit-config>"


class Users(OnePassword):
    """The users of running; they share one password. `verifying` is awaited before it is found right."""

    def __init__(self, datastores: Datastores) -> None:
        super().__init__()
        self.datastores = datastores
        self.verifying = asyncio.Event()
        self.verifying.set()
        self.asked = asyncio.Event()

    async def verify_password(self, user: str, password: str) -> bool:
        known = self.knows(user)
        self.asked.set()
        await self.verifying.wait()
        return known and await super().verify_password(user, password)

    def knows(self, user: str) -> bool:
        return access.knows(self.datastores.read(Name.RUNNING), user)


class Bench:
    """A server that hears of its users as the daemon's does."""

    def __init__(self, server: NetconfServer, authenticator: Users) -> None:
        self.server = server
        self.users = authenticator

    def running(self) -> etree._Element:
        return self.users.datastores.read(Name.RUNNING)

    @asynccontextmanager
    async def session(self, name: str) -> AsyncIterator[RawClient]:
        async with ssh_connection(self.server, username=name) as connection:
            yield await (await ssh_client(connection)).greet()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    told = device._Told(Notifications())
    datastores = make_datastores(CLOUD, users(*map(user, NAMES)), observe=told.of_datastores)
    authenticator = Users(datastores)
    async with running_server(
        tmp_path, datastores=datastores, authenticator=authenticator, notifications=told.notifications
    ) as server:
        told.ends_sessions_with(server.end_sessions_of)
        yield Bench(server, authenticator)


async def answers(client: RawClient) -> bool:
    return tag(await client.rpc(GET_CONFIG)) is None


async def end_of_session(client: RawClient, name: str) -> str | None:
    """The reason for which the next session of this user to end has ended, as a subscriber is told."""
    while True:
        event = (await client.message())[1]
        found = {xml.local_name(leaf): leaf.text for leaf in event}
        if xml.local_name(event) == "netconf-session-end" and found["username"] == name:
            return found["termination-reason"]


async def test_the_sessions_of_a_removed_user_end_and_no_others(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        bench.session("admin") as admin,
        bench.session("kim") as kim,
        bench.session("kim") as second,
        unix_client(tmp_path) as subscriber,
    ):
        await subscriber.greet()
        assert is_ok(await subscriber.rpc(EVENTS))
        assert is_ok(await admin.rpc(edit(users(removed("kim")), "candidate")))
        assert await answers(kim)  # nothing is in force yet
        assert is_ok(await admin.rpc("<commit/>"))
        assert await kim.closed()
        assert await second.closed()
        assert await end_of_session(subscriber, "kim") == "other"
        assert await answers(admin)
    assert "the user 'kim' is no more; a connection from 127.0.0.1 ends" in caplog.text
    with pytest.raises(asyncssh.PermissionDenied):
        async with bench.session("kim"):
            pass


async def test_who_removes_itself_is_answered_and_can_do_nothing_more(bench: Bench) -> None:
    config = f'<cloud-management xmlns="{xml.HCM}"><keepalive-interval>77</keepalive-interval></cloud-management>'
    async with bench.session("kim") as witness, ssh_connection(bench.server) as connection:
        client, second = [await (await ssh_client(connection)).greet() for _ in range(2)]
        rpcs = [f'<rpc {NC} message-id="{n}">{edit(c)}</rpc>' for n, c in ((1, users(removed("admin"))), (2, config))]
        for rpc in rpcs:
            client.send(rpc)
        assert is_ok(await client.message())
        assert await client.closed()
        assert await second.closed()
        await asyncio.wait_for(connection.wait_closed(), 10)
        assert (await witness.rpc(GET_CONFIG)).findtext(f".//{{{xml.HCM}}}keepalive-interval") == "60"


async def test_a_user_whose_password_or_keys_change_keeps_the_session(bench: Bench) -> None:
    key = "<authorized-key><name>k</name><algorithm>ssh-ed25519</algorithm><key-data>AAAA</key-data></authorized-key>"
    async with bench.session("admin") as admin, bench.session("kim") as kim:
        assert is_ok(await admin.rpc(edit(users(user("kim", f"<password>$6$salt${'a' * 86}</password>{key}")))))
        assert await answers(kim)
        replaced = f'<user xmlns:nc="{xml.NETCONF}" nc:operation="replace"><name>kim</name></user>'
        assert is_ok(await admin.rpc(edit(users(replaced))))
        assert await answers(kim)


async def test_the_local_sockets_users_are_the_systems(bench: Bench, tmp_path: Path) -> None:
    async with bench.session("admin") as admin, unix_client(tmp_path) as local:
        await local.greet()
        assert is_ok(await admin.rpc(edit(users(removed(LOCAL_USER)))))
        assert await answers(local)


@pytest.mark.parametrize("end", ["<cancel-commit/>", "<close-session/>"])
async def test_a_user_whom_a_confirmed_commit_brought_ends_with_it(bench: Bench, end: str) -> None:
    async with bench.session("admin") as admin:
        assert is_ok(await admin.rpc(edit(users(user("new"), removed("kim")), "candidate")))
        assert is_ok(await admin.rpc("<commit><confirmed/></commit>"))
        async with bench.session("new") as new:
            assert is_ok(await admin.rpc(end))
            assert await new.closed()
    async with bench.session("kim") as kim:  # back again
        assert await answers(kim)


async def test_a_connection_without_a_session_ends_too(bench: Bench) -> None:
    async with bench.session("admin") as admin, ssh_connection(bench.server, username="kim") as connection:
        assert is_ok(await admin.rpc(edit(users(removed("kim")))))
        await asyncio.wait_for(connection.wait_closed(), 10)


@pytest.mark.parametrize("known", [0, 1])
async def test_no_session_begins_on_a_connection_that_stands_for_a_last_reply(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, known: int
) -> None:
    """The user goes before the channel is opened, or before its subsystem is started."""
    async with ssh_connection(bench.server) as connection:
        answers = iter([True] * known)
        monkeypatch.setattr(bench.users, "knows", lambda _: next(answers, False))
        with pytest.raises((asyncssh.ChannelOpenError, asyncssh.ConnectionLost, asyncssh.DisconnectError)) as caught:
            await ssh_client(connection)
        assert known or "no such user" in str(caught.value)
        if known:  # the connection ends with the channel that was refused
            await asyncio.wait_for(connection.wait_closed(), 10)


async def test_who_is_removed_while_a_password_is_verified_does_not_get_in(bench: Bench) -> None:
    async with bench.session("admin") as admin:
        bench.users.asked.clear()
        bench.users.verifying.clear()

        async def log_in() -> None:
            with contextlib.suppress(asyncssh.Error, ConnectionError):
                async with ssh_connection(bench.server, username="kim") as connection:
                    await connection.wait_closed()

        coming = asyncio.create_task(log_in())
        await asyncio.wait_for(bench.users.asked.wait(), 10)
        assert is_ok(await admin.rpc(edit(users(removed("kim")))))
        bench.users.verifying.set()
        await asyncio.wait_for(coming, 10)


@pytest.mark.parametrize("waits", [True, False], ids=["client waits", "client has gone"])
async def test_what_a_removed_user_asked_for_before_does_not_come_into_force_after(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    hashing, go_on = asyncio.Event(), asyncio.Event()

    async def hashed(_password: str) -> str:
        hashing.set()
        await go_on.wait()
        return passwords.NOBODY

    monkeypatch.setattr(passwords, "hashed", hashed)
    async with unix_client(tmp_path) as subscriber, unix_client(tmp_path) as root:
        for client in (subscriber, root):
            await client.greet()
        assert is_ok(await subscriber.rpc(EVENTS))
        async with bench.session("admin") as admin:
            back_door = users(user("back-door", "<password>$0$secret</password>"))
            admin.send(f'<rpc {NC} message-id="1">{edit(back_door)}</rpc>')
            await asyncio.wait_for(hashing.wait(), 10)
            if not waits:
                admin.writer.close()
                await asyncio.wait_for(admin.writer.wait_closed(), 10)
            assert is_ok(await root.rpc(edit(users(removed("admin")))))
            go_on.set()
            # It is reported as ended only when its last operation has ended.
            await end_of_session(subscriber, "admin")
        names = [name.text for name in bench.running().iter(f"{{{xml.SYSTEM}}}name")]
        assert "back-door" not in names
        assert "kim" in names
