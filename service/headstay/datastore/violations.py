"""What in a tree violates the model, as the errors that RFC 7950 section 15 and RFC 6241 appendix A ask for.

With `model`, `leaf_types`, `constraints` and `patterns`, one of the importers of the YANG library (yangson), which is
the judge. Knows the traps of what it says: it tells of one violation and goes no further, names nodes of which it needs
all as "one of" them, quotes values, which may be secrets, and stumbles over a mandatory choice without data.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lxml import etree
from yangson import exceptions as yang_errors
from yangson import schemanode as yang
from yangson.enumerations import ContentType, ValidationScope
from yangson.instance import InstanceNode
from yangson.instvalue import ArrayValue, ObjectValue

from headstay import xml
from headstay.datastore.schema import Kind, SchemaNode, error_path
from headstay.errors import (
    DataMissing,
    ErrorInfo,
    InvalidValue,
    MissingElement,
    NetconfError,
    OperationFailed,
    RpcErrors,
    UnknownElement,
)

MOST_VIOLATIONS = 100
"""Violations of the model that are told of at once."""


class Violations:
    """What is wrong in one tree."""

    def __init__(self, root: SchemaNode, members: Mapping[SchemaNode, str], tree: etree._Element) -> None:
        """`members` are the names that the nodes below the root have in the library."""
        self._root = root
        self._members = members
        self._tree = tree

    def of_configuration(self, instance: InstanceNode) -> Sequence[NetconfError]:
        """Validate the tree, with its defaults as the library's instance of it. Returns what is wrong, MOST_VIOLATIONS
        at most: what the library comes to first, and what was found beside it.
        """
        failure = _failure(instance)
        return () if failure is None else tuple(itertools.islice(self._within(instance, failure), MOST_VIOLATIONS))

    def of_input(self, failure: Any) -> NetconfError | RpcErrors:
        """Return what the library's validation error says of an RPC's input."""
        missing, _ = self._missing(failure)
        return RpcErrors(map(_parameter_missing, missing)) if missing else self._violation(failure)

    def _within(self, instance: InstanceNode, failure: Any) -> Iterator[NetconfError]:
        """Yield what is wrong within an instance of which the library has told one failure, that one first.

        Each part is judged where it stands, so whatever is found is wrong in the tree as it is. Nothing is looked for
        below what lacks something or has too much: that may be moot. Costs about one validation of the whole.
        """
        at: Any = failure.instance.path if isinstance(failure, yang_errors.ValidationError) else None
        found = at == instance.path
        if found:
            yield from self._told(failure, instance)
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
                yield from self._within(part, below)
        if not found:
            yield from self._told(failure, instance)

    def _told(self, failure: Exception, instance: InstanceNode) -> Sequence[NetconfError]:
        if isinstance(failure, yang_errors.ValidationError):
            missing, element = self._missing(failure)
            return [_missing_in(element, node) for node in missing] or [self._violation(failure)]
        # The library stumbles over its own message when a mandatory choice has nothing.
        if (choice := self._missing_choice(instance)) is None:
            raise failure
        return [choice]

    def _violation(self, error: Any) -> NetconfError:
        """Turn the library's validation error into the one that RFC 7950 section 15 asks for."""
        node, element = self._locate(error.instance.path)
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

    def _missing(self, error: Any) -> tuple[Sequence[SchemaNode], etree._Element | None]:
        """Return what the library misses altogether, and the instance that it is missing in."""
        if str(error.tag) != "missing-data":
            return (), None
        node, element = self._locate(error.instance.path)
        # "One of" them, the library says, and needs them all.
        names = re.findall(r"'([^']*)'", str(error.message))
        return [child for child in node.children.values() if self._members[child] in names], element

    def _missing_choice(self, instance: InstanceNode) -> NetconfError | None:
        """Return the error for the first mandatory choice without data (RFC 7950 section 15.6)."""
        value = instance.value
        if isinstance(value, ArrayValue):
            below = [instance[place] for place in range(len(value))]
        elif isinstance(value, ObjectValue) and isinstance(instance.schema_node, yang.InternalNode):
            for choice in _mandatory_choices(instance, instance.schema_node):
                node, element = self._locate(instance.path)
                info = [ErrorInfo("missing-choice", choice.name, xml.YANG)]
                path, app_tag = error_path(node, element), "missing-choice"
                return DataMissing(f"{node.name} needs its {choice.name}", path=path, app_tag=app_tag, info=info)
            below = [instance[name] for name in value]
        else:
            below = []
        found = (self._missing_choice(child) for child in below)
        return next((error for error in found if error is not None), None)

    def _locate(self, route: Sequence[str | int]) -> tuple[SchemaNode, etree._Element | None]:
        """Find the instance that the library's path names; None for one that only a default made."""
        node = self._root
        element: etree._Element | None = self._tree
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


def _mandatory_choices(instance: InstanceNode, node: Any) -> Iterator[Any]:
    """Yield the mandatory choices right below a node that hold nothing in this instance."""
    for child in ungrouped(node):
        if isinstance(child, yang.ChoiceNode) and (child.when is None or child.when.evaluate(instance)):
            case = child._active_case(instance.value)
            if case is not None:
                yield from _mandatory_choices(instance, case)
            elif child.mandatory:
                yield child


def ungrouped(source: Any) -> Iterator[Any]:
    """Yield a node's children, with those of a conditional augment or uses, which the library keeps apart."""
    for child in source.children:
        if type(child) is yang.GroupNode:
            yield from ungrouped(child)
        else:
            yield child


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
