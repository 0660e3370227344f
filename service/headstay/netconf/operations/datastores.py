"""How parameters name a datastore: by an element (RFC 6241) or by an identity (RFC 8526)."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.name import Name
from headstay.errors import ErrorType, InvalidValue
from headstay.netconf.operations.parameters import Parameters, datastore_names, leaf_text, named_datastore

NMDA: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
_IDENTITIES: Final = "urn:ietf:params:xml:ns:yang:ietf-datastores"
_PARAMETER: Final[Mapping[str, str]] = {"datastore": NMDA}
"""What ietf-netconf-nmda adds to <lock>, <unlock> and <validate>."""


class Derived(enum.Enum):
    """Datastores that nobody writes (RFC 8342)."""

    INTENDED = "intended"
    """What running comes to: the same, since there are no templates and no inactive nodes here."""
    OPERATIONAL = "operational"


Datastore = Name | Derived


def named(parameters: Parameters, name: str, among: Collection[Name]) -> Name:
    """Return the datastore in a <target> or <source>. Raises a NetconfError if it is none of these."""
    chosen = parameters.alternative(name, datastore_names(among), _PARAMETER)
    return _identified_or_named(chosen, among)


def named_or_config(parameters: Parameters, name: str, among: Collection[Name]) -> Name | etree._Element:
    """Return the datastore, or the <config> given in its place."""
    allowed = [*datastore_names(among), "config"]
    chosen = parameters.alternative(name, allowed, _PARAMETER)
    return chosen if xml.local_name(chosen) == "config" else _identified_or_named(chosen, among)


def identified(leaf: etree._Element, among: Collection[Datastore]) -> Datastore:
    """Return the datastore that a leaf of type datastore-ref names. Raises InvalidValue if it is none of these."""
    text = leaf_text(leaf)
    prefix, colon, name = text.rpartition(":")
    # Clients that leave the prefix out, or do not declare it, mean the module that defines the identities.
    if not colon or leaf.nsmap.get(prefix, _IDENTITIES) == _IDENTITIES:
        for datastore in among:
            if datastore.value == name:
                return datastore
    names = ", ".join(datastore.value for datastore in among)
    raise InvalidValue(f"{text!r} is none of the datastores {names}", type=ErrorType.PROTOCOL)


def _identified_or_named(chosen: etree._Element, among: Collection[Name]) -> Name:
    if xml.local_name(chosen) != "datastore":
        return named_datastore(chosen)
    found = identified(chosen, among)
    if isinstance(found, Name):
        return found
    raise InvalidValue(f"{found.value} can be read only", type=ErrorType.PROTOCOL)
