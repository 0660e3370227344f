"""What changed between two canonical trees, node by node. Pure; knows no rule and no action.

`difference(schema, a, b)` is empty exactly when the trees mean the same. Every changed leaf, leaf-list entry, list
entry and presence container is one Change; a list entry that comes or goes is named itself and so is everything in it.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from lxml import etree

from headstay.datastore.entries import key_of
from headstay.datastore.schema import Kind, SchemaNode
from headstay.xml import serialise


class Edit(enum.Enum):
    """What happened to a node."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    MOVED = "moved"
    """An entry that the user orders stands elsewhere among those that were there before."""


@dataclass(frozen=True, slots=True)
class Change:
    """One changed node. `old` or `new` is None where it does not exist; both belong to published trees."""

    edit: Edit
    node: SchemaNode
    old: etree._Element | None
    new: etree._Element | None
    implied: bool = False
    """Whether it went only because another case of a choice came in its place (RFC 7950 section 7.9)."""

    @property
    def element(self) -> etree._Element:
        """The node as it is now or, if it went, as it was."""
        return cast(etree._Element, self.new if self.new is not None else self.old)


def difference(schema: SchemaNode, old: etree._Element, new: etree._Element) -> list[Change]:
    """Return the changes that lead from `old` to `new`, in schema order, parents first."""
    return [] if old is new else list(_children(schema, old, new))


def _below(
    node: SchemaNode, old: etree._Element | None, new: etree._Element | None, implied: bool = False
) -> Iterator[Change]:
    # Most of a tree stays as it is, and reading alike is meaning the same.
    if old is None or new is None or serialise(old) != serialise(new):
        yield from _children(node, old, new, implied)


def _children(
    node: SchemaNode, old: etree._Element | None, new: etree._Element | None, implied: bool = False
) -> Iterator[Change]:
    before, after = _by_tag(old), _by_tag(new)
    for tag, child in node.children.items():
        if (tag not in before and tag not in after) or not child.config:
            continue
        goes = implied or (new is not None and bool(child.cases) and _gave_way(child, new))
        was, now = before.get(tag, ()), after.get(tag, ())
        if child.kind in (Kind.LIST, Kind.LEAF_LIST):
            yield from _entries(child, was, now, goes)
        else:
            yield from _single(child, next(iter(was), None), next(iter(now), None), goes)


def _by_tag(parent: etree._Element | None) -> Mapping[str, Sequence[etree._Element]]:
    found: dict[str, list[etree._Element]] = {}
    for child in () if parent is None else parent:
        found.setdefault(str(child.tag), []).append(child)
    return found


def _gave_way(node: SchemaNode, new: etree._Element) -> bool:
    """Return whether there is something in another case of a choice that this node stands in."""
    chosen = dict(node.cases)
    siblings = node.parent.children if node.parent is not None else {}
    return any(
        chosen.get(choice, case) != case
        for tag in {child.tag for child in new}
        for choice, case in siblings[str(tag)].cases
    )


def _single(
    node: SchemaNode, old: etree._Element | None, new: etree._Element | None, implied: bool
) -> Iterator[Change]:
    if old is None and new is None:
        return
    if node.kind is Kind.CONTAINER:
        if node.presence and (old is None or new is None):
            yield _came_or_went(node, old, new, implied)
        yield from _below(node, old, new, implied and new is None)
    elif old is None or new is None:
        yield _came_or_went(node, old, new, implied)
    elif not _same(node, old, new):
        yield Change(Edit.MODIFIED, node, old, new)


def _entries(
    node: SchemaNode, old: Sequence[etree._Element], new: Sequence[etree._Element], implied: bool
) -> Iterator[Change]:
    before = {key_of(node, entry): entry for entry in old}
    after = {key_of(node, entry): entry for entry in new}
    for key, entry in before.items():
        if key not in after:
            yield Change(Edit.DELETED, node, entry, None, implied)
            yield from _below(node, entry, None, implied)
    stayed = [key for key in before if key in after]
    ranks = {key: rank for rank, key in enumerate(stayed)}
    moved = _moved([ranks[key] for key in after if key in ranks]) if node.user_ordered else set()
    for key, entry in after.items():
        if key not in before:
            yield Change(Edit.CREATED, node, None, entry)
        elif ranks[key] in moved:
            yield Change(Edit.MOVED, node, before[key], entry)
        yield from _below(node, before.get(key), entry)


def _moved(ranks: list[int]) -> set[int]:
    """Return the ranks that are out of order, judged from front to back."""
    moved, highest = set(), -1
    for rank in ranks:
        if rank < highest:
            moved.add(rank)
        highest = max(highest, rank)
    return moved


def _came_or_went(node: SchemaNode, old: etree._Element | None, new: etree._Element | None, implied: bool) -> Change:
    return Change(Edit.CREATED, node, old, new) if old is None else Change(Edit.DELETED, node, old, new, implied)


def _same(node: SchemaNode, old: etree._Element, new: etree._Element) -> bool:
    if node.kind is Kind.ANYDATA:
        return serialise(old) == serialise(new)
    return old.text == new.text  # prefixes in a canonical text are the modules' own
