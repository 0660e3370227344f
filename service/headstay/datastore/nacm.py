"""CORE of access control: which operation, data node or notification one user is permitted (RFC 8341 section 3.4).

Owns the rules of a configuration and their order. Knows no session, no datastore and no error; counts nothing. A rule
is looked up once for each schema node and right; after that a node costs what the predicates of its rules cost, and a
subtree in which everything is permitted costs nothing.
"""

from __future__ import annotations

import contextlib
import copy
import enum
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore import values
from headstay.datastore.difference import Change, Edit
from headstay.datastore.schema import DefaultDeny, Kind, SchemaNode
from headstay.datastore.values import NotAValue, Step

ALL: Final = "*"


class Right(enum.Enum):
    """A bit of `access-operations`."""

    CREATE = "create"
    READ = "read"
    UPDATE = "update"
    DELETE = "delete"
    EXEC = "exec"


_ALL_RIGHTS = frozenset(Right)
_WRITING = (Right.CREATE, Right.UPDATE, Right.DELETE)
_NEEDED = {
    Edit.CREATED: Right.CREATE,
    Edit.MODIFIED: Right.UPDATE,
    Edit.MOVED: Right.UPDATE,
    Edit.DELETED: Right.DELETE,
}


# the configuration ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Of the three that make its `rule-type` at most one is given."""

    permit: bool
    module: str = ALL
    rights: frozenset[Right] = _ALL_RIGHTS
    operation: str | None = None
    notification: str | None = None
    path: tuple[Step, ...] | None = None
    """No steps: `/`, all data."""

    def for_operation(self, module: str, name: str) -> bool:
        """Whether the rule is about executing this operation (section 3.4.4, step 7)."""
        return self._for(module, Right.EXEC) and self._of_type(self.operation, name)

    def for_notification(self, module: str, name: str) -> bool:
        """Whether the rule is about receiving this notification (section 3.4.6, step 7)."""
        return self._for(module, Right.READ) and self._of_type(self.notification, name)

    def for_data(self, module: str, right: Right) -> bool:
        """Whether the rule is about this right to data of this module, wherever its path leads."""
        return self._for(module, right) and (self.path is not None or self._untyped)

    @property
    def permits_all(self) -> bool:
        """Whether the rule permits everything that there is."""
        return self.permit and self.module == ALL and self.rights == _ALL_RIGHTS and self.path is None and self._untyped

    @property
    def _untyped(self) -> bool:
        return self.operation is None and self.notification is None and self.path is None

    def _for(self, module: str, right: Right) -> bool:
        return self.module in (ALL, module) and right in self.rights

    def _of_type(self, wanted: str | None, name: str) -> bool:
        return self._untyped if wanted is None else wanted in (ALL, name)


@dataclass(frozen=True, slots=True)
class RuleList:
    """Rules and the groups that they are for."""

    groups: frozenset[str]
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Nacm:
    """The container `nacm` of a configuration; without one, the model's defaults."""

    enabled: bool = True
    read_default: bool = True
    write_default: bool = False
    exec_default: bool = True
    external_groups: bool = True
    members: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The users of each group."""
    rule_lists: tuple[RuleList, ...] = ()

    def rules_for(self, user: str, external: frozenset[str]) -> tuple[Rule, ...]:
        """Return the rules that count for a user whose transport reports these groups (section 3.4.4, steps 4 to 6).

        `*` in a rule-list stands for all groups, so it says nothing to a user who is in none.
        """
        groups = {group for group, members in self.members.items() if user in members}
        if self.external_groups:
            groups |= external
        if not groups:
            return ()
        lists = [listed for listed in self.rule_lists if ALL in listed.groups or groups & listed.groups]
        return tuple(rule for listed in lists for rule in listed.rules)


def read_nacm(nacm: etree._Element | None) -> Nacm:
    """Read a canonical container `nacm`."""
    if nacm is None:
        return Nacm()
    return Nacm(
        enabled=_text(nacm, "enable-nacm") != "false",
        read_default=_text(nacm, "read-default") != "deny",
        write_default=_text(nacm, "write-default") == "permit",
        exec_default=_text(nacm, "exec-default") != "deny",
        external_groups=_text(nacm, "enable-external-groups") != "false",
        members={
            _text(group, "name") or "": frozenset(_texts(group, "user-name"))
            for group in nacm.iterfind(f"{_tag('groups')}/{_tag('group')}")
        },
        rule_lists=tuple(
            RuleList(frozenset(_texts(listed, "group")), tuple(map(_rule, listed.iterfind(_tag("rule")))))
            for listed in nacm.iterfind(_tag("rule-list"))
        ),
    )


def _rule(rule: etree._Element) -> Rule:
    module, rights, path = (_text(rule, name) for name in ("module-name", "access-operations", "path"))
    return Rule(
        permit=_text(rule, "action") == "permit",
        module=ALL if module is None else module,
        rights=_ALL_RIGHTS if rights in (None, ALL) else frozenset(map(Right, (rights or "").split())),
        operation=_text(rule, "rpc-name"),
        notification=_text(rule, "notification-name"),
        path=None if path is None else values.node_path(path),
    )


def _text(parent: etree._Element, name: str) -> str | None:
    return parent.findtext(_tag(name))


def _texts(parent: etree._Element, name: str) -> Iterator[str]:
    return (found.text or "" for found in parent.iterfind(_tag(name)))


def _tag(name: str) -> str:
    return f"{{{xml.NACM}}}{name}"


# one user's permissions ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Predicate:
    """That an entry above a node, or the node itself, has this value."""

    entry: SchemaNode
    tag: str | None
    """Of the key; None: the entry's own value."""
    value: str

    def holds(self, node: SchemaNode, element: etree._Element) -> bool:
        """Whether it holds for an instance of a node at or below the entry."""
        at: etree._Element | None = element
        while node is not self.entry and node.parent is not None and at is not None:
            node, at = node.parent, at.getparent()
        return at is not None and self.value == (at.text or "" if self.tag is None else at.findtext(self.tag))


@dataclass(frozen=True, slots=True)
class _Clause:
    """What is decided where all the predicates hold."""

    permit: bool
    predicates: tuple[_Predicate, ...] = ()


class Permissions:
    """What one user may do under one configuration. Elements handed in stand in trees whose root is the schema's."""

    def __init__(
        self, schema: SchemaNode, nacm: Nacm, user: str, groups: frozenset[str] = frozenset(), *, recovery: bool = False
    ) -> None:
        """`groups` are those that the transport reports. A recovery session is never denied (section 2.3)."""
        self._schema = schema
        self._nacm = nacm
        self._user = user
        self._rules = nacm.rules_for(user, groups)
        self.unlimited: Final = recovery or not nacm.enabled or (len(self._rules) > 0 and self._rules[0].permits_all)
        """Whether everything is permitted; then nothing needs to be looked at."""
        self._data_rules = [(rule, *self._resolve(rule.path or ())) for rule in self._rules]
        # Found when they are first needed; a thread that finds them at the same time finds the same.
        self._clauses: dict[tuple[SchemaNode, Right], tuple[_Clause, ...]] = {}
        self._always_shown: dict[SchemaNode, bool] = {}
        self._readable: dict[SchemaNode, bool] = {}

    # operations and notifications

    def may_execute(self, module: str, name: str, *, denied_by_default: bool) -> bool:
        """Whether the user may execute an operation (section 3.4.4). Empty `module`: none that the model knows."""
        if self.unlimited or (module, name) == ("ietf-netconf", "close-session"):
            return True
        for rule in self._rules:
            if rule.for_operation(module, name):
                return rule.permit
        special = module == "ietf-netconf" and name in ("kill-session", "delete-config")
        return not denied_by_default and not special and self._nacm.exec_default

    def may_receive(self, module: str, name: str, *, denied_by_default: bool) -> bool:
        """Whether the user may receive a notification (section 3.4.6)."""
        if self.unlimited:
            return True
        for rule in self._rules:
            if rule.for_notification(module, name):
                return rule.permit
        return not denied_by_default and self._nacm.read_default

    # data

    @property
    def writes(self) -> bool:
        """Whether there is anything that the user may change, as far as the rules tell without the data."""
        if self.unlimited or self._nacm.write_default:
            return True
        return any(rule.permit and any(rule.for_data(rule.module, right) for right in _WRITING) for rule in self._rules)

    def may(self, right: Right, node: SchemaNode, element: etree._Element) -> bool:
        """Whether the user has this right to an instance, whatever holds above it (section 3.4.5)."""
        return self.unlimited or next(
            clause.permit
            for clause in self._clauses_for(node, right)
            if all(predicate.holds(node, element) for predicate in clause.predicates)
        )

    def shows(self, node: SchemaNode, element: etree._Element) -> bool:
        """Whether the user may read an instance, if what is above it is shown.

        An entry with a key that must not be read is not shown at all: it would be one without a name.
        """
        if self._shows_always(node):
            return True
        if not self.may(Right.READ, node, element):
            return False
        keys = ((node.children[tag], element.find(tag)) for tag in node.key_tags)
        return all(key is None or self.may(Right.READ, schema, key) for schema, key in keys)

    def reads(self, node: SchemaNode, element: etree._Element) -> bool:
        """Whether the user may read an instance: it is shown, and so is what is above it."""
        return self.unlimited or self.named_openly(node, element)[0] is node

    def visible(self, tree: etree._Element) -> etree._Element:
        """Return what of a tree the user may read: the tree itself, or a copy with the rest left out."""
        if self._all_readable(self._schema):
            return tree
        shown = copy.deepcopy(tree)
        self.hide(shown)
        return shown

    def hide(self, tree: etree._Element) -> None:
        """Remove from a tree of the caller's own what the user may not read (section 3.2.4).

        A container without presence that is left empty goes too: it would tell that something is in it.
        """
        if not self._all_readable(self._schema):
            self._hide(self._schema, tree)

    def _hide(self, parent: SchemaNode, element: etree._Element) -> None:
        for child in list(element):
            node = parent.children[child.tag]
            if self._all_readable(node):
                continue
            if not self.shows(node, child):
                element.remove(child)
            elif node.kind in (Kind.CONTAINER, Kind.LIST) and len(child):
                self._hide(node, child)
                if node.kind is Kind.CONTAINER and not node.presence and not len(child):
                    element.remove(child)

    def named_openly(self, node: SchemaNode, element: etree._Element) -> tuple[SchemaNode, etree._Element]:
        """Return the instance, or the nearest above it, that may be named to the user; at last the root."""
        chain = _from_root(node, element)
        shown = itertools.takewhile(lambda pair: self.unlimited or self.shows(*pair), chain[1:])
        return [chain[0], *shown][-1]

    def first_denied(self, changes: Iterable[Change]) -> Change | None:
        """Return the first change that the user may not make.

        What goes only because another case of a choice comes is a side effect that needs no right (section 3.2.5).
        """
        if self.unlimited:
            return None
        for change in changes:
            if not change.implied and not self.may(_NEEDED[change.edit], change.node, change.element):
                return change
        return None

    # how rules apply to the schema

    def _all_readable(self, node: SchemaNode) -> bool:
        """Whether every instance of a node may be read with all that is in it."""
        known = self._readable.get(node)
        if known is None:
            known = self._readable[node] = (node.parent is None or self._shows_always(node)) and all(
                self._all_readable(child) for child in node.children.values()
            )
        return known

    def _shows_always(self, node: SchemaNode) -> bool:
        """Whether every instance of a node is shown, if what is above it is."""
        known = self._always_shown.get(node)
        if known is None:
            clauses = itertools.chain.from_iterable(
                self._clauses_for(named, Right.READ) for named in (node, *(node.children[tag] for tag in node.key_tags))
            )
            known = self._always_shown[node] = self.unlimited or all(clause.permit for clause in clauses)
        return known

    def _clauses_for(self, node: SchemaNode, right: Right) -> tuple[_Clause, ...]:
        """Return the clauses for a node, in the order of the rules; the last has no predicates."""
        found = self._clauses.get((node, right))
        if found is None:
            found = self._clauses[node, right] = tuple(self._decide(node, right))
        return found

    def _decide(self, node: SchemaNode, right: Right) -> Iterator[_Clause]:
        above = {node, *_ancestors(node)}
        for rule, target, predicates in self._data_rules:
            if target in above and rule.for_data(node.module, right):
                yield _Clause(rule.permit, predicates)
                if not predicates:
                    return
        if right is Right.READ:
            yield _Clause(node.default_deny is not DefaultDeny.ALL and self._nacm.read_default)
        else:
            yield _Clause(node.default_deny is DefaultDeny.NOTHING and self._nacm.write_default)

    def _resolve(self, path: Sequence[Step]) -> tuple[SchemaNode | None, tuple[_Predicate, ...]]:
        """Return the schema node of a path and its predicates; no node where the model has none there."""
        node = self._schema
        predicates: list[_Predicate] = []
        for step in path:
            child = next((c for c in node.children.values() if (c.prefix, c.name) == (step.prefix, step.name)), None)
            if child is None:
                return None, ()
            node = child
            predicates.extend(
                _predicate(node, key, self._user if value is None else value) for key, value in step.predicates
            )
        return node, tuple(predicates)


def _predicate(node: SchemaNode, key: str, value: str) -> _Predicate:
    terminal = node if key == "." else node.children.get(f"{{{node.namespace}}}{key}")
    scope: dict[str | None, str] = {above.prefix: above.namespace for above in (node, *_ancestors(node))}
    if terminal is not None:
        with contextlib.suppress(NotAValue):  # then it is the value of no instance
            value = terminal.canonical(value, scope).text
    return _Predicate(node, None if key == "." else f"{{{node.namespace}}}{key}", value)


def _ancestors(node: SchemaNode) -> Iterator[SchemaNode]:
    while node.parent is not None:
        node = node.parent
        yield node


def _from_root(node: SchemaNode, element: etree._Element) -> list[tuple[SchemaNode, etree._Element]]:
    pairs = [(node, element)]
    while node.parent is not None:
        above = element.getparent()
        if above is None:
            break
        node, element = node.parent, above
        pairs.append((node, element))
    return pairs[::-1]
