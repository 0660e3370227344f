"""What an SSH client sends in many packets, closes in the middle, or does not read."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from fakes_netconf import is_ok, running_server, ssh_client, ssh_connection, unix_client
from headstay.netconf import connection as connections
from headstay.netconf.framing import Framing, frame
from headstay.netconf.ssh import SshListener

GET = "<get-config><source><running/></source></get-config>"
LOCK = "<lock><target><candidate/></target></lock>"
RPC = '<rpc xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" message-id="1">%s</rpc>'
PATIENCE = 20


def framed(operation: str) -> bytes:
    return frame((RPC % operation).encode(), Framing.CHUNKED)


@pytest.mark.parametrize("operation", [GET, "<unknown/>"])
async def test_a_client_that_sends_hundreds_of_packets_gets_turns_like_everybody(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncssh takes apart hundreds of packets in one go."""
    turn, executed = 0, Counter[int]()
    outcome = connections.Connection._outcome

    def counted(self: connections.Connection, rpc: Any) -> Any:
        executed[turn] += 1
        return outcome(self, rpc)

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(connections.Connection, "_outcome", counted)
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await ssh_client(connection)
        await client.greet()
        counting = asyncio.create_task(count())
        for _ in range(300):
            client.writer.write(framed(operation))
        for _ in range(300):
            await client.message()
        counting.cancel()
    assert sum(executed.values()) == 300
    assert max(executed.values()) <= 2  # the first one at once, and one that waited


async def test_a_channel_that_is_closed_while_it_is_not_read_from_gives_its_locks_back(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await ssh_client(connection)
        await client.greet()
        assert is_ok(await client.rpc(LOCK))
        for _ in range(1000):
            client.writer.write(framed("<get/>"))
        client.writer.channel.abort()
        async with unix_client(tmp_path) as other, asyncio.timeout(PATIENCE):
            await other.greet()
            while not is_ok(await other.rpc(LOCK)):
                pass


async def test_a_client_with_a_large_window_that_does_not_read_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its window never fills up; only its socket does."""
    paused = asyncio.Event()
    pause = connections.Connection.pause_writing

    def noted(self: connections.Connection) -> None:
        pause(self)
        paused.set()

    monkeypatch.setattr(connections.Connection, "pause_writing", noted)
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        channel, _ = await connection.create_session(
            asyncssh.SSHClientSession, subsystem="netconf", encoding=None, window=1 << 30
        )
        channel.write(frame(b"<hello xmlns='urn:ietf:params:xml:ns:netconf:base:1.0'><capabilities><capability>"
                            b"urn:ietf:params:netconf:base:1.1</capability></capabilities></hello>",
                            Framing.END_OF_MESSAGE))  # fmt: skip
        connection._transport.pause_reading()  # type: ignore[union-attr]
        async with asyncio.timeout(PATIENCE):
            while not paused.is_set():
                channel.write(framed("<get/>"))
                await asyncio.sleep(0)
        connection.abort()


async def test_a_channel_that_is_opened_while_nothing_can_be_sent_is_not_read_from(tmp_path: Path) -> None:
    """asyncssh begins to read once a session has started, whatever it was told before."""
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        await (await ssh_client(connection)).greet()
        [listener] = [part for part in vars(server).values() if isinstance(part, SshListener)]
        [end] = listener._doors.connections
        end._regulated(False)
        client = await ssh_client(connection)
        [channel] = [channel for channel in end._channels if channel.session_id == 2]
        for _ in range(10):
            await asyncio.sleep(0)
        assert channel._channel is not None
        assert channel._connection is not None
        assert not channel._connection.writable
        assert channel._channel._recv_paused is True
        end._regulated(True)
        await client.greet()
        assert is_ok(await client.rpc(LOCK))
