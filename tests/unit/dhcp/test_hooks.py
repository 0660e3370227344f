"""What each DHCP client's hook is handed, as recorded from the real ones, and what is made of it."""

from __future__ import annotations

import pytest

from headstay.dhcp.event import Client, Happening, LeaseEvent
from headstay.dhcp.hooks import DECODERS, client_of, decode

NAME, PASSWORD = b"cloud.example", b"hunter2"

UDHCPC = {
    "interface": "eth0",
    "ip": "192.0.2.9",
    "subnet": "255.255.255.0",
    "lease": "120",
    "serverid": "192.0.2.1",
    "wpad": "hunter2",
    "opt253": "636c6f75642e6578616d706c65",
}
DHCLIENT = {
    "interface": "eth0",
    "pid": "77",
    "reason": "BOUND",
    "new_ip_address": "192.0.2.9",
    "new_dhcp_lease_time": "120",
    "new_cloud_password": "104,117,110,116,101,114,50",
    "new_cloud_domain": "99 108 111 117 100 46 101 120 97 109 112 108 101",
}
DHCPCD = {
    "interface": "eth0",
    "interface_order": "eth0",
    "pid": "78",
    "reason": "BOUND",
    "if_up": "true",
    "new_dhcp_lease_time": "120",
    "new_cloud_password": "68756e74657232",
    "new_cloud_domain": "636c6f75642e6578616d706c65",
}
NETWORK_MANAGER = {
    "NM_DISPATCHER_ACTION": "up",
    "DEVICE_IFACE": "eth0",
    "DEVICE_IP_IFACE": "eth0",
    "DHCP4_DHCP_LEASE_TIME": "120",
    "DHCP4_WPAD": "hunter2",
    "DHCP4_PRIVATE_253": "63:6c:6f:75:64:2e:65:78:61:6d:70:6c:65",
}
CALLS = [
    (Client.UDHCPC, ["bound"], UDHCPC),
    (Client.DHCLIENT, [], DHCLIENT),
    (Client.DHCPCD, [], DHCPCD),
    (Client.NETWORK_MANAGER, ["eth0", "up"], NETWORK_MANAGER),
]


def lasts(client: Client) -> int | None:
    """How long the lease of CALLS lasts. NetworkManager tells it and says nothing of renewals, so it does not count."""
    return None if client is Client.NETWORK_MANAGER else 120


@pytest.mark.parametrize(("client", "arguments", "environment"), CALLS)
def test_bound(client: Client, arguments: list[str], environment: dict[str, str]) -> None:
    assert client_of(arguments, environment) is client
    expected = LeaseEvent("eth0", client.value, Happening.BOUND, NAME, PASSWORD, lasts(client))
    assert decode(client, arguments, environment) == expected


@pytest.mark.parametrize(("client", "arguments", "environment"), CALLS)
def test_without_the_options(client: Client, arguments: list[str], environment: dict[str, str]) -> None:
    bare = {name: value for name, value in environment.items() if "cloud" not in name and "253" not in name}
    bare = {name: value for name, value in bare.items() if "wpad" not in name.lower()}
    assert decode(client, arguments, bare) == LeaseEvent(
        "eth0", client.value, Happening.BOUND, None, None, lasts(client)
    )


@pytest.mark.parametrize(
    ("client", "word", "happening"),
    [
        (Client.UDHCPC, "renew", Happening.RENEWED),
        (Client.UDHCPC, "deconfig", Happening.EXPIRED),
        (Client.UDHCPC, "nak", Happening.REFUSED),
        (Client.UDHCPC, "leasefail", None),
        (Client.DHCLIENT, "REBOOT", Happening.BOUND),
        (Client.DHCLIENT, "TIMEOUT", Happening.BOUND),
        (Client.DHCLIENT, "RENEW", Happening.RENEWED),
        (Client.DHCLIENT, "REBIND", Happening.RENEWED),
        (Client.DHCLIENT, "EXPIRE", Happening.EXPIRED),
        (Client.DHCLIENT, "FAIL", Happening.EXPIRED),
        (Client.DHCLIENT, "RELEASE", Happening.RELEASED),
        (Client.DHCLIENT, "STOP", Happening.RELEASED),
        (Client.DHCLIENT, "PREINIT", None),
        (Client.DHCLIENT, "BOUND6", None),
        (Client.DHCPCD, "RENEW", Happening.RENEWED),
        (Client.DHCPCD, "NAK", Happening.REFUSED),
        (Client.DHCPCD, "EXPIRE", Happening.EXPIRED),
        (Client.DHCPCD, "STOP", Happening.RELEASED),
        (Client.DHCPCD, "STOPPED", Happening.RELEASED),
        (Client.DHCPCD, "CARRIER", None),
        (Client.DHCPCD, "ROUTERADVERT", None),
        (Client.NETWORK_MANAGER, "dhcp4-change", Happening.RENEWED),
        (Client.NETWORK_MANAGER, "down", Happening.RELEASED),
        (Client.NETWORK_MANAGER, "connectivity-change", None),
    ],
)
def test_words(client: Client, word: str, happening: Happening | None) -> None:
    _, arguments, environment = next(call for call in CALLS if call[0] is client)
    match client:
        case Client.UDHCPC:
            arguments = [word]
        case Client.NETWORK_MANAGER:
            arguments = ["eth0", word]
        case _:
            environment = {**environment, "reason": word}
    event = decode(client, arguments, environment)
    assert (event and event.happening) is happening
    if event is not None and not event.happening.holds:
        assert event == LeaseEvent("eth0", client.value, event.happening)


def test_dhclients_stale_values_do_not_count() -> None:
    environment = {"interface": "eth0", "reason": "RELEASE", "old_cloud_domain": "99", "new_cloud_domain": "99"}
    event = decode(Client.DHCLIENT, [], environment)
    assert event is not None
    assert (event.domain, event.password) == (None, None)


def test_udhcpc_without_the_name_wpad() -> None:
    environment = {"interface": "eth0", "opt252": "68756e74657232"}
    event = decode(Client.UDHCPC, ["bound"], environment)
    assert event is not None
    assert event.password == PASSWORD


def test_a_string_that_is_not_utf_8_keeps_its_octets() -> None:
    environment = {"interface": "eth0", "wpad": b"caf\xe9".decode("utf-8", "surrogateescape")}
    event = decode(Client.UDHCPC, ["bound"], environment)
    assert event is not None
    assert event.password == b"caf\xe9"


@pytest.mark.parametrize("written", ["636", "zz", "63:", ":63", "6 3", ""])
def test_what_is_no_hex_is_absent(written: str) -> None:
    event = decode(Client.DHCPCD, [], {**DHCPCD, "new_cloud_domain": written})
    assert event is not None
    assert event.domain is None


@pytest.mark.parametrize("written", ["256", "-1", "1,,", "63x", ""])
def test_what_is_no_list_of_octets_is_absent(written: str) -> None:
    event = decode(Client.DHCLIENT, [], {**DHCLIENT, "new_cloud_domain": written})
    assert event is not None
    assert event.domain is None


@pytest.mark.parametrize("written", ["", "-1", "4294967296", "1.5", "abc", "٣"])
def test_what_is_no_lease_time_is_unknown(written: str) -> None:
    event = decode(Client.DHCLIENT, [], {**DHCLIENT, "new_dhcp_lease_time": written})
    assert event is not None
    assert event.lease_time is None


@pytest.mark.parametrize("interface", ["", "a b", "e\n", "é", "x" * 65])
def test_without_an_interface_nothing_can_be_known(interface: str) -> None:
    assert decode(Client.DHCLIENT, [], {**DHCLIENT, "interface": interface}) is None
    assert decode(Client.DHCLIENT, [], {"reason": "BOUND"}) is None


def test_a_connection_without_dhcp() -> None:
    # A lease that is remembered from before a reboot ends with the first.
    for action in ("up", "down"):
        event = decode(Client.NETWORK_MANAGER, ["eth0", action], {"NM_DISPATCHER_ACTION": action})
        assert event == LeaseEvent("eth0", "networkmanager", Happening.RELEASED)


def test_networkmanager_tells_of_a_change_before_it_comes_up() -> None:
    environment = {"NM_DISPATCHER_ACTION": "dhcp4-change", "DEVICE_IP_IFACE": "eth0"}
    assert decode(Client.NETWORK_MANAGER, ["eth0", "dhcp4-change"], environment) is None


@pytest.mark.parametrize("client", DECODERS)
def test_nothing_at_all(client: Client) -> None:
    assert decode(client, [], {}) is None


@pytest.mark.parametrize("arguments", [[], ["bound"], ["no", "such"]])
def test_nobody_we_know(arguments: list[str]) -> None:
    assert client_of(arguments, {}) is None


def test_no_password_in_a_repr() -> None:
    assert "hunter2" not in repr(decode(Client.UDHCPC, ["bound"], UDHCPC))


def test_systemd_networkd_has_no_hook() -> None:
    assert decode(Client.SYSTEMD_NETWORKD, [], UDHCPC) is None
