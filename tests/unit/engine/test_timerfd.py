"""A wall clock that jumps, as far as a test may let one: the kernel's timer is real, the jump is told by a stand-in."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import select
from collections.abc import Callable

import pytest

from headstay.engine import timerfd
from headstay.engine.timerfd import ClockWatch


@pytest.fixture
def told() -> asyncio.Queue[None]:
    return asyncio.Queue()


async def once(told: asyncio.Queue[None]) -> None:
    async with asyncio.timeout(10):
        await told.get()


async def test_a_clock_that_is_left_alone_says_nothing(told) -> None:
    watch = ClockWatch(lambda: told.put_nowait(None))
    assert watch._timer is not None
    assert select.select([watch._timer], [], [], 0) == ([], [], [])
    watch.close()
    watch.close()
    assert told.empty()


async def test_the_timer_is_part_of_the_loop_and_is_set_anew(told, monkeypatch) -> None:
    """It fires at once when it is set in the past."""
    monkeypatch.setattr(timerfd, "AHEAD", -10.0)
    watch = ClockWatch(lambda: told.put_nowait(None))
    await once(told)
    await once(told)
    watch.close()
    while not told.empty():
        told.get_nowait()
    await asyncio.sleep(0)
    assert told.empty()


def failing(number: int) -> Callable[[int, int], bytes]:
    def read(descriptor: int, count: int) -> bytes:
        raise OSError(number, os.strerror(number))

    return read


@pytest.mark.parametrize(
    ("number", "times", "goes_on"),
    [(errno.ECANCELED, 1, True), (errno.EAGAIN, 0, True), (errno.EIO, 0, False)],
    ids=["a jump", "nothing after all", "broken"],
)
async def test_what_reading_can_say(told, monkeypatch, number: int, times: int, goes_on: bool) -> None:
    watch = ClockWatch(lambda: told.put_nowait(None))
    monkeypatch.setattr(os, "read", failing(number))
    watch._read()
    assert (told.qsize(), watch._timer is not None) == (times, goes_on)
    watch.close()
    watch._read()
    assert told.qsize() == times


class _NoTimers:
    """A C library that knows no timerfd."""


class _NoDescriptors:
    """A kernel that has none left."""

    def timerfd_create(self, clock: int, flags: int) -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1


@pytest.mark.parametrize("libc", [_NoTimers, _NoDescriptors])
async def test_a_system_without_it_is_served_all_the_same(told, monkeypatch, libc: type) -> None:
    monkeypatch.setattr(timerfd, "_libc", libc)
    ClockWatch(lambda: told.put_nowait(None)).close()
    assert told.empty()


async def test_a_timer_that_cannot_be_set_is_an_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        timerfd._set(-1, 0.0)
