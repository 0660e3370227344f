"""The model's own RPCs: what each asks of the engine, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from headstay import xml
from headstay.backend.rpcs import Rpcs
from headstay.datastore.access import Requester, Source
from headstay.dhcp.event import Happening, LeaseEvent
from headstay.engine.inputs import UnbindFailure, UnbindOutcome
from headstay.errors import AccessDenied, HeadstayError, InvalidValue, NetconfError, RpcErrors
from models import device_model

ADMIN = Requester("admin", 1, Source.DIRECT)
ROOT = Requester("root", 2, Source.LOCAL, recovery=True)
LEASE = "<interface>eth0</interface><client>dhclient</client>"


class FakeEngine:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.outcome = UnbindOutcome()

    async def unbind(self, code: str) -> UnbindOutcome:
        self.asked.append(f"unbind {code}")
        return self.outcome

    def reconnect(self) -> None:
        self.asked.append("reconnect")

    def clear_counters(self) -> None:
        self.asked.append("clear-counters")


class FakeDhcp:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[LeaseEvent] = []

    async def take(self, event: LeaseEvent) -> None:
        self.told.append(event)


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


def operation(name: str, content: str = "") -> etree._Element:
    return xml.parse(f'<{name} xmlns="{xml.HCM}">{content}</{name}>'.encode())


async def execute(
    engine: Any, name: str, content: str = "", dhcp: Any = None, requester: Requester = ADMIN
) -> list[etree._Element]:
    table = Rpcs(device_model(), engine, dhcp).table()
    return list(await table[xml.HCM, name](requester, operation(name, content)))


def test_every_rpc_of_the_model_is_there(engine: Any) -> None:
    """What the model has, and the deviations do not take away, can be executed."""
    modelled = {tag for tag in device_model().rpcs if etree.QName(tag).namespace == xml.HCM}
    assert modelled == {f"{{{namespace}}}{name}" for namespace, name in Rpcs(device_model(), engine, engine).table()}


@pytest.mark.parametrize("name", ["reconnect", "clear-counters"])
async def test_what_the_engine_is_asked(engine: FakeEngine, name: str) -> None:
    assert await execute(engine, name) == []
    assert engine.asked == [name]


@pytest.mark.parametrize("name", ["reconnect", "clear-counters"])
async def test_a_parameter_that_there_is_not_is_refused(engine: FakeEngine, name: str) -> None:
    with pytest.raises(RpcErrors):
        await execute(engine, name, "<now/>")
    assert engine.asked == []


async def test_unbind(engine: FakeEngine) -> None:
    assert await execute(engine, "unbind", "<code>7K3M-9QXA</code>") == []
    assert engine.asked == ["unbind 7K3M-9QXA"]


@pytest.mark.parametrize("failure", UnbindFailure)
async def test_unbind_that_fails_says_why_and_what_to_do(engine: FakeEngine, failure: UnbindFailure) -> None:
    engine.outcome = UnbindOutcome(failure, "cloud.example: dns-failed")
    with pytest.raises(NetconfError) as caught:
        await execute(engine, "unbind", "<code>SECRET</code>")
    error = caught.value
    assert (error.tag, error.app_tag) == (
        "in-use" if failure is UnbindFailure.UNDER_WAY else "operation-failed",
        failure.value,
    )
    assert error.message.endswith("(cloud.example: dns-failed)")
    assert "SECRET" not in error.message


@pytest.mark.parametrize("code", ["SECRET CODE", "SECRET\u00e9", "S" * 65])
async def test_unbind_with_what_is_no_code_does_not_quote_it(engine: FakeEngine, code: str) -> None:
    with pytest.raises(HeadstayError) as caught:
        await execute(engine, "unbind", f"<code>{code}</code>")
    assert "SECRET" not in str(caught.value)
    assert "SSSS" not in str(caught.value)
    assert engine.asked == []


async def test_dhcp_update(engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    values = "<domain>cloud.example</domain><password>$0$a $0$ b</password><lease-time>120</lease-time>"
    assert await execute(engine, "dhcp-update", f"{LEASE}<event>bound</event>{values}", dhcp, ROOT) == []
    assert await execute(engine, "dhcp-update", f"{LEASE}<event>released</event>", dhcp, ROOT) == []
    assert dhcp.told == [
        LeaseEvent("eth0", "dhclient", Happening.BOUND, b"cloud.example", b"a $0$ b", 120),
        LeaseEvent("eth0", "dhclient", Happening.RELEASED),
    ]


@pytest.mark.parametrize("event", [happening.value for happening in Happening])
async def test_every_event_of_the_model(event: str, engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    await execute(engine, "dhcp-update", f"{LEASE}<event>{event}</event>", dhcp, ROOT)
    assert [told.happening.value for told in dhcp.told] == [event]


@pytest.mark.parametrize("domain", ["", "https://cloud.example/", "a b", "\ufffd", "x" * 255])
async def test_a_hostile_domain_reaches_the_judge(domain: str, engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    await execute(engine, "dhcp-update", f"{LEASE}<event>bound</event><domain>{domain}</domain>", dhcp, ROOT)
    assert [told.domain for told in dhcp.told] == [domain.encode()]


@pytest.mark.parametrize(
    "requester",
    [
        ADMIN,
        Requester("admin", 1, Source.LOCAL),
        Requester("root", 1, Source.DIRECT),
        Requester("root", 1, Source.TUNNEL, recovery=True),
    ],
)
async def test_dhcp_update_is_for_root_and_the_daemons_user_alone(requester: Requester, engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    with pytest.raises(AccessDenied):
        await execute(engine, "dhcp-update", f"{LEASE}<event>bound</event>", dhcp, requester)
    assert dhcp.told == []


@pytest.mark.parametrize("content", ["", "<event>bound</event>", f"{LEASE}<event>lost</event>", LEASE])
async def test_dhcp_update_of_nothing_is_refused(content: str, engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    with pytest.raises(HeadstayError):
        await execute(engine, "dhcp-update", content, dhcp, ROOT)
    assert dhcp.told == []


@pytest.mark.parametrize(
    "content",
    [
        f"{LEASE}<event>bound</event><password>$aes-256-gcm$AAAA</password>",
        "<interface>a b</interface><client>x</client><event>bound</event>",
    ],
)
async def test_dhcp_update_that_makes_no_sense_is_refused(content: str, engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    with pytest.raises(InvalidValue):
        await execute(engine, "dhcp-update", content, dhcp, ROOT)
    assert dhcp.told == []
