"""Every operation of the real ncclient against a real device, over SSH and over the Unix socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ncclient import manager
from ncclient.operations import RPCError
from ncclient.xml_ import to_ele

from end_to_end.processes import PATIENCE, Device
from headstay import xml

HCM = {"hcm": xml.HCM}
Connect = Callable[[], manager.Manager]


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    made = Device(tmp_path_factory.mktemp("ncclient") / "device", "SN-1", "startup = true\n")
    yield made
    made.stop()


@pytest.fixture(params=["ssh", "uds"])
def connect(request: pytest.FixtureRequest, device: Device) -> Connect:
    if request.param == "uds":
        return lambda: manager.connect_uds(path=str(device.state_dir / "netconf.sock"), timeout=PATIENCE)
    return lambda: manager.connect(
        host="127.0.0.1",
        port=device.port,
        username="admin",
        password=device.PASSWORD,
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=PATIENCE,
    )


@pytest.fixture
def m(connect: Connect) -> Iterator[manager.Manager]:
    with connect() as session:
        session.discard_changes()
        session.edit_config(target="running", config=ping(60))
        yield session


def ping(seconds: object) -> str:
    leaf = f"<ping-interval>{seconds}</ping-interval>"
    return f'<config xmlns="{xml.NETCONF}"><cloud-management xmlns="{xml.HCM}">{leaf}</cloud-management></config>'


FILTER = ("subtree", f'<cloud-management xmlns="{xml.HCM}"><ping-interval/></cloud-management>')


def interval(m: manager.Manager, source: str = "running") -> str:
    found = m.get_config(source=source, filter=FILTER).data_ele
    return str(found.xpath("string(//hcm:ping-interval)", namespaces=HCM))


def test_hello(m: manager.Manager) -> None:
    offered = {capability.partition("?")[0] for capability in m.server_capabilities}
    for name in [
        "base:1.0",
        "base:1.1",
        "capability:writable-running:1.0",
        "capability:candidate:1.0",
        "capability:confirmed-commit:1.1",
        "capability:rollback-on-error:1.0",
        "capability:validate:1.1",
        "capability:startup:1.0",
        "capability:xpath:1.0",
        "capability:with-defaults:1.0",
        "capability:notification:1.0",
        "capability:interleave:1.0",
        "capability:yang-library:1.1",
    ]:
        assert f"urn:ietf:params:netconf:{name}" in offered
    assert int(m.session_id) > 0


def test_get_and_get_config(m: manager.Manager) -> None:
    state = m.get(filter=("xpath", "/hcm:cloud-management/hcm:connection/hcm:state")).data_ele
    assert state.xpath("string(//hcm:state)", namespaces=HCM) == "unconnected"
    assert interval(m) == "60"
    declared = m.get_config(source="running", filter=("xpath", (HCM, "//hcm:ping-interval"))).data_ele
    assert declared.xpath("string(//hcm:ping-interval)", namespaces=HCM) == "60"


@pytest.mark.parametrize("mode", ["report-all", "report-all-tagged", "trim", "explicit"])
def test_with_defaults(m: manager.Manager, mode: str) -> None:
    found = m.get_config(source="running", with_defaults=mode).data_ele
    intervals = found.xpath("count(//hcm:keepalive-interval)", namespaces=HCM)
    assert bool(intervals) is mode.startswith("report-all")
    # 60 was set, and is the default too: only trim leaves it out.
    assert bool(found.xpath("count(//hcm:ping-interval)", namespaces=HCM)) is (mode != "trim")


def test_get_schema(m: manager.Manager) -> None:
    assert m.get_schema("headstay-cloud-management").data.startswith("module headstay-cloud-management")
    with pytest.raises(RPCError) as refused:
        m.get_schema("no-such-module")
    assert refused.value.tag == "invalid-value"


def test_edit_config(m: manager.Manager) -> None:
    m.edit_config(
        target="candidate",
        config=ping(70),
        default_operation="merge",
        test_option="test-then-set",
        error_option="rollback-on-error",
    )
    assert (interval(m, "candidate"), interval(m)) == ("70", "60")
    with pytest.raises(RPCError) as refused:
        m.edit_config(target="candidate", config=ping(5), error_option="rollback-on-error")
    assert (refused.value.tag, refused.value.severity) == ("invalid-value", "error")
    assert refused.value.path is not None
    assert "ping-interval" in refused.value.path
    assert interval(m, "candidate") == "70"
    m.edit_config(target="running", config=ping(80), test_option="test-only")
    assert interval(m) == "60"


def test_copy_config_and_delete_config(m: manager.Manager) -> None:
    m.copy_config(source="running", target="startup")
    m.edit_config(target="running", config=ping(90))
    assert (interval(m, "startup"), interval(m)) == ("60", "90")
    m.copy_config(source="startup", target="running")
    assert interval(m) == "60"
    m.copy_config(source=to_ele(f'<source xmlns="{xml.NETCONF}">{ping(95)}</source>'), target="candidate")
    assert interval(m, "candidate") == "95"
    m.discard_changes()
    m.delete_config(target="startup")
    assert interval(m, "startup") == ""


def test_lock_and_unlock(m: manager.Manager, connect: Connect) -> None:
    with connect() as other:
        m.lock("candidate")
        with pytest.raises(RPCError) as refused:
            other.lock("candidate")
        assert refused.value.tag == "lock-denied"
        assert refused.value.info is not None
        assert f"<session-id>{m.session_id}</session-id>" in "".join(refused.value.info.split())
        with pytest.raises(RPCError) as refused:
            other.edit_config(target="candidate", config=ping(70))
        assert refused.value.tag == "in-use"
        m.unlock("candidate")
        with other.locked("candidate"):
            pass


def test_validate_commit_and_discard_changes(m: manager.Manager) -> None:
    m.edit_config(target="candidate", config=ping(71))
    m.validate(source="candidate")
    m.validate(source=to_ele(ping(72)))
    m.commit()
    assert interval(m) == "71"
    m.edit_config(target="candidate", config=ping(73))
    m.discard_changes()
    m.commit()
    assert interval(m) == "71"


def test_confirmed_commit(m: manager.Manager, connect: Connect) -> None:
    m.edit_config(target="candidate", config=ping(74))
    m.commit(confirmed=True, timeout="600")
    assert interval(m) == "74"
    m.cancel_commit()
    assert interval(m) == "60"

    m.edit_config(target="candidate", config=ping(75))
    m.commit(confirmed=True, timeout="600")
    m.commit()
    assert interval(m) == "75"

    m.edit_config(target="candidate", config=ping(76))
    m.commit(confirmed=True, timeout="600", persist="mine")
    with connect() as other:
        with pytest.raises(RPCError) as refused:
            other.cancel_commit(persist_id="yours")
        assert refused.value.tag == "invalid-value"
        other.commit(persist_id="mine")
    assert interval(m) == "76"


def test_a_confirmed_commit_is_taken_back_when_its_session_ends(m: manager.Manager, connect: Connect) -> None:
    with connect() as other:
        other.edit_config(target="candidate", config=ping(77))
        other.commit(confirmed=True)
        assert interval(m) == "77"
    assert interval(m) == "60"


def test_create_subscription(m: manager.Manager, connect: Connect) -> None:
    with connect() as subscriber:
        subscriber.create_subscription()
        assert interval(subscriber) == "60"  # interleave
        m.edit_config(target="running", config=ping(78))
        while True:
            notification = subscriber.take_notification(timeout=PATIENCE)
            assert notification is not None
            if "netconf-config-change" in notification.notification_xml:
                break
    targets = [element.text for element in etree.fromstring(notification.notification_xml.encode()).iter("{*}target")]
    assert len(targets) == 1
    assert targets[0] is not None
    assert targets[0].endswith("ping-interval")


def test_kill_session_and_close_session(m: manager.Manager, connect: Connect) -> None:
    victim = connect()
    victim.lock("running")
    m.kill_session(victim.session_id)
    with m.locked("running"):
        pass
    victim._session.join(PATIENCE)
    assert not victim.connected
    other = connect()
    other.close_session()
    assert not other.connected


def test_dispatch_and_rpc(m: manager.Manager) -> None:
    assert m.dispatch(to_ele(f'<clear-counters xmlns="{xml.HCM}"/>')).ok
    assert m.rpc(to_ele(f'<clear-counters xmlns="{xml.HCM}"/>')).ok
    with pytest.raises(RPCError) as refused:
        m.dispatch(to_ele(f'<reconnect xmlns="{xml.HCM}"/>'))
    assert (refused.value.tag, refused.value.app_tag) == ("operation-failed", "no-server")
    with pytest.raises(RPCError) as refused:
        m.dispatch(to_ele("<no-such-operation/>"))
    assert refused.value.tag == "operation-not-supported"
    assert interval(m) == "60"  # the session goes on


def test_a_large_and_a_strange_message(m: manager.Manager, tmp_path: Path) -> None:
    servers = "".join(f"<backup-server><domain>b{n}.example</domain></backup-server>" for n in range(9))
    config = f'<config xmlns="{xml.NETCONF}"><cloud-management xmlns="{xml.HCM}">{servers}</cloud-management></config>'
    with pytest.raises(RPCError) as refused:
        m.edit_config(target="running", config=config)
    assert refused.value.tag == "operation-failed"
    assert refused.value.app_tag == "too-many-elements"
    text: Any = m.get_config(source="running").data_xml
    assert "b0.example" not in text
