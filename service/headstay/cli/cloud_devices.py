"""What `headstay cloud-admin device …` does. Owns what it asks and prints; `cloud_admin` owns the command line.

A running cloud is asked on its Unix socket, so that a change takes effect at once; when none runs, the command takes
the state directory's lock and changes the registry itself.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import getpass
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from headstay.cli.tables import local_time
from headstay.cloud.administration import (
    Administration,
    DeviceEntry,
    LocalAdministration,
    Outcome,
    SocketAdministration,
)
from headstay.cloud.configuration import load
from headstay.cloud.devices import is_serial
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.cloud.state import StateDirectory
from headstay.errors import CommandError, WireError
from headstay.wire.scram import Verifier, verifier_of

_WIDTH = 80
_SHORTEST_ADDRESS = 15
_SHORTEST_SERIAL = 8


def run(arguments: argparse.Namespace) -> int:
    """Carry out one operation. Returns 0, or 2 for a malformed serial number.

    Raises CommandError or StartupError when it cannot be done.
    """
    serial: str | None = getattr(arguments, "serial", None)
    if serial is not None and not accepted(serial):
        return 2
    verifier = _ask_for_verifier() if getattr(arguments, "password", False) else None
    try:
        asyncio.run(_carry_out(arguments, verifier))
    except RegistryUnavailable as error:
        raise CommandError(f"the registry cannot do this now: {error}") from None
    return 0


async def _carry_out(arguments: argparse.Namespace, verifier: Verifier | None) -> None:
    async with reached(arguments) as administration:
        if arguments.operation == "list":
            _print_devices(await administration.devices(), as_json=arguments.json)
            return
        if arguments.operation == "remove":
            outcome = await administration.remove(arguments.serial)
        else:
            outcome = await administration.add(arguments.serial, verifier)
    if outcome is Outcome.EXISTS:
        raise CommandError(f"{arguments.serial} was added before; to give it another password use --password")
    if outcome is Outcome.UNKNOWN:
        raise never_added(arguments.serial)
    done = {
        Outcome.UPDATED: "password changed",
        Outcome.BOUND: "bound again" if verifier is None else "bound again, password changed",
    }
    print(f"{arguments.serial}: {done.get(outcome, outcome.value)}")


def accepted(serial: str) -> bool:
    """Return whether this is a serial number; if it is none, say so on standard error."""
    if not is_serial(serial):
        print(
            f"headstay: {serial!r} is not a serial number: 1 to 63 letters, digits, '.', '_' or '-', "
            "the first one a letter or digit",
            file=sys.stderr,
        )
        return False
    return True


def never_added(serial: str) -> CommandError:
    """Return the error for a serial number that the cloud does not have."""
    return CommandError(f"{serial} was never added; `headstay cloud-admin device list` shows what is there")


def _state(arguments: argparse.Namespace) -> StateDirectory:
    """Find the state directory; one that a cloud.toml names is made, so that a first start is not needed."""
    if arguments.state_dir is None:
        state = StateDirectory(load(arguments.config).state_dir)
        state.make()
        return state
    if not arguments.state_dir.is_dir():
        raise CommandError(f"{arguments.state_dir}: no such state directory")
    return StateDirectory(arguments.state_dir)


@asynccontextmanager
async def reached(arguments: argparse.Namespace) -> AsyncIterator[Administration]:
    """Reach the running cloud that the command line names, or hold its state directory while none runs."""
    state = _state(arguments)
    lock = state.lock()
    if lock is None:
        yield SocketAdministration(state.admin_socket)
        return
    try:
        registry = await Registry.open(state.registry)
        try:
            yield LocalAdministration(registry, lambda: datetime.datetime.now(datetime.UTC))
        finally:
            await registry.close()
    finally:
        lock.release()


def _ask_for_verifier() -> Verifier:
    """Ask for a password and return what the cloud stores of it; the password itself goes no further."""
    try:
        if sys.stdin.isatty():
            password = getpass.getpass("Password: ")
            if password != getpass.getpass("Once more: "):
                raise CommandError("the two passwords differ; nothing was changed")
        else:
            password = sys.stdin.readline().rstrip("\r\n")
    except (EOFError, UnicodeDecodeError):
        raise CommandError("no password could be read; nothing was changed") from None
    if not password:
        raise CommandError("the password is empty; nothing was changed")
    try:
        return verifier_of(password)
    except WireError as error:
        raise CommandError(f"{error}; nothing was changed") from None


def _print_devices(devices: Sequence[DeviceEntry], *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(devices), indent=2).decode())
        return
    for line in table(devices):
        print(line)


def table(devices: Sequence[DeviceEntry]) -> list[str]:
    """Return the lines of the table of devices: at most 80 columns, names cut with `…` where they must be."""
    rows = [("SERIAL", "PASSWORD", "BOUND", "CONNECTED", "SINCE (LOCAL)", "ADDRESS")]
    rows += [
        (
            device.serial,
            "yes" if device.password else "no",
            "yes" if device.bound else "no",
            "yes" if device.connected else "no",
            "-" if device.since is None else local_time(device.since),
            device.address or "-",
        )
        for device in devices
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    excess = sum(widths) + len(widths) - 1 - _WIDTH
    for column, shortest in ((5, _SHORTEST_ADDRESS), (0, _SHORTEST_SERIAL)):
        cut = max(0, min(excess, widths[column] - shortest))
        widths[column] -= cut
        excess -= cut
    return [" ".join(_fit(*cell) for cell in zip(row, widths, strict=True)).rstrip() for row in rows]


def _fit(text: str, width: int) -> str:
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
