"""ietf-yang-library's data agrees with the modules that are loaded, and is valid by its own model."""

from __future__ import annotations

from dataclasses import replace

from lxml import etree

from fakes_netconf import model
from headstay.datastore.name import Name
from headstay.datastore.schema import Kind, SchemaNode
from headstay.netconf.yang_library import capability, content_id, library_tree

NAMES = (Name.RUNNING, Name.CANDIDATE)
LIBRARY = "{urn:ietf:params:xml:ns:yang:ietf-yang-library}"


def test_every_leaf_is_a_value_of_the_model() -> None:
    def check(element: etree._Element, node: SchemaNode) -> int:
        if node.terminal:
            node.canonical(element.text or "", element.nsmap)
            return 1
        places = [node.order[child.tag] for child in element]
        assert node.kind is Kind.ROOT or places == sorted(places), element.tag
        return sum(check(child, node.children[child.tag]) for child in element)

    assert check(library_tree(model().modules, NAMES), model().schema) > 50


def test_implemented_and_imported_modules() -> None:
    tree = library_tree(model().modules, NAMES)
    implemented = [leaf.text for leaf in tree.iterfind(f".//{LIBRARY}module-set/{LIBRARY}module/{LIBRARY}name")]
    imported = [leaf.text for leaf in tree.iterfind(f".//{LIBRARY}import-only-module/{LIBRARY}name")]
    assert implemented == [module.name for module in model().modules if module.implemented]
    assert imported == [module.name for module in model().modules if not module.implemented]
    assert "headstay-cloud-management" in implemented
    assert "ietf-inet-types" in imported


def test_datastores() -> None:
    tree = library_tree(model().modules, NAMES)
    names = [leaf.text for leaf in tree.iterfind(f".//{LIBRARY}datastore/{LIBRARY}name")]
    assert names == ["ds:running", "ds:candidate", "ds:intended", "ds:operational"]


def test_content_id_changes_with_the_schema() -> None:
    modules = model().modules
    other = (replace(modules[0], features=("something-new",)), *modules[1:])
    assert content_id(modules) == content_id(modules)
    assert content_id(other) != content_id(modules)
    assert content_id(modules[:-1]) != content_id(modules)
    assert f"content-id={content_id(modules)}" in capability(modules)
    assert "revision=2019-01-04" in capability(modules)
