"""CORE: the services offered on one main connection, and the subconnections that carry them.

Owns, for each service, whether a subconnection is offered, open or to be offered again, and when. An offer that is not
taken, or a subconnection that ends, is offered again after a delay that doubles; a service that the device does not
want is left alone until the device names it. Knows no URL, ticket or socket; time is an argument.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterable
from dataclasses import dataclass

FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0
STEADY = 60.0
"""A subconnection that was open for this long ends the doubling."""
UNWANTED = frozenset({"disabled", "unsupported"})
"""Reasons in a device's `closed` that mean: do not offer this service again, until the device names it anew."""


class _Stage(enum.Enum):
    OFFERED = enum.auto()
    OPEN = enum.auto()
    AWAITED = enum.auto()  # to be offered again
    UNWANTED = enum.auto()


@dataclass(slots=True)
class _Service:
    name: str
    instance: str
    stage: _Stage
    at: float
    """OFFERED: when the offer lapses; OPEN: since when; AWAITED: when to offer again."""
    delay: float = FIRST_DELAY
    wanted: bool = False
    """Whether it stands in the device's list. One that does not may still be open: the device closes it."""


@dataclass(frozen=True, slots=True)
class Offered:
    """Tell the device to open a subconnection for `service`, under the name `instance`."""

    service: str
    instance: str


class Offers:
    """The services of one main connection: those that the cloud has. None is offered before want() names it.

    `life` is the time for which an offer can be taken, in seconds.
    """

    def __init__(self, services: Iterable[str], life: float) -> None:
        self._life = life
        self._count = 0
        self._services = [_Service(name, "", _Stage.UNWANTED, 0.0) for name in services]

    def want(self, names: Collection[str], now: float) -> None:
        """Take over the list of all that the device wants; call due() then.

        What is new in it is offered as if the device had just come; what is offered or awaited already stays so.
        """
        for service in self._services:
            service.wanted = service.name in names
            if not service.wanted and service.stage is not _Stage.OPEN:
                service.stage = _Stage.UNWANTED
            elif service.wanted and service.stage is _Stage.UNWANTED:
                service.stage, service.at, service.delay = _Stage.AWAITED, now, FIRST_DELAY

    def due(self, now: float) -> list[Offered]:
        """Return what to offer now; call it at once, and again whenever deadline() is reached."""
        offered = []
        for service in self._services:
            if service.stage is _Stage.OFFERED and service.at <= now:
                _await_again(service, now)
            if service.stage is _Stage.AWAITED and service.at <= now:
                self._count += 1
                service.instance = f"{service.name}-{self._count}"
                service.stage, service.at = _Stage.OFFERED, now + self._life
                offered.append(Offered(service.name, service.instance))
        return offered

    def opened(self, instance: str, now: float) -> bool:
        """Note that the device opened `instance`; False if it is not one that is offered."""
        service = self._find(instance)
        if service is None or service.stage is not _Stage.OFFERED:
            return False
        service.stage, service.at = _Stage.OPEN, now
        return True

    def ended(self, instance: str, reason: str, now: float) -> None:
        """Note that `instance` ended or could not be opened. An instance that is not current is ignored."""
        service = self._find(instance)
        if service is None or service.stage not in (_Stage.OFFERED, _Stage.OPEN):
            return
        if reason in UNWANTED or not service.wanted:
            service.stage = _Stage.UNWANTED
            return
        if service.stage is _Stage.OPEN and now - service.at >= STEADY:
            service.delay = FIRST_DELAY
        _await_again(service, now)

    def deadline(self) -> float | None:
        """Return when due() has something to do next; None when it has nothing."""
        waiting = (_Stage.OFFERED, _Stage.AWAITED)
        return min((service.at for service in self._services if service.stage in waiting), default=None)

    def _find(self, instance: str) -> _Service | None:
        return next((service for service in self._services if service.instance == instance), None)


def _await_again(service: _Service, now: float) -> None:
    service.stage, service.at = _Stage.AWAITED, now + service.delay
    service.delay = min(service.delay * 2, LONGEST_DELAY)
