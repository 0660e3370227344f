"""One moment, as the shells tell it to the cores. Owns the clock of the engine's shell; no core ever reads one.

Deadlines are monotonic seconds; wall seconds are only for people to read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on two clocks."""

    monotonic: float
    """Seconds on a clock that never jumps and that counts while the device is suspended."""
    wall: float
    """Seconds since the epoch, UTC. May jump when the device learns the time."""

    def wall_at(self, monotonic: float) -> float:
        """Return what the wall clock shows at a monotonic moment, as far as this one knows."""
        return self.wall + (monotonic - self.monotonic)


# CLOCK_MONOTONIC stands still while the device is suspended: a connection that died in its sleep would look alive.
_MONOTONIC = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def read_clock() -> Instant:
    """Return the present moment."""
    return Instant(time.clock_gettime(_MONOTONIC), time.time())
