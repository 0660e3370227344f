"""The schema as the rest of the program sees it: plain nodes with what edit, diff, filters and rules need to know.

`model` builds it from the YANG library; nothing here knows that library. Also owns how an instance is named in an
error: `error_path`.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from headstay import xml
from headstay.datastore.values import NotAValue
from headstay.errors import ErrorPath


class Kind(enum.Enum):
    """What a schema node is (RFC 7950 section 4.2.2)."""

    ROOT = "root"
    CONTAINER = "container"
    LIST = "list"
    LEAF = "leaf"
    LEAF_LIST = "leaf-list"
    ANYDATA = "anydata"


class DefaultDeny(enum.Enum):
    """What is denied where no rule says otherwise (RFC 8341 section 3.4.5, steps 9 and 10)."""

    NOTHING = "nothing"
    WRITE = "write"
    ALL = "all"


class Protection(enum.Enum):
    """Which leafs hold something that nobody may see in clear."""

    SECRET = "secret"  # noqa: S105 - the name of the model's typedef
    CRYPT_HASH = "crypt-hash"


@dataclass(frozen=True, slots=True)
class Canonical:
    """A value in canonical form, and the prefixes that its text uses."""

    text: str
    prefixes: Mapping[str, str] = field(default_factory=dict)


def _no_value(*_: object) -> Any:
    raise NotAValue("expected elements, not a value")


@dataclass(eq=False)
class SchemaNode:
    """One data node of the schema. Built once by `model`, never changed after."""

    name: str
    namespace: str
    prefix: str
    module: str
    kind: Kind
    parent: SchemaNode | None
    config: bool = True
    keys: tuple[str, ...] = ()
    """Local names of a list's keys, in order."""
    user_ordered: bool = False
    presence: bool = False
    defaults: tuple[str, ...] = ()
    """Default values in canonical form; more than one only for a leaf-list."""
    cases: tuple[tuple[str, str], ...] = ()
    """(choice, case) pairs that this node stands in, outermost first. A choice is named by its schema path."""
    protection: Protection | None = None
    default_deny: DefaultDeny = DefaultDeny.NOTHING
    """That of the node itself or, if that denies more, of a node above it."""
    prefixed: bool = False
    """Whether instances are written with their module's prefix. They are where a value near them may use prefixes:
    lxml drops a declaration that only a text needs when the namespace is in scope under another prefix, or none.
    """
    canonical: Callable[[str, Mapping[str | None, str]], Canonical] = _no_value
    """Leafs and leaf-lists: text and in-scope prefixes to the canonical value. Raises values.NotAValue."""
    json: Callable[[str], object] = _no_value
    """Leafs and leaf-lists: canonical text to its RFC 7951 JSON value."""
    children: dict[str, SchemaNode] = field(default_factory=dict)
    """By tag (`{namespace}name`), in schema order, through choices and cases."""
    order: dict[str, int] = field(default_factory=dict)
    """Tag of a child to its place in schema order."""

    @functools.cached_property
    def tag(self) -> str:
        """The lxml tag of an instance."""
        return f"{{{self.namespace}}}{self.name}"

    @functools.cached_property
    def key_tags(self) -> tuple[str, ...]:
        """The lxml tags of a list's keys; a key is always in the list's own namespace."""
        return tuple(f"{{{self.namespace}}}{key}" for key in self.keys)

    @functools.cached_property
    def path(self) -> str:
        """The schema path, for instance `/hcm:cloud-management/server/port`: a prefix only where the module changes."""
        if self.parent is None:
            return ""
        step = self.name if self.parent.module == self.module else f"{self.prefix}:{self.name}"
        return f"{self.parent.path}/{step}"

    @functools.cached_property
    def holds_emptiable(self) -> bool:
        """Whether there are containers without presence in it, which mean nothing when they are empty."""
        return any(
            (node.kind is Kind.CONTAINER and not node.presence) or node.holds_emptiable
            for node in self.children.values()
        )

    def instance(self, text: str | None = None, prefixes: Mapping[str, str] | None = None) -> etree._Element:
        """Return a new instance, with the prefixes that its text uses."""
        return xml.element(self.tag, text, prefixes, self.prefix if self.prefixed else None)

    @functools.cached_property
    def terminal(self) -> bool:
        """Whether instances hold a value instead of children."""
        return self.kind in (Kind.LEAF, Kind.LEAF_LIST)

    def child(self, tag: str) -> SchemaNode | None:
        """Return the data node of that tag right below this one."""
        return self.children.get(tag)

    def walk(self) -> Iterator[SchemaNode]:
        """Yield every node below this one, parents first."""
        for node in self.children.values():
            yield node
            yield from node.walk()

    def find(self, path: str) -> SchemaNode:
        """Return the node with this `path` below the root. Raises KeyError."""
        for node in self.walk():
            if node.path == path:
                return node
        raise KeyError(path)


def error_path(node: SchemaNode, element: etree._Element | None, parent: etree._Element | None = None) -> ErrorPath:
    """Name an instance for <error-path> (RFC 6241 section 4.3).

    `element` is the instance, in any tree of the schema. Where it does not exist or stands in no tree yet, give the
    `parent` that lacks it. List entries are named by the keys they have; where XPath 1.0 has no way to write one of
    them, the nearest ancestor is named instead.
    """
    steps: list[str] = []
    prefixes: dict[str, str] = {}
    exact = True
    current, at = node, element
    above = element.getparent() if parent is None and element is not None else parent
    while current.parent is not None:
        predicates = _predicates(current, at)
        if predicates is None:
            exact = False
            steps.clear()
            prefixes.clear()
        else:
            prefixes[current.prefix] = current.namespace
            steps.append(f"{current.prefix}:{current.name}{predicates}")
        current, at = current.parent, above
        above = at.getparent() if at is not None else None
    return ErrorPath("/" + "/".join(reversed(steps)), tuple(prefixes.items()), exact)


def _predicates(node: SchemaNode, element: etree._Element | None) -> str | None:
    """Return the predicates that name an entry; None if they cannot be written."""
    if element is None:
        return ""
    if node.kind is Kind.LEAF_LIST:
        named = [(".", element.text or "")]
    else:
        keys = [
            (f"{node.prefix}:{name}", element.find(tag)) for name, tag in zip(node.keys, node.key_tags, strict=True)
        ]
        named = [(name, key.text or "") for name, key in keys if key is not None]
    if any("'" in value and '"' in value for _, value in named):
        return None
    return "".join(f"[{name}={_quoted(value)}]" for name, value in named)


def _quoted(text: str) -> str:
    return f"'{text}'" if "'" not in text else f'"{text}"'
