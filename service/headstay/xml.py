"""XML as headstay takes it in and gives it out: one hardened parser, one serialiser, the namespaces by name.

Owns what is refused before anything looks at a document: DOCTYPE, entities, other encodings than UTF-8, depth, number
of nodes, attributes and namespace declarations. Knows no NETCONF semantics and no YANG.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, Final
from xml.etree import ElementTree

from lxml import etree

from headstay.errors import HeadstayError

NETCONF: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
MONITORING: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
NOTIFICATION: Final = "urn:ietf:params:xml:ns:netconf:notification:1.0"
"""RFC 5277's messages."""
STREAMS: Final = "urn:ietf:params:xml:ns:netmod:notification"
"""RFC 5277's streams, and the notifications about a subscription itself."""
SYSTEM: Final = "urn:ietf:params:xml:ns:yang:ietf-system"
YANG: Final = "urn:ietf:params:xml:ns:yang:1"
"""YANG's own words: `insert`, and what its constraints put into <error-info> (RFC 7950 section 15)."""
NACM: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-acm"
HCM: Final = "urn:headstay:yang:cloud-management"

MOST_NODES: Final = 500_000
"""Elements in one document. Deeper than 256 levels or a text over 10 MB is refused by libxml2 itself."""
MOST_ATTRIBUTES: Final = 64
"""Attributes of one element."""
MOST_IN_SCOPE: Final = 128
"""Namespace declarations in scope at one place, repeated ones included. lxml goes through all of them whenever it is
asked what a prefix stands for."""

_ENCODING = re.compile(rb"""(?:\xef\xbb\xbf)?<\?xml\s[^>]*?\sencoding\s*=\s*["']([^"'>]*)["']""")
_MANY_ATTRIBUTES = etree.XPath(f"boolean(//@*[{MOST_ATTRIBUTES + 1}])")
_HARDENED: Final[dict[str, Any]] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "dtd_validation": False,
    "attribute_defaults": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
    "recover": False,
    # Whatever a document declares: nothing is decoded in a way that hides it from the checks of its octets.
    "encoding": "UTF-8",
}


_SMALL: Final = 65_536
"""Octets of a document up to which all share one parser: to make one takes a third of the time of a small document.
lxml lets one thread use a parser at a time, and for more than this another thread would have to wait.
"""
_shared = etree.XMLParser(**_HARDENED)
_LONGEST_KEPT: Final = 256
"""Characters of a tag that is kept with its parts."""


class XmlError(HeadstayError):
    """A document that is not well formed, or that uses what is never accepted (DOCTYPE, entities, too much of all)."""


def parse(octets: bytes, most_elements: int = MOST_NODES, *, apart: bool = False) -> etree._Element:
    """Parse one document, without comments and processing instructions. Raises XmlError; resolves and loads nothing.

    The names in it are kept for as long as this thread lives; `apart` sees to it that no other thread keeps them.
    """
    _check_encoding(octets)
    if b"<!DOCTYPE" in octets:
        raise XmlError("a document type declaration is not accepted")
    parser = etree.XMLParser(**_HARDENED) if apart or len(octets) > _SMALL else _shared
    try:
        root = etree.fromstring(octets, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlError(f"not well-formed XML: {_cause(error)}") from None
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlError("a document type declaration is not accepted")
    _check_amounts(octets, root, most_elements)
    return root


def parse_leaving_nothing(octets: bytes) -> ElementTree.Element:
    """Parse one document with another parser, which keeps nothing for longer than the tree. Raises XmlError."""
    _check_encoding(octets)
    if b"<!DOCTYPE" in octets:
        raise XmlError("a document type declaration is not accepted")
    try:
        return ElementTree.fromstring(octets, ElementTree.XMLParser(encoding="utf-8"))  # noqa: S314 -- no DOCTYPE
    except (ElementTree.ParseError, ValueError) as error:
        raise XmlError(f"not well-formed XML: {_cause(error)}") from None


def _check_encoding(octets: bytes) -> None:
    """RFC 6241 section 3: every message is in UTF-8."""
    if octets.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in octets[:4]:
        raise XmlError("the document is in UTF-16 or UTF-32; only UTF-8 is accepted")
    declared = _ENCODING.match(octets)
    if declared is not None and declared[1].lower() != b"utf-8":
        raise XmlError(f"the document declares the encoding {declared[1][:40]!a}; only UTF-8 is accepted")


def _check_amounts(octets: bytes, root: etree._Element, most_elements: int) -> None:
    # Counting octets is next to nothing and rules out almost every document; only the others are gone through again.
    if octets.count(b"<") > most_elements and sum(1 for _ in root.iter()) > most_elements:
        raise XmlError(f"more than {most_elements} elements in one document")
    if octets.count(b"=") > MOST_ATTRIBUTES and _MANY_ATTRIBUTES(root):
        raise XmlError(f"more than {MOST_ATTRIBUTES} attributes on one element")
    if octets.count(b"xmlns") > MOST_IN_SCOPE and _deepest_scope(octets) > MOST_IN_SCOPE:
        raise XmlError(f"more than {MOST_IN_SCOPE} namespace declarations in scope")


def _deepest_scope(octets: bytes) -> int:
    """Return how many namespace declarations are in scope where they are most."""
    deepest = in_scope = 0
    parser = etree.XMLPullParser(("start-ns", "end-ns"), **_HARDENED)
    parser.feed(octets)
    for event, _ in parser.read_events():
        in_scope += 1 if event == "start-ns" else -1
        deepest = max(deepest, in_scope)
    return deepest


def _cause(error: Exception) -> str:
    # libxml2 quotes names and, rarely, text of the document; the first line without a position is enough to act on.
    return str(error).partition("\n")[0].replace(" (<string>, line ", " (line ")[:200]


def serialise(element: etree._Element) -> bytes:
    """Return the element as UTF-8, without declaration and without a following newline."""
    return etree.tostring(element, encoding="UTF-8", with_tail=False).removeprefix(
        b"<?xml version='1.0' encoding='UTF-8'?>\n"
    )


def element(
    tag: str, text: str | None = None, prefixes: Mapping[str, str] | None = None, prefix: str | None = None
) -> etree._Element:
    """Return a new element, with further prefixes declared for its text.

    Its own namespace is the default one, or has this `prefix`.
    """
    nsmap: dict[str | None, str] = {prefix: etree.QName(tag).namespace or ""}
    nsmap.update((prefixes or {}).items())
    new = etree.Element(tag, nsmap=nsmap)  # type: ignore[arg-type]  # lxml-stubs forgets the default namespace
    new.text = text
    return new


def name(element: etree._Element) -> tuple[str, str]:
    """Return the element's namespace, or the empty string, and its name in that."""
    return _parted(element.tag)


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return _parted(element.tag)[1]


def namespace(element: etree._Element) -> str:
    """Return the element's namespace, or the empty string."""
    return _parted(element.tag)[0]


def _parted(tag: str) -> tuple[str, str]:
    # The same few names come again and again. One that a client has made up may be millions of characters long.
    return _parted_once(tag) if len(tag) <= _LONGEST_KEPT else _part(tag)


def _part(tag: str) -> tuple[str, str]:
    namespace, _, local = str(tag).rpartition("}")
    return namespace[1:], local


_parted_once = functools.lru_cache(maxsize=1024)(_part)
