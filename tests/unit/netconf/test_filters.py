"""Subtree filters by the examples of RFC 6241 section 6.4 and by its rules one by one; errors of <filter>."""

from __future__ import annotations

import pytest
from lxml import etree

from fakes_netconf import CLOUD, NC, model, tree_of
from headstay import errors, xml
from headstay.netconf.filters import condition, filtered, subtree
from headstay.netconf.limits import Limits
from headstay.netconf.selection import render
from headstay.netconf.xpath_cost import Size

EX = "http://example.com/schema/1.2/config"
USERS = f"""<data {NC}><top xmlns="{EX}"><users>
  <user><name>root</name><type>superuser</type><full-name>Charlie Root</full-name>
    <company-info><dept>1</dept><id>1</id></company-info></user>
  <user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name>
    <company-info><dept>2</dept><id>2</id></company-info></user>
  <user><name>barney</name><type>admin</type><full-name>Barney Rubble</full-name>
    <company-info><dept>2</dept><id>3</id></company-info></user>
</users></top></data>"""
STATISTICS = f"""<data {NC}><top xmlns="http://example.com/schema/1.2/stats"><interfaces>
  <interface ifName="eth0"><ifInOctets>45621</ifInOctets></interface>
  <interface ifName="eth1"><ifInOctets>2</ifInOctets></interface>
</interfaces></top></data>"""


def compact(text: str) -> str:
    parser = etree.XMLParser(remove_blank_text=True)
    return etree.tostring(etree.fromstring(text, parser), method="c14n").decode()


def chosen(document: str, filter: str, most_comparisons: int = 1000) -> str:
    """What a subtree filter makes of a document, without white space and without the declaration of EX."""
    tree = etree.fromstring(document, etree.XMLParser(remove_blank_text=True))
    element = etree.fromstring(f"<filter {NC}>{filter}</filter>")
    octets = b"".join(render(tree, model().schema, subtree(tree, element, most_comparisons)))
    assert compact(f"<data {NC}>{octets.decode()}</data>")  # well-formed where it will stand
    return octets.decode().replace(f' xmlns="{EX}"', "")


def users(inner: str) -> str:
    return f'<top xmlns="{EX}"><users>{inner}</users></top>'


FRED = (
    "<user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name>"
    "<company-info><dept>2</dept><id>2</id></company-info></user>"
)


def test_6_4_2_an_empty_filter_chooses_nothing() -> None:
    assert chosen(USERS, "") == ""
    assert chosen(USERS, "  ") == ""


def test_6_4_3_a_selection_node_chooses_the_whole_subtree() -> None:
    everything = compact(USERS).split(f'xmlns="{EX}">', 1)[1].removesuffix("</data>")
    assert chosen(USERS, users("")) == chosen(USERS, f'<top xmlns="{EX}"/>') == f"<top>{everything}"


def test_6_4_4_elements_of_every_entry() -> None:
    names = "".join(f"<user><name>{name}</name></user>" for name in ("root", "fred", "barney"))
    assert chosen(USERS, users("<user><name/></user>")) == f"<top><users>{names}</users></top>"


def test_6_4_5_one_entry() -> None:
    assert chosen(USERS, users("<user><name>fred</name></user>")) == f"<top><users>{FRED}</users></top>"


def test_6_4_6_some_elements_of_one_entry() -> None:
    expected = "<user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name></user>"
    found = chosen(USERS, users("<user><name>fred</name><type/><full-name/></user>"))
    assert found == f"<top><users>{expected}</users></top>"


def test_6_4_7_several_subtrees() -> None:
    found = chosen(
        USERS,
        users(
            "<user><name>root</name><company-info/></user>"
            "<user><name>fred</name><company-info><id/></company-info></user>"
            "<user><name>barney</name><type>superuser</type><company-info><dept/></company-info></user>"
        ),
    )
    expected = (
        "<user><name>root</name><company-info><dept>1</dept><id>1</id></company-info></user>"
        "<user><name>fred</name><company-info><id>2</id></company-info></user>"
    )
    assert found == f"<top><users>{expected}</users></top>"


def test_6_4_8_attributes() -> None:
    namespace = "http://example.com/schema/1.2/stats"
    found = chosen(
        STATISTICS,
        f'<t:top xmlns:t="{namespace}"><t:interfaces><t:interface t:ifName="eth0"/></t:interfaces></t:top>',
    )
    assert found == ""  # an unqualified attribute does not match a qualified one
    found = chosen(
        STATISTICS, f'<t:top xmlns:t="{namespace}"><t:interfaces><t:interface ifName="eth0"/></t:interfaces></t:top>'
    )
    assert compact(found) == compact(
        f'<top xmlns="{namespace}"><interfaces><interface ifName="eth0"><ifInOctets>45621</ifInOctets></interface>'
        "</interfaces></top>"
    )


def test_a_namespace_must_match_and_none_matches_all() -> None:
    assert chosen(USERS, '<top xmlns="urn:other"/>') == ""
    assert chosen(USERS, "<top/>") == ""  # it inherits the namespace of <filter>
    assert chosen(USERS, '<top xmlns=""><users><user><name>fred</name></user></users></top>') == (
        f"<top><users>{FRED}</users></top>"
    )


def test_all_content_matches_of_a_sibling_set_must_hold() -> None:
    assert chosen(USERS, users("<user><name>fred</name><type>superuser</type></user>")) == ""
    assert (
        chosen(USERS, users("<user><name>fred</name><type> admin\n</type></user>"))
        == f"<top><users>{FRED}</users></top>"
    )
    assert chosen(USERS, users("<user><name>nobody</name><type/></user>")) == ""


def test_what_two_filter_nodes_choose_of_one_entry_is_joined() -> None:
    found = chosen(USERS, users("<user><name>fred</name><type/></user><user><name>fred</name><full-name/></user>"))
    fred = "<user><name>fred</name><type>admin</type><full-name>Fred Flintstone</full-name></user>"
    assert found == f"<top><users>{fred}</users></top>"


def test_a_whole_subtree_outdoes_a_part_of_it() -> None:
    assert chosen(USERS, users("<user><name>fred</name><type/></user><user><name>fred</name></user>")) == (
        f"<top><users>{FRED}</users></top>"
    )


def test_a_path_to_nothing_leaves_no_empty_containers() -> None:
    assert chosen(USERS, users("<user><shoe-size/></user>")) == ""
    assert chosen(USERS, users("<user><name><deeper/></name></user>")) == ""
    assert chosen(USERS, users("<user>text</user>")) == ""


def test_content_that_matches_comes_along_even_if_the_rest_does_not() -> None:
    found = chosen(USERS, users("<user><name>fred</name><shoe-size/></user>"))
    assert found == "<top><users><user><name>fred</name></user></users></top>"


def test_an_identity_is_compared_by_its_namespace_not_by_its_prefix() -> None:
    document = f'<data {NC}><a xmlns="urn:a" xmlns:x="urn:x"><i>x:one</i></a></data>'
    assert chosen(document, '<a xmlns="urn:a"><i xmlns:y="urn:x">y:one</i></a>')
    assert not chosen(document, '<a xmlns="urn:a"><i xmlns:y="urn:y">y:one</i></a>')
    assert not chosen(document, '<a xmlns="urn:a"><i>y:one</i></a>')


def test_a_colon_in_a_text_makes_no_identity_of_it() -> None:
    document = f'<data {NC}><a xmlns="urn:a"><u>http://one</u></a></data>'
    assert chosen(document, '<a xmlns="urn:a"><u>http://one</u></a>')
    assert not chosen(document, '<a xmlns="urn:a"><u>two</u></a>')
    assert not chosen(document, '<a xmlns="urn:a"><u>ftp://one</u></a>')


# with the model


def result(filter: str | None) -> etree._Element:
    element = None if filter is None else etree.fromstring(filter)
    octets = b"".join(filtered(tree_of(CLOUD), element, model(), Limits()))
    return etree.fromstring(b"<data %b>%b</data>" % (NC.encode(), octets))


def texts(tree: etree._Element) -> list[str]:
    return [f"{xml.local_name(e)}={e.text}" for e in tree.iter() if len(e) == 0 and e.text]


def test_the_keys_of_list_entries_come_along() -> None:
    top = f'<cloud-management xmlns="{xml.HCM}"><backup-server><port/></backup-server></cloud-management>'
    found = result(f"<filter {NC}>{top}</filter>")
    assert texts(found) == ["domain=b1.example", "port=1001"]


def test_without_a_filter_there_is_everything() -> None:
    assert texts(result(None)) == [
        "domain=cloud.example",
        "domain=b1.example",
        "port=1001",
        "domain=b2.example",
        "keepalive-interval=60",
    ]


def test_the_attributes_of_filter_may_have_the_prefix_nc() -> None:
    text = f'<nc:filter xmlns:nc="{xml.NETCONF}" nc:type="xpath" nc:select="//hcm:port"/>'
    assert texts(result(text)) == ["domain=b1.example", "port=1001"]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [('type="regex"', errors.BadAttribute), ('type="xpath"', errors.MissingAttribute)],
)
def test_a_wrong_filter(attributes: str, expected: type[errors.NetconfError]) -> None:
    with pytest.raises(expected) as caught:
        result(f"<filter {NC} {attributes}/>")
    assert [item.name for item in caught.value.info] == ["bad-attribute", "bad-element"]


def test_a_filter_that_compares_too_often_is_refused() -> None:
    wanted = users("<user><name>barney</name></user>")
    # Two for top and users, and for each of three entries its own element and its name.
    assert "Barney" in chosen(USERS, wanted, most_comparisons=8)
    with pytest.raises(errors.ResourceDenied):
        chosen(USERS, wanted, most_comparisons=7)


# filters on notifications (RFC 5277 section 3.6)

EVENT = f"""
<nc:data xmlns:nc="{xml.NETCONF}"><connection-state-change xmlns="{xml.HCM}">
  <old-state>established</old-state><new-state>unconnected</new-state><details>3</details>
</connection-state-change></nc:data>
"""
LARGEST = Size(256, 32_768)
CHANGE = "<hcm:connection-state-change><hcm:new-state>%s</hcm:new-state></hcm:connection-state-change>"


def passes(filter: str, event: str = EVENT, **limits: int) -> bool:
    element = etree.fromstring(f'<x xmlns:hcm="{xml.HCM}">{filter}</x>')[0]
    return condition(element, model(), LARGEST, Limits(**limits))(etree.fromstring(event.strip()))


def subtree_filter(content: str) -> str:
    return f'<filter type="subtree">{content}</filter>'


def xpath_filter(expression: str) -> str:
    return f'<filter type="xpath" select="{expression}"/>'


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (subtree_filter(""), False),
        (subtree_filter("<hcm:connection-state-change/>"), True),
        (subtree_filter("<connection-state-change/>"), True),
        (subtree_filter("<hcm:dhcp-change/>"), False),
        (subtree_filter("<hcm:dhcp-change/><hcm:connection-state-change/>"), True),
        (subtree_filter("<hcm:connection-state-change><hcm:new-state/></hcm:connection-state-change>"), True),
        (subtree_filter("<hcm:connection-state-change><hcm:down-reason/></hcm:connection-state-change>"), False),
        (subtree_filter(CHANGE % "unconnected"), True),
        (subtree_filter(CHANGE % "established"), False),
        (xpath_filter("/hcm:connection-state-change"), True),
        (xpath_filter("/connection-state-change"), False),
        (xpath_filter("hcm:connection-state-change"), True),
        (xpath_filter("/hcm:*[hcm:new-state='unconnected' or hcm:new-state='request']"), True),
        (xpath_filter("/hcm:*[hcm:new-state='request']"), False),
        (xpath_filter("/hcm:dhcp-change | /hcm:connection-state-change"), True),
        (xpath_filter("//hcm:details &gt; 2"), True),
        (xpath_filter("count(//hcm:details) - 1"), False),
        (xpath_filter("number('x')"), False),
        (xpath_filter("string(//hcm:down-reason)"), False),
        (xpath_filter("string(//hcm:details)"), True),
        (xpath_filter("not(/hcm:dhcp-change)"), True),
        (xpath_filter("true()"), True),
    ],
)
def test_which_notification_passes(filter: str, expected: bool) -> None:
    assert passes(filter) is expected


@pytest.mark.parametrize(
    ("filter", "tag"),
    [
        ('<filter type="regexp"/>', "bad-attribute"),
        ('<filter type="xpath"/>', "missing-attribute"),
        (xpath_filter("/hcm:a["), "invalid-value"),
        (xpath_filter("a) or (b"), "invalid-value"),
        (xpath_filter("$variable"), "invalid-value"),
        (xpath_filter("frob()"), "invalid-value"),
        (xpath_filter("/nobody:a"), "invalid-value"),
        (xpath_filter("//*[//*[//*]]"), "resource-denied"),
        (xpath_filter("a or " * 1000 + "a"), "resource-denied"),
        (subtree_filter("<a/>" * 50), "resource-denied"),
        (subtree_filter(f"<a>{'x' * 20_000}</a>"), "resource-denied"),
    ],
)
def test_a_filter_that_is_refused_when_it_is_given(filter: str, tag: str) -> None:
    with pytest.raises(errors.NetconfError) as caught:
        passes(filter)
    assert caught.value.tag == tag


def test_how_large_a_filter_on_notifications_may_be_can_be_said() -> None:
    wanted = subtree_filter("<hcm:connection-state-change/>")
    octets = len(xml.serialise(etree.fromstring(f'<x xmlns:hcm="{xml.HCM}">{wanted}</x>')[0]))
    assert passes(wanted, subscription_filter_elements=2, subscription_filter_octets=octets)
    for limits in ({"subscription_filter_elements": 1}, {"subscription_filter_octets": octets - 1}):
        with pytest.raises(errors.ResourceDenied):
            passes(wanted, **limits)


def test_what_an_expression_on_notifications_may_cost_can_be_said() -> None:
    expression = xpath_filter("//hcm:details &gt; 2")
    assert passes(expression, subscription_xpath_work=10_000)
    with pytest.raises(errors.ResourceDenied):
        passes(expression, subscription_xpath_work=100)


def test_a_filter_on_notifications_never_raises_however_few_comparisons_a_read_may_make() -> None:
    assert passes(subtree_filter(CHANGE % "unconnected"), filter_comparisons=1)


def test_an_expression_that_is_wrong_for_one_notification_only_lets_it_not_pass() -> None:
    wrong = xpath_filter("/hcm:connection-state-change[count(string(.)) = 1]")
    assert passes(wrong) is False


def test_a_filter_keeps_the_prefixes_of_its_values_and_lets_go_of_its_message() -> None:
    message = etree.fromstring(
        f'<rpc xmlns:p="{xml.MONITORING}"><filter><a xmlns="urn:a"><is>p:x</is></a></filter><big/></rpc>'
    )
    accepts = condition(message[0], model(), LARGEST, Limits())
    message.clear()
    event = f'<d><a xmlns="urn:a" xmlns:q="{xml.MONITORING}"><is>q:x</is></a></d>'
    assert accepts(etree.fromstring(event))
