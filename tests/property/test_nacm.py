"""Access control decides as RFC 8341 section 3.4 is written: compiled rules against a reading of it, step by step.

`Literal` looks at one instance at a time and lets libxml2 evaluate the paths; it knows nothing of the schema but what
the modules deny by default.
"""

from __future__ import annotations

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from headstay import xml
from headstay.datastore.difference import difference
from headstay.datastore.edit import edit
from headstay.datastore.nacm import Permissions, Right, read_nacm
from headstay.datastore.schema import Kind, SchemaNode
from models import config, device_model, made, text
from strategies import DEFAULT_OPERATIONS, configurations, edits

NACM = f"{{{xml.NACM}}}"
IN_SCOPE = {"hcm": xml.HCM, "sys": xml.SYSTEM, "nacm": xml.NACM}
MODULES = {xml.HCM: "headstay-cloud-management", xml.SYSTEM: "ietf-system", xml.NACM: "ietf-netconf-acm"}
DENY_ALL = {
    f"{{{xml.NACM}}}nacm",
    f"{{{xml.HCM}}}password",
    f"{{{xml.HCM}}}private-key",
    f"{{{xml.SYSTEM}}}password",
}
DENY_WRITE = {f"{{{xml.SYSTEM}}}authentication"}

PATHS = (
    "/",
    "/hcm:cloud-management",
    "/hcm:cloud-management/hcm:enabled",
    "/hcm:cloud-management/hcm:server",
    "/hcm:cloud-management/hcm:server/hcm:password",
    "/hcm:cloud-management/hcm:backup-server",
    "/hcm:cloud-management/hcm:backup-server[hcm:domain='a.example']",
    "/hcm:cloud-management/hcm:backup-server[hcm:domain='192.0.2.1']/hcm:port",
    "/hcm:cloud-management/hcm:backup-server/hcm:domain",
    "/hcm:cloud-management/hcm:backup-server[hcm:domain='b.example']/hcm:domain",
    "/hcm:cloud-management/hcm:service[hcm:name='telemetry']/hcm:enabled",
    "/hcm:cloud-management/hcm:tls/hcm:trust-anchor[.='-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----']",
    "/hcm:cloud-management/hcm:tls",
    "/sys:system",
    "/sys:system/sys:authentication/sys:user[sys:name=$USER]",
    "/sys:system/sys:authentication/sys:user[sys:name='admin']/sys:password",
    "/nacm:nacm/nacm:rule-list/nacm:rule",
    "/nacm:nacm/nacm:groups/nacm:group[nacm:name='g1']",
    "/hcm:cloud-management/hcm:no-such-node",
)
NAMES = ("", "*", *MODULES.values(), "ietf-netconf", "other")
DEFAULTS = ("", "permit", "deny")
GROUPS = ("g1", "g2", "g3")
USERS = ("admin", "guest")


def leaf(name: str, value: str) -> str:
    return f"<nacm:{name}>{value}</nacm:{name}>" if value else ""


@st.composite
def rule(draw: st.DrawFn, number: int, *, about_data: bool) -> str:
    kind = "path" if about_data else draw(st.sampled_from(["", "rpc-name", "notification-name", "path"]))
    values = {"": st.just(""), "path": st.sampled_from(PATHS)}
    value = draw(values.get(kind, st.sampled_from(["*", "commit", "kill-session", "reconnect", "unbound"])))
    rights = st.lists(st.sampled_from([right.value for right in Right]), min_size=1, unique=True).map(" ".join)
    return leaf(
        "rule",
        leaf("name", f"r{number}")
        + leaf("module-name", "" if about_data and draw(st.booleans()) else draw(st.sampled_from(NAMES)))
        + (leaf(kind, value) if kind else "")
        + leaf("access-operations", draw(st.one_of(st.just(""), st.just("*"), rights)))
        + leaf("action", draw(st.sampled_from(["permit", "deny"]))),
    )


@st.composite
def rules(draw: st.DrawFn, *, about_data: bool = True) -> str:
    """The container `nacm`. About data, nearly every rule counts."""
    groups = [
        leaf("group", leaf("name", group) + "".join(leaf("user-name", user) for user in draw(st.sets(users))))
        for group in GROUPS[:2]
    ]
    lists = []
    for number in range(draw(st.integers(0, 3))):
        members = {"*"} if about_data else draw(st.sets(st.sampled_from(["*", *GROUPS]), min_size=1))
        rules = draw(st.integers(0, 6))
        content = "".join(draw(rule(count, about_data=about_data)) for count in range(rules))
        lists.append(
            leaf("rule-list", leaf("name", f"l{number}") + "".join(leaf("group", g) for g in members) + content)
        )
    switches = draw(st.tuples(st.sampled_from(["", "", "", "", "true", "false"]), *[st.sampled_from(DEFAULTS)] * 3))
    names = ("enable-nacm", "read-default", "write-default", "exec-default")
    options = "".join(leaf(name, value) for name, value in zip(names, switches, strict=True))
    external = leaf("enable-external-groups", draw(st.sampled_from(["", "true", "false"])))
    content = options + external + leaf("groups", "".join(groups)) + "".join(lists)
    return f'<nacm:nacm xmlns:nacm="{xml.NACM}">{content}</nacm:nacm>'


users = st.sampled_from(USERS)


def tree_of(*contents: str) -> etree._Element:
    return edit(device_model().schema, device_model().empty(), config("".join(contents))).tree


class Literal:
    """The algorithm as the RFC tells it."""

    def __init__(self, tree: etree._Element, nacm: etree._Element | None, user: str, external: set[str]) -> None:
        self.tree = tree
        self.nacm = nacm if nacm is not None else etree.Element(f"{NACM}nacm")
        self.user = user
        self.groups = {
            group.findtext(f"{NACM}name")
            for group in self.nacm.iter(f"{NACM}group")
            if user in [member.text for member in group.iterfind(f"{NACM}user-name")]
        }
        if self.option("enable-external-groups", "true") == "true":
            self.groups |= external

    def option(self, name: str, default: str) -> str:
        return self.nacm.findtext(f"{NACM}{name}", default)

    def action(
        self, kind: str, module: str, right: str, name: str, instance: etree._Element | None = None
    ) -> str | None:
        """The action of the first rule that matches: steps 4 to 8, of 3.4.4, 3.4.5 (3 to 7) and 3.4.6."""
        if not self.groups:
            return None
        for rule_list in self.nacm.iterfind(f"{NACM}rule-list"):
            wanted = {group.text for group in rule_list.iterfind(f"{NACM}group")}
            if "*" not in wanted and not wanted & self.groups:
                continue
            for found in rule_list.iterfind(f"{NACM}rule"):
                if found.findtext(f"{NACM}module-name", "*") not in ("*", module):
                    continue
                types = {
                    kind_of: found.findtext(f"{NACM}{kind_of}")
                    for kind_of in ("rpc-name", "notification-name", "path")
                    if found.find(f"{NACM}{kind_of}") is not None
                }
                if types and not (kind in types and self.matches(types[kind] or "", name, instance)):
                    continue
                operations = found.findtext(f"{NACM}access-operations", "*")
                if operations == "*" or right in operations.split():
                    return found.findtext(f"{NACM}action")
        return None

    def matches(self, wanted: str, name: str, instance: etree._Element | None) -> bool:
        if instance is None:
            return wanted in ("*", name)
        if wanted == "/":
            return True
        found = self.tree.xpath(f".{wanted}", namespaces=IN_SCOPE, USER=self.user)
        return any(element in (instance, *instance.iterancestors()) for element in found)

    def operation(self, module: str, name: str, deny_all: bool) -> bool:
        if self.option("enable-nacm", "true") == "false" or name == "close-session":
            return True
        action = self.action("rpc-name", module, "exec", name)
        if action is not None:
            return action == "permit"
        if deny_all or name in ("kill-session", "delete-config"):
            return False
        return self.option("exec-default", "permit") == "permit"

    def notification(self, module: str, name: str, deny_all: bool) -> bool:
        if self.option("enable-nacm", "true") == "false":
            return True
        action = self.action("notification-name", module, "read", name)
        if action is not None:
            return action == "permit"
        return not deny_all and self.option("read-default", "permit") == "permit"

    def data(self, right: str, instance: etree._Element) -> bool:
        if self.option("enable-nacm", "true") == "false":
            return True
        action = self.action("path", MODULES[xml.namespace(instance)], right, "", instance)
        if action is not None:
            return action == "permit"
        marked = {element.tag for element in (instance, *instance.iterancestors())}
        if marked & DENY_ALL or (right != "read" and marked & DENY_WRITE):
            return False
        return self.option(*(("read-default", "permit") if right == "read" else ("write-default", "deny"))) == "permit"

    def shown(self, node: SchemaNode, element: etree._Element) -> etree._Element | None:
        """A copy of what may be read, None for nothing."""
        if node.parent is not None and not self.data("read", element):
            return None
        if any(not self.data("read", key) for tag in node.key_tags for key in element.iterfind(tag)):
            return None
        result = copy.deepcopy(element)
        for child, kept in zip(element, list(result), strict=True):
            below = self.shown(node.children[child.tag], child)
            if below is None:
                result.remove(kept)
            else:
                result.replace(kept, below)
        if node.kind is Kind.CONTAINER and not node.presence and len(element) and not len(result):
            return None
        return result


def pair(tree: etree._Element, user: str, external: frozenset[str]) -> tuple[Permissions, Literal]:
    nacm = tree.find(f"{NACM}nacm")
    permissions = Permissions(device_model().schema, read_nacm(nacm), user, external)
    return permissions, Literal(tree, nacm, user, set(external))


IN_A_GROUP = st.just(frozenset({"g1"}))
EXTERNAL = st.frozensets(st.sampled_from(GROUPS))


@settings(deadline=None)
@given(rules(about_data=False), users, EXTERNAL)
def test_operations_and_notifications(nacm: str, user: str, external: frozenset[str]) -> None:
    permissions, literal = pair(tree_of(nacm), user, external)
    for module, name, deny_all in (
        ("ietf-netconf", "close-session", False),
        ("ietf-netconf", "commit", False),
        ("ietf-netconf", "kill-session", False),
        ("ietf-netconf", "delete-config", False),
        ("headstay-cloud-management", "reconnect", True),
        ("headstay-cloud-management", "commit", False),
        ("headstay-cloud-management", "unbound", False),
        ("", "unknown", False),
    ):
        assert permissions.may_execute(module, name, denied_by_default=deny_all) == literal.operation(
            module, name, deny_all
        )
        assert permissions.may_receive(module, name, denied_by_default=deny_all) == literal.notification(
            module, name, deny_all
        )


@settings(deadline=None)
@given(st.one_of(rules(), rules(), rules(about_data=False)), configurations(), users, st.one_of(IN_A_GROUP, EXTERNAL))
def test_rights_to_data(nacm: str, content: str, user: str, external: frozenset[str]) -> None:
    tree = tree_of(nacm, content)
    permissions, literal = pair(tree, user, external)

    def check(node: SchemaNode, element: etree._Element) -> None:
        for child in element:
            schema = node.children[child.tag]
            for right in (Right.CREATE, Right.READ, Right.UPDATE, Right.DELETE):
                assert permissions.may(right, schema, child) == literal.data(right.value, child), (right, schema.path)
            check(schema, child)

    check(device_model().schema, tree)


@settings(deadline=None)
@given(st.one_of(rules(), rules(), rules(about_data=False)), configurations(), users, st.one_of(IN_A_GROUP, EXTERNAL))
def test_what_is_shown(nacm: str, content: str, user: str, external: frozenset[str]) -> None:
    tree = tree_of(nacm, content)
    before = text(tree)
    permissions, literal = pair(tree, user, external)
    shown = permissions.visible(tree)
    expected = literal.shown(device_model().schema, tree)
    assert expected is not None
    assert text(shown) == text(expected)
    assert text(tree) == before
    # It is a tree that an edit could have made: every entry has its keys, nothing empty is left.
    assert text(made(device_model(), shown)) == text(shown)
    assert text(permissions.visible(shown)) == text(shown)


@settings(deadline=None)
@given(rules(), configurations(), edits(), DEFAULT_OPERATIONS, users)
def test_changes(nacm: str, content: str, change: str, default_operation: str, user: str) -> None:
    """A change is denied exactly if one of its nodes is, apart from what only gives way to another case."""
    old = tree_of(nacm, content)
    new = edit(device_model().schema, old, config(change), default_operation).tree  # type: ignore[arg-type]
    permissions, before = pair(old, user, frozenset({"g1"}))
    after = Literal(new, before.nacm, user, {"g1"})
    needed = {"created": "create", "modified": "update", "moved": "update", "deleted": "delete"}
    denied = [
        found
        for found in difference(device_model().schema, old, new)
        if not found.implied
        and not (
            after.data(needed[found.edit.value], found.new)
            if found.new is not None
            else found.old is not None and before.data(needed[found.edit.value], found.old)
        )
    ]
    assert permissions.first_denied(difference(device_model().schema, old, new)) == (denied[0] if denied else None)
