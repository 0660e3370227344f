"""The operational datastore (RFC 8342 section 5.3): the configuration in use with its origins, and the state.

Pure. Knows which values were set, which are defaults and which were learned only by being handed them; knows no
protocol.
"""

from __future__ import annotations

import copy
import enum
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.defaults import DefaultsMode, with_defaults
from headstay.datastore.overlay import lay_over
from headstay.datastore.schema import SchemaNode

ORIGIN_NAMESPACE: Final = "urn:ietf:params:xml:ns:yang:ietf-origin"
ORIGIN: Final = f"{{{ORIGIN_NAMESPACE}}}origin"
"""The attribute that says where a configuration node comes from; nodes below it inherit it (RFC 7952, RFC 8342)."""


class Origin(enum.Enum):
    """Where a value in use comes from (RFC 8342 section 5.3.4)."""

    INTENDED = "intended"
    DEFAULT = "default"
    LEARNED = "learned"
    SYSTEM = "system"
    DYNAMIC = "dynamic"
    UNKNOWN = "unknown"


def operational(
    schema: SchemaNode,
    config: etree._Element,
    learned: etree._Element,
    *states: etree._Element,
    mode: DefaultsMode = DefaultsMode.REPORT_ALL,
) -> etree._Element:
    """Return a new tree of what is in use: `config` with its defaults, what was `learned` in its place, and the state.

    Every configuration node has its origin, its own or an ancestor's.
    """
    shown = with_defaults(schema, config, mode)
    result = etree.Element(shown.tag, nsmap={**shown.nsmap, "or": ORIGIN_NAMESPACE})  # type: ignore[dict-item]
    for child in shown:
        result.append(copy.deepcopy(child))
    if shown is not config:
        _mark_defaults(result, config)
    for child in result:
        mark(child, Origin.INTENDED)
    tagged = copy.deepcopy(learned)
    for leaf in tagged.iter():
        if not len(leaf):
            mark(leaf, Origin.LEARNED)
    lay_over(result, schema, tagged, *states)
    return result


def mark(element: etree._Element, origin: Origin) -> None:
    """Give an element an origin."""
    element.set(ORIGIN, f"or:{origin.value}")


def origin_of(element: etree._Element) -> Origin:
    """Return a configuration node's origin: its own, or that of the nearest ancestor that has one."""
    at: etree._Element | None = element
    while at is not None:
        text = at.get(ORIGIN)
        if text is not None:
            return Origin(text.removeprefix("or:"))
        at = at.getparent()
    return Origin.UNKNOWN


def without_origins(tree: etree._Element) -> None:
    """Take every origin out of a tree, in place."""
    for element in tree.iter():
        if ORIGIN in element.attrib:
            del element.attrib[ORIGIN]


def _mark_defaults(shown: etree._Element, config: etree._Element) -> None:
    """Mark each leaf that is not in the configuration. Completion adds leafs only where there were none."""
    by_tag: dict[str, list[etree._Element]] = {}
    for child in config:
        by_tag.setdefault(child.tag, []).append(child)
    seen: dict[str, int] = {}
    for child in shown:
        place = seen[child.tag] = seen.get(child.tag, -1) + 1
        set_ones = by_tag.get(child.tag, [])
        if place < len(set_ones):
            if len(child):
                _mark_defaults(child, set_ones[place])
        elif len(child):
            _mark_defaults(child, xml.element(child.tag))
        else:
            mark(child, Origin.DEFAULT)
