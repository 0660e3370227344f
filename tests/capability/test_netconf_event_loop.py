"""What takes long never runs on the event loop, whatever a client asks for: a watchdog looks at the thread."""

from __future__ import annotations

import asyncio
import copy
import pkgutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from fakes_netconf import CLOUD, RawClient, is_ok, make_parts, running_server, tag, tree_of, unix_client
from headstay import device, xml
from headstay.datastore.computing import is_small
from headstay.datastore.disk import Disk
from headstay.datastore.stores import Datastores
from headstay.device_file import DeviceFile, FirstUser, Netconf
from headstay.netconf.session import LARGE

SLOW = (
    "headstay.datastore.model.Model.validate",
    "headstay.datastore.stores.edit",
    "headstay.datastore.stores.edited",
    "headstay.datastore.commit.difference",
    "headstay.datastore.disk.Disk._save",
    "headstay.datastore.passwords.hash_password",
    "headstay.datastore.passwords.hash_matches",
    "headstay.datastore.view.with_defaults",
    "headstay.datastore.view.operational",
    "headstay.datastore.nacm.Permissions.visible",
    "headstay.datastore.nacm.Permissions.hide",
    "headstay.netconf.operations.retrieval.filtered",
    "headstay.netconf.operations.nmda.render",
    "headstay.netconf.operations.subscription.condition",
    "headstay.datastore.secrets._Protection.sealed",
)
"""Whatever computes for milliseconds, or waits for a disk."""
SLOW_IF_LARGE: dict[str, Callable[..., bool]] = {
    "headstay.xml.parse": lambda octets, *_: len(octets) >= LARGE,
    "headstay.xml.serialise": lambda element: not is_small(element),
    "fakes_netconf.AgreeingBackend.prepare": lambda _, old, new, changes: not is_small(new),
    "headstay.datastore.secrets._has_clear": lambda _, config: not is_small(config),
}
"""What is done with everything that comes or goes, and takes long with much of it only."""


class Watchdog:
    """Notes in which threads each of the slow ones ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: dict[str, set[int]] = {name: set() for name in (*SLOW, *SLOW_IF_LARGE)}
        for name in self.threads:
            self._watch(monkeypatch, name, SLOW_IF_LARGE.get(name, lambda *_: True))

    def _watch(self, monkeypatch: pytest.MonkeyPatch, name: str, is_slow: Callable[..., bool]) -> None:
        owner, _, attribute = name.rpartition(".")
        original: Callable[..., Any] = getattr(_found(owner), attribute)

        def watched(*arguments: Any, **options: Any) -> Any:
            if is_slow(*arguments):
                self.threads[name].add(threading.get_ident())
            return original(*arguments, **options)

        monkeypatch.setattr(_found(owner), attribute, watched)


def _found(name: str) -> Any:
    return pkgutil.resolve_name(name)


def edit(target: str, content: str) -> str:
    return f"<edit-config><target><{target}/></target><config>{content}</config></edit-config>"


CONFIG = f'<cloud-management xmlns="{xml.HCM}"><ping-interval>%d</ping-interval></cloud-management>'
USER = f"""<system xmlns="{xml.SYSTEM}"><authentication><user><name>new</name><password>$0$clear</password></user>
</authentication></system>"""
MANY = "".join(f"<user><name>u{number}</name></user>" for number in range(200))
MANY_USERS = f'<system xmlns="{xml.SYSTEM}"><authentication>{MANY}</authentication></system>'
"""So many that what is done with all of them takes a while."""
PADDING = f"<!--{' ' * LARGE}-->"
NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
DEFAULTS = (
    """<with-defaults xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults">report-all</with-defaults>"""
)
READS = (
    "<get-config><source><running/></source></get-config>",
    f"<get-config><source><running/></source>{DEFAULTS}</get-config>",
    f'<get-config><source><running/></source><filter><system xmlns="{xml.SYSTEM}"/></filter></get-config>',
    '<get-config><source><running/></source><filter type="xpath" select="/sys:system"/></get-config>',
    "<get/>",
    f"<get>{PADDING}</get>",
    *(
        f'<get-data xmlns="{NMDA}" xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores">'
        f"<datastore>ds:{name}</datastore></get-data>"
        for name in ("running", "operational")
    ),
)
REQUESTS = (
    edit("candidate", MANY_USERS),
    edit("candidate", CONFIG % 70 + PADDING),
    edit("candidate", USER),
    edit("candidate", USER),  # compared with the hash that is there now
    "<validate><source><candidate/></source></validate>",
    "<commit/>",
    edit("running", CONFIG % 71),
    edit("candidate", CONFIG % 73),
    "<commit><confirmed/></commit>",
    "<cancel-commit/>",
    "<copy-config><target><startup/></target><source><running/></source></copy-config>",
    f"<copy-config><target><candidate/></target><source><config>{CONFIG % 72}</config></source></copy-config>",
    "<commit/>",
    "<delete-config><target><startup/></target></delete-config>",
    f'<create-subscription xmlns="{xml.NOTIFICATION}"><filter>{PADDING}</filter></create-subscription>',
)


async def test_nothing_slow_runs_on_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(tmp_path / "datastore.db")
    datastores = Datastores(make_parts(disk=disk), tree_of(CLOUD, MANY_USERS), None, with_startup=True)
    watchdog = Watchdog(monkeypatch)
    async with running_server(tmp_path, datastores=datastores), unix_client(tmp_path) as client:
        await client.greet()
        for request in READS:
            assert "u199" in (await client.rpc(request)).itertext(), request
        for request in REQUESTS:
            assert is_ok(await client.rpc(request)), request
        assert tag(await client.rpc(f"<no-operation>{PADDING}</no-operation>")) == "operation-not-supported"
        client.send(f"<no-rpc>{PADDING}</no-rpc>")
        assert tag(await client.message()) == "unknown-namespace"
    disk.close()
    with sqlite3.connect(tmp_path / "datastore.db") as saved:
        [(content,)] = saved.execute("SELECT content FROM datastore WHERE name = 'running'")
    assert b"<ping-interval>72<" in content
    assert [name for name, threads in watchdog.threads.items() if not threads] == []
    assert [name for name, threads in watchdog.threads.items() if threading.get_ident() in threads] == []


async def test_the_watchdog_sees_what_runs_on_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog(monkeypatch)
    tree = tree_of(CLOUD)
    _found("headstay.datastore.stores.edited")(make_parts().model.schema, make_parts().model.empty(), tree)
    assert watchdog.threads["headstay.datastore.stores.edited"] == {threading.get_ident()}


# the whole daemon, and all that runs in its loop ----------------------------------------------------------------------

SERVICES = 1000
SOME_SERVICES = f'''<cloud-management xmlns="{xml.HCM}">%s</cloud-management>''' % "".join(
    f"<service><name>s{number}</name></service>" for number in range(SERVICES)
)
ENABLED = f'<cloud-management xmlns="{xml.HCM}"><enabled/></cloud-management>'
OPERATIONAL = f"""<get-data xmlns="{NMDA}" xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores">
<datastore>ds:operational</datastore>%s</get-data>"""
READS_OF_LITTLE = {
    "get": f"<get><filter>{ENABLED}</filter></get>",
    "get-xpath": '<get><filter type="xpath" select="/hcm:cloud-management/hcm:enabled"/></get>',
    "get-config": f"<get-config><source><running/></source><filter>{ENABLED}</filter></get-config>",
    "get-data": OPERATIONAL % f"<subtree-filter>{ENABLED}</subtree-filter>",
    "get-data-xpath": OPERATIONAL % "<xpath-filter>/hcm:cloud-management/hcm:enabled</xpath-filter>",
}


class Work:
    """Counts what the callbacks of this thread's event loop do: calls of functions, and elements that are copied.

    It counts whatever they do; time plays no part in it.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._done = 0
        self._most = 0
        self._thread = threading.get_ident()
        self._run, self._deepcopy = asyncio.Handle._run, copy.deepcopy
        monkeypatch.setattr(asyncio.Handle, "_run", lambda handle: self._count_of(handle))
        monkeypatch.setattr(copy, "deepcopy", self._copied)

    @contextmanager
    def most(self) -> Iterator[list[int]]:
        """The most that one callback does meanwhile."""
        found: list[int] = []
        self._most = 0
        sys.setprofile(self._called)
        try:
            yield found
        finally:
            sys.setprofile(None)
            found.append(self._most)

    def _count_of(self, handle: asyncio.Handle) -> None:
        before = self._done
        self._run(handle)
        self._most = max(self._most, self._done - before)

    def _called(self, _frame: FrameType, _event: str, _argument: Any) -> None:
        self._done += 1

    def _copied(self, value: Any, *memo: Any) -> Any:
        if hasattr(value, "iter") and threading.get_ident() == self._thread:
            self._done += sum(1 for _ in value.iter())
        return self._deepcopy(value, *memo)


@asynccontextmanager
async def running_device(directory: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RawClient]:
    """The daemon with all its parts, and a client of it."""
    configuration = DeviceFile(
        "HS-1", FirstUser("admin", "$0$clear"), state_dir=directory, netconf=Netconf(("127.0.0.1",), 0)
    )
    up, stopped = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(device._Device, "_announce", lambda *_: up.set())
    running = asyncio.create_task(device._Device(configuration).run(stopped))
    try:
        coming_up = asyncio.create_task(up.wait())
        await asyncio.wait((running, coming_up), return_when=asyncio.FIRST_COMPLETED)
        async with unix_client(directory) as client:
            yield await client.greet()
    finally:
        stopped.set()
        await running


async def test_no_read_does_anything_for_each_entry_on_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_device(tmp_path, monkeypatch) as client:
        assert is_ok(await client.rpc(edit("running", SOME_SERVICES)))
        everything = await client.rpc("<get/>")
        assert len(list(everything.iter(f"{{{xml.HCM}}}subconnection"))) == SERVICES  # each service has its state
        work, most = Work(monkeypatch), {}
        for name, request in READS_OF_LITTLE.items():
            await client.rpc(request)  # what is known of a tree from now on need not be found out again
            with work.most() as found:
                await client.rpc(request)
            (most[name],) = found
    assert {name: done for name, done in most.items() if done >= SERVICES} == {}
    assert all(done > 0 for done in most.values())


async def test_the_work_on_the_event_loop_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    tree, work = tree_of(MANY_USERS), Work(monkeypatch)
    size = sum(1 for _ in tree.iter())
    with work.most() as copying:
        await asyncio.create_task(asyncio.sleep(0, copy.deepcopy(tree)))
        asyncio.get_running_loop().call_soon(copy.deepcopy, tree)
        await asyncio.sleep(0)
    with work.most() as calling:
        asyncio.get_running_loop().call_soon(lambda: [ord("a") for _ in range(size)])
        await asyncio.sleep(0)
    assert min(*copying, *calling) >= size
