"""CORE: the locks of whole datastores (RFC 6241 sections 7.5 and 7.6): which session holds which, and since when.

Owns the locks that are held, and nothing else. Must never know what is in a datastore, what a confirmed commit waits
for, or what a user may do: the datastores look whether one of these forbids a lock, and take it here. Waits for no
turn: they lock in theirs, so that no write is under way.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from headstay.datastore.name import Name
from headstay.errors import ErrorInfo, InUse, LockDenied, OperationFailed


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds a datastore, and since when."""

    session_id: int
    since: datetime.datetime


class Locks:
    """The locks of one device."""

    def __init__(self) -> None:
        self._held: dict[Name, Lock] = {}

    @property
    def held(self) -> Mapping[Name, Lock]:
        """The locks that are held."""
        return self._held

    def free_for(self, session_id: int, name: Name) -> None:
        """Raise InUse if another session holds a datastore."""
        held = self._held.get(name)
        if held is not None and held.session_id != session_id:
            raise InUse(f"{name.value} is locked by session {held.session_id}")

    def lockable(self, name: Name) -> None:
        """Raise LockDenied if a session holds a datastore, be it the one that asks."""
        held = self._held.get(name)
        if held is not None:
            raise LockDenied(
                f"{name.value} is locked by session {held.session_id}",
                info=[ErrorInfo("session-id", str(held.session_id))],
            )

    def lock(self, session_id: int, name: Name, now: datetime.datetime) -> None:
        """Give a session a datastore that is `lockable`."""
        self._held[name] = Lock(session_id, now)

    def unlock(self, session_id: int, name: Name) -> None:
        """Take a datastore back from a session. Raises OperationFailed if it does not hold it."""
        held = self._held.get(name)
        if held is None or held.session_id != session_id:
            raise OperationFailed(f"this session does not hold the lock of {name.value}")
        del self._held[name]

    def session_ended(self, session_id: int) -> Collection[Name]:
        """Release what a session holds. Returns what that was."""
        released = [name for name, lock in self._held.items() if lock.session_id == session_id]
        for name in released:
            del self._held[name]
        return released
