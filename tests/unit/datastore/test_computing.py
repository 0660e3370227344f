"""Small work is done at once, large work in a thread."""

from __future__ import annotations

import threading

import pytest
from lxml import etree

from headstay.datastore.computing import FEW, computed, is_small


def tree(elements: int) -> etree._Element:
    root = etree.Element("root")
    for _ in range(elements - 1):
        etree.SubElement(root, "child")
    return root


@pytest.mark.parametrize(
    ("sizes", "small"), [((FEW,), True), ((FEW + 1,), False), ((FEW - 1, 1), True), ((FEW, 1), False), ((), True)]
)
async def test_the_elements_of_all_trees_count(sizes: tuple[int, ...], small: bool) -> None:
    trees = [tree(size) for size in sizes]
    assert is_small(*trees) is small
    assert (await computed(threading.get_ident, *trees) == threading.get_ident()) is small


@pytest.mark.parametrize("size", [1, FEW + 1])
async def test_what_is_raised_reaches_the_caller(size: int) -> None:
    def refuse() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await computed(refuse, tree(size))
