"""The command `headstay`: reads the command line, runs one command, and is the boundary at which errors become one line
on standard error and an exit code (1: it could not be done; 2: the command line is wrong).

A command is a module here with `add_parser(commands)`; the parser it adds carries the function to run. Modules that a
command needs are imported when it runs, so that `headstay show` does not load the daemon.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from headstay import __version__
from headstay.cli import (
    cloud,
    cloud_admin,
    demo,
    device,
    dhcp_event,
    host_key,
    password,
    reconnect,
    show,
    test_connection,
    unbind,
)
from headstay.errors import CommandError, StartupError

_COMMANDS = (
    device,
    cloud,
    demo,
    show,
    test_connection,
    reconnect,
    unbind,
    host_key,
    password,
    dhcp_event,
    cloud_admin,
)
"""In the order of `headstay --help`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except (StartupError, CommandError) as error:
        print(f"headstay: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone. Python must not find the closed pipe again when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headstay",
        description="A network device's cloud connection, configured, observed and operated through NETCONF/YANG.",
        epilog="To see all of it work on this machine, with nothing installed: headstay demo",
    )
    parser.add_argument("--version", action="version", version=f"headstay {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return parser
