"""Changes of links, addresses and routes: what the kernel says, and what of it counts."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstay.engine import netlink
from headstay.engine.netlink import LinkWatch, concerns_us

# What Linux said as the loopback of a new network namespace came up, one datagram each; a link's attributes cut off.
LINK_UP = bytes.fromhex("2000000010000000000000000000000000000403010000004900010001000000")
NEW_ADDRESS = bytes.fromhex(
    "4c000000140000000000000000000000020880fe01000000080001007f000001080002007f000001070003006c6f0000"
).ljust(0x4C, b"\0")
LOCAL_ROUTE = bytes.fromhex(
    "3c00000018000006000000000000000002200000ff02fe020000000008000f00ff000000080001007f0000010800070000000000"
).ljust(0x3C, b"\0")


def route(destination: int, table: int = 254, protocol: int = 3, kind: int = 24) -> bytes:
    body = struct.pack("=BBBBBBBBI", 2, destination, 0, 0, table, protocol, 0, 1, 0)
    return struct.pack("=LHHLL", 16 + len(body), kind, 0, 0, 0) + body


def link(change: int, kind: int = 16) -> bytes:
    body = struct.pack("=BxHiII", 0, 1, 2, 0x1043, change)
    return struct.pack("=LHHLL", 16 + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    "data",
    [
        LINK_UP,
        NEW_ADDRESS,
        LOCAL_ROUTE + NEW_ADDRESS,
        link(0x10000),
        link(0, kind=17),
        route(0),
        route(0, protocol=186),
        route(24),
        route(24, kind=25),
    ],
)
def test_what_counts(data) -> None:
    assert concerns_us(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        LOCAL_ROUTE,
        link(0),  # statistics, a wireless event
        link(0x100),  # promiscuous mode
        route(24, protocol=186),  # BGP
        route(0, table=100),
        struct.pack("=LHHLL", 16, 28, 0, 0, 0),  # a neighbour
        LINK_UP[:20],
        struct.pack("=LHHLL", 0, 16, 0, 0, 0),
        struct.pack("=LHHLL", 16, 16, 0, 0, 0),
    ],
)
def test_what_does_not(data) -> None:
    assert not concerns_us(data)


@given(st.binary(max_size=200))
def test_any_octets_are_borne(data) -> None:
    concerns_us(data)


async def test_a_burst_of_changes_is_told_once(monkeypatch) -> None:
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    monkeypatch.setattr(netlink, "SETTLE", 0.01)
    monkeypatch.setattr(netlink, "_listening", lambda: ours)
    told: asyncio.Queue[None] = asyncio.Queue()
    watch = LinkWatch(lambda: told.put_nowait(None))
    with kernel:
        for data in (LOCAL_ROUTE, LINK_UP, NEW_ADDRESS, LINK_UP):
            kernel.send(data)
        async with asyncio.timeout(10):
            await told.get()
        assert told.empty()
        kernel.send(LINK_UP)
        async with asyncio.timeout(10):
            await told.get()
        watch.close()
        watch.close()
    assert told.empty()


async def test_a_system_without_it_is_served_all_the_same(monkeypatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    LinkWatch(lambda: None).close()


IN_A_NAMESPACE = """
import asyncio, ctypes, fcntl, socket, struct, sys
from headstay.engine import netlink

CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
    sys.exit(ctypes.get_errno())

async def main():
    netlink.SETTLE = 0.01
    told = asyncio.Queue()
    watch = netlink.LinkWatch(lambda: told.put_nowait(None))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        for flags in (IFF_UP, 0):
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags))
            await asyncio.wait_for(told.get(), 10)
    watch.close()
    print("told")

asyncio.run(main())
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
def test_a_real_link_that_goes_up_and_down_is_noticed() -> None:
    """The namespace is the child's own and ends with it."""
    done = subprocess.run([sys.executable, "-c", IN_A_NAMESPACE], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("told\n", "", 0)
