"""All addresses of a name get their turn, also when it is TLS that fails or stalls at one, with real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from fake_cloud import FakeCloud
from headstay.engine import dial, race
from headstay.engine.dial import TlsFailed, target_of
from headstay.engine.inputs import AddressInfo
from headstay.engine.reasons import FailureReason, State
from headstay.engine.settings import Server
from headstay.engine.tls import TlsContexts

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


def at(port: int, host: str = "127.0.0.1") -> AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


class Listener:
    """Takes TCP connections, and does with them what the test wants."""

    def __init__(self, serve: Serve, host: str = "127.0.0.1") -> None:
        self.accepted = asyncio.Event()
        self.ended = asyncio.Event()
        self.address: AddressInfo = at(0, host)
        self._host = host
        self._serve = serve

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.set()
        try:
            await self._serve(reader, writer)
        finally:
            writer.transport.abort()
            self.ended.set()


@contextlib.asynccontextmanager
async def listener(serve: Serve, host: str = "127.0.0.1") -> AsyncIterator[Listener]:
    listening = Listener(serve, host)
    server = await asyncio.start_server(listening._accept, host, 0)
    listening.address = at(server.sockets[0].getsockname()[1], host)
    try:
        yield listening
    finally:
        server.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take everything and say nothing until the client has gone."""
    while await reader.read(65536):
        pass


async def speaks_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(16)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await reader.read()


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(16)


async def reached(lab, cloud: FakeCloud, *addresses: AddressInfo) -> list[str]:
    """Dial; return where TCP stood, in order. What was dialled is closed."""
    seen: list[str] = []
    target = target_of(cloud.host, cloud.port)
    connection = await dial.dial(target, addresses, lab.settings(cloud), TlsContexts(), seen.append)
    assert connection.reusable
    connection.abort()
    return seen


@pytest.fixture
def patient(monkeypatch):
    """Whoever waits here for another address to become late would wait too long."""
    monkeypatch.setattr(race, "HANDSHAKE_PATIENCE", 60.0)
    monkeypatch.setattr(race, "HAPPY_EYEBALLS_DELAY", 60.0)


async def test_one_handshake_is_made_where_the_first_address_is_good(lab, monkeypatch) -> None:
    monkeypatch.setattr(race, "HAPPY_EYEBALLS_DELAY", 60.0)
    async with lab.cloud() as cloud, listener(silent) as other:
        assert await reached(lab, cloud, at(cloud.port), other.address) == ["127.0.0.1"]
        assert not other.accepted.is_set()
        assert cloud.accepted == 1


async def test_a_handshake_that_stalls_is_not_waited_for_alone(lab, monkeypatch) -> None:
    monkeypatch.setattr(race, "HANDSHAKE_PATIENCE", 0.01)
    async with lab.cloud() as cloud, listener(silent) as first:
        assert len(await reached(lab, cloud, first.address, at(cloud.port))) == 2
        await first.ended.wait()


@pytest.mark.parametrize("serve", [speaks_http, resets])
async def test_a_handshake_that_fails_is_followed_by_the_next_address_at_once(lab, patient, serve) -> None:
    async with lab.cloud() as cloud, listener(serve) as first, listener(serve) as second:
        assert len(await reached(lab, cloud, first.address, second.address, at(cloud.port))) == 3


async def test_a_certificate_that_is_not_accepted_is_followed_by_the_next_address(lab, patient) -> None:
    async with lab.cloud(lab.authority.issue("other.example")) as wrong, lab.cloud() as cloud:
        assert len(await reached(lab, cloud, at(wrong.port), at(cloud.port))) == 2


async def test_a_slow_handshake_may_still_win(lab, monkeypatch) -> None:
    """The second address is dialled beside it and fails; the first then comes to its end."""
    monkeypatch.setattr(race, "HANDSHAKE_PATIENCE", 0.01)
    context = lab.context()

    waiting = socket.create_server(("127.0.0.1", 0))
    waiting.setblocking(False)

    async def accept() -> None:
        loop = asyncio.get_running_loop()
        sock, _ = await loop.sock_accept(waiting)
        await second.ended.wait()  # what the client has said waits in the kernel
        await loop.connect_accepted_socket(asyncio.Protocol, sock, ssl=context)

    async with lab.cloud() as cloud, listener(resets) as second:
        accepting = asyncio.create_task(accept())
        assert len(await reached(lab, cloud, at(waiting.getsockname()[1]), second.address)) == 2
        await accepting
        assert cloud.accepted == 0
    waiting.close()


async def test_the_most_telling_failure_is_told_with_its_address(lab, patient) -> None:
    async with (
        listener(resets) as first,
        lab.cloud(lab.authority.issue("other.example")) as second,
        listener(speaks_http) as third,
    ):
        addresses = (first.address, at(second.port), third.address)
        with pytest.raises(TlsFailed) as failed:
            await reached(lab, second, *addresses)
        assert failed.value.failure.reason is FailureReason.CERTIFICATE_NAME_MISMATCH
        assert failed.value.address is addresses[1]


async def test_a_failed_handshake_tells_more_than_a_dead_address(lab, patient) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.2", 0))
        async with lab.cloud() as cloud, listener(speaks_http) as first:
            with pytest.raises(TlsFailed) as failed:
                await reached(lab, cloud, first.address, at(held.getsockname()[1], "127.0.0.2"))
        assert failed.value.failure.reason is FailureReason.HTTP_INTERCEPTED


async def test_a_failure_is_told_although_another_address_stays_silent(lab, monkeypatch, patient) -> None:
    monkeypatch.setattr(race, "SPEAK_WITHIN", 0.05)
    async with lab.cloud(lab.authority.issue("other.example")) as wrong, listener(silent) as mute:
        with pytest.raises(TlsFailed) as failed:
            await reached(lab, wrong, at(wrong.port), mute.address)
        assert failed.value.failure.reason is FailureReason.CERTIFICATE_NAME_MISMATCH
        await mute.ended.wait()


async def test_both_times_are_told_of_the_address_that_failed(lab, patient) -> None:
    old = lab.authority.issue("127.0.0.1", start=timedelta(days=-2), end=timedelta(days=-1))
    async with lab.cloud(old) as first, listener(speaks_http) as second:
        with pytest.raises(TlsFailed) as failed:
            await reached(lab, first, second.address, at(first.port))
        assert failed.value.failure.reason is FailureReason.CERTIFICATE_NOT_VALID_NOW
        assert "is valid from" in str(failed.value.failure.details)


async def test_cancelling_closes_every_connection(lab, monkeypatch) -> None:
    monkeypatch.setattr(race, "HANDSHAKE_PATIENCE", 0.01)
    async with lab.cloud() as cloud, listener(silent) as first, listener(silent) as second:
        dialling = asyncio.create_task(reached(lab, cloud, first.address, second.address))
        await second.accepted.wait()
        dialling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await dialling
        await first.ended.wait()
        await second.ended.wait()


async def test_ipv6_that_takes_tcp_and_no_tls_does_not_keep_ipv4_away(lab, monkeypatch, patient) -> None:
    """The whole engine: a name whose IPv6 address leads to something else."""
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("there is no ::1 here")
    other.close()
    async with lab.cloud(host="localhost") as cloud, listener(resets, "::1") as first:

        def both(host, port, *_, **__):
            return [first.address, at(cloud.port)]

        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", both)
            device = lab.device(lab.settings(cloud, servers=(Server("localhost", cloud.port),)))
            status = await device.until(lambda status: status.state is State.ESTABLISHED)
        assert (status.server_address, status.attempts) == ("127.0.0.1", 1)
        assert first.accepted.is_set()
