from __future__ import annotations

from lxml import etree

from headstay.datastore.difference import Edit, difference
from headstay.datastore.model import Model
from headstay.datastore.schema import error_path
from models import device_model, hcm, made, rules, test_model, types


def changes(model: Model, before: etree._Element, after: etree._Element) -> list[tuple[str, str]]:
    found = difference(model.schema, made(model, before), made(model, after))
    described = []
    for change in found:
        element = change.new if change.new is not None else change.old
        described.append((change.edit.value, error_path(change.node, element).text))
        assert (change.old is None) == (change.edit is Edit.CREATED)
        assert (change.new is None) == (change.edit is Edit.DELETED)
    return described


def test_nothing_changed() -> None:
    content = "<server><domain>a</domain></server><backup-server><domain>b</domain></backup-server>"
    assert changes(device_model(), hcm(content), hcm(content)) == []


def test_leafs() -> None:
    found = changes(
        device_model(),
        hcm("<enabled>true</enabled><server><port>1</port></server>"),
        hcm("<enabled>false</enabled><server><domain>a</domain></server>"),
    )
    assert found == [
        ("modified", "/hcm:cloud-management/hcm:enabled"),
        ("created", "/hcm:cloud-management/hcm:server/hcm:domain"),
        ("deleted", "/hcm:cloud-management/hcm:server/hcm:port"),
    ]


def test_an_entry_that_comes_or_goes_is_named_with_all_that_is_in_it() -> None:
    a, b = (
        "<backup-server><domain>a</domain></backup-server>",
        "<backup-server><domain>b</domain><port>1</port></backup-server>",
    )
    found = changes(device_model(), hcm(a), hcm(b))
    where = "/hcm:cloud-management/hcm:backup-server"
    assert found == [
        ("deleted", f"{where}[hcm:domain='a']"),
        ("deleted", f"{where}[hcm:domain='a']/hcm:domain"),
        ("created", f"{where}[hcm:domain='b']"),
        ("created", f"{where}[hcm:domain='b']/hcm:domain"),
        ("created", f"{where}[hcm:domain='b']/hcm:port"),
    ]


def test_order_counts_where_the_user_orders() -> None:
    found = changes(test_model(), rules("<order>a</order><order>b</order>"), rules("<order>b</order><order>a</order>"))
    assert found == [("moved", "/tr:rules/tr:order[.='a']")]
    assert (
        changes(
            test_model(), rules("<sorted>1</sorted><sorted>2</sorted>"), rules("<sorted>2</sorted><sorted>1</sorted>")
        )
        == []
    )


def test_an_entry_that_others_pass_does_not_move() -> None:
    before, after = "<order>b</order>", "<order>a</order><order>b</order>"
    assert changes(test_model(), rules(before), rules(after)) == [("created", "/tr:rules/tr:order[.='a']")]
    assert changes(test_model(), rules(after), rules(before)) == [("deleted", "/tr:rules/tr:order[.='a']")]


def test_an_entry_may_move_and_change() -> None:
    entry = "<pair><left>{}</left><right>true</right>{}</pair>"
    found = changes(
        test_model(),
        rules(entry.format(1, "") + entry.format(2, "")),
        rules(entry.format(2, "") + entry.format(1, "<weight>3</weight>")),
    )
    assert [edit for edit, _ in found] == ["moved", "created"]


def test_presence_containers() -> None:
    assert changes(test_model(), rules("<low>1</low>"), rules("<low>1</low><crew/>")) == [
        ("created", "/tr:rules/tr:crew")
    ]


def test_values_with_prefixes_compare_by_meaning() -> None:
    assert changes(test_model(), types("<animal>x:dog</animal>"), types("<animal>ti:dog</animal>")) == []
    expression = "<expression>/{}:types</expression>"
    assert changes(test_model(), types(expression.format("ti")), types(expression.format("x"))) == []
    assert changes(test_model(), types(expression.format("ti")), types(expression.format("tt"))) != []


def test_anydata_is_compared_whole() -> None:
    found = changes(test_model(), types("<anything><a/></anything>"), types("<anything><b/></anything>"))
    assert found == [("modified", "/tt:types/tt:anything")]


def implied(before: str, after: str) -> dict[str, bool]:
    found = difference(test_model().schema, made(test_model(), rules(before)), made(test_model(), rules(after)))
    return {f"{change.edit.value} {change.node.name}": change.implied for change in found}


def test_what_gives_way_to_another_case_is_implied() -> None:
    udp = "<udp><port>1</port></udp><udp-peer>a</udp-peer>"
    assert implied(udp, "<tcp-port>2</tcp-port>") == {
        "created tcp-port": False,
        "deleted port": True,
        "deleted udp-peer": True,
    }
    assert implied("<barrel><size>1</size></barrel>", "<drum><name>a</name></drum>") == {
        "created drum": False,
        "created name": False,
        "deleted barrel": True,
        "deleted size": True,
    }


def test_what_goes_by_itself_is_not() -> None:
    udp = "<udp><port>1</port><checksum>true</checksum></udp>"
    assert implied(udp, "") == {"deleted port": False, "deleted checksum": False}
    assert implied(udp, "<udp><port>1</port></udp>") == {"deleted checksum": False}
    assert implied(udp, "<udp-peer>a</udp-peer>") == {
        "deleted port": False,
        "deleted checksum": False,
        "created udp-peer": False,
    }
