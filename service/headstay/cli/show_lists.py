"""How `headstay show servers` and `headstay show subconnections` look on a terminal of 80 columns.

Pure: takes the leafs of the model's lists and the time that it is.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from headstay.cli.operational import Leafs
from headstay.cli.tables import Column, table
from headstay.engine import reasons

NONE = "N/A"
_HALF_A_YEAR = datetime.timedelta(days=180)
_UNITS = "kMGTPE"
_EXACT = 10_000
"""Counts from here on are rounded down and have a unit."""

_SERVERS = (
    Column(""),
    Column("#", right=True),
    Column("ROLE"),
    Column("DOMAIN", shortest=10),
    Column("PORT", right=True),
    Column("LAST RESULT"),
    Column("LAST TRY\n(LOCAL)"),
    Column("NEXT TRY\n(LOCAL)"),
)
_SUBCONNECTIONS = (
    Column("SERVICE", shortest=7),
    Column("INSTANCE", shortest=8),
    Column("STATE"),
    Column("SINCE\n(LOCAL)"),
    Column("MESSAGES\nIN/OUT"),
    Column("OCTETS\nIN/OUT"),
    Column("QUEUED", right=True),
    Column("DROPPED", right=True),
)


def servers_text(servers: Sequence[Leafs], connection: Leafs, now: datetime.datetime) -> str:
    """Return the table of servers in their order; `*` marks the one that `connection` is established with."""
    if not servers:
        return "no server is configured"
    established = connection.get("state") == reasons.State.ESTABLISHED.value
    in_use = connection.get("server-domain") if established else None
    rows = [
        (
            "*" if server.get("domain") == in_use else "",
            _plain(server, "order"),
            _plain(server, "role"),
            _plain(server, "domain"),
            _plain(server, "port"),
            _result(server),
            _time(server, "last-attempt", now),
            _time(server, "next-attempt", now),
        )
        for server in sorted(servers, key=lambda server: server.get("order", 0))
    ]
    return table(_SERVERS, rows)


def subconnections_text(subconnections: Sequence[Leafs], now: datetime.datetime) -> str:
    """Return the table of subconnections, by service."""
    if not subconnections:
        return "no subconnection"
    rows = [
        (
            _plain(subconnection, "service"),
            _plain(subconnection, "instance"),
            _state(subconnection),
            _since(subconnection, now),
            _pair(subconnection, "in-messages", "out-messages"),
            _pair(subconnection, "in-octets", "out-octets"),
            _count(subconnection, "queued"),
            _count(subconnection, "dropped"),
        )
        for subconnection in sorted(subconnections, key=lambda entry: (entry.get("service"), entry.get("instance")))
    ]
    return table(_SUBCONNECTIONS, rows)


def short_count(number: int) -> str:
    """Return a count in at most five characters: exact below 10 000, else rounded down, with a decimal unit."""
    if number < _EXACT:
        return str(number)
    power = min((len(str(number)) - 1) // 3, len(_UNITS))
    tenths = number * 10 // 1000**power
    return f"{tenths // 10}.{tenths % 10}{_UNITS[power - 1]}" if tenths < 1000 else f"{tenths // 10}{_UNITS[power - 1]}"


def short_time(text: str, now: datetime.datetime) -> str:
    """Return a date-and-time in at most twelve characters of local time: the hour today, the day or the year else."""
    time, here = datetime.datetime.fromisoformat(text).astimezone(), now.astimezone()
    if time.date() == here.date():
        return f"{time:%H:%M:%S}"
    return f"{time:%b %d %H:%M}" if abs(time - here) < _HALF_A_YEAR else f"{time:%b %d %Y}"


def _plain(leafs: Leafs, name: str) -> str:
    return str(leafs.get(name, NONE))


def _count(leafs: Leafs, name: str) -> str:
    return short_count(int(leafs[name])) if name in leafs else NONE


def _pair(leafs: Leafs, one: str, other: str) -> str:
    return f"{_count(leafs, one)}/{_count(leafs, other)}" if one in leafs or other in leafs else NONE


def _time(leafs: Leafs, name: str, now: datetime.datetime) -> str:
    return short_time(str(leafs[name]), now) if name in leafs else NONE


def _result(server: Leafs) -> str:
    result = server.get("last-result")
    if result is None or result == reasons.State.ESTABLISHED.value:
        return str(result or NONE)
    return reasons.shown(reasons.FailureReason(str(result)))


def _state(subconnection: Leafs) -> str:
    state = subconnection.get("state")
    return NONE if state is None else reasons.shown(reasons.SubconnectionState(str(state)))


def _since(subconnection: Leafs, now: datetime.datetime) -> str:
    # A subconnection that has ended still knows when it was opened, which is not since when it is closed.
    up = subconnection.get("state") == reasons.SubconnectionState.ESTABLISHED.value
    return _time(subconnection, "established-at", now) if up else NONE
