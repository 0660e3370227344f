"""The subconnections of the main connection: which the cloud asked for, how far each has come, what each is owed; and
which services the cloud was told that the device wants.

Part of the machine's core. Knows no service's words and no socket. Each is independent: what befalls one is told to the
cloud (`closed`) and to observers, and nothing else happens. An offer is good for one try, since its ticket is: nothing
of it is kept, and a service that is enabled again waits for a new one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from headstay.engine.effects import (
    CloseSubconnection,
    Effect,
    Emit,
    OpenSubconnection,
    SendMessage,
    TuneSubconnections,
)
from headstay.engine.events import SubconnectionStateChange
from headstay.engine.instant import Instant
from headstay.engine.reasons import SubconnectionState
from headstay.engine.services import SERVICES, enabled_services
from headstay.engine.settings import Service, service_of
from headstay.engine.status import SubconnectionStatus
from headstay.rate_limit import RateLimit
from headstay.wire.messages import Closed, Open, Services

OPEN_WITHIN = 10.0
"""Seconds from `open` to an established subconnection."""
MOST_LIVE = 32
"""Subconnections at a time; a cloud that asks for more is refused."""
MOST_REMEMBERED = 16
"""Services of which the last ended subconnection stays visible."""
MOST_TOLD = 64
"""Subconnections of which each step is told to observers. A cloud could open and close them all the time, and fill the
report buffer and the log with that."""
TOLD_EVERY = 60.0
"""Seconds after which one more is told of, up to MOST_TOLD."""
NO_INSTANCE = "-"
"""The instance that the status shows for a configured service that no `open` ever named."""

_LIVE = (SubconnectionState.OPENING, SubconnectionState.ESTABLISHED)
_WHY_REFUSED = {SubconnectionState.UNSUPPORTED: "unsupported", SubconnectionState.DISABLED: "disabled"}


@dataclass(slots=True)
class _Subconnection:
    service: str
    instance: str
    url: str | None
    """As it is shown: without its ticket."""
    state: SubconnectionState
    due: float | None = None
    """When opening it has taken too long."""
    told: bool = True
    """Whether observers are told of it."""
    established_at: float | None = None

    def status(self) -> SubconnectionStatus:
        return SubconnectionStatus(
            service=self.service,
            instance=self.instance,
            state=self.state,
            url=self.url,
            established_at=self.established_at,
        )


def shown_url(url: str) -> str | None:
    """Return a URL without what is secret in it: the query holds a ticket. None if it names no scheme or no host."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if not parts.scheme or not host:
        return None
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{parts.path}"


class Subconnections:
    """All of them. Each method returns the effects of what it was told."""

    def __init__(self, configured: tuple[Service, ...]) -> None:
        self._take(configured)
        self._live: dict[str, _Subconnection] = {}  # by instance
        self._ended: dict[str, _Subconnection] = {}  # by service: the last that ended, or could not begin
        self._telling = RateLimit(1 / TOLD_EVERY, MOST_TOLD)
        self._named: tuple[str, ...] = ()  # the services that the cloud was told of last

    def established(self, service: str) -> bool:
        """Tell whether a subconnection of this service is up."""
        return any(s.service == service and s.state is SubconnectionState.ESTABLISHED for s in self._live.values())

    def deadline(self) -> float | None:
        """Return when the next opening has taken too long."""
        return min((s.due for s in self._live.values() if s.due is not None), default=None)

    def registering(self) -> tuple[str, ...]:
        """Return the services to name at registration; `news` goes on from there."""
        self._named = self._enabled
        return self._named

    def news(self) -> list[Effect]:
        """Tell the cloud which services are enabled, if it was told otherwise. The main connection must stand."""
        if self._enabled == self._named:
            return []
        self._named = self._enabled
        return [SendMessage(Services(self._enabled))]

    def offered(self, attempt: int, offer: Open, now: Instant) -> list[Effect]:
        """The cloud offers a subconnection. An instance that is live already is left as it is."""
        if offer.instance in self._live:
            return []
        state = self._state_of(offer.service)
        offered = _Subconnection(offer.service, offer.instance, shown_url(offer.url), state)
        if state is not SubconnectionState.OPENING:
            self._remember(offered)
            return [SendMessage(Closed(offer.instance, _WHY_REFUSED[state]))]
        if len(self._live) >= MOST_LIVE:
            return [SendMessage(Closed(offer.instance, "too-many"))]
        return [
            *self._open(offered, now),
            OpenSubconnection(
                attempt, offer.instance, offer.service, offer.url, service_of(self._configured, offer.service)
            ),
        ]

    def opened(self, instance: str, now: Instant) -> list[Effect]:
        """A subconnection stands."""
        opened = self._live.get(instance)
        if opened is None:
            return []
        opened.due, opened.established_at = None, now.wall
        return self._enter(opened, SubconnectionState.ESTABLISHED)

    def ended(self, instance: str, details: str | None) -> list[Effect]:
        """A subconnection could not be opened, or is gone; the cloud is told."""
        ended = self._live.get(instance)
        if ended is None:
            return []
        state = SubconnectionState.CLOSED if details is None else SubconnectionState.FAILED
        effects: list[Effect] = [SendMessage(Closed(instance, details or "closed"))]
        return effects + self._end(ended, state, details)

    def close(self, instance: str, reason: str) -> list[Effect]:
        """The cloud closes a subconnection; it is answered even if there is none, so that both ends agree."""
        effects: list[Effect] = [SendMessage(Closed(instance, reason))]
        closed = self._live.get(instance)
        if closed is not None:
            effects += [CloseSubconnection(instance), *self._end(closed, SubconnectionState.CLOSED, reason)]
        return effects

    def expire(self, now: Instant) -> list[Effect]:
        """Give up what has been opening for too long."""
        effects: list[Effect] = []
        for late in [s for s in self._live.values() if s.due is not None and now.monotonic >= s.due]:
            effects += [CloseSubconnection(late.instance), *self.ended(late.instance, "timeout-handshaking")]
        return effects

    def configure(self, configured: tuple[Service, ...]) -> list[Effect]:
        """Close what is disabled now, and re-tune the rest.

        What is enabled now is opened once the cloud, told by `news`, offers it.
        """
        old = self._configured
        self._take(configured)
        effects: list[Effect] = []
        for live in list(self._live.values()):
            if self._state_of(live.service) is SubconnectionState.DISABLED:
                effects += [CloseSubconnection(live.instance), SendMessage(Closed(live.instance, "disabled"))]
                effects += self._end(live, SubconnectionState.DISABLED, "disabled")
        for name in dict.fromkeys(live.service for live in self._live.values()):
            limits = service_of(configured, name)
            if limits != service_of(old, name):
                effects.append(TuneSubconnections(limits))
        self._ended = {
            ended.service: ended
            for ended in self._ended.values()
            if ended.state is not SubconnectionState.DISABLED
            or self._state_of(ended.service) is SubconnectionState.DISABLED
        }
        return effects

    def main_connection_ended(self) -> list[Effect]:
        """The main connection is gone, and every subconnection with it. What it asked for in vain was its own wish, and
        the next one may have others.
        """
        effects: list[Effect] = []
        for live in list(self._live.values()):
            effects += self._end(live, SubconnectionState.CLOSED, "the main connection ended")
        self._ended = {
            s: ended for s, ended in self._ended.items() if ended.state is not SubconnectionState.UNSUPPORTED
        }
        return effects

    def statuses(self) -> tuple[SubconnectionStatus, ...]:
        """Return what the cloud has offered, as far as it is worth showing: live ones, the last ended of each service.

        With as many services as can be configured, this takes no longer than with one.
        """
        shown = [live.status() for live in self._live.values()]
        for ended in self._ended.values():
            state = self._state_of(ended.service)
            shown.append(replace(ended.status(), state=ended.state if state is SubconnectionState.OPENING else state))
        return tuple(shown)

    def unoffered(self) -> Callable[[], tuple[SubconnectionStatus, ...]]:
        """Return what makes the statuses of the services that cannot be and that the cloud has not offered either."""
        offered = frozenset(each.service for each in (*self._live.values(), *self._ended.values()))
        return functools.partial(_unoffered, self._configured, self._enabled, offered)

    def _state_of(self, service: str) -> SubconnectionState:
        return _state_of(service, self._enabled)

    def _take(self, configured: tuple[Service, ...]) -> None:
        self._configured = configured
        self._enabled = enabled_services(configured)

    def _open(self, opening: _Subconnection, now: Instant) -> list[Effect]:
        opening.told = self._telling.admits(now.monotonic)
        if opening.told:
            self._telling.spend(now.monotonic)
        opening.due = now.monotonic + OPEN_WITHIN
        ended = self._ended.get(opening.service)
        if ended is not None and ended.instance == opening.instance:
            del self._ended[opening.service]  # a new main connection may use an instance's name again
        self._live[opening.instance] = opening
        return self._enter(opening, SubconnectionState.OPENING)

    def _end(self, ended: _Subconnection, state: SubconnectionState, details: str | None) -> list[Effect]:
        del self._live[ended.instance]
        ended.due = None
        self._remember(ended)
        return self._enter(ended, state, details)

    def _enter(self, which: _Subconnection, state: SubconnectionState, details: str | None = None) -> list[Effect]:
        which.state = state
        if not which.told:
            return []
        change = SubconnectionStateChange(
            service=which.service, instance=which.instance, new_state=state, details=details
        )
        return [Emit(change)]

    def _remember(self, ended: _Subconnection) -> None:
        self._ended.pop(ended.service, None)
        while len(self._ended) >= MOST_REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self._ended[ended.service] = ended


def _state_of(service: str, enabled: Collection[str]) -> SubconnectionState:
    """Return how a service that has no live subconnection is shown; OPENING: it waits to be offered."""
    if service not in SERVICES:
        return SubconnectionState.UNSUPPORTED
    return SubconnectionState.OPENING if service in enabled else SubconnectionState.DISABLED


def _unoffered(
    configured: tuple[Service, ...], enabled: Collection[str], offered: Collection[str]
) -> tuple[SubconnectionStatus, ...]:
    names = (service.name for service in configured if service.name not in offered)
    states = {name: _state_of(name, enabled) for name in names}
    return tuple(
        SubconnectionStatus(service=name, instance=NO_INSTANCE, state=state)
        for name, state in states.items()
        if state is not SubconnectionState.OPENING
    )
