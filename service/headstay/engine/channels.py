"""The subconnections that are at work: a channel and its task for each instance.

Shell. Owns which are open and which still close. Decides nothing: the machine opens and closes them, and nobody waits
for one; knows no attempt and no main connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from headstay.engine.channel import Channel
from headstay.engine.effects import OpenSubconnection
from headstay.engine.inputs import OfAttempt
from headstay.engine.instant import Instant
from headstay.engine.services import SERVICES
from headstay.engine.settings import Service, Settings
from headstay.engine.status import SubconnectionStatus
from headstay.engine.subconnection import ServiceContext
from headstay.engine.tls import TlsContexts


class Channels:
    """All channels, by the instance of their subconnection."""

    def __init__(
        self,
        services: ServiceContext,
        contexts: TlsContexts,
        tell: Callable[[OfAttempt], None],
        clock: Callable[[], Instant],
    ) -> None:
        self.closing: set[asyncio.Task[None]] = set()
        """The tasks of those that were closed and have not ended yet."""
        self._services = services
        self._contexts = contexts
        self._tell = tell
        self._clock = clock
        self._open: dict[str, Channel] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def open(self, opening: OpenSubconnection, settings: Settings) -> None:
        """Open a subconnection. What becomes of it is told."""
        channel = Channel(opening, SERVICES[opening.service](self._services), self._clock)
        self._open[opening.instance] = channel
        task = asyncio.create_task(channel.run(settings, self._contexts, self._tell))
        self._tasks[opening.instance] = task
        task.add_done_callback(lambda _: self._forget(opening.instance, channel))

    def close(self, instance: str) -> None:
        """Close a subconnection, if it is open; nothing more is told of it."""
        if self._open.pop(instance, None) is not None:
            task = self._tasks.pop(instance)
            task.cancel()
            if not task.done():
                self.closing.add(task)
                task.add_done_callback(self.closing.discard)

    def close_all(self) -> None:
        """Close every subconnection."""
        for instance in list(self._open):
            self.close(instance)

    def tune(self, limits: Service) -> None:
        """Give the subconnections of a service other limits."""
        for channel in self._of(limits.name):
            channel.tune(limits)

    def wake(self, service: str) -> None:
        """Something may have come that the subconnections of a service wait for."""
        for channel in self._of(service):
            channel.wake()

    def clear_counters(self) -> None:
        """Count all traffic from zero again."""
        for channel in self._open.values():
            channel.clear_counters()

    def measured(self, statuses: Iterable[SubconnectionStatus]) -> tuple[SubconnectionStatus, ...]:
        """Return the machine's picture of the subconnections with what only their tasks know."""
        return tuple(
            self._open[s.instance].measured(s) if s.established_at is not None and s.instance in self._open else s
            for s in statuses
        )

    def _of(self, service: str) -> Iterable[Channel]:
        return [channel for channel in self._open.values() if channel.service == service]

    def _forget(self, instance: str, channel: Channel) -> None:
        if self._open.get(instance) is channel:
            del self._open[instance], self._tasks[instance]
