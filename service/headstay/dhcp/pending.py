"""SHELL: events that wait for the daemon, a file for each interface, in the state directory.

A hook must not lose a lease because the daemon is not up yet. It leaves the event here before it tells the daemon and
takes it away once the daemon has it; the daemon picks up what it finds. Only the last event of an interface counts. The
files hold passwords in clear, as DHCP clients' own lease files do: mode 0600, in a directory of mode 0700.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from headstay.dhcp.event import Happening, LeaseEvent, is_interface
from headstay.dhcp.lease import MOST
from headstay.dhcp.wall_clock import WallClock

_MOST_OCTETS = 1 << 19
"""Two options of 65 535 octets in hex, and the rest, fit twice over."""


def leave(state_dir: Path, event: LeaseEvent, happened_at: float, clock: WallClock) -> Path:
    """Leave an event, which happened at `happened_at` by this clock, for the daemon; return its file. Raises OSError.

    Root leaves it to the owner of the state directory, as whom the daemon runs.
    """
    owner = state_dir.stat()
    directory = _directory(state_dir)
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        _give(directory, owner)
    file = directory / f"{hashlib.sha256(event.interface.encode()).hexdigest()[:16]}.json"
    aside = directory / f".{file.name}.{os.getpid()}"
    aside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as stream:
            json.dump(_written(event, happened_at, clock), stream)
        _give(aside, owner)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    return file


def waiting(state_dir: Path, clock: WallClock) -> Iterator[tuple[Path, tuple[LeaseEvent, float] | None]]:
    """Yield the files that wait, each with its event and when that happened, by `clock`; None where it is unreadable.

    Whoever has taken an event over removes its file. Raises nothing.
    """
    try:
        files = sorted(_directory(state_dir).glob("[!.]*.json"))[:MOST]
    except OSError:
        return
    for file in files:
        yield file, _read(file, clock)


def _directory(state_dir: Path) -> Path:
    return state_dir / "dhcp"


def _give(file: Path, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(file, owner.st_uid, owner.st_gid)


def _written(event: LeaseEvent, happened_at: float, clock: WallClock) -> dict[str, object]:
    return {
        "interface": event.interface,
        "client": event.client,
        "event": event.happening.value,
        "domain": None if event.domain is None else event.domain.hex(),
        "password": None if event.password is None else event.password.hex(),
        "lease-time": event.lease_time,
        "happened-at": happened_at,
        "boot-id": clock.boot_id,
        "booted-at": clock.booted_at,
    }


def _read(file: Path, clock: WallClock) -> tuple[LeaseEvent, float] | None:
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return None
            found = json.loads(stream.read(_MOST_OCTETS))
        event = LeaseEvent(
            interface=str(found["interface"]),
            client=str(found["client"]),
            happening=Happening(found["event"]),
            domain=None if found["domain"] is None else bytes.fromhex(found["domain"]),
            password=None if found["password"] is None else bytes.fromhex(found["password"]),
            lease_time=None if found["lease-time"] is None else int(found["lease-time"]),
        )
        then = WallClock(str(found["boot-id"]), float(found["booted-at"]))
        happened_at = float(found["happened-at"]) + clock.set_since(then)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (event, happened_at) if is_interface(event.interface) else None
