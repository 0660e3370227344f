"""What a manager hears of a real device: the link's own events, commits, and what happened before a restart."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ncclient import manager
from ncclient.transport.errors import TransportError

from end_to_end.processes import Cloud, Device, until

HCM = "urn:headstay:yang:cloud-management"
NCN = "urn:ietf:params:xml:ns:yang:ietf-netconf-notifications"
STREAMS = "urn:ietf:params:xml:ns:netmod:notification"
SERIAL = "HS-E2E-NOTIFY"
PASSWORD = "correct horse battery staple"
LINK = ("subtree", f'<connection-state-change xmlns="{HCM}"/>')
CHANGE = ("subtree", f'<netconf-config-change xmlns="{NCN}"/>')


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "c")
    cloud.add(SERIAL, PASSWORD)
    yield cloud
    cloud.stop()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", SERIAL)
    yield device
    device.stop()


def connected(device: Device) -> manager.Manager:
    return manager.connect(
        host="127.0.0.1",
        port=device.port,
        username="admin",
        password=Device.PASSWORD,
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=30,
    )


def configure(device: Device, cloud: Cloud) -> None:
    with connected(device) as session:
        content = (
            f"<server><domain>localhost</domain><port>{cloud.port}</port><password>$0${PASSWORD}</password></server>"
            f"<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>"
        )
        config = f'<config><cloud-management xmlns="{HCM}">{content}</cloud-management></config>'
        session.edit_config(target="running", config=config)


def taken(session: manager.Manager) -> dict[str, str | None]:
    """The leafs of the next notification, under the name of its event as `event`."""
    notification = session.take_notification(timeout=30)
    assert notification is not None
    assert PASSWORD not in notification.notification_xml
    content = etree.fromstring(notification.notification_xml.encode())[1]
    names = {etree.QName(leaf).localname: leaf.text for leaf in content.iter()}
    return {**names, "event": etree.QName(content).localname}


def reported(cloud: Cloud, event: str | None = None) -> list[dict[str, Any]]:
    """The bodies of the reports that the cloud has stored, or those of one event."""
    with contextlib.closing(sqlite3.connect(cloud.config.parent / "cloud" / "registry.sqlite")) as registry:
        bodies = [json.loads(body) for (body,) in registry.execute("SELECT body FROM report ORDER BY id")]
    return [body for body in bodies if event in (None, body["event"])]


def test_a_manager_hears_of_the_link(cloud: Cloud, device: Device) -> None:
    with connected(device) as session:
        session.create_subscription(filter=LINK)
        configure(device, cloud)
        states = [taken(session)["new-state"]]
        while states[-1] != "established":
            states.append(taken(session)["new-state"])
        cloud.program.kill()
        told = taken(session)
        assert (told["old-state"], told["new-state"]) == ("established", "unconnected")
        assert told["server-domain"] == "localhost"
        assert told["down-reason"] is not None


def test_what_happened_is_replayed_after_kill_9(cloud: Cloud, device: Device) -> None:
    configure(device, cloud)
    file = device.state_dir / "events.db"
    until(lambda: Path(f"{file}-wal").read_bytes(), lambda octets: b"netconf-session-end" in octets)
    device.program.kill()
    device.start()
    with connected(device) as session:
        wanted = ("subtree", f'<netconf xmlns="{STREAMS}"/>')
        found = session.get(wanted).data_ele.find(f".//{{{STREAMS}}}stream")
        leafs = {etree.QName(leaf).localname: leaf.text for leaf in found}
        assert (leafs["name"], leafs["replaySupport"]) == ("NETCONF", "true")
        session.create_subscription(filter=CHANGE, start_time=leafs["replayLogCreationTime"])
        told = taken(session)
        assert (told["event"], told["username"]) == ("netconf-config-change", "admin")
        assert taken(session)["event"] == "replayComplete"


def test_the_cloud_hears_of_a_commit(cloud: Cloud, device: Device) -> None:
    configure(device, cloud)
    commits = until(lambda: reported(cloud, "commit"), bool)
    assert len(commits) == 1
    assert (commits[0]["user"], commits[0]["source"]) == ("admin", "direct")
    top = "/headstay-cloud-management:cloud-management"
    assert {f"{top}/server/domain", f"{top}/server/password"} < set(commits[0]["changed"])
    assert PASSWORD not in str(reported(cloud))


def test_the_cloud_hears_of_a_commit_that_the_start_has_undone(cloud: Cloud, device: Device) -> None:
    """A confirmed commit without a persist id ends with the daemon; else the cloud would believe in it for ever."""
    configure(device, cloud)
    with contextlib.suppress(TransportError), connected(device) as session:
        config = (
            f'<config><cloud-management xmlns="{HCM}"><ping-interval>77</ping-interval></cloud-management></config>'
        )
        session.edit_config(target="candidate", config=config)
        session.commit(confirmed=True)
        until(lambda: len(reported(cloud, "commit")), lambda count: count == 2)
        device.program.kill()
    device.start()
    commits = until(lambda: reported(cloud, "commit"), lambda commits: len(commits) > 2)
    undone = {"event": "commit", "changed": ["/headstay-cloud-management:cloud-management/ping-interval"]}
    assert commits[2:] == [undone]


def test_a_damaged_log_stops_nothing(device: Device) -> None:
    device.stop()
    (device.state_dir / "events.db").write_bytes(b"damaged" * 1000)
    device.start()
    assert "begun anew" in device.program.log
    with connected(device) as session:
        session.create_subscription(start_time="2020-01-01T00:00:00Z")
        assert taken(session)["event"] == "netconf-session-start"
