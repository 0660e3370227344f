#!/usr/bin/env python3
"""An SSH server that is headstay's and knows no NETCONF: each request gets the same octets back, and nobody reads it.

What it takes is what any NETCONF server on this SSH library takes at the least; only the rest is headstay's own. It
runs in a process of its own, for as long as a bench needs it.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncssh

from client import BASE, BASE_1_1, HELLO, Target
from headstay.netconf.framing import Framing, frame
from headstay.netconf.ssh_transport import ALGORITHMS, Transport

_ANSWER = f'<rpc-reply xmlns="{BASE}" message-id="1"><data>{{}}</data></rpc-reply>'


@contextlib.contextmanager
def running_bare(octets: int) -> Iterator[Target]:
    """Start a server on a free port of 127.0.0.1 whose replies are about so long, and end it."""
    with tempfile.TemporaryDirectory(prefix="headstay-bench-") as name:
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        host_key.write_private_key(Path(name, "host"))
        command = [sys.executable, __file__, str(Path(name, "host")), str(octets)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None  # noqa: S101 -- it was asked for
                port = int(process.stdout.readline())
                key = asyncssh.generate_private_key("ssh-ed25519")
                yield Target("127.0.0.1", port, "bench", key, host_key.convert_to_public())
            finally:
                process.terminate()


class _Door(asyncssh.SSHServer):
    """Lets everybody in."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True

    def session_requested(self) -> _Echo:
        return _Echo(self._answer)


class _Echo(asyncssh.SSHServerSession[bytes]):
    """Answers whatever comes after the client's <hello>."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._greeted = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        return True

    def session_started(self) -> None:
        self._channel.write(frame(HELLO, Framing.END_OF_MESSAGE))

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._greeted:
            self._channel.write(self._answer)
        self._greeted = True


async def serve(host_key: str, octets: int) -> None:
    """Serve until the process is ended; the port goes to standard output."""
    loop = asyncio.get_running_loop()
    answer = frame(_ANSWER.format("x" * max(0, octets - len(_ANSWER))).encode(), Framing.CHUNKED)
    options = asyncssh.SSHServerConnectionOptions(
        server_factory=lambda: _Door(answer), server_host_keys=[host_key], encoding=None, **ALGORITHMS
    )
    server = await loop.create_server(lambda: Transport(loop, options), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    assert BASE_1_1.encode() in HELLO  # noqa: S101 -- else the framing would be another one
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
