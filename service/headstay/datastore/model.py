"""The YANG model: loads the modules, builds the plain schema, validates whole trees.

With `leaf_types`, `constraints` and `patterns`, one of the importers of the YANG library (yangson). Knows its traps of
trees: a leaf that stands twice passes unseen, so it is refused here; defaults count in `must` (RFC 7950 section 6.4.1)
only when they are added first.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from lxml import etree
from yangson import DataModel, enumerations
from yangson import exceptions as yang_errors
from yangson import schemanode as yang
from yangson.enumerations import ContentType, ValidationScope
from yangson.instance import InstanceNode, RootNode
from yangson.instvalue import ArrayValue, ObjectValue

from headstay import xml
from headstay.datastore.constraints import unconstrained
from headstay.datastore.difference import Change, Edit
from headstay.datastore.edit import edited
from headstay.datastore.leaf_types import LeafType, Names
from headstay.datastore.modules import MODULES, Module, ModuleUse, find_modules, module_directories
from headstay.datastore.schema import DefaultDeny, Kind, Protection, SchemaNode, error_path
from headstay.errors import (
    BadElement,
    DataMissing,
    ErrorInfo,
    InvalidValue,
    MissingElement,
    NetconfError,
    OperationFailed,
    RpcErrors,
    StartupError,
    UnknownElement,
)

DATA = f"{{{xml.NETCONF}}}data"
"""The tag of every tree's root."""
RPC = f"{{{xml.NETCONF}}}rpc"
MOST_VIOLATIONS = 100
"""Violations of the model that are told of at once."""

_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (yang.ContainerNode, Kind.CONTAINER),
    (yang.ListNode, Kind.LIST),
    (yang.LeafListNode, Kind.LEAF_LIST),
    (yang.LeafNode, Kind.LEAF),
    (yang.AnyContentNode, Kind.ANYDATA),
)
_DENIED = {enumerations.DefaultDeny.all: DefaultDeny.ALL, enumerations.DefaultDeny.write: DefaultDeny.WRITE}
_PROTECTED = {"secret": Protection.SECRET, "crypt-hash": Protection.CRYPT_HASH}


class Model:
    """The loaded model. Immutable once made, but `validate` is for one thread at a time."""

    def __init__(self, uses: Sequence[ModuleUse] = MODULES, directories: Sequence[Path] | None = None) -> None:
        """Load the modules. Raises StartupError if one is missing or broken."""
        directories = module_directories() if directories is None else directories
        self.modules: tuple[Module, ...] = find_modules(uses, directories)
        try:
            self._library = DataModel(_yang_library(self.modules), [str(d) for d in directories])
        except yang_errors.YangsonException as error:
            raise StartupError(f"the YANG model cannot be loaded: {type(error).__name__}: {error}") from None
        self._by_name = {module.name: module for module in self.modules}
        self._names = Names(
            {m.namespace: m.prefix for m in self.modules},
            {m.prefix: m.namespace for m in self.modules},
            {m.prefix: m.name for m in self.modules},
        )
        self._types: dict[SchemaNode, LeafType] = {}
        self._members: dict[SchemaNode, str] = {}
        self.schema = SchemaNode("data", xml.NETCONF, "nc", "ietf-netconf", Kind.ROOT, None)
        self._add_children(self.schema, self._library.schema, ())
        for top in self.schema.children.values():
            below = (top, *top.walk())
            prefixed = any(node.terminal and self._types[node].uses_prefixes for node in below)
            for node in below:
                node.prefixed = prefixed
        self._unconstrained = unconstrained(self.schema, self._library.schema)
        self._rpcs: dict[str, SchemaNode] = {}  # each under a root of its own
        self._add_rpcs()
        self.denied_by_default = frozenset(
            f"{{{self._by_name[child.ns].namespace}}}{child.name}"
            for child in self._library.schema.children
            if isinstance(child, yang.RpcActionNode | yang.NotificationNode)
            and child.default_deny is enumerations.DefaultDeny.all
        )
        """The tags of the operations and notifications with `nacm:default-deny-all` (RFC 8341 section 3.4)."""

    @property
    def rpcs(self) -> Collection[str]:
        """The tags of the operations that the modules define."""
        return self._rpcs.keys()

    def rpc(self, tag: str) -> SchemaNode:
        """Return the input of one of the operations, as the modules define it. Raises KeyError."""
        return self._rpcs[tag]

    def leaf_type(self, node: SchemaNode) -> LeafType:
        """Return the type of a leaf or leaf-list. Raises KeyError for any other node."""
        return self._types[node]

    def empty(self) -> etree._Element:
        """Return a tree without any data."""
        return xml.element(DATA)

    def validate(self, tree: etree._Element) -> None:
        """Check a canonical configuration tree against every constraint of the model (RFC 7950 section 8.1).

        Raises a NetconfError that names the violation, or RpcErrors if there are several: the first one, and those that
        were found beside it, MOST_VIOLATIONS at most.
        """
        data = self._object(self.schema, tree)
        instance = RootNode(data, self._library.schema, self._library.schema_data, data.timestamp)
        complete = instance.add_defaults(ContentType.config)
        if (failure := _failure(complete)) is not None:
            errors = tuple(itertools.islice(self._violations(complete, failure, tree), MOST_VIOLATIONS))
            raise errors[0] if len(errors) == 1 else RpcErrors(errors)

    def validate_changes(self, tree: etree._Element, changes: Iterable[Change]) -> None:
        """Judge as `validate` does a tree that these are all the changes to from a valid one.

        Costs next to nothing where they are new values of leafs that no constraint looks at. Raises as `validate` does.
        """
        if not self.concerns_no_constraint(changes):
            self.validate(tree)

    def concerns_no_constraint(self, changes: Iterable[Change]) -> bool:
        """Return whether all changes are new values of leafs that no constraint looks at. Costs next to nothing."""
        return all(map(self._touches_nothing, changes))

    def _touches_nothing(self, change: Change) -> bool:
        return (
            change.edit is Edit.MODIFIED
            and change.node in self._unconstrained
            and self._types[change.node].accepts(change.element.text or "")
        )

    def rpc_input(self, operation: etree._Element) -> etree._Element:
        """Return the input of one of the model's RPCs in canonical form, checked against the model.

        Raises RpcErrors or a NetconfError that names what is wrong, KeyError if the model has no such RPC.
        """
        node = self._rpcs[operation.tag]
        root = cast(SchemaNode, node.parent)
        given = xml.element(RPC)
        given.append(copy.deepcopy(operation))
        message = edited(root, xml.element(RPC), given)
        library_rpc = self._library.schema.get_child(node.name, node.module)
        data = ObjectValue({self._members[node]: self._object(node, message[0])})
        try:
            RootNode(data, library_rpc, self._library.schema_data, data.timestamp).validate(
                ValidationScope.all, ContentType.all
            )
        except yang_errors.ValidationError as error:
            missing, _ = self._missing(error, root, message)
            if missing:
                raise RpcErrors(map(_parameter_missing, missing)) from None
            raise self._violation(error, root, message) from None
        return message[0]

    # the plain schema

    def _add_rpcs(self) -> None:
        for rpc in self._library.schema.children:
            if isinstance(rpc, yang.RpcActionNode):
                module = self._by_name[rpc.ns]
                root = SchemaNode("rpc", xml.NETCONF, "nc", "ietf-netconf", Kind.ROOT, None)
                node = SchemaNode(
                    rpc.name, module.namespace, module.prefix, module.name, Kind.CONTAINER, root, presence=True
                )
                root.order[node.tag] = 0
                root.children[node.tag] = self._rpcs[node.tag] = node
                self._members[node] = f"{rpc.ns}:input"
                self._add_children(node, next(c for c in rpc.children if isinstance(c, yang.InputNode)), ())
                for parameter in node.walk():
                    parameter.config = True  # in the sense that a client gives it

    def _add_children(self, parent: SchemaNode, source: Any, cases: tuple[tuple[str, str], ...]) -> None:
        for child in self._in_order(source):
            if isinstance(child, yang.ChoiceNode):
                name = f"{parent.path}/{child.ns}:{child.name}"
                for case in _ungrouped(child):
                    self._add_children(parent, case, (*cases, (name, f"{case.ns}:{case.name}")))
            elif isinstance(child, yang.DataNode):
                node = self._node(parent, child, cases)
                parent.order[node.tag] = len(parent.order)
                parent.children[node.tag] = node
                if isinstance(child, yang.InternalNode):
                    self._add_children(node, child, ())

    def _in_order(self, source: Any) -> list[Any]:
        """Return the library's children in schema order: keys first (RFC 7950 section 7.8.5), then as written.

        Between modules the library's order changes from run to run; the list of modules gives it instead.
        """
        keys = [name for name, _ in getattr(source, "keys", ())]
        places = {name: place for place, name in enumerate(self._by_name)}

        def place(child: Any) -> tuple[int, int]:
            if source.parent is None:
                return 0, places[child.ns]
            if child.name in keys:
                return keys.index(child.name), 0
            return len(keys), 0 if child.ns == source.ns else 1 + places[child.ns]

        return sorted(_ungrouped(source), key=place)

    def _node(self, parent: SchemaNode, source: Any, cases: tuple[tuple[str, str], ...]) -> SchemaNode:
        module = self._by_name[source.ns]
        kind = next(kind for library, kind in _KINDS if isinstance(source, library))
        node = SchemaNode(source.name, module.namespace, module.prefix, module.name, kind, parent, source.config)
        self._members[node] = source.iname()
        node.default_deny = _most(parent.default_deny, _DENIED.get(source.default_deny, DefaultDeny.NOTHING))
        node.cases = cases
        node.user_ordered = getattr(source, "user_ordered", False)
        node.presence = getattr(source, "presence", False)
        node.keys = tuple(name for name, _ in getattr(source, "keys", ()))
        if node.terminal:
            leaf_type = self._types[node] = LeafType(source.type, self._names)
            node.canonical, node.json = leaf_type.canonical, leaf_type.json
            node.protection = _PROTECTED.get(leaf_type.name or "")
            if node.protection is not None:
                # Also where its module does not ask for it: ietf-system's password hashes are no reader's business.
                node.default_deny = DefaultDeny.ALL
            default = source.default
            if default is not None:
                node.defaults = tuple(map(leaf_type.default, default if isinstance(default, list) else [default]))
        return node

    # trees as the library sees them

    def _object(self, node: SchemaNode, element: etree._Element) -> ObjectValue:
        members: dict[str, Any] = {}
        for child in element:
            schema = node.child(child.tag)
            if schema is None:
                raise UnknownElement(f"the model has no {child.tag}", path=error_path(node, element))
            name = self._members[schema]
            if schema.kind in (Kind.LIST, Kind.LEAF_LIST):
                members.setdefault(name, ArrayValue()).append(self._value(schema, child))
            elif name in members:
                bad = ErrorInfo("bad-element", schema.name)
                raise BadElement(f"{schema.name} stands twice", path=error_path(schema, child), info=[bad])
            else:
                members[name] = self._value(schema, child)
        return ObjectValue(members)

    def _value(self, node: SchemaNode, element: etree._Element) -> Any:
        if node.kind is Kind.ANYDATA:
            return ObjectValue()
        if not node.terminal:
            return self._object(node, element)
        return self._types[node].library_value(element.text or "")

    # errors

    def _violations(self, instance: InstanceNode, failure: Any, tree: etree._Element) -> Iterator[NetconfError]:
        """Yield what is wrong within an instance of which the library has told one failure, that one first.

        Each part is judged where it stands, so whatever is found is wrong in the tree as it is. Nothing is looked for
        below what lacks something or has too much: that may be moot. Costs about one validation of the whole.
        """
        at: Any = failure.instance.path if isinstance(failure, yang_errors.ValidationError) else None
        found = at == instance.path
        if found:
            yield from self._told(failure, instance, tree)
            if isinstance(failure, yang_errors.SchemaError):
                return
        known_right = at is not None and not found  # the parts before the one that the failure is in
        for part in _below(instance):
            if known_right and part.path != at[: len(part.path)]:
                continue
            below = failure if known_right else _failure(part)
            known_right = False
            if below is not None:
                found = True
                yield from self._violations(part, below, tree)
        if not found:
            yield from self._told(failure, instance, tree)

    def _told(self, failure: Exception, instance: InstanceNode, tree: etree._Element) -> Sequence[NetconfError]:
        if isinstance(failure, yang_errors.ValidationError):
            missing, element = self._missing(failure, self.schema, tree)
            return [_missing_in(element, node) for node in missing] or [self._violation(failure, self.schema, tree)]
        # The library stumbles over its own message when a mandatory choice has nothing.
        if (choice := self._missing_choice(instance, tree)) is None:
            raise failure
        return [choice]

    def _violation(self, error: Any, root: SchemaNode, tree: etree._Element) -> NetconfError:
        """Turn the library's validation error into the one that RFC 7950 section 15 asks for."""
        node, element = self._locate(root, tree, error.instance.path)
        tag, message = str(error.tag), error.message
        path = error_path(node, element)
        where = node.name
        if isinstance(error, yang_errors.YangTypeError):  # its message quotes the value, which may be a secret
            return InvalidValue(f"{where}: not a value of its type", path=path)
        match tag:
            case "too-many-elements" | "too-few-elements":
                # RFC 7950 sections 15.2 and 15.3: the path names the list, not an entry.
                path = error_path(node, None, element.getparent() if element is not None else None)
                return OperationFailed(f"{where}: {tag.replace('-', ' ')}", path=path, app_tag=tag)
            case "instance-required":
                return DataMissing(f"{where} refers to something that does not exist", path=path, app_tag=tag)
            case "non-unique-key":
                return OperationFailed(f"{where}: two entries have the same key", path=path)
            case _ if tag.startswith("data-not-unique"):
                return OperationFailed(f"{where}: entries must differ", path=path, app_tag="data-not-unique")
            case _ if "member-not-allowed" in tag:
                return UnknownElement(
                    f"{message} is not allowed here now: its condition (when) is false, or another case is chosen",
                    path=path,
                    info=[ErrorInfo("bad-element", str(message).rpartition(":")[2])],
                )
        return OperationFailed(f"{where}: {message or tag}", path=path, app_tag=tag)

    def _missing(
        self, error: Any, root: SchemaNode, tree: etree._Element
    ) -> tuple[Sequence[SchemaNode], etree._Element | None]:
        """Return what the library misses altogether, and the instance that it is missing in."""
        if str(error.tag) != "missing-data":
            return (), None
        node, element = self._locate(root, tree, error.instance.path)
        # "One of" them, the library says, and needs them all.
        names = re.findall(r"'([^']*)'", str(error.message))
        return [child for child in node.children.values() if self._members[child] in names], element

    def _missing_choice(self, instance: InstanceNode, tree: etree._Element) -> NetconfError | None:
        """Return the error for the first mandatory choice without data (RFC 7950 section 15.6)."""
        value = instance.value
        if isinstance(value, ArrayValue):
            below = [instance[place] for place in range(len(value))]
        elif isinstance(value, ObjectValue) and isinstance(instance.schema_node, yang.InternalNode):
            for choice in _mandatory_choices(instance, instance.schema_node):
                node, element = self._locate(self.schema, tree, instance.path)
                info = [ErrorInfo("missing-choice", choice.name, xml.YANG)]
                path, app_tag = error_path(node, element), "missing-choice"
                return DataMissing(f"{node.name} needs its {choice.name}", path=path, app_tag=app_tag, info=info)
            below = [instance[name] for name in value]
        else:
            below = []
        found = (self._missing_choice(child, tree) for child in below)
        return next((error for error in found if error is not None), None)

    def _locate(
        self, root: SchemaNode, tree: etree._Element, route: Sequence[str | int]
    ) -> tuple[SchemaNode, etree._Element | None]:
        """Find the instance that the library's path names; None for one that only a default made."""
        node = root
        element: etree._Element | None = tree
        entries: list[etree._Element] = []
        for step in route:
            if isinstance(step, int):
                element = entries[step] if step < len(entries) else None
                continue
            node = next(child for child in node.children.values() if self._members[child] == step)
            entries = element.findall(node.tag) if element is not None else []
            element = entries[0] if entries else None
        return node, element


def _missing_in(element: etree._Element | None, node: SchemaNode) -> NetconfError:
    path = error_path(node, None, element)
    if node.kind in (Kind.LIST, Kind.LEAF_LIST):  # it needs entries (RFC 7950 section 15.3)
        return OperationFailed(f"{node.name}: too few elements", path=path, app_tag="too-few-elements")
    return DataMissing(f"{node.name} is missing, and mandatory", path=path)


def _parameter_missing(node: SchemaNode) -> NetconfError:
    """Return the error for an input of the model's RPCs that lacks something (RFC 6241 appendix A)."""
    return MissingElement(f"<{node.name}> is missing, and mandatory", info=[ErrorInfo("bad-element", node.name)])


def _most(*denials: DefaultDeny) -> DefaultDeny:
    return max(denials, key=list(DefaultDeny).index)


def _mandatory_choices(instance: InstanceNode, node: Any) -> Iterator[Any]:
    """Yield the mandatory choices right below a node that hold nothing in this instance."""
    for child in _ungrouped(node):
        if isinstance(child, yang.ChoiceNode) and (child.when is None or child.when.evaluate(instance)):
            case = child._active_case(instance.value)
            if case is not None:
                yield from _mandatory_choices(instance, case)
            elif child.mandatory:
                yield child


def _ungrouped(source: Any) -> Iterator[Any]:
    """Yield a node's children, with those of a conditional augment or uses, which the library keeps apart."""
    for child in source.children:
        if type(child) is yang.GroupNode:
            yield from _ungrouped(child)
        else:
            yield child


def _yang_library(modules: Sequence[Module]) -> str:
    """Describe the modules in RFC 7895's form, which is what the library reads."""
    described = [
        {
            "name": module.name,
            "revision": module.revision,
            "namespace": module.namespace,
            "conformance-type": "implement" if module.implemented else "import",
            "feature": list(module.features),
            "deviation": [{"name": name, "revision": ""} for name in module.deviations],
        }
        for module in modules
    ]
    return json.dumps({"ietf-yang-library:modules-state": {"module-set-id": "headstay", "module": described}})


def _failure(instance: InstanceNode) -> Exception | None:
    """Return what the library has against an instance and all that is in it; None if nothing."""
    try:
        instance.validate(ValidationScope.all, ContentType.config)
    except (yang_errors.ValidationError, TypeError) as error:
        return error
    return None


def _below(instance: InstanceNode) -> Iterator[InstanceNode]:
    if isinstance(instance.value, ArrayValue):
        yield from instance
    elif isinstance(instance.value, ObjectValue):
        yield from (instance[name] for name in instance)
