from __future__ import annotations

import asyncio

from headstay.cloud.heads import HeadTimers


class Inner(asyncio.Protocol):
    """Notes what reaches it."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def eof_received(self) -> bool:
        self.heard.append("eof")
        return True

    def pause_writing(self) -> None:
        self.heard.append("pause")

    def resume_writing(self) -> None:
        self.heard.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(exc)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.closed = asyncio.Event()

    def close(self) -> None:
        self.closed.set()


async def test_everything_is_passed_on() -> None:
    inner = Inner()
    timers = HeadTimers(lambda: inner, 60.0)
    timer = timers()
    timer.connection_made(Transport())
    timer.data_received(b"x")
    timer.pause_writing()
    timer.resume_writing()
    assert timer.eof_received() is True
    timer.connection_lost(None)
    assert inner.heard == ["made", b"x", "pause", "resume", "eof", None]


async def test_silent_connection_is_closed() -> None:
    transport = Transport()
    HeadTimers(Inner, 0.0)().connection_made(transport)
    await asyncio.wait_for(transport.closed.wait(), 10)


async def test_stopped_or_lost_connection_is_not_closed() -> None:
    transports = [Transport(), Transport()]
    timers = HeadTimers(Inner, 0.0)
    handled, lost = timers(), timers()
    handled.connection_made(transports[0])
    handled.stop()
    lost.connection_made(transports[1])
    lost.connection_lost(None)
    lost.start()
    other = Transport()
    HeadTimers(Inner, 0.0)().connection_made(other)
    await other.closed.wait()
    assert not any(transport.closed.is_set() for transport in transports)
