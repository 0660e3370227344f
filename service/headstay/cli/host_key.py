"""`headstay host-key`: the fingerprint to compare when a manager meets this device for the first time."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from headstay.cli.local_session import add_where, state_directory
from headstay.errors import CommandError
from headstay.netconf import host_key
from headstay.netconf.host_key import PublicKey


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "host-key",
        help="show the SSH host key's fingerprint",
        description="Show the fingerprint of the key by which this device proves itself to managers, and the line for "
        "their known_hosts files. Compare it when a client asks whether to trust the device.",
    )
    add_where(parser)
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    directory = state_directory(arguments.config, arguments.state_dir)
    key = _key(directory / host_key.FILE_NAME)
    if arguments.json:
        print(json.dumps({"fingerprint": key.fingerprint, "algorithm": key.algorithm, "public-key": key.line}))
        return 0
    print(f"{key.algorithm} {key.fingerprint}")
    print()
    print("For a manager's known_hosts, with this device's address for ADDRESS:")
    print(f"{_host(directory)} {key.line}")
    return 0


def _key(file: Path) -> PublicKey:
    try:
        return host_key.read(file)
    except FileNotFoundError:
        raise CommandError(
            f"{file.parent} has no host key yet; the daemon makes it at its first start (`headstay device`), or name "
            "the daemon with --config or --state-dir"
        ) from None
    except PermissionError:
        raise CommandError(f"{file}.pub: permission denied; run this as root or as the daemon's user") from None
    except NotADirectoryError:
        raise CommandError(
            f"{file.parent} is no directory; name the daemon with --config or its directory with --state-dir"
        ) from None
    except OSError as error:
        raise CommandError(
            f"{file}.pub cannot be read: {error.strerror}; move away what is there, and the daemon makes it anew "
            "when it starts"
        ) from None
    except ValueError:
        raise CommandError(f"{file}.pub is not a public key; the daemon makes it anew when it starts") from None


def _host(directory: Path) -> str:
    """Return the host as known_hosts names it: in brackets, unless the port is SSH's own."""
    try:
        port = json.loads((directory / "device.json").read_text())["netconf-port"]
    except (OSError, ValueError, KeyError, TypeError):
        port = 830
    return "ADDRESS" if port == 22 else f"[ADDRESS]:{port}"
