"""`headstay cloud-admin`: the cloud's own administration from the shell. Owns its command line.

Exit codes: 0 done; 1 it could not be done; 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from headstay.cli.cloud import DEFAULT_CONFIG


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "cloud-admin",
        help="administer the cloud",
        description="Administer the cloud. What is changed takes effect on a running cloud at once.",
    )
    _add_where(parser, top=True)
    subjects = parser.add_subparsers(title="what to administer", metavar="SUBJECT", required=True)
    device = subjects.add_parser("device", help="the serial numbers that may connect")
    operations = device.add_subparsers(title="operations", dest="operation", metavar="OPERATION", required=True)
    add = operations.add_parser("add", help="add a serial number, or change its password")
    add.add_argument("serial", metavar="SERIAL")
    add.add_argument(
        "--password",
        action="store_true",
        help="ask for a password; without a terminal, read one line of standard input",
    )
    shown = operations.add_parser("list", help="list the serial numbers")
    shown.add_argument("--json", action="store_true", help="as JSON, with everything that is known")
    remove = operations.add_parser("remove", help="remove a serial number; its connection ends at once")
    remove.add_argument("serial", metavar="SERIAL")
    code = subjects.add_parser(
        "code",
        help="make a verification code, with which a device has itself unbound",
        description="Make the verification code with which the device's administrator has the device unbound from the "
        "user who registered it, by `headstay unbind CODE` on the device. It is shown once and good once. A new one "
        "takes the place of the one before; after five wrong ones a new one must be made.",
    )
    code.add_argument("serial", metavar="SERIAL")
    code.add_argument(
        "--valid",
        metavar="DURATION",
        help="for how long, as in 30m, 12h or 2d: one minute to seven days; a day unless given",
    )
    code.add_argument("--json", action="store_true", help="as JSON")
    for operation in (add, shown, remove, code):
        _add_where(operation, top=False)
    parser.set_defaults(run=_run)
    code.set_defaults(run=_run_code)


def _add_where(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Let `--config` and `--state-dir` stand after `cloud-admin` as well as at the end of the line."""
    where = parser.add_mutually_exclusive_group()
    # Only the outer parser sets defaults: those of the inner one would undo what stood before it.
    where.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG if top else argparse.SUPPRESS,
        metavar="FILE",
        help=f"the cloud's configuration; default: {DEFAULT_CONFIG}",
    )
    where.add_argument(
        "--state-dir",
        type=Path,
        default=None if top else argparse.SUPPRESS,
        metavar="DIR",
        help="the cloud's state directory, instead of --config",
    )


def _run(arguments: argparse.Namespace) -> int:
    from headstay.cli.cloud_devices import run

    return run(arguments)


def _run_code(arguments: argparse.Namespace) -> int:
    from headstay.cli.cloud_codes import run

    return run(arguments)
