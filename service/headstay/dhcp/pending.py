"""SHELL: events that wait for the daemon, a file for each call of a hook, in the state directory.

A hook must not lose a lease because the daemon is not up yet. It leaves the event here before it tells the daemon and
takes it away once the daemon has it; the daemon picks up what it finds. Only the last event of a client on an
interface counts: whoever leaves one takes the earlier ones away. Each call has a file of its own, so that none takes
away the news of a later one, wherever it is delayed or killed. The files hold passwords in clear, as DHCP clients' own
lease files do: mode 0600, in a directory of mode 0700.

Root leaves files in a directory of the daemon's user, who may put anything in the place of anything there: what is
given away is what a descriptor refers to, never what a name does.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from headstay.dhcp.event import INFINITE, Happening, LeaseEvent, is_interface
from headstay.dhcp.lease import MOST
from headstay.dhcp.wall_clock import WallClock

_Number = TypeVar("_Number", int, float)
_MOST_OCTETS = 1 << 19
"""Two options of 65 535 octets in hex, and the rest, fit twice over."""
_LATEST_TOLD_AT = (1 << 64) - 1
"""As the RPC has it."""
_LAST_MOMENT = 1 << 37
"""Seconds since the epoch, in the year 6325: with any lease time after it, this is still a date."""


def leave(state_dir: Path, event: LeaseEvent, happened_at: float, clock: WallClock) -> Path:
    """Leave an event, which happened at `happened_at` by this clock, for the daemon; return its file. Raises OSError.

    Root leaves it to the owner of the state directory, as whom the daemon runs. Where it cannot be left, such as for
    lack of space, the earlier ones of this client that it makes untrue are taken away all the same.
    """
    directory, owner = _directory(state_dir), state_dir.stat()
    of_client = f"{_hashed(event.interface)}.{_hashed(event.client)}."
    of_boot = f"{of_client}{_hashed(clock.boot_id)}."
    # Of two that were told of in the same millisecond the one that is left last is the later one, as with the daemon.
    name = f"{of_boot}{event.told_at or 0:020}.{time.monotonic_ns():020}.{os.getpid():010}.json"
    opened = _open_directory(directory, owner)
    try:
        names = os.listdir(opened)  # noqa: PTH208 -- pathlib lists no descriptors
        of_this = [other for other in names if other.startswith(of_client) and other.endswith(".json")]
        earlier = [other for other in of_this if other < name or not other.startswith(of_boot)]
        try:
            _write(opened, name, _written(event, happened_at, clock), owner)
        except OSError:
            _take_away(opened, [other for other in earlier if not _says_the_same(directory / other, event, clock)])
            raise
        _take_away(opened, earlier)
    finally:
        os.close(opened)
    return directory / name


def waiting(state_dir: Path, clock: WallClock) -> list[tuple[Path, tuple[LeaseEvent, float] | None]]:
    """Return the files that wait, each with its event and when that happened, by `clock`; None where it is unreadable.

    They are in the order in which they were told of, those of earlier boots first. Whoever has taken an event over
    removes its file. Raises nothing.
    """
    try:
        files = sorted(_directory(state_dir).glob("[!.]*.json"))[:MOST]
    except OSError:
        return []
    return sorted(((file, _read(file, clock)) for file in files), key=lambda each: _order(*each))


def _order(file: Path, found: tuple[LeaseEvent, float] | None) -> tuple[int, list[str]]:
    """When it was told of, then when it was left, as `leave` names files."""
    told_at = None if found is None else found[0].told_at
    return told_at or 0, file.name.split(".")[4:5]


def _hashed(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _directory(state_dir: Path) -> Path:
    return state_dir / "dhcp"


def _open_directory(directory: Path, owner: os.stat_result) -> int:
    made = False
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
        made = True
    opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    if made:
        _give(opened, owner)
    return opened


def _write(directory: int, name: str, content: dict[str, object], owner: os.stat_result) -> None:
    """Write a file that is there as a whole or not at all."""
    aside = f".{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        with os.fdopen(os.open(aside, flags, 0o600, dir_fd=directory), "w") as stream:
            _give(stream.fileno(), owner)
            json.dump(content, stream)
        os.replace(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        _take_away(directory, [aside])


def _take_away(directory: int, names: Iterable[str]) -> None:
    for name in names:
        with contextlib.suppress(OSError):  # one that stays is overtaken all the same
            os.unlink(name, dir_fd=directory)


def _give(descriptor: int, owner: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _says_the_same(file: Path, event: LeaseEvent, clock: WallClock) -> bool:
    found = _read(file, clock)
    return found is not None and _gives(found[0]) == _gives(event)


def _gives(event: LeaseEvent) -> tuple[bool, bytes | None, bytes | None]:
    return event.happening.holds, event.domain, event.password


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
        found = json.loads(_octets(file))
        then = WallClock(str(found["boot-id"]), float(found["booted-at"]))
        lease_time = found["lease-time"]
        told_at = found.get("told-at") if then.boot_id == clock.boot_id else None
        event = LeaseEvent(
            interface=str(found["interface"]),
            client=str(found["client"]),
            happening=Happening(found["event"]),
            domain=None if found["domain"] is None else bytes.fromhex(found["domain"]),
            password=None if found["password"] is None else bytes.fromhex(found["password"]),
            lease_time=None if lease_time is None else _within(int(lease_time), INFINITE),
            told_at=None if told_at is None else _within(int(told_at), _LATEST_TOLD_AT),
        )
        happened_at = _within(float(found["happened-at"]) + clock.set_since(then), _LAST_MOMENT)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return (event, happened_at) if is_interface(event.interface) else None


def _within(number: _Number, most: int) -> _Number:
    if not 0 <= number <= most:  # NaN neither
        raise ValueError(number)
    return number


def _octets(file: Path) -> bytes:
    """Raises OSError, also for what is no file: neither a link is followed nor a pipe waited for."""
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        with os.fdopen(opened, "rb", closefd=False) as stream:
            return stream.read(_MOST_OCTETS)
    finally:
        os.close(opened)
