"""XPath filters: what they choose, how their prefixes are found, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import CLOUD, USERS, model, tree_of
from headstay import errors, xml
from headstay.netconf import xpath
from headstay.netconf.limits import Limits
from headstay.netconf.selection import render
from headstay.netconf.xpath import select

TREE = tree_of(CLOUD, USERS)


def chosen(expression: str, tree: etree._Element = TREE, limits: Limits | None = None, **prefixes: str) -> list[str]:
    selection = select(tree, expression, {None: xml.HCM, **prefixes}, model(), limits or Limits())
    octets = b"".join(render(tree, model().schema, selection))
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
        ("//hcm:port[. = /*/hcm:backup-server/hcm:port]", FIRST),
        ("(//hcm:port | //hcm:nothing)[1]", FIRST),
        ("//hcm:server[contains('a|b', '|')] | //hcm:port[. != '|']", [*SERVER, *FIRST]),
        ("//hcm:*[hcm:port | hcm:nothing]/hcm:port", FIRST),
        ("//hcm:port[ancestor::hcm:backup-server]", FIRST),
        ("//hcm:port[contains(., concat('0', '0'))]", FIRST),
        ("//hcm:port[translate(., ../hcm:port, 'abcd') = 'abba']", FIRST),
    ],
)
def test_what_is_chosen(expression: str, expected: list[str]) -> None:
    assert chosen(expression) == expected


def test_ancestors_and_keys_come_along() -> None:
    octets = b"".join(render(TREE, model().schema, select(TREE, "//hcm:port", {}, model(), Limits())))
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
        "//* |",
        "| //*",
        "//* | | //*",
        "//* | 1",
        "//*[translate(., 'a']",
        "//*[)(]",
        "concat(",
        "//hcm:port[. = '\x1c']",
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
        "x" * (Limits().xpath_characters + 1),
    ],
)
def test_an_expression_whose_cost_explodes_is_refused_before_it_runs(
    expression: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xpath, "_evaluated", lambda *_: pytest.fail("it ran"))
    with pytest.raises(errors.ResourceDenied):
        chosen(expression, big_tree(5000))


LETTERS = "abcdefghijklmnopqrstuvwxyz"
DOTS = ",".join(["."] * 40)
BOMB = f"translate(concat({DOTS}),'{LETTERS}','{'é' * 26}')"


@pytest.mark.parametrize(
    "expression",
    [
        f"/*[translate(concat({DOTS}),{BOMB},'') = 'a']",
        "//*[translate(., /, 'x') = 'a']",
        "//*[translate(., string(.), 'x') = 'a']",
        f"/*[contains(concat({DOTS}), concat({DOTS}))]",
        "//*[contains(., string(.))]",
        "//*[substring-before(., substring(., 2)) = 'x']",
        "//*[substring-after(string(.), normalize-space(.)) = 'x']",
        f"//*[string-length(concat({DOTS})) = 1]",
        f"//*[{BOMB} = 'x']",
        "//*[string(/) = 'x']",
        "//*[string-length(..) = 3]",
        "//*[sum(/*/*/*) = 3]",
        "//*[. = //*]",
        "//*[id(.)]",
        "/*/*/parent::*[hcm:entry/hcm:value = 'y']",
        "/*/*/parent::node()[hcm:entry/hcm:value = 'y']",
        "/*/*[*/parent::*/* = 'x']",
        "(//hcm:name | //hcm:value)[1]",
        "//hcm:entry[count(//hcm:name | //hcm:value) = 2]",
        "//*//*//*",
        "//*/..//*/..//*",
        " | ".join(["//*"] * 300),
        "//*" + "[. = 'x']" * 300,
        "//*[" + " and ".join(["hcm:name"] * 300) + "]",
    ],
)
def test_so_is_one_whose_strings_or_node_sets_explode(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xpath, "_evaluated", lambda *_: pytest.fail("it ran"))
    with pytest.raises(errors.ResourceDenied, match="too much work"):
        chosen(expression, big_tree(5000))


def test_the_reviewed_bomb_is_refused_on_a_small_tree_too() -> None:
    with pytest.raises(errors.ResourceDenied):
        chosen(f"/*[translate(concat({DOTS}),{BOMB},'') = 'a']", big_tree(100))


def test_a_union_that_selects_the_same_nodes_again_and_again_is_stopped() -> None:
    # Three times 31 of the tree's 32 elements are 29 more than twice the tree.
    assert len(chosen("//* | //* | //*", big_tree(10), Limits(xpath_repeated_nodes=29))) == 20
    with pytest.raises(errors.ResourceDenied, match="same nodes"):
        chosen("//* | //* | //*", big_tree(10), Limits(xpath_repeated_nodes=28))


@pytest.mark.parametrize(("name", "most"), [("xpath_characters", 10), ("xpath_work", 10)])
def test_how_long_and_how_costly_an_expression_may_be_can_be_said(name: str, most: int) -> None:
    assert chosen("//hcm:server") == SERVER
    with pytest.raises(errors.ResourceDenied):
        chosen("//hcm:server", TREE, Limits(**{name: most}))


@pytest.mark.parametrize(
    "expression",
    [
        "//hcm:entry[hcm:name = '17']",
        "//hcm:nothing | //hcm:entry[hcm:name = '17'] | //hcm:nothing",
        "/hcm:top/hcm:entry[hcm:name = '17']",
        "/hcm:top/hcm:entry[hcm:name = 17 and hcm:value = 'x'][1]",
        "/hcm:top/hcm:entry[starts-with(hcm:name, '17')][string-length(hcm:name) = 2]",
        "//hcm:name[. = '17']/..",
        "//hcm:name[text() = '17']/parent::hcm:entry",
        "/hcm:top//hcm:entry[hcm:name = '17']",
        "/hcm:top/hcm:entry[.//hcm:name = '17']",
        "/hcm:top/hcm:entry[18]",
        "/hcm:top/hcm:entry[position() = last() - 4982]",
        "/hcm:top/hcm:entry[contains(hcm:name, '17')][string-length(hcm:name) = 2 and starts-with(hcm:name, '1')]",
        f"//hcm:entry[translate(hcm:name, '{LETTERS}', '{LETTERS.upper()}') = '17']",
        "//hcm:entry[hcm:name = concat('1', '7')]",
        "//hcm:entry[normalize-space(hcm:name) = '17' or hcm:name = 'none' or hcm:value = 'none']",
        "//hcm:entry[hcm:name = '17'] | //hcm:entry[hcm:name = '17']/hcm:value | /hcm:top/hcm:entry[18]/hcm:name",
    ],
)
def test_ordinary_expressions_run_on_large_trees(expression: str) -> None:
    assert chosen(expression, big_tree(5000)) == ["name=17", "value=x"]


PIECES = st.sampled_from(
    ["/", "//", "*", "hcm:server", "hcm:port", "[", "]", "(", ")", "..", ".", "|", "=", "'x'", "1", "@", "::", "child",
     "and", "-", "<", "count(", "last()", "div", ",", "$", "text()", "ancestor::", "node()", " ", "x:y", "\x00", "é",
     "concat(", "contains(", "translate("]
)  # fmt: skip


@given(st.lists(PIECES, max_size=12).map("".join))
def test_any_expression_chooses_or_is_refused(expression: str) -> None:
    try:
        chosen(expression)
    except (errors.InvalidValue, errors.ResourceDenied):
        return
