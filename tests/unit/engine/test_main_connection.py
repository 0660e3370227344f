"""Reading and writing the main connection, with real sockets on 127.0.0.1 and a fake cloud that behaves."""

from __future__ import annotations

import asyncio
import json

import pytest

from headstay.engine.inputs import ConnectionLost
from headstay.engine.main_connection import MOST_UNSENT, MainConnection
from headstay.engine.reasons import DeviceState, DownReason, State
from headstay.wire import AUTHENTICATE_PATH, messages

UP = lambda status: status.state is State.ESTABLISHED  # noqa: E731


async def test_keepalives_are_sent_and_answered(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        device.pass_time(181)
        assert await peer.hear() == {"type": "keepalive", "id": 1}
        device.pass_time(180)
        assert await peer.hear() == {"type": "keepalive", "id": 2}


async def test_silence_ends_it_and_the_token_brings_it_back(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.acknowledges_keepalives = False
        device, _peer = await lab.established(cloud)
        device.pass_time(541)
        status = await device.until(lambda status: UP(status) and status.established_count == 2)
        assert status.last_down_reason is DownReason.KEEPALIVE_TIMEOUT
        assert [path for _, path, _ in cloud.requests].count(AUTHENTICATE_PATH) == 1


async def test_bye_is_heard(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        await peer.send(messages.Bye("replaced-by-newer-connection"))
        status = await device.until(lambda status: status.last_down_reason)
        assert status.last_down_reason is DownReason.REPLACED_BY_NEWER_CONNECTION
        assert (status.device_state, status.server_address, status.connected_at) == (DeviceState.WAITING, None, None)
        await cloud.all_closed()
        assert peer.close_code == 1000
        device.engine.reconnect()
        await device.until(UP)


@pytest.mark.parametrize(
    ("say", "reason", "details"),
    [
        (lambda peer: peer.send("not json"), DownReason.SOCKET_ERROR, "protocol-error"),
        (lambda peer: peer.send('{"type": "open"}'), DownReason.SOCKET_ERROR, "protocol-error"),
        (lambda peer: peer.send(b"\x00"), DownReason.SOCKET_ERROR, "protocol-error"),
        (lambda peer: peer.send("x" * 70_000), DownReason.SOCKET_ERROR, "protocol-error"),
        (lambda peer: peer.close(), DownReason.CLOSED_BY_SERVER, "closed with code 1000"),
    ],
)
async def test_how_it_can_end(lab, say, reason, details) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        await say(peer)
        status = await device.until(lambda status: status.last_down_reason)
        assert (status.last_down_reason, status.last_down_details) == (reason, details)
        await device.until(UP)


async def test_a_cut_connection_comes_back_at_once(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        peer.drop()
        status = await device.until(lambda status: UP(status) and status.established_count == 2)
        assert status.last_down_reason is DownReason.SOCKET_ERROR
        assert status.last_down_details in ("the server closed the connection", "Connection reset by peer")


async def test_a_server_that_never_finishes_closing_is_left(lab, monkeypatch) -> None:
    monkeypatch.setattr("headstay.engine.websocket.CLOSE_WITHIN", 0.02)
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        peer.writer.close = lambda: None
        await peer.close()
        status = await device.until(lambda status: status.last_down_reason)
        assert status.last_down_reason is DownReason.CLOSED_BY_SERVER


async def test_unknown_messages_are_counted(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        await peer.send('{"type": "novelty", "x": 1}')
        await peer.send(messages.Open("novelty", "1", "wss://x/"))
        assert await peer.hear() == {"type": "closed", "instance": "1", "reason": "unsupported"}
        assert device.connection.unknown_messages == 1


async def test_a_flood_of_offers_is_answered_and_does_not_end_the_main_connection(lab) -> None:
    async with lab.cloud() as cloud:
        device, main = await lab.established(cloud)
        for number in range(1000):
            main.protocol.send_text(messages.encode(messages.Open("n", str(number), "x")))  # many in one slice
        await main.flush()
        assert [(await main.hear())["instance"] for _ in range(1000)] == [str(number) for number in range(1000)]
        assert UP(device.connection)


async def test_a_device_whose_answers_nobody_reads_notices_the_end(lab) -> None:
    async with lab.cloud() as cloud:
        device, main = await lab.established(cloud)
        main.writer.transport.pause_reading()
        offer = frame_of(messages.Open("novelty", "x" * 200, "wss://x/"))
        flooding = asyncio.create_task(main.flood(offer * 100))
        device.pass_time(541)
        status = await device.until(lambda status: status.last_down_reason is not None)
        assert status.last_down_reason is DownReason.KEEPALIVE_TIMEOUT
        flooding.cancel()
        main.drop()


def frame_of(message: messages.Message) -> bytes:
    text = messages.encode(message)
    return b"\x81\x7e" + len(text).to_bytes(2) + text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "bye", "reason": "\x00\x1b[31mevil"},
        {"type": "bye", "reason": "z" * 60_000},
        {"type": "bye", "reason": "server-busy", "retry-after": -1},
        {"type": "open", "service": "\x01bad", "instance": "i", "url": "wss://x/"},
        {"type": "open", "service": "telemetry", "instance": "", "url": "wss://x/"},
        {"type": "open", "service": "telemetry", "instance": "i\x02\ufffe", "url": "wss://x/"},
        {"type": "open", "service": "telemetry", "instance": "i" * 60_000, "url": "wss://x/"},
        {"type": "open", "service": "telemetry", "instance": "q", "url": "wss://localhost:1/\x01path"},
        {"type": "close", "instance": "x", "reason": "\x07"},
        {"type": "\x1b"},
    ],
)
async def test_a_message_outside_the_bounds_ends_the_connection_and_nothing_of_it_is_shown(
    lab, caplog, message
) -> None:
    async with lab.cloud() as cloud:
        device, main = await lab.established(cloud)
        await main.send(json.dumps(message))
        status = await device.until(lambda status: status.last_down_reason is not None)
        assert (status.last_down_reason, status.last_down_details) == (DownReason.SOCKET_ERROR, "protocol-error")
        assert device.engine.status().subconnections == ()
        text = caplog.text
        assert "protocol-error on the main connection" in text
        assert all(line.isprintable() and len(line) < 500 for line in text.splitlines())


async def test_a_server_for_which_too_much_waits_has_left() -> None:
    told: list[object] = []
    main = MainConnection(7, None, told.append)
    for _ in range(MOST_UNSENT // 2):
        main.send(messages.Keepalive(1))
        main.ping()
    assert told == []
    main.ping()
    assert told == [ConnectionLost(7, "the server reads nothing")]
