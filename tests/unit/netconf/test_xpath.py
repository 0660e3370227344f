"""XPath filters: what they choose, how their prefixes are found, and what is refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import CLOUD, USERS, model, tree_of
from headstay import errors, xml
from headstay.netconf.selection import render
from headstay.netconf.xpath import LONGEST_EXPRESSION, select

TREE = tree_of(CLOUD, USERS)


def chosen(expression: str, tree: etree._Element = TREE, **prefixes: str) -> list[str]:
    octets = b"".join(render(tree, model().schema, select(tree, expression, {None: xml.HCM, **prefixes}, model())))
    found = etree.fromstring(b"<data>%b</data>" % octets)
    return [f"{xml.local_name(e)}={e.text}" for e in found.iter() if len(e) == 0 and e.text]


ALL = chosen("/")
SERVER = ["domain=cloud.example"]
FIRST = ["domain=b1.example", "port=1001"]


def test_the_root_is_everything() -> None:
    assert ALL == chosen("/*") == chosen(" / ") == chosen("//*")
    assert len(ALL) == 7


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("/hcm:cloud-management/hcm:server", SERVER),
        ("hcm:cloud-management/hcm:server", SERVER),
        ("/hcm:cloud-management/hcm:server/hcm:domain", SERVER),
        ("/hcm:cloud-management/hcm:server/hcm:domain/text()", SERVER),
        ("//hcm:server", SERVER),
        ("/child::hcm:cloud-management/descendant::hcm:server", SERVER),
        ("/*/hcm:server", SERVER),
        ("//hcm:backup-server[hcm:domain = 'b1.example']", FIRST),
        ("//hcm:backup-server[hcm:domain='b1.example']/hcm:port", FIRST),
        ("//hcm:backup-server[1]", FIRST),
        ("//hcm:port", FIRST),
        ("//hcm:port | //hcm:server", [*SERVER, *FIRST]),
        ("//hcm:backup-server[hcm:port > 1000 and not(/hcm:nothing)]", FIRST),
        ("/hcm:cloud-management[/sys:system]/hcm:server", SERVER),
        ("(//hcm:server)", SERVER),
        ("//hcm:server[contains('/[//|', '/')]", SERVER),
        ("//hcm:nothing", []),
        ("//server", []),
        ("//@nothing", []),
        ("/hcm:cloud-management/hcm:server/namespace::*", []),
        ("//hcm:port[. * 2 = 2002]", FIRST),
        ("//hcm:port[. div 7 = 143]", FIRST),
    ],
)
def test_what_is_chosen(expression: str, expected: list[str]) -> None:
    assert chosen(expression) == expected


def test_ancestors_and_keys_come_along() -> None:
    octets = b"".join(render(TREE, model().schema, select(TREE, "//hcm:port", {}, model())))
    assert octets == (
        b'<cloud-management xmlns="urn:headstay:yang:cloud-management"><backup-server><domain>b1.example</domain>'
        b"<port>1001</port></backup-server></cloud-management>"
    )


def test_an_undeclared_prefix_is_a_modules_prefix_or_its_name() -> None:
    assert chosen("//hcm:server") == chosen("//headstay-cloud-management:server") == SERVER
    assert chosen("//sys:name") == chosen("//ietf-system:name") == ["name=admin", "name=guest"]
    assert chosen("//*[hcm:*]/hcm:server") == SERVER


def test_a_declared_prefix_is_the_clients() -> None:
    assert chosen("//mine:server", mine=xml.HCM) == SERVER
    assert chosen("//hcm:server", hcm="urn:other") == []
    assert chosen("//sys:server", sys=xml.HCM) == SERVER


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "//",
        "/hcm:cloud-management[",
        "hcm:a hcm:b",
        "count(//*)",
        "'text'",
        "1 + 1",
        "true()",
        "//nowhere:a",
        "$variable",
        "//*[no-such-function(.)]",
        "//*[re:test(., '(a+)+b')]",
        "/hcm:a/;",
        "'unfinished",
        "::",
        "a:b:c",
        "(" * 2000 + "1" + ")" * 2000,
    ],
)
def test_a_wrong_expression_is_an_invalid_value(expression: str) -> None:
    with pytest.raises(errors.InvalidValue) as caught:
        chosen(expression, re="http://exslt.org/regular-expressions") if "re:" in expression else chosen(expression)
    assert caught.value.type is errors.ErrorType.PROTOCOL


def big_tree(entries: int) -> etree._Element:
    tree = etree.Element(f"{{{xml.NETCONF}}}data")
    top = etree.SubElement(tree, f"{{{xml.HCM}}}top")
    for number in range(entries):
        entry = etree.SubElement(top, f"{{{xml.HCM}}}entry")
        etree.SubElement(entry, f"{{{xml.HCM}}}name").text = str(number)
        etree.SubElement(entry, f"{{{xml.HCM}}}value").text = "x"
    return tree


@pytest.mark.parametrize(
    "expression",
    [
        "//*[//*[//*]]",
        "//*[count(//*) = count(//*)]",
        "//hcm:entry[//hcm:name = //hcm:value]",
        "//hcm:entry[../hcm:entry/hcm:name = 'x']",
        "//*/following::*/preceding::*",
        "//hcm:name[preceding::hcm:name]",
        "//*[ancestor::*[descendant::*]]",
        "//hcm:name | //*[//* | //*/..]",
        "/hcm:top/hcm:entry[/hcm:top/hcm:entry/hcm:name = 'x']",
        "//" + "/".join(["*//*"] * 20),
        "x" * (LONGEST_EXPRESSION + 1),
    ],
)
def test_an_expression_whose_cost_explodes_is_refused_before_it_runs(expression: str) -> None:
    tree = big_tree(5000)
    started = time.process_time()
    with pytest.raises(errors.ResourceDenied):
        chosen(expression, tree)
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "expression",
    [
        "//hcm:entry[hcm:name = '17']",
        "//hcm:nothing | //hcm:entry[hcm:name = '17'] | //hcm:nothing",
        "/hcm:top/hcm:entry[hcm:name = '17']",
        "/hcm:top/hcm:entry[hcm:name = 17 and hcm:value = 'x'][1]",
        "/hcm:top/hcm:entry[starts-with(hcm:name, '17')][string-length(hcm:name) = 2]",
    ],
)
def test_ordinary_expressions_run_on_large_trees(expression: str) -> None:
    assert chosen(expression, big_tree(5000)) == ["name=17", "value=x"]


PIECES = st.sampled_from(
    ["/", "//", "*", "hcm:server", "hcm:port", "[", "]", "(", ")", "..", ".", "|", "=", "'x'", "1", "@", "::", "child",
     "and", "-", "<", "count(", "last()", "div", ",", "$", "text()", "ancestor::", "node()", " ", "x:y", "\x00", "é"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_expression_chooses_or_is_refused(expression: str) -> None:
    try:
        chosen(expression)
    except (errors.InvalidValue, errors.ResourceDenied):
        return
