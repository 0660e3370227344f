"""What a filter has chosen in a data tree, and how that is written.

Owns the way from chosen nodes to octets: ancestors and list keys come along (RFC 6241 sections 6.2.5 and 8.9.5), the
tree is never copied or changed. Whole subtrees are serialised where they stand, since moving a node in lxml loses
declarations of prefixes that only its text uses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from lxml import etree

from headstay import xml
from headstay.datastore.schema import SchemaNode

_DECLARATION = re.compile(rb' xmlns(?::([^=\s]+))?="([^"]*)"')
_Scope = Mapping[str | None, str]
_REPLY_SCOPE: Final[_Scope] = {None: xml.NETCONF}


class Selection:
    """Nodes of one tree: those that are chosen with all that is in them, and those that only lead there."""

    def __init__(self) -> None:
        # A reference keeps lxml's proxy of a node alive, and with it the identity that these sets go by.
        self.whole: set[etree._Element] = set()
        self.partial: set[etree._Element] = set()

    def add(self, element: etree._Element) -> None:
        """Choose an element with all that is in it."""
        self.whole.add(element)
        above = element.getparent()
        while above is not None and above not in self.partial:
            self.partial.add(above)
            above = above.getparent()


def everything(tree: etree._Element) -> Iterator[bytes]:
    """Yield every top-level element of a tree, serialised."""
    return (_without_declarations(xml.serialise(child), _REPLY_SCOPE) for child in tree)


def render(tree: etree._Element, schema: SchemaNode, selection: Selection) -> Iterator[bytes]:
    """Yield what is selected below the root of a tree, serialised, in the tree's order.

    `schema` is the model's root; it says which leafs are keys.
    """
    if tree in selection.whole:
        return everything(tree)
    return _children(tree, schema, selection, _REPLY_SCOPE)


def _children(
    parent: etree._Element, schema: SchemaNode | None, selection: Selection, scope: _Scope
) -> Iterator[bytes]:
    keys = () if schema is None else schema.key_tags
    for child in parent:
        if child in selection.whole or child.tag in keys:
            yield _without_declarations(xml.serialise(child), scope)
        elif child in selection.partial:
            yield from _partial(child, schema and schema.child(str(child.tag)), selection, scope)


def _partial(
    element: etree._Element, schema: SchemaNode | None, selection: Selection, scope: _Scope
) -> Iterator[bytes]:
    # lxml-stubs knows neither the default namespace nor that attributes are a mapping.
    attributes, nsmap = cast(Any, element.attrib), cast(Any, element.nsmap)
    shallow = etree.Element(element.tag, attributes, nsmap)
    opening = xml.serialise(shallow).removesuffix(b"/>") + b">"
    yield _without_declarations(opening, scope)
    yield from _children(element, schema, selection, element.nsmap)
    yield b"</%b>" % re.split(rb"[ >]", opening, maxsplit=1)[0][1:]


def _without_declarations(octets: bytes, scope: _Scope) -> bytes:
    """Leave out of the first tag the namespace declarations that are in scope already.

    lxml escapes `>` and `"` in values, so the first `>` ends the tag and no value looks like a declaration.
    """
    end = octets.index(b">")

    def kept(declaration: re.Match[bytes]) -> bytes:
        prefix = None if declaration[1] is None else declaration[1].decode()
        return b"" if scope.get(prefix) == declaration[2].decode() else declaration[0]

    return _DECLARATION.sub(kept, octets[:end]) + octets[end:]
