"""The estimate of what an XPath expression costs: what clients send is linear, and what is not is found out."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fakes_netconf import model
from headstay.datastore.schema import SchemaNode
from headstay.netconf.limits import Limits
from headstay.netconf.xpath_cost import DEEPEST, Size, affordable
from headstay.netconf.xpath_tokens import split, tokens


def can_afford(expression: str, nodes: int, characters: int | None = None) -> bool:
    size = Size(nodes, nodes * 8 if characters is None else characters)
    return affordable(split(list(tokens(expression)), "|"), size, Limits().xpath_work)


def levels(node: SchemaNode) -> int:
    return 1 + max(map(levels, node.children.values()), default=0)


def test_the_models_are_no_deeper_than_the_estimate_believes() -> None:
    assert levels(model().schema) <= DEEPEST


def above(node: SchemaNode) -> Iterator[SchemaNode]:
    while node.parent is not None:
        node = node.parent
        yield node


def test_what_bears_a_name_stands_in_the_order_of_the_models() -> None:
    """Nothing lies within a node of its name. Where one node of a name stands beside the branch that another one is in,
    the branch comes last. So what bears a name need not be sorted, whatever is asked about its parents.
    """
    for node in model().schema.walk():
        branch = node
        for ancestor in above(node):
            assert ancestor.tag != node.tag
            namesake = ancestor.children.get(node.tag, branch)
            assert namesake is branch or ancestor.order[namesake.tag] < ancestor.order[branch.tag]
            branch = ancestor


@pytest.mark.parametrize(
    "expression",
    [
        "/a:top",
        "/a:top/a:entry/a:name",
        "/a:top/a:entry[a:name = 'x']",
        "/a:top/a:entry[a:name = 'x'][a:value = 'y']/a:value",
        "//a:entry[a:name = 'x' and a:value > 3]",
        "//*",
        "//node()",
        "//a:entry/*",
        "//a:entry/a:name/text()",
        "//a:name | //a:value",
        "/a:top/a:entry[contains(a:name, 'eth')]",
        "/a:top/a:entry[count(a:name) = 1]",
    ],
)
def test_what_is_linear_may_run_on_very_large_trees(expression: str) -> None:
    assert can_afford(expression, 100_000)


@pytest.mark.parametrize(
    "expression",
    [
        "//a:entry[a:name = a:value]",
        "//a:entry[../a:name]",
        "//a:entry[/a:top]",
        "//a:entry[a:name | a:value]",
        "(//a:name | //a:value)",
        "//a:entry/ancestor::*",
        "//a:entry/following-sibling::*",
        "//a:entry/..//a:name/..",
        "//a:entry/parent::*[a:name]",
        "//a:entry/namespace::*",
        "//*[a:name]",
        "//node()[1]",
        "//*/text()",
        "//a:entry//*/node()",
        "//./*/node()",
        "descendant::*/a:*",
    ],
)
def test_what_is_not_may_run_on_small_ones(expression: str) -> None:
    assert can_afford(expression, 30)
    assert not can_afford(expression, 30_000)


@pytest.mark.parametrize(
    "expression",
    [
        "//a:entry[contains(a:name, a:value)]",
        "//a:entry[substring-before(a:name, a:value) = 'x']",
        "//a:entry[substring-after(a:name, string(a:value)) = 'x']",
        "//a:entry[translate(a:name, a:value, '') = 'x']",
    ],
)
def test_long_texts_count_as_many_nodes_do(expression: str) -> None:
    assert can_afford(expression, 30, characters=100)
    assert not can_afford(expression, 30, characters=100_000)


def test_the_length_of_what_is_searched_for_counts() -> None:
    assert can_afford("//a:entry[contains(a:name, 'x')]", 1000, characters=500_000)
    assert not can_afford(f"//a:entry[contains(a:name, '{'x' * 1000}')]", 1000, characters=500_000)


def test_parentheses_that_do_not_match_are_no_obstacle() -> None:
    for expression in (
        ")))",
        "(((",
        "concat(",
        "a) = (b",
        "translate(a",
        "contains(,)",
        "= a =",
        "[[[",
        "]]]",
        "parent::",
    ):
        assert isinstance(can_afford(expression, 10), bool)
