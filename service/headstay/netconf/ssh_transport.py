"""SHELL: asyncssh's server connection: strong algorithms only, and without what a NETCONF server does not need of it.

Knows no NETCONF, no user and no session; `tools/bench/` measures it alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, AnyStr, Final

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_IGNORE
from asyncssh.kex import get_kex_algs
from asyncssh.packet import SSHPacketLogger

ALGORITHMS: Final[dict[str, Any]] = {
    # No finite-field exchange (slow, and on its way out), no chacha20 (asyncssh takes twice the time for it), no SHA-1.
    "kex_algs": [
        # Post-quantum, where the OpenSSL underneath has it.
        *(name for name in ("mlkem768x25519-sha256",) if name.encode() in get_kex_algs()),
        "curve25519-sha256",
        "curve25519-sha256@libssh.org",
        "ecdh-sha2-nistp256",
        "ecdh-sha2-nistp384",
        "ecdh-sha2-nistp521",
    ],
    "encryption_algs": ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes128-ctr"],
    "mac_algs": ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512"],
    "signature_algs": [
        "ssh-ed25519",
        "sk-ssh-ed25519@openssh.com",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ecdsa-sha2-nistp256@openssh.com",
        "rsa-sha2-512",
        "rsa-sha2-256",
    ],
    "compression_algs": ["none"],
}


class Transport(asyncssh.SSHServerConnection):
    """asyncssh's connection without two things that each packet pays for and nobody here wants.

    One is the empty message before every other one, a defence of ciphers in CBC mode (RFC 4251 section
    9.3.1), of which none is offered here: a second encryption and a second system call, a quarter of the time that a
    small request takes altogether. The other is the line for the log, which is worded before anybody looks whether it
    is to be written.
    """

    _reading = False

    def __init__(self, loop: asyncio.AbstractEventLoop, options: asyncssh.SSHServerConnectionOptions) -> None:
        """`loop` and `options` are asyncssh's."""
        super().__init__(loop, options)
        self.regulated: Callable[[bool], None] = _nothing
        """Called when the socket takes octets again, or no longer, which asyncssh tells nobody."""
        self._loop_of_reads = loop
        self._after_read: list[Callable[[], None]] = []

    def after_read(self, deliver: Callable[[], None]) -> None:
        """Call this when all that came in one read has been taken apart; soon, if nothing is being read.

        asyncssh hands over packet by packet, hundreds in one go if a client sends them so. Together, they are as much
        as one read of any other socket.
        """
        if self._reading:
            self._after_read.append(deliver)
        else:
            self._loop_of_reads.call_soon(deliver)

    def data_received(self, data: bytes, datatype: asyncssh.DataType = None) -> None:
        """Take in what came in one read."""
        self._reading = True
        super().data_received(data, datatype)
        self._reading = False
        if self._after_read:
            due, self._after_read = self._after_read, []
            for deliver in due:
                deliver()

    def pause_writing(self) -> None:
        """Note that the socket takes no more octets for now."""
        self.regulated(False)

    def resume_writing(self) -> None:
        """Note that the socket takes octets again."""
        self.regulated(True)

    def send_packet(self, pkttype: int, *args: bytes, handler: SSHPacketLogger | None = None) -> None:
        """Send a message, unless it is one that says nothing."""
        del handler  # it would word a line for the log
        if pkttype != MSG_IGNORE:
            super().send_packet(pkttype, *args)

    def add_channel(self, chan: SSHChannel[AnyStr]) -> int:
        """Take in a channel, which shall write no line about a message that it received either."""
        chan.log_received_packet = self.log_received_packet  # type: ignore[method-assign]  # asyncssh makes channels
        return super().add_channel(chan)

    def log_sent_packet(self, *_: object, **__: object) -> None:
        """Write no line about a message that was sent."""

    def log_received_packet(self, *_: object, **__: object) -> None:
        """Write no line about a message that was received."""


def _nothing(_: bool) -> None:
    """Tell nobody."""
