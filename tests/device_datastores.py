"""A device's datastores on a real disk file, with a clock that the test owns: restarted, rebooted, cut off by kill -9.

What the tests of the confirmed commit share.
"""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lxml import etree

from headstay import xml
from headstay.datastore import boot
from headstay.datastore.access import Requester, Source
from headstay.datastore.confirmed import BEFORE, CommitRequest
from headstay.datastore.difference import Change
from headstay.datastore.disk import Disk
from headstay.datastore.edit import EditOptions
from headstay.datastore.events import ConfirmedCommit, DatastoreEvent
from headstay.datastore.name import Name
from headstay.datastore.parts import Parts
from headstay.datastore.secrets import Vault
from headstay.datastore.stores import Datastores
from headstay.errors import NetconfError
from models import OpenTo, device_model, hcm, values

FIRST = 20
"""The ping interval at the first start. The tests tell configurations apart by it."""


def session(number: int) -> Requester:
    return Requester("admin", number, Source.DIRECT)


ONE, TWO = session(1), session(2)


@dataclass
class Engine:
    """A backend that knows which ping interval is in force, and refuses when told to."""

    interval: str = ""
    refusal: NetconfError | None = None
    agreed: str = ""

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Engine:
        if self.refusal is not None:
            raise self.refusal
        return self.reinstate(new)

    def reinstate(self, new: etree._Element) -> Engine:
        self.agreed = interval(new)
        return self

    def apply(self) -> None:
        self.interval = self.agreed


class FillableDisk(Disk):
    """A disk that refuses while it is `full`."""

    full = False

    def _write(self, contents: Mapping[str, bytes | None], facts: Mapping[str, str | None]) -> None:
        if self.full:
            raise sqlite3.OperationalError("disk full")
        super()._write(contents, facts)


@dataclass
class Device:
    """Start it with `start`, end it with `kill`: nothing is tidied up, as by kill -9."""

    directory: Path
    with_startup: bool = False
    now: float = 1000.0
    boot_id: str = "boot-0"
    events: list[DatastoreEvent] = field(default_factory=list)
    _boots: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def start(self, *, full: bool = False) -> Device:
        self.engine = Engine()
        self.disk = FillableDisk(self.directory / "datastores.sqlite")
        self.disk.full = full
        first = hcm(f"<ping-interval>{FIRST}</ping-interval>")
        loaded = await boot.load(
            device_model(), self.disk, first, self.boot_id, with_startup=self.with_startup, clock=self.clock
        )
        self.events += loaded.events
        parts = Parts(
            device_model(), self.disk, Vault(bytes(32)), OpenTo("admin"), self.engine, self.events.append, self.clock
        )
        self.stores = Datastores(
            parts, loaded.running, loaded.startup, with_startup=self.with_startup, pending=loaded.pending
        )
        self.engine.interval = self.running
        return self

    async def kill(self) -> None:
        await self.stores.stop()  # nothing of ours is under way; this drops the timer
        self.disk.close()

    async def restart(self, *, full: bool = False) -> None:
        await self.kill()
        await self.start(full=full)

    async def reboot(self, *, full: bool = False) -> None:
        await self.kill()
        self.boot_id, self.now = f"boot-{next(self._boots)}", 1.0
        await self.start(full=full)

    def clock(self) -> float:
        return self.now

    async def advance(self, seconds: float) -> None:
        """Let time pass, as the device's own timer would see it."""
        self.now += seconds
        await self.stores.check_time()

    # what sessions do

    async def edit(self, seconds: int | str, who: Requester = ONE, target: Name = Name.CANDIDATE) -> None:
        await self.stores.edit(who, target, hcm(f"<ping-interval>{seconds}</ping-interval>"), EditOptions())

    async def commit(self, seconds: int | None = None, who: Requester = ONE, **request: object) -> None:
        """Edit the candidate, if there is something to edit, and commit it."""
        if seconds is not None:
            await self.edit(seconds, who)
        await self.stores.commit(who, CommitRequest(**request))  # type: ignore[arg-type]

    async def try_out(self, seconds: int | None = None, who: Requester = ONE, **request: object) -> None:
        """A confirmed commit."""
        await self.commit(seconds, who, confirmed=True, **request)

    async def end_session(self, who: Requester = ONE) -> None:
        self.stores.session_ended(who.session_id)
        await self.stores.settled()

    # what there is

    @property
    def running(self) -> str:
        return interval(self.stores.read(Name.RUNNING))

    @property
    def confirm_events(self) -> list[str]:
        return [event.confirm_event.value for event in self.events if isinstance(event, ConfirmedCommit)]

    def in_force(self, seconds: int) -> bool:
        """Whether this is running, in memory, on the disk and in the engine."""
        saved = interval(xml.parse(self.disk.load()["running"]))
        return {self.running, saved, self.engine.interval} == {str(seconds)}

    @property
    def stored_roll_back(self) -> str | None:
        stored = self.disk.load().get(BEFORE)
        return None if stored is None else interval(xml.parse(stored))


def interval(tree: etree._Element) -> str:
    return "".join(values(tree, ".//hcm:ping-interval"))
