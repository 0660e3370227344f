from __future__ import annotations

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.difference import difference
from headstay.datastore.edit import edited
from headstay.datastore.nacm import Nacm, Permissions, Right, Rule, RuleList, read_nacm
from headstay.datastore.schema import SchemaNode
from headstay.errors import RpcErrors
from models import config, device_model, hcm, made, text, values
from nacm_rules import deny, permissions, permit, rules

SCHEMA = device_model().schema
SERVERS = hcm(
    "<server><domain>a.example</domain><password>$aes-256-gcm$AAAA</password></server>"
    "<backup-server><domain>b.example</domain><port>1</port></backup-server>"
    "<backup-server><domain>c.example</domain></backup-server>"
)


def servers() -> etree._Element:
    return made(device_model(), SERVERS)


def at(tree: etree._Element, path: str) -> tuple[SchemaNode, etree._Element]:
    """The node on a path of local names, and its first instance."""
    node, element = SCHEMA, tree
    for name in path.split("/"):
        node = next(child for child in node.children.values() if child.name == name)
        found = element.find(node.tag)
        assert found is not None
        element = found
    return node, element


# the configuration


def test_without_a_configuration_the_defaults_of_the_model_count() -> None:
    assert read_nacm(None) == Nacm()
    assert read_nacm(made(device_model(), rules())[0]) == Nacm(members={"g": frozenset({"user"})})


def test_a_configuration_is_read_whole() -> None:
    options = (
        "<enable-nacm>false</enable-nacm><read-default>deny</read-default><write-default>permit</write-default>"
        "<exec-default>deny</exec-default><enable-external-groups>false</enable-external-groups>"
    )
    edit = rules(
        "<rpc-name>commit</rpc-name><access-operations>exec read</access-operations><action>permit</action>",
        "<module-name>m</module-name><notification-name>*</notification-name><action>deny</action>",
        "<access-operations></access-operations><action>permit</action>",
        options=options,
    )
    read = read_nacm(made(device_model(), edit)[0])
    assert (read.enabled, read.read_default, read.write_default) == (False, False, True)
    assert (read.exec_default, read.external_groups) == (False, False)
    assert read.rule_lists == (
        RuleList(
            frozenset({"g"}),
            (
                Rule(True, rights=frozenset({Right.EXEC, Right.READ}), operation="commit"),
                Rule(False, module="m", notification="*"),
                Rule(True, rights=frozenset()),
            ),
        ),
    )


def test_a_path_is_kept_with_the_prefixes_of_the_modules() -> None:
    """Whatever the client's are; and they still stand for the same when the tree comes back from the disk."""
    written = f'<path xmlns:c="{xml.HCM}">/c:cloud-management/server</path><action>deny</action>'
    tree = made(device_model(), rules(written))
    stored = xml.parse(xml.serialise(tree))
    assert values(tree, ".//nacm:path") == values(stored, ".//nacm:path") == ["/hcm:cloud-management/server"]
    assert text(made(device_model(), stored)) == text(tree)
    device_model().validate(tree)
    user = permissions(rules(written))
    assert values(user.visible(servers()), ".//hcm:server") == []


@pytest.mark.parametrize("path", ["server", "/server", "/c:cloud-management[1]", "//c:server", "/x:server"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(RpcErrors):
        made(device_model(), rules(f'<path xmlns:c="{xml.HCM}">{path}</path><action>deny</action>'))


# groups


def test_rules_are_for_groups() -> None:
    edit = rules("<action>permit</action>")
    assert permissions(edit).unlimited
    assert not permissions(edit, "other").unlimited
    assert permissions(edit, "other", frozenset({"g"})).unlimited  # a group of the transport's
    without = rules("<action>permit</action>", options="<enable-external-groups>false</enable-external-groups>")
    assert not permissions(without, "other", frozenset({"g"})).unlimited


def test_every_group_is_no_group_for_a_user_without_any() -> None:
    edit = rules("<action>permit</action>", groups="<group>*</group>")
    assert permissions(edit).unlimited
    assert not permissions(edit, "other").unlimited


# operations and notifications


def test_what_the_defaults_permit() -> None:
    user = permissions(rules())
    assert user.may_execute("ietf-netconf", "commit", denied_by_default=False)
    assert not user.may_execute("ietf-netconf", "kill-session", denied_by_default=False)
    assert not user.may_execute("ietf-netconf", "delete-config", denied_by_default=False)
    assert user.may_execute("other", "kill-session", denied_by_default=False)
    assert not user.may_execute("other", "reconnect", denied_by_default=True)
    assert user.may_receive("m", "n", denied_by_default=False)
    assert not user.may_receive("m", "n", denied_by_default=True)


def test_close_session_is_never_denied() -> None:
    user = permissions(rules("<action>deny</action>"))
    assert user.may_execute("ietf-netconf", "close-session", denied_by_default=False)
    assert not user.may_execute("ietf-netconf", "get", denied_by_default=False)
    assert not user.may_execute("other", "close-session", denied_by_default=False)


def test_a_rule_for_one_kind_says_nothing_about_another() -> None:
    user = permissions(
        rules(
            "<rpc-name>*</rpc-name><action>deny</action>",
            deny("/"),
            "<notification-name>n</notification-name><action>permit</action>",
            options="<read-default>deny</read-default>",
        )
    )
    assert not user.may_execute("m", "n", denied_by_default=False)
    assert user.may_receive("m", "n", denied_by_default=True)
    assert not user.may_receive("m", "other", denied_by_default=False)


# data


def test_a_path_is_about_all_that_is_below_it() -> None:
    user = permissions(rules(permit("/hcm:cloud-management/hcm:server", "update")))
    tree = servers()
    assert user.may(Right.UPDATE, *at(tree, "cloud-management/server/domain"))
    assert user.may(Right.UPDATE, *at(tree, "cloud-management/server/password"))
    assert not user.may(Right.DELETE, *at(tree, "cloud-management/server/domain"))
    assert not user.may(Right.UPDATE, *at(tree, "cloud-management/backup-server/port"))


def test_a_path_may_name_entries() -> None:
    user = permissions(rules(deny("/hcm:cloud-management/hcm:backup-server[hcm:domain = 'b.example']")))
    assert values(user.visible(servers()), ".//hcm:backup-server/hcm:domain") == ["c.example"]


def test_a_path_may_name_the_user() -> None:
    users = config(
        f'<system xmlns="{xml.SYSTEM}"><authentication><user><name>user</name></user><user><name>x</name></user>'
        "</authentication></system>"
    )
    user = permissions(rules(deny("/sys:system/sys:authentication/sys:user[sys:name=$USER]")))
    assert values(user.visible(made(device_model(), users)), ".//sys:name") == ["x"]


def test_a_path_that_leads_nowhere_matches_nothing() -> None:
    user = permissions(rules(permit("/hcm:cloud-management/hcm:nothing"), deny("/sys:cloud-management")))
    assert text(user.visible(servers())) == text(permissions(rules()).visible(servers()))


def test_the_first_rule_that_matches_decides() -> None:
    port = "/hcm:cloud-management/hcm:backup-server/hcm:port"
    assert values(permissions(rules(permit(port), deny(port))).visible(servers()), ".//hcm:port") == ["1"]
    assert values(permissions(rules(deny(port), permit(port))).visible(servers()), ".//hcm:port") == []


def test_what_the_modules_deny_needs_a_rule() -> None:
    tree = servers()
    assert "password" not in text(permissions(rules()).visible(tree))
    assert "password" in text(permissions(rules(permit("/", "read"))).visible(tree))
    assert "password" in text(tree)
    writer = permissions(rules(options="<write-default>permit</write-default>"))
    assert writer.may(Right.UPDATE, *at(tree, "cloud-management/server/domain"))
    assert not writer.may(Right.UPDATE, *at(tree, "cloud-management/server/password"))


def test_what_is_hidden_hides_what_is_below_it() -> None:
    edit = rules(permit("/hcm:cloud-management/hcm:server/hcm:domain"), deny("/hcm:cloud-management/hcm:server"))
    assert values(permissions(edit).visible(servers()), ".//hcm:domain") == ["b.example", "c.example"]


def test_an_entry_whose_key_is_hidden_is_hidden() -> None:
    user = permissions(rules(deny("/hcm:cloud-management/hcm:backup-server/hcm:domain", "read")))
    assert "backup-server" not in text(user.visible(servers()))


def test_a_container_that_is_left_empty_is_not_shown() -> None:
    tree = made(device_model(), hcm("<server><password>$aes-256-gcm$AAAA</password></server>"))
    assert len(permissions(rules()).visible(tree)) == 0
    assert len(tree) == 1


@pytest.mark.parametrize("edit", [rules("<action>permit</action>"), rules(options="<enable-nacm>false</enable-nacm>")])
def test_who_may_do_everything_costs_nothing(edit: etree._Element) -> None:
    tree = servers()
    user = permissions(edit)
    assert user.visible(tree) is tree
    user.hide(tree)
    assert user.first_denied(difference(SCHEMA, tree, device_model().empty())) is None
    assert text(tree) == text(servers())


def test_recovery_sessions_are_never_denied() -> None:
    nothing = Nacm(read_default=False, exec_default=False)
    assert Permissions(SCHEMA, nothing, "root", recovery=True).unlimited
    assert not Permissions(SCHEMA, nothing, "root").unlimited


def test_a_tree_without_anything_hidden_is_not_copied() -> None:
    tree = made(device_model(), hcm("<enabled>false</enabled>"))
    assert permissions(rules(permit("/"))).visible(tree) is tree


# changes


def first_denied(user: Permissions, change: etree._Element) -> str | None:
    old = servers()
    denied = user.first_denied(difference(SCHEMA, old, edited(SCHEMA, old, change)))
    return None if denied is None else f"{denied.edit.value} {denied.node.name}"


@pytest.mark.parametrize(
    ("change", "right", "what"),
    [
        ("<ping-interval>20</ping-interval>", "create", "created ping-interval"),
        ("<server><domain>x</domain></server>", "update", "modified domain"),
        ('<server nc:operation="remove"/>', "delete", "deleted domain"),
        ('<server nc:operation="replace"><domain>a.example</domain></server>', "delete", "deleted password"),
        (
            '<backup-server yang:insert="first"><domain>c.example</domain></backup-server>',
            "update",
            "moved backup-server",
        ),
    ],
)
def test_a_change_needs_its_right(change: str, right: str, what: str) -> None:
    others = " ".join({"create", "read", "update", "delete", "exec"} - {right})
    assert first_denied(permissions(rules(permit("/", others))), hcm(change)) == what
    assert first_denied(permissions(rules(permit("/", right))), hcm(change)) is None


def test_what_an_edit_leaves_as_it_is_needs_no_right() -> None:
    change = hcm("<server><domain>a.example</domain></server><backup-server><domain>b.example</domain></backup-server>")
    assert first_denied(permissions(rules()), change) is None


def test_what_gives_way_to_another_case_needs_no_right() -> None:
    old = made(device_model(), rules(permit("/hcm:cloud-management")))
    change = '<rule><name>0</name><rpc-name nc:operation="merge">commit</rpc-name></rule>'
    new = edited(SCHEMA, old, config(f'<nacm xmlns="{xml.NACM}"><rule-list><name>l</name>{change}</rule-list></nacm>'))
    changes = difference(SCHEMA, old, new)
    assert {(change.edit.value, change.node.name, change.implied) for change in changes} == {
        ("created", "rpc-name", False),
        ("deleted", "path", True),
    }
    user = permissions(rules(permit("/", "create"), deny("/", "delete")))
    assert user.first_denied(changes) is None


def test_only_what_is_shown_is_named() -> None:
    tree = servers()
    user = permissions(rules(deny("/hcm:cloud-management/hcm:backup-server")))
    assert user.named_openly(*at(tree, "cloud-management/backup-server/port")) == at(tree, "cloud-management")
    assert user.named_openly(*at(tree, "cloud-management/server/domain")) == at(tree, "cloud-management/server/domain")
    nobody = permissions(rules(deny("/")))
    assert nobody.named_openly(*at(tree, "cloud-management/server"))[0] is SCHEMA
