"""The YANG model: loads the modules, builds the plain schema, validates whole trees.

With `leaf_types`, `constraints`, `patterns` and `violations`, one of the importers of the YANG library (yangson). Knows
its traps of trees: a leaf that stands twice passes unseen, so it is refused here; defaults count in `must` (RFC 7950
section 6.4.1) only when they are added first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from lxml import etree
from yangson import DataModel, enumerations
from yangson import exceptions as yang_errors
from yangson import schemanode as yang
from yangson.enumerations import ContentType, ValidationScope
from yangson.instance import RootNode
from yangson.instvalue import ArrayValue, ObjectValue

from headstay import xml
from headstay.datastore.constraints import unconstrained
from headstay.datastore.difference import Change, Edit
from headstay.datastore.edit import edited
from headstay.datastore.leaf_types import LeafType, Names
from headstay.datastore.modules import MODULES, Module, ModuleUse, find_modules, module_directories
from headstay.datastore.schema import DefaultDeny, Kind, Protection, SchemaNode, error_path
from headstay.datastore.violations import Violations, ungrouped
from headstay.errors import BadElement, ErrorInfo, RpcErrors, StartupError, UnknownElement

DATA = f"{{{xml.NETCONF}}}data"
"""The tag of every tree's root."""
RPC = f"{{{xml.NETCONF}}}rpc"

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
        if errors := Violations(self.schema, self._members, tree).of_configuration(complete):
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
        given = operation.getparent()
        if given is None:
            given = xml.element(RPC)
            given.append(operation)
        message = edited(root, xml.element(RPC), given)
        library_rpc = self._library.schema.get_child(node.name, node.module)
        data = ObjectValue({self._members[node]: self._object(node, message[0])})
        try:
            RootNode(data, library_rpc, self._library.schema_data, data.timestamp).validate(
                ValidationScope.all, ContentType.all
            )
        except yang_errors.ValidationError as error:
            raise Violations(root, self._members, message).of_input(error) from None
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
                for case in ungrouped(child):
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

        return sorted(ungrouped(source), key=place)

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


def _most(*denials: DefaultDeny) -> DefaultDeny:
    return max(denials, key=list(DefaultDeny).index)


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
