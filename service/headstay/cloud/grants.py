"""Secrets that stand for a right, for a short time: SCRAM exchanges, tokens, tickets.

Owns the table of them. Keeps only each secret's SHA-256, so that a dump of the memory or a repr gives none away. Draws
no randomness and knows no clock: secret and time are arguments.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Grant(Generic[V]):
    owner: str
    value: V
    expires_at: float


class Grants(Generic[V]):
    """A bounded table from secret to value.

    A secret is looked up by its SHA-256: what the time of a look-up could tell is a prefix of the hash of the guess,
    from which nothing about a right secret follows. That makes every comparison as good as a constant-time one.
    """

    def __init__(self, life: float, per_owner: int, most: int | None = None) -> None:
        self._life = life
        self._per_owner = per_owner
        self._most = most
        # digest -> grant, the oldest first; all live equally long, so the first expires first
        self._grants: OrderedDict[bytes, _Grant[V]] = OrderedDict()
        self._owned: dict[str, deque[bytes]] = {}

    def issue(self, secret: str, owner: str, value: V, now: float) -> bool:
        """Let `secret` stand for `value`. Returns False when the table is full and nothing was issued.

        An owner that has its number of grants already loses its oldest.
        """
        self._forget_expired(now)
        owned = self._owned.get(owner)
        if owned is not None and len(owned) >= self._per_owner:
            self._drop(owned[0])
        if self._most is not None and len(self._grants) >= self._most:
            return False
        digest = _digest(secret)
        self._grants[digest] = _Grant(owner, value, now + self._life)
        self._owned.setdefault(owner, deque()).append(digest)
        return True

    def look(self, secret: str, now: float) -> V | None:
        """Return what `secret` stands for, or None when it is wrong, spent, revoked or expired."""
        grant = self._grants.get(_digest(secret))
        return grant.value if grant is not None and now < grant.expires_at else None

    def take(self, secret: str, now: float) -> V | None:
        """Return what `secret` stands for, once: it is spent by this."""
        value = self.look(secret, now)
        digest = _digest(secret)
        if digest in self._grants:
            self._drop(digest)
        return value

    def revoke(self, owner: str) -> None:
        """Forget every grant of `owner`."""
        for digest in tuple(self._owned.get(owner, ())):
            self._drop(digest)

    def revoke_where(self, meant: Callable[[V], bool]) -> None:
        """Forget every grant whose value is meant, whoever owns it."""
        for digest in [digest for digest, grant in self._grants.items() if meant(grant.value)]:
            self._drop(digest)

    def __len__(self) -> int:
        return len(self._grants)

    def _forget_expired(self, now: float) -> None:
        while self._grants:
            digest, grant = next(iter(self._grants.items()))
            if now < grant.expires_at:
                return
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        owner = self._grants.pop(digest).owner
        owned = self._owned[owner]
        owned.remove(digest)
        if not owned:
            del self._owned[owner]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
