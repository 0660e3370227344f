"""How the wall clock stood when something was written down, so that a clock that is set meanwhile moves no lease.

A device without a battery for its clock may get its lease in 1970 and learn the time a moment later. A moment that was
written down before, and is read after, would be decades ago, and its lease long ended. Pure but for `read_boot_id`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class WallClock:
    """The wall clock, as it stands to the monotonic one."""

    boot_id: str
    """Of the kernel: its monotonic clock begins anew with each boot."""
    booted_at: float
    """Wall seconds at which the monotonic clock was zero, as the wall clock has it now."""

    def set_since(self, then: WallClock) -> float:
        """Return by how many seconds the clock was set since `then`; 0 across a boot, where nobody knows."""
        return self.booted_at - then.booted_at if self.boot_id == then.boot_id else 0.0


def read_boot_id() -> str:
    """Return what tells one boot of the kernel from another."""
    return _KERNEL_BOOT_ID.read_text().strip()
