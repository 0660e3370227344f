"""<get-data> and <edit-data> of the Network Management Datastore Architecture (RFC 8526)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.defaults import DefaultsMode
from headstay.datastore.edit import EditOptions
from headstay.datastore.name import Name
from headstay.datastore.operational import Origin, origin_of, without_origins
from headstay.datastore.schema import SchemaNode
from headstay.errors import BadElement, ErrorInfo, ErrorType, InvalidValue
from headstay.netconf.filters import subtree
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations import with_defaults
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.datastores import NMDA, Datastore, Derived, identified
from headstay.netconf.operations.parameters import Parameters, leaf_text
from headstay.netconf.selection import Selection, render
from headstay.netconf.xpath import select

ORIGINS: Final = "urn:ietf:params:xml:ns:yang:ietf-origin"
OPERATIONAL_DEFAULTS: Final = "urn:ietf:params:netconf:capability:with-operational-defaults:1.0"
"""The capability that allows with-defaults for the operational datastore (RFC 8526 section 3.1.1.2)."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of the chosen nodes is wanted."""

    config: bool | None
    """Configuration only, state only, or both."""
    origins: frozenset[Origin] | None
    """Of configuration nodes, those of these origins; None: all."""
    depth: int | None
    """Levels below each chosen node, itself included."""

    @property
    def everything(self) -> bool:
        return self == _Wanted(None, None, None)


async def get_data(context: Context, operation: etree._Element) -> Reply:
    """Return what is chosen of a datastore (section 3.1.1)."""
    parameters = Parameters(
        operation,
        ("datastore", "subtree-filter", "xpath-filter", "config-filter", "max-depth", "with-origin"),
        NMDA,
        with_defaults.PARAMETER,
        repeated=("origin-filter", "negated-origin-filter"),
    )
    source = identified(parameters.required("datastore"), (*context.datastores.names, *Derived))
    wanted = _Wanted(_config_filter(parameters), _origin_filter(parameters, source), _max_depth(parameters))
    with_origin = parameters.flag("with-origin")
    if with_origin and source is not Derived.OPERATIONAL:
        raise _invalid("with-origin goes with the operational datastore only")
    shown = _shown(context, parameters, source)

    def reply() -> Reply:
        tree = shown()
        selection = _selection(context, parameters, tree)
        schema = context.datastores.model.schema
        if not wanted.everything:
            selection = _restricted(tree, schema, selection, wanted)
        if source is Derived.OPERATIONAL and not with_origin:
            without_origins(tree)
        pieces = render(tree, schema, selection)
        return Reply(f'<data xmlns="{NMDA}">'.encode() + b"".join(pieces) + b"</data>")

    return await context.computed(reply)


async def edit_data(context: Context, operation: etree._Element) -> Reply:
    """Edit a writable datastore, all or nothing (section 3.1.2)."""
    parameters = Parameters(operation, ("datastore", "default-operation", "config"), NMDA)
    target = identified(parameters.required("datastore"), (Name.RUNNING, Name.CANDIDATE))
    assert isinstance(target, Name)  # noqa: S101 -- `identified` chose among names
    default_operation = parameters.choice("default-operation", ("merge", "replace", "none")) or "merge"
    options = EditOptions(default_operation, error_option="rollback-on-error")  # type: ignore[arg-type]
    await context.datastores.edit(context.requester, target, parameters.required("config"), options)
    return OK


# what is returned


def _shown(context: Context, parameters: Parameters, source: Datastore) -> Callable[[], etree._Element]:
    """Return what makes the tree that is read; it may be called in a thread."""
    stores, requester = context.datastores, context.requester
    view = stores.view(requester)
    if source is Derived.OPERATIONAL:
        states, learned = context.operational_state(), context.learned()
        operational_mode = with_defaults.requested(parameters, DefaultsMode.REPORT_ALL)
        return lambda: view.operational(learned, *states(), mode=operational_mode)
    name = Name.RUNNING if source is Derived.INTENDED else source
    assert isinstance(name, Name)  # noqa: S101 -- the other derived one was dealt with above
    return functools.partial(view.config, stores.read(name), with_defaults.requested(parameters))


def _selection(context: Context, parameters: Parameters, tree: etree._Element) -> Selection:
    by_subtree, by_xpath = parameters.optional("subtree-filter"), parameters.optional("xpath-filter")
    if by_subtree is not None and by_xpath is not None:
        info = [ErrorInfo("bad-element", "xpath-filter")]
        raise BadElement("subtree-filter and xpath-filter exclude each other", info=info, type=ErrorType.PROTOCOL)
    if by_subtree is not None:
        return subtree(tree, by_subtree, context.limits.filter_comparisons)
    if by_xpath is not None:
        model, limits = context.datastores.model, context.limits
        return select(tree, leaf_text(by_xpath), by_xpath.nsmap, model, limits)
    selection = Selection()
    selection.whole.add(tree)
    return selection


def _restricted(tree: etree._Element, schema: SchemaNode, chosen: Selection, wanted: _Wanted) -> Selection:
    """Return what of the chosen nodes is wanted."""
    restriction = _Restriction(chosen, wanted)
    if tree in chosen.whole:
        # Without a filter the top-level nodes count as chosen, each with its own depth.
        chosen.whole.discard(tree)
        chosen.whole.update(tree)
        chosen.partial.add(tree)
    restriction.children(schema, tree, None)
    return restriction.selection


class _Restriction:
    """One run through a tree."""

    def __init__(self, chosen: Selection, wanted: _Wanted) -> None:
        self.selection = Selection()
        self._chosen = chosen
        self._wanted = wanted

    def children(self, node: SchemaNode, element: etree._Element, levels: int | None) -> bool:
        """Take what is wanted below an element; `levels` are left in a chosen subtree, None: it only leads there."""
        taken = False
        for child in element:
            schema = node.children[child.tag]
            here = levels
            if child in self._chosen.whole:
                here = max(levels or 0, self._wanted.depth or 1_000_000)
            if here is None and child not in self._chosen.partial:
                continue
            if here == 0:
                continue
            taken |= self._take(schema, child, here)
        if taken:
            self.selection.partial.add(element)
        return taken

    def _take(self, node: SchemaNode, element: etree._Element, levels: int | None) -> bool:
        if node.terminal or not node.children:
            if levels is None or not self._matches(node, element):
                return False
            self.selection.whole.add(element)
            return True
        below = self.children(node, element, None if levels is None else levels - 1)
        itself = levels is not None and self._means_something(node) and self._matches(node, element)
        if itself or below:
            self.selection.partial.add(element)
        return itself or below

    def _means_something(self, node: SchemaNode) -> bool:
        # A container without presence is only there for what is in it; where the depth ends, it stands for that.
        return node.presence or bool(node.keys) or self._wanted.depth is not None

    def _matches(self, node: SchemaNode, element: etree._Element) -> bool:
        wanted = self._wanted
        if wanted.config is not None and node.config is not wanted.config:
            return False
        return wanted.origins is None or not node.config or origin_of(element) in wanted.origins


# parameters


def _config_filter(parameters: Parameters) -> bool | None:
    chosen = parameters.choice("config-filter", ("true", "false"))
    return None if chosen is None else chosen == "true"


def _max_depth(parameters: Parameters) -> int | None:
    text = parameters.text("max-depth")
    if text is None or text == "unbounded":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= 65535):
        raise _invalid("max-depth is from 1 to 65535, or unbounded")
    return int(text)


def _origin_filter(parameters: Parameters, source: Datastore) -> frozenset[Origin] | None:
    wanted, unwanted = parameters.all("origin-filter"), parameters.all("negated-origin-filter")
    if not wanted and not unwanted:
        return None
    if source is not Derived.OPERATIONAL:
        raise _invalid("origin filters go with the operational datastore only")
    if wanted and unwanted:
        info = [ErrorInfo("bad-element", "negated-origin-filter")]
        raise BadElement(
            "origin-filter and negated-origin-filter exclude each other", info=info, type=ErrorType.PROTOCOL
        )
    if wanted:
        return frozenset(map(_origin, wanted))
    return frozenset(Origin) - frozenset(map(_origin, unwanted))


def _origin(leaf: etree._Element) -> Origin:
    text = leaf_text(leaf)
    prefix, colon, name = text.rpartition(":")
    if leaf.nsmap.get(prefix if colon else None, ORIGINS) in (ORIGINS, NMDA, xml.NETCONF):
        for origin in Origin:
            if origin.value == name:
                return origin
    raise _invalid(f"{text!r} is no origin")


def _invalid(message: str) -> InvalidValue:
    return InvalidValue(message, type=ErrorType.PROTOCOL)
