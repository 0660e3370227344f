"""RFC 6470's notifications: what they say, and that the module has it so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.access import Requester, Source
from headstay.datastore.difference import difference
from headstay.datastore.edits import account
from headstay.datastore.events import ConfigChange, ConfirmedCommit, ConfirmEvent
from headstay.netconf import streams
from headstay.netconf.base_notifications import config_change, confirmed_commit, session_end, session_start
from headstay.netconf.session_words import Termination
from models import device_model, hcm, made
from notification_schema import violations

NCN = "urn:ietf:params:xml:ns:yang:ietf-netconf-notifications"
ALICE = Requester("alice", 7, Source.DIRECT, host="192.0.2.1")
ROOT = Requester("root", 8, Source.LOCAL, recovery=True)


def leafs(element: etree._Element) -> dict[str, Any]:
    assert xml.namespace(element) == NCN
    return {xml.local_name(child): leafs(child) if len(child) else child.text for child in element}


def changed(before: str, after: str, requester: Requester | None = ALICE, datastore: Any = "running") -> etree._Element:
    schema = device_model().schema
    changes = difference(schema, made(device_model(), hcm(before)), made(device_model(), hcm(after)))
    return config_change(ConfigChange(requester, datastore, tuple(changes)), account(changes))


def test_a_configuration_that_a_session_changed() -> None:
    element = changed("", "<server><port>1</port></server>")
    assert xml.local_name(element) == "netconf-config-change"
    assert leafs(element) == {
        "changed-by": {"username": "alice", "session-id": "7", "source-host": "192.0.2.1"},
        "datastore": "running",
        "edit": {"target": "/hcm:cloud-management/hcm:server/hcm:port", "operation": "create"},
    }
    assert violations(element) == []


def test_a_configuration_that_the_device_changed() -> None:
    element = changed("<enabled>true</enabled>", "<enabled>false</enabled>", None, "startup")
    assert leafs(element)["changed-by"] == {"server": None}
    assert leafs(element)["datastore"] == "startup"
    assert violations(element) == []


def test_the_prefixes_of_targets_resolve_where_they_are_read() -> None:
    element = changed("<enabled>true</enabled><server><port>1</port></server>", "")
    message = etree.fromstring(streams.notification(0.0, xml.serialise(element)))
    targets = list(message.iter(f"{{{NCN}}}target"))
    assert len(targets) == 2
    for target in targets:
        assert target.nsmap["hcm"] == xml.HCM


def test_the_largest_change_is_no_larger_than_a_notification_may_be() -> None:
    names = [f"{number:03}." + "a" * 59 + "." + ("b" * 63 + ".") * 2 + "c" * 40 for number in range(8)]
    backups = "".join(f"<backup-server><domain>{name}</domain></backup-server>" for name in names)
    services = "".join(f"<service><name>s{number}</name></service>" for number in range(42))
    element = changed("", backups + services)
    assert len(list(element.iter(f"{{{NCN}}}edit"))) == 50
    assert len(xml.serialise(element)) < streams.MOST_CONTENT
    assert sum(1 for _ in element.iter()) < streams.MOST_ELEMENTS


@pytest.mark.parametrize("requester", [ALICE, None])
@pytest.mark.parametrize("event", ConfirmEvent)
def test_confirmed_commit(event: ConfirmEvent, requester: Requester | None) -> None:
    with_timeout = event in (ConfirmEvent.START, ConfirmEvent.EXTEND)
    element = confirmed_commit(ConfirmedCommit(requester, event, 600 if with_timeout else None))
    found = leafs(element)
    assert found["confirm-event"] == event.value
    assert found.get("timeout") == ("600" if with_timeout else None)
    assert ("username" in found) is (event is not ConfirmEvent.TIMEOUT)
    assert violations(element) == []


def test_a_session_starts() -> None:
    assert leafs(session_start(ALICE)) == {"username": "alice", "session-id": "7", "source-host": "192.0.2.1"}
    assert leafs(session_start(ROOT)) == {"username": "root", "session-id": "8"}
    for requester in (ALICE, ROOT):
        assert violations(session_start(requester)) == []


def test_a_host_that_is_no_address_is_left_out() -> None:
    named = Requester("alice", 7, Source.TUNNEL, host="cloud.example")
    assert "source-host" not in leafs(session_start(named))


@pytest.mark.parametrize("termination", Termination)
def test_a_session_ends(termination: Termination) -> None:
    element = session_end(ALICE, termination, 9)
    found = leafs(element)
    assert found["termination-reason"] == termination.value
    assert found.get("killed-by") == ("9" if termination is Termination.KILLED else None)
    assert violations(element) == []
    assert "killed-by" not in leafs(session_end(ALICE, Termination.KILLED, None))


def test_a_user_whose_name_xml_cannot_carry() -> None:
    element = session_start(Requester("a\x00b", 1, Source.DIRECT))
    assert json.dumps(leafs(element)["username"]) == '"a\\ufffdb"'
