"""The model's own RPCs: what each asks of the engine, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from headstay import xml
from headstay.backend.rpcs import Rpcs
from headstay.datastore.access import Requester, Source
from headstay.errors import RpcErrors
from models import device_model

ADMIN = Requester("admin", 1, Source.DIRECT)


class FakeEngine:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def reconnect(self) -> None:
        self.asked.append("reconnect")

    def clear_counters(self) -> None:
        self.asked.append("clear-counters")


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def operation(name: str, content: str = "") -> etree._Element:
    return xml.parse(f'<{name} xmlns="{xml.HCM}">{content}</{name}>'.encode())


async def execute(engine: Any, name: str, content: str = "") -> list[etree._Element]:
    return list(await Rpcs(device_model(), engine).table()[xml.HCM, name](ADMIN, operation(name, content)))


def test_every_rpc_of_the_model_is_there(engine: Any) -> None:
    """What the model has, and the deviations do not take away, can be executed."""
    modelled = {tag for tag in device_model().rpcs if etree.QName(tag).namespace == xml.HCM}
    assert modelled == {f"{{{namespace}}}{name}" for namespace, name in Rpcs(device_model(), engine).table()}


@pytest.mark.parametrize("name", ["reconnect", "clear-counters"])
async def test_what_the_engine_is_asked(engine: FakeEngine, name: str) -> None:
    assert await execute(engine, name) == []
    assert engine.asked == [name]


@pytest.mark.parametrize("name", ["reconnect", "clear-counters"])
async def test_a_parameter_that_there_is_not_is_refused(engine: FakeEngine, name: str) -> None:
    with pytest.raises(RpcErrors):
        await execute(engine, name, "<now/>")
    assert engine.asked == []
