"""A service that carries octets, as a byte stream would: what comes goes back, in order, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections import deque

from headstay.engine.instant import Instant
from headstay.engine.settings import Service
from headstay.engine.subconnection import Break, Received, ServiceContext, ServiceEffect, ServiceInput, Tuned

NAME = "echo"


class Echo:
    """While its queue is full it accepts no more. Records what a test wants to know of how it was called."""

    def __init__(self, _: ServiceContext | None = None) -> None:
        self.unknown_messages = 0
        self.dropped = 0
        self.limits = Service(NAME)
        self.given: list[ServiceInput] = []
        self.received = 0
        self.most_in_a_turn = 0
        """Messages that were received, or taken, while nobody else had a turn of the loop."""
        self._in_this_turn = 0
        self._queue: deque[bytes] = deque()

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def accepts(self) -> bool:
        return len(self._queue) < self.limits.queue_limit

    def handle(self, given: ServiceInput, now: Instant) -> list[ServiceEffect]:
        if isinstance(given, Tuned):
            self.limits = given.limits
        if not isinstance(given, Received):
            self.given.append(given)
            return []
        if isinstance(given.data, str):
            return [Break("a text message")]
        self._count()
        self.received += 1
        assert self.accepts, "more than was accepted"
        self._queue.append(given.data)
        return []

    def take(self, now: Instant) -> bytes | None:
        if not self._queue:
            return None
        self._count()
        return self._queue.popleft()

    def deadline(self) -> float | None:
        return None

    def _count(self) -> None:
        if not self._in_this_turn:
            asyncio.get_running_loop().call_soon(self._end_turn)
        self._in_this_turn += 1
        self.most_in_a_turn = max(self.most_in_a_turn, self._in_this_turn)

    def _end_turn(self) -> None:
        self._in_this_turn = 0
