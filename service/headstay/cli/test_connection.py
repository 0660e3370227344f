"""`headstay test-connection`: test servers stage by stage, and print each server's verdicts as they come."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from lxml import etree

from headstay import xml
from headstay.cli import operational
from headstay.cli.local_session import LocalSession, add_where, socket_path
from headstay.cli.operational import Leafs
from headstay.cli.tables import WIDTH, printable, shortened
from headstay.engine.verdicts import LONGEST_TEST, Result
from headstay.errors import CommandError

_TIME_LIMIT = LONGEST_TEST + 15.0
"""Seconds; it may be that a certificate has to be looked at, too."""
_COLOURS = {Result.PASSED.value: "\033[32m", Result.FAILED.value: "\033[31m", Result.SKIPPED.value: "\033[2m"}
_PLAIN = "\033[0m"
_HEADING = "STAGE         RESULT        TIME  FOUND"
_INDENT = " " * _HEADING.index("FOUND")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "test-connection",
        help="test the way to the cloud, stage by stage",
        description="Test a server stage by stage: name, TCP, TLS, HTTP, authentication, registration, WebSocket. The "
        "connection in use is not touched, and the cloud does not count the test as a connection. A server may take up "
        "to a minute. The exit code is 0 if every stage of every server has passed.",
        epilog="A DOMAIN that is not configured is tested with the password in force. The password itself is never "
        "sent, and the server must show a certificate that the device trusts; still, only test servers of your own: a "
        "hostile one could try to guess a weak password from the proof.",
    )
    parser.add_argument("domain", nargs="?", metavar="DOMAIN", help="the server (default: each server in force)")
    parser.add_argument("--port", type=int, metavar="N", help="its port (default: as configured)")
    add_where(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, with the names and values of the YANG model")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.port is not None and arguments.domain is None:
        raise CommandError("--port needs a DOMAIN; servers in force have their own ports")
    socket = socket_path(arguments.config, arguments.state_dir)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    found: list[Leafs] = []
    for stages in _tests(socket, arguments.domain, arguments.port):
        if not arguments.json:
            print(("\n" if found else "") + stages_text(stages, coloured=coloured), flush=True)
        found += stages
    if arguments.json:
        print(json.dumps(found, indent=2))
    return 0 if all(stage.get("result") == Result.PASSED.value for stage in found) else 1


def _tests(socket: Path, domain: str | None, port: int | None) -> Iterator[list[Leafs]]:
    """Test one server after another; yield the stages of each. Raises CommandError."""
    places = [(domain, port)] if domain is not None else _in_force(socket)
    for host, its_port in places:
        with LocalSession(socket, _TIME_LIMIT) as session:
            yield _stages(session.rpc(_operation(host, its_port)))


def _in_force(socket: Path) -> list[tuple[str, int | None]]:
    servers = operational.read(socket, "server-status")["server-status"]
    if not servers:
        raise CommandError("no server is configured; name one to test: headstay test-connection DOMAIN")
    return [(str(server["domain"]), None) for server in servers]


def _operation(domain: str, port: int | None) -> etree._Element:
    operation = xml.element(f"{{{xml.HCM}}}test-connection")
    for name, value in (("domain", domain), ("port", port)):
        if value is not None:
            etree.SubElement(operation, f"{{{xml.HCM}}}{name}").text = str(value)
    return operation


def _stages(reply: etree._Element) -> list[Leafs]:
    top = xml.element(f"{{{xml.HCM}}}cloud-management")
    top.extend(reply.findall(f"{{{xml.HCM}}}stage"))
    return operational.entries(top, ("stage",))["stage"]


def stages_text(stages: Sequence[Leafs], *, coloured: bool = False) -> str:
    """Return the lines of one server's test in 80 columns. What was found is wrapped, never cut."""
    domain = shortened(printable(str(next(iter(stages), {}).get("domain"))), WIDTH - len(" port 65535"))
    port = next((stage["port"] for stage in stages if "port" in stage), None)
    lines = [domain if port is None else f"{domain} port {port}", _HEADING]
    address: object = None
    for stage in stages:
        result = str(stage.get("result"))
        word = f"{_COLOURS.get(result, '')}{result}{_PLAIN}" if coloured else result
        shown = word + " " * (8 - len(result))
        time = f"{stage['time-taken']} ms" if "time-taken" in stage else ""
        fresh = [str(stage["address"])] if stage.get("address", address) != address else []
        address = stage.get("address", address)
        what = _wrapped([*fresh, *([str(stage["reason"])] if "reason" in stage else [])], stage.get("explanation"))
        lines.append(f"{stage.get('name'):<13} {shown} {time:>9}  {what}".rstrip())
    return "\n".join(lines)


def _wrapped(words: Sequence[str], explanation: str | int | None) -> str:
    """Return the lines of the last column: the words in one, and below them what explains them."""
    lines = [printable(" ".join(words))] if words else []
    if explanation is not None:
        lines += textwrap.wrap(printable(str(explanation)), WIDTH - len(_INDENT))
    return f"\n{_INDENT}".join(lines)
