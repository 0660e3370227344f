"""What options 253 and 252 may hold, and the words for what they may not."""

from __future__ import annotations

import pytest

from headstay.dhcp.values import Learned, learned, text_of


def test_both() -> None:
    assert learned(b"Cloud.Example", b"hunter2") == Learned("cloud.example", "hunter2")
    assert learned(b"2001:DB8:0::A", None) == Learned("2001:db8::a")


def test_neither() -> None:
    assert learned(None, None) == Learned()
    assert learned(b"", b"") == Learned()
    assert learned(b"\0", b"\r\n\0") == Learned()


@pytest.mark.parametrize("end", [b"\0", b"\n", b"\r\n", b"\r\n\0", b"\0\0\0", b"\n\0"])
def test_what_servers_put_at_the_end_is_stripped(end: bytes) -> None:
    assert learned(b"cloud.example" + end, b"hunter2" + end) == Learned("cloud.example", "hunter2")


@pytest.mark.parametrize("host", ["a", "xn--bcher-kva.example", "192.0.2.1", "2001:db8::1", "a" * 63, "9to5.example"])
def test_hosts(host: str) -> None:
    assert learned(host.encode(), None) == Learned(domain=host)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"https://cloud.example", "a URL or a path: 'https://cloud.example'"),
        (b"cloud.example/v1", "a URL or a path"),
        (b"cloud.example:443", "no domain name or IP address: 'cloud.example:443'"),
        (b"cloud example", "no domain name or IP address"),
        (b"cloud.example.", "no domain name or IP address"),
        (b"1.2.3", "no domain name or IP address"),
        (b"fe80::1%eth0", "no domain name or IP address"),
        (b"[2001:db8::1]", "no domain name or IP address"),
        (b"-a", "no domain name or IP address"),
        ("bücher.example".encode(), "no domain name or IP address: 'b\\xfccher.example'"),
        (b"cloud\0.example", "control characters"),
        (b"cloud\n.example", "control characters"),
        (b"\xff\xfe", "octets that are no text"),
        (b"a." * 150, "longer than 253 characters"),
        (b"x" * 300, "longer than 253 characters"),
    ],
)
def test_hostile_domains_are_ignored_with_the_reason(octets: bytes, said: str) -> None:
    found = learned(octets, b"hunter2")
    assert (found.domain, found.password) == (None, "hunter2")
    assert found.ignored is not None
    assert found.ignored.startswith("option 253 ")
    assert said in found.ignored


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"http://wpad/wpad.dat\n", "(WPAD), not a password"),
        (b"HTTPS://secret.example/wpad.dat\0", "(WPAD), not a password"),
        (b"secret\x07", "control characters"),
        (b"sec\0ret", "control characters"),
        (b"secret\xff", "octets that are no text"),
        (b"secret" * 50, "longer than 128 characters"),
    ],
)
def test_hostile_passwords_are_ignored_and_never_shown(octets: bytes, said: str) -> None:
    found = learned(b"cloud.example", octets)
    assert (found.domain, found.password) == ("cloud.example", None)
    assert found.ignored is not None
    assert said in found.ignored
    assert "secret" not in found.ignored


def test_two_faults_are_both_told() -> None:
    ignored = learned(b"a b", b"http://wpad/").ignored
    assert ignored is not None
    assert [part[:10] for part in ignored.split("; ")] == ["option 253", "option 252"]


def test_a_long_fault_is_cut_short() -> None:
    ignored = learned(b"/" * 200, None).ignored
    assert ignored is not None
    assert len(ignored) < 120


def test_text_that_xml_cannot_carry() -> None:
    assert text_of(b"a\x01b\x7fc\xef\xbf\xbed") == "a\ufffdb\ufffdc\ufffdd"
    assert text_of("é😀".encode()) == "é😀"


def test_no_password_in_a_repr() -> None:
    assert "hunter2" not in repr(learned(None, b"hunter2"))
