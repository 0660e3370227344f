"""`headstay device`: run the daemon until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from headstay.device_file import DEFAULT_FILE


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "device",
        help="run the daemon on the device",
        description="Run the daemon on the device: the NETCONF server and the connection to the cloud. "
        "It logs to standard error and stops cleanly on SIGTERM and SIGINT.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help="default: %(default)s")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    from headstay.device import run_device

    asyncio.run(run_device(arguments.config))
    return 0
