"""YANG's XPath functions (RFC 7950 section 10), which RFC 8526 asks for in the xpath-filter of <get-data>.

What libxml2 can do is left to it: `prepared` turns current() into the path that it stands for here, has arguments made
strings, and takes the first node of a node-set. The rest are functions in Python, which know the schema. They count
what they do, since that depends on the data; once an evaluation has done too much, it ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lxml import etree

from headstay.datastore.leaf_types import LeafType
from headstay.datastore.model import Model
from headstay.datastore.patterns import NotAPattern, Pattern
from headstay.errors import ErrorType, ResourceDenied
from headstay.netconf.xpath_tokens import Token, closing, invalid, split

STRING, FIRST, NODES = "string", "first node", "nodes"
ARGUMENTS: Final[Mapping[str, Sequence[str]]] = {
    "re-match": (STRING, STRING),
    "deref": (FIRST,),
    "derived-from": (NODES, STRING),
    "derived-from-or-self": (NODES, STRING),
    "enum-value": (FIRST,),
    "bit-is-set": (FIRST, STRING),
}
"""The functions, and what each is handed."""
_CALL: Final = 64
"""A call costs as much as so many nodes visited; so does each node that it is asked about."""
_MERGED: Final = 128
"""As in `xpath_cost`: of what is returned here, libxml2 compares each node with each other where a step leads on."""
_DEEPEST: Final = 20
"""Calls of these functions within one another."""
_MOST_PATTERNS: Final = 16
"""Regular expressions that are remembered."""


def prepared(expression: Sequence[Token], depth: int = 0) -> list[Token]:
    """Return an expression in which the functions are called with what they are to be handed.

    Raises InvalidValue for a wrong number of arguments, and for functions too deep within one another. Whatever else is
    wrong stays so, for libxml2 to find out.
    """
    result: list[Token] = []
    index = 0
    while index < len(expression):
        token, opens = expression[index], [token.text for token in expression[index + 1 : index + 3]]
        end = None
        if token == Token("name", "current") and opens == ["(", ")"]:
            # The context node is the root (RFC 8526 section 3.1.1), whatever predicate asks for it.
            end = index + 2
            if end + 1 < len(expression) and expression[end + 1].continues:
                end += 1
                result.append(Token("root", expression[end].text))
            else:
                result += (Token("symbol", "("), Token("root", "/"), Token("symbol", ")"))
        elif token.kind == "name" and token.text in ARGUMENTS and opens[:1] == ["("]:
            end = closing(expression, index + 1)
        if end is None:
            result.append(token)
        elif token.text in ARGUMENTS:
            result += (token, Token("symbol", "("), *_arguments(token.text, expression[index + 2 : end], depth + 1))
            result.append(Token("symbol", ")"))
        index = index + 1 if end is None else end + 1
    return result


def _arguments(function: str, given: Sequence[Token], depth: int) -> Iterator[Token]:
    wanted = ARGUMENTS[function]
    arguments = split(given, ",") if given else []
    if len(arguments) != len(wanted):
        raise invalid(f"{function}() has {len(wanted)} argument{'s' * (len(wanted) > 1)}")
    if depth > _DEEPEST:
        raise invalid(f"{function}() stands too deep in other functions")
    for place, (kind, argument) in enumerate(zip(wanted, arguments, strict=True)):
        if place > 0:
            yield Token("symbol", ",")
        yield from _argument(kind, prepared(argument, depth))


def _argument(kind: str, argument: Sequence[Token]) -> Iterator[Token]:
    # A literal is a string already, and the estimate of what it costs knows its length.
    if kind == NODES or [token.kind for token in argument] == ["literal"]:
        yield from argument
        return
    if kind == STRING:
        yield Token("name", "string")
    yield from (Token("symbol", "("), *argument, Token("symbol", ")"))
    if kind == FIRST:
        yield from (Token("symbol", "["), Token("number", "1"), Token("symbol", "]"))


class Functions:
    """The functions for one evaluation of an expression."""

    def __init__(self, model: Model, prefixes: Mapping[str | None, str], most_work: int) -> None:
        """`prefixes` are those in scope where the expression is written."""
        self._model = model
        self._prefixes = prefixes
        self._most_work = self._work_left = most_work
        self._patterns: dict[str, Pattern] = {}
        self._bases: dict[str, tuple[str | None, str]] = {}

    def renew(self) -> None:
        """Begin with another evaluation of the same expression."""
        self._work_left = self._most_work

    @property
    def extensions(self) -> dict[tuple[str | None, str], Callable[..., object]]:
        """The functions as lxml takes them. They raise InvalidValue, and ResourceDenied when it is too much."""
        functions: dict[str, Callable[..., object]] = {
            "re-match": self._re_match,
            "deref": self._deref,
            "derived-from": lambda _, nodes, identity: self._derived(nodes, identity, itself=False),
            "derived-from-or-self": lambda _, nodes, identity: self._derived(nodes, identity, itself=True),
            "enum-value": self._enum_value,
            "bit-is-set": self._bit_is_set,
        }
        return {(None, name): function for name, function in functions.items()}

    # the functions, named after RFC 7950's

    def _re_match(self, _: object, subject: str, pattern: str) -> bool:
        self._spend(_CALL)
        return self._pattern(pattern).matches(subject, self._spend)

    def _deref(self, _: object, nodes: Sequence[object]) -> list[etree._Element]:
        for leaf, leaf_type in self._leafs("deref", nodes):
            if leaf_type.is_instance_identifier:
                return self._instances(leaf, leaf_type)
            found = [referred for referred in self._referred(leaf, leaf_type) if referred.text == leaf.text]
            self._spend(len(found) ** 2 // _MERGED)
            return found
        return []

    def _derived(self, nodes: Sequence[object], identity: str, *, itself: bool) -> bool:
        module, name = self._base(identity)
        for leaf, leaf_type in self._leafs("derived-from", nodes):
            # A name without a prefix is of the module that the leaf is in.
            base = name, module or self._module(etree.QName(leaf).namespace)
            if base[1] and leaf_type.names_identity(leaf.text or "", leaf.nsmap, (base[0], base[1]), itself=itself):
                return True
        return False

    def _enum_value(self, _: object, nodes: Sequence[object]) -> float:
        for leaf, leaf_type in self._leafs("enum-value", nodes):
            value = leaf_type.enum_value(leaf.text or "", leaf.nsmap)
            return math.nan if value is None else float(value)
        return math.nan

    def _bit_is_set(self, _: object, nodes: Sequence[object], bit: str) -> bool:
        return any(t.has_bit(leaf.text or "", leaf.nsmap, bit) for leaf, t in self._leafs("bit-is-set", nodes))

    # what they know

    def _leafs(self, function: str, nodes: object) -> Iterator[tuple[etree._Element, LeafType]]:
        """Yield those of the nodes that have a type, with it."""
        if not isinstance(nodes, list):
            raise invalid(f"{function}() asks for nodes")
        for node in nodes:
            self._spend(_CALL)
            if isinstance(node, etree._Element) and (leaf_type := self._type_of(node)) is not None:
                yield node, leaf_type

    def _type_of(self, element: etree._Element) -> LeafType | None:
        way = [element, *element.iterancestors()]
        node = self._model.schema
        for step in reversed(way[:-1]):  # the last is the root
            found = node.child(str(step.tag))
            if found is None:
                return None
            node = found
        return self._model.leaf_type(node) if node.terminal else None

    def _referred(self, leaf: etree._Element, leaf_type: LeafType) -> Iterable[etree._Element]:
        own = etree.QName(leaf).namespace
        found: list[etree._Element] = [leaf]
        for step in leaf_type.leafref:
            found = self._step(found, step, own)
        return found if leaf_type.leafref else ()

    def _step(self, elements: Sequence[etree._Element], step: str, own: str | None) -> list[etree._Element]:
        if step == "/":
            return [element.getroottree().getroot() for element in elements]
        if step == "..":
            return [above for element in elements if (above := element.getparent()) is not None]
        tag = step if step.startswith("{") else f"{{{own}}}{step}"
        found = [child for element in elements for child in element.iterchildren(tag)]
        self._spend(len(elements) + len(found))
        return found

    def _instances(self, leaf: etree._Element, leaf_type: LeafType) -> list[etree._Element]:
        path = leaf_type.canonical(leaf.text or "", leaf.nsmap)
        found: Any = etree.XPath(f"/*{path.text}", namespaces=dict(path.prefixes))(leaf)
        return [element for element in found if isinstance(element, etree._Element)]

    def _pattern(self, text: str) -> Pattern:
        if (pattern := self._patterns.get(text)) is None:
            try:
                pattern = Pattern(text)
            except NotAPattern as error:
                raise invalid(f"re-match(): {error}") from None
            self._spend(_CALL * pattern.work)
            if len(self._patterns) >= _MOST_PATTERNS:
                self._patterns.clear()
            self._patterns[text] = pattern
        return pattern

    def _base(self, identity: str) -> tuple[str | None, str]:
        """Return the module and the name of an identity; no module where it has no prefix."""
        prefix, colon, name = identity.rpartition(":")
        if not colon:
            return None, name
        module = self._module(self._prefixes.get(prefix)) or self._module_of_prefix(prefix)
        if module is None:
            raise invalid(f"the prefix {prefix!r} of the identity is neither declared nor a module's")
        return module, name

    def _module(self, namespace: str | None) -> str | None:
        return next((module.name for module in self._model.modules if module.namespace == namespace), None)

    def _module_of_prefix(self, prefix: str) -> str | None:
        modules = self._model.modules
        return next((module.name for module in modules if prefix in (module.prefix, module.name)), None)

    def _spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise ResourceDenied("the XPath expression asks for too much work", type=ErrorType.PROTOCOL)
