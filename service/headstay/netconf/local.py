"""SHELL: NETCONF on a Unix socket, for the commands on the device itself.

There is no login: the kernel tells who the peer is. Root and the daemon's own user get recovery sessions; others bring
the system's groups that they are in (RFC 8341 section 2.5).
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import logging
import os
import pwd
import select
import socket
import stat
import struct
from pathlib import Path
from typing import Any, Final, cast

from headstay.datastore.access import Source
from headstay.errors import StartupError
from headstay.netconf.connection import Connection
from headstay.netconf.operations.monitoring import LOCAL
from headstay.netconf.sessions import Peer, Sessions

GROUP: Final = "headstay"
"""Members of this group may use the socket, where it exists."""
_MODE = 0o660
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid

_log = logging.getLogger(__name__)


class LocalListener:
    """The Unix socket's side of the server."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._server: asyncio.Server | None = None
        self._path = Path()
        self._inode = 0

    async def start(self, path: Path) -> None:
        """Listen. Replaces a socket that no one listens on any more. Raises StartupError."""
        listening = _bound(path)
        self._path, self._inode = path, _inode(path)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _LocalTransport(self._sessions), sock=listening)

    def stop_accepting(self) -> None:
        """Take no further connection, and remove the socket if it still is ours."""
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(FileNotFoundError):
            if _inode(self._path) == self._inode:
                self._path.unlink()

    async def stop(self) -> None:
        """Wait until every connection is closed. Their sessions must have been ended."""
        if self._server is not None:
            await self._server.wait_closed()


def _bound(path: Path) -> socket.socket:
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        unix.bind(str(path))
        # Nobody can connect before listen(), so there is no moment with the wrong mode.
        path.chmod(_MODE)
        _give_to_group(path)
        unix.listen(64)
    except OSError as error:
        unix.close()
        raise StartupError(f"the socket {path} cannot be made: {error.strerror or error}") from None
    except StartupError:
        unix.close()
        raise
    unix.setblocking(False)
    return unix


def _inode(path: Path) -> int:
    return path.stat().st_ino


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartupError(f"{path} is in the way: it is not a socket; move it elsewhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise StartupError(f"{path} is in use: another headstay device runs with this state directory")


def _give_to_group(path: Path) -> None:
    try:
        group = grp.getgrnam(GROUP).gr_gid
        os.chown(path, -1, group)
        if not path.parent.stat().st_mode & stat.S_IRWXG:
            # Nobody reaches the socket through a private directory. The group may pass, and see no names.
            os.chown(path.parent, -1, group)
            path.parent.chmod(stat.S_IMODE(path.parent.stat().st_mode) | stat.S_IXGRP)
    except KeyError:
        return
    except PermissionError:
        _log.warning("%s cannot be given to the group %s: this user is not in it", path, GROUP)


def _peer(unix: socket.socket) -> Peer:
    credentials = unix.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, gid = _CREDENTIALS.unpack(credentials)
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    if uid in (0, os.geteuid()):
        return Peer(user, Source.LOCAL, LOCAL, recovery=True)
    return Peer(user, Source.LOCAL, LOCAL, groups=_groups(user, gid))


def _groups(user: str, gid: int) -> frozenset[str]:
    """Return the names of a user's groups. As of now: to leave one takes effect at the next connection."""
    names = set()
    for group in os.getgrouplist(user, gid):
        with contextlib.suppress(KeyError):
            names.add(grp.getgrgid(group).gr_name)
    return frozenset(names)


def _has_gone(unix: socket.socket) -> bool:
    """Tell a peer that has closed its end from one that has only stopped sending: Linux's unix_poll() does."""
    poll = select.poll()
    poll.register(unix.fileno(), 0)
    return any(event & select.POLLHUP for _, event in poll.poll(0))


class _LocalTransport(asyncio.Protocol):
    """One connection, one session."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        channel: Any = cast(asyncio.Transport, transport)
        self._socket = channel.get_extra_info("socket")
        peer = _peer(self._socket)
        if (refusal := self._sessions.refusal(peer.user, peer.recovery)) is not None:
            # NETCONF has no words for this before <hello>.
            _log.warning("a local connection is refused: %s", refusal)
            channel.close()
            return
        self._connection = self._sessions.open(peer, channel)

    def data_received(self, data: bytes) -> None:
        if self._connection is not None:
            self._connection.received(data)

    def eof_received(self) -> bool:
        if self._connection is None:
            return False
        self._connection.peer_closed()
        if self._socket is not None and _has_gone(self._socket):
            self._connection.deserted.set()
        return True

    def pause_writing(self) -> None:
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._connection is not None:
            self._connection.resume_writing()

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._connection is not None:
            self._connection.lost()
