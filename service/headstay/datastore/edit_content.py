"""What the content of an edit says, element by element: operation, values, keys, place (RFC 6241 section 7.2, RFC 7950
sections 7.7.9 and 7.8.6, RFC 6243 section 4.5.2).

Reads, and changes nothing; what is done about it is for `edit`. `source` is an element of the edit, an instance of
`node`; `target` is the element of the tree below which it goes, looked at only to name it in an error.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from headstay import xml
from headstay.datastore import edit_errors as refuse
from headstay.datastore.entries import Key
from headstay.datastore.schema import Kind, SchemaNode
from headstay.datastore.values import NotAValue
from headstay.errors import InvalidValue

Operation = Literal["merge", "replace", "create", "delete", "remove", "none"]
Insert = Literal["first", "last", "before", "after"]

OPERATION = f"{{{xml.NETCONF}}}operation"
TAGGED = "{urn:ietf:params:xml:ns:netconf:default:1.0}default"
"""The attribute that marks a default value (RFC 6243 section 6)."""
INSERT, KEY, VALUE = (f"{{{xml.YANG}}}{name}" for name in ("insert", "key", "value"))

_OPERATIONS = ("merge", "replace", "create", "delete", "remove")
_PLACING = {INSERT, KEY, VALUE}
_KNOWN_ATTRIBUTES = {OPERATION, *_PLACING}
_PREDICATE = re.compile(r"\s*\[\s*(?:([\w.-]+):)?([\w.-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")\s*\]\s*")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry is to stand among those of its list."""

    insert: Insert
    key: Key | None
    """Of the entry that it is to stand before or after; None if it is to be first or last."""


def operation_of(source: etree._Element, node: SchemaNode, target: etree._Element, inherited: Operation) -> Operation:
    """Return what is to be done with a node, and refuse attributes that do not belong there."""
    for name in source.attrib:
        if name == TAGGED and node.kind is Kind.LEAF and node.defaults:
            continue
        if name not in _KNOWN_ATTRIBUTES and not str(name).startswith("{http://www.w3.org/"):
            hint = "; operation belongs in the NETCONF base namespace" if name == "operation" else ""
            raise refuse.attribute("unknown", node, target, str(name), f"unexpected attribute{hint}")
        if name in _PLACING and not node.user_ordered:
            raise refuse.attribute("unknown", node, target, str(name), f"{node.name} is not ordered by the user")
    operation = source.get(OPERATION)
    if operation is None:
        return inherited
    if operation not in _OPERATIONS:
        raise refuse.attribute("bad", node, target, OPERATION, f"operation is one of {', '.join(_OPERATIONS)}")
    if node.parent is not None and node.name in node.parent.keys and operation in ("delete", "remove"):
        raise refuse.attribute("bad", node, target, OPERATION, "a key cannot be deleted; delete its entry")
    return operation  # type: ignore[return-value]  # membership was checked above


def is_tagged(node: SchemaNode, source: etree._Element, value: etree._Element, target: etree._Element) -> bool:
    """Return whether the attribute `default` says that this is the default value. Raises NetconfError if it is not."""
    tagged = source.get(TAGGED, "false")
    if tagged not in ("true", "false", "1", "0"):
        raise refuse.attribute("bad", node, target, TAGGED, "default is true or false")
    if tagged in ("false", "0"):
        return False
    if node.defaults != (value.text or "",):
        raise refuse.value(node, target, NotAValue("it is marked as the default value, and is another"))
    return True


def value_of(node: SchemaNode, source: etree._Element, target: etree._Element) -> etree._Element:
    """Return a new leaf with the canonical form of the source's text."""
    if len(source):
        raise refuse.elements_in(node, target)
    try:
        canonical = node.canonical(source.text or "", source.nsmap)
    except NotAValue as error:
        raise refuse.value(node, target, error) from None
    return node.instance(canonical.text or None, canonical.prefixes)


def keys_of(node: SchemaNode, source: etree._Element, target: etree._Element) -> tuple[etree._Element, ...]:
    """Return the new key leafs of a list entry, or the new entry of a leaf-list."""
    if node.kind is Kind.LEAF_LIST:
        return (value_of(node, source, target),)
    keys = []
    for tag in node.key_tags:
        given = source.find(tag)
        if given is None:
            raise refuse.key_missing(node, target, etree.QName(tag).localname)
        keys.append(value_of(node.children[tag], given, target))
    return tuple(keys)


def anydata_of(source: etree._Element) -> etree._Element:
    """Return a new anydata node with all that is in the source, without the attributes that are the edit's."""
    content = copy.deepcopy(source)
    for name in [name for name in content.attrib if name in _KNOWN_ATTRIBUTES]:
        del content.attrib[name]
    return content


def anchor(node: SchemaNode) -> str:
    """Return the attribute that says before or after which entry one is inserted."""
    return VALUE if node.kind is Kind.LEAF_LIST else KEY


def place_of(node: SchemaNode, source: etree._Element, target: etree._Element) -> Place | None:
    """Read yang:insert, yang:key and yang:value; None if they are not given."""
    name = anchor(node)
    other = KEY if name == VALUE else VALUE
    if source.get(other) is not None:
        raise refuse.attribute(
            "unknown", node, target, other, f"a {node.kind.value} takes yang:{etree.QName(name).localname}"
        )
    insert = source.get(INSERT)
    match insert:
        case None:
            return None
        case "first" | "last":
            return Place(insert, None)
        case "before" | "after":
            given = source.get(name)
            if given is None:
                raise refuse.attribute("missing", node, target, name, f"insert {insert} says before or after which")
            return Place(insert, _key_in(node, given, source, target, name))
    raise refuse.attribute("bad", node, target, INSERT, "insert is first, last, before or after")


def _key_in(node: SchemaNode, given: str, source: etree._Element, target: etree._Element, attribute: str) -> Key:
    """Read the entry that yang:key or yang:value names."""
    probe = xml.element(node.tag, prefixes={p: uri for p, uri in source.nsmap.items() if p})
    if node.kind is Kind.LEAF_LIST:
        probe.text = given
    else:
        for name, value in _predicates(given, node, source, target, attribute):
            etree.SubElement(probe, f"{{{node.namespace}}}{name}").text = value
    try:
        return tuple(element.text or "" for element in keys_of(node, probe, target))
    except InvalidValue as error:  # RFC 7950 section 8.3.1: it is the attribute that is wrong
        raise refuse.attribute("bad", node, target, attribute, error.message) from None


def _predicates(
    given: str, node: SchemaNode, source: etree._Element, target: etree._Element, name: str
) -> list[tuple[str, str]]:
    """Read `[prefix:key='value']…` of yang:key. Raises a NetconfError if it is not of that form, or if a prefix does
    not stand for the list's own namespace.
    """
    found, at = [], 0
    while at < len(given):
        match = _PREDICATE.match(given, at)
        if match is None:
            break
        if match[1] is not None and source.nsmap.get(match[1]) != node.namespace:
            raise refuse.attribute(
                "bad", node, target, name, f"the prefix {match[1]!r} does not stand for the list's module"
            )
        found.append((match[2], match[3] if match[3] is not None else match[4]))
        at = match.end()
    if at < len(given) or sorted(key for key, _ in found) != sorted(node.keys):
        raise refuse.attribute(
            "bad", node, target, name, "expected a predicate for each key, such as [prefix:key='value']"
        )
    return found
