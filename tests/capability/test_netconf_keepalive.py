"""Clients that say nothing: asked whether they are there, kept if they answer, dropped if they do not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest
from asyncssh.packet import SSHPacket

from fakes_netconf import is_ok, running_server, ssh_client, ssh_connection, unix_client
from headstay.netconf import ssh

LOCK = "<lock><target><running/></target></lock>"
PATIENCE = 20
ASKED = "_process_keepalive_at_openssh_dot_com_global_request"
"""asyncssh's method that is called when a client is asked."""


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "_KEEPALIVE", 0.02)


def when_asked(monkeypatch: pytest.MonkeyPatch, react: Callable[[asyncssh.SSHConnection, SSHPacket], None]) -> None:
    monkeypatch.setattr(asyncssh.SSHClientConnection, ASKED, react)


@pytest.mark.usefixtures("soon")
async def test_a_silent_client_that_answers_keeps_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    often, times = asyncio.Event(), 0
    answer = getattr(asyncssh.SSHClientConnection, ASKED)

    def asked(connection: asyncssh.SSHConnection, packet: SSHPacket) -> None:
        nonlocal times
        times += 1
        if times > 5:  # more often than a client is asked that does not answer
            often.set()
        answer(connection, packet)

    when_asked(monkeypatch, asked)
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await ssh_client(connection)
        await client.greet()
        await asyncio.wait_for(often.wait(), PATIENCE)
        assert is_ok(await client.rpc(LOCK))


@pytest.mark.usefixtures("soon")
async def test_a_client_that_answers_nothing_loses_its_session_and_its_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    when_asked(monkeypatch, lambda *_: None)
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await ssh_client(connection)
        await client.greet()
        assert is_ok(await client.rpc(LOCK))
        await asyncio.wait_for(connection.wait_closed(), PATIENCE)
        async with unix_client(tmp_path) as other:
            await other.greet()
            assert is_ok(await other.rpc(LOCK))


async def test_keepalives_are_sent_only_while_nothing_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[float] = []
    monkeypatch.setattr(asyncssh.SSHServerConnection, "set_keepalive", lambda _, interval: chosen.append(interval))
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await ssh_client(connection)
        await client.greet()
        [listener] = [part for part in vars(server).values() if isinstance(part, ssh.SshListener)]
        [end] = listener._doors.connections
        end.listen_for_silence()
        assert chosen == []
        end.listen_for_silence()
        assert chosen == [ssh._KEEPALIVE]
        end.listen_for_silence()
        assert chosen == [ssh._KEEPALIVE]  # setting it again would make it begin anew, so that it never came
        await client.rpc(LOCK)
        end.listen_for_silence()
        assert chosen == [ssh._KEEPALIVE, 0]
