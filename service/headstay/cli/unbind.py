"""`headstay unbind`: have the cloud unbind this device from the user who registered it."""

from __future__ import annotations

import argparse
import re
import sys

from headstay import xml
from headstay.cli.local_session import LocalSession, add_where, socket_path
from headstay.errors import CommandError

_TIME_LIMIT = 75.0
"""Seconds: more than the device takes to ask every server."""
_CODE = re.compile(r"[!-~]{1,64}")


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "unbind",
        help="unbind this device from its cloud user, by a verification code",
        description="Have the cloud unbind this device from the user who registered it, so that another user can "
        "register it. That user gets the verification code from the cloud. It is sent over the cloud connection, or, "
        "while there is none, to the first server that lets the device in. The cloud then ends the connection, and the "
        "device waits some minutes before it connects again; `headstay reconnect` ends the wait.",
        epilog="exit codes: 0 the device is unbound; 1 it is not, and why is said on standard error; "
        "2 the command line is wrong",
    )
    parser.add_argument(
        "code",
        nargs="?",
        metavar="CODE",
        help="the verification code, in capital or small letters, with or without dashes; without it, or with -, it is "
        "asked for, or read from standard input, so that it stands in no list of processes and in no shell history",
    )
    add_where(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # Groups are often written with spaces between them; the wire has dashes there, or nothing.
    code = "-".join((_ask() if arguments.code in (None, "-") else arguments.code).split())
    if not code:
        raise CommandError("no code was given")
    if _CODE.fullmatch(code) is None:
        print("headstay: this is no verification code: it has letters, digits and dashes, 64 at most", file=sys.stderr)
        return 2
    unbind = xml.element(f"{{{xml.HCM}}}unbind")
    unbind.append(xml.element(f"{{{xml.HCM}}}code", code))
    with LocalSession(socket_path(arguments.config, arguments.state_dir), _TIME_LIMIT) as session:
        session.rpc(unbind)
    print("unbound; another cloud user can register this device now")
    return 0


def _ask() -> str:
    """Return one line from the terminal, or of standard input. It is shown as it is typed: it is good only once."""
    if sys.stdin.isatty():
        print("Verification code: ", end="", file=sys.stderr, flush=True)
    try:
        return sys.stdin.readline()
    except UnicodeDecodeError:
        raise CommandError("the code is not text") from None
