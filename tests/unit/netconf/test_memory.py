"""What large messages took is given back to the system."""

from __future__ import annotations

import asyncio
import ctypes
import subprocess
import sys

import pytest

from headstay.netconf import memory
from headstay.netconf.memory import Trimmer

PROGRAM = """
import threading
from headstay.netconf.memory import trim, use_one_arena
from headstay.netconf.messages import read_message

def resident():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS"))

if {one_arena}:
    use_one_arena()
NETCONF = b"urn:ietf:params:xml:ns:netconf:base:1.0"
MESSAGE = b"<rpc xmlns='%s' message-id='1'><get>%s</get></rpc>" % (NETCONF, b"<a/>" * 400_000)
before = resident()
thread = threading.Thread(target=read_message, args=(MESSAGE, 500_000))
thread.start()
thread.join()
trim()
print(resident() - before)
"""
GLIBC = hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def kept(*, one_arena: bool) -> int:
    """KiB that the process has after a large message more than before."""
    program = PROGRAM.format(one_arena=one_arena)
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)


@pytest.mark.skipif(not GLIBC, reason="only glibc can give memory back")
def test_what_a_large_message_took_is_given_back() -> None:
    assert kept(one_arena=True) < 20_000 < kept(one_arena=False)


async def test_it_is_done_once_for_all_that_became_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "AFTER", 0)
    trimmed = asyncio.Queue[None]()
    loop = asyncio.get_running_loop()
    trimmer = Trimmer(lambda: loop.call_soon_threadsafe(trimmed.put_nowait, None) and None)
    for _ in range(2):
        trimmer.freed()
        trimmer.freed()
        await asyncio.wait_for(trimmed.get(), 10)
    assert trimmed.empty()


async def test_nothing_is_done_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "AFTER", 0)
    trimmed: list[None] = []
    trimmer = Trimmer(lambda: trimmed.append(None))
    trimmer.freed()
    trimmer.stop()
    for _ in range(5):
        await asyncio.sleep(0)
    assert trimmed == []
