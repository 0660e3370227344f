"""XML as headstay takes it in and gives it out: one hardened parser, one serialiser, the namespaces by name.

Owns what is refused before anything looks at a document: DOCTYPE, entities, depth, number of nodes. Knows no NETCONF
semantics and no YANG.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lxml import etree

from headstay.errors import HeadstayError

NETCONF: Final = "urn:ietf:params:xml:ns:netconf:base:1.0"
MONITORING: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring"
SYSTEM: Final = "urn:ietf:params:xml:ns:yang:ietf-system"
HCM: Final = "urn:headstay:yang:cloud-management"

MOST_NODES: Final = 500_000
"""Elements in one document. Deeper than 256 levels or a text over 10 MB is refused by libxml2 itself."""


class XmlError(HeadstayError):
    """A document that is not well formed, or that uses what is never accepted (DOCTYPE, entities, too many nodes)."""


def parse(octets: bytes) -> etree._Element:
    """Parse one document, without comments and processing instructions. Raises XmlError; resolves and loads nothing."""
    if b"<!DOCTYPE" in octets:
        raise XmlError("a document type declaration is not accepted")
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=False,
    )
    try:
        root = etree.fromstring(octets, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise XmlError(f"not well-formed XML: {_cause(error)}") from None
    # A document in UTF-16 hides its DOCTYPE from the check of the octets above.
    if root.getroottree().docinfo.internalDTD is not None:
        raise XmlError("a document type declaration is not accepted")
    if octets.count(b"<") > MOST_NODES and sum(1 for _ in root.iter()) > MOST_NODES:
        raise XmlError(f"more than {MOST_NODES} elements in one document")
    return root


def _cause(error: Exception) -> str:
    # libxml2 quotes names and, rarely, text of the document; the first line without a position is enough to act on.
    return str(error).partition("\n")[0][:200]


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


def local_name(element: etree._Element) -> str:
    """Return the element's name without its namespace."""
    return etree.QName(element).localname


def namespace(element: etree._Element) -> str:
    """Return the element's namespace, or the empty string."""
    return etree.QName(element).namespace or ""
