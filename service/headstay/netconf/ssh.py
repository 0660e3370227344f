"""SHELL: NETCONF over SSH (RFC 6242): the subsystem `netconf` and nothing else, strong algorithms only.

Owns authentication's protocol side; who a user is and what opens the door is the `Authenticator`'s to say. asyncssh
refuses shells, commands, terminals and forwarding by itself unless a server allows them: this one allows none.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import asyncssh

from headstay.errors import StartupError
from headstay.netconf import crowding
from headstay.netconf.limits import Limits
from headstay.netconf.login_delay import LoginDelay
from headstay.netconf.sessions import Sessions
from headstay.netconf.ssh_channel import NO_USER, SshChannel
from headstay.netconf.ssh_transport import ALGORITHMS, Transport

_WINDOW = 256 * 1024
"""Octets that a client may send ahead on a channel."""
_KEEPALIVE: Final = 20
"""Seconds between SSH keepalives to a client that asks for nothing; three without an answer end its connection."""

_log = logging.getLogger(__name__)


class Authenticator(Protocol):
    """Who may log in."""

    async def verify_password(self, user: str, password: str) -> bool:
        """Whether this is the user's password. Takes as long for a user that does not exist."""

    def authorized_keys(self, user: str) -> Sequence[str]:
        """The user's public keys, as OpenSSH lines."""

    def knows(self, user: str) -> bool:
        """Whether there is such a user now."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the SSH server listens and by which key it proves itself."""

    hosts: Sequence[str]
    """Names or IP addresses of this machine; the empty string stands for all of them."""
    port: int
    """0: any free port, the same on every host."""
    host_key: Path
    """A private key file."""


@dataclass(slots=True)
class _Doors:
    """What all connections of one server share."""

    sessions: Sessions
    authenticator: Authenticator
    limits: Limits
    delay: LoginDelay
    connections: set[_SshConnection]

    def connections_of(self, user: str) -> int:
        """Return how many connections a user has."""
        return sum(1 for connection in self.connections if connection.user == user)


class SshListener:
    """The SSH side of the server."""

    def __init__(self, sessions: Sessions, authenticator: Authenticator, limits: Limits) -> None:
        self._doors = _Doors(sessions, authenticator, limits, LoginDelay(limits.failed_login_delay), set())
        self._servers: list[asyncio.Server] = []
        self._silence: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port that it really listens on."""
        if not self._servers:
            raise RuntimeError("the server has not been started")
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def start(self, address: Address) -> None:
        """Listen. Raises StartupError; `stop_accepting` then closes what was opened."""
        loop = asyncio.get_running_loop()
        options = asyncssh.SSHServerConnectionOptions(
            server_factory=lambda: _SshConnection(self._doors),
            server_host_keys=[_host_key(address.host_key)],
            server_version="headstay",
            login_timeout=self._doors.limits.login_timeout,
            encoding=None,
            line_editor=False,
            allow_pty=False,
            agent_forwarding=False,
            gss_host=None,
            x509_trusted_certs=None,
            window=_WINDOW,
            **ALGORITHMS,
        )
        for host in address.hosts:
            port = address.port or (self.port if self._servers else 0)
            try:
                server = await loop.create_server(lambda: Transport(loop, options), host, port)
            except OSError as error:
                raise StartupError(_why_not(host, port, error)) from None
            self._servers.append(server)
        self._listen_for_silence()

    def _listen_for_silence(self) -> None:
        for connection in self._doors.connections:
            connection.listen_for_silence()
        self._silence = asyncio.get_running_loop().call_later(_KEEPALIVE, self._listen_for_silence)

    def end_sessions_of(self, users: Collection[str], by: int | None) -> None:
        """End what these users have here, who are no more. `by` is the session that has seen to that, if one has: its
        reply is sent first.
        """
        for connection in list(self._doors.connections):
            if connection.user in users:
                connection.revoke(by)

    def stop_accepting(self) -> None:
        """Take no further connection."""
        for server in self._servers:
            server.close()

    async def stop(self) -> None:
        """Close every connection and wait until they are closed. Cancel it to cut them."""
        if self._silence is not None:
            self._silence.cancel()
        connections = [connection.close() for connection in list(self._doors.connections)]
        await asyncio.gather(*connections)
        for server in self._servers:
            await server.wait_closed()


def _host_key(file: Path) -> asyncssh.SSHKey:
    try:
        return asyncssh.read_private_key(file)
    except OSError as error:
        raise StartupError(f"the SSH host key {file} cannot be read: {error.strerror}") from None
    except asyncssh.KeyImportError as error:
        raise StartupError(f"the SSH host key {file} is not a private key without passphrase: {error}") from None


def _why_not(host: str, port: int, error: OSError) -> str:
    where = f"{host or '*'}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return f"{where} is in use by another program; stop it, or change netconf.port in device.toml"
        case errno.EACCES:
            return f"{where} needs privilege; start as root, or change netconf.port in device.toml to 1024 or more"
        case _:
            return f"cannot listen on {where}: {error.strerror or error}; check netconf.listen in device.toml"


class _SshConnection(asyncssh.SSHServer):
    """One SSH connection."""

    def __init__(self, doors: _Doors) -> None:
        self.user: str | None = None
        """The authenticated user; None until then."""
        self.host = ""
        self._doors = doors
        self._ssh: Transport | None = None
        self._failures = 0
        self._channels: set[SshChannel] = set()
        self._idle: asyncio.TimerHandle | None = None
        self.heard = True
        """Whether something was asked for since this was last set to False."""
        self._keeps_alive = False
        self._writable = True

    async def close(self) -> None:
        """Close the connection and wait until it is closed."""
        if self._ssh is not None:
            self._ssh.close()
            await self._ssh.wait_closed()

    @property
    def is_known(self) -> bool:
        """Whether the authenticated user still is one."""
        return self.user is not None and self._doors.authenticator.knows(self.user)

    def revoke(self, by: int | None) -> None:
        """End the sessions, since the user is no more, and with them the connection; session `by` answers first."""
        _log.warning("the user %r is no more; a connection from %s ends", self.user, self.host)
        asks = by is not None and any(channel.session_id == by for channel in self._channels)
        for channel in list(self._channels):
            channel.revoke(at_once=not asks)
        if not asks:
            self._disconnect_unknown()

    def _disconnect_unknown(self) -> None:
        if self._ssh is not None:
            self._ssh.disconnect(asyncssh.DISC_BY_APPLICATION, NO_USER)

    def listen_for_silence(self) -> None:
        """Send keepalives from now on if nothing was asked for since this was last called, else none.

        Call it now and then. asyncssh sets the timer of keepalives anew with each packet, so it has one only where
        there are none.
        """
        if self._ssh is not None and self.heard is self._keeps_alive:
            self._keeps_alive = not self.heard
            self._ssh.set_keepalive(_KEEPALIVE if self._keeps_alive else 0)
        self.heard = False

    # what asyncssh reports

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        assert isinstance(conn, Transport)  # noqa: S101 -- the listener makes no other ones
        self._ssh = conn
        conn.regulated = self._regulated
        if (tcp := conn.get_extra_info("socket")) is not None and tcp.family in (socket.AF_INET, socket.AF_INET6):
            # Nagle's algorithm would cost 45 ms of the set-up of a session.
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host = (conn.get_extra_info("peername") or ("",))[0]
        refusal = crowding.refusal(self._doors.limits, self._doors.connections, self.host)
        self._doors.connections.add(self)
        if refusal is not None:
            self._refuse(refusal)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._doors.connections.discard(self)
        self._set_idle(False)

    def begin_auth(self, _username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        right = await self._doors.authenticator.verify_password(username, password)
        origin = crowding.origin(self.host)
        if right:
            self._doors.delay.succeeded(origin)
        else:
            # Only the answer to a wrong one waits: nobody is kept out by what others guess.
            await asyncio.sleep(self._doors.delay.failed(origin, begun, loop.time()))
        return self._judged(username, right)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return self._judged(
            username, key.public_data in map(_public_data, self._doors.authenticator.authorized_keys(username))
        )

    def auth_completed(self) -> None:
        if self._ssh is not None:
            user = self._ssh.get_extra_info("username")
            crowded = self._doors.connections_of(user) >= self._doors.limits.sessions_of_user
            self.user = user
            if not self.is_known:  # removed while the password was being verified
                self._disconnect_unknown()
            elif crowded:
                self._refuse(f"too many connections of the user {user!r}")
        self._set_idle(True)

    def session_requested(self) -> SshChannel:
        if self._ssh is None or not self.is_known:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED, NO_USER)
        refusal = self._doors.sessions.refusal(self.user or "")
        if refusal is None and len(self._channels) >= self._doors.limits.sessions_of_connection:
            refusal = "too many sessions on one connection"
        if refusal is not None:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, f"{refusal}, try again later")
        channel = SshChannel(self, self._ssh, self._doors.sessions, writable=self._writable)
        self._channels.add(channel)
        self._set_idle(False)
        return channel

    def channel_closed(self, channel: SshChannel) -> None:
        """Note that one of the connection's channels is gone."""
        self._channels.discard(channel)
        self._set_idle(not self._channels)
        if not self._channels and not self.is_known:
            self._disconnect_unknown()

    def _regulated(self, writable: bool) -> None:
        self._writable = writable
        for channel in list(self._channels):
            channel.regulate("socket", writable=writable)

    def _refuse(self, why: str) -> None:
        _log.warning("a connection from %s is refused: %s", self.host, why)
        if self._ssh is not None:
            self._ssh.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, f"{why}, try again later")

    def _judged(self, user: str, right: bool) -> bool:
        if not right:
            self._failures += 1
            _log.warning("login of %r from %s failed", user, self.host)
            if self._failures >= self._doors.limits.login_failures and self._ssh is not None:
                self._ssh.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "too many failed attempts")
        return right

    def _set_idle(self, idle: bool) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if idle and self._ssh is not None:
            self._idle = asyncio.get_running_loop().call_later(
                self._doors.limits.connection_idle_timeout, self._ssh.close
            )


def _public_data(line: str) -> bytes | None:
    try:
        return asyncssh.import_public_key(line).public_data
    except asyncssh.KeyImportError:
        return None
