"""What the local commands read: the model's names, numbers as numbers, everything else as text."""

from __future__ import annotations

from yangson.datatype import IntegralType
from yangson.schemanode import LeafNode

from headstay import xml
from headstay.cli.operational import NUMBERS, Leafs, entries
from yang_engines import OURS, yangson_model

STATE = ("connection", "server-status", "subconnection")


def read(content: str, *names: str) -> dict[str, list[Leafs]]:
    return entries(
        xml.parse(f'<cloud-management xmlns="{xml.HCM}">{content}</cloud-management>'.encode()), names or STATE
    )


def test_numbers_are_the_models() -> None:
    modelled: dict[str, bool] = {}
    for name in STATE:
        for leaf in yangson_model(True).get_schema_node(f"/{OURS}/{name}").children:
            assert isinstance(leaf, LeafNode)
            number = isinstance(leaf.type, IntegralType)
            assert modelled.setdefault(leaf.name, number) == number, "one name, two types"
    stage = yangson_model(True).get_schema_node("/headstay-cloud-management:test-connection/output/stage")
    modelled |= {leaf.name: isinstance(leaf.type, IntegralType) for leaf in stage.children}
    assert {name for name, number in modelled.items() if number} == NUMBERS


def test_entries_keep_their_order_and_types() -> None:
    found = read(
        "<connection><state>request</state><last-down-details>1</last-down-details><attempts>007</attempts></connection>"
        "<server-status><domain>10</domain><order>1</order></server-status>"
        "<server-status><domain>b.example</domain><order>2</order></server-status>"
        "<subconnection><service>telemetry</service><instance>4711</instance><in-octets>18446744073709551615</in-octets>"
        "</subconnection>"
    )
    assert found == {
        "connection": [{"state": "request", "last-down-details": "1", "attempts": 7}],
        "server-status": [{"domain": "10", "order": 1}, {"domain": "b.example", "order": 2}],
        "subconnection": [{"service": "telemetry", "instance": "4711", "in-octets": 2**64 - 1}],
    }


def test_what_is_not_there_has_no_entry() -> None:
    assert read("") == {name: [] for name in STATE}
    assert entries(None, STATE) == {name: [] for name in STATE}
    assert read("<connection/>", "connection") == {"connection": [{}]}
    assert read("<connection><state/></connection>", "connection") == {"connection": [{"state": ""}]}
