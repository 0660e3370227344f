"""The face that every service shows: what goes into the core of a subconnection, and what comes out.

A service is one file in `services/` whose class follows `ServiceCore`. The link knows subconnections, never
what is said on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headstay.engine.instant import Instant
from headstay.engine.reports import Reports


@dataclass(frozen=True, slots=True)
class Opened:
    """The WebSocket stands."""


@dataclass(frozen=True, slots=True)
class Received:
    """One message from the cloud: str for a text frame, bytes for a binary one."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Woken:
    """Something the service waits for may have come: look."""


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The deadline has passed."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The WebSocket is gone; nothing more goes in after this."""

    sending: bool = False
    """Whether it broke under a message that was being sent."""


ServiceInput = Opened | Received | Woken | Elapsed | Lost


@dataclass(frozen=True, slots=True)
class Send:
    """Send one message: str goes as a text frame, bytes as a binary one."""

    data: str | bytes


@dataclass(frozen=True, slots=True)
class Break:
    """End the subconnection: the other end broke its rules."""

    details: str


ServiceEffect = Send | Break


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service may need of the device."""

    reports: Reports


class ServiceCore(Protocol):
    """The core of one subconnection."""

    unknown_messages: int

    @property
    def queued(self) -> int:
        """How many messages wait."""

    @property
    def dropped(self) -> int:
        """How many messages were dropped."""

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        """Take one input and return what shall be done."""

    def deadline(self) -> float | None:
        """Return when `Elapsed` is due, in monotonic seconds."""
