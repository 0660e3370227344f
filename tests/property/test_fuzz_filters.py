"""Filters: whatever a client asks for, it gets part of the data, or is told what is wrong."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import CLOUD, USERS, model, tree_of
from headstay import xml
from headstay.errors import InvalidValue, NetconfError, ResourceDenied
from headstay.netconf.filters import filtered
from headstay.netconf.limits import Limits
from headstay.netconf.selection import render
from headstay.netconf.xpath import select
from mutations import damaged, expressions

TREE = tree_of(CLOUD, USERS)
LEAFS = {(leaf.tag, leaf.text) for leaf in TREE.iter() if len(leaf) == 0}
NAMES = (
    "hcm:cloud-management",
    "hcm:server",
    "hcm:backup-server",
    "hcm:domain",
    "hcm:port",
    "sys:name",
    "hcm:*",
    "x:y",
)
FILTER = f'<filter xmlns="{xml.NETCONF}" xmlns:h="{xml.HCM}" type="subtree">%s</filter>'
FILTERS = (
    FILTER
    % "<h:cloud-management><h:backup-server><h:domain>b1.example</h:domain></h:backup-server></h:cloud-management>",
    FILTER % f'<h:cloud-management><h:server h:a="b"/></h:cloud-management><system xmlns="{xml.SYSTEM}"/>',
    FILTER % '<cloud-management xmlns=""><server><domain>\n cloud.example </domain></server></cloud-management>',
    (FILTER % "").replace('"subtree"', '"xpath" select="/h:cloud-management/h:server"'),
)


def check_part(octets: bytes) -> None:
    """What is chosen is in the data."""
    found = etree.fromstring(b"<data>%b</data>" % octets)
    assert {(leaf.tag, leaf.text) for leaf in found.iter() if len(leaf) == 0 and leaf is not found} <= LEAFS


def check_expression(expression: str) -> None:
    try:
        selection = select(TREE, expression, {None: xml.HCM}, model(), Limits())
    except (InvalidValue, ResourceDenied):
        return
    check_part(b"".join(render(TREE, model().schema, selection)))


@given(expressions(NAMES))
def test_an_expression_by_the_grammar_chooses_or_is_refused(expression: str) -> None:
    check_expression(expression)


def grown(shape: Sequence[int]) -> etree._Element:
    """A tree in which each number says how far up from the last node the next one hangs."""
    tree = etree.Element(f"{{{xml.NETCONF}}}data")
    at = etree.SubElement(tree, f"{{{xml.HCM}}}cloud-management")
    for place, up in enumerate(shape):
        for _ in range(up):
            at = at.getparent() if at.getparent().getparent() is not None else at
        at = etree.SubElement(at, f"{{{xml.HCM}}}{('server', 'backup-server', 'domain', 'port')[place % 4]}")
        at.text = "1001"
    return tree


BUSHY, WIDE, LONG = grown([0, 1, 0, 2] * 40), grown([1] * 3_000), grown([1] * 8)
for leaf in LONG[0]:
    leaf.text = "ab" * 5_000


@settings(deadline=None)
@given(expressions(NAMES), st.sampled_from([BUSHY, WIDE, LONG]))
def test_an_expression_on_a_tree_of_any_shape_ends(expression: str, tree: etree._Element) -> None:
    """`tools/fuzz filters` shows which took longest."""
    try:
        select(tree, expression, {None: xml.HCM}, model(), Limits())
    except (InvalidValue, ResourceDenied):
        return


CALLS = (
    b"//hcm:server[re-match(hcm:domain, '[a-z]{1,8}\\.(ex.*)+')]",
    b"//hcm:port[current()//hcm:port = .] | deref(//sys:name)/..",
    b"//*[derived-from-or-self(., 'hcm:local') or bit-is-set(., 'x') or enum-value(.) > 1]",
)


@given(damaged([b"/hcm:cloud-management/hcm:server", b"//hcm:port[. = '1001'] | //sys:name", b"count(//*[1])", *CALLS]))
def test_a_damaged_expression_chooses_or_is_refused(octets: bytes) -> None:
    check_expression(octets.decode("utf-8", "replace"))


@given(damaged([text.encode() for text in FILTERS]))
def test_a_damaged_filter_chooses_or_is_refused(octets: bytes) -> None:
    try:
        wanted = xml.parse(octets)
    except xml.XmlError:
        return
    try:
        pieces = b"".join(filtered(TREE, wanted, model(), Limits()))
    except NetconfError:
        return
    check_part(pieces)
