"""What DHCP gives moves the tunnel, or leaves it alone: a real cloud and device, and dhclient's words to its hook."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ncclient.operations.rpc import RPCError
from ncclient.xml_ import to_ele

from end_to_end.northbound import HCM, configure, connected
from end_to_end.processes import Cloud, Device, command, until

SERIAL = "HS-E2E-DHCP"
PASSWORD = "learned by DHCP alone"
UPDATE = "<interface>eth0</interface><client>x</client><event>bound</event><domain>evil.example</domain>"


class Dhclient:
    """Calls the hook as dhclient does."""

    def __init__(self, device: Device, environment: pytest.MonkeyPatch) -> None:
        self._device = device
        self._environment = environment

    def tells(self, reason: str, domain: str = "", password: str = "", interface: str = "eth0") -> None:
        values = {"reason": reason, "interface": interface, "new_dhcp_lease_time": "3600"}
        for name, value in (("new_cloud_domain", domain), ("new_cloud_password", password)):
            values[name] = ",".join(map(str, value.encode()))
        with self._environment.context() as patch:
            for name, value in values.items():
                patch.setenv(name, value)
            done = command("dhcp-event", "--state-dir", str(self._device.state_dir))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.fixture
def dhclient(device: Device, monkeypatch: pytest.MonkeyPatch) -> Dhclient:
    return Dhclient(device, monkeypatch)


def established(device: Device, count: int) -> dict[str, Any]:
    return until(device.state, lambda state: state["state"] == "established" and state["established-count"] == count)


def follow(device: Device, cloud: Cloud) -> None:
    """Have the device follow DHCP on eth0 to the cloud."""
    where = f"<server><port>{cloud.port}</port></server><dhcp><interface>eth0</interface></dhcp>"
    with connected(device) as session:
        configure(session, f"{where}<tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>")


def test_dhcp_moves_the_tunnel(cloud: Cloud, device: Device, dhclient: Dhclient) -> None:
    follow(device, cloud)

    dhclient.tells("BOUND", "https://cloud.example/", "http://wpad/wpad.dat")
    dhclient.tells("BOUND", "evil.example", interface="eth1")
    assert device.state()["device-state"] == "idle"

    dhclient.tells("BOUND", "localhost", PASSWORD)
    state = established(device, 1)
    assert (state["server-domain"], state["server-port"]) == ("localhost", cloud.port)
    assert (state["domain-source"], state["password-source"]) == ("dhcp", "dhcp")

    dhclient.tells("RENEW", "LOCALHOST", f"{PASSWORD}\0")
    assert established(device, 1)["connected-at"] == state["connected-at"]

    dhclient.tells("RENEW", "127.0.0.1", PASSWORD)
    state = established(device, 2)
    assert (state["server-domain"], state["last-down-reason"]) == ("127.0.0.1", "dhcp-changed")

    # Without another word from DHCP, and however the daemon ended.
    device.program.kill()
    device.start()
    assert established(device, 1)["domain-source"] == "dhcp"

    dhclient.tells("EXPIRE")
    state = until(device.state, lambda state: state["device-state"] == "idle")
    assert (state["last-down-reason"], state["domain-source"]) == ("dhcp-changed", "none")

    stored = b"".join(path.read_bytes() for path in device.state_dir.glob("**/*") if path.is_file())
    assert PASSWORD.encode() not in stored
    assert PASSWORD.encode().hex().encode() not in stored
    assert PASSWORD not in device.program.log
    assert "dhcp-change interface=eth0" in device.program.log


def test_dhcp_disabled_takes_down_what_it_gave(cloud: Cloud, device: Device, dhclient: Dhclient) -> None:
    follow(device, cloud)
    dhclient.tells("BOUND", "localhost", PASSWORD)
    established(device, 1)
    with connected(device) as session:
        configure(session, "<dhcp><enabled>false</enabled></dhcp>")
        state = until(device.state, lambda state: state["device-state"] == "idle")
        assert (state["last-down-reason"], state["domain-source"]) == ("dhcp-changed", "none")
        configure(session, "<dhcp><enabled>true</enabled></dhcp>")
        assert established(device, 2)["domain-source"] == "dhcp"


def test_nobody_from_outside_tells_of_dhcp(device: Device) -> None:
    with connected(device) as session:
        with pytest.raises(RPCError) as caught:
            session.dispatch(to_ele(f'<dhcp-update xmlns="{HCM}">{UPDATE}</dhcp-update>'))
        assert caught.value.tag == "access-denied"
        assert session.get().data_ele.find(f".//{{{HCM}}}dhcp-lease") is None


def test_show_dhcp(device: Device, dhclient: Dhclient) -> None:
    assert json.loads(device.show("dhcp", "--json").stdout) == {}
    dhclient.tells("BOUND", "cloud.example", PASSWORD, interface="vlan1")
    shown = device.show("dhcp")
    assert shown.returncode == 0
    assert "Cloud server domain name (option 253)       : cloud.example\n" in shown.stdout
    assert "Source of the password in force             : DHCP\n" in shown.stdout
    assert PASSWORD not in shown.stdout
