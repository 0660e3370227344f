"""What an edit refuses, each with the tag, path and info that RFC 6241 appendix A and RFC 7950 section 15 ask for.

Never quotes a value: it may be a secret.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from lxml import etree

from headstay.datastore.schema import Kind, SchemaNode, error_path
from headstay.datastore.values import NotAValue
from headstay.errors import (
    BadAttribute,
    BadElement,
    DataExists,
    DataMissing,
    ErrorInfo,
    ErrorType,
    InvalidValue,
    MissingAttribute,
    MissingElement,
    NetconfError,
    UnknownAttribute,
    UnknownElement,
    UnknownNamespace,
)

_ATTRIBUTE_ERRORS: dict[str, type[NetconfError]] = {
    "unknown": UnknownAttribute,
    "bad": BadAttribute,
    "missing": MissingAttribute,
}


def unknown(
    namespaces: Collection[str], parent: SchemaNode, target: etree._Element, source: etree._Element
) -> NetconfError:
    """Return the error for an element that the schema does not have there; `namespaces` are all that it has."""
    name = etree.QName(source)
    namespace = name.namespace or ""
    path = error_path(parent, target) if parent.parent is not None else None
    bad = ErrorInfo("bad-element", name.localname)
    if namespace not in namespaces:
        info = (bad, ErrorInfo("bad-namespace", namespace))
        what = f"namespace {namespace!r} is not known here" if namespace else "it has no namespace"
        return UnknownNamespace(f"{name.localname}: {what}", path=path, info=info)
    where = f"below {parent.name}" if parent.parent is not None else "at the top"
    return UnknownElement(f"there is no {name.localname} {where}", path=path, info=[bad])


def state_data(node: SchemaNode, target: etree._Element) -> NetconfError:
    """Return the error for an attempt to write what the device reports."""
    return UnknownElement(
        f"{node.name} is state data and cannot be configured",
        path=error_path(node, None, target),
        info=[ErrorInfo("bad-element", node.name)],
    )


def twice(node: SchemaNode, target: etree._Element) -> NetconfError:
    """Return the error for a leaf or container that stands twice in an edit."""
    info = [ErrorInfo("bad-element", node.name)]
    return BadElement(f"{node.name} stands twice", path=error_path(node, None, target), info=info)


def two_cases(node: SchemaNode, target: etree._Element) -> NetconfError:
    """Return the error for data of more than one case of a choice (RFC 7950 section 8.3.1)."""
    info = [ErrorInfo("bad-element", node.name)]
    message = f"{node.name} excludes something else in the same edit: they are alternatives"
    return BadElement(message, path=error_path(node, None, target), info=info)


def exists(node: SchemaNode, existing: etree._Element) -> NetconfError:
    """Return the error for a create of what is there."""
    return DataExists(f"{node.name} exists already", path=error_path(node, existing))


def missing(node: SchemaNode, target: etree._Element, keys: tuple[etree._Element, ...]) -> NetconfError:
    """Return the error for a delete of what is not there, or for data below it."""
    if not keys:
        return DataMissing(f"{node.name} does not exist", path=error_path(node, None, target))
    entry = keys[0]
    if node.kind is Kind.LIST:
        entry = node.instance()
        entry.extend(keys)
    return DataMissing(f"this {node.name} does not exist", path=error_path(node, entry, target))


def text_in(node: SchemaNode, target: etree._Element, source: etree._Element) -> None:
    """Raise if a container or list entry holds text. Leaf-lists pass."""
    if node.kind is not Kind.LEAF_LIST and holds_text(source):
        info = [ErrorInfo("bad-element", node.name)]
        raise BadElement(f"{node.name} holds elements, not text", path=error_path(node, None, target), info=info)


def holds_text(source: etree._Element) -> bool:
    """Return whether there is text in an element or between those in it."""
    texts = (source.text, *(child.tail for child in source))
    return any(text and not text.isspace() for text in texts)


def text_beside(config: etree._Element) -> NetconfError:
    """Return the error for text beside an edit's top elements: it is the parameter that is wrong."""
    name = etree.QName(config).localname
    info = [ErrorInfo("bad-element", name)]
    return BadElement(f"<{name}> holds elements, not text", info=info, type=ErrorType.PROTOCOL)


def elements_in(node: SchemaNode, target: etree._Element) -> NetconfError:
    """Return the error for a leaf that holds elements."""
    info = [ErrorInfo("bad-element", node.name)]
    return BadElement(f"{node.name} holds a value, not elements", path=error_path(node, None, target), info=info)


def value(node: SchemaNode, target: etree._Element, error: NotAValue) -> NetconfError:
    """Return the error for a text that is not a value of the leaf's type."""
    return InvalidValue(
        f"{node.name}: {error}",
        path=error_path(node, None, target),
        app_tag=error.app_tag,
    )


def key_missing(node: SchemaNode, target: etree._Element, key: str) -> NetconfError:
    """Return the error for a list entry without one of its keys."""
    return MissingElement(
        f"{node.name} needs its key {key}",
        path=error_path(node, None, target),
        info=[ErrorInfo("bad-element", key)],
    )


def attribute(
    kind: Literal["unknown", "bad", "missing"],
    node: SchemaNode,
    target: etree._Element,
    name: str,
    message: str,
    app_tag: str | None = None,
) -> NetconfError:
    """Return the error for an attribute of an edit."""
    local = etree.QName(name).localname
    return _ATTRIBUTE_ERRORS[kind](
        f"{node.name}: {local}: {message}",
        path=error_path(node, None, target),
        app_tag=app_tag,
        info=[ErrorInfo("bad-attribute", local), ErrorInfo("bad-element", node.name)],
    )
