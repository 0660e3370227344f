"""A channel between a service and a WebSocket in the test's hand; with real sockets, `test_runner` tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.frames import Close

from fake_cloud import PATIENCE
from fake_service import Echo
from headstay.engine.channel import READ_RATE, Channel, Traffic
from headstay.engine.effects import OpenSubconnection
from headstay.engine.inputs import OfAttempt, SubconnectionEnded, SubconnectionOpened
from headstay.engine.instant import Instant
from headstay.engine.reasons import SubconnectionState
from headstay.engine.settings import Service, Settings
from headstay.engine.status import SubconnectionStatus
from headstay.engine.subconnection import Elapsed, Lost, Opened, ServiceEffect, ServiceInput, Tuned, Woken
from headstay.engine.tls import TlsContexts

ESTABLISHED = SubconnectionStatus(service="s", instance="1", state=SubconnectionState.ESTABLISHED, established_at=1.0)
READ_AT_ONCE = READ_RATE // 10
UNLIMITED = Service("echo")


class Socket:
    """Behaves like a WebSocket whose peer has sent `incoming`, and reads while `reads` is set."""

    def __init__(self, *incoming: str | bytes) -> None:
        self.incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        for data in incoming:
            self.incoming.put_nowait(data)
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent: list[str | bytes] = []
        self.transport = SimpleNamespace(abort=lambda: None)

    async def recv(self) -> str | bytes:
        data = await self.incoming.get()
        if data is None:
            raise ConnectionClosedOK(Close(1000, ""), Close(1000, ""), rcvd_then_sent=True)
        return data

    async def send(self, data: str | bytes) -> None:
        await self.reads.wait()
        self.sent.append(data)

    async def close(self, code: int, reason: str) -> None:
        pass


class Bench:
    """A channel, its service, its socket, and a clock that stands still unless the test moves it."""

    def __init__(self, core: Echo, socket: Socket, limits: Service) -> None:
        self.core = core
        self.socket = socket
        self.now = 1000.0
        self.told: list[OfAttempt] = []
        opening = OpenSubconnection(1, "1", limits.name, "wss://x.example/", limits)
        self.channel = Channel(opening, core, lambda: Instant(self.now, 1e9 + self.now))
        self.task = asyncio.create_task(self.channel.run(Settings(), TlsContexts(), self.told.append))

    async def until(self, what: Callable[[], bool]) -> None:
        """Wait until it is so."""
        async with asyncio.timeout(PATIENCE):
            while not what():  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0)

    async def turns(self, count: int = 200) -> None:
        """Let everybody have that many turns: whatever could happen without time has happened then."""
        for _ in range(count):
            await asyncio.sleep(0)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[object]:
    benches: list[Bench] = []

    def make(core: Echo, socket: Socket, limits: Service = UNLIMITED) -> Bench:
        async def opened(*_: object) -> Socket:
            return socket

        monkeypatch.setattr("headstay.engine.channel.open_subconnection", opened)
        benches.append(Bench(core, socket, limits))
        return benches[-1]

    yield make
    for each in benches:
        each.task.cancel()
        await asyncio.wait([each.task])


def numbered(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


async def test_the_service_hears_its_limits_before_anything_else_and_the_end_last(bench) -> None:
    slow = Service("echo", queue_limit=3)
    on = bench(Echo(), Socket(*numbered(5)), slow)
    await on.until(lambda: on.socket.sent == numbered(5))
    on.channel.wake()
    await on.until(lambda: len(on.core.given) == 3)
    narrow = Service("echo", queue_limit=2)
    on.channel.tune(narrow)
    await on.until(lambda: len(on.core.given) == 4)
    on.socket.incoming.put_nowait(None)
    await on.task
    assert on.core.given == [Tuned(slow), Opened(), Woken(), Tuned(narrow), Lost()]
    assert on.told == [SubconnectionOpened(1, "1"), SubconnectionEnded(1, "1", None)]


async def test_what_breaks_the_services_rules_ends_it(bench) -> None:
    on = bench(Echo(), Socket(b"1", "text", b"2"))
    await on.task
    assert on.told[-1] == SubconnectionEnded(1, "1", "a text message")
    assert on.core.received == 1


# sending --------------------------------------------------------------------------------------------


async def test_nothing_is_sent_faster_than_the_rate_limit(bench) -> None:
    on = bench(Echo(), Socket(*numbered(40)), Service("echo", rate_limit=50))
    for already in (5, 10, 15):
        await on.until(lambda: len(on.socket.sent) == already)  # noqa: B023 (it is awaited here)
        await on.turns()
        assert (len(on.socket.sent), on.core.queued) == (already, 40 - already)  # what may not go waits in the queue
        on.now += 0.1001
    on.channel.tune(Service("echo"))
    await on.until(lambda: on.socket.sent == numbered(40))


async def test_a_rate_limit_that_is_set_while_it_runs_counts_at_once(bench) -> None:
    on = bench(Echo(), Socket())
    on.channel.tune(Service("echo", rate_limit=1))
    for data in numbered(10):
        on.socket.incoming.put_nowait(data)
    await on.until(lambda: on.core.received == 10)
    await on.turns()
    assert len(on.socket.sent) == 1


async def test_a_cloud_that_reads_nothing_is_still_heard_and_nothing_piles_up(bench) -> None:
    on = bench(Echo(), Socket(*numbered(90)), Service("echo", queue_limit=7))
    on.socket.reads.clear()
    await on.until(lambda: on.core.received == 8)  # seven in the queue, one on its way
    await on.turns()
    assert (on.core.queued, on.core.received, on.socket.incoming.qsize()) == (7, 8, 82)
    assert on.channel.measured(ESTABLISHED).queued == 7
    on.channel.wake()
    await on.until(lambda: on.core.given[-1] == Woken())
    on.socket.reads.set()
    await on.until(lambda: on.socket.sent == numbered(90))  # a byte stream loses nothing


async def test_the_end_under_a_message_that_is_being_sent_is_told(bench) -> None:
    on = bench(Echo(), Socket(b"1"))
    on.socket.reads.clear()
    await on.until(lambda: on.core.received == 1)
    await on.turns()
    on.socket.incoming.put_nowait(None)
    await on.task
    assert on.core.given[-1] == Lost(sending=True)


# receiving ------------------------------------------------------------------------------------------


async def test_a_cloud_that_sends_too_fast_is_not_read(bench) -> None:
    on = bench(Echo(), Socket(*numbered(500)))
    for already in (READ_AT_ONCE, 2 * READ_AT_ONCE):
        await on.until(lambda: on.core.received == already)  # noqa: B023 (it is awaited here)
        await on.turns()
        assert (on.core.received, on.socket.incoming.qsize()) == (already, 500 - already)
        on.now += 0.1001


async def test_the_others_have_their_turn_after_each_message(bench) -> None:
    core = Echo()
    on = bench(core, Socket(*numbered(READ_AT_ONCE)))
    await on.until(lambda: len(on.socket.sent) == READ_AT_ONCE)
    assert core.most_in_a_turn <= 2  # one received, one taken


# time -----------------------------------------------------------------------------------------------


class Punctual(Echo):
    """Wants to be told every ten seconds."""

    due = 1010.0

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        if isinstance(given, Elapsed):
            assert now.monotonic >= self.due
            self.due += 10
        return super().handle(given, now)

    def deadline(self) -> float | None:
        return self.due


async def test_a_service_is_told_the_time_while_the_cloud_reads_nothing(bench) -> None:
    on = bench(Punctual(), Socket(b"1"))
    on.socket.reads.clear()
    await on.until(lambda: on.core.received == 1)
    await on.turns()
    assert Elapsed() not in on.core.given
    on.now = 1025.0
    on.channel.wake()
    await on.until(lambda: on.core.given.count(Elapsed()) == 2)
    assert on.core.given[-2:] == [Elapsed(), Elapsed()]


# counting -------------------------------------------------------------------------------------------


async def test_clearing_counters() -> None:
    core = Echo()
    core.dropped = 2  # before this subconnection was opened
    opening = OpenSubconnection(1, "1", "s", "wss://x/", Service("s"))
    channel = Channel(opening, core, lambda: Instant(0.0, 0.0))
    channel.traffic = Traffic(1, 2, 3, 4)
    core.dropped = 7
    shown = channel.measured(ESTABLISHED)
    assert (shown.in_messages, shown.out_messages, shown.in_octets, shown.out_octets) == (1, 2, 3, 4)
    assert shown.dropped == 5
    channel.clear_counters()
    shown = channel.measured(ESTABLISHED)
    assert (shown.in_messages, shown.out_messages, shown.in_octets, shown.out_octets) == (0, 0, 0, 0)
    assert (shown.dropped, shown.established_at) == (0, 1.0)
    core.dropped = 8
    assert channel.measured(ESTABLISHED).dropped == 1
