"""Turns that are fair among users: however much one user asks for, another waits for one piece of it at most.

`Queue` is the CORE and decides who is next; `Turns` lets tasks wait for it. Whoever asks is a key, usually
`Requester.account`; None is the device itself, which goes before everybody.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

Waiter = TypeVar("Waiter")


class Queue(Generic[Waiter]):
    """Who holds one of some slots, and who waits for one.

    Nobody holds two. A slot that becomes free goes to the device, else to the user whose last turn, or first question,
    is the longest ago, and there to the waiter that came first.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._holding: set[Hashable] = set()
        self._waiting: dict[Hashable, deque[Waiter]] = {}  # in the order of the users' turns; none is empty

    def take(self, user: Hashable) -> bool:
        """Take a slot, if there is one. If not, `wait`."""
        # While a slot is free only holders wait, so that nobody is overtaken here.
        if not self._free or user in self._holding:
            return False
        self._free -= 1
        self._holding.add(user)
        return True

    def wait(self, user: Hashable, waiter: Waiter) -> None:
        """Wait until `give_back` returns this waiter."""
        self._waiting.setdefault(user, deque()).append(waiter)

    def give_back(self, user: Hashable) -> Waiter | None:
        """Give back a user's slot. Returns the waiter that has a slot now."""
        self._holding.remove(user)
        self._free += 1
        if not self._waiting:
            return None
        if (own := self._waiting.pop(user, None)) is not None:
            self._waiting[user] = own  # behind everybody who waits already
        return self._next()

    def withdraw(self, user: Hashable, waiter: Waiter) -> bool:
        """Wait no longer. Returns False if the waiter has a slot already, which is to be given back then."""
        waiters = self._waiting.get(user, deque())
        if waiter not in waiters:
            return False
        waiters.remove(waiter)
        if not waiters:
            del self._waiting[user]
        return True

    def _next(self) -> Waiter | None:
        for user in (None, *self._waiting):
            if user in self._waiting and user not in self._holding:
                waiter = self._waiting[user].popleft()
                if not self._waiting[user]:
                    del self._waiting[user]
                self.take(user)
                return waiter
        return None


class Turns:
    """Some slots, for tasks of one loop: `async with turns.of(user):` holds one."""

    def __init__(self, slots: int) -> None:
        self._queue: Queue[asyncio.Future[None]] = Queue(slots)

    def of(self, user: Hashable) -> AbstractAsyncContextManager[None]:
        """Return a turn of this user; None: of the device. It is to be entered once."""
        return _Turn(self._queue, user)


class _Turn(AbstractAsyncContextManager[None]):
    __slots__ = ("_queue", "_user")

    def __init__(self, queue: Queue[asyncio.Future[None]], user: Hashable) -> None:
        self._queue = queue
        self._user = user

    async def __aenter__(self) -> None:
        if self._queue.take(self._user):
            return
        granted = asyncio.get_running_loop().create_future()
        self._queue.wait(self._user, granted)
        try:
            await granted
        except asyncio.CancelledError:
            if not self._queue.withdraw(self._user, granted):
                self._give_back()  # it came in the same moment
            raise

    async def __aexit__(self, *_exception: object) -> None:
        self._give_back()

    def _give_back(self) -> None:
        # Who is next holds its slot from now on: nobody who asks before its task runs comes in between.
        granted = self._queue.give_back(self._user)
        if granted is not None and not granted.done():  # done: its task is cancelled and will give the slot back
            granted.set_result(None)
