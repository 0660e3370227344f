"""Filters of <get> and <get-config>: subtree filtering in full (RFC 6241 section 6), and the way in to XPath.

Knows elements, namespaces and list keys; knows no datastore. Both kinds of filter give a `Selection`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from lxml import etree

from headstay import xml
from headstay.datastore.model import Model
from headstay.errors import BadAttribute, ErrorInfo, ErrorType, MissingAttribute, ResourceDenied
from headstay.netconf import xpath
from headstay.netconf.limits import Limits
from headstay.netconf.selection import Selection, everything, render
from headstay.netconf.xpath_cost import Size


def filtered(tree: etree._Element, filter: etree._Element | None, model: Model, limits: Limits) -> Iterator[bytes]:
    """Yield the serialised top-level elements of what a <filter> chooses; everything without one.

    Raises the NetconfError that a wrong filter asks for.
    """
    if filter is None:
        return everything(tree)
    if _type(filter) == "subtree":
        selection = subtree(tree, filter, limits.filter_comparisons)
    else:
        selection = xpath.select(tree, _select_attribute(filter), filter.nsmap, model, limits)
    return render(tree, model.schema, selection)


def condition(filter: etree._Element, model: Model, largest: Size, limits: Limits) -> Callable[[etree._Element], bool]:
    """Return what tells of a notification's content, below an element <data>, whether a <filter> lets it pass.

    A subtree filter lets pass what it chooses anything of, an XPath filter what its expression is true of (RFC 5277
    section 3.6). `largest` is the most that it is asked about. It never raises. Raises the NetconfError that a wrong
    filter asks for. Call it in a thread that ends with it.
    """
    if _type(filter) == "xpath":
        return xpath.condition(_select_attribute(filter), filter.nsmap, model, largest, limits)
    octets = xml.serialise(filter)
    elements = sum(1 for _ in filter.iter())
    if len(octets) > limits.subscription_filter_octets or elements > limits.subscription_filter_elements:
        raise ResourceDenied("the filter is too large to be held against each notification", type=ErrorType.PROTOCOL)
    own = xml.parse(octets, apart=True)  # the message that it came in need not be kept
    # Bounded by the sizes of both, and refused to nobody any more: the session has been told <ok/>.
    return lambda tree: bool(subtree(tree, own, math.inf).whole)


def _type(filter: etree._Element) -> str:
    """Return subtree or xpath. Raises BadAttribute."""
    kind = _attribute(filter, "type", "subtree")
    if kind not in ("subtree", "xpath"):
        info = [ErrorInfo("bad-attribute", "type"), ErrorInfo("bad-element", "filter")]
        raise BadAttribute("a filter is of type subtree or xpath", info=info, type=ErrorType.PROTOCOL)
    return kind


def _attribute(filter: etree._Element, name: str, default: str | None = None) -> str | None:
    # The attributes are unqualified, but clients that write nc:filter tend to write nc:type as well.
    return filter.get(name, filter.get(f"{{{xml.NETCONF}}}{name}", default))


def _select_attribute(filter: etree._Element) -> str:
    expression = _attribute(filter, "select")
    if expression is None:
        info = [ErrorInfo("bad-attribute", "select"), ErrorInfo("bad-element", "filter")]
        raise MissingAttribute("an XPath filter needs the attribute select", info=info, type=ErrorType.PROTOCOL)
    return expression


def subtree(tree: etree._Element, filter: etree._Element, most_comparisons: float) -> Selection:
    """Return what a subtree filter chooses. Raises ResourceDenied where that would take too many comparisons.

    A filter without an element chooses nothing (RFC 6241 section 6.4.2).
    """
    subtree = _Subtree(most_comparisons)
    if len(filter):
        subtree.choose(tree, [filter])
    return subtree.selection


class _Subtree:
    """One run of a subtree filter."""

    def __init__(self, most_comparisons: float) -> None:
        self.selection = Selection()
        self._comparisons_left = most_comparisons
        self._names: dict[etree._Element, tuple[str, str] | None] = {}
        """What the qualified names in the filter stand for, once found out."""

    def choose(self, node: etree._Element, filters: Iterable[etree._Element]) -> bool:
        """Select of `node` what the filter nodes that match it ask for; return whether that is anything."""
        siblings: list[etree._Element] = []
        for wanted in filters:
            contents = [child for child in wanted if _is_content_match(child)]
            if not all(self._any_match(node, content) for content in contents):
                continue
            if len(contents) == len(wanted):
                # A selection node (6.2.4), a content match node (its caller compared it), or a sibling set of content
                # match nodes only (6.2.5): the whole subtree is chosen.
                self.selection.whole.add(node)
                return True
            siblings.extend(wanted)
        return self._choose_children(node, siblings)

    def _choose_children(self, node: etree._Element, filters: list[etree._Element]) -> bool:
        if not filters:
            return False
        by_name: dict[str, list[etree._Element]] = {}
        for wanted in filters:
            by_name.setdefault(xml.local_name(wanted), []).append(wanted)
        chosen = False
        for child in node.iterchildren(*{f"{{*}}{name}" for name in by_name}):
            matching = [wanted for wanted in by_name[xml.local_name(child)] if self._matches(child, wanted)]
            if matching and self.choose(child, matching):
                chosen = True
        if chosen:
            self.selection.partial.add(node)
        return chosen

    def _any_match(self, node: etree._Element, content: etree._Element) -> bool:
        return any(self._matches(child, content) for child in node.iterchildren(f"{{*}}{xml.local_name(content)}"))

    def _matches(self, node: etree._Element, filter: etree._Element) -> bool:
        """Whether a filter node of the same local name stands for a data node: namespace, attributes, content."""
        self._comparisons_left -= 1
        if self._comparisons_left < 0:
            raise ResourceDenied(
                "the filter asks for too much work; name fewer entries at once", type=ErrorType.PROTOCOL
            )
        # RFC 6241 section 6.2.1: an element without a namespace matches in every namespace.
        if xml.namespace(filter) not in ("", xml.namespace(node)):
            return False
        if any(node.get(str(name)) != value for name, value in filter.attrib.items()):
            return False
        return not _is_content_match(filter) or self._same_content(node, filter)

    def _same_content(self, node: etree._Element, filter: etree._Element) -> bool:
        """RFC 6241 section 6.2.5: the text is compared without the white space around it.

        A qualified name (an identityref) is compared as such: the client has its own prefixes.
        """
        if len(node):
            return False
        wanted, found = (filter.text or "").strip(), (node.text or "").strip()
        if wanted == found or ":" not in found:
            return wanted == found
        if filter not in self._names:
            self._names[filter] = _resolved(wanted, filter)
        name = self._names[filter]
        return name is not None and name == _resolved(found, node)


def _is_content_match(filter: etree._Element) -> bool:
    return len(filter) == 0 and bool((filter.text or "").strip())


def _resolved(text: str, element: etree._Element) -> tuple[str, str] | None:
    prefix, colon, name = text.rpartition(":")
    namespace = element.nsmap.get(prefix if colon else None)
    return None if namespace is None else (namespace, name)
