"""`headstay dhcp-event`: what the hooks of DHCP clients call. Tells the daemon what happened to a lease.

A DHCP client must never suffer from this: whatever goes wrong is one line on standard error, and the exit code is 0.
Only a hook that is written wrongly, so that the command line cannot be read, gets 2: whoever writes it shall see that.
Nor must a lease be lost because the daemon is not up yet: the event is left in the state directory first, where the
daemon finds it, and taken away once the daemon has it. Two calls can overtake each other: each says when this code of
it began to run, and the daemon goes by that, so that none has to wait for another.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from headstay.cli.local_session import LocalSession, add_where, socket_path
from headstay.engine.instant import Instant, read_clock
from headstay.errors import HeadstayError

if TYPE_CHECKING:
    from lxml import etree

    from headstay.dhcp.event import LeaseEvent

_TIME_LIMIT = 3.0
"""Seconds that a daemon which does not answer, or slowly, may hold a DHCP client up in all.

dhcpcd calls its hook twice while it releases a lease, and `dhcpcd -k` waits ten seconds for both.
"""
_HOOKED = ("udhcpc", "dhclient", "dhcpcd", "networkmanager")
_MOST_DOMAIN, _MOST_PASSWORD = 255, 16384
"""Characters that the RPC takes. What is longer is no value either way, and stays too long when it is cut."""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "dhcp-event",
        help="tell the device what a DHCP client did (called by DHCP clients' hooks)",
        description="Called by the hook of a DHCP client, with the client's environment and the hook's own arguments. "
        "It finds out by itself which client calls. Ready hooks are in tools/dhcp/. The exit code is "
        "2 if the command line is wrong, else 0, whatever becomes of the event.",
    )
    add_where(parser)
    parser.add_argument("--client", choices=_HOOKED, help="which client calls, if it is not to be found out")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="the hook's own arguments")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    # First of all: the later it is, the likelier two calls at a time are ready in the wrong order. When the process
    # began would be earlier still, but a shell that executes its last command in its own place has begun long before.
    began = read_clock()
    from headstay.dhcp import hooks
    from headstay.dhcp.event import Client

    client = Client(arguments.client) if arguments.client else hooks.client_of(arguments.arguments, os.environ)
    if client is None:
        _complain("this was not called by a DHCP client that it knows; see tools/dhcp/")
        return 0
    event = hooks.decode(client, arguments.arguments, os.environ)
    if event is None:
        return 0  # the client told of something else than a lease
    try:
        event = dataclasses.replace(event, told_at=int(began.monotonic * 1000))
        _tell(event, began, socket_path(arguments.config, arguments.state_dir))
    except HeadstayError as error:
        _complain(str(error))
    return 0


def _tell(event: LeaseEvent, began: Instant, socket: Path) -> None:
    from headstay.dhcp import pending
    from headstay.dhcp.wall_clock import WallClock, read_boot_id

    left: Path | None = None
    try:
        clock = WallClock(read_boot_id(), began.wall - began.monotonic)
        left = pending.leave(socket.parent, event, began.wall, clock)
    except OSError as error:
        _complain(f"the event cannot be left in {socket.parent}: {error.strerror}")
    try:
        with LocalSession(socket, altogether=_TIME_LIMIT) as session:
            session.rpc(_update(event))
    except HeadstayError as error:
        kept = "; it finds the event when it starts" if left is not None else ""
        _complain(f"{error}{kept}")
        return
    if left is not None:
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)


def _update(event: LeaseEvent) -> etree._Element:
    from lxml import etree

    from headstay import xml
    from headstay.dhcp.values import text_of

    update = xml.element(f"{{{xml.HCM}}}dhcp-update")
    password = text_of(event.password or b"")
    leafs = {
        "interface": event.interface,
        "client": event.client,
        "event": event.happening.value,
        "domain": None if event.domain is None else text_of(event.domain)[:_MOST_DOMAIN],
        "password": f"$0${password[:_MOST_PASSWORD]}" if password else None,
        "lease-time": None if event.lease_time is None else str(event.lease_time),
        "told-at": None if event.told_at is None else str(event.told_at),
    }
    for name, value in leafs.items():
        if value is not None:
            etree.SubElement(update, f"{{{xml.HCM}}}{name}").text = value
    return update


def _complain(what: str) -> None:
    print(f"headstay: {what}", file=sys.stderr)
