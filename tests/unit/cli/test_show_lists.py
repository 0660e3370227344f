"""`headstay show servers` and `headstay show subconnections`: the tables, from whatever the device says."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator

import pytest

from headstay.cli.operational import Leafs
from headstay.cli.show_lists import servers_text, short_count, short_time, subconnections_text
from headstay.engine.reasons import FailureReason, SubconnectionState

NOW = datetime.datetime(2026, 11, 22, 14, 30, tzinfo=datetime.UTC)
LONG_AGO = "2018-01-27T14:18:40.123Z"
YESTERDAY = "2026-11-21T23:59:59.999Z"
TODAY = "2026-11-22T14:18:40.123Z"
UP: Leafs = {"state": "established", "server-domain": "cloud2.example.com"}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The device shows its own local time; here that is UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


def server(order: int, domain: str, **leafs: str | int) -> Leafs:
    role = "primary" if order == 1 else "backup"
    more = {name.replace("_", "-"): value for name, value in leafs.items()}
    return {"domain": domain, "order": order, "role": role, "port": 19443, **more}


def subconnection(**leafs: str | int) -> Leafs:
    numbers = dict.fromkeys(("in-messages", "out-messages", "in-octets", "out-octets", "queued", "dropped"), 0)
    more = {name.replace("_", "-"): value for name, value in leafs.items()}
    return {"service": "telemetry", "instance": "telemetry-1", "state": "established", **numbers, **more}


# servers --------------------------------------------------------------------------------------------


def test_servers() -> None:
    servers = [
        server(2, "cloud2.example.com", last_attempt=TODAY, last_result="established"),
        server(1, "cloud.example.com", last_attempt=YESTERDAY, last_result="socket-failed", next_attempt=TODAY),
        server(3, "192.0.2.1"),
    ]
    assert servers_text(servers, UP, NOW).splitlines() == [
        "                                                   LAST TRY     NEXT TRY",
        "  # ROLE    DOMAIN              PORT LAST RESULT   (LOCAL)      (LOCAL)",
        "  1 primary cloud.example.com  19443 socket failed Nov 21 23:59 14:18:40",
        "* 2 backup  cloud2.example.com 19443 established   14:18:40     N/A",
        "  3 backup  192.0.2.1          19443 N/A           N/A          N/A",
    ]


@pytest.mark.parametrize("state", ["unconnected", "request"])
def test_without_a_connection_no_server_is_in_use(state: str) -> None:
    servers = [server(1, "cloud2.example.com", last_result="timeout-connecting")]
    assert "*" not in servers_text(servers, UP | {"state": state}, NOW)
    assert "*" not in servers_text(servers, {}, NOW)


def test_no_server() -> None:
    assert servers_text([], {}, NOW) == "no server is configured"


def test_an_entry_with_nothing_but_its_key() -> None:
    assert servers_text([{"domain": "a.example"}], {}, NOW).splitlines()[2].split() == [
        *("N/A", "N/A", "a.example", *["N/A"] * 4),
    ]


@pytest.mark.parametrize("length", [1, 20, 36, 37, 253])
@pytest.mark.parametrize("reason", FailureReason)
def test_servers_fit_eighty_columns(reason: FailureReason, length: int) -> None:
    domain = "a" + "." * (length - 2) + "z" * (length > 1)
    servers = [
        server(order, domain, last_attempt=YESTERDAY, last_result=reason.value, next_attempt=LONG_AGO)
        for order in range(1, 10)
    ]
    lines = servers_text(servers, {"state": "established", "server-domain": domain}, NOW).splitlines()
    assert max(map(len, lines)) <= 80
    for line in lines[2:]:
        assert f" {reason.value.replace('-', ' ')} " in line
        shown = line.split()[3]
        assert len(shown) == len(domain) or (len(shown) >= 10 and "…" in shown[1:-1])
        assert (shown[0], shown[-1]) == (domain[0], domain[-1])


# subconnections -------------------------------------------------------------------------------------


def test_subconnections() -> None:
    told = [
        subconnection(
            established_at=TODAY, in_messages=12, out_messages=340, in_octets=1200, out_octets=45678, queued=3
        ),
        subconnection(service="novelty", instance="-", state="unsupported"),
        subconnection(service="netconf", instance="n", state="closed", established_at=TODAY, dropped=7),
    ]
    assert subconnections_text(told, NOW).splitlines() == [
        "                                  SINCE    MESSAGES OCTETS",
        "SERVICE   INSTANCE    STATE       (LOCAL)  IN/OUT   IN/OUT     QUEUED DROPPED",
        "netconf   n           closed      N/A      0/0      0/0             0       7",
        "novelty   -           unsupported N/A      0/0      0/0             0       0",
        "telemetry telemetry-1 established 14:18:40 12/340   1200/45.6k      3       0",
    ]


def test_no_subconnection() -> None:
    assert subconnections_text([], NOW) == "no subconnection"


def test_a_subconnection_with_nothing_but_its_keys() -> None:
    text = subconnections_text([{"service": "s", "instance": "1"}], NOW)
    assert text.splitlines()[2].split() == ["s", "1", *["N/A"] * 6]


@pytest.mark.parametrize("state", SubconnectionState)
def test_subconnections_fit_eighty_columns(state: SubconnectionState) -> None:
    most = 2**64 - 1
    told = subconnection(
        service="s" * 64,
        instance="i" * 200,
        state=state.value,
        established_at=YESTERDAY,
        **dict.fromkeys(("in_messages", "out_messages", "in_octets", "out_octets", "dropped"), most),
        queued=2**32 - 1,
    )
    lines = subconnections_text([told], NOW).splitlines()
    assert max(map(len, lines)) <= 80
    assert state.value in lines[2]


# words ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0, "0"),
        (9999, "9999"),
        (10_000, "10.0k"),
        (99_999, "99.9k"),
        (100_000, "100k"),
        (999_999, "999k"),
        (1_000_000, "1.0M"),
        (2**32 - 1, "4.2G"),
        (2**64 - 1, "18.4E"),
    ],
)
def test_short_count(number: int, shown: str) -> None:
    assert short_count(number) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-11-22T00:00:00.000Z", "00:00:00"),
        ("2026-11-22T15:00:00+01:00", "14:00:00"),
        ("2026-11-23T00:00:01Z", "Nov 23 00:00"),
        (YESTERDAY, "Nov 21 23:59"),
        ("2026-06-01T12:00:00Z", "Jun 01 12:00"),
        ("2026-05-01T12:00:00Z", "May 01 2026"),
        (LONG_AGO, "Jan 27 2018"),
    ],
)
def test_short_time(text: str, shown: str) -> None:
    assert short_time(text, NOW) == shown
