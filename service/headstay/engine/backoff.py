"""How long to wait after every server has failed. Pure: the randomness is an argument.

Full jitter: the delay is uniform between nothing and a ceiling that doubles with each round. A cloud that comes back
then meets its devices one by one instead of all at once.
"""

from __future__ import annotations

FIRST_CEILING = 1.0
"""Seconds."""
LONGEST_CEILING = 300.0
"""Seconds."""
SLOT_JITTER = 0.1
"""By how much a wait that the server asked for may be stretched, as a fraction of it."""
LONGEST_SLOT = 3600.0
"""Seconds; a server cannot send a device away for longer."""
SHORTEST_SLOT = 0.1
"""Seconds; a server that asks for less would make the device spin."""


def delay(round_number: int, uniform: float) -> float:
    """Return the seconds to wait after round `round_number` (from 0); `uniform` is a number from 0 to 1."""
    ceiling = min(LONGEST_CEILING, FIRST_CEILING * 2.0 ** min(round_number, 16))
    return uniform * ceiling


def slot(retry_after: float, uniform: float) -> float:
    """Return the seconds to stay away from a server that said `retry-after`: never earlier, at most 10 % later."""
    return min(max(retry_after, SHORTEST_SLOT), LONGEST_SLOT) * (1 + SLOT_JITTER * uniform)


def banishment(retry_after: float | None, uniform: float) -> float:
    """Return the seconds to wait after being replaced, unbound or removed: the longest backoff, or more if told so."""
    return slot(max(LONGEST_CEILING, retry_after or 0.0), uniform)
