"""What one user asks for delays others by one piece of it at most, and never the device itself.

What is computed stands still until the test lets it go on, so that nothing here depends on how fast anything is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from device_datastores import FIRST, Device
from fakes_netconf import make_context, operation
from headstay import xml
from headstay.datastore import passwords
from headstay.datastore.access import Requester, Source
from headstay.datastore.computing import AT_ONCE
from headstay.datastore.edit import EditOptions
from headstay.datastore.name import Name
from headstay.datastore.stores import Datastores
from headstay.netconf.operations import execute
from models import hcm

ADMIN = Requester("admin", 1, Source.DIRECT)
GUESTS = [Requester("guest", number, Source.DIRECT) for number in range(2, 6)]
MANY = hcm("".join(f"<service><name>s{number}</name></service>" for number in range(300)))
"""So many elements that they are not gone through on the event loop."""


class Gate:
    """Work in threads that waits to be let go on, and what has begun so far."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.begun = 0
        self.ended = False
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._semaphore = threading.Semaphore(0)
        monkeypatch.setattr(name, self._held(_found(name)))

    def _held(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def held(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is not threading.main_thread():
                self.begun += 1
                self._loop.call_soon_threadsafe(self._news.set)
                assert self.ended or self._semaphore.acquire(timeout=10)
            return work(*arguments, **options)

        return held

    async def until_begun(self, count: int) -> None:
        while self.begun < count:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), 10)
        for _ in range(20):  # whatever else would have begun has begun then
            await asyncio.sleep(0)
        assert self.begun == count

    def let_one_go_on(self) -> None:
        self._semaphore.release()

    def open(self) -> None:
        self.ended = True
        self._semaphore.release(100)


def _found(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    found: Callable[..., Any] = getattr(__import__(module, fromlist=[attribute]), attribute)
    return found


@pytest.fixture
async def device(tmp_path: Path) -> AsyncIterator[Device]:
    made = await Device(tmp_path).start()
    yield made
    await made.kill()


def floods(stores: Datastores) -> list[asyncio.Task[None]]:
    """One user's sessions that send an edit each."""
    return [asyncio.create_task(stores.edit(guest, Name.CANDIDATE, MANY, EditOptions())) for guest in GUESTS]


async def test_another_users_edit_goes_before_the_second_of_a_flood(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "headstay.datastore.stores.edit")
    flood = floods(device.stores)
    await gate.until_begun(1)
    other = asyncio.create_task(device.edit(30, ADMIN))  # small: it is not held up by the gate
    for _ in range(20):
        await asyncio.sleep(0)
    gate.let_one_go_on()
    await asyncio.wait_for(other, 10)
    assert [task.done() for task in flood] == [True, False, False, False]
    gate.open()
    await asyncio.gather(*flood, return_exceptions=True)  # a guest may change nothing


async def test_a_roll_back_goes_before_the_second_of_a_flood(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    await device.try_out(30)
    gate = Gate(monkeypatch, "headstay.datastore.stores.edit")
    flood = floods(device.stores)
    await gate.until_begun(1)
    late = asyncio.create_task(device.advance(600))
    for _ in range(20):
        await asyncio.sleep(0)
    gate.let_one_go_on()
    await asyncio.wait_for(late, 10)
    assert device.in_force(FIRST)
    assert [task.done() for task in flood] == [True, False, False, False]
    gate.open()
    await asyncio.gather(*flood, return_exceptions=True)  # a guest may change nothing


FILTERED = "<get-config><source><running/></source><filter/></get-config>"


def reads(stores: Datastores, *requesters: Requester) -> list[asyncio.Task[object]]:
    return [
        asyncio.create_task(execute(make_context(stores, requester=who), operation(FILTERED))) for who in requesters
    ]


async def test_a_read_does_not_wait_for_the_second_of_another_user(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "headstay.netconf.operations.retrieval.filtered")
    flood = reads(device.stores, *GUESTS)
    await gate.until_begun(1)
    [other] = reads(device.stores, ADMIN)
    await gate.until_begun(2)  # neither the second of the guest's, nor after the first
    gate.open()
    await asyncio.gather(other, *flood)


async def test_reads_leave_threads_to_a_commit(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    await device.stores.edit(ADMIN, Name.CANDIDATE, MANY, EditOptions())
    with ThreadPoolExecutor(AT_ONCE + 1) as threads:
        asyncio.get_running_loop().set_default_executor(threads)
        gate = Gate(monkeypatch, "headstay.netconf.operations.retrieval.filtered")
        users = [Requester(f"user{number}", number, Source.DIRECT) for number in range(2, 8)]
        flood = reads(device.stores, *users)
        await gate.until_begun(AT_ONCE)
        await asyncio.wait_for(device.commit(), 10)
        gate.open()
        await asyncio.gather(*flood)


async def test_large_edits_are_looked_at_in_turn_before_they_wait_for_the_datastores(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch, "headstay.datastore.unseen.refused")
    flood = floods(device.stores)
    await gate.until_begun(1)
    other = asyncio.create_task(device.stores.edit(ADMIN, Name.CANDIDATE, MANY, EditOptions()))
    await gate.until_begun(2)
    gate.open()
    await asyncio.gather(other, *flood, return_exceptions=True)


async def test_hashing_passwords_leaves_reads_their_turns(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    hashing, go_on = asyncio.Semaphore(0), asyncio.Event()

    async def hashed(_: str) -> str:
        hashing.release()
        await go_on.wait()
        return "$6$salt$" + "a" * 86

    monkeypatch.setattr(passwords, "hashed", hashed)
    config = hcm("".join(f"<service><name>s{number}</name></service>" for number in range(300)))
    system = etree.SubElement(config, f"{{{xml.SYSTEM}}}system")
    user = etree.SubElement(etree.SubElement(system, f"{{{xml.SYSTEM}}}authentication"), f"{{{xml.SYSTEM}}}user")
    etree.SubElement(user, f"{{{xml.SYSTEM}}}name").text = "kim"
    etree.SubElement(user, f"{{{xml.SYSTEM}}}password").text = "$0$secret"
    writers = (ADMIN, Requester("admin", 9, Source.LOCAL, recovery=True))
    assert len({who.account for who in writers}) == AT_ONCE
    edits = [asyncio.create_task(device.stores.edit(who, Name.CANDIDATE, config, EditOptions())) for who in writers]
    for _ in writers:
        await asyncio.wait_for(hashing.acquire(), 10)
    [read] = reads(device.stores, GUESTS[0])
    await asyncio.wait_for(read, 10)
    assert not any(edit.done() for edit in edits)
    go_on.set()
    await asyncio.gather(*edits)
