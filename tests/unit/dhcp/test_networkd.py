"""systemd-networkd's lease files, as version 252 writes them."""

from __future__ import annotations

from headstay.dhcp.event import Happening, LeaseEvent
from headstay.dhcp.networkd import decode, gone

LEASE = """\
# This is private data. Do not parse.
ADDRESS=192.0.2.9
NETMASK=255.255.255.0
SERVER_ADDRESS=192.0.2.1
T1=60
T2=105
LIFETIME=120
CLIENTID=ff9e8d7c6b00020000ab11
OPTION_252=68756e74657232
OPTION_253=636c6f75642e6578616d706c65
"""


def test_a_lease() -> None:
    # Without its LIFETIME, of which nobody knows when it began.
    expected = LeaseEvent("eth0", "systemd-networkd", Happening.BOUND, b"cloud.example", b"hunter2")
    assert decode("eth0", LEASE) == expected


def test_a_lease_without_the_options() -> None:
    assert decode("eth0", "ADDRESS=192.0.2.9\n") == LeaseEvent("eth0", "systemd-networkd", Happening.BOUND)


def test_what_is_no_lease() -> None:
    assert decode("eth0", "") is None
    assert decode("eth0", "OPTION_253=636c\n") is None
    assert decode("a b", LEASE) is None


def test_what_is_no_hex_is_absent() -> None:
    event = decode("eth0", LEASE.replace("OPTION_253=63", "OPTION_253=6"))
    assert event is not None
    assert (event.domain, event.password) == (None, b"hunter2")


def test_gone() -> None:
    assert gone("eth0") == LeaseEvent("eth0", "systemd-networkd", Happening.EXPIRED)
