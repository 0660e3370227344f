"""SHELL: gives memory that is free back to the system, where the C library is glibc; elsewhere nothing happens.

The tree of a large message is hundreds of thousands of small pieces. glibc keeps them for the process once they are
free, and those of each thread in an arena of its own, which it cannot give back and another thread cannot use.
"""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

AFTER: Final = 3.0
"""Seconds after which memory is given back: everything is free by then, and what else becomes free goes with it."""
_M_ARENA_MAX: Final = -8  # malloc.h


def use_one_arena() -> None:
    """Let all threads share their memory. Call it before there are threads; they compute in turns anyway."""
    if (glibc := _glibc()) is not None:
        glibc.mallopt(_M_ARENA_MAX, 1)


def trim() -> None:
    """Give back what is free. Takes milliseconds, more the more there is."""
    if (glibc := _glibc()) is not None:
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(None)
    except (OSError, TypeError):
        return None
    return library if hasattr(library, "gnu_get_libc_version") else None


class Trimmer:
    """Gives memory back some time after it became free, once for everything until then."""

    def __init__(self, trim: Callable[[], None] = trim) -> None:
        self._trim = trim
        self._timer: asyncio.TimerHandle | None = None

    def freed(self) -> None:
        """Note that much memory is free, or soon will be."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(AFTER, self._begin)

    def stop(self) -> None:
        """Give nothing back any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._timer = None
        asyncio.get_running_loop().run_in_executor(None, self._trim)
