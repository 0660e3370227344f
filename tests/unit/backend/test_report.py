"""Status and events in the model's words: every leaf there is, each with a value that the model accepts."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

import pytest
from lxml import etree

from headstay import xml
from headstay.backend.precedence import DhcpUse
from headstay.backend.report import (
    commit_body,
    date_and_time,
    learned_tree,
    lease_tree,
    notification,
    report_body,
    state_tree,
)
from headstay.datastore.access import Requester
from headstay.datastore.access import Source as RequestSource
from headstay.datastore.difference import difference
from headstay.datastore.edits import account
from headstay.datastore.events import ConfigChange
from headstay.datastore.overlay import overlaid
from headstay.datastore.schema import SchemaNode
from headstay.dhcp.lease import Lease
from headstay.engine import events, reasons
from headstay.engine.settings import Role, Server, Settings, Source
from headstay.engine.status import ConnectionStatus, ServerStatus, Status, SubconnectionStatus
from models import device_model, hcm, made, values
from notification_schema import violations

FULL = Status(
    ConnectionStatus(
        state=reasons.State.ESTABLISHED,
        device_state=reasons.DeviceState.CONNECTED,
        process_state=reasons.ProcessState.MESSAGE_RECEIVED,
        server_domain="localhost",
        server_address="127.0.0.1",
        server_port=19443,
        server_role=Role.PRIMARY,
        domain_source=Source.CONFIGURED,
        password_source=Source.NONE,
        connected_at=1517062720.25,
        duration=121,
        failure_reason=reasons.FailureReason.DNS_FAILED,
        last_down_reason=reasons.DownReason.SOCKET_ERROR,
        last_down_details="reset",
        last_down_at=1517059120.0,
        last_report_failure_reason=reasons.ReportFailure.SEND_FAILED,
        last_report_failure_at=0.0,
        last_report_incomplete_reason=reasons.ReportIncomplete.TOO_LARGE,
        last_report_incomplete_at=1.0,
        dropped_total=1,
    ),
    servers=(
        ServerStatus(domain="a", order=1, role=Role.PRIMARY, port=1, address="::1", last_attempt=1.5, established=True),
        ServerStatus(
            domain="b",
            order=2,
            role=Role.BACKUP,
            port=2,
            last_result=reasons.FailureReason.SERVER_BUSY,
            next_attempt=2.0,
        ),
    ),
    subconnections=(
        SubconnectionStatus(
            service="telemetry",
            instance="1",
            state=reasons.SubconnectionState.ESTABLISHED,
            url="wss://localhost:19443/v1/sub",
            established_at=1517062720.5,
        ),
    ),
)


def check(status: Status) -> None:
    """Assert that the model knows every leaf and accepts every value, each entry's keys first."""
    schema = device_model().schema

    def below(node: SchemaNode, element: object) -> None:
        for child in element:  # type: ignore[attr-defined]
            found = node.children[child.tag]
            if found.terminal:
                assert found.canonical(child.text or "", child.nsmap).text == child.text
                assert found.json(child.text) is not None
            else:
                assert tuple(leaf.tag for leaf in child[: len(found.keys)]) == found.key_tags
                below(found, child)

    below(schema, state_tree(status))


def test_everything_that_can_be_reported() -> None:
    check(FULL)
    tree = state_tree(FULL)
    connection = tree.find(".//hcm:connection", {"hcm": "urn:headstay:yang:cloud-management"})
    assert connection is not None
    assert {leaf.tag.partition("}")[2].replace("-", "_") for leaf in connection} == {
        field.name for field in fields(ConnectionStatus)
    } | {"mode"}
    assert values(tree, ".//hcm:connected-at") == ["2018-01-27T14:18:40.250Z"]
    assert values(tree, ".//hcm:mode") == ["https"]
    assert values(tree, ".//hcm:last-result") == ["established", "server-busy"]
    assert values(tree, ".//hcm:last-attempt") == ["1970-01-01T00:00:01.500Z"]


def test_the_order_is_the_models() -> None:
    tree = overlaid(device_model().schema, device_model().empty(), state_tree(FULL))
    for path in ("connection", "server-status", "subconnection"):
        node = device_model().schema.find(f"/hcm:cloud-management/{path}")
        for entry in tree.iter(node.tag):
            places = [node.order[leaf.tag] for leaf in entry]
            assert all(one < next_one for one, next_one in pairwise(places)), path


def test_nothing_to_report() -> None:
    check(Status(ConnectionStatus()))
    tree = state_tree(Status(ConnectionStatus()))
    assert values(tree, ".//hcm:state") == ["unconnected"]
    assert values(tree, ".//hcm:connected-at") == []
    assert values(tree, ".//hcm:server-status") == []


@pytest.mark.parametrize(
    "kind",
    [
        reasons.State,
        reasons.DeviceState,
        reasons.ProcessState,
        reasons.FailureReason,
        reasons.DownReason,
        reasons.ReportFailure,
        reasons.ReportIncomplete,
    ],
)
def test_every_word_of_the_engine_is_one_of_the_models(kind: type[reasons.State]) -> None:
    leafs = {
        reasons.State: "state",
        reasons.DeviceState: "device-state",
        reasons.ProcessState: "process-state",
        reasons.FailureReason: "failure-reason",
        reasons.DownReason: "last-down-reason",
        reasons.ReportFailure: "last-report-failure-reason",
        reasons.ReportIncomplete: "last-report-incomplete-reason",
    }
    leaf = device_model().schema.find(f"/hcm:cloud-management/connection/{leafs[kind]}")
    for member in kind:
        assert leaf.canonical(str(member.value), {}).text == member.value


def test_times_are_utc_to_the_millisecond() -> None:
    assert date_and_time(0) == "1970-01-01T00:00:00.000Z"
    assert date_and_time(1517062720.9996) == "2018-01-27T14:18:40.999Z"


def test_reports() -> None:
    event = events.ConnectionStateChange(
        old_state=reasons.State.REQUEST, new_state=reasons.State.ESTABLISHED, server_domain="a"
    )
    assert report_body(event) == {
        "event": "connection-state-change",
        "old-state": "request",
        "new-state": "established",
        "server-domain": "a",
    }
    # RFC 7951 section 6.1: a counter64 is a string.
    assert report_body(events.ReportBufferFull(buffer_full_count=3)) == {
        "event": "report-buffer-full",
        "buffer-full-count": "3",
    }


# what DHCP gives --------------------------------------------------------------------------------------

LEASE = Lease("eth0", "dhclient", 1517062720.25, "cloud.example", "hunter2", "option 252 is odd", 1517062840.25)


def leased(lease: Lease, use: DhcpUse) -> dict[str, str]:
    tree = lease_tree(lease, use)
    (container,) = tree[0]
    schema = device_model().schema.find("/hcm:cloud-management/dhcp-lease")
    for leaf in container:
        assert schema.children[leaf.tag].canonical(leaf.text or "", {}).text == leaf.text
    return {etree.QName(leaf).localname: leaf.text or "" for leaf in container}


def test_a_lease() -> None:
    assert leased(LEASE, DhcpUse()) == {
        "interface": "eth0",
        "client": "dhclient",
        "domain": "cloud.example",
        "password-present": "true",
        "ignored": "option 252 is odd",
        "received-at": "2018-01-27T14:18:40.250Z",
        "expires-at": "2018-01-27T14:20:40.250Z",
    }


def test_a_lease_that_gives_nothing() -> None:
    assert leased(Lease("eth0", "udhcpc", 0.0), DhcpUse()).keys() == {
        *("interface", "client", "password-present", "received-at")
    }


def test_a_lease_that_does_not_count() -> None:
    assert leased(LEASE, DhcpUse(enabled=False))["ignored"] == "everything: dhcp/enabled is false"


def test_no_lease() -> None:
    assert len(lease_tree(None, DhcpUse())) == 0


def test_a_change_of_what_dhcp_gives() -> None:
    change = events.DhcpChange(interface="eth0", domain="cloud.example", password_present=False)
    assert report_body(change) == {
        "event": "dhcp-change",
        "interface": "eth0",
        "domain": "cloud.example",
        "password-present": False,
    }


# what was learned


def test_what_dhcp_gave_and_only_that_counts_as_learned() -> None:
    learned = Settings(
        servers=(Server("learned.example", source=Source.DHCP), Server("b.example")),
        password="hunter2",
        password_source=Source.DHCP,
    )
    tree = learned_tree(learned, lambda clear: f"sealed({len(clear)})")
    assert {xml.local_name(leaf): leaf.text for leaf in tree.iter() if not len(leaf)} == {
        "domain": "learned.example",
        "password": "sealed(7)",
    }
    configured = Settings(servers=(Server("a.example"),), password="hunter2", password_source=Source.CONFIGURED)
    assert len(learned_tree(configured, str)) == 0
    assert len(learned_tree(Settings(), str)) == 0


# notifications and commits

EVENTS = [
    events.ConnectionStateChange(old_state=reasons.State.ESTABLISHED, new_state=reasons.State.UNCONNECTED),
    events.ConnectionStateChange(
        old_state=reasons.State.REQUEST,
        new_state=reasons.State.ESTABLISHED,
        server_domain="cloud.example",
        server_address="192.0.2.1",
        failure_reason=reasons.FailureReason.DNS_FAILED,
        down_reason=reasons.DownReason.SOCKET_ERROR,
        details="a\x00b",
    ),
    events.ServerSwitchover(old_server="a.example", new_server="b.example"),
    events.AuthenticationFailure(
        server_domain="a.example", failure_reason=reasons.FailureReason.AUTHENTICATION_REFUSED, details="bad-proof"
    ),
    events.SubconnectionStateChange(
        service="telemetry", instance="1", new_state=reasons.SubconnectionState.ESTABLISHED
    ),
    events.ReportBufferFull(buffer_full_count=3),
    events.DhcpChange(interface="vlan1"),
    events.DhcpChange(interface="vlan1", domain="c.example", password_present=True, ignored="option 252"),
    events.DhcpChange(interface="vlan1", password_present=False),
]


def test_there_is_an_example_of_every_event() -> None:
    kinds = {event.name for event in events.Event.__args__}  # type: ignore[attr-defined]
    assert {event.name for event in EVENTS} | {"unbound"} == kinds | {"unbound"}


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_a_notification_of_the_model(event: events.Event) -> None:
    element = notification(event)
    assert violations(element) == []
    said = {etree.QName(leaf).localname: leaf.text for leaf in element}
    body = report_body(event)
    assert body.pop("event") == etree.QName(element).localname
    assert said == {leaf: str(value).lower() if isinstance(value, bool) else value for leaf, value in body.items()}


def changed(before: str, after: str, requester: Requester | None) -> dict[str, object]:
    changes = difference(device_model().schema, made(device_model(), hcm(before)), made(device_model(), hcm(after)))
    return commit_body(ConfigChange(requester, "running", tuple(changes)), account(changes))


def test_the_report_of_a_commit_names_paths_and_no_value() -> None:
    requester = Requester("alice", 7, RequestSource.DIRECT, host="192.0.2.1")
    after = "<server><domain>cloud.example</domain><password>$0$correct horse</password></server>"
    body = changed("<enabled>true</enabled>", after, requester)
    assert body == {
        "event": "commit",
        "user": "alice",
        "session": 7,
        "source": "direct",
        "changed": [
            "/headstay-cloud-management:cloud-management/enabled",
            "/headstay-cloud-management:cloud-management/server/domain",
            "/headstay-cloud-management:cloud-management/server/password",
        ],
    }


def test_the_report_of_a_commit_that_nobody_made() -> None:
    assert set(changed("<enabled>true</enabled>", "", None)) == {"event", "changed"}
