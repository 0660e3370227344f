"""The bounds of one WebSocket against a hostile peer, on a transport in the test's hand."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from fake_cloud import PATIENCE
from headstay.engine.http import HttpConnection
from headstay.engine.websocket import MOST_QUEUED, MOST_UNREAD_ANSWERS, SLICE, upgrade, url_of

HANDED_OVER = 128 * 1024
"""Octets that come at once. From TLS it may be twice as many."""
EMPTY, PING = b"\x81\x00", b"\x89\x00"


class Wire(asyncio.Transport):
    """A transport with a server behind it, which reads while `reads` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.server = ServerProtocol(select_subprotocol=lambda *_: Subprotocol("x"))
        self.reads = True
        self.unread = b""
        self.is_paused = False
        self.device: Any = None
        self._high = 0
        self._writing_is_paused = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.device = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 0

    def get_write_buffer_size(self) -> int:
        return len(self.unread)

    def write(self, data: Any) -> None:
        self.unread += data
        if self.reads:
            self.read()
        elif len(self.unread) > self._high and not self._writing_is_paused:
            self._writing_is_paused = True
            self.device.pause_writing()

    def read(self) -> None:
        """The peer reads all that was written."""
        data, self.unread = self.unread, b""
        self.server.receive_data(data)
        for event in self.server.events_received():
            if isinstance(event, Request):
                self.server.send_response(self.server.accept(event))
        if self._writing_is_paused:
            self._writing_is_paused = False
            self.device.resume_writing()
        self.flush()

    def flush(self) -> None:
        """What the server says goes to the device."""
        for answer in self.server.data_to_send():
            if answer:
                asyncio.get_running_loop().call_soon(self.device.data_received, answer)

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return False

    def write_eof(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        pass

    def abort(self) -> None:
        pass


@pytest.fixture
async def wire() -> Wire:
    return Wire()


@pytest.fixture
async def device(wire: Wire) -> ClientConnection:
    http = cast(HttpConnection, SimpleNamespace(release=lambda: wire))
    return await upgrade(http, url_of("wss://cloud.example/"), "x", sent=lambda: None)


def queued(device: ClientConnection) -> int:
    return len(device.recv_messages.frames)


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_flood_of_tiny_frames_is_parsed_no_further_than_the_queue_has_room(wire, device) -> None:
    wire.device.data_received(EMPTY * (HANDED_OVER // 2))
    await turns(200)
    assert MOST_QUEUED < queued(device) <= MOST_QUEUED + SLICE // 2
    assert wire.is_paused
    for _ in range(HANDED_OVER // 2):  # nothing is lost, and never is there more in the queue
        assert await device.recv() == ""
        assert queued(device) <= MOST_QUEUED + SLICE // 2
    await turns(3)
    assert not wire.is_paused


async def test_the_others_have_their_turn_while_a_flood_is_parsed(wire, device) -> None:
    wire.device.data_received(PING * (HANDED_OVER // 2))
    for _ in range(1, HANDED_OVER // SLICE):
        assert wire.is_paused
        await turns(1)
    await turns(2)
    assert not wire.is_paused


async def test_a_peer_that_pings_and_reads_nothing_is_read_no_further(wire, device) -> None:
    wire.reads = False
    pings = PING * (HANDED_OVER // 2)
    wire.device.data_received(pings)
    await turns(200)
    one_slice = SLICE // 2 * 6  # an empty pong has six octets
    assert MOST_UNREAD_ANSWERS < len(wire.unread) <= MOST_UNREAD_ANSWERS + one_slice
    assert wire.is_paused
    total = 0
    while wire.is_paused:  # it reads again: it gets the rest
        total += len(wire.unread)
        wire.read()
        await turns(200)
    assert total + len(wire.unread) == 6 * len(pings) // 2


async def test_what_came_before_the_end_counts(wire, device) -> None:
    message = "x" * (3 * SLICE)
    wire.server.send_text(message.encode())
    wire.server.send_close(1000)
    wire.device.data_received(b"".join(wire.server.data_to_send()))
    wire.device.eof_received()
    wire.device.connection_lost(None)
    assert await device.recv() == message
    with pytest.raises(ConnectionClosed) as ended:
        await device.recv()
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1000


async def test_large_messages_come_whole_and_in_order(wire, device) -> None:
    sent = [str(number) * 60_000 for number in range(10)]
    for message in sent:
        wire.server.send_text(message.encode())
    wire.device.data_received(b"".join(wire.server.data_to_send()))
    async with asyncio.timeout(PATIENCE):
        assert [await device.recv() for _ in sent] == sent
