"""The difference of two trees says everything that changed, each thing once, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from configurations import Configurations, document
from headstay import xml
from headstay.datastore.difference import Change, Edit, difference
from headstay.datastore.edit import edit
from headstay.datastore.entries import key_of
from headstay.datastore.model import Model
from headstay.datastore.schema import Kind, SchemaNode, error_path
from models import config, device_model, made, rules, test_model, text
from strategies import configurations

MIRRORED = {
    Edit.CREATED: Edit.DELETED,
    Edit.DELETED: Edit.CREATED,
    Edit.MODIFIED: Edit.MODIFIED,
    Edit.MOVED: Edit.MOVED,
}


def place(change: Change) -> str:
    return error_path(change.node, change.new if change.new is not None else change.old).text


def nodes(node: SchemaNode, element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield the place and the value of everything that a change can be about."""
    for child in element:
        schema = node.children[child.tag]
        if schema.kind is not Kind.CONTAINER or schema.presence:
            whole = schema.kind is Kind.ANYDATA
            yield (
                error_path(schema, child).text,
                text(child) if whole else (child.text or "") if schema.terminal else "",
            )
        if not schema.terminal and schema.kind is not Kind.ANYDATA:
            yield from nodes(schema, child)


def orders(node: SchemaNode, element: etree._Element) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield the entries of each list that the user orders."""
    for schema in node.children.values():
        children = element.findall(schema.tag)
        if schema.user_ordered and children:
            yield error_path(schema, None, element).text, [key_of(schema, child) for child in children]
        if schema.kind in (Kind.CONTAINER, Kind.LIST):
            for child in children:
                yield from orders(schema, child)


def check(model: Model, old: etree._Element, new: etree._Element) -> None:
    changes = difference(model.schema, old, new)
    assert (not changes) == (unordered(model, old) == unordered(model, new))
    before, after = dict(nodes(model.schema, old)), dict(nodes(model.schema, new))
    expected = Counter(
        {
            **{(Edit.DELETED, where): 1 for where in before.keys() - after.keys()},
            **{(Edit.CREATED, where): 1 for where in after.keys() - before.keys()},
            **{(Edit.MODIFIED, where): 1 for where in before.keys() & after.keys() if before[where] != after[where]},
        }
    )
    found = Counter((change.edit, place(change)) for change in changes)
    moved = {where for kind, where in found if kind is Edit.MOVED}
    assert Counter({key: count for key, count in found.items() if key[0] is not Edit.MOVED}) == expected
    assert all(count == 1 for count in found.values())
    assert moved <= before.keys() & after.keys()
    assert bool(moved) == reordered(model, old, new)

    mirrored = difference(model.schema, new, old)
    assert (
        Counter((MIRRORED[change.edit], place(change)) for change in mirrored if change.edit is not Edit.MOVED)
        == expected
    )
    assert any(change.edit is Edit.MOVED for change in mirrored) == bool(moved)
    for change in mirrored:
        assert (change.old is None) == (change.edit is Edit.CREATED)
        assert (change.new is None) == (change.edit is Edit.DELETED)


def unordered(model: Model, tree: etree._Element) -> tuple[object, object]:
    """Return what a tree means: entries that the system orders may stand anywhere."""
    return dict(nodes(model.schema, tree)), dict(orders(model.schema, tree))


def reordered(model: Model, old: etree._Element, new: etree._Element) -> bool:
    before, after = dict(orders(model.schema, old)), dict(orders(model.schema, new))
    return any(
        [key for key in before[where] if key in after[where]] != [key for key in after[where] if key in before[where]]
        for where in before.keys() & after.keys()
    )


@settings(deadline=None)
@given(configurations(), configurations())
def test_of_two_configurations(first: str, second: str) -> None:
    model = device_model()
    check(model, made(model, config(first)), made(model, config(second)))


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.sampled_from(["made", "merged"]))
def test_of_two_trees_with_every_kind_of_node(first: int, second: int, how: str) -> None:
    model = test_model()
    written = [
        xml.parse(
            b"<config>" + "".join(document(Configurations(model.schema).write(Random(seed)))).encode() + b"</config>"
        )
        for seed in (first, second)
    ]
    old = edit(model.schema, model.empty(), written[0]).tree
    new = edit(model.schema, old if how == "merged" else model.empty(), written[1]).tree
    check(model, old, new)


@settings(deadline=None)
@given(configurations())
def test_of_a_tree_and_itself(content: str) -> None:
    model = device_model()
    tree = made(model, config(content))
    assert difference(model.schema, tree, tree) == []
    assert difference(model.schema, tree, xml.parse(xml.serialise(tree))) == []


@settings(deadline=None)
@given(configurations(), configurations())
def test_trees_without_lists_differ_exactly_when_their_octets_do(first: str, second: str) -> None:
    model = device_model()
    old, new = made(model, config(first)), made(model, config(second))
    for tree in (old, new):
        for node in model.schema.walk():
            for entry in tree.findall(f".//{node.tag}") if node.kind in (Kind.LIST, Kind.LEAF_LIST) else []:
                above = entry.getparent()
                assert above is not None
                above.remove(entry)
    old, new = (made(model, tree) for tree in (old, new))  # canonical again: no container is empty
    assert (difference(model.schema, old, new) == []) == (text(old) == text(new))


@settings(deadline=None)
@given(st.permutations("abcd"), st.permutations("abcd"), st.integers(0, 4), st.integers(0, 4))
def test_of_entries_in_another_order(first: list[str], second: list[str], left: int, right: int) -> None:
    model = test_model()
    old, new = (
        made(model, rules("".join(f"<order>{name}</order>" for name in order)))
        for order in (first[:left], second[:right])
    )
    check(model, old, new)
