"""Notices that the wall clock was set, or that this device woke from suspend, by Linux's timerfd.

Shell. The loop's own clock stands still while the device is suspended, so that the loop's timers fire late. And a
device whose clock was wrong can verify no certificate before it is right. Both are reasons to look at the link at once,
and one timer on the wall clock tells of both: it is cancelled when that clock jumps (timerfd_create(2), about
TFD_TIMER_CANCEL_ON_SET), and to the kernel waking is such a jump. The slewing by which an NTP client mends small errors
is none.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import time
from collections.abc import Callable

from headstay.engine.log import log

AHEAD = 365 * 86400.0
"""Seconds after which the timer fires without any jump, and is set anew."""

_ABSTIME, _CANCEL_ON_SET = 1, 2  # TFD_TIMER_* of linux/timerfd.h


class ClockWatch:
    """Calls `changed` on the loop when the wall clock has jumped. `close` ends it."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: int | None = None
        try:
            self._timer = _created()
            _set(self._timer, time.time() + AHEAD)
        except (AttributeError, OSError) as error:
            log.info("jumps of the clock are noticed late here: %s", error)
            self.close()
            return
        self._loop.add_reader(self._timer, self._read)

    def close(self) -> None:
        """Watch no more."""
        if self._timer is not None:
            self._loop.remove_reader(self._timer)
            os.close(self._timer)
            self._timer = None

    def _read(self) -> None:
        if self._timer is None:
            return
        try:
            os.read(self._timer, 8)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECANCELED:
                log.warning("jumps of the clock are noticed late from now on: %s", error.strerror)
                self.close()
                return
        _set(self._timer, time.time() + AHEAD)
        self._changed()


class _Itimerspec(ctypes.Structure):
    """struct itimerspec: the interval, then the first expiration, each in seconds and nanoseconds."""

    _fields_ = (("interval", ctypes.c_long * 2), ("value", ctypes.c_long * 2))


# The os module has these from Python 3.13 on.
def _created() -> int:
    """Return a new timer on the wall clock. Raises OSError, or AttributeError where the C library knows none."""
    timer: int = _libc().timerfd_create(time.CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC)
    if timer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return timer


def _set(timer: int, at: float) -> None:
    """Let the timer fire at `at`, in seconds since the epoch, or when the wall clock jumps. Raises OSError."""
    when = ctypes.byref(_Itimerspec((0, 0), (int(at), 0)))
    # ECANCELED: the clock has jumped just now; the timer is set, and reading it will tell.
    if _libc().timerfd_settime(timer, _ABSTIME | _CANCEL_ON_SET, when, None) < 0 and (
        ctypes.get_errno() != errno.ECANCELED
    ):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
