"""Where something is computed: at once where the trees are small, else in a thread, so that no other session waits.

Handing work to a thread costs a tenth of a millisecond, as much as most requests of a manager cost altogether.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Final, TypeVar

from lxml import etree

FEW: Final = 250
"""Elements that are gone through in about a millisecond, whatever is done with each."""

_Result = TypeVar("_Result")


async def computed(work: Callable[[], _Result], *trees: etree._Element) -> _Result:
    """Return what comes of `work`, which takes time linear in these trees and may be done in any thread."""
    if is_small(*trees):
        return work()
    return await asyncio.to_thread(work)


def is_small(*trees: etree._Element) -> bool:
    """Return whether there are few elements in all of these trees. Takes as long for many as for few."""
    elements = itertools.chain.from_iterable(tree.iter() for tree in trees)
    return next(itertools.islice(elements, FEW, None), None) is None
