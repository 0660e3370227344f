"""The main job: an edit-config from the real ncclient brings up a real cloud connection, and what follows from that.

The device, the cloud and the commands are processes of their own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ncclient import manager
from ncclient.operations.rpc import RPCError
from ncclient.transport import AuthenticationError
from ncclient.xml_ import to_ele

from end_to_end.northbound import HCM, configure, connected
from end_to_end.processes import Cloud, Device, command, until

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
SYSTEM = "urn:ietf:params:xml:ns:yang:ietf-system"
SERIAL = "HS-E2E-0001"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def session(device: Device) -> Iterator[manager.Manager]:
    with connected(device) as session:
        yield session


def server(cloud: Cloud, password: str = PASSWORD) -> str:
    return (
        f"<server><domain>localhost</domain><port>{cloud.port}</port><password>$0${password}</password></server>"
        f"<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>"
    )


def connection(session: manager.Manager) -> dict[str, str]:
    """The operational state of the connection."""
    wanted = ("subtree", f'<cloud-management xmlns="{HCM}"><connection/></cloud-management>')
    found = session.get(wanted).data_ele.find(f".//{{{HCM}}}connection")
    return {leaf.tag.partition("}")[2]: leaf.text for leaf in found}


def telemetry(session: manager.Manager) -> set[str]:
    """The states of all subconnections that carry telemetry."""
    service = "<subconnection><service>telemetry</service></subconnection>"
    found = session.get(("subtree", f'<cloud-management xmlns="{HCM}">{service}</cloud-management>')).data_ele
    return {leaf.text for leaf in found.iter(f"{{{HCM}}}state")}


def until_state(session: manager.Manager, state: str) -> dict[str, str]:
    return until(lambda: connection(session), lambda seen: seen["state"] == state)


def test_commit_brings_up_the_connection(cloud: Cloud, device: Device, session: Any) -> None:
    assert connection(session)["state"] == "unconnected"
    assert connection(session)["device-state"] == "idle"
    configure(session, server(cloud))
    seen = until_state(session, "established")
    assert seen["device-state"] == "connected"
    assert seen["server-domain"] == "localhost"
    assert seen["server-port"] == str(cloud.port)
    assert seen["server-address"] in ("127.0.0.1", "::1")
    assert seen["password-source"] == "configured"
    assert "failure-reason" not in seen
    listed = cloud.admin("device", "list", "--json").stdout
    assert f'"{SERIAL}"' in listed


def test_nothing_in_clear(cloud: Cloud, device: Device) -> None:
    with connected(device) as session:
        configure(session, server(cloud))
        until_state(session, "established")
        config = session.get_config("running").xml
        assert "$aes-256-gcm$" in config
        assert PASSWORD not in config
        assert PASSWORD not in session.get().xml
    device.stop()
    assert PASSWORD not in device.program.log
    assert "ticket=" not in device.program.log
    stored = b"".join(path.read_bytes() for path in device.state_dir.glob("datastore.db*"))
    assert PASSWORD.encode() not in stored


def test_who_is_removed_from_the_users_is_out_at_once(device: Device, session: Any) -> None:
    system = f'<system xmlns="{SYSTEM}"><authentication>%s</authentication></system>'
    user = f"<config>{system}</config>"
    session.edit_config(target="running", config=user % "<user><name>kim</name><password>$0$pass</password></user>")
    kim = connected(device, "kim", "pass")
    assert kim.get_config("running").ok
    gone = f'<user xmlns:nc="{BASE}" nc:operation="delete"><name>kim</name></user>'
    session.edit_config(target="running", config=user % gone)
    until(lambda: kim.connected, lambda connected: not connected)
    with pytest.raises(AuthenticationError):
        connected(device, "kim", "pass")
    assert session.get_config("running").ok


def test_interval_change_keeps_the_connection(cloud: Cloud, session: Any) -> None:
    configure(session, server(cloud))
    before = until_state(session, "established")
    configure(session, "<ping-interval>30</ping-interval><keepalive-interval>20</keepalive-interval>")
    after = connection(session)
    assert after["state"] == "established"
    assert after["connected-at"] == before["connected-at"]
    assert after["established-count"] == before["established-count"] == "1"


def test_service_disabled_and_enabled_keeps_the_connection(cloud: Cloud, session: Any) -> None:
    configure(session, server(cloud))
    until(lambda: telemetry(session), lambda seen: seen == {"established"})
    before = connection(session)
    configure(session, "<service><name>telemetry</name><enabled>false</enabled></service>")
    until(lambda: telemetry(session), lambda seen: seen == {"disabled"})
    configure(session, "<service><name>telemetry</name><enabled>true</enabled></service>")
    until(lambda: telemetry(session), lambda seen: seen == {"established"})
    after = connection(session)
    assert after["connected-at"] == before["connected-at"]
    assert after["established-count"] == before["established-count"] == "1"


def test_wrong_password_is_refused(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud, "not the password"))
    seen = until(lambda: connection(session), lambda seen: "failure-reason" in seen)
    assert seen["failure-reason"] == "authentication-refused"
    assert seen["state"] == "unconnected"
    line = device.program.until_line("authentication-failure")
    assert "bad-proof" in line
    assert "not the password" not in device.program.log
    configure(session, server(cloud))
    until_state(session, "established")


def test_serial_that_was_not_added_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    stranger = Device(tmp_path / "stranger", "HS-UNKNOWN")
    try:
        with connected(stranger) as session:
            configure(session, server(cloud))
            seen = until(lambda: connection(session), lambda seen: "failure-reason" in seen)
            assert seen["failure-reason"] == "authentication-refused"
        assert "unknown-serial" in stranger.program.until_line("authentication-failure")
    finally:
        stranger.stop()


def test_domain_removed_takes_it_down(cloud: Cloud, session: Any) -> None:
    configure(session, server(cloud))
    until_state(session, "established")
    remove = 'xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="delete"'
    configure(session, f"<server><domain {remove}/></server>")
    seen = until_state(session, "unconnected")
    assert seen["last-down-reason"] == "configuration-changed"
    assert "connected-at" not in seen


def test_disabled_takes_it_down(cloud: Cloud, session: Any) -> None:
    configure(session, server(cloud))
    until_state(session, "established")
    configure(session, "<enabled>false</enabled>")
    assert until_state(session, "unconnected")["last-down-reason"] == "disabled"
    configure(session, "<enabled>true</enabled>")
    until_state(session, "established")


def test_certificate_that_does_not_match(session: Any, tmp_path: Path) -> None:
    everywhere = Cloud(tmp_path / "everywhere", host="0.0.0.0")
    try:
        everywhere.add(SERIAL, PASSWORD)
        # Dialled by an address it is reached for certain, and its certificate names the address 127.0.0.1 only.
        configure(session, server(everywhere).replace("<domain>localhost<", "<domain>127.0.0.2<"))
        seen = until(lambda: connection(session), lambda seen: "failure-reason" in seen)
        assert seen["failure-reason"] == "certificate-name-mismatch"
        configure(session, "<server><domain>127.0.0.1</domain></server>")
        assert until_state(session, "established")["server-domain"] == "127.0.0.1"
    finally:
        everywhere.stop()


def test_killed_daemon_comes_back_with_its_configuration(cloud: Cloud, device: Device) -> None:
    with connected(device) as session:
        configure(session, server(cloud) + "<keepalive-interval>77</keepalive-interval>")
        until_state(session, "established")
        committed = session.get_config("running").xml
    device.program.kill()
    device.start()
    with connected(device) as session:
        until_state(session, "established")
        after = session.get_config("running").xml
    assert after.partition("<data>")[2] == committed.partition("<data>")[2]
    assert "<keepalive-interval>77<" in after


def test_cloud_restart_is_survived(cloud: Cloud, session: Any, tmp_path: Path) -> None:
    own = Cloud(tmp_path / "own")
    try:
        own.add(SERIAL)
        configure(
            session,
            f"<server><domain>localhost</domain><port>{own.port}</port></server>"
            f"<tls><trust-anchor>{own.trust_anchor}</trust-anchor></tls>",
        )
        until_state(session, "established")
        own.program.kill()
        seen = until_state(session, "unconnected")
        assert seen["last-down-reason"] == "socket-error"
    finally:
        own.stop()


def test_reconnect(cloud: Cloud, device: Device, session: Any) -> None:
    refused = command("reconnect", "--state-dir", str(device.state_dir))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "headstay: there is no cloud server to connect to; configure server/domain\n"
    configure(session, f"<enabled>false</enabled>{server(cloud)}")
    refused = command("reconnect", "--state-dir", str(device.state_dir))
    assert refused.stderr == "headstay: the cloud connection is disabled; set enabled to true\n"
    configure(session, "<enabled>true</enabled>")
    before = until_state(session, "established")
    session.dispatch(to_ele(f'<reconnect xmlns="{HCM}"/>'))
    again = until(lambda: connection(session), lambda seen: seen["established-count"] == "2")
    assert again["last-down-reason"] == "reconnect-requested"
    assert again["connected-at"] >= before["connected-at"]
    done = command("reconnect", "--state-dir", str(device.state_dir))
    assert done.returncode == 0, done.stderr
    until(lambda: connection(session), lambda seen: seen["established-count"] == "3")


def test_clear_counters(cloud: Cloud, session: Any) -> None:
    configure(session, server(cloud))
    before = until_state(session, "established")
    session.dispatch(to_ele(f'<clear-counters xmlns="{HCM}"/>'))
    after = connection(session)
    assert (before["established-count"], after["established-count"], after["attempts"]) == ("1", "0", "0")
    assert after["connected-at"] == before["connected-at"]


def test_removed_serial_is_cut_off(cloud: Cloud, tmp_path: Path) -> None:
    cloud.add("HS-E2E-REMOVED")
    device = Device(tmp_path / "removed", "HS-E2E-REMOVED")
    try:
        with connected(device) as session:
            configure(session, server(cloud).replace(f"<password>$0${PASSWORD}</password>", ""))
            until_state(session, "established")
            assert cloud.admin("device", "remove", "hs-e2e-removed").returncode == 0
            seen = until_state(session, "unconnected")
            assert seen["last-down-reason"] == "removed-from-cloud"
    finally:
        device.stop()


def test_refused_commit_changes_nothing(cloud: Cloud, session: Any) -> None:
    before = session.get_config("running").xml
    nine = "".join(f"<backup-server><domain>b{n}.example</domain></backup-server>" for n in range(9))
    with pytest.raises(RPCError) as refused:
        configure(session, nine)
    assert refused.value.tag == "operation-failed"
    assert refused.value.app_tag == "too-many-elements"
    assert session.get_config("running").xml.partition("<data>")[2] == before.partition("<data>")[2]


def test_show_state(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud))
    until_state(session, "established")
    shown = device.show("state").stdout.splitlines()
    assert len(shown) == 19
    assert shown[0] == "Cloud connection state                      : Established"
    assert shown[1] == "Device state                                : Request_success"
    assert all(len(line) <= 80 for line in shown)
    assert device.state()["state"] == "established"


def test_show_servers_after_a_failover(cloud: Cloud, device: Device, session: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    configure(
        session,
        f"<server><domain>localhost</domain><port>{port}</port><password>$0${PASSWORD}</password></server>"
        f"<backup-server><domain>127.0.0.1</domain><port>{cloud.port}</port></backup-server>"
        f"<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>",
    )
    until_state(session, "established")
    dead, live = device.entries("servers")
    assert (dead["order"], dead["role"], dead["domain"], dead["port"]) == (1, "primary", "localhost", port)
    assert (live["order"], live["role"], live["domain"], live["port"]) == (2, "backup", "127.0.0.1", cloud.port)
    assert (dead["last-result"], live["last-result"]) == ("socket-failed", "established")
    text = device.show("servers").stdout.splitlines()
    assert text[2].split()[:6] == ["1", "primary", "localhost", str(port), "socket", "failed"]
    assert text[3].split()[:6] == ["*", "2", "backup", "127.0.0.1", str(cloud.port), "established"]
    assert len(text) == 4
    assert all(len(line) <= 80 for line in text)


def test_show_servers_and_subconnections_of_a_device_without_a_cloud(device: Device) -> None:
    assert device.entries("servers") == device.entries("subconnections") == []
    assert device.show("servers").stdout == "no server is configured\n"
    assert device.show("subconnections").stdout == "no subconnection\n"


def test_show_subconnections(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud))
    until(lambda: telemetry(session), lambda seen: seen == {"established"})
    (entry,) = until(lambda: device.entries("subconnections"), lambda seen: seen[0]["out-messages"] > 0)
    assert (entry["service"], entry["state"]) == ("telemetry", "established")
    assert entry["out-octets"] > entry["out-messages"]
    text = device.show("subconnections").stdout.splitlines()
    assert text[2].split()[:3] == ["telemetry", entry["instance"], "established"]
    assert all(len(line) <= 80 for line in text)


def test_an_encrypted_password_can_be_configured_and_outlives_a_change_of_the_key(cloud: Cloud, device: Device) -> None:
    sealed = device.password("encrypt", secret=PASSWORD).stdout.strip()
    assert sealed.startswith("$aes-256-gcm$")
    with connected(device) as session:
        configure(session, server(cloud).replace(f"$0${PASSWORD}", sealed))
        until_state(session, "established")
    while_it_runs = device.password("rotate-key")
    assert (while_it_runs.returncode, while_it_runs.stderr.count("\n")) == (1, 1)
    assert "the daemon runs on" in while_it_runs.stderr
    device.stop()
    done = device.password("rotate-key")
    assert done.returncode == 0, done.stderr
    device.start()
    with connected(device) as session:
        until_state(session, "established")
        config = session.get_config("running").xml
        assert "$aes-256-gcm$" in config
        assert sealed not in config
        with pytest.raises(RPCError, match="not encrypted by this device"):
            configure(session, f"<server><password>{sealed}</password></server>")


def test_wrong_login_is_refused(device: Device) -> None:
    with pytest.raises(Exception, match=r"(?i)auth"):
        manager.connect(
            host="127.0.0.1",
            port=device.port,
            username="admin",
            password="wrong",
            hostkey_verify=False,
            allow_agent=False,
            look_for_keys=False,
        )
