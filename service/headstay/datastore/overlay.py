"""Operational state laid over configuration: what <get> returns. Pure."""

from __future__ import annotations

import copy

from lxml import etree

from headstay.datastore.entries import Siblings, key_of
from headstay.datastore.schema import Kind, SchemaNode


def overlaid(schema: SchemaNode, config: etree._Element, *states: etree._Element) -> etree._Element:
    """Return a new tree with the data of all. A leaf of a later tree replaces that of an earlier one."""
    result = copy.deepcopy(config)
    lay_over(result, schema, *states)
    return result


def lay_over(tree: etree._Element, schema: SchemaNode, *states: etree._Element) -> None:
    """Lay the data of further trees over a tree, in place."""
    siblings = Siblings()
    for state in states:
        _lay(siblings, tree, schema, state)


def _lay(siblings: Siblings, target: etree._Element, parent: SchemaNode, source: etree._Element) -> None:
    for child in source:
        node = parent.children[child.tag]
        existing = _existing(siblings, target, node, child)
        if existing is None:
            siblings.append(target, node, copy.deepcopy(child))
        elif node.kind in (Kind.CONTAINER, Kind.LIST):
            _lay(siblings, existing, node, child)
        elif node.kind is not Kind.LEAF_LIST:
            target.replace(existing, copy.deepcopy(child))


def _existing(
    siblings: Siblings, target: etree._Element, node: SchemaNode, child: etree._Element
) -> etree._Element | None:
    match node.kind:
        case Kind.LIST if not node.keys:
            return None
        case Kind.LIST | Kind.LEAF_LIST:
            return siblings.entry(target, node, key_of(node, child))
    return target.find(node.tag)
