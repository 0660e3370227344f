from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace

import pytest

from fake_cloud import PATIENCE, Authority, FakeCloud, Peer, Pem, server_context
from headstay.engine.events import Event
from headstay.engine.instant import Instant, read_clock
from headstay.engine.reasons import State
from headstay.engine.runner import Engine
from headstay.engine.settings import Identity, Server, Settings, Tls
from headstay.engine.status import ConnectionStatus

IDENTITY = Identity(serial="SN1", model="m", software="1", boot_id="boot-1")


class Clock:
    """A clock that runs as it should, can be put forward, and can be made to stand still."""

    def __init__(self) -> None:
        self.ahead = 0.0
        self._stopped_at: Instant | None = None

    def stand_still(self) -> None:
        """From now on time passes only where it is put forward."""
        self._stopped_at = read_clock()

    def __call__(self) -> Instant:
        now = self._stopped_at or read_clock()
        return Instant(now.monotonic + self.ahead, now.wall + self.ahead)


class Device:
    """An engine that runs, and what it has told."""

    def __init__(self, settings: Settings) -> None:
        self.events: list[Event] = []
        self.clock = Clock()
        self.engine = Engine(IDENTITY, settings, observe=self._observe, clock=self.clock)
        self._told = asyncio.Event()
        self.task = asyncio.create_task(self.engine.run())

    def _observe(self, event: Event, time: float) -> None:
        self.events.append(event)
        self._told.set()

    @property
    def connection(self) -> ConnectionStatus:
        return self.engine.status().connection

    async def until(self, what: Callable[[ConnectionStatus], object]) -> ConnectionStatus:
        """Wait until the status is so; it is looked at whenever something happened."""
        async with asyncio.timeout(PATIENCE):
            while not what(self.connection):
                self._told.clear()
                await self._told.wait()
        return self.connection

    async def until_event(self, kind: type[Event]) -> Event:
        """Wait until an event of this kind has happened."""
        await self.until(lambda _: any(isinstance(event, kind) for event in self.events))
        return next(event for event in self.events if isinstance(event, kind))

    def pass_time(self, seconds: float) -> None:
        """Put the clock forward and have the engine look at it."""
        self.clock.ahead += seconds
        self.engine.apply(())

    async def stop(self) -> None:
        await self.engine.stop()
        await self.task


@dataclass
class Lab:
    """What a test needs to join devices and clouds."""

    authority: Authority
    good: Pem
    devices: list[Device]

    def context(self, pem: Pem | None = None):
        return server_context(pem or self.good)

    def cloud(self, pem: Pem | None = None, *, password: str | None = None, host: str = "127.0.0.1") -> FakeCloud:
        return FakeCloud(self.context(pem), password=password, host=host)

    def settings(self, *clouds: FakeCloud, **more: object) -> Settings:
        servers = tuple(Server(cloud.host, cloud.port) for cloud in clouds)
        return replace(Settings(servers=servers, tls=Tls(trust_anchors=(self.authority.pem,))), **more)

    def device(self, settings: Settings) -> Device:
        device = Device(settings)
        self.devices.append(device)
        return device

    async def established(self, cloud: FakeCloud, **more: object) -> tuple[Device, Peer]:
        """Return a device whose link to the cloud stands, and its main connection as the cloud sees it."""
        device = self.device(self.settings(cloud, **more))
        await device.until(lambda status: status.state is State.ESTABLISHED)
        return device, await cloud.mains.get()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="session")
def good(authority: Authority) -> Pem:
    return authority.issue("localhost", "127.0.0.1")


@pytest.fixture
async def lab(authority: Authority, good: Pem) -> AsyncIterator[Lab]:
    gc.freeze()  # what there was before is none of this test's, and would take half a second to go through
    lab = Lab(authority, good, [])
    yield lab
    for device in lab.devices:
        await device.stop()
    gc.collect()  # a socket that nobody closed warns here, in the test that left it
    gc.unfreeze()
