"""A bounded account of what a commit changed: which nodes, and how (RFC 6470 section 2.2, the list `edit`). Pure.

A node that came or went stands for everything in it. Where there is more to say than fits, the deepest nodes are named
by their parents, whose edit then is a merge: the account gets coarser, never longer and never wrong. Paths only: the
only values in them are those that name an entry, and an entry that a secret would name is named by its parent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from headstay.datastore.difference import Change, Edit
from headstay.datastore.entries import key_of
from headstay.datastore.schema import Kind, SchemaNode, error_path
from headstay.errors import ErrorPath

MOST_EDITS: Final = 50
"""Nodes that one account names."""
LONGEST_PATH: Final = 512
"""Characters of one path; a node with a longer one is named by its parent."""

_OPERATIONS: Final = {
    Edit.CREATED: "create",
    Edit.MODIFIED: "replace",
    Edit.DELETED: "delete",
    Edit.MOVED: "merge",
}


@dataclass(frozen=True)
class Edited:
    """One node that was edited."""

    operation: str
    """As in <edit-config>: create, delete, replace or merge."""
    node: SchemaNode
    element: etree._Element
    """The instance, in the tree where it exists."""

    @functools.cached_property
    def path(self) -> ErrorPath:
        """The instance-identifier, as XML has it."""
        return error_path(self.node, self.element)

    @property
    def json_path(self) -> str:
        """The instance-identifier, as JSON has it (RFC 7951 section 6.11): modules' names where the module changes."""
        path = ""
        for node, element in reversed(list(_steps(self.node, self.element))):
            above = node.parent
            same = above is not None and above.kind is not Kind.ROOT and above.module == node.module
            names = ["."] if node.kind is Kind.LEAF_LIST else node.keys
            values = _naming(node, element)
            path += f"/{node.name}" if same else f"/{node.module}:{node.name}"
            path += "".join(f"[{name}={_quoted(value)}]" for name, value in zip(names, values, strict=True))
        return path


def account(changes: Sequence[Change]) -> tuple[Edited, ...]:
    """Return what the changes of one difference amount to: at most MOST_EDITS nodes, none within another."""
    # Elements as keys keep lxml's proxies alive, and with them the identity that this goes by.
    found: dict[etree._Element, Edited] = {}
    for change in changes:
        element = change.new if change.new is not None else change.old
        if element is None or _is_within(element, found):
            continue
        edited = _nameable(Edited(_OPERATIONS[change.edit], change.node, element))
        found.setdefault(edited.element, edited)
        while len(found) > MOST_EDITS and (raised := _raised(found)) is not None:
            found = raised
    # What went is named in the old tree and what came in the new one: the paths tell whether they are the same.
    named = {edited.path.text: edited for edited in found.values()}
    return tuple(edited for path, edited in named.items() if not any(path.startswith(f"{other}/") for other in named))


def _is_within(element: etree._Element, found: dict[etree._Element, Edited]) -> bool:
    at: etree._Element | None = element
    while at is not None:
        if at in found:
            return True
        at = at.getparent()
    return False


def _raised(found: dict[etree._Element, Edited]) -> dict[etree._Element, Edited] | None:
    """Return the edits with the deepest ones named by their parents; None if they stand at the top already."""
    depths = {element: sum(1 for _ in _steps(edited.node, element)) for element, edited in found.items()}
    deepest = max(depths.values())
    if deepest == 1:
        return None
    raised: dict[etree._Element, Edited] = {}
    for element, edited in found.items():
        further = _parent(edited) if depths[element] == deepest else edited
        raised.setdefault(further.element, further)
    return {element: edited for element, edited in raised.items() if not _is_within_another(element, raised)}


def _is_within_another(element: etree._Element, found: dict[etree._Element, Edited]) -> bool:
    above = element.getparent()
    return above is not None and _is_within(above, found)


def _parent(edited: Edited) -> Edited:
    """Return the edit of the parent; the edit itself where it stands at the top."""
    parent, above = edited.node.parent, edited.element.getparent()
    return edited if parent is None or above is None else Edited("merge", parent, above)


def _nameable(edited: Edited) -> Edited:
    """Return the edit, or that of the nearest ancestor that a path can name."""
    while not _can_be_named(edited) and edited.node.parent is not None and edited.node.parent.kind is not Kind.ROOT:
        edited = _parent(edited)
    return edited


def _can_be_named(edited: Edited) -> bool:
    if edited.node.kind is Kind.LEAF_LIST and edited.node.protection is not None:
        return False
    values = [value for step in _steps(edited.node, edited.element) for value in _naming(*step)]
    # XPath 1.0 has no way to write a text with both kinds of quotes.
    if any("'" in value and '"' in value for value in values):
        return False
    return len(edited.path.text) <= LONGEST_PATH


def _steps(node: SchemaNode, element: etree._Element) -> Iterator[tuple[SchemaNode, etree._Element]]:
    """Yield the instance and its ancestors below the root, from the bottom up."""
    at: etree._Element | None = element
    current: SchemaNode | None = node
    while current is not None and current.kind is not Kind.ROOT and at is not None:
        yield current, at
        current, at = current.parent, at.getparent()


def _naming(node: SchemaNode, element: etree._Element) -> tuple[str, ...]:
    """Return the values that name an entry."""
    return key_of(node, element) if node.kind in (Kind.LIST, Kind.LEAF_LIST) else ()


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'
