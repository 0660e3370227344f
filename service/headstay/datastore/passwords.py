"""Hashes of users' passwords (iana-crypt-hash, RFC 7317 section 3.5): made and checked in one thread of their own.

A hash takes most of a tenth of a second by intention. With a thread of its own, a crowd that guesses passwords delays
logins but neither a commit nor the link. Knows no user.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

ROUNDS = 100_000
"""What a new hash costs to make and to check."""
MOST_ROUNDS = 1_000_000
"""A stored hash of more rounds matches nothing: checking it would occupy the thread for minutes."""
LONGEST = 4096
"""Characters of the longest password."""
NOBODY = f"$6$rounds={ROUNDS}$headstayheadstay${'.' * 86}"
"""A hash that no password has. It is checked where there is no user, so that the time taken does not tell."""

_thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")


async def matches(stored: str, password: str) -> bool:
    """Return whether a stored `$5$` or `$6$` hash is this password's."""
    return await _in_thread(lambda: hash_matches(stored, password))


async def hashed(password: str) -> str:
    """Return a password's `$6$` hash. Raises ValueError if it is longer than LONGEST."""
    if len(password) > LONGEST:
        raise ValueError(f"a password has at most {LONGEST} characters")
    return await _in_thread(lambda: hash_password(password))


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_thread, work)


def hash_password(password: str) -> str:
    """Like `hashed`, but at once: for threads."""
    from passlib.hash import sha512_crypt  # only needed when a password is set or checked

    made: str = sha512_crypt.using(rounds=ROUNDS).hash(password)
    return made


def hash_matches(stored: str, password: str) -> bool:
    """Like `matches`, but at once: for threads."""
    from passlib.hash import sha256_crypt, sha512_crypt

    scheme = {"$5$": sha256_crypt, "$6$": sha512_crypt}.get(stored[:3])
    if scheme is None or not _affordable(stored):
        return False
    try:
        return bool(scheme.verify(password, stored))
    except ValueError:  # a malformed hash matches nothing
        return False


def _affordable(stored: str) -> bool:
    # The model's pattern takes any number of digits, and those of all scripts; the library would count them as well.
    rounds = re.match(r"\$[56]\$rounds=([^$]*)", stored)
    return rounds is None or (re.fullmatch(r"[0-9]{1,7}", rounds[1]) is not None and int(rounds[1]) <= MOST_ROUNDS)
