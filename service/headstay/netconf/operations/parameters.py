"""The parameters of an operation, read strictly: nothing unknown, nothing twice (RFC 7950 section 8.3.1).

One thing is taken leniently: a parameter without a namespace counts as one of the operation's own, since that is what
some clients send.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.name import Name
from headstay.errors import (
    BadElement,
    ErrorInfo,
    ErrorType,
    InvalidValue,
    MissingElement,
    NetconfError,
    TooBig,
    UnknownAttribute,
    UnknownElement,
    UnknownNamespace,
)

MOST_REPEATED: Final = 100
"""Entries of a leaf-list among the parameters; there are far fewer values that could be meant."""
_OF_FILTER: Final = {"type", "select", f"{{{xml.NETCONF}}}type", f"{{{xml.NETCONF}}}select"}
"""Unqualified, but clients that write nc:filter tend to write nc:type as well."""
_DATASTORES: Final = {datastore.value: datastore for datastore in Name}


class Parameters:
    """The children of one element, each at most once."""

    def __init__(
        self,
        element: etree._Element,
        allowed: Collection[str],
        namespace: str = xml.NETCONF,
        augmented: Mapping[str, str] | None = None,
        repeated: Collection[str] = (),
        in_base: Collection[str] = (),
    ) -> None:
        """`allowed` are the local names; `augmented` those that other modules add, with their namespaces; `repeated`
        are the names of leaf-lists; those in `in_base` may stand in the base protocol's namespace too.

        Raises a NetconfError for a child that is not allowed or stands twice, for text and for unknown attributes.
        """
        augmented = augmented or {}
        if element.keys():
            _check_attributes(element)
        _check_text(element, element.text)
        self._element = element
        self._found: dict[str, etree._Element] = {}
        self._repeated: dict[str, list[etree._Element]] = {name: [] for name in repeated}
        for child in element:
            of, name = xml.name(child)
            if of and of != augmented.get(name, namespace) and not (of == xml.NETCONF and name in in_base):
                raise _unknown_namespace(child)
            known = name in allowed or name in augmented or name in self._repeated
            if known and child.keys():
                _check_attributes(child)
            _check_text(element, child.tail)  # one by one: there may be hundreds of thousands, none of which is known
            if not known:
                raise unknown_element(child)
            if name in self._repeated:
                self._repeat(name, child)
            elif name in self._found:
                info = [ErrorInfo("bad-element", name)]
                raise BadElement(f"<{name}> stands twice", info=info, type=ErrorType.PROTOCOL)
            else:
                self._found[name] = child

    def _repeat(self, name: str, child: etree._Element) -> None:
        self._repeated[name].append(child)
        if len(self._repeated[name]) > MOST_REPEATED:
            raise TooBig(f"<{name}> stands more than {MOST_REPEATED} times", type=ErrorType.PROTOCOL)

    def optional(self, name: str) -> etree._Element | None:
        """Return the parameter, or None."""
        return self._found.get(name)

    def required(self, name: str) -> etree._Element:
        """Return the parameter. Raises MissingElement."""
        if name not in self._found:
            raise _missing(name, f"<{xml.local_name(self._element)}> needs <{name}>")
        return self._found[name]

    def flag(self, name: str) -> bool:
        """Return whether a leaf of type empty is there."""
        found = self._found.get(name)
        if found is not None:
            _check_empty(found)
        return found is not None

    def all(self, name: str) -> list[etree._Element]:
        """Return the entries of a leaf-list."""
        return self._repeated[name]

    def text(self, name: str) -> str | None:
        """Return the text of a leaf, without white space around it; None if it is not there."""
        found = self._found.get(name)
        return None if found is None else leaf_text(found)

    def choice(self, name: str, values: Collection[str]) -> str | None:
        """Return the value of a leaf that is an enumeration; None if it is not there. Raises InvalidValue."""
        value = self.text(name)
        if value is not None and value not in values:
            raise InvalidValue(f"<{name}> is one of {', '.join(values)}", type=ErrorType.PROTOCOL)
        return value

    def datastore(self, name: str, among: Collection[Name]) -> Name:
        """Return the datastore that <source> or <target> names. Raises a NetconfError if it is none of these."""
        return named_datastore(self.alternative(name, datastore_names(among)))

    def datastore_or_config(self, name: str, among: Collection[Name]) -> Name | etree._Element:
        """Return the datastore, or the <config> given in its place."""
        named = self.alternative(name, [*datastore_names(among), "config"])
        return named if xml.local_name(named) == "config" else named_datastore(named)

    def alternative(
        self, name: str, allowed: Collection[str], augmented: Mapping[str, str] | None = None
    ) -> etree._Element:
        """Return the one element in a parameter that is a choice."""
        chosen = Parameters(self.required(name), allowed, augmented=augmented)._found
        if not chosen:
            raise _missing(name, f"<{name}> needs one of {', '.join(allowed)}")
        first, *others = chosen.values()
        if others:
            info = [ErrorInfo("bad-element", xml.local_name(others[0]))]
            raise BadElement(f"<{name}> takes one element only", info=info, type=ErrorType.PROTOCOL)
        return first


def leaf_text(leaf: etree._Element) -> str:
    """Return a leaf's text without white space around it. Raises UnknownElement if there is an element in it."""
    if len(leaf):
        raise unknown_element(leaf[0])
    return (leaf.text or "").strip()


def named_datastore(leaf: etree._Element) -> Name:
    """Return the datastore that is named by an element of its name. Raises a NetconfError if that is not empty."""
    _check_empty(leaf)
    return _DATASTORES[xml.local_name(leaf)]


def datastore_names(among: Collection[Name]) -> list[str]:
    """Return the names by which these datastores are called in an rpc."""
    return [name for name, datastore in _DATASTORES.items() if datastore in among]


def _check_text(element: etree._Element, text: str | None) -> None:
    if text and not text.isspace():
        raise _bad(element, "holds elements, not text")


def _check_empty(leaf: etree._Element) -> None:
    if leaf_text(leaf):
        raise _bad(leaf, "is empty")


def _check_attributes(element: etree._Element) -> None:
    """Raise UnknownAttribute unless an element's attributes are those of a filter, or belong to XML itself."""
    for attribute in map(str, element.keys()):
        name = xml.local_name(element)
        if attribute in _OF_FILTER and name == "filter":
            continue
        if not attribute.startswith("{http://www.w3.org/"):
            local = etree.QName(attribute).localname
            info = [ErrorInfo("bad-attribute", local), ErrorInfo("bad-element", name)]
            raise UnknownAttribute(f"<{name}> has no attribute {local}", info=info, type=ErrorType.PROTOCOL)


def _bad(element: etree._Element, what: str) -> NetconfError:
    name = xml.local_name(element)
    return BadElement(f"<{name}> {what}", info=[ErrorInfo("bad-element", name)], type=ErrorType.PROTOCOL)


def unknown_element(element: etree._Element) -> NetconfError:
    """Return the error for an element that nothing here defines."""
    name = xml.local_name(element)
    return UnknownElement(
        f"<{name}> is not expected here", info=[ErrorInfo("bad-element", name)], type=ErrorType.PROTOCOL
    )


def _unknown_namespace(element: etree._Element) -> NetconfError:
    name, namespace = xml.local_name(element), xml.namespace(element)
    info = [ErrorInfo("bad-element", name), ErrorInfo("bad-namespace", namespace)]
    return UnknownNamespace(f"<{name}> in {namespace} is not expected here", info=info, type=ErrorType.PROTOCOL)


def _missing(name: str, message: str) -> NetconfError:
    return MissingElement(message, info=[ErrorInfo("bad-element", name)])
