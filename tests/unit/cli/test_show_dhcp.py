"""`headstay show dhcp`: the nine lines, from whatever the device says."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from headstay.cli.show_dhcp import lease_text

LEASE: dict[str, str | bool] = {
    "interface": "vlan1",
    "client": "dhclient",
    "domain": "cloud.example",
    "password-present": True,
    "received-at": "2018-01-27T14:18:40.123Z",
    "expires-at": "2018-01-27T15:18:40.123Z",
}
SHOWN = """\
DHCP interface                              : vlan1
DHCP client                                 : dhclient
Cloud server domain name (option 253)       : cloud.example
Password (option 252)                       : Present
Ignored                                     : N/A
Lease received at (local time)              : Sat Jan 27 14:18:40 2018
Lease expires at (local time)               : Sat Jan 27 15:18:40 2018
Source of the domain name in force          : DHCP
Source of the password in force             : Configured"""


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device shows its own local time; here that is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def test_a_lease() -> None:
    assert lease_text(LEASE, {"domain-source": "dhcp", "password-source": "configured"}) == SHOWN


def test_times_are_those_of_the_place_and_the_labels_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-5:45")
    time.tzset()
    lines = lease_text(LEASE, {}).splitlines()
    assert [line for line in lines if "local time" in line] == [
        "Lease received at (local time)              : Sat Jan 27 20:03:40 2018",
        "Lease expires at (local time)               : Sat Jan 27 21:03:40 2018",
    ]


def test_a_lease_without_a_password() -> None:
    text = lease_text({**LEASE, "password-present": False, "ignored": "option 252 is odd"}, {})
    assert "Password (option 252)                       : None" in text
    assert "Ignored                                     : option 252 is odd" in text


def test_no_lease() -> None:
    text = lease_text({}, {"domain-source": "none", "password-source": "none"})
    assert {line.partition(": ")[2] for line in text.splitlines()} == {"N/A"}


def test_a_long_reason_stays_within_the_terminal() -> None:
    ignored = (
        "option 253 is no domain name but a URL or a path: 'https://a/'; "
        "option 252 is the address of a proxy file (WPAD), not a password"
    )
    lines = lease_text({**LEASE, "ignored": ignored}, {}).splitlines()
    assert max(map(len, lines)) <= 80
    assert " ".join(" ".join(lines[4:-4]).split()) == f"Ignored : {ignored}"
