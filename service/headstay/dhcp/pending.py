"""SHELL: events that wait for the daemon, a file for each call of a hook, in the state directory.

A hook must not lose a lease because the daemon is not up yet. It leaves the event here before it tells the daemon and
takes it away once the daemon has it; the daemon picks up what it finds. Only the last event of an interface counts:
whoever leaves one takes the earlier ones away. Each call has a file of its own, so that none takes away the news of a
later one, wherever it is delayed or killed. The files hold passwords in clear, as DHCP clients' own lease files do:
mode 0600, in a directory of mode 0700.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
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
    of_interface, of_boot = _hashed(event.interface), f"{_hashed(event.interface)}.{_hashed(clock.boot_id)}."
    file = directory / f"{of_boot}{event.told_at or 0:015}.{os.getpid()}.json"
    aside = directory / f".{file.name}"
    aside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "w") as stream:
            json.dump(_written(event, happened_at, clock), stream)
        _give(aside, owner)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
    for other in directory.glob(f"{of_interface}*.json"):
        if other.name < file.name or not other.name.startswith(of_boot):
            with contextlib.suppress(OSError):  # it is overtaken all the same
                other.unlink()
    return file


def waiting(state_dir: Path, clock: WallClock) -> list[tuple[Path, tuple[LeaseEvent, float] | None]]:
    """Return the files that wait, each with its event and when that happened, by `clock`; None where it is unreadable.

    They are in the order of events, those of earlier boots first. Whoever has taken an event over removes its file.
    Raises nothing.
    """
    try:
        files = sorted(_directory(state_dir).glob("[!.]*.json"))[:MOST]
    except OSError:
        return []
    return sorted(((file, _read(file, clock)) for file in files), key=lambda each: _told_at(each[1]))


def _told_at(found: tuple[LeaseEvent, float] | None) -> int:
    return 0 if found is None or found[0].told_at is None else found[0].told_at


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


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
        "told-at": event.told_at,
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
        then = WallClock(str(found["boot-id"]), float(found["booted-at"]))
        told_at = found.get("told-at") if then.boot_id == clock.boot_id else None
        event = LeaseEvent(
            interface=str(found["interface"]),
            client=str(found["client"]),
            happening=Happening(found["event"]),
            domain=None if found["domain"] is None else bytes.fromhex(found["domain"]),
            password=None if found["password"] is None else bytes.fromhex(found["password"]),
            lease_time=None if found["lease-time"] is None else int(found["lease-time"]),
            told_at=None if told_at is None else int(told_at),
        )
        happened_at = float(found["happened-at"]) + clock.set_since(then)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return (event, happened_at) if is_interface(event.interface) else None
