"""The transaction: what may refuse does so before anything has changed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from lxml import etree

from headstay.datastore.commit import bring_into_force
from headstay.datastore.computing import FEW
from headstay.datastore.difference import Change
from headstay.errors import InvalidValue, NetconfError, OperationFailed
from models import device_model, hcm, made

OLD = made(device_model(), hcm("<ping-interval>20</ping-interval>"))
NEW = made(device_model(), hcm("<ping-interval>30</ping-interval>"))
INVALID = made(device_model(), hcm("<source-address>::</source-address><address-family>ipv4</address-family>"))


@dataclass
class Recorder:
    """A backend and a disk that say what was asked of them."""

    refusal: NetconfError | None = None
    failure: NetconfError | None = None
    calls: list[str] = field(default_factory=list)
    prepared_in: int = 0

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Recorder:
        self.calls.append(f"prepare {[change.node.name for change in changes]}")
        self.prepared_in = threading.get_ident()
        if self.refusal is not None:
            raise self.refusal
        return self

    async def install(self) -> None:
        self.calls.append("install")
        if self.failure is not None:
            raise self.failure

    def apply(self) -> None:
        self.calls.append("apply")


async def run(recorder: Recorder, new: etree._Element) -> Sequence[Change]:
    return await bring_into_force(device_model(), recorder, OLD, new, recorder.install)


async def test_prepare_then_install_then_apply() -> None:
    recorder = Recorder()
    assert await run(recorder, NEW)
    assert recorder.calls == ["prepare ['ping-interval']", "install", "apply"]


async def test_prepare_runs_in_a_thread_where_a_constraint_is_concerned() -> None:
    recorder = Recorder()
    await run(recorder, made(device_model(), hcm("<server><domain>b.example</domain></server>")))
    assert recorder.prepared_in not in (0, threading.get_ident())


async def test_prepare_runs_at_once_where_no_constraint_is_concerned() -> None:
    recorder = Recorder()
    await run(recorder, NEW)
    assert recorder.prepared_in == threading.get_ident()


async def test_prepare_runs_in_a_thread_where_the_tree_is_large() -> None:
    services = "".join(f"<service><name>s{number}</name></service>" for number in range(FEW))
    old, new = (
        made(device_model(), hcm(f"<ping-interval>{seconds}</ping-interval>{services}")) for seconds in (20, 30)
    )
    recorder = Recorder()
    await bring_into_force(device_model(), recorder, old, new, recorder.install)
    assert recorder.calls == ["prepare ['ping-interval']", "install", "apply"]
    assert recorder.prepared_in not in (0, threading.get_ident())


async def test_nothing_changed_nothing_done() -> None:
    recorder = Recorder()
    assert not await run(recorder, made(device_model(), hcm("<ping-interval>20</ping-interval>")))
    assert recorder.calls == []


async def test_the_model_refuses() -> None:
    recorder = Recorder()
    with pytest.raises(NetconfError) as caught:
        await run(recorder, INVALID)
    assert caught.value.app_tag == "address-family-mismatch"
    assert recorder.calls == []


async def test_the_backend_refuses() -> None:
    recorder = Recorder(refusal=InvalidValue("no"))
    with pytest.raises(InvalidValue):
        await run(recorder, NEW)
    assert recorder.calls == ["prepare ['ping-interval']"]


async def test_the_disk_refuses() -> None:
    recorder = Recorder(failure=OperationFailed("disk full"))
    with pytest.raises(OperationFailed):
        await run(recorder, NEW)
    assert recorder.calls == ["prepare ['ping-interval']", "install"]
