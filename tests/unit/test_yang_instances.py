"""What the YANG model accepts and refuses, and with which error-app-tag: yangson and libyang must agree."""

from __future__ import annotations

import json
from typing import Any

import pytest

from yang_engines import OURS, USERS, Judge, libyang_context, libyang_judge, yangson_judge, yangson_model


@pytest.fixture(scope="module", params=["yangson", "libyang"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def judge(engine: str) -> Judge:
    """What the device accepts."""
    return yangson_judge(yangson_model(True)) if engine == "yangson" else libyang_judge(libyang_context(True))


@pytest.fixture(scope="module")
def whole_judge(engine: str) -> Judge:
    """What the model accepts when nothing is taken away from it."""
    return yangson_judge(yangson_model(False)) if engine == "yangson" else libyang_judge(libyang_context(False))


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB+/aa\nAA==\n-----END CERTIFICATE-----\n"
KEY = "$0$-----BEGIN PRIVATE KEY-----\nMIIB+/aa\n-----END PRIVATE KEY-----\n"
LABEL = "a" * 63


def domain(text: str) -> dict[str, Any]:
    return {"server": {"domain": text}}


def password(text: str) -> dict[str, Any]:
    return {"server": {"password": text}}


def backups(*domains: str) -> dict[str, Any]:
    return {"backup-server": [{"domain": domain} for domain in domains]}


def client(key: str) -> dict[str, Any]:
    return {"tls": {"client-certificate": CERTIFICATE, "private-key": key}}


VALID = [
    {},
    *map(domain, ["a", "localhost", "cloud.example.com", "Cloud.Example", "xn--bcher-kva.example", "3com", "a--b.c9"]),
    *map(domain, ["192.0.2.1", "2001:db8::1", "::", "::ffff:192.0.2.1", LABEL, f"{LABEL}.{LABEL}.{LABEL}.{'a' * 61}"]),
    *map(domain, ["0xg", "1a", "2.a", "abc.0xyz"]),
    *map(password, ["$0$s", "$0$" + "p" * 128, "$0$ with spaces ", "$0$pä€😀", "$aes-256-gcm$AAAA", "$0$$0$"]),
    password("$aes-256-gcm$" + "A" * 720),
    *({"server": {"port": port}} for port in (1, 65535)),
    backups(*(f"b{number}.example" for number in range(8))),
    domain("a") | backups("b", "a.b", "192.0.2.1"),
    {"backup-server": [{"domain": "b", "port": 65535}]},
    *({leaf: value} for leaf in ("keepalive-interval", "ping-interval") for value in (10, 600)),
    *({"source-address": address} for address in ("192.0.2.1", "2001:db8::1")),
    {"source-address": "192.0.2.1", "address-family": "ipv4"},
    *({"source-address": "2001:db8::1", "address-family": family} for family in ("ipv6", "any")),
    *({"switchback": value} for value in ({}, {"mode": "never"})),
    *({"switchback": {"mode": "hold-down", "hold-down": seconds}} for seconds in (10, 86400)),
    {"tls": {"trust-anchor": [CERTIFICATE, f"\n  {CERTIFICATE * 3}"]}},
    *(client(key) for key in (KEY, KEY.replace("PRIVATE", "EC PRIVATE"), "$aes-256-gcm$AAAA")),
    {"dhcp": {"enabled": False, "interface": "GigabitEthernet1/0/1.100"}},
    {"service": [{"name": "telemetry", "enabled": False}, {"name": "not-known-9"}]},
    *({"service": [{"name": "telemetry", "queue-limit": limit}]} for limit in (1, 100000)),
    *({"service": [{"name": "telemetry", "rate-limit": limit}]} for limit in (1, 2**32 - 1)),
]

REFUSED = [
    *map(domain, ["", "https://x", "a/b", "host:1", "a" * 254, "-a.example", "a-.example", "a..b", " x", "x "]),
    *map(domain, ["a" * 64, "a.", ".a", ".", "a_b", "a@b", "*.example", "bücher.example", "a\n", "[2001:db8::1]"]),
    *map(domain, ["256.0.0.1", "192.0.2", "192.0.2.1.5", "010.0.0.1", "1", "0x7f", "0X7f000001", "a.0x1"]),
    *map(domain, ["192.0.2.1\n", "2001:db8::1\n", "fe80::1%eth0", f"{LABEL}.{LABEL}.{LABEL}.{'a' * 62}"]),
    *map(password, ["", "secret", "$0$", "$1$x", "$0$" + "p" * 129, "$0$a\nb", "$0$a\tb", "$0$a\x7f", "0$a", " $0$a"]),
    *map(password, ["$aes-256-gcm$", "$aes-256-gcm$A A", "$aes-256-gcm$AA===", "$aes-256-gcm$AA\n", "$aes-128-gcm$AA"]),
    password("$aes-256-gcm$" + "A" * 721),
    *({"server": {"port": port}} for port in (0, 65536)),
    *({leaf: value} for leaf in ("keepalive-interval", "ping-interval") for value in (0, 9, 601, 65536)),
    *({"source-address": address} for address in ("a", "", "fe80::1%eth0", "192.0.2.0/24")),
    {"address-family": "ipx"},
    {"enabled": "yes"},
    {"backup-server": [{"port": 1}]},
    *({"tls": {"trust-anchor": [text]}} for text in ("", "x", CERTIFICATE + "x", "x" + CERTIFICATE, CERTIFICATE[:-9])),
    {"tls": {"trust-anchor": [CERTIFICATE + " " * 65536]}},
    *map(client, ["$0$x", KEY.removeprefix("$0$"), KEY.replace("PRIVATE", "ENCRYPTED PRIVATE"), KEY + " " * 16384]),
    *({"dhcp": {"interface": name}} for name in ("", "a b", "a" * 65)),
    *({"service": [{"name": name}]} for name in ("", "-a", "A", "a b", "a" * 65)),
    *({"service": [{"name": "telemetry", "queue-limit": limit}]} for limit in (0, 100001, 2**32)),
    *({"service": [{"name": "telemetry", "rate-limit": limit}]} for limit in (0, 2**32)),
    *({name: {}} for name in ("dhcp-lease", "no-such-node")),
    *({"switchback": {"mode": "hold-down", "hold-down": seconds}} for seconds in (9, 86401)),
    {"lockout-protection": "off"},
]

TAGGED = [
    ("duplicate-server", domain("a.example") | backups("b", "a.example")),
    ("duplicate-server", domain("a.example") | backups("A.Example")),
    ("duplicate-server", backups("a", "b", "A")),
    ("duplicate-server", domain("2001:db8::a") | backups("2001:db8::a")),
    ("too-many-elements", backups(*(f"b{number}.example" for number in range(9)))),
    ("address-family-mismatch", {"source-address": "2001:db8::1", "address-family": "ipv4"}),
    ("address-family-mismatch", {"source-address": "192.0.2.1", "address-family": "ipv6"}),
    ("hold-down-mismatch", {"switchback": {"mode": "hold-down"}}),
    ("hold-down-mismatch", {"switchback": {"hold-down": 10}}),
    ("hold-down-mismatch", {"switchback": {"mode": "never", "hold-down": 10}}),
    ("incomplete-client-certificate", {"tls": {"client-certificate": CERTIFICATE}}),
    ("incomplete-client-certificate", {"tls": {"private-key": KEY}}),
    ("too-many-elements", {"tls": {"trust-anchor": [CERTIFICATE + " " * number for number in range(33)]}}),
]

WHOLE = [
    (None, {"lockout-protection": "off"}),
]


def identity(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=True)[:60]


@pytest.mark.parametrize("data", VALID, ids=identity)
def test_valid(data: dict[str, Any], judge: Judge) -> None:
    assert judge({OURS: data}) is None


@pytest.mark.parametrize("data", REFUSED, ids=identity)
def test_refused(data: dict[str, Any], judge: Judge) -> None:
    assert judge({OURS: data}) == "refused"


@pytest.mark.parametrize(("tag", "data"), TAGGED)
def test_refused_with_its_app_tag(tag: str, data: dict[str, Any], judge: Judge) -> None:
    assert judge({OURS: data}) == tag


@pytest.mark.parametrize(("verdict", "data"), WHOLE)
def test_what_this_release_leaves_out_is_right_too(
    verdict: str | None, data: dict[str, Any], whole_judge: Judge
) -> None:
    assert whole_judge({OURS: data}) == verdict


def test_one_name_in_the_same_case_twice_is_refused(judge: Judge) -> None:
    """The list's key sees to it, so the tag is the engine's own."""
    assert judge({OURS: backups("a", "a")}) is not None


def test_users(judge: Judge) -> None:
    key = {"name": "k", "algorithm": "ssh-ed25519", "key-data": "AAAA"}
    user = {"name": "admin", "password": "$6$salt$" + "a" * 86, "authorized-key": [key]}
    assert judge({USERS: {"authentication": {"user": [user]}}}) is None
    assert judge({USERS: {"authentication": {"user": [user | {"password": "clear"}]}}}) == "refused"
    assert judge({USERS: {"hostname": "a"}}) == "refused"
