"""`headstay show`: what the device says of its cloud connection, read over the local NETCONF socket.

Owns the command line and how the connection looks on a terminal; `show_lists` owns the tables. The human words of
states and reasons are `engine.reasons`'.
"""

from __future__ import annotations

import argparse
import datetime
import enum
import json
from collections.abc import Callable
from pathlib import Path

from headstay.cli import operational, show_dhcp
from headstay.cli.local_session import add_where, socket_path
from headstay.cli.operational import Leafs
from headstay.cli.show_lists import NONE, servers_text, subconnections_text
from headstay.engine import reasons


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show", help="show the state of the cloud connection", description="Show what the device says of itself."
    )
    things = parser.add_subparsers(title="what to show", metavar="WHAT", required=True)
    state = things.add_parser(
        "state",
        help="the cloud connection",
        description="Show the cloud connection's state. Times are local; --json has them in UTC.",
    )
    servers = things.add_parser(
        "servers",
        help="the cloud's servers, and what came of each",
        description="Show the servers in the order in which they are tried, and what came of the last try of each; "
        "* marks the one in use. Times are local: the hour if it is today, else the day, else the year.",
    )
    subconnections = things.add_parser(
        "subconnections",
        help="the services' subconnections, and their traffic",
        description="Show the subconnections and their traffic. Counts from 10000 on are rounded down, so that 12.3k "
        "stands for 12300 to 12399; --json has all of them exactly.",
    )
    for parser, run in ((state, _run_state), (servers, _run_servers), (subconnections, _run_subconnections)):
        add_where(parser)
        parser.add_argument(
            "--json", action="store_true", help="print JSON, with the names and values of the YANG model"
        )
        parser.set_defaults(run=run)
    show_dhcp.add_parser(things)


def _run_state(arguments: argparse.Namespace) -> int:
    connection = read_connection(_socket(arguments))
    print(json.dumps(connection, indent=2) if arguments.json else state_text(connection))
    return 0


def _run_servers(arguments: argparse.Namespace) -> int:
    found = operational.read(_socket(arguments), "server-status", "connection")
    servers = found["server-status"]
    connection = next(iter(found["connection"]), {})
    print(json.dumps(servers, indent=2) if arguments.json else servers_text(servers, connection, _now()))
    return 0


def _run_subconnections(arguments: argparse.Namespace) -> int:
    found = operational.read(_socket(arguments), "subconnection")["subconnection"]
    print(json.dumps(found, indent=2) if arguments.json else subconnections_text(found, _now()))
    return 0


def _socket(arguments: argparse.Namespace) -> Path:
    return socket_path(arguments.config, arguments.state_dir)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def read_connection(socket: Path) -> Leafs:
    """Return the leafs of `connection` by name. Raises CommandError."""
    return next(iter(operational.read(socket, "connection")["connection"]), {})


def state_text(leafs: Leafs) -> str:
    """Return the nineteen lines of `headstay show state`."""
    return "\n".join(f"{label:<44}: {show(leafs)}" for label, show in _LINES)


_Show = Callable[[Leafs], str]


def _plain(name: str) -> _Show:
    return lambda leafs: str(leafs.get(name, NONE))


def _reason(name: str, kind: Callable[[str], enum.Enum]) -> _Show:
    def show(leafs: Leafs) -> str:
        value = leafs.get(name)
        return NONE if value is None else reasons.shown(kind(str(value)))

    return show


def _time(name: str) -> _Show:
    def show(leafs: Leafs) -> str:
        value = leafs.get(name)
        return NONE if value is None else datetime.datetime.fromisoformat(str(value)).astimezone().ctime()

    return show


def _mode(leafs: Leafs) -> str:
    return str(leafs.get("mode", NONE)).capitalize() if "mode" in leafs else NONE


def _duration(leafs: Leafs) -> str:
    if "duration" not in leafs:
        return NONE
    minutes, seconds = divmod(int(leafs["duration"]), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days:02}d {hours:02}h {minutes:02}m {seconds:02}s"


def _last_down(leafs: Leafs) -> str:
    # Where a secret cannot be decrypted, there are details without anything that went down.
    if "last-down-reason" not in leafs and "last-down-details" not in leafs:
        return NONE
    reason = _reason("last-down-reason", reasons.DownReason)(leafs)
    return f"{reason} (Details:{leafs.get('last-down-details', NONE)})"


_LINES: tuple[tuple[str, _Show], ...] = (
    ("Cloud connection state", _reason("state", reasons.State)),
    ("Device state", _reason("device-state", reasons.DeviceState)),
    ("Cloud server address", _plain("server-address")),
    ("Cloud server domain name", _plain("server-domain")),
    ("Cloud connection mode", _mode),
    ("Cloud server port", _plain("server-port")),
    ("Connected at", _time("connected-at")),
    ("Duration", _duration),
    ("Process state", _reason("process-state", reasons.ProcessState)),
    ("Failure reason", _reason("failure-reason", reasons.FailureReason)),
    ("Last down reason", _last_down),
    ("Last down at", _time("last-down-at")),
    ("Last report failure reason", _reason("last-report-failure-reason", reasons.ReportFailure)),
    ("Last report failure at", _time("last-report-failure-at")),
    ("Dropped packets after reaching buffer limit", _plain("dropped-after-buffer-limit")),
    ("Total dropped packets", _plain("dropped-total")),
    ("Last report incomplete reason", _reason("last-report-incomplete-reason", reasons.ReportIncomplete)),
    ("Last report incomplete at", _time("last-report-incomplete-at")),
    ("Buffer full count", _plain("buffer-full-count")),
)
"""Label and value of each line, in order."""
