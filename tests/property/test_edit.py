"""Whatever is edited: a tree is canonical, an edit changes nothing but its result, and saying a thing twice is once."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from configurations import Configurations, document
from headstay import xml
from headstay.datastore.edit import DefaultOperation, edit, edited
from headstay.datastore.entries import key_of
from headstay.datastore.model import Model
from headstay.datastore.schema import Kind, SchemaNode
from headstay.errors import RpcErrors
from models import config, device_model, made, test_model, text
from strategies import DEFAULT_OPERATIONS, configurations, edits

SEEDS = st.integers(0, 2**64 - 1)


def canonical(node: SchemaNode, element: etree._Element) -> None:
    """Assert that a tree below this node is as the package says that trees are."""
    places = []
    names = set()
    for child in element:
        schema = node.children[child.tag]
        assert schema.config
        assert not child.attrib
        places.append(node.order[child.tag])
        name = (child.tag, key_of(schema, child) if schema.kind in (Kind.LIST, Kind.LEAF_LIST) else ())
        assert name not in names, name
        names.add(name)
        if schema.terminal:
            value = schema.canonical(child.text or "", child.nsmap)
            assert value.text == (child.text or "")
            assert all(child.nsmap[prefix] == uri for prefix, uri in value.prefixes.items())
            assert len(child) == 0
        elif schema.kind is not Kind.ANYDATA:
            assert not (child.text or "").strip()
            assert len(child) or schema.presence
            assert tuple(grandchild.tag for grandchild in list(child)[: len(schema.keys)]) == schema.key_tags
            canonical(schema, child)
    assert places == sorted(places)
    cases = {case for child in element for case in node.children[child.tag].cases}
    assert len(cases) == len({choice for choice, _ in cases}), cases


def document_of(model: Model, seed: int) -> etree._Element:
    """Return an edit of the test modules, with few mistakes."""
    written = "".join(document(Configurations(model.schema).write(Random(seed), mistakes=0.01)))
    return xml.parse(b"<config>" + written.encode() + b"</config>")


@settings(deadline=None)
@given(configurations(), st.lists(st.tuples(edits(), DEFAULT_OPERATIONS), max_size=5))
def test_a_sequence_of_edits_leaves_a_canonical_tree_or_errors_and_the_old_tree(
    start: str, sequence: list[tuple[str, DefaultOperation]]
) -> None:
    schema = device_model().schema
    tree = made(device_model(), config(start))
    canonical(schema, tree)
    for content, default_operation in sequence:
        change = config(content)
        before = text(tree), text(change)
        outcome = edit(schema, tree, change, default_operation)
        assert (text(tree), text(change)) == before
        canonical(schema, outcome.tree)
        if outcome.errors:
            with pytest.raises(RpcErrors) as caught:
                edited(schema, tree, change, default_operation)
            assert [str(error) for error in caught.value.errors] == [str(error) for error in outcome.errors]
            assert text(tree) == before[0]
        else:
            tree = edited(schema, tree, change, default_operation)
            assert text(tree) == text(outcome.tree)


@settings(deadline=None)
@given(st.lists(SEEDS, min_size=1, max_size=4))
def test_edits_of_every_kind_of_node_leave_canonical_trees(seeds: list[int]) -> None:
    model = test_model()
    tree = model.empty()
    for seed in seeds:
        tree = edit(model.schema, tree, document_of(model, seed)).tree
        canonical(model.schema, tree)


@settings(deadline=None)
@given(configurations())
def test_a_tree_applied_to_itself_is_itself(content: str) -> None:
    tree = made(device_model(), config(content))
    for default_operation in ("merge", "replace", "none"):
        assert text(edited(device_model().schema, tree, tree, default_operation)) == text(tree)


@settings(deadline=None)
@given(configurations(), configurations())
def test_replacing_everything_forgets_everything(first: str, second: str) -> None:
    tree = made(device_model(), config(first))
    assert text(edited(device_model().schema, tree, config(second), "replace")) == text(
        made(device_model(), config(second))
    )


@settings(deadline=None)
@given(configurations(), edits())
def test_merging_the_result_of_an_edit_again_changes_nothing(start: str, content: str) -> None:
    schema = device_model().schema
    tree = edit(schema, made(device_model(), config(start)), config(content)).tree
    assert text(edited(schema, tree, tree)) == text(tree)


@settings(deadline=None)
@given(SEEDS)
def test_a_tree_comes_back_from_its_serialisation(seed: int) -> None:
    """Values with prefixes among them."""
    model = test_model()
    tree = edit(model.schema, model.empty(), document_of(model, seed)).tree
    again = made(model, xml.parse(xml.serialise(tree)))
    assert text(again) == text(tree)
    canonical(model.schema, again)


@settings(deadline=None)
@given(configurations(), configurations())
def test_removing_every_top_level_node_leaves_nothing(first: str, second: str) -> None:
    schema = device_model().schema
    tree = edited(schema, made(device_model(), config(first)), config(second))
    gone = "".join(
        f'<{node.prefix}:{node.name} nc:operation="remove"/>' for node in schema.children.values() if node.config
    )
    assert len(edited(schema, tree, config(gone))) == 0
