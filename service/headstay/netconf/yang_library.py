"""ietf-yang-library's data (RFC 8525): which modules there are, as state and as the capability that announces it.

Holds the deprecated modules-state too, which many clients still read. Knows no module but by what `datastore.modules`
says of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

from lxml import etree

from headstay import xml
from headstay.datastore.model import DATA
from headstay.datastore.modules import Module
from headstay.datastore.name import Name
from headstay.netconf.operations.datastores import Derived

_NAMESPACE = "urn:ietf:params:xml:ns:yang:ietf-yang-library"
_DATASTORES = "urn:ietf:params:xml:ns:yang:ietf-datastores"
_SET = "headstay"
"""The name of the one module-set and of the one schema."""


def content_id(modules: Sequence[Module]) -> str:
    """Return what changes exactly when a module, its features, its deviations or its text change."""
    digest = hashlib.sha256()
    for module in modules:
        digest.update(f"{module.name}@{module.revision} {module.implemented} {module.features}".encode())
        digest.update(module.file.read_bytes())
    return digest.hexdigest()[:32]


def capability(modules: Sequence[Module]) -> str:
    """Return the capability that tells a client where to look (RFC 7950 section 5.6.4, RFC 8526 section 2)."""
    revision = next(module.revision for module in modules if module.namespace == _NAMESPACE)
    return f"urn:ietf:params:netconf:capability:yang-library:1.1?revision={revision}&content-id={content_id(modules)}"


def library_tree(modules: Sequence[Module], datastores: Collection[Name]) -> etree._Element:
    """Return yang-library and modules-state as a tree."""
    data = xml.element(DATA)
    identity = content_id(modules)
    data.append(_yang_library(modules, datastores, identity))
    data.append(_modules_state(modules, identity))
    return data


def _yang_library(modules: Sequence[Module], datastores: Collection[Name], identity: str) -> etree._Element:
    library = xml.element(_tag("yang-library"))
    module_set = etree.SubElement(library, _tag("module-set"))
    _leaf(module_set, "name", _SET)
    for module in (module for module in modules if module.implemented):
        entry = _described(module_set, "module", module)
        for feature in module.features:
            _leaf(entry, "feature", feature)
        for deviation in module.deviations:
            _leaf(entry, "deviation", deviation)
    for module in (module for module in modules if not module.implemented):
        _described(module_set, "import-only-module", module)
    schema = etree.SubElement(library, _tag("schema"))
    _leaf(schema, "name", _SET)
    _leaf(schema, "module-set", _SET)
    for name in (*(name.value for name in datastores), *(derived.value for derived in Derived)):
        datastore = etree.SubElement(library, _tag("datastore"))
        datastore.append(xml.element(_tag("name"), f"ds:{name}", {"ds": _DATASTORES}))
        _leaf(datastore, "schema", _SET)
    _leaf(library, "content-id", identity)
    return library


def _modules_state(modules: Sequence[Module], identity: str) -> etree._Element:
    revisions = {module.name: module.revision for module in modules}
    state = xml.element(_tag("modules-state"))
    _leaf(state, "module-set-id", identity)
    for module in modules:
        entry = _described(state, "module", module)
        for feature in module.features:
            _leaf(entry, "feature", feature)
        for name in module.deviations:
            deviation = etree.SubElement(entry, _tag("deviation"))
            _leaf(deviation, "name", name)
            _leaf(deviation, "revision", revisions[name])
        _leaf(entry, "conformance-type", "implement" if module.implemented else "import")
    return state


def _described(parent: etree._Element, name: str, module: Module) -> etree._Element:
    entry = etree.SubElement(parent, _tag(name))
    _leaf(entry, "name", module.name)
    _leaf(entry, "revision", module.revision)
    _leaf(entry, "namespace", module.namespace)
    return entry


def _leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, _tag(name)).text = text


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"
