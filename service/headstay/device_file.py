"""`device.toml`: what the daemon is told by whoever installs it. Owns the file's form, not what is done with it.

Everything that can change while the daemon runs is in the datastores instead.
"""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path

import msgspec

from headstay import toml
from headstay.errors import StartupError
from headstay.netconf.limits import Limits
from headstay.wire import SERIAL_PATTERN

DEFAULT_FILE = Path("/etc/headstay/device.toml")
DEFAULT_STATE_DIR = Path("/var/lib/headstay")
SOCKET_NAME = "netconf.sock"
"""The local NETCONF socket, in the state directory."""
LONGEST_SOCKET_PATH = 107
"""Octets: what `struct sockaddr_un` has room for, and the octet that ends it."""


class _Table(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """What all tables of the file share."""


class Netconf(_Table, frozen=True):
    """`[netconf]`: where managers reach the device."""

    listen: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104 - a NETCONF server is there to be reached
    """Addresses."""
    port: int = 830
    """RFC 6242's port. 0 takes a free one, which `device.json` in the state directory then names."""
    limits: Limits = Limits()
    """`[netconf.limits]`: what the server takes on."""


class FirstUser(_Table, frozen=True):
    """`[first-user]`: who may do everything. Its password and keys count at the first start only; later the
    configuration holds them.
    """

    name: str
    password: str | None = None
    """`$6$…`, or `$0$` and the clear text."""
    authorized_keys: tuple[str, ...] = ()
    """Lines as in OpenSSH's authorized_keys."""


class DeviceFile(_Table, frozen=True):
    """The whole file."""

    serial: str
    first_user: FirstUser
    model: str = "headstay"
    """The device's model, as it tells the cloud."""
    state_dir: Path = DEFAULT_STATE_DIR
    """Datastores, keys and the local socket. A relative path counts from the file's directory."""
    startup: bool = False
    """Whether there is a startup datastore, which a new boot loads (capability `:startup`)."""
    log_level: str = "info"
    """debug, info, warning or error."""
    netconf: Netconf = Netconf()


def load(file: Path) -> DeviceFile:
    """Read and check the file. Raises StartupError, one line that names the file and the key."""
    found = toml.read(file, DeviceFile)
    complaint = _complaint(found)
    if complaint is not None:
        raise StartupError(f"{file}: {complaint}")
    state_dir = file.absolute().parent / found.state_dir
    if (complaint := path_complaint(state_dir / SOCKET_NAME)) is not None:
        raise StartupError(f"{file}: state-dir: {complaint}; choose a shorter one")
    return msgspec.structs.replace(found, state_dir=state_dir)


def path_complaint(socket: Path) -> str | None:
    """Return what is wrong with this path for the socket, if anything is."""
    octets = len(os.fsencode(socket))
    if octets <= LONGEST_SOCKET_PATH:
        return None
    return f"the path of the socket, {socket}, has {octets} octets, and may have {LONGEST_SOCKET_PATH}"


def _complaint(found: DeviceFile) -> str | None:
    """Return what is wrong with values that have the right types, the key first."""
    if not re.fullmatch(SERIAL_PATTERN, found.serial):
        return "serial: expected 1 to 63 letters, digits, '.', '_' or '-', the first a letter or digit"
    if not found.model.isprintable() or not 1 <= len(found.model) <= 255:
        return "model: expected 1 to 255 characters, none of them a control character"
    if found.log_level not in ("debug", "info", "warning", "error"):
        return "log-level: expected debug, info, warning or error"
    if not 0 <= found.netconf.port <= 65535:
        return "netconf.port: expected 0..65535"
    if not found.netconf.listen:
        return "netconf.listen: name at least one address"
    for address in found.netconf.listen:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return f"netconf.listen: {address!r} is not an IP address"
    if found.netconf.limits.reserved >= found.netconf.limits.sessions:
        return "netconf.limits.reserved: expected less than sessions, or nobody but root could have one"
    if not found.first_user.name or not found.first_user.name.isprintable():
        return "first-user.name: expected a name without control characters"
    if found.first_user.password == "$0$":  # noqa: S105 - the empty password is what is refused
        return "first-user.password: expected a password after $0$"
    for number, line in enumerate(found.first_user.authorized_keys, 1):
        if not line.isprintable():
            return f"first-user.authorized-keys: line {number} has control characters"
    if found.first_user.password is None and not found.first_user.authorized_keys:
        return "first-user: give a password or authorized-keys, or nobody can log in"
    return None
