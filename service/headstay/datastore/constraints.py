"""Which leafs no constraint looks at, so that a new value of one can make nothing else in a valid tree wrong.

With `model`, `leaf_types`, `patterns` and `violations`, one of the importers of the YANG library (yangson): reads the
expressions of `must`, `when`, `unique` and leafrefs as that library has parsed them. Goes by names alone and, where it
cannot tell what an expression looks at, says that it looks at everything: then whole trees are validated, which is
slower and as right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from yangson import datatype, xpathast
from yangson import schemanode as yang
from yangson.enumerations import Axis

from headstay.datastore.schema import Kind, SchemaNode


def unconstrained(schema: SchemaNode, library_root: Any) -> frozenset[SchemaNode]:
    """Return the leafs that no constraint looks at, of the same modules as plain schema and as the library's."""
    looked_at = _LookedAt()
    for node in _nodes(library_root):
        looked_at.from_node(node)
    if looked_at.everything:
        return frozenset()
    return frozenset(
        node
        for node in schema.walk()
        if node.kind is Kind.LEAF and node.config and not _is_key(node) and looked_at.names.isdisjoint(_way(node))
    )


def _nodes(node: Any) -> Iterator[Any]:
    for child in node.children:
        if not isinstance(child, yang.RpcActionNode | yang.NotificationNode):
            yield child
            if isinstance(child, yang.InternalNode):
                yield from _nodes(child)


def _is_key(node: SchemaNode) -> bool:
    return node.parent is not None and node.name in node.parent.keys


def _way(node: SchemaNode) -> Iterator[str]:
    # What looks at a container may do so for the text of all that is in it (XPath 1.0 section 5.2).
    at: SchemaNode | None = node
    while at is not None:
        yield at.name
        at = at.parent


class _LookedAt:
    """The names of nodes that expressions look at, whatever their module."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.everything = False

    def from_node(self, node: Any) -> None:
        expressions = [must.expression for must in node.must]
        if node.when is not None:
            expressions.append(node.when)
        for paths in getattr(node, "unique", ()):
            expressions += paths
        for expression in expressions:
            self._expression(expression, node)
        if (kind := getattr(node, "type", None)) is not None:
            self._type(kind, node)

    def _type(self, kind: Any, node: Any) -> None:
        match kind:
            case datatype.UnionType():
                for member in kind.types:
                    self._type(member, node)
            case datatype.LeafrefType():
                self.names.add(node.name)
                self._expression(kind.path, node)
            case datatype.LinkType():
                # An instance-identifier that needs its instance may point anywhere.
                self.everything |= bool(node.config and kind.require_instance)

    def _expression(self, expression: Any, node: Any) -> None:
        match expression:
            case xpathast.LocationPath() | xpathast.PathExpr():
                self._leading(expression.left, node)
                self._expression(expression.right, node)
                if isinstance(expression.right, xpathast.Step) and not expression.right.qname:
                    self.everything = True  # a path whose last node has no name
            case xpathast.Step():
                self._step(expression, node)
            case xpathast.FuncDeref() | xpathast.Root():
                self.everything = True
            case xpathast.FuncCurrent():
                self._itself(node)
            case xpathast.UnaryExpr() if expression.expr is None:
                self._itself(node)
            case _:
                self._all(_parts(expression), node)

    def _leading(self, expression: Any, node: Any) -> None:
        """Look at what leads to the rest of a path."""
        match expression:
            case xpathast.LocationPath() | xpathast.PathExpr():
                self._leading(expression.left, node)
                self._leading(expression.right, node)
            case xpathast.Step(axis=Axis.self | Axis.parent, qname=None):
                self._all(expression.predicates, node)
            case xpathast.Root() | xpathast.FuncCurrent():
                pass
            case _:
                self._expression(expression, node)

    def _step(self, step: Any, node: Any) -> None:
        if step.qname:
            self.names.add(step.qname[0])
        elif step.axis is Axis.self:
            self._itself(node)
        else:
            self.everything = True
        self._all(step.predicates, node)

    def _itself(self, node: Any) -> None:
        """Look at the node that has the constraint. For one on a choice or a case that is another (section 7.21.5)."""
        if isinstance(node, yang.DataNode):
            self.names.add(node.name)
        else:
            self.everything = True

    def _all(self, expressions: Iterable[Any], node: Any) -> None:
        for expression in expressions:
            self._expression(expression, node)


def _parts(expression: Any) -> Iterator[Any]:
    for value in vars(expression).values():
        for part in value if isinstance(value, list) else (value,):
            if isinstance(part, xpathast.Expr):
                yield part
