"""Default values in the four ways of RFC 6243."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.defaults import DefaultsMode, with_defaults
from headstay.datastore.edit import edited
from headstay.datastore.edit_content import TAGGED
from headstay.datastore.schema import SchemaNode
from headstay.errors import RpcErrors
from models import device_model, hcm, made

MODEL = device_model()
SET = "<ping-interval>60</ping-interval><keepalive-interval>100</keepalive-interval>"
HCM = {"hcm": xml.HCM}


def shown(content: str, mode: DefaultsMode) -> etree._Element:
    return with_defaults(MODEL.schema, made(MODEL, hcm(content)), mode)


def leafs(tree: etree._Element) -> dict[str, str]:
    """The leafs of cloud-management and below, by path."""
    found = {}
    for leaf in tree.iter(f"{{{xml.HCM}}}*"):
        if not len(leaf):
            above = [xml.local_name(element) for element in leaf.iterancestors()][:-2]
            found["/".join([*reversed(above), xml.local_name(leaf)])] = leaf.text or ""
    return found


def test_explicit_shows_what_was_set_and_nothing_else() -> None:
    assert leafs(shown(SET, DefaultsMode.EXPLICIT)) == {"ping-interval": "60", "keepalive-interval": "100"}


def test_trim_leaves_out_what_is_the_default_although_it_was_set() -> None:
    assert leafs(shown(SET, DefaultsMode.TRIM)) == {"keepalive-interval": "100"}


def test_trim_leaves_out_containers_that_hold_nothing_then() -> None:
    tree = shown("<server><port>19443</port></server>", DefaultsMode.TRIM)
    assert len(tree) == 0


def test_report_all_shows_every_default_in_containers_and_entries() -> None:
    found = leafs(shown(SET + "<service><name>telemetry</name></service>", DefaultsMode.REPORT_ALL))
    assert found["ping-interval"] == "60"
    assert found["keepalive-interval"] == "100"
    assert found["enabled"] == "true"
    assert found["server/port"] == "19443"
    assert found["dhcp/interface"] == "vlan1"
    assert found["switchback/mode"] == "never"
    assert found["service/enabled"] == "true"
    assert "backup-server/domain" not in found
    assert "server/domain" not in found


def test_report_all_of_nothing_shows_the_defaults_of_containers_without_presence() -> None:
    empty = with_defaults(MODEL.schema, MODEL.empty(), DefaultsMode.REPORT_ALL)
    assert leafs(empty)["keepalive-interval"] == "180"


def test_tagged_marks_what_nobody_has_set_only() -> None:
    tree = shown(SET, DefaultsMode.REPORT_ALL_TAGGED)
    tagged = {xml.local_name(leaf) for leaf in tree.iter() if leaf.get(TAGGED) == "true"}
    assert "enabled" in tagged
    assert "ping-interval" not in tagged  # the basic mode is explicit: set is set
    assert "keepalive-interval" not in tagged


@pytest.mark.parametrize("mode", DefaultsMode)
def test_the_tree_itself_stays_as_it_is(mode: DefaultsMode) -> None:
    tree = made(MODEL, hcm(SET))
    before = etree.tostring(tree)
    with_defaults(MODEL.schema, tree, mode)
    assert etree.tostring(tree) == before


@pytest.mark.parametrize("mode", [DefaultsMode.REPORT_ALL, DefaultsMode.TRIM])
def test_what_is_shown_is_valid_and_means_the_same(mode: DefaultsMode) -> None:
    MODEL.validate(shown(SET, mode))
    everything = with_defaults(MODEL.schema, shown(SET, mode), DefaultsMode.REPORT_ALL)
    assert etree.tostring(everything) == etree.tostring(shown(SET, DefaultsMode.REPORT_ALL))


def conditional(source: Any, found: list[str], condition: bool = False) -> list[str]:
    """The library's nodes with a default that hang on a condition, or stand in a choice."""
    from yangson import schemanode as yang

    for child in getattr(source, "children", ()):
        hangs = condition or child.when is not None or isinstance(child, (yang.ChoiceNode, yang.CaseNode))
        if isinstance(child, (yang.RpcActionNode, yang.NotificationNode)):
            continue
        if hangs and isinstance(child, yang.TerminalNode) and child.default is not None and child.config:
            found.append(child.data_path())
        conditional(child, found, hangs)
    return found


def test_no_default_of_the_device_hangs_on_a_condition_or_a_choice() -> None:
    assert conditional(MODEL._library.schema, []) == []


# edits


def edit(content: str, on: str = "") -> etree._Element:
    return edited(MODEL.schema, made(MODEL, hcm(on)), hcm(content))


WD = 'xmlns:wd="urn:ietf:params:xml:ns:netconf:default:1.0"'


def test_a_default_that_is_marked_as_such_is_as_if_it_were_not_set() -> None:
    assert leafs(edit(f'<ping-interval {WD} wd:default="true">60</ping-interval>')) == {}
    on = "<ping-interval>70</ping-interval><enabled>true</enabled>"
    assert leafs(edit(f'<ping-interval {WD} wd:default="true">60</ping-interval>', on)) == {"enabled": "true"}
    assert leafs(edit(f'<ping-interval {WD} wd:default="false">60</ping-interval>')) == {"ping-interval": "60"}


@pytest.mark.parametrize(
    ("leaf", "tag"),
    [
        (f'<ping-interval {WD} wd:default="true">61</ping-interval>', "invalid-value"),
        (f'<ping-interval {WD} wd:default="maybe">60</ping-interval>', "bad-attribute"),
        (f'<source-address {WD} wd:default="true">192.0.2.1</source-address>', "unknown-attribute"),
        (f'<server {WD} wd:default="true"/>', "unknown-attribute"),
    ],
)
def test_a_mark_that_is_wrong(leaf: str, tag: str) -> None:
    with pytest.raises(RpcErrors) as refused:
        edit(leaf)
    assert [error.tag for error in refused.value.errors] == [tag]


def test_a_default_that_is_created_must_not_be_set() -> None:
    leaf = f'<ping-interval {WD} wd:default="true" xmlns:nc="{xml.NETCONF}" nc:operation="create">60</ping-interval>'
    assert leafs(edit(leaf)) == {}
    with pytest.raises(RpcErrors) as refused:
        edit(leaf, "<ping-interval>60</ping-interval>")
    assert [error.tag for error in refused.value.errors] == ["data-exists"]


def test_a_tagged_reply_given_back_changes_nothing() -> None:
    tree = made(MODEL, hcm(SET))
    tagged = with_defaults(MODEL.schema, tree, DefaultsMode.REPORT_ALL_TAGGED)
    schema: SchemaNode = MODEL.schema
    assert etree.tostring(edited(schema, tree, tagged)) == etree.tostring(tree)
    assert etree.tostring(edited(schema, MODEL.empty(), tagged)) == etree.tostring(tree)
