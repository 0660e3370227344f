"""The model's own RPCs: what each asks of the engine, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from lxml import etree

from headstay import xml
from headstay.backend.rpcs import Rpcs
from headstay.datastore.access import Requester, Source
from headstay.dhcp.event import Happening, LeaseEvent
from headstay.engine.inputs import UnbindFailure, UnbindOutcome
from headstay.engine.reasons import DeviceState, FailureReason
from headstay.engine.settings import Role, Server, Settings
from headstay.engine.status import ConnectionStatus, Status
from headstay.engine.verdicts import Result, StageName, Verdict
from headstay.errors import AccessDenied, HeadstayError, InUse, InvalidValue, NetconfError, OperationFailed, RpcErrors
from models import device_model

ADMIN = Requester("admin", 1, Source.DIRECT)
ROOT = Requester("root", 2, Source.LOCAL, recovery=True)
LEASE = "<interface>eth0</interface><client>dhclient</client>"


class FakeEngine:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.outcome = UnbindOutcome()
        self.in_force: tuple[Server, ...] = ()
        self.obstacle: str | None = None
        self.holds: asyncio.Event | None = None
        self.device_state = DeviceState.WAITING

    def status(self) -> Status:
        return Status(ConnectionStatus(device_state=self.device_state))

    async def unbind(self, code: str) -> UnbindOutcome:
        self.asked.append(f"unbind {code}")
        return self.outcome

    def reconnect(self) -> None:
        self.asked.append("reconnect")

    @property
    def servers(self) -> tuple[Server, ...]:
        return self.in_force

    async def examine(self, server: Server) -> tuple[Verdict, ...]:
        self.asked.append(f"{server.domain}:{server.port}")
        if self.holds is not None:
            await self.holds.wait()
        why = FailureReason.DNS_FAILED, "Nothing <known>\x00. Look."
        return (
            Verdict(server.domain, StageName.RESOLVE, Result.FAILED, 7, None, None, *why),
            Verdict(server.domain, StageName.CONNECT, Result.SKIPPED),
        )

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
    return xml.parse(f'<rpc xmlns="{xml.NETCONF}"><{name} xmlns="{xml.HCM}">{content}</{name}></rpc>'.encode())[0]


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


BOTH = (Server("a.example", 1), Server("b.example", 2, Role.BACKUP))


@pytest.mark.parametrize(
    ("servers", "content", "asked"),
    [
        (BOTH, "", ["a.example:1", "b.example:2"]),
        (BOTH, "<domain>B.example</domain>", ["b.example:2"]),
        (BOTH, "<domain>b.example</domain><port>3</port>", ["b.example:3"]),
        (BOTH, "<domain>c.example</domain>", ["c.example:1"]),
        ((), "<domain>c.example</domain>", ["c.example:19443"]),
    ],
)
async def test_which_servers_are_tested(
    engine: FakeEngine, servers: tuple[Server, ...], content: str, asked: list[str]
) -> None:
    engine.in_force = servers
    await execute(engine, "test-connection", content)
    assert [one.lower() for one in engine.asked] == asked


async def test_what_a_test_says(engine: FakeEngine) -> None:
    resolve, connect = await execute(engine, "test-connection", "<domain>a.example</domain>")
    assert {etree.QName(leaf).localname: leaf.text for leaf in resolve} == {
        "domain": "a.example",
        "name": "resolve",
        "result": "failed",
        "time-taken": "7",
        "reason": "dns-failed",
        "explanation": "Nothing <known>\N{REPLACEMENT CHARACTER}. Look.",
    }
    assert [leaf.text for leaf in connect] == ["a.example", "connect", "skipped"]
    assert {etree.QName(stage).localname for stage in (resolve, connect)} == {"stage"}


OBSTACLE = Settings(unreadable=("/hcm:cloud-management/server/password",)).obstacle


@pytest.mark.parametrize("name", ["reconnect", "test-connection"])
async def test_nothing_is_tried_without_a_secret_that_is_configured(engine: FakeEngine, name: str) -> None:
    engine.in_force, engine.obstacle = BOTH, OBSTACLE
    with pytest.raises(OperationFailed) as caught:
        await execute(engine, name)
    assert caught.value.message == (
        "the secret /hcm:cloud-management/server/password cannot be decrypted; set it again"
    )
    assert (caught.value.app_tag, engine.asked) == ("unreadable-secret", [])


@pytest.mark.parametrize(
    ("servers", "app_tag", "advice"), [((), "no-server", "configure server/domain"), (BOTH, "disabled", "set enabled")]
)
async def test_reconnect_is_refused_where_there_is_nothing_to_connect(
    servers: tuple[Server, ...], app_tag: str, advice: str, engine: FakeEngine
) -> None:
    engine.device_state, engine.in_force = DeviceState.IDLE, servers
    with pytest.raises(OperationFailed, match=advice) as caught:
        await execute(engine, "reconnect")
    assert (caught.value.app_tag, engine.asked) == (app_tag, [])


async def test_a_secret_that_goes_missing_ends_a_test(engine: FakeEngine) -> None:
    engine.in_force, engine.holds = BOTH, asyncio.Event()
    test = asyncio.create_task(execute(engine, "test-connection"))
    await asyncio.sleep(0)  # it runs up to where it waits
    engine.obstacle = OBSTACLE
    engine.holds.set()
    with pytest.raises(OperationFailed):
        await test
    assert engine.asked == ["a.example:1"]


async def test_one_test_runs_at_a_time(engine: FakeEngine) -> None:
    engine.in_force, engine.holds = BOTH, asyncio.Event()
    rpc = Rpcs(device_model(), cast(Any, engine), cast(Any, None)).table()[xml.HCM, "test-connection"]
    first = asyncio.create_task(rpc(ADMIN, operation("test-connection")))
    await asyncio.sleep(0)  # it runs up to where it waits
    assert engine.asked == ["a.example:1"]
    with pytest.raises(InUse):
        await rpc(ADMIN, operation("test-connection"))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    engine.holds = None
    assert len(await rpc(ADMIN, operation("test-connection"))) == 4


@pytest.mark.parametrize("content", ["<port>1</port>", "<domain>https://a.example/</domain>", "<serial>1</serial>", ""])
async def test_a_test_of_nothing_is_refused(engine: FakeEngine, content: str) -> None:
    with pytest.raises(HeadstayError):
        await execute(engine, "test-connection", content)
    assert engine.asked == []


async def test_dhcp_update(engine: FakeEngine) -> None:
    dhcp = FakeDhcp()
    values = "<domain>cloud.example</domain><password>$0$a $0$ b</password><lease-time>120</lease-time>"
    values += "<told-at>12340</told-at>"
    assert await execute(engine, "dhcp-update", f"{LEASE}<event>bound</event>{values}", dhcp, ROOT) == []
    assert await execute(engine, "dhcp-update", f"{LEASE}<event>released</event>", dhcp, ROOT) == []
    assert dhcp.told == [
        LeaseEvent("eth0", "dhclient", Happening.BOUND, b"cloud.example", b"a $0$ b", 120, 12340),
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
