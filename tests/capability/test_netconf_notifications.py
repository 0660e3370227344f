"""Notifications as clients get them: the real ncclient over SSH, raw NETCONF where it matters what is on the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError

from fakes_netconf import (
    CLOUD,
    NC,
    USERS,
    RawClient,
    is_ok,
    make_datastores,
    running_server,
    ssh_client,
    ssh_connection,
    tag,
    unix_client,
)
from headstay import xml
from headstay.datastore.edits import account
from headstay.datastore.events import ConfigChange, DatastoreEvent
from headstay.netconf.base_notifications import config_change
from headstay.netconf.notifications import Notifications
from headstay.netconf.server import NetconfServer

NCN = "urn:ietf:params:xml:ns:yang:ietf-netconf-notifications"
PREFIXES = {"ncn": NCN, "n": xml.NOTIFICATION, "s": xml.STREAMS, "hcm": xml.HCM}
SUBSCRIBE = f'<create-subscription xmlns="{xml.NOTIFICATION}">%s</create-subscription>'
EDIT = (
    f'<edit-config><target><running/></target><config><cloud-management xmlns="{xml.HCM}">'
    "<ping-interval>%d</ping-interval></cloud-management></config></edit-config>"
)
CHANGES_ONLY = f'<filter type="xpath" xmlns:ncn="{NCN}" select="/ncn:netconf-config-change"/>'


@asynccontextmanager
async def server(directory: Path, **limits: Any) -> AsyncIterator[tuple[NetconfServer, Notifications]]:
    """A server whose datastores tell of their changes."""
    notifications = Notifications()

    def observe(event: DatastoreEvent) -> None:
        assert isinstance(event, ConfigChange)
        notifications.publish(config_change(event, account(event.changes)))

    datastores = make_datastores(CLOUD, USERS, observe=observe)
    async with running_server(directory, datastores=datastores, notifications=notifications, **limits) as running:
        yield running, notifications


def event(text: str = "x") -> etree._Element:
    """A notification of the model."""
    element = xml.element(f"{{{xml.HCM}}}dhcp-change")
    etree.SubElement(element, f"{{{xml.HCM}}}interface").text = text
    return element


def said(message: etree._Element) -> str:
    """The name of the event in a notification."""
    assert message.tag == f"{{{xml.NOTIFICATION}}}notification", etree.tostring(message)
    time, content = message
    assert (time.text or "").endswith("Z")
    return xml.local_name(content)


def connected(running: NetconfServer, user: str = "admin") -> manager.Manager:
    return manager.connect(
        host="127.0.0.1",
        port=running.port,
        username=user,
        password="right",
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=20,
    )


def taken(m: manager.Manager) -> etree._Element:
    """The next notification that ncclient hands over."""
    found = m.take_notification(timeout=20)
    assert found is not None
    return etree.fromstring(found.notification_xml.encode())


# ncclient


async def test_ncclient_is_told_of_sessions_and_of_changes(tmp_path: Path) -> None:
    def talk(running: NetconfServer) -> None:
        with connected(running) as subscriber:
            assert {
                "urn:ietf:params:netconf:capability:notification:1.0",
                "urn:ietf:params:netconf:capability:interleave:1.0",
            } <= set(subscriber.server_capabilities)
            subscriber.create_subscription()
            with connected(running) as editor:
                config = EDIT.partition("<config>")[2] % 33
                editor.edit_config(target="running", config=f"<config>{config}".removesuffix("</edit-config>"))
                editor_id = editor.session_id
            seen = [taken(subscriber) for _ in range(3)]
            assert [said(message) for message in seen] == [
                "netconf-session-start",
                "netconf-config-change",
                "netconf-session-end",
            ]
            for message in seen:
                assert message.findtext(".//ncn:username", namespaces=PREFIXES) == "admin"
                assert message.findtext(".//ncn:session-id", namespaces=PREFIXES) == editor_id
                assert message.findtext(".//ncn:source-host", namespaces=PREFIXES) == "127.0.0.1"
            target = seen[1].find(".//ncn:target", PREFIXES)
            assert target is not None
            assert target.text == "/hcm:cloud-management/hcm:ping-interval"
            assert target.nsmap["hcm"] == xml.HCM
            assert seen[1].findtext(".//ncn:operation", namespaces=PREFIXES) == "create"
            assert seen[2].findtext(".//ncn:termination-reason", namespaces=PREFIXES) == "closed"
            assert subscriber.get_config("running").ok
            assert subscriber.take_notification(block=False) is None

    async with server(tmp_path) as (running, _):
        await asyncio.to_thread(talk, running)


async def test_ncclient_replays_what_has_happened(tmp_path: Path) -> None:
    def talk(running: NetconfServer) -> None:
        with connected(running) as m:
            m.create_subscription(
                filter=("subtree", f'<dhcp-change xmlns="{xml.HCM}"/>'),
                start_time="2020-01-01T00:00:00Z",
                stop_time="2020-01-02T00:00:00Z",
            )
            assert [said(taken(m)) for _ in range(2)] == ["replayComplete", "notificationComplete"]
            # The session is an ordinary one again.
            m.create_subscription(stream_name="NETCONF", start_time="2020-01-01T00:00:00Z", filter=XPATH)
            assert [said(taken(m)) for _ in range(3)] == ["dhcp-change", "dhcp-change", "replayComplete"]
            with pytest.raises(RPCError) as caught:
                m.create_subscription()
            assert (caught.value.tag, caught.value.type) == ("operation-failed", "protocol")

    XPATH = ("xpath", "/hcm:dhcp-change")  # noqa: N806 - the prefix is not declared: it is the module's
    async with server(tmp_path) as (running, notifications):
        notifications.publish(event("a"))
        notifications.publish(event("b"))
        await asyncio.to_thread(talk, running)


# on the wire


async def test_a_session_that_has_not_subscribed_is_told_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, notifications), unix_client(tmp_path) as client:
        await client.greet()
        for _ in range(20):
            notifications.publish(event())
            assert is_ok(await client.rpc("<validate><source><running/></source></validate>"))


async def test_ok_comes_before_the_first_notification(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, notifications), unix_client(tmp_path) as client:
        await client.greet()
        notifications.publish(event())
        start = "<startTime>2020-01-01T00:00:00Z</startTime>"
        client.send(f'<rpc {NC} message-id="1">{SUBSCRIBE % start}</rpc>')
        client.send(f'<rpc {NC} message-id="2"><get-config><source><running/></source></get-config></rpc>')
        assert is_ok(await client.message())
        said_before = [said(await client.message()) for _ in range(3)]
        assert said_before == ["netconf-session-start", "dhcp-change", "replayComplete"]
        assert xml.local_name(await client.message()) == "rpc-reply"


@pytest.mark.parametrize("over", ["unix", "ssh"])
async def test_operations_go_on_among_notifications(tmp_path: Path, over: str) -> None:
    async def check(client: RawClient, notifications: Notifications) -> None:
        await client.greet()
        assert is_ok(await client.rpc(SUBSCRIBE % ""))
        count = 30
        for number in range(count):
            client.send(f'<rpc {NC} message-id="{number}">{EDIT % (20 + number)}</rpc>')
            notifications.publish(event(str(number)))
        messages = [await client.message() for _ in range(3 * count)]
        replies = [message for message in messages if xml.local_name(message) == "rpc-reply"]
        assert [reply.get("message-id") for reply in replies] == [str(number) for number in range(count)]
        assert all(map(is_ok, replies))
        told = [said(message) for message in messages if xml.local_name(message) == "notification"]
        assert (told.count("dhcp-change"), told.count("netconf-config-change")) == (count, count)

    async with server(tmp_path) as (running, notifications):
        if over == "unix":
            async with unix_client(tmp_path) as client:
                await check(client, notifications)
        else:
            async with ssh_connection(running) as connection:
                await check(await ssh_client(connection), notifications)


async def test_the_edit_is_told_before_its_reply(tmp_path: Path) -> None:
    async with server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(SUBSCRIBE % CHANGES_ONLY))
        assert said(await client.rpc(EDIT % 50)) == "netconf-config-change"
        assert is_ok(await client.message())


async def test_who_was_killed_and_by_whom(tmp_path: Path) -> None:
    async with server(tmp_path), unix_client(tmp_path) as watcher, unix_client(tmp_path) as victim:
        await watcher.greet()
        assert is_ok(await watcher.rpc(SUBSCRIBE % ""))
        await victim.greet()
        watcher.send(
            f'<rpc {NC} message-id="9"><kill-session><session-id>{victim.session_id}</session-id></kill-session></rpc>'
        )
        messages = [await watcher.message() for _ in range(2)]
        ends = [message for message in messages if message.find("ncn:netconf-session-end", PREFIXES) is not None]
        assert ends[0].findtext(".//ncn:session-id", namespaces=PREFIXES) == str(victim.session_id)
        assert ends[0].findtext(".//ncn:killed-by", namespaces=PREFIXES) == str(watcher.session_id)
        assert ends[0].findtext(".//ncn:termination-reason", namespaces=PREFIXES) == "killed"


async def test_monitoring_counts_notifications(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, notifications), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(SUBSCRIBE % ""))
        for _ in range(3):
            notifications.publish(event())
            assert said(await client.message()) == "dhcp-change"
        reply = await client.rpc(f'<get><filter><netconf-state xmlns="{xml.MONITORING}"/></filter></get>')
        found = [leaf.text for leaf in reply.iter(f"{{{xml.MONITORING}}}out-notifications")]
        assert found == ["3", "3"]  # of the session, and of all


async def test_a_client_that_does_not_read_is_cut_and_no_other_notices(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, notifications), unix_client(tmp_path) as lazy, unix_client(tmp_path) as keen:
        for client in (lazy, keen):
            await client.greet()
        assert is_ok(await lazy.rpc(SUBSCRIBE % ""))
        assert is_ok(await keen.rpc(SUBSCRIBE % ""))
        lazy.reader._transport.pause_reading()
        end = f"{{{NCN}}}netconf-session-end"
        for number in range(10_000):
            notifications.publish(event(f"{number} {'x' * 4000}"))
            message = await keen.message()
            if message.find(end) is not None:
                break
            assert message.findtext(".//hcm:interface", namespaces=PREFIXES).startswith(f"{number} ")  # type: ignore[union-attr]
        else:
            pytest.fail("the client that does not read was never cut")
        assert message.findtext(".//ncn:session-id", namespaces=PREFIXES) == str(lazy.session_id)
        assert message.findtext(".//ncn:termination-reason", namespaces=PREFIXES) == "dropped"
        await keen.message()  # the event that came after the cut
        assert is_ok(await keen.rpc("<validate><source><running/></source></validate>"))


async def test_a_guest_may_subscribe(tmp_path: Path) -> None:
    async with server(tmp_path) as (running, notifications), ssh_connection(running, username="guest") as connection:
        client = await ssh_client(connection)
        await client.greet()
        assert is_ok(await client.rpc(SUBSCRIBE % ""))
        notifications.publish(event())
        assert said(await client.message()) == "dhcp-change"
        assert tag(await client.rpc(EDIT % 50)) == "access-denied"


async def test_a_client_that_reads_late_misses_nothing(tmp_path: Path) -> None:
    async with server(tmp_path) as (_, notifications), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(SUBSCRIBE % ""))
        client.reader._transport.pause_reading()
        for number in range(300):  # more than all buffers on the way hold, less than the log
            notifications.publish(event(f"{number} {'x' * 4000}"))
            await asyncio.sleep(0)
        client.reader._transport.resume_reading()
        for number in range(300):
            message = await client.message()
            assert (message.findtext(".//hcm:interface", namespaces=PREFIXES) or "").startswith(f"{number} ")
