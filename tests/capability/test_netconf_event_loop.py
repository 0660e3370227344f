"""What takes long never runs on the event loop, whatever a client asks for: a watchdog looks at the thread."""

from __future__ import annotations

import pkgutil
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes_netconf import CLOUD, is_ok, make_parts, running_server, tag, tree_of, unix_client
from headstay import xml
from headstay.datastore.computing import is_small
from headstay.datastore.disk import Disk
from headstay.datastore.stores import Datastores
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
