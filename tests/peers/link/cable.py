"""A cable between two network namespaces, of any length: it delays each packet, or lets none through.

At each end is a TUN device; packets go from one to the other through a program, which is this file as well. What uses
the cable meets what a long or broken way does to TCP itself: each round trip costs its time, and on a cable that lets
nothing through nobody ever answers, not even with a reset. Linux's own netem would do it too, but many kernels are
built without it; TUN is in each that carries a VPN.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

if __name__ != "__main__":
    from end_to_end.processes import PATIENCE
    from peers.namespaces import Namespace

TUN = Path("/dev/net/tun")

# linux/if_tun.h
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_LARGEST_PACKET = 65536


class Cable:
    """Lies between two namespaces as long as its context lasts. `near` and `far` are the addresses at its ends."""

    def __init__(self, number: int, near: Namespace, far: Namespace) -> None:
        self.near, self.far = f"192.0.2.{2 * number}", f"192.0.2.{2 * number + 1}"
        self._names = f"near{number}", f"far{number}"
        self._namespaces = near, far
        self._program = subprocess.Popen(
            [*near.network, sys.executable, __file__, *self._names],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Cable:
        self._answer()
        near, far = self._namespaces
        # Only in the test's own namespace of processes does this number mean that namespace.
        subprocess.run([*near.network, "ip", "link", "set", self._names[1], "netns", str(far.pid)], check=True)
        for namespace, name, address in zip(self._namespaces, self._names, (self.near, self.far), strict=True):
            namespace.run("ip", "link", "set", "lo", "up")
            namespace.run("ip", "address", "add", f"{address}/31", "dev", name)
            namespace.run("ip", "link", "set", name, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._program.stdin, self._program.stdout):
            assert stream is not None
            stream.close()
        self._program.wait(PATIENCE)

    def delay(self, seconds: float) -> None:
        """From now on each packet takes so long, in either direction."""
        self._say(f"delay {seconds}")

    def cut(self) -> None:
        """From now on no packet arrives, and both ends go on as if nothing had happened."""
        self._say("cut")

    def _say(self, command: str) -> None:
        assert self._program.stdin is not None
        self._program.stdin.write(f"{command}\n")
        self._program.stdin.flush()
        self._answer()

    def _answer(self) -> None:
        assert self._program.stdout is not None
        answer = self._program.stdout.readline()
        assert answer == "ok\n", f"the cable is broken: {answer!r}"


# the program --------------------------------------------------------------------------------------------


def end_of_cable(name: str) -> int:
    """Make a TUN device in this process's namespace. Its packets are read from and written to the descriptor."""
    descriptor = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    return descriptor


def carry(one: int, other: int) -> None:
    """Carry packets between two ends until standard input ends; it says how."""
    to = {one: other, other: one}
    under_way: deque[tuple[float, int, bytes]] = deque()
    delay, whole = 0.0, True
    while True:
        left = None if not under_way else max(0.0, under_way[0][0] - time.monotonic())
        ready, _, _ = select.select([0, one, other], [], [], left)
        for end in ready:
            if end == 0:
                match os.read(0, 100).decode().split():  # who gives a command waits for the answer before the next
                    case ["delay", seconds]:
                        delay = float(seconds)
                    case ["cut"]:
                        whole = False
                    case _:
                        return
                os.write(1, b"ok\n")
            else:
                packet = os.read(end, _LARGEST_PACKET)
                if whole:
                    under_way.append((time.monotonic() + delay, to[end], packet))
        while under_way and under_way[0][0] <= time.monotonic():
            _, end, packet = under_way.popleft()
            if whole:
                deliver(end, packet)


def deliver(end: int, packet: bytes) -> None:
    with contextlib.suppress(OSError):  # an end that is down takes nothing; the packet is gone, as on a real cable
        os.write(end, packet)


if __name__ == "__main__":
    near, far = (end_of_cable(name) for name in sys.argv[1:])
    os.write(1, b"ok\n")
    carry(near, far)
