"""`headstay cloud`: runs the cloud server until it is told to stop. Owns the process: signals, logging, exit code."""

from __future__ import annotations

import argparse
import asyncio
import asyncio.sslproto
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headstay.cloud.configuration import Configuration

DEFAULT_CONFIG = Path("/etc/headstay/cloud.toml")
_TLS_READ_BUFFER = 16 * 1024


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "cloud",
        help="run the cloud server",
        description="Run the cloud server that devices dial. It logs to standard error and stops cleanly on SIGTERM "
        "and SIGINT. At first start it makes its own small CA in its state directory.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")
    parser.set_defaults(run=lambda arguments: run_cloud(arguments.config))


def run_cloud(config: Path) -> int:
    """Run the cloud that `config` describes until SIGTERM or SIGINT. Returns the exit code of the process.

    Raises StartupError when it cannot start.
    """
    from headstay.cloud.configuration import load

    # The state directory holds private keys and password verifiers: what is made in it is for its owner only.
    os.umask(0o077)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )
    # asyncio gives each TLS connection a read buffer of 256 KiB. A TLS record has at most 16 KiB, so a smaller buffer
    # loses nothing: 5 000 idle devices took 290 KB each with the large one and 50 KB with this one.
    asyncio.sslproto.SSLProtocol.max_size = _TLS_READ_BUFFER
    asyncio.run(_run(load(config)))
    return 0


async def _run(configuration: Configuration) -> None:
    from headstay.cloud.server import running

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(configuration) as server:
        trust = "given certificate" if server.ca_file is None else f"ca: {server.ca_file}"
        url = f"https://{_in_url(configuration.listen.hosts[0])}:{server.port}"
        print(f"cloud: listening on {url} ({trust})", file=sys.stderr, flush=True)
        await stop.wait()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
