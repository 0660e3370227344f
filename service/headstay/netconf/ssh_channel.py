"""SHELL: one SSH channel: the subsystem `netconf` (RFC 6242 section 3), and one NETCONF session on it.

Knows who has logged in from the connection that it belongs to, and nothing of how.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import asyncssh

from headstay.datastore.access import Source
from headstay.netconf.connection import Connection
from headstay.netconf.operations.monitoring import SSH
from headstay.netconf.sessions import Peer, Sessions
from headstay.netconf.ssh_transport import Transport

SUBSYSTEM: Final = "netconf"
NO_USER: Final = "there is no such user any more"


class Owner(Protocol):
    """The SSH connection that a channel belongs to."""

    user: str | None
    host: str
    heard: bool
    """Whether something was asked for since this was last set to False."""

    @property
    def is_known(self) -> bool:
        """Whether the authenticated user still is one."""

    def channel_closed(self, channel: SshChannel) -> None:
        """Note that one of the connection's channels is gone."""


class SshChannel(asyncssh.SSHServerSession[bytes]):
    """One channel; with the subsystem started, one NETCONF session."""

    def __init__(self, ssh: Owner, transport: Transport, sessions: Sessions, *, writable: bool) -> None:
        self._ssh = ssh
        self._transport = transport
        self._sessions = sessions
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._connection: Connection | None = None
        self._received: list[bytes] = []
        """What came in one read, or has waited while nothing was wanted."""
        self._held_up: set[str] = set() if writable else {"socket"}
        """What takes no octets now: the client's window, the socket."""

    @property
    def session_id(self) -> int | None:
        """The id of the NETCONF session; None where none has begun."""
        return None if self._connection is None else self._connection.session.session_id

    def revoke(self, *, at_once: bool) -> None:
        """End the session, whose user is no more; unless at once, the rpc that runs is answered first."""
        if self._connection is not None:
            self._connection.revoke(NO_USER, at_once=at_once)
        elif self._channel is not None:
            self._channel.close()

    def regulate(self, what: str, *, writable: bool) -> None:
        """Note that this takes octets again, or no longer."""
        before = bool(self._held_up)
        if writable:
            self._held_up.discard(what)
        else:
            self._held_up.add(what)
        if self._connection is not None and before is not bool(self._held_up):
            (self._connection.pause_writing if self._held_up else self._connection.resume_writing)()

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Note that the channel is open."""
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        """Return whether the subsystem may start."""
        refusal = self._sessions.refusal(self._ssh.user or "")
        return subsystem == SUBSYSTEM and refusal is None and self._ssh.is_known

    def session_started(self) -> None:
        """Begin with the NETCONF session."""
        if self._channel is not None and self._ssh.user is not None:
            peer = Peer(self._ssh.user, Source.DIRECT, SSH, self._ssh.host or None)
            self._connection = self._sessions.open(peer, _EndingChannel(self._channel))
            # asyncssh begins to read once this has returned, whatever it was told before.
            asyncio.get_running_loop().call_soon(self._hold_up, self._connection)

    def _hold_up(self, connection: Connection) -> None:
        if self._held_up and connection.writable:
            connection.pause_writing()

    def data_received(self, data: bytes, _datatype: asyncssh.DataType) -> None:
        """Take in one packet's octets."""
        if not self._received:
            self._transport.after_read(self._deliver)
        self._received.append(data)

    def _deliver(self) -> None:
        received, self._received = self._received, []
        self._ssh.heard = True
        if received and self._connection is not None:
            self._connection.received(b"".join(received))

    def eof_received(self) -> bool:
        """Note that the client will send nothing more; it still reads."""
        self._deliver()
        if self._connection is not None:
            self._connection.peer_closed()
        return True

    def pause_writing(self) -> None:
        """Note that the client's window is used up."""
        self.regulate("window", writable=False)

    def resume_writing(self) -> None:
        """Note that there is room in the client's window again."""
        self.regulate("window", writable=True)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note that the channel is gone."""
        if self._connection is not None:
            self._connection.lost()
        self._ssh.channel_closed(self)


class _EndingChannel:
    """An asyncssh channel that ends as it should: with an exit status, so that `ssh -s` reports no error, and also when
    its client has closed it while it was not read from, of which asyncssh then tells nobody.
    """

    def __init__(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        self.abort = channel.abort
        self.pause_reading = channel.pause_reading
        self.resume_reading = channel.resume_reading
        self._channel = channel

    def write(self, data: bytes) -> None:
        """Send octets, or keep them until they can be sent."""
        try:
            self._channel.write(data)
        except BrokenPipeError:
            self._channel.abort()

    def close(self) -> None:
        """Close once everything written has left."""
        if not self._channel.is_closing():
            self._channel.exit(0)
