"""Default values in a tree of data, in the four ways that RFC 6243 knows. Pure.

Trees hold what was set and nothing else: the basic mode is `explicit`, so a value that was set stays visible even if it
is the default. Defaults under a condition (`when`) or in a choice's default case are not known here; a test holds that
the device's modules have none.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Iterable

from lxml import etree

from headstay.datastore.edit import prune
from headstay.datastore.edit_content import TAGGED
from headstay.datastore.entries import Siblings
from headstay.datastore.schema import Kind, SchemaNode


class DefaultsMode(enum.Enum):
    """How defaults are reported (RFC 6243 section 3)."""

    REPORT_ALL = "report-all"
    REPORT_ALL_TAGGED = "report-all-tagged"
    TRIM = "trim"
    EXPLICIT = "explicit"


BASIC_MODE = DefaultsMode.EXPLICIT


def with_defaults(schema: SchemaNode, tree: etree._Element, mode: DefaultsMode) -> etree._Element:
    """Return the tree as this mode shows it: the tree itself, or a new one. Costs time linear in the tree."""
    match mode:
        case DefaultsMode.EXPLICIT:
            return tree
        case DefaultsMode.TRIM:
            return _trimmed(schema, tree)
        case DefaultsMode.REPORT_ALL_TAGGED:
            return _completed(schema, tree, {TAGGED: "true"})
    return _completed(schema, tree, {})


def is_default(node: SchemaNode, element: etree._Element) -> bool:
    """Return whether a leaf has its default value."""
    return node.kind is Kind.LEAF and node.defaults == (element.text or "",)


def _trimmed(schema: SchemaNode, tree: etree._Element) -> etree._Element:
    result = copy.deepcopy(tree)
    _trim(schema, result)
    prune(result, schema)
    return result


def _trim(node: SchemaNode, element: etree._Element) -> None:
    for child in list(element):
        schema = node.children[child.tag]
        if schema.children:
            _trim(schema, child)
        elif is_default(schema, child):
            element.remove(child)
    for schema in node.children.values():
        # RFC 7950 section 7.7.2: the default of a leaf-list is all of its values together.
        if schema.kind is Kind.LEAF_LIST and schema.defaults:
            entries = element.findall(schema.tag)
            if tuple(entry.text or "" for entry in entries) == schema.defaults:
                for entry in entries:
                    element.remove(entry)


def _completed(schema: SchemaNode, tree: etree._Element, attributes: dict[str, str]) -> etree._Element:
    completed = _Completion(attributes)
    result = copy.deepcopy(tree)
    completed.fill(schema, result)
    return result


class _Completion:
    """Adds what is missing, each with the same attributes."""

    def __init__(self, attributes: dict[str, str]) -> None:
        self._attributes = attributes
        self._siblings = Siblings()

    def fill(self, node: SchemaNode, element: etree._Element) -> None:
        present = {child.tag for child in element}
        for schema in node.children.values():
            if not schema.config or not _holds_defaults(schema) or _in_another_case(node, schema, present):
                continue
            if schema.terminal:
                if schema.tag not in present:
                    self._add(element, schema, schema.defaults)
            elif schema.tag in present:
                for child in element.iterchildren(schema.tag):
                    self.fill(schema, child)
            elif schema.kind is Kind.CONTAINER and not schema.presence:
                container = schema.instance()
                self.fill(schema, container)
                if len(container):
                    self._siblings.append(element, schema, container)

    def _add(self, element: etree._Element, schema: SchemaNode, defaults: Iterable[str]) -> None:
        for default in defaults:
            canonical = schema.canonical(default, {schema.prefix: schema.namespace})
            leaf = schema.instance(canonical.text or None, canonical.prefixes)
            for name, value in self._attributes.items():
                leaf.set(name, value)
            self._siblings.append(element, schema, leaf)


def _holds_defaults(node: SchemaNode) -> bool:
    return bool(node.defaults) if node.terminal else any(map(_holds_defaults, node.children.values()))


def _in_another_case(parent: SchemaNode, node: SchemaNode, present: set[str]) -> bool:
    """Return whether a node stands in a case that nothing has chosen (RFC 7950 section 7.9.3)."""
    for choice, case in node.cases:
        others = (parent.children[tag] for tag in present)
        if not any((choice, case) in other.cases for other in others):
            return True
    return False
