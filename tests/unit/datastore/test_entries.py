"""Places among siblings, and that finding them costs no walk."""

from __future__ import annotations

from lxml import etree

from headstay.datastore.entries import Siblings, key_of
from headstay.datastore.schema import SchemaNode
from models import made, rules, test_model, values

PEERS = "tr:rules/tr:order"


def parts(content: str) -> tuple[etree._Element, etree._Element, SchemaNode]:
    tree = made(test_model(), rules(content))
    return tree, tree[0], test_model().schema.find("/tr:rules/order")


def entry(node: SchemaNode, text: str) -> etree._Element:
    return node.instance(text)


def test_keys() -> None:
    tree = made(test_model(), rules("<pair><left>1</left><right>true</right></pair><order>x</order>"))
    schema = test_model().schema
    assert key_of(schema.find("/tr:rules/pair"), tree[0][0]) == ("1", "true")
    assert key_of(schema.find("/tr:rules/order"), tree[0][1]) == ("x",)


def test_every_way_to_place_an_entry() -> None:
    tree, parent, node = parts("<low>1</low><order>a</order><order>b</order><sorted>1</sorted>")
    siblings = Siblings()
    found = siblings.entry(parent, node, ("a",))
    assert found is parent[1]
    siblings.append(parent, node, entry(node, "c"))
    assert values(tree, PEERS) == list("abc")
    siblings.prepend(parent, node, entry(node, "d"))
    siblings.prepend(parent, node, entry(node, "e"))
    assert values(tree, PEERS) == list("edabc")
    siblings.append(parent, node, entry(node, "f"))
    assert values(tree, PEERS) == list("edabcf")
    siblings.move_last(parent, node, parent[1])
    assert values(tree, PEERS) == list("dabcfe")
    siblings.insert(parent, node, entry(node, "g"), found, after=True)
    siblings.insert(parent, node, entry(node, "h"), found, after=False)
    assert values(tree, PEERS) == list("dhagbcfe")
    assert [child.tag.partition("}")[2] for child in parent][::9] == ["low", "sorted"]


def test_the_ends_are_right_after_they_move_away() -> None:
    tree, parent, node = parts("<order>a</order><order>b</order><sorted>1</sorted>")
    siblings = Siblings()

    def at(key: str) -> etree._Element:
        found = siblings.entry(parent, node, (key,))
        assert found is not None
        return found

    siblings.append(parent, node, entry(node, "c"))
    siblings.prepend(parent, node, at("c"))
    siblings.append(parent, node, entry(node, "d"))
    assert values(tree, PEERS) == list("cabd")
    siblings.insert(parent, node, at("c"), at("d"), after=True)
    siblings.prepend(parent, node, entry(node, "e"))
    siblings.append(parent, node, entry(node, "f"))
    assert values(tree, PEERS) == list("eabdcf")
    siblings.remove(parent, node, at("f"))
    siblings.remove(parent, node, at("e"))
    siblings.append(parent, node, entry(node, "g"))
    siblings.prepend(parent, node, entry(node, "h"))
    assert values(tree, PEERS) == list("habdcg")
    siblings.prepend(parent, node, at("h"))
    siblings.move_last(parent, node, at("g"))
    assert values(tree, PEERS) == list("habdcg")


def test_what_was_removed_is_found_no_more() -> None:
    _, parent, node = parts("<order>a</order><order>b</order>")
    siblings = Siblings()
    first = siblings.entry(parent, node, ("a",))
    assert first is not None
    siblings.remove(parent, node, first)
    assert siblings.entry(parent, node, ("a",)) is None
    siblings.clear(parent)
    assert siblings.entry(parent, node, ("b",)) is None
    siblings.append(parent, node, entry(node, "c"))
    assert siblings.entry(parent, node, ("c",)) is parent[0]


def test_clear_keeps_keys() -> None:
    tree = made(test_model(), rules("<pair><left>1</left><right>true</right><weight>2</weight></pair>"))
    pair = test_model().schema.find("/tr:rules/pair")
    Siblings().clear(tree[0][0], keep=pair.key_tags)
    assert [child.text for child in tree[0][0]] == ["1", "true"]


def test_an_only_child_is_placed_by_schema_order() -> None:
    _, parent, node = parts("<low>1</low><sorted>1</sorted>")
    Siblings().prepend(parent, node, entry(node, "a"))
    assert [child.tag.partition("}")[2] for child in parent] == ["low", "order", "sorted"]
