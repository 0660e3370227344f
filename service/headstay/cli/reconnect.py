"""`headstay reconnect`: have the device connect to its cloud anew, now."""

from __future__ import annotations

import argparse

from headstay import xml
from headstay.cli.local_session import LocalSession, add_where, socket_path


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "reconnect",
        help="connect to the cloud anew, now",
        description="End the cloud connection, if there is one, and connect anew at once, whatever the device was "
        "waiting for. `headstay show state` tells what becomes of it. The exit code is 1 if it cannot: there is "
        "no server, the connection is disabled, or a stored secret cannot be decrypted.",
    )
    add_where(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    with LocalSession(socket_path(arguments.config, arguments.state_dir)) as session:
        session.rpc(xml.element(f"{{{xml.HCM}}}reconnect"))
    print("reconnecting; `headstay show state` tells what becomes of it")
    return 0
