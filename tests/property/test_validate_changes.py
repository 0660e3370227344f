"""A tree that changes have led to from a valid one is judged by what they touch exactly as it is as a whole."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from configurations import Configurations, document
from headstay import xml
from headstay.datastore.difference import Edit, difference
from headstay.datastore.edit import edit
from headstay.datastore.model import Model
from headstay.datastore.modules import ModuleUse, module_directories
from headstay.datastore.schema import SchemaNode
from headstay.errors import NetconfError, RpcErrors
from models import TEST_YANG, config, device_model, hcm, made, rules, test_model
from strategies import configurations, edits

SEEDS = st.integers(0, 2**64 - 1)


@functools.cache
def rules_model() -> Model:
    """The test modules without the one whose instance-identifiers may point anywhere."""
    return Model([ModuleUse("test-rules")], [TEST_YANG, *module_directories()])


def judgement(model: Model, tree: etree._Element) -> str:
    return judged(lambda: model.validate(tree))


def judged(validate: Callable[[], None]) -> str:
    try:
        validate()
    except NetconfError as error:
        return told(error)
    except RpcErrors as found:
        return "; ".join(map(told, found.errors))
    return "valid"


def told(error: NetconfError) -> str:
    return f"{error.tag} {error.app_tag} {error.path} {error.message}"


def check(model: Model, old: etree._Element, new: etree._Element) -> None:
    changes = difference(model.schema, old, new)
    assert judged(lambda: model.validate_changes(new, changes)) == judgement(model, new)


@settings(deadline=None)
@given(configurations(), st.lists(edits(), min_size=1, max_size=3))
def test_whatever_is_edited_in_a_valid_configuration_of_the_device(start: str, sequence: list[str]) -> None:
    model = device_model()
    old = made(model, config(start))
    assume(judgement(model, old) == "valid")
    for content in sequence:
        check(model, old, edit(model.schema, old, config(content)).tree)


@settings(deadline=None)
@given(SEEDS, SEEDS)
def test_one_leaf_after_the_other_takes_the_value_that_it_has_in_another_configuration(one: int, other: int) -> None:
    """Every constraint that a single value can break is broken here at some time."""
    for model in (rules_model(), test_model()):
        old, donor = (_tree(model, seed) for seed in (one, other))
        if judgement(model, old) != "valid":
            continue
        for place, leaf in enumerate(old.iter()):
            node = _node(model, leaf)
            if node is None or not node.terminal or (node.parent is not None and node.name in node.parent.keys):
                continue
            for value in dict.fromkeys(found.text for found in donor.iter(leaf.tag)):
                new = xml.parse(xml.serialise(old))
                next(element for at, element in enumerate(new.iter()) if at == place).text = value
                check(model, old, new)


def _tree(model: Model, seed: int) -> etree._Element:
    written = "".join(document(Configurations(model.schema).write(Random(seed), mistakes=0.0)))
    return edit(model.schema, model.empty(), xml.parse(b"<config>" + written.encode() + b"</config>")).tree


def _node(model: Model, element: etree._Element) -> SchemaNode | None:
    way = [element, *element.iterancestors()]
    node: SchemaNode | None = model.schema
    for step in reversed(way[:-1]):
        node = node and node.child(str(step.tag))
    return node


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<mode>plain</mode>", "<mode>deep</mode>"),
        ("<low>1</low><high>5</high>", "<low>6</low><high>5</high>"),
        ("<low>1</low><high>5</high>", "<low>1</low><high>0</high>"),
    ],
)
def test_a_value_that_others_depend_on(before: str, after: str) -> None:
    old, new = (made(rules_model(), rules(content)) for content in (before, after))
    check(rules_model(), old, new)


VALID = """
<mode>plain</mode><plain-only>x</plain-only><low>3</low><high>7</high><limited>5</limited>
<person><name>a</name><mail>m1</mail><home><street>S</street><number>1</number></home>
  <friend>b</friend><boss>b</boss></person>
<person><name>b</name><mail>m2</mail><home><street>T</street><number>1</number></home></person>
<person><name>c</name><mail>m3</mail><home><street>S</street><number>2</number></home></person>
<pair><left>1</left><right>true</right><weight>1</weight></pair>
<crew><member><name>k</name></member><watch>1</watch><watch>2</watch><captain>k</captain></crew>
<reference>a</reference><counted>5</counted>
"""
VALUES = {
    "mode": ("off", "deep"),
    "plain-only": ("y",),
    "low": ("0", "8"),
    "high": ("1", "4", "200"),
    "limited": ("1", "9"),
    "mail": ("m1", "m2", "m3"),
    "street": ("S", "T"),
    "number": ("1", "2", "999"),
    "friend": ("a", "zz"),
    "boss": ("a", "zz"),
    "weight": ("2", "-1"),
    "captain": ("q",),
    "reference": ("b", "7", "zz"),
    "counted": ("1", "2"),
}


def changes_of_values() -> Iterator[tuple[tuple[int, str], ...]]:
    """Every other value of one leaf of VALID, and of any two."""
    leafs = list(made(rules_model(), rules(VALID)).iter())
    single = [
        (place, value)
        for place, leaf in enumerate(leafs)
        for value in VALUES.get(xml.local_name(leaf), ())
        if value != leaf.text
    ]
    yield from ((change,) for change in single)
    yield from (pair for pair in itertools.combinations(single, 2) if pair[0][0] != pair[1][0])


def changed(old: etree._Element, values: tuple[tuple[int, str], ...]) -> etree._Element:
    new = xml.parse(xml.serialise(old))
    elements = list(new.iter())
    for place, value in values:
        elements[place].text = value
    return new


def test_every_other_value_of_one_leaf_and_of_any_two() -> None:
    model = rules_model()
    old = made(model, rules(VALID))
    assert judgement(model, old) == "valid"
    judged = set()
    for values in changes_of_values():
        new = changed(old, values)
        judged.add(judgement(model, new))
        check(model, old, new)
    assert len(judged) > 10  # most constraints of the module have been broken, and some trees were valid
    assert "valid" in judged


def judged_wrongly(model: Model, old: etree._Element, values: tuple[tuple[int, str], ...]) -> bool:
    try:
        check(model, old, changed(old, values))
    except AssertionError:
        return True
    return False


def test_that_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a leaf wrongly held for one that nothing looks at, the test above would fail."""
    model = rules_model()
    old = made(model, rules(VALID))
    looked_at = [node for node in model.schema.walk() if node.name in VALUES and node not in model._unconstrained]
    unnoticed = set()
    for node in looked_at:
        monkeypatch.setattr(model, "_unconstrained", frozenset({node}))
        if not any(judged_wrongly(model, old, values) for values in changes_of_values()):
            unnoticed.add(node.name)
    assert len(looked_at) > 8
    assert unnoticed == {"boss"}  # its leafref requires no instance, so any name will do


def test_a_value_that_nothing_depends_on_is_all_that_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    model = device_model()
    old, new = (made(model, hcm(f"<ping-interval>{value}</ping-interval>")) for value in (20, 30))
    changes = difference(model.schema, old, new)
    assert [change.edit for change in changes] == [Edit.MODIFIED]
    monkeypatch.setattr(Model, "validate", None)
    model.validate_changes(new, changes)


def test_a_value_that_is_not_of_its_type_is_refused() -> None:
    model = device_model()
    old = made(model, hcm("<ping-interval>20</ping-interval>"))
    new = xml.parse(xml.serialise(old).replace(b"20", b"5"))
    assert judgement(model, new) != "valid"
    check(model, old, new)
