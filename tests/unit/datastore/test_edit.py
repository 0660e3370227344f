"""Every operation of <edit-config> (RFC 6241 section 7.2, RFC 7950 sections 7 and 8): what it makes and refuses."""

from __future__ import annotations

import copy
import gc

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.edit import MOST_ERRORS, DefaultOperation, _Edit, edit, edited
from headstay.datastore.model import DATA, Model
from headstay.errors import ErrorInfo, NetconfError, OperationFailed, RpcErrors
from models import config, device_model, hcm, made, rules, test_model, text, types, values

A_AND_B = "<backup-server><domain>a</domain></backup-server><backup-server><domain>b</domain></backup-server>"
BACKUPS = "hcm:cloud-management/hcm:backup-server/hcm:domain"


def model_of(content: etree._Element) -> Model:
    return device_model() if any(child.tag.startswith(f"{{{xml.HCM}}}") for child in content) else test_model()


def after(
    before: etree._Element, change: etree._Element, default_operation: DefaultOperation = "merge"
) -> etree._Element:
    model = model_of(before) if len(before) else model_of(change)
    return edited(model.schema, made(model, before), change, default_operation)


def refused(
    before: etree._Element, change: etree._Element, default_operation: DefaultOperation = "merge"
) -> NetconfError:
    """Return the one error of a change that is refused."""
    with pytest.raises(RpcErrors) as caught:
        after(before, change, default_operation)
    (error,) = caught.value.errors
    return error


def path(error: NetconfError) -> str:
    assert error.path is not None
    return error.path.text


def same(tree: etree._Element, content: etree._Element) -> None:
    model = model_of(tree) if len(tree) else model_of(content)
    assert text(tree) == text(made(model, content))


NOTHING = config("")


# merge ----------------------------------------------------------------------------------------------


def test_merge_sets_adds_and_keeps() -> None:
    before = hcm("<server><domain>a</domain><port>1</port></server>" + A_AND_B)
    change = hcm("<server><port>2</port></server><backup-server><domain>b</domain><port>3</port></backup-server>")
    same(
        after(before, change),
        hcm(
            "<server><domain>a</domain><port>2</port></server><backup-server><domain>a</domain></backup-server>"
            "<backup-server><domain>b</domain><port>3</port></backup-server>"
        ),
    )


def test_children_stand_in_schema_order_whatever_the_edits_order() -> None:
    tree = made(
        device_model(), hcm("<ping-interval>20</ping-interval><server><port>1</port><domain>a</domain></server>")
    )
    assert [child.tag.partition("}")[2] for child in tree[0]] == ["server", "ping-interval"]
    assert [child.tag.partition("}")[2] for child in tree[0][0]] == ["domain", "port"]


def test_top_level_nodes_stand_in_schema_order() -> None:
    both = config("<tr:rules><tr:low>1</tr:low></tr:rules><tt:types><tt:int8>1</tt:int8></tt:types>")
    turned = config("<tt:types><tt:int8>1</tt:int8></tt:types><tr:rules><tr:low>1</tr:low></tr:rules>")
    assert text(made(test_model(), both)) == text(made(test_model(), turned))


def test_containers_without_presence_that_hold_nothing_are_not_there() -> None:
    assert len(made(device_model(), hcm("<server/><tls></tls>"))) == 0
    tree = after(hcm("<server><port>1</port></server>"), hcm('<server><port nc:operation="delete"/></server>'))
    assert len(tree) == 0


def test_a_container_with_presence_may_hold_nothing() -> None:
    assert len(made(test_model(), rules("<crew/>"))[0]) == 1


def test_a_leaf_list_gains_a_value_once() -> None:
    tree = after(rules("<sorted>1</sorted>"), rules("<sorted>2</sorted><sorted>01</sorted>"))
    assert values(tree, "tr:rules/tr:sorted") == ["1", "2"]


def test_an_entry_that_stands_twice_in_an_edit_is_merged() -> None:
    entry = "<backup-server><domain>a</domain>%s</backup-server>"
    same(made(device_model(), hcm(entry % "" + entry % "<port>1</port>")), hcm(entry % "<port>1</port>"))


def test_keys_come_first_and_are_canonical() -> None:
    tree = made(test_model(), rules("<pair><weight>1</weight><right>true</right><left>01</left></pair>"))
    assert [child.text for child in tree[0][0]] == ["1", "true", "1"]
    tree = after(
        tree_of("<pair><left>1</left><right>true</right></pair>"),
        rules("<pair><left>+1</left><right>true</right><weight>9</weight></pair>"),
    )
    assert values(tree, "tr:rules/tr:pair/tr:weight") == ["9"]


def tree_of(content: str) -> etree._Element:
    return rules(content)


def test_comments_and_white_space_mean_nothing() -> None:
    content = " <!-- x -->\n  <enabled>tr<!-- y -->ue</enabled> "
    octets = f'<config>\n <cloud-management xmlns="{xml.HCM}">{content}</cloud-management>\n</config>'
    same(made(device_model(), xml.parse(octets.encode())), hcm("<enabled>true</enabled>"))


# replace --------------------------------------------------------------------------------------------


def test_replace_of_a_container() -> None:
    before = hcm("<server><domain>a</domain><port>1</port></server><enabled>true</enabled>")
    change = hcm('<server nc:operation="replace"><port>2</port></server>')
    same(after(before, change), hcm("<server><port>2</port></server><enabled>true</enabled>"))


def test_replace_of_an_entry_keeps_its_place() -> None:
    before = hcm(
        "<backup-server><domain>a</domain><port>1</port></backup-server><backup-server><domain>b</domain></backup-server>"
    )
    change = hcm('<backup-server nc:operation="replace"><domain>a</domain></backup-server>')
    same(after(before, change), hcm(A_AND_B))


def test_replace_creates() -> None:
    change = hcm(
        '<server nc:operation="replace"><port>2</port></server><enabled nc:operation="replace">false</enabled>'
    )
    same(after(NOTHING, change), hcm("<enabled>false</enabled><server><port>2</port></server>"))


def test_replace_as_the_default_operation_replaces_everything() -> None:
    tree = after(hcm("<enabled>false</enabled>" + A_AND_B), hcm("<ping-interval>20</ping-interval>"), "replace")
    same(tree, hcm("<ping-interval>20</ping-interval>"))
    assert len(after(hcm(A_AND_B), NOTHING, "replace")) == 0


# create, delete, remove -----------------------------------------------------------------------------


def test_create() -> None:
    change = hcm(
        '<enabled nc:operation="create">true</enabled>'
        '<backup-server nc:operation="create"><domain>a</domain></backup-server>'
    )
    same(after(NOTHING, change), hcm("<enabled>true</enabled><backup-server><domain>a</domain></backup-server>"))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ('<enabled nc:operation="create">true</enabled>', "hcm:enabled"),
        ('<server nc:operation="create"><domain>b</domain></server>', "hcm:server"),
        (
            '<backup-server nc:operation="create"><domain>a</domain></backup-server>',
            "hcm:backup-server[hcm:domain='a']",
        ),
        ("<tls><trust-anchor nc:operation='create'>PEM</trust-anchor></tls>", "hcm:tls/hcm:trust-anchor[.='PEM']"),
    ],
)
def test_create_of_what_exists(change: str, where: str) -> None:
    pem = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    before = hcm(
        f"<enabled>true</enabled><server><port>1</port></server>{A_AND_B}<tls><trust-anchor>{pem}</trust-anchor></tls>"
    )
    error = refused(before, hcm(change.replace("PEM", pem)))
    assert (error.tag, path(error)) == ("data-exists", f"/hcm:cloud-management/{where.replace('PEM', pem)}")


@pytest.mark.parametrize("operation", ["delete", "remove"])
@pytest.mark.parametrize(
    "gone",
    [
        "<enabled {}/>",
        "<enabled {}>anything</enabled>",
        "<server {}/>",
        "<backup-server {}><domain>a</domain></backup-server>",
    ],
)
def test_delete_and_remove(operation: str, gone: str) -> None:
    whole = {
        "enabled": "<enabled>true</enabled>",
        "server": "<server><port>1</port></server>",
        "backup-server": "<backup-server><domain>a</domain></backup-server>",
    }
    before = hcm("".join(whole.values()))
    change = hcm(gone.format(f'nc:operation="{operation}"'))
    left = [content for name, content in whole.items() if f"<{name} " not in gone]
    same(after(before, change), hcm("".join(left)))


@pytest.mark.parametrize(
    ("gone", "where"),
    [
        ("<enabled {}/>", "hcm:enabled"),
        ("<server {}/>", "hcm:server"),
        ("<server><port {}/></server>", "hcm:server/hcm:port"),
        ("<backup-server {}><domain>c</domain></backup-server>", "hcm:backup-server[hcm:domain='c']"),
    ],
)
def test_delete_of_what_is_not_there(gone: str, where: str) -> None:
    before = hcm(A_AND_B)
    error = refused(before, hcm(gone.format('nc:operation="delete"')))
    assert (error.tag, path(error)) == ("data-missing", f"/hcm:cloud-management/{where}")
    same(after(before, hcm(gone.format('nc:operation="remove"'))), before)


def test_delete_of_a_leaf_list_value() -> None:
    before = rules("<sorted>1</sorted><sorted>2</sorted>")
    tree = after(before, rules('<sorted nc:operation="delete">1</sorted>'))
    assert values(tree, "tr:rules/tr:sorted") == ["2"]
    assert refused(before, rules('<sorted nc:operation="delete">3</sorted>')).tag == "data-missing"


def test_delete_and_create_anew_in_one_edit() -> None:
    before = hcm("<backup-server><domain>a</domain><port>1</port></backup-server>")
    entry = '<backup-server nc:operation="{}"><domain>a</domain></backup-server>'
    tree = after(before, hcm(entry.format("delete") + entry.format("create")))
    same(tree, hcm("<backup-server><domain>a</domain></backup-server>"))


def test_an_operation_counts_for_what_is_below_until_another_stands_there() -> None:
    before = hcm("<server><domain>a</domain></server>")
    change = hcm('<server nc:operation="create"><domain nc:operation="merge">b</domain></server>')
    assert refused(before, change).tag == "data-exists"
    change = hcm('<server nc:operation="none"/>')
    assert refused(before, change).tag == "bad-attribute"  # none is a default operation only
    change = config(
        f'<cloud-management xmlns="{xml.HCM}" nc:operation="merge"><server><domain nc:operation="create">b</domain>'
        "</server></cloud-management>"
    )
    assert refused(before, change).tag == "data-exists"


# none -----------------------------------------------------------------------------------------------


def test_none_touches_only_what_an_operation_names() -> None:
    before = hcm(A_AND_B)
    change = hcm(
        '<server><port nc:operation="merge">1</port></server>'
        '<backup-server><domain>a</domain><port nc:operation="create">2</port></backup-server>'
    )
    same(
        after(before, change, "none"),
        hcm(
            "<server><port>1</port></server><backup-server><domain>a</domain><port>2</port></backup-server>"
            "<backup-server><domain>b</domain></backup-server>"
        ),
    )
    change = hcm("<server><port>1</port></server>")
    assert refused(before, change, "none").tag == "data-missing"


def test_none_needs_what_it_names() -> None:
    error = refused(
        NOTHING, hcm("<backup-server><domain>a</domain><port nc:operation='merge'>1</port></backup-server>"), "none"
    )
    assert (error.tag, path(error)) == ("data-missing", "/hcm:cloud-management/hcm:backup-server[hcm:domain='a']")


def test_none_leaves_values_alone() -> None:
    same(after(hcm("<enabled>true</enabled>"), hcm("<enabled>false</enabled>"), "none"), hcm("<enabled>true</enabled>"))


# insert ---------------------------------------------------------------------------------------------


def placed(domain: str, attributes: str) -> etree._Element:
    return hcm(f"<backup-server {attributes}><domain>{domain}</domain></backup-server>")


@pytest.mark.parametrize(
    ("attributes", "domains"),
    [
        ("", "abc"),
        ('yang:insert="last"', "abc"),
        ('yang:insert="first"', "cab"),
        ("yang:insert='before' yang:key=\"[hcm:domain='b']\"", "acb"),
        ("yang:insert='after' yang:key=\"[hcm:domain='a']\"", "acb"),
        ("yang:insert='after' yang:key=\"[hcm:domain='b']\"", "abc"),
        ("yang:insert='before' yang:key='[domain = \"a\"]'", "cab"),
        ("yang:insert='before' yang:key=\"[hcm:domain='b']\" nc:operation='create'", "acb"),
        ("yang:insert='first' nc:operation='replace'", "cab"),
    ],
)
def test_insert_of_a_new_entry(attributes: str, domains: str) -> None:
    assert values(after(hcm(A_AND_B), placed("c", attributes)), BACKUPS) == list(domains)


@pytest.mark.parametrize(
    ("attributes", "domains"),
    [
        ("", "ab"),
        ('yang:insert="last"', "ba"),
        ('yang:insert="first"', "ab"),
        ("yang:insert='after' yang:key=\"[hcm:domain='b']\"", "ba"),
        ("yang:insert='before' yang:key=\"[hcm:domain='b']\"", "ab"),
        ("yang:insert='before' yang:key=\"[hcm:domain='a']\"", "ab"),
    ],
)
def test_insert_moves_an_entry_that_is_there(attributes: str, domains: str) -> None:
    assert values(after(hcm(A_AND_B), placed("a", attributes)), BACKUPS) == list(domains)


def test_insert_before_an_entry_of_the_same_edit() -> None:
    entries = "".join(
        f"<backup-server yang:insert='before' yang:key=\"[hcm:domain='{at}']\"><domain>{new}</domain></backup-server>"
        for new, at in ("cb", "dc", "ed")
    )
    assert values(after(hcm(A_AND_B), hcm(entries)), BACKUPS) == list("aedcb")


def test_insert_into_a_leaf_list() -> None:
    before = rules("<order>a</order><order>b</order>")
    tree = after(
        before, rules('<order yang:insert="before" yang:value="b">c</order><order yang:insert="last">a</order>')
    )
    assert values(tree, "tr:rules/tr:order") == ["c", "b", "a"]


def test_values_of_insert_are_read_as_values() -> None:
    before = rules("<pair><left>1</left><right>true</right></pair>")
    key = "[tr:left='01'][tr:right='true']"
    change = f'<pair yang:insert="before" yang:key="{key}"><left>2</left><right>true</right></pair>'
    assert values(after(before, rules(change)), "tr:rules/tr:pair/tr:left") == ["2", "1"]


@pytest.mark.parametrize(
    ("attributes", "tag", "attribute", "app_tag"),
    [
        ('yang:insert="middle"', "bad-attribute", "insert", None),
        ('yang:insert="before"', "missing-attribute", "key", None),
        ("yang:insert='before' yang:key=\"[hcm:domain='x']\"", "bad-attribute", "key", "missing-instance"),
        ("yang:insert='before' yang:key=\"[hcm:domain='c']\"", "bad-attribute", "key", "missing-instance"),
        ("yang:insert='before' yang:key=\"[hcm:domain='a b']\"", "bad-attribute", "key", None),
        ("yang:insert='before' yang:key=\"[hcm:port='1']\"", "bad-attribute", "key", None),
        ("yang:insert='before' yang:key=\"[hcm:domain='a'][hcm:domain='b']\"", "bad-attribute", "key", None),
        ("yang:insert='before' yang:key='a'", "bad-attribute", "key", None),
        ("yang:insert='before' yang:key=\"[zz:domain='a']\"", "bad-attribute", "key", None),
        ("yang:insert='before' yang:key=\"[nc:domain='a']\"", "bad-attribute", "key", None),
        ("yang:insert='before' yang:value='a'", "unknown-attribute", "value", None),
        ("yang:insert='before' yang:key=''", "bad-attribute", "key", None),
    ],
)
def test_insert_that_is_refused(attributes: str, tag: str, attribute: str, app_tag: str | None) -> None:
    error = refused(hcm(A_AND_B), placed("c", attributes))
    assert (error.tag, error.app_tag) == (tag, app_tag)
    assert error.info == (ErrorInfo("bad-attribute", attribute), ErrorInfo("bad-element", "backup-server"))
    assert path(error) == "/hcm:cloud-management/hcm:backup-server"


@pytest.mark.parametrize(
    "change",
    [
        '<sorted yang:insert="first">1</sorted>',
        '<low yang:insert="first">1</low>',
        '<person yang:insert="first"><name>a</name></person>',
        '<low yang:key="x">1</low>',
    ],
)
def test_insert_where_the_user_orders_nothing(change: str) -> None:
    assert refused(NOTHING, rules(change)).tag == "unknown-attribute"


# choices --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ("<tcp-port>1</tcp-port>", "<tcp-port>1</tcp-port>"),
        ("<pigeon/>", "<pigeon/>"),
        ("<barrel/>", "<barrel/>"),
        (
            "<drum><name>a</name></drum><drum><name>b</name></drum>",
            "<drum><name>a</name></drum><drum><name>b</name></drum>",
        ),
        ('<balloon xmlns="urn:test:augment">x</balloon>', '<balloon xmlns="urn:test:augment">x</balloon>'),
        (
            "<udp><checksum>true</checksum></udp>",
            "<udp><port>1</port><checksum>true</checksum></udp><udp-peer>p</udp-peer>",
        ),
    ],
)
def test_a_new_node_deletes_the_other_cases(change: str, left: str) -> None:
    before = rules("<low>1</low><udp><port>1</port></udp><udp-peer>p</udp-peer>")
    same(after(before, rules(change)), rules("<low>1</low>" + left))


def test_a_node_deep_in_a_case_deletes_the_other_cases() -> None:
    same(after(rules("<tcp-port>1</tcp-port>"), rules("<udp><port>1</port></udp>")), rules("<udp><port>1</port></udp>"))


def test_a_nested_choice() -> None:
    before = rules("<barrel><size>1</size></barrel>")
    same(after(before, rules("<pigeon/>")), rules("<pigeon/>"))
    same(after(before, rules("<tcp-name>x</tcp-name>")), rules("<tcp-name>x</tcp-name>"))


def test_what_makes_nothing_chooses_nothing() -> None:
    before = rules("<tcp-port>1</tcp-port>")
    for change in (
        "<udp/>",
        '<udp><port nc:operation="remove"/></udp>',
        '<udp-peer nc:operation="remove">x</udp-peer>',
    ):
        same(after(before, rules(change)), before)


def test_data_of_two_cases_in_one_edit() -> None:
    error = refused(NOTHING, rules("<tcp-port>1</tcp-port><pigeon/>"))
    assert (error.tag, path(error), error.info) == (
        "bad-element",
        "/tr:rules/tr:pigeon",
        (ErrorInfo("bad-element", "pigeon"),),
    )


def test_one_case_may_be_deleted_where_another_is_made() -> None:
    before = rules("<tcp-port>1</tcp-port>")
    same(after(before, rules('<tcp-port nc:operation="delete"/><pigeon/>')), rules("<pigeon/>"))


# what is wrong with an edit -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "tag", "bad", "where"),
    [
        ("<no-such/>", "unknown-element", "no-such", "/hcm:cloud-management"),
        ("<server><no-such/></server>", "unknown-element", "no-such", "/hcm:cloud-management/hcm:server"),
        ("<lockout-protection/>", "unknown-element", "lockout-protection", "/hcm:cloud-management"),
        ("<connection/>", "unknown-element", "connection", "/hcm:cloud-management/hcm:connection"),
        ("<enabled>true</enabled><enabled>true</enabled>", "bad-element", "enabled", None),
        ("<server/><server/>", "bad-element", "server", "/hcm:cloud-management/hcm:server"),
        ("<enabled> true </enabled>", "invalid-value", "enabled", "/hcm:cloud-management/hcm:enabled"),
        ("<keepalive-interval>0x10</keepalive-interval>", "invalid-value", "keepalive-interval", None),
        ("<keepalive-interval>9</keepalive-interval>", "invalid-value", "keepalive-interval", None),
        ("<server><port>65536</port></server>", "invalid-value", "port", "/hcm:cloud-management/hcm:server/hcm:port"),
        ("<server><port><x/></port></server>", "bad-element", "port", None),
        ("<server>text</server>", "bad-element", "server", "/hcm:cloud-management/hcm:server"),
        ("<backup-server><port>1</port></backup-server>", "missing-element", "domain", None),
        ("<backup-server/>", "missing-element", "domain", "/hcm:cloud-management/hcm:backup-server"),
        ("<backup-server><domain>a</domain><domain>b</domain></backup-server>", "bad-element", "domain", None),
        ("<backup-server><domain>a</domain>text</backup-server>", "bad-element", "backup-server", None),
        ("<backup-server><domain>a b</domain></backup-server>", "invalid-value", "domain", None),
        (
            "<backup-server><domain>a</domain><port>x</port></backup-server>",
            "invalid-value",
            "port",
            "/hcm:cloud-management/hcm:backup-server[hcm:domain='a']/hcm:port",
        ),
    ],
)  # fmt: skip
def test_refused(change: str, tag: str, bad: str, where: str | None) -> None:
    error = refused(NOTHING, hcm(change))
    assert error.tag == tag
    if tag == "invalid-value":  # RFC 6241 appendix A: no error-info; the path tells which
        assert error.info == ()
        assert error.path is not None
        assert error.path.text.rpartition(":")[2].startswith(bad)
    else:
        assert ErrorInfo("bad-element", bad) in error.info
    assert where is None or path(error) == where


def test_the_models_own_words() -> None:
    error = refused(NOTHING, hcm("<keepalive-interval>9</keepalive-interval>"))
    assert error.message == "keepalive-interval: The keepalive interval is from 10 to 600 seconds."
    error = refused(NOTHING, types("<percent>101</percent>"))
    assert (error.app_tag, path(error)) == ("not-a-percentage", "/tt:types/tt:percent")


@pytest.mark.parametrize(
    ("content", "namespace"), [('<x xmlns="urn:no-such"/>', "urn:no-such"), ("<cloud-management/>", "")]
)
def test_an_unknown_namespace(content: str, namespace: str) -> None:
    with pytest.raises(RpcErrors) as caught:
        edited(device_model().schema, device_model().empty(), config(content))
    (error,) = caught.value.errors
    assert error.tag == "unknown-namespace"
    assert ErrorInfo("bad-namespace", namespace) in error.info
    assert error.path is None


@pytest.mark.parametrize(
    ("attributes", "tag"),
    [
        ('nc:operation="destroy"', "bad-attribute"),
        ('nc:operation=" merge"', "bad-attribute"),
        ('operation="delete"', "unknown-attribute"),
        ('hcm:operation="delete"', "unknown-attribute"),
        ('x="y"', "unknown-attribute"),
    ],
)
def test_attributes(attributes: str, tag: str) -> None:
    error = refused(hcm("<enabled>true</enabled>"), hcm(f"<enabled {attributes}>true</enabled>"))
    assert (error.tag, path(error)) == (tag, "/hcm:cloud-management/hcm:enabled")
    assert error.info[1] == ErrorInfo("bad-element", "enabled")


def test_xml_attributes_are_let_through() -> None:
    same(after(NOTHING, hcm('<enabled xml:lang="en">true</enabled>')), hcm("<enabled>true</enabled>"))


def test_a_key_cannot_be_deleted() -> None:
    change = hcm('<backup-server><domain nc:operation="delete">a</domain></backup-server>')
    assert refused(hcm(A_AND_B), change).tag == "bad-attribute"


def test_a_decimal_of_many_digits_is_out_of_range() -> None:
    assert refused(NOTHING, types(f"<fine>{'9' * 39}</fine>")).tag == "invalid-value"


def test_no_value_stands_in_an_error() -> None:
    change = "<server><password>hunter2</password></server><tls><private-key>$0$hunter2</private-key></tls>"
    with pytest.raises(RpcErrors) as caught:
        made(device_model(), hcm(change))
    assert len(caught.value.errors) == 2
    for error in caught.value.errors:
        assert "hunter2" not in repr((error.message, error.path, error.info, error.app_tag, str(error)))


# all or nothing, or what is right ---------------------------------------------------------------------


def test_every_error_is_found_and_what_is_right_takes_effect() -> None:
    schema, before = device_model().schema, made(device_model(), hcm("<enabled>true</enabled>"))
    change = hcm(
        "<enabled>maybe</enabled><ping-interval>20</ping-interval><server><port>0</port><domain>a</domain></server>"
        "<no-such/>"
    )
    outcome = edit(schema, before, change)
    assert [error.tag for error in outcome.errors] == ["invalid-value", "invalid-value", "unknown-element"]
    same(
        outcome.tree, hcm("<enabled>true</enabled><ping-interval>20</ping-interval><server><domain>a</domain></server>")
    )
    with pytest.raises(RpcErrors) as caught:
        edited(schema, before, change)
    assert len(caught.value.errors) == 3


@pytest.mark.parametrize("wrong", ["<no-such/>", '<no-such xmlns="urn:nowhere"/>', "<enabled>maybe</enabled>"])
def test_the_errors_that_are_told_are_bounded(wrong: str) -> None:
    """Or a message of 16 MB would be answered by one of hundreds."""
    schema, before = device_model().schema, made(device_model(), NOTHING)
    exactly = edit(schema, before, hcm(wrong * MOST_ERRORS))
    assert len(exactly.errors) == MOST_ERRORS
    more = edit(schema, before, hcm(wrong * (MOST_ERRORS + 7) + "<ping-interval>20</ping-interval>"))
    assert [error.message for error in more.errors[:-1]] == [error.message for error in exactly.errors]
    assert (more.errors[-1].tag, more.errors[-1].message) == ("operation-failed", "the edit has 7 more errors")
    same(more.tree, hcm("<ping-interval>20</ping-interval>"))


def test_nothing_of_an_edit_is_kept_once_its_errors_are_told() -> None:
    gc.collect()
    gc.disable()
    try:
        with pytest.raises(RpcErrors) as caught:
            edited(device_model().schema, device_model().empty(), hcm("<no-such/><enabled>maybe</enabled>"))
        assert [error.__traceback__ for error in caught.value.errors] == [None, None]
        del caught
        assert not any(isinstance(found, _Edit) for found in gc.get_objects())
    finally:
        gc.enable()


def test_what_can_only_fail_is_not_gone_through_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message of 500,000 wrong elements would keep everybody else from writing for seconds."""
    looked_at: list[etree._Element] = []

    def refuse(_run: object, _target: object, _parent: object, source: etree._Element, *_more: object) -> None:
        looked_at.append(source)
        raise OperationFailed("wrong")

    monkeypatch.setattr(_Edit, "_child", refuse)
    schema, before = device_model().schema, made(device_model(), NOTHING)
    change = hcm("")
    change.extend(etree.Element("a") for _ in range(10 * MOST_ERRORS))
    outcome = edit(schema, before, change, to_the_end=False)
    assert len(looked_at) == MOST_ERRORS + 1
    assert len(outcome.errors) == MOST_ERRORS + 1
    assert outcome.errors[-1].message == "the edit has more errors"
    looked_at.clear()
    with pytest.raises(RpcErrors):
        edited(schema, before, change)
    assert len(looked_at) == MOST_ERRORS + 1


def test_neither_the_tree_nor_the_edit_is_changed() -> None:
    before, change = made(device_model(), hcm(A_AND_B)), hcm("<enabled>true</enabled>" + A_AND_B)
    texts = text(before), text(change)
    tree = edited(device_model().schema, before, change)
    assert tree is not before
    assert (text(before), text(change)) == texts


# values with prefixes ---------------------------------------------------------------------------------


PREFIXED = (
    "<animal>x:dog</animal><pet>cat</pet><mixed>x:wolf</mixed><expression>child::x:a/types</expression>"
    "<loose>/tt:types/tt:animal</loose><kind><id>cat</id><number>1</number></kind>"
)


def test_values_with_prefixes_survive_serialising_and_copying() -> None:
    model = test_model()
    tree = made(model, types(PREFIXED))
    assert values(tree, ".//tt:animal") == ["ti:dog"]
    edited_again = edited(
        model.schema, tree, types('<kind nc:operation="delete"><id>cat</id><number>1</number></kind>')
    )
    for copied in (tree, copy.deepcopy(tree), edited_again):
        assert text(made(model, xml.parse(xml.serialise(copied)))) == text(copied)
    alone = xml.element(DATA)
    alone.append(copy.deepcopy(tree[0]))
    assert text(made(model, xml.parse(xml.serialise(alone)))) == text(tree)


def test_a_value_with_a_prefix_keeps_its_declaration_when_its_entry_moves() -> None:
    model = test_model()
    tree = made(
        model, types("<kind><id>cat</id><number>1</number></kind><kind><id>x:dog</id><number>2</number></kind>")
    )
    again = made(model, xml.parse(xml.serialise(tree)))
    assert text(again) == text(tree)
    assert values(again, ".//tt:id") == ["tt:cat", "ti:dog"]


# anydata ----------------------------------------------------------------------------------------------


def test_anydata_is_taken_whole() -> None:
    model = test_model()
    tree = made(model, types('<anything nc:operation="create"><a xmlns="urn:a"><b>1</b></a></anything>'))
    (anything,) = tree.findall("tt:types/tt:anything", {"tt": "urn:test:types"})
    assert anything.find("{urn:a}a/{urn:a}b") is not None
    assert not anything.attrib
    tree = edited(model.schema, tree, types("<anything><c/></anything>"))
    assert len(tree.findall(".//tt:c", {"tt": "urn:test:types"})) == 1
    assert tree.find(".//{urn:a}a") is None
