"""YANG's XPath functions (RFC 7950 section 10) in filters: what they say, what is a wrong call, what they may cost."""

from __future__ import annotations

import pytest
from lxml import etree

from fakes_netconf import CLOUD, make_datastores, model, tree_of
from headstay import errors, xml
from headstay.datastore.overlay import lay_over
from headstay.datastore.schema import SchemaNode
from headstay.netconf import xpath
from headstay.netconf.limits import Limits
from headstay.netconf.selection import render
from headstay.netconf.xpath import condition, select
from headstay.netconf.xpath_cost import Size
from headstay.netconf.yang_library import library_tree

RULES = f"""
<nacm xmlns="{xml.NACM}"><rule-list><name>all</name>
  <rule><name>reader</name><access-operations>read exec</access-operations><action>permit</action></rule>
  <rule><name>writer</name><access-operations>create update</access-operations><action>deny</action></rule>
</rule-list></nacm>
"""
SESSIONS = f"""
<netconf-state xmlns="{xml.MONITORING}" xmlns:ncm="{xml.MONITORING}" xmlns:hcm="{xml.HCM}">
  <datastores><datastore><name>running</name><locks><partial-lock><lock-id>1</lock-id>
    <locked-node>/hcm:cloud-management/hcm:backup-server[hcm:domain='b1.example']</locked-node>
  </partial-lock></locks></datastore></datastores>
  <sessions>
    <session><session-id>1</session-id><transport>ncm:netconf-ssh</transport></session>
    <session><session-id>2</session-id><transport>hcm:local</transport></session>
    <session><session-id>3</session-id><transport>nowhere:else</transport></session>
  </sessions>
</netconf-state>
"""
FAMILY = f'<cloud-management xmlns="{xml.HCM}"><address-family>ipv6</address-family></cloud-management>'


def everything() -> etree._Element:
    tree = tree_of(CLOUD, RULES)
    state = model().empty()
    for document in (SESSIONS, FAMILY):
        state.append(etree.fromstring(document, etree.XMLParser(remove_blank_text=True)))
    lay_over(tree, model().schema, state, library_tree(model().modules, make_datastores().names))
    return tree


TREE = everything()


def chosen(expression: str, tree: etree._Element = TREE, limits: Limits | None = None, **prefixes: str) -> list[str]:
    selection = select(tree, expression, {None: xml.HCM, **prefixes}, model(), limits or Limits())
    octets = b"".join(render(tree, model().schema, selection))
    found = etree.fromstring(b"<data>%b</data>" % octets)
    return [e.text for e in found.iter() if len(e) == 0 and e.text]


SESSION = "/ncm:netconf-state/ncm:sessions/ncm:session[%s]/ncm:session-id"
RULE = "//nacm:rule[%s]/nacm:name"
SCHEMA = "/yanglib:yang-library/yanglib:schema"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # 10.1.1
        ("current()/hcm:cloud-management/hcm:server", ["cloud.example"]),
        ("//hcm:server[hcm:domain = current()//hcm:domain]", ["cloud.example"]),
        ("//hcm:server[count(current()) = 1]", ["cloud.example"]),
        # 10.2.1
        (r"//hcm:backup-server[re-match(hcm:domain, 'b\d\.example')]/hcm:domain", ["b1.example", "b2.example"]),
        ("//hcm:server[re-match(hcm:domain, 'cloud')]", []),
        ("//hcm:server[re-match('1.22.333', '\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}')]", ["cloud.example"]),
        ("//hcm:server[re-match(hcm:domain, ../hcm:server/hcm:domain)]", ["cloud.example"]),
        ("//hcm:port[re-match(1000 + 1, .)]", ["b1.example", "1001"]),
        # 10.3.1
        (f"deref({SCHEMA}/yanglib:module-set)/../yanglib:name", ["headstay"]),
        (f"{SCHEMA}[deref(yanglib:module-set)/../yanglib:module]/yanglib:name", ["headstay"]),
        ("deref(//ncm:locked-node)/hcm:port", ["b1.example", "1001"]),
        ("deref(//hcm:domain)", []),
        ("deref(//hcm:nothing)", []),
        # 10.4.1 and 10.4.2
        (SESSION % "derived-from(ncm:transport, 'ncm:transport')", ["1", "2"]),
        (SESSION % "derived-from(ncm:transport, 'ncm:netconf-ssh')", []),
        (SESSION % "derived-from-or-self(ncm:transport, 'ncm:netconf-ssh')", ["1"]),
        (SESSION % "derived-from-or-self(ncm:transport, 'netconf-ssh')", ["1"]),
        (SESSION % "derived-from-or-self(ncm:transport, 'hcm:local')", ["2"]),
        (SESSION % "derived-from-or-self(ncm:transport, 'ietf-netconf-monitoring:netconf-ssh')", ["1"]),
        (SESSION % "derived-from-or-self(ncm:transport, 'ncm:nothing')", []),
        (SESSION % "derived-from(ncm:session-id, 'ncm:transport')", []),
        (SESSION % "derived-from(../*/ncm:transport, 'ncm:transport')", ["1", "2", "3"]),
        # 10.5.1
        ("//hcm:address-family[enum-value(.) = 2]", ["ipv6"]),
        ("//hcm:address-family[enum-value(.) > 2]", []),
        ("//hcm:port[enum-value(.) = enum-value(.)]", []),  # NaN
        # 10.6.1
        (RULE % "bit-is-set(nacm:access-operations, 'read')", ["all", "reader"]),
        (RULE % "bit-is-set(nacm:access-operations, 'create')", ["all", "writer"]),
        (RULE % "bit-is-set(nacm:access-operations, concat('re', 'ad'))", ["all", "reader"]),
        (RULE % "bit-is-set(nacm:access-operations, 'rea')", []),
        (RULE % "bit-is-set(nacm:name, 'reader')", []),
    ],
)
def test_what_is_chosen(expression: str, expected: list[str]) -> None:
    assert chosen(expression) == expected


def test_the_first_node_of_the_document_counts_whatever_the_axis() -> None:
    assert chosen("//nacm:rule-list[bit-is-set(nacm:rule/nacm:access-operations, 'read')]/nacm:name") == ["all"]
    assert chosen("//nacm:rule-list[bit-is-set(nacm:rule/nacm:access-operations, 'create')]/nacm:name") == []
    last = "//nacm:rule[bit-is-set(%s/nacm:access-operations, 'read')]/nacm:name"
    rules = tree_of(RULES)
    assert chosen(last % "preceding-sibling::*[1]", rules) == ["all", "writer"]
    assert chosen(last % "(. | preceding-sibling::*)", rules) == ["all", "reader", "writer"]


def test_a_declared_prefix_is_the_clients() -> None:
    of = SESSION % "derived-from-or-self(ncm:transport, '%s')"
    assert chosen(of % "mine:local", mine=xml.HCM) == ["2"]
    assert chosen(of % "ncm:local", ncm=xml.HCM) == []


@pytest.mark.parametrize(
    "expression",
    [
        "//*[current(1)]",
        "//*[re-match(.)]",
        "//*[re-match()]",
        "//*[re-match(., 'a', 'b')]",
        "//*[re-match(., '(')]",
        "//*[re-match(., '\\p{Nowhere}')]",
        "//*[re-match(., '" + "a" * 501 + "')]",
        "//hcm:server[deref()]",
        "deref('x')",
        "deref(1)",
        "deref(true())",
        "//hcm:server[enum-value('x')]",
        "//hcm:server[enum-value(1) = 1]",
        "//hcm:server[bit-is-set('x', 'read')]",
        "//hcm:server[derived-from('ncm:local', 'hcm:local')]",
        "//hcm:server[derived-from(1, 'hcm:local')]",
        "//hcm:server[derived-from(., 'nowhere:local')]",
        "//hcm:server[derived-from-or-self(.)]",
        "re-match('a', 'a')",
        "//hcm:server[hcm:re-match(., 'a')]",
        "//hcm:server[re-match(., 'a']",
        "//*[" + "re-match('a', " * 21 + "'a'" + ")" * 21 + "]",
        "//*[" + "deref(" * 500 + "." + ")" * 500 + "]",
    ],
)
def test_a_wrong_call_is_an_invalid_value(expression: str) -> None:
    with pytest.raises(errors.InvalidValue) as caught:
        chosen(expression)
    assert caught.value.type is errors.ErrorType.PROTOCOL


def many(entries: int) -> etree._Element:
    names = "".join(f"<service><name>{'s' * 60}{number}</name></service>" for number in range(entries))
    return tree_of(f'<cloud-management xmlns="{xml.HCM}">{names}</cloud-management>')


def test_ordinary_calls_run_on_large_trees() -> None:
    tree = many(5000)
    assert chosen("//hcm:service[re-match(hcm:name, 's+17')]", tree) == ["s" * 60 + "17"]
    assert chosen("//hcm:service[bit-is-set(hcm:name, 'a') or derived-from(hcm:name, 'hcm:b')]", tree) == []


@pytest.mark.parametrize(
    "expression",
    [
        "//hcm:service[derived-from(//hcm:name, 'hcm:local')]",
        "//hcm:service[current()/hcm:cloud-management/hcm:service/hcm:name = 'x']",
        "//hcm:service[deref(hcm:name)/hcm:name = 'x']",
        "//hcm:service[enum-value(../hcm:service/hcm:name) = 1]",
        "//hcm:service[re-match(hcm:name, ../hcm:service/hcm:name)]",
    ],
)
def test_what_costs_too_much_is_refused_before_it_runs(expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = many(5000)
    monkeypatch.setattr(xpath, "_evaluated", lambda *_: pytest.fail("it ran"))
    with pytest.raises(errors.ResourceDenied, match="too much work"):
        chosen(expression, tree)


@pytest.mark.parametrize("pattern", ["(s|ss?|s{3}){1,60}[^s]", r"(.?){300}\.", "(s*)*(s*)*(s*)*t"])
def test_matching_that_takes_too_long_is_ended(pattern: str) -> None:
    with pytest.raises(errors.ResourceDenied, match="too much work"):
        chosen(f"//hcm:service[re-match(concat(hcm:name, hcm:name, hcm:name, hcm:name, hcm:name), '{pattern}')]",
               many(200), Limits(xpath_work=200_000))  # fmt: skip


def test_a_pattern_from_each_entry_is_charged_for() -> None:
    with pytest.raises(errors.ResourceDenied, match="too much work"):
        chosen("//hcm:service[re-match('a', concat(hcm:name, '{500}'))]", many(500))


def test_the_paths_of_leafrefs_have_no_predicates() -> None:
    """deref leaves them out. So each step of a leafref is a way up or down."""

    def follow(leaf: SchemaNode) -> SchemaNode:
        at = leaf
        for step in model().leaf_type(leaf).leafref:
            assert step != "/"
            at = at.parent if step == ".." else at.children[step]  # type: ignore[assignment]
        return at

    leafs = [node for node in model().schema.walk() if node.terminal and model().leaf_type(node).leafref]
    assert len(leafs) >= 3
    for leaf in leafs:
        assert "[" not in str(model().leaf_type(leaf)._type.path)
        assert follow(leaf).terminal


def test_a_condition_knows_them_and_never_raises() -> None:
    limits, largest = Limits(), Size(50, 1000)
    holds = condition("//hcm:state[re-match(., 'est.*')]", {}, model(), largest, limits)
    told = "<d><state xmlns='{}'>{}</state></d>"
    assert holds(etree.fromstring(told.format(xml.HCM, "established")))
    assert not holds(etree.fromstring(told.format(xml.HCM, "unconnected")))
    odd = condition("//hcm:state[re-match('a', .)]", {}, model(), largest, limits)
    assert [odd(etree.fromstring(told.format(xml.HCM, text))) for text in ("a", "(", "a")] == [True, False, True]
    dear = condition("//hcm:state[re-match(., '(s*)*t')]", {}, model(), largest, Limits(subscription_xpath_work=20_000))
    answers = [dear(etree.fromstring(told.format(xml.HCM, text))) for text in ("st", "s" * 60_000 + "t", "st")]
    assert answers == [True, False, True]
    with pytest.raises(errors.InvalidValue):
        condition("re-match('a')", {}, model(), largest, limits)
