"""<edit-config> as a pure function: a tree and an edit give a tree (RFC 6241 section 7.2, RFC 7950 sections 7 and 8).

Owns what operations and insertions do to a tree, implicit deletion of other cases, and the syntax errors of RFC 7950
section 8.3.1; `edit_content` reads what the edit says. Whether the result obeys the model's constraints is for
`model.validate`, at commit. Knows no datastore and no session.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from lxml import etree

from headstay.datastore import edit_errors as refuse
from headstay.datastore.edit_content import (
    Insert,
    Operation,
    anchor,
    anydata_of,
    is_tagged,
    keys_of,
    operation_of,
    place_of,
    value_of,
)
from headstay.datastore.entries import Key, Siblings
from headstay.datastore.schema import Kind, SchemaNode
from headstay.errors import NetconfError, OperationFailed, RpcErrors

DefaultOperation = Literal["merge", "replace", "none"]

MOST_ERRORS = 100
"""Errors of one edit that are told one by one: an edit may hold as many as a message has elements."""


@dataclass(frozen=True, slots=True)
class EditOptions:
    """The parameters of <edit-config>."""

    default_operation: DefaultOperation = "merge"
    test_option: Literal["test-then-set", "set", "test-only"] | None = None
    """None: not given. Then constraints of a candidate wait for the commit (RFC 7950 section 8.3.3)."""
    error_option: Literal["stop-on-error", "continue-on-error", "rollback-on-error"] = "stop-on-error"


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit comes to."""

    tree: etree._Element
    """The new tree, without whatever is wrong."""
    errors: tuple[NetconfError, ...] = field(default=())
    """What is wrong, in the edit's order. Of more than MOST_ERRORS the last one says that there are more, and how
    many if they were counted."""


class _Enough(Exception):
    """More is wrong than is told, and what is right does not count."""


Reads = Callable[[SchemaNode, etree._Element], bool]
"""Whether the editor may read an instance."""


def edit(
    schema: SchemaNode,
    tree: etree._Element,
    config: etree._Element,
    default_operation: DefaultOperation = "merge",
    reads: Reads = lambda *_: True,
    *,
    to_the_end: bool = True,
) -> Edited:
    """Apply the children of `config` to a copy of `tree`. Costs time linear in both.

    Unless it goes to the end, it stops once more is wrong than is told; the tree is of no use then.
    """
    run = _Edit(schema, reads, to_the_end=to_the_end)
    result = copy.deepcopy(tree)
    operation: Operation = default_operation
    if refuse.holds_text(config):
        run.note(refuse.text_beside(config))
    if default_operation == "replace":
        run.siblings.clear(result)
        operation = "merge"
    with contextlib.suppress(_Enough):
        run.children(result, schema, config, operation)
    prune(result, schema)
    return Edited(result, run.found())


def edited(
    schema: SchemaNode, tree: etree._Element, config: etree._Element, default_operation: DefaultOperation = "merge"
) -> etree._Element:
    """Like `edit`, but all or nothing: raises RpcErrors with the errors found."""
    outcome = edit(schema, tree, config, default_operation, to_the_end=False)
    if outcome.errors:
        raise RpcErrors(outcome.errors)
    return outcome.tree


class _Edit:
    """One edit on its way through the tree."""

    def __init__(self, schema: SchemaNode, reads: Reads, *, to_the_end: bool) -> None:
        self.schema = schema
        self._reads = reads
        self._to_the_end = to_the_end
        self.siblings = Siblings()
        self._errors: list[NetconfError] = []
        self._more_errors = 0
        self._namespaces: frozenset[str] = frozenset()  # of the schema, once something is asked for that is not in it
        self._chosen: dict[tuple[etree._Element, str], str] = {}  # so that a choice is looked through once

    def children(
        self, target: etree._Element, node: SchemaNode, sources: Iterable[etree._Element], operation: Operation
    ) -> None:
        """Apply each source below `target`; an error of one does not keep the others from being looked at."""
        seen: dict[str, str] = {}  # tags; choices with the case that the edit has data for
        for source in sources:
            try:
                self._child(target, node, source, operation, seen)
            except NetconfError as error:
                self.note(error)

    def found(self) -> tuple[NetconfError, ...]:
        """Return the errors."""
        if not self._more_errors:
            return tuple(self._errors)
        count = f"{self._more_errors} " if self._to_the_end else ""
        return (*self._errors, OperationFailed(f"the edit has {count}more errors"))

    def note(self, error: NetconfError) -> None:
        if len(self._errors) < MOST_ERRORS:
            # Its traceback leads here again: a circle, which would keep the whole message until somebody breaks it.
            error.__context__ = None
            self._errors.append(error.with_traceback(None))
            return
        self._more_errors += 1
        if not self._to_the_end:
            raise _Enough

    def _child(
        self,
        target: etree._Element,
        parent: SchemaNode,
        source: etree._Element,
        inherited: Operation,
        seen: dict[str, str],
    ) -> None:
        node = self._defined(parent, target, source)
        operation = operation_of(source, node, target, inherited)
        if operation in ("delete", "remove"):
            self._look_into(node, target, source)
        elif operation != "none":
            for choice, case in node.cases:
                if seen.setdefault(choice, case) != case:
                    raise refuse.two_cases(node, target)
        if node.kind in (Kind.LIST, Kind.LEAF_LIST):
            self._entry(target, node, source, operation)
            return
        if source.tag in seen:
            raise refuse.twice(node, target)
        seen[source.tag] = ""
        if parent.kind is Kind.LIST and node.name in parent.keys:
            return  # the entry was found or made by it
        if node.kind is Kind.LEAF:
            self._leaf(target, node, source, operation)
        else:
            self._container(target, node, source, operation)

    def _defined(self, parent: SchemaNode, target: etree._Element, source: etree._Element) -> SchemaNode:
        node = parent.child(source.tag)
        if node is None:
            self._namespaces = self._namespaces or frozenset(known.namespace for known in self.schema.walk())
            raise refuse.unknown(self._namespaces, parent, target, source)
        if not node.config:
            raise refuse.state_data(node, target)
        return node

    def _look_into(self, node: SchemaNode, above: etree._Element, source: etree._Element) -> None:
        """Refuse what is not defined in something that is to go (RFC 7950 section 8.3.1). Values do not matter there.

        It need not exist, so what is in it is named by where it stands in the edit.
        """
        if node.terminal and len(source):
            raise refuse.elements_in(node, above)
        if node.kind in (Kind.CONTAINER, Kind.LIST):
            refuse.text_in(node, above, source)
            for child in source:
                self._look_into(self._defined(node, source, child), source, child)

    def _leaf(self, target: etree._Element, node: SchemaNode, source: etree._Element, operation: Operation) -> None:
        existing = target.find(node.tag)
        if not self._goes_on(target, node, existing, operation):
            return
        if operation == "none":
            return
        value = value_of(node, source, target)
        if is_tagged(node, source, value, target):
            # RFC 6243 section 4.5.2: a default that is said to be one is as if nobody had set it.
            if existing is not None:
                self.siblings.remove(target, node, existing)
            return
        if existing is not None:
            existing.addnext(value)
            target.remove(existing)
            return
        self._choose(target, node)
        self.siblings.append(target, node, value)

    def _container(
        self, target: etree._Element, node: SchemaNode, source: etree._Element, operation: Operation
    ) -> None:
        existing = target.find(node.tag)
        implicit = existing is None and not node.presence and node.kind is Kind.CONTAINER and operation == "none"
        if not implicit and not self._goes_on(target, node, existing, operation):
            return
        if node.kind is Kind.ANYDATA:
            self._anydata(target, node, source, existing)
            return
        refuse.text_in(node, target, source)
        if existing is None:
            existing = node.instance()
            if node.presence:
                self._choose(target, node)
            self.siblings.append(target, node, existing)
        elif operation == "replace":
            self.siblings.clear(existing)
        self.children(existing, node, source, operation)

    def _anydata(
        self, target: etree._Element, node: SchemaNode, source: etree._Element, existing: etree._Element | None
    ) -> None:
        if existing is not None:
            target.remove(existing)
        self._choose(target, node)
        self.siblings.append(target, node, anydata_of(source))

    def _entry(self, target: etree._Element, node: SchemaNode, source: etree._Element, operation: Operation) -> None:
        keys = keys_of(node, source, target)
        key: Key = tuple(element.text or "" for element in keys)
        existing = self.siblings.entry(target, node, key)
        if not self._goes_on(target, node, existing, operation, keys):
            return
        refuse.text_in(node, target, source)
        place = self._place(target, node, source)
        if existing is None:
            existing = keys[0] if node.kind is Kind.LEAF_LIST else _new_entry(node, keys)
            self._choose(target, node)
            place = place or ("last", None)
        elif operation == "replace" and node.kind is Kind.LIST:
            self.siblings.clear(existing, keep=node.key_tags)
        if place is not None and operation != "none":
            self._put(target, node, existing, place)
        if node.kind is Kind.LIST:
            self.children(existing, node, source, operation)

    def _goes_on(
        self,
        target: etree._Element,
        node: SchemaNode,
        existing: etree._Element | None,
        operation: Operation,
        keys: tuple[etree._Element, ...] = (),
    ) -> bool:
        """Check the operation against what is there, and delete. Returns whether there is more to do."""
        if operation == "create" and existing is not None:
            raise refuse.exists(node, existing)
        if operation in ("delete", "none") and existing is None:
            raise refuse.missing(node, target, keys)
        if operation in ("delete", "remove"):
            if existing is not None:
                self.siblings.remove(target, node, existing)
            return False
        return True

    def _choose(self, target: etree._Element, node: SchemaNode) -> None:
        """Delete what stands in other cases of the choices that a new node stands in (RFC 7950 section 7.9).

        A container without presence means nothing by itself: what comes into it chooses for it.
        """
        self._delete_other_cases(target, node)
        above, parent = target.getparent(), node.parent
        if above is not None and parent is not None and parent.kind is Kind.CONTAINER and not parent.presence:
            self._choose(above, parent)

    def _delete_other_cases(self, target: etree._Element, node: SchemaNode) -> None:
        if all(self._chosen.get((target, choice)) == case for choice, case in node.cases) or node.parent is None:
            return
        chosen = dict(node.cases)
        for child in list(target):
            other = node.parent.children[child.tag]
            if any(chosen.get(choice, case) != case for choice, case in other.cases):
                self.siblings.remove(target, other, child)
        self._chosen.update(((target, choice), case) for choice, case in node.cases)

    def _place(
        self, target: etree._Element, node: SchemaNode, source: etree._Element
    ) -> tuple[Insert, etree._Element | None] | None:
        """Return where an entry is to be put, and before or after which; None if the edit does not say."""
        place = place_of(node, source, target)
        if place is None:
            return None
        if place.key is None:
            return place.insert, None
        at = self.siblings.entry(target, node, place.key)
        # An answer of its own for a hidden entry would tell that there is one (RFC 8341 section 3.2.5).
        if at is None or not self._reads(node, at):
            message = f"there is no entry to insert {place.insert}"
            raise refuse.attribute("bad", node, target, anchor(node), message, "missing-instance")
        return place.insert, at

    def _put(
        self,
        target: etree._Element,
        node: SchemaNode,
        entry: etree._Element,
        place: tuple[Insert, etree._Element | None],
    ) -> None:
        where, at = place
        if at is not None:
            self.siblings.insert(target, node, entry, at, after=where == "after")
        elif where == "first":
            self.siblings.prepend(target, node, entry)
        else:
            self.siblings.move_last(target, node, entry)


def _new_entry(node: SchemaNode, keys: tuple[etree._Element, ...]) -> etree._Element:
    entry = node.instance()
    entry.extend(keys)
    return entry


def prune(element: etree._Element, node: SchemaNode) -> None:
    """Remove containers without presence that hold nothing: they mean nothing (RFC 7950 section 7.5.1)."""
    if not node.holds_emptiable:
        return
    for child in list(element):
        schema = node.children[child.tag]
        if schema.kind in (Kind.CONTAINER, Kind.LIST):
            prune(child, schema)
            if schema.kind is Kind.CONTAINER and not schema.presence and not len(child):
                element.remove(child)
