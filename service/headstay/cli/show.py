"""`headstay show`: what the device says of its cloud connection, read over the local NETCONF socket.

Owns how it looks on a terminal; the human words of states and reasons are `engine.reasons`'.
"""

from __future__ import annotations

import argparse
import datetime
import enum
import json
from collections.abc import Callable
from pathlib import Path

from headstay import xml
from headstay.cli import show_dhcp
from headstay.cli.local_session import LocalSession, add_where, socket_path
from headstay.engine import reasons

_NONE = "N/A"


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "show", help="show the state of the cloud connection", description="Show what the device says of itself."
    )
    things = parser.add_subparsers(title="what to show", metavar="WHAT", required=True)
    state = things.add_parser("state", help="the cloud connection", description="Show the cloud connection's state.")
    add_where(state)
    state.add_argument("--json", action="store_true", help="print JSON, with the names and values of the YANG model")
    state.set_defaults(run=_run_state)
    show_dhcp.add_parser(things)


def _run_state(arguments: argparse.Namespace) -> int:
    connection = read_connection(socket_path(arguments.config, arguments.state_dir))
    print(json.dumps(connection, indent=2) if arguments.json else state_text(connection))
    return 0


def read_connection(socket: Path) -> dict[str, str | int]:
    """Return the leafs of `connection` by name. Raises CommandError."""
    import xmltodict

    get = xml.parse(
        f'<get xmlns="{xml.NETCONF}"><filter type="subtree">'
        f'<cloud-management xmlns="{xml.HCM}"><connection/></cloud-management></filter></get>'.encode()
    )
    with LocalSession(socket) as session:
        reply = session.rpc(get)
    connection = reply.find(f".//{{{xml.HCM}}}connection")
    if connection is None:
        return {}
    document = xmltodict.parse(xml.serialise(connection), process_namespaces=True, namespaces={xml.HCM: None})
    leafs: dict[str, str] = document["connection"]
    return {name: int(text) if text.isdecimal() else text for name, text in leafs.items() if not name.startswith("@")}


def state_text(leafs: dict[str, str | int]) -> str:
    """Return the nineteen lines of `headstay show state`."""
    return "\n".join(f"{label:<44}: {show(leafs)}" for label, show in _LINES)


_Show = Callable[[dict[str, str | int]], str]


def _plain(name: str) -> _Show:
    return lambda leafs: str(leafs.get(name, _NONE))


def _reason(name: str, kind: Callable[[str], enum.Enum]) -> _Show:
    def show(leafs: dict[str, str | int]) -> str:
        value = leafs.get(name)
        return _NONE if value is None else reasons.shown(kind(str(value)))

    return show


def _time(name: str) -> _Show:
    def show(leafs: dict[str, str | int]) -> str:
        value = leafs.get(name)
        return _NONE if value is None else datetime.datetime.fromisoformat(str(value)).astimezone().ctime()

    return show


def _mode(leafs: dict[str, str | int]) -> str:
    return str(leafs.get("mode", _NONE)).capitalize() if "mode" in leafs else _NONE


def _duration(leafs: dict[str, str | int]) -> str:
    if "duration" not in leafs:
        return _NONE
    minutes, seconds = divmod(int(leafs["duration"]), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days:02}d {hours:02}h {minutes:02}m {seconds:02}s"


def _last_down(leafs: dict[str, str | int]) -> str:
    if "last-down-reason" not in leafs:
        return _NONE
    reason = reasons.shown(reasons.DownReason(str(leafs["last-down-reason"])))
    return f"{reason} (Details:{leafs.get('last-down-details', _NONE)})"


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
