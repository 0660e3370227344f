"""A NETCONF client over SSH, as bare as a client can be: what every bench of a server measures with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncssh
from asyncssh.constants import MSG_IGNORE
from asyncssh.packet import SSHPacketLogger

from headstay.netconf.framing import Deframer, Framing, frame

BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
BASE_1_1 = "urn:ietf:params:netconf:base:1.1"
HELLO = (
    f'<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>'
    f"<capability>{BASE_1_1}</capability></capabilities></hello>"
).encode()
ENCRYPTION = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr")
"""What the client offers, best first, so that every server is measured with the same."""


class BenchError(Exception):
    """The measurement cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is measured."""

    host: str
    port: int
    user: str
    key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey | None = None
    """None where it is not known; then it is not verified."""


class Inbox(asyncssh.SSHClientSession[bytes]):
    """What the server has sent."""

    def __init__(self) -> None:
        self.deframer = Deframer()
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take in octets."""
        for message in self.deframer.receive(data):
            self._messages.put_nowait(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up whoever waits for a message."""
        self._messages.put_nowait(None)

    async def message(self) -> bytes:
        """Return the next message. Raises BenchError if there will be none."""
        message = await self._messages.get()
        if message is None:
            raise BenchError("the server has closed a session")
        return message


class Session:
    """A NETCONF session, as bare as a client can be."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, channel: asyncssh.SSHClientChannel[bytes], inbox: Inbox
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._inbox = inbox
        self._last_id = 0

    @classmethod
    async def open(cls, target: Target, options: asyncssh.SSHClientConnectionOptions) -> Session:
        """Connect, authenticate, exchange hello."""
        connection = await asyncssh.connect(target.host, target.port, options=options)
        _leave_out_empty_messages(connection)
        inbox = Inbox()
        channel, _ = await connection.create_session(lambda: inbox, subsystem="netconf", encoding=None)
        channel.write(frame(HELLO, Framing.END_OF_MESSAGE))
        if BASE_1_1.encode() in await inbox.message():
            inbox.deframer.framing = Framing.CHUNKED
        return cls(connection, channel, inbox)

    async def rpc(self, operation: str) -> bytes:
        """Send one operation and return the reply. Raises BenchError if it is an error."""
        self._last_id += 1
        text = f'<rpc message-id="{self._last_id}" xmlns="{BASE}">{operation}</rpc>'
        self._channel.write(frame(text.encode(), self._inbox.deframer.framing))
        reply = await self._inbox.message()
        if b"rpc-error" in reply:
            raise BenchError(f"{operation} was refused: {reply.decode(errors='replace')}")
        return reply

    async def end(self) -> None:
        """Close the session as RFC 6241 section 7.8 wants it, and the connection under it."""
        await self.rpc("<close-session/>")
        self._connection.close()
        await self._connection.wait_closed()

    @property
    def cipher(self) -> str:
        """The cipher in use."""
        return str(self._connection.get_extra_info("send_cipher"))


def _leave_out_empty_messages(connection: asyncssh.SSHClientConnection) -> None:
    """Do not send what asyncssh, and no client that people manage devices with, puts before each message."""
    send = connection.send_packet

    def send_packet(pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        if pkttype != MSG_IGNORE:
            send(pkttype, *args, handler=handler)

    connection.send_packet = send_packet  # type: ignore[method-assign]  # connect() takes no class of ours


def options_for(target: Target) -> asyncssh.SSHClientConnectionOptions:
    none: list[asyncssh.SSHKey] = []
    return asyncssh.SSHClientConnectionOptions(
        username=target.user,
        client_keys=[target.key],
        known_hosts=None if target.host_key is None else ([target.host_key], none, none),
        encryption_algs=ENCRYPTION,
        preferred_auth="publickey",
        agent_path=None,
        config=None,
    )
