"""`headstay password`: encrypt a secret for this device's configuration, and give the device a new key.

Works on the files of the state directory, not over NETCONF: the key never leaves the device.
"""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from headstay.cli.local_session import add_where, state_directory
from headstay.errors import CommandError, NetconfError
from headstay.state_directory import DATASTORE, SECRETS_KEY, StateDirectory, StateDirectoryInUseError

if TYPE_CHECKING:
    from headstay.datastore.model import Model

_LEAFS = {
    "password": "/hcm:cloud-management/server/password",
    "private-key": "/hcm:cloud-management/tls/private-key",
}


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "password",
        help="encrypt a secret for the configuration; change the key",
        description="Encrypt secrets for this device's configuration. Run it as root or as the daemon's user: it reads "
        "the device's key.",
    )
    operations = parser.add_subparsers(title="operations", metavar="OPERATION", required=True)
    encrypt = operations.add_parser(
        "encrypt",
        help="print a secret as this device stores it",
        description="Print a secret in the form that this device stores, so that it can stand in an <edit-config> for "
        "this device and nobody who sees that learns it. A password is asked for twice at a terminal, else it is one "
        "line of standard input; a private key is all of standard input, in PEM form.",
    )
    encrypt.add_argument("--leaf", choices=_LEAFS, default="password", help="which secret; default: %(default)s")
    encrypt.set_defaults(run=_run_encrypt)
    rotate = operations.add_parser(
        "rotate-key",
        help="encrypt every stored secret under a new key",
        description="Make a new key and encrypt every stored secret under it. It happens as a whole or not at all, "
        "whatever interrupts it. The daemon must not run meanwhile.",
    )
    rotate.set_defaults(run=_run_rotate_key)
    for operation in (encrypt, rotate):
        add_where(operation)


def _run_encrypt(arguments: argparse.Namespace) -> int:
    from headstay.datastore.rotation import new_key_file
    from headstay.datastore.secrets import CLEAR, Vault
    from headstay.datastore.values import NotAValue

    key_file = state_directory(arguments.config, arguments.state_dir) / SECRETS_KEY
    vault = Vault.existing(key_file)
    if new_key_file(key_file).exists():
        raise CommandError("the key is being changed, or that was cut off: start the daemon or run rotate-key first")
    clear = _read_all() if arguments.leaf == "private-key" else _ask()
    if not clear:
        raise CommandError("nothing was given; an empty secret is none")
    leaf = _model().schema.find(_LEAFS[arguments.leaf])
    try:
        leaf.canonical(CLEAR + clear, {})
    except NotAValue as error:
        raise CommandError(str(error)) from None
    print(vault.seal(clear, leaf))
    return 0


def _run_rotate_key(arguments: argparse.Namespace) -> int:
    from headstay.datastore.secrets import SecretUnreadableError, Vault

    directory = state_directory(arguments.config, arguments.state_dir)
    # Before anything is made, which would then belong to whoever runs this: the daemon has run here, and we may read.
    Vault.existing(directory / SECRETS_KEY)
    if not (directory / DATASTORE).exists():
        raise CommandError(f"nothing is stored in {directory} yet; the daemon begins with a key of its own")
    try:
        with StateDirectory(directory):
            count = asyncio.run(_rotate(directory))
    except StateDirectoryInUseError:
        raise CommandError(f"the daemon runs on {directory}: stop it, change the key, start it again") from None
    except SecretUnreadableError as error:
        raise CommandError(f"{error}; restore the right key, or set these secrets again; nothing was changed") from None
    except NetconfError as error:
        raise CommandError(f"{error.message}; the key was not changed") from None
    print(
        f"{directory / SECRETS_KEY} is a new key; secrets encrypted under it: {count}\n"
        "a backup from before needs the old key, and what was encrypted for this device before can no longer be used"
    )
    return 0


async def _rotate(directory: Path) -> int:
    from headstay.backend.dhcp import resealed
    from headstay.datastore.disk import Disk
    from headstay.datastore.rotation import rotate

    disk, model = Disk(directory / DATASTORE), _model()
    try:
        return await rotate(model.schema, disk, directory / SECRETS_KEY, partial(resealed, model))
    finally:
        disk.close()


def _model() -> Model:
    from headstay.datastore.model import Model

    return Model()


def _ask() -> str:
    """Return a password from the terminal, or from one line of standard input."""
    if not sys.stdin.isatty():
        password = _decoded(sys.stdin.buffer.readline()).rstrip("\r\n")
    else:
        try:
            password = getpass.getpass("Password: ")
            if password != getpass.getpass("Once more: "):
                raise CommandError("the two passwords differ")
        except EOFError:
            raise CommandError("no password was given") from None
    return password


def _read_all() -> str:
    # XML knows one end of line only, so the same key gives the same form however its file was written.
    return _decoded(sys.stdin.buffer.read()).replace("\r\n", "\n")


def _decoded(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise CommandError("the secret is not UTF-8 text") from None
