from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMsgType

from headstay.cloud.limits import Limits
from headstay.cloud.links import Link
from headstay.wire.messages import TO_CLOUD, Bye, Keepalive, KeepaliveAck


class Socket:
    """Behaves like aiohttp's WebSocketResponse whose peer reads while `reads` is set."""

    def __init__(self, *frames: tuple[WSMsgType, Any]) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.lost = False
        self.sent: list[str] = []
        self.closed_with: int | None = None
        self._frames = frames

    async def send_str(self, text: str) -> None:
        await self.reads.wait()
        if self.lost:
            raise ConnectionResetError
        self.sent.append(text)

    async def close(self, code: int) -> None:
        await self.reads.wait()
        self.closed_with = code

    async def __aiter__(self) -> AsyncIterator[SimpleNamespace]:
        for type_, data in self._frames:
            yield SimpleNamespace(type=type_, data=data)


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


def link_of(socket: Socket, transport: Transport, **limits: Any) -> Link:
    made = Link("sw-1", socket, transport, Limits(**limits))  # type: ignore[arg-type]
    made.start()
    return made


async def test_messages_are_sent_in_order_before_the_close() -> None:
    socket, transport = Socket(), Transport()
    link = link_of(socket, transport)
    link.post(KeepaliveAck(1))
    await link.flushed()
    assert socket.sent == ['{"type":"keepalive-ack","id":1}']
    link.post(KeepaliveAck(2))
    link.end(1000, Bye("unbound"))
    link.end(1001, Bye("closed-by-server"))
    link.post(KeepaliveAck(3))
    await link.ended()
    assert socket.sent[1:] == ['{"type":"keepalive-ack","id":2}', '{"type":"bye","reason":"unbound"}']
    assert (socket.closed_with, transport.aborted) == (1000, False)


async def test_peer_that_is_too_far_behind_is_cut() -> None:
    socket, transport = Socket(), Transport()
    link = link_of(socket, transport, outbox=2, goodbye=0.0)
    socket.reads.clear()
    for number in range(3):
        link.post(KeepaliveAck(number))
    assert transport.aborted
    link.post(KeepaliveAck(9))
    await asyncio.wait_for(link.flushed(), 10)
    await link.ended()
    assert socket.sent == []


async def test_goodbye_that_nobody_reads_ends_with_a_cut() -> None:
    socket, transport = Socket(), Transport()
    link = link_of(socket, transport, goodbye=0.0)
    socket.reads.clear()
    link.end(1000, Bye("unbound"))
    await asyncio.wait_for(link.ended(), 10)
    assert transport.aborted


async def test_connection_lost_while_sending() -> None:
    socket, transport = Socket(), Transport()
    link = link_of(socket, transport)
    socket.lost = True
    link.post(KeepaliveAck(1))
    await asyncio.wait_for(link.flushed(), 10)
    assert transport.aborted
    link.post(KeepaliveAck(2))
    await asyncio.wait_for(link.flushed(), 10)
    await link.ended()


async def test_peer_that_sends_too_fast_is_read_no_further() -> None:
    frames = [(WSMsgType.TEXT, f'{{"type":"keepalive","id":{number}}}') for number in range(10)]
    link = link_of(Socket(*frames), Transport(), messages_per_second=0.001, messages_at_once=3)
    read = []

    async def read_all() -> None:
        async for message in link.messages(TO_CLOUD):
            read.append(message)

    reading = asyncio.create_task(read_all())
    for _ in range(200):
        await asyncio.sleep(0)
    assert read == [Keepalive(0), Keepalive(1), Keepalive(2)]
    reading.cancel()
    await asyncio.wait([reading])
    await link.ended()


async def test_the_others_have_their_turn_after_each_message() -> None:
    frames = [(WSMsgType.TEXT, '{"type":"novelty"}')] * 100
    link = link_of(Socket(*frames), Transport())
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    assert len([message async for message in link.messages(TO_CLOUD)]) == 100
    assert turns >= 100
    counting.cancel()
    await asyncio.wait([counting])
    await link.ended()


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ((WSMsgType.BINARY, b"{}"), 1003),
        ((WSMsgType.TEXT, "{"), 1008),
        ((WSMsgType.ERROR, ValueError("too large")), 1000),
    ],
)
async def test_what_the_wire_does_not_allow_ends_it(wrong: tuple[WSMsgType, Any], code: int) -> None:
    good = (WSMsgType.TEXT, '{"type":"keepalive","id":1}')
    socket = Socket(good, wrong, good)
    link = link_of(socket, Transport())
    assert [message async for message in link.messages(TO_CLOUD)] == [Keepalive(1)]
    await link.ended()
    assert socket.closed_with == code
