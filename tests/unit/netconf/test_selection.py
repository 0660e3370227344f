"""How what was chosen is written: no namespace is lost, none is declared twice, the tree stays as it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import NC, model
from headstay.netconf.selection import Selection, everything, render

# A prefix that only a text uses, declared on the leaf or above it, once with the same namespace as the default.
DOCUMENT = f"""<data {NC}><a xmlns="urn:a" xmlns:x="urn:x"><b><c>x:one</c><d xmlns:same="urn:a">same:two</d></b><p:e
xmlns:p="urn:p" p:at="&gt;&quot; xmlns=&quot;"><p:f xmlns:x="urn:other">x:three</p:f><p:g/></p:e></a></data>"""


def qualified(element: etree._Element) -> tuple[object, ...]:
    """What an element means, whatever its prefixes are."""
    prefix, _, name = (element.text or "").strip().rpartition(":")
    return (element.tag, dict(element.attrib), (element.nsmap.get(prefix), name) if prefix else name)


def written(octets: bytes) -> etree._Element:
    return etree.fromstring(b"<data %b>%b</data>" % (NC.encode(), octets))


@given(st.sets(st.integers(0, 7)))
def test_chosen_elements_keep_their_meaning(numbers: set[int]) -> None:
    tree = etree.fromstring(DOCUMENT)
    elements = list(tree.iterdescendants())
    selection = Selection()
    expected: set[etree._Element] = set()
    for number in numbers & set(range(len(elements))):
        selection.add(elements[number])
        expected |= {*elements[number].iter(), *elements[number].iterancestors()}
    before = etree.tostring(tree)
    found = written(b"".join(render(tree, model().schema, selection)))
    meanings = [qualified(element) for element in tree.iter() if element in expected and element is not tree]
    assert [qualified(element) for element in found.iterdescendants()] == meanings
    assert etree.tostring(tree) == before


def test_a_declaration_in_scope_is_not_repeated() -> None:
    tree = etree.fromstring(DOCUMENT)
    selection = Selection()
    for tag in ("c", "d"):
        selection.add(next(tree.iter(f"{{urn:a}}{tag}")))
    assert b"".join(render(tree, model().schema, selection)) == (
        b'<a xmlns="urn:a" xmlns:x="urn:x"><b><c>x:one</c><d xmlns:same="urn:a">same:two</d></b></a>'
    )


def test_the_root_stands_for_everything() -> None:
    tree = etree.fromstring(DOCUMENT)
    selection = Selection()
    selection.add(tree)
    assert list(render(tree, model().schema, selection)) == list(everything(tree))
    assert len(list(everything(tree))) == 1
