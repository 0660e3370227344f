"""Edits of what the editor cannot see: refused before they are compared with what is there (RFC 8341 section 3.2.5).

Data that an edit leaves as it is needs no right, which would let a user find out hidden values by writing guesses: only
the right one changes nothing. So an edit of what its user may not read, or of a secret, must be within that user's
rights whatever is there. Pure; knows no tree but the edit.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree

from headstay import xml
from headstay.datastore.edit_content import OPERATION, TAGGED
from headstay.datastore.nacm import Permissions, Right
from headstay.datastore.schema import Kind, SchemaNode
from headstay.datastore.values import NotAValue

Found = tuple[SchemaNode, etree._Element]


def refused(
    permissions: Permissions, schema: SchemaNode, config: etree._Element, default_operation: str
) -> Found | None:
    """Return the first node of an edit that its user may not touch unseen, with an instance that has the edit's keys.

    A hidden leaf that is merged or replaced needs the right to update it even where it would be created.
    """
    if permissions.unlimited:
        return None
    return _Unseen(permissions).children(xml.element(schema.tag), schema, config, default_operation, hidden=False)


class _Unseen:
    """One walk through an edit. Beside it grows a tree of its nodes with canonical keys, for the rules' predicates."""

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions

    def children(
        self,
        parent: etree._Element,
        schema: SchemaNode,
        sources: Iterable[etree._Element],
        operation: str,
        *,
        hidden: bool,
    ) -> Found | None:
        for source in sources:
            node = schema.child(source.tag)
            if node is None or not node.config or source.tag in schema.key_tags:
                continue
            instance = _instance(node, source)
            if instance is None:
                continue  # not a value; `edit` refuses it
            parent.append(instance)
            found = self._node(node, instance, source, source.get(OPERATION, operation), hidden=hidden)
            if found is not None:
                return found
            parent.remove(instance)
        return None

    def _node(
        self, node: SchemaNode, instance: etree._Element, source: etree._Element, operation: str, *, hidden: bool
    ) -> Found | None:
        hidden = hidden or node.protection is not None or not self._permissions.shows(node, instance)
        if hidden and not self._is_way(node, source, operation):
            # A default that is marked as one takes away what is there (RFC 6243 section 4.5.2).
            needed = _needed(node, "remove" if source.get(TAGGED) in ("true", "1") else operation)
            if not any(self._permissions.may(right, node, instance) for right in needed):
                return node, instance
        if node.terminal or operation in ("delete", "remove"):
            return None
        return self.children(instance, node, source, operation, hidden=hidden)

    @staticmethod
    def _is_way(node: SchemaNode, source: etree._Element, operation: str) -> bool:
        """Whether a node stands in the edit only because of what is in it."""
        if node.kind not in (Kind.CONTAINER, Kind.LIST) or operation not in ("merge", "replace", "none"):
            return False
        if any(child.tag not in node.key_tags for child in source):
            return True
        return node.kind is Kind.CONTAINER and not node.presence and operation != "replace"


def _needed(node: SchemaNode, operation: str) -> tuple[Right, ...]:
    """Return the rights of which one is needed for an operation on what cannot be seen."""
    if operation in ("create", "delete", "remove"):
        return (Right.CREATE if operation == "create" else Right.DELETE,)
    if operation == "none":
        return (Right.CREATE, Right.UPDATE, Right.DELETE)
    if node.kind in (Kind.LEAF, Kind.ANYDATA):
        return (Right.UPDATE,)
    return (Right.DELETE,) if node.kind is Kind.CONTAINER and not node.presence else (Right.CREATE,)


def _instance(node: SchemaNode, source: etree._Element) -> etree._Element | None:
    """Return an instance with the keys of the edit in canonical form; None if they have none."""
    instance = xml.element(node.tag)
    try:
        if node.kind is Kind.LEAF_LIST:
            instance.text = node.canonical(source.text or "", source.nsmap).text
        for tag in node.key_tags:
            key = source.find(tag)
            if key is None:
                return None
            etree.SubElement(instance, tag).text = node.children[tag].canonical(key.text or "", key.nsmap).text
    except NotAValue:
        return None
    return instance
