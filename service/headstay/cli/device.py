"""`headstay device`: run the daemon until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import threading
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

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(run_device(arguments.config))
    finally:
        loop.close()
    # A validation may still compute in its thread. It has changed nothing and nobody can stop it; waiting for it, as
    # the interpreter does when it ends by itself, could outlast the patience of any service manager.
    if threading.active_count() > 1:
        logging.shutdown()
        os._exit(0)
    return 0
