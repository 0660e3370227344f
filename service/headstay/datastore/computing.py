"""Where something is computed: at once where the trees are small, else in a thread, so that no other session waits.

Handing work to a thread costs a tenth of a millisecond, as much as most requests of a manager cost altogether.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from lxml import etree

from headstay.datastore.turns import Turns

FEW: Final = 250
"""Elements that are gone through in about a millisecond, whatever is done with each."""

AT_ONCE: Final = 2
"""Things that are computed for users at a time. More would not be done sooner, since threads compute in turns; and
asyncio, which has five or more of them, shall never lack one for a commit, a roll-back or the link.
"""

_Result = TypeVar("_Result")


async def computed(work: Callable[[], _Result], *trees: etree._Element) -> _Result:
    """Return what comes of `work`, which takes time linear in these trees and may be done in any thread."""
    if is_small(*trees):
        return work()
    return await asyncio.to_thread(work)


async def computed_apart(turns: Turns, user: Hashable, work: Callable[[], _Result]) -> _Result:
    """Return what comes of `work`, which takes long and is done `apart` when it is this user's turn."""
    async with turns.of(user):
        return await apart(work)


async def apart(work: Callable[[], _Result]) -> _Result:
    """Return what comes of `work`, done in a thread of its own.

    It ends with it, and with it what lxml keeps of the names of clients for as long as a thread lives.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="apart")
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    finally:
        thread.shutdown(wait=False)


def is_small(*trees: etree._Element) -> bool:
    """Return whether there are few elements in all of these trees. Takes as long for many as for few."""
    elements = itertools.chain.from_iterable(tree.iter() for tree in trees)
    return next(itertools.islice(elements, FEW, None), None) is None
