"""The face that every service shows: what goes into the core of a subconnection, and what comes out.

A service is one file in `services/` whose class follows `ServiceCore`. The link knows subconnections, never
what is said on them.

What goes out is *taken* from the core, one message at a time, when the rate limit and the WebSocket have room for it.
So whatever cannot be sent waits in one place, the service's own queue, which the service bounds by
`Service.queue_limit` and QUEUE_OCTETS. What it does when that is full is its own: reports are dropped and counted; a
byte stream, which may lose nothing, stops reading its source. What comes in is held up by `accepts`: while it is false
the cloud is not read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from headstay.engine.instant import Instant
from headstay.engine.reports import Reports
from headstay.engine.settings import Service


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is configured for the service. Comes once before Opened, and whenever it changes."""

    limits: Service


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


ServiceInput = Tuned | Opened | Received | Woken | Elapsed | Lost


@dataclass(frozen=True, slots=True)
class Break:
    """End the subconnection: the other end broke its rules."""

    details: str


ServiceEffect = Break


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """What a service may need of the device."""

    reports: Reports


class ServiceCore(Protocol):
    """The core of one subconnection."""

    unknown_messages: int

    @property
    def queued(self) -> int:
        """How many messages are in the service's queue; as many as its limit, and it is full."""

    @property
    def dropped(self) -> int:
        """How many messages were dropped because the queue was full; whoever shows it counts from where it was."""

    @property
    def accepts(self) -> bool:
        """Whether another message may come. Else the cloud is read no further until an input or `take` changes that."""

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        """Take one input and return what shall be done. Whatever comes, `take` is asked next."""

    def take(self, now: Instant) -> str | bytes | None:
        """Return the next message to send, None if there is none: str goes as a text frame, bytes as a binary one."""

    def deadline(self) -> float | None:
        """Return when `Elapsed` is due, in monotonic seconds."""
