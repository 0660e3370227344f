"""`headstay show dhcp`: what the DHCP lease says about the cloud, and whether it counts."""

from __future__ import annotations

import argparse
import datetime
import json
import textwrap
from pathlib import Path

from headstay import xml
from headstay.cli.local_session import LocalSession, add_where, socket_path
from headstay.cli.tables import WIDTH, printable

_NONE = "N/A"
_LABEL = 44
_BOOLEANS = {"true": True, "false": False}


def add_parser(things: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add it to what can be shown."""
    parser = things.add_parser("dhcp", help="what DHCP gives", description="Show what the DHCP lease gives.")
    add_where(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, with the names and values of the YANG model")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    lease, sources = read_lease(socket_path(arguments.config, arguments.state_dir))
    print(json.dumps(lease, indent=2) if arguments.json else lease_text(lease, sources))
    return 0


def read_lease(socket: Path) -> tuple[dict[str, str | bool], dict[str, str]]:
    """Return the leafs of `dhcp-lease`, and where domain and password in force come from. Raises CommandError."""
    get = xml.parse(
        f'<get xmlns="{xml.NETCONF}"><filter type="subtree"><cloud-management xmlns="{xml.HCM}"><dhcp-lease/>'
        "<connection><domain-source/><password-source/></connection></cloud-management></filter></get>".encode()
    )
    with LocalSession(socket) as session:
        reply = session.rpc(get)
    lease, connection = (
        {xml.local_name(leaf): leaf.text or "" for leaf in reply.iterfind(f".//{{{xml.HCM}}}{container}/*")}
        for container in ("dhcp-lease", "connection")
    )
    return {name: _BOOLEANS.get(text, text) if name == "password-present" else text for name, text in lease.items()}, (
        connection
    )


def lease_text(lease: dict[str, str | bool], sources: dict[str, str]) -> str:
    """Return the lines of `headstay show dhcp`."""
    password = {True: "Present", False: "None"}.get(bool(lease["password-present"])) if lease else None
    lines = (
        ("DHCP interface", lease.get("interface")),
        ("DHCP client", lease.get("client")),
        ("Cloud server domain name (option 253)", lease.get("domain")),
        ("Password (option 252)", password),
        ("Ignored", _wrapped(lease.get("ignored"))),
        ("Lease received at (local time)", _time(lease.get("received-at"))),
        ("Lease expires at (local time)", _time(lease.get("expires-at"))),
        ("Source of the domain name in force", _word(sources.get("domain-source"))),
        ("Source of the password in force", _word(sources.get("password-source"))),
    )
    return "\n".join(f"{label:<{_LABEL}}: {_NONE if value is None else value}" for label, value in lines)


def _wrapped(text: str | bool | None) -> str | None:
    if text is None:
        return None
    indent = " " * (_LABEL + len(": "))
    return f"\n{indent}".join(textwrap.wrap(printable(str(text)), WIDTH - len(indent)))


def _time(text: str | bool | None) -> str | None:
    return None if text is None else datetime.datetime.fromisoformat(str(text)).astimezone().ctime()


def _word(value: str | None) -> str | None:
    return None if value in (None, "none") else "DHCP" if value == "dhcp" else str(value).capitalize()
