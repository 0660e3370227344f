"""A device whose key has gone: it serves NETCONF, says which secret it lacks, and comes up once that is set again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ncclient import manager
from ncclient.operations.rpc import RPCError
from ncclient.xml_ import to_ele

from end_to_end.northbound import HCM, configure, connected
from end_to_end.processes import Cloud, Device, command, until
from end_to_end.test_main_path import PASSWORD, connection, server, until_state

SERIAL = "HS-E2E-SECRET"
OBSTACLE = "the secret /hcm:cloud-management/server/password cannot be decrypted; set it again"


@pytest.fixture
def keyless(cloud: Cloud, device: Device) -> Device:
    """A device that was connected; then it was stopped, and its key became another."""
    with connected(device) as session:
        configure(session, f"{server(cloud)}<dhcp><interface>eth0</interface></dhcp>")
        until_state(session, "established")
    device.stop()
    (device.state_dir / "secrets.key").write_bytes(b"\1" * 32)
    device.start()
    return device


@pytest.fixture
def session(keyless: Device) -> Iterator[manager.Manager]:
    with connected(keyless) as session:
        yield session


def test_it_says_what_it_lacks_tries_nothing_and_comes_up(cloud: Cloud, keyless: Device, session: Any) -> None:
    seen = connection(session)
    assert (seen["state"], seen["device-state"], seen["attempts"]) == ("unconnected", "idle", "0")
    assert (seen["last-down-reason"], seen["last-down-details"]) == ("process-restarted", OBSTACLE)
    assert f"process restarted (Details:{OBSTACLE})" in keyless.show("state").stdout
    for operation in ("<reconnect {}/>", "<test-connection {}/>", "<unbind {}><code>1</code></unbind>"):
        with pytest.raises(RPCError) as refused:
            session.dispatch(to_ele(operation.format(f'xmlns="{HCM}"')))
        assert OBSTACLE in str(refused.value.message)
        assert (refused.value.tag, refused.value.app_tag) == ("operation-failed", "unreadable-secret")
    assert ": refused: " not in cloud.program.log

    configure(session, f"<server><password>$0${PASSWORD}</password></server>")
    seen = until_state(session, "established")
    assert seen.get("last-down-details") != OBSTACLE


def test_a_password_of_dhcp_makes_up_for_it(keyless: Device, session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("reason", "BOUND")
        patch.setenv("interface", "eth0")
        patch.setenv("new_cloud_password", ",".join(map(str, PASSWORD.encode())))
        assert command("dhcp-event", "--state-dir", str(keyless.state_dir)).returncode == 0
    state = until(keyless.state, lambda seen: seen["state"] == "established")
    assert state["password-source"] == "dhcp"
    configure(session, "<ping-interval>30</ping-interval>")
    assert keyless.state()["connected-at"] == state["connected-at"]
    with pytest.raises(RPCError, match="give it in clear"):
        configure(session, "<server><password>$aes-256-gcm$AAAA</password></server>")
