"""XPath filters (RFC 6241 section 8.9): from the expression that a client wrote to a `Selection`.

lxml evaluates; this file makes that safe and right. The accessible tree has its top-level nodes right below the root,
where our trees have an element `data` in between, so absolute paths are led through it. Prefixes that the client did
not declare are those of the model. An expression whose cost could grow with a power of the tree is refused before it
runs, since nothing stops it afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from lxml import etree

from headstay.datastore.model import Model
from headstay.errors import ErrorType, InvalidValue, ResourceDenied
from headstay.netconf.selection import Selection

LONGEST_EXPRESSION = 4096
"""Characters of one expression."""
MOST_VISITS = 4_000_000
"""Nodes that an expression may visit, by the estimate of `_power`: some tenths of a second."""

_NAME = r"[^\W\d][\w.\-]*"
_TOKEN = re.compile(
    rf"""\s*(?:
        (?P<literal>"[^"]*"|'[^']*')
      | (?P<number>\d+(?:\.\d*)?|\.\d+)
      | (?P<name>{_NAME}(?::(?!:)(?:{_NAME}|\*))?)
      | (?P<symbol>::|//|\.\.|!=|<=|>=|[/.|<>=+\-*()\[\],@$])
    )\s*""",
    re.VERBOSE,
)
_OPERATOR_NAMES = frozenset(("and", "or", "div", "mod"))
_OPERATORS = frozenset(("|", "=", "!=", "<", "<=", ">", ">=", "+", "-"))
_COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
_AXES = {
    "parent": 1,
    "descendant": 1,
    "descendant-or-self": 1,
    # libxml2 looks for duplicates in what these find, one node after the other.
    "ancestor": 2,
    "ancestor-or-self": 2,
    "following": 2,
    "following-sibling": 2,
    "preceding": 2,
    "preceding-sibling": 2,
}
"""The axes that leave a node's children, and by how many powers of the tree's size each multiplies the cost."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """literal, number, name, symbol, operator, or root: a slash that starts at the root."""
    text: str


def select(tree: etree._Element, expression: str, prefixes: Mapping[str | None, str], model: Model) -> Selection:
    """Evaluate an expression on a tree. `prefixes` are those in scope where the client wrote it.

    Raises InvalidValue where the expression is wrong or its result is not a node-set (RFC 6241 section 8.9.1), and
    ResourceDenied where it would take too long.
    """
    if len(expression) > LONGEST_EXPRESSION:
        raise ResourceDenied(
            f"an XPath expression has at most {LONGEST_EXPRESSION} characters", type=ErrorType.PROTOCOL
        )
    tokens = list(_tokens(expression))
    namespaces = _namespaces(tokens, prefixes, model)
    _check_cost(tokens, tree)
    try:
        evaluate = etree.XPath(_below_data(tokens), namespaces=namespaces, regexp=False)
        result = evaluate(tree)
    except etree.XPathError as error:
        raise _invalid(f"the XPath expression cannot be evaluated: {error}") from None
    if not isinstance(result, list):
        raise _invalid("the XPath expression does not select nodes")
    return _selection(result)


def _selection(result: Sequence[object]) -> Selection:
    selection = Selection()
    for node in result:
        # Text and attributes come as strings that know their element; namespace nodes, as pairs, choose nothing.
        element = node.getparent() if isinstance(node, etree._ElementUnicodeResult) else node
        if isinstance(element, etree._Element):
            selection.add(element)
    return selection


# the expression ------------------------------------------------------------------------------------------------------


def _tokens(expression: str) -> Iterator[_Token]:
    """Yield the tokens, with the ambiguous ones told apart (XPath 1.0 section 3.7)."""
    position = 0
    after_operand = False
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise _invalid(f"not an XPath expression: unexpected {expression[position:][:20]!r}")
        token = _classified(match.lastgroup, match[match.lastgroup], after_operand)
        after_operand = token.kind in ("literal", "number", "name") or token.text in (")", "]", ".", "..")
        after_operand = after_operand or (token.text == "*" and token.kind == "symbol")
        position = match.end()
        yield token


def _classified(kind: str, text: str, after_operand: bool) -> _Token:
    if after_operand and (text == "*" or text in _OPERATOR_NAMES):
        return _Token("operator", text)
    if text in _OPERATORS and kind == "symbol":
        return _Token("operator", text)
    if not after_operand and text in ("/", "//"):
        return _Token("root", text)
    return _Token(kind, text)


def _below_data(tokens: list[_Token]) -> str:
    """Return the expression with every absolute path starting at the element that holds the top-level nodes."""
    pieces: list[str] = []
    for token, following in zip_longest(tokens, tokens[1:]):
        if token.kind != "root":
            pieces.append(token.text)
        elif token.text == "//" or (following is not None and _starts_step(following)):
            pieces.append(f"/*{token.text}")
        else:
            pieces.append("/*")
    return " ".join(pieces)


def _starts_step(token: _Token) -> bool:
    return token.kind == "name" or (token.kind == "symbol" and token.text in ("*", "@", ".", ".."))


def _namespaces(tokens: list[_Token], prefixes: Mapping[str | None, str], model: Model) -> dict[str, str]:
    """Return a namespace for each prefix in use: the client's, a module's prefix, a module's name, in this order."""
    used = {token.text.partition(":")[0] for token in tokens if token.kind == "name" and ":" in token.text}
    by_prefix = {module.prefix: module.namespace for module in model.modules}
    by_name = {module.name: module.namespace for module in model.modules}
    namespaces: dict[str, str] = {}
    for prefix in used:
        namespace = prefixes.get(prefix) or by_prefix.get(prefix) or by_name.get(prefix)
        if namespace is None:
            raise _invalid(f"the prefix {prefix!r} of the XPath expression is neither declared nor a module's")
        namespaces[prefix] = namespace
    return namespaces


def _invalid(message: str) -> InvalidValue:
    return InvalidValue(message, type=ErrorType.PROTOCOL)


# its cost ------------------------------------------------------------------------------------------------------------


def _check_cost(tokens: list[_Token], tree: etree._Element) -> None:
    power = _power(tokens)
    if power > 1 and sum(1 for _ in tree.iter()) ** power > MOST_VISITS:
        raise ResourceDenied("the XPath expression asks for too much work", type=ErrorType.PROTOCOL)


def _power(tokens: list[_Token]) -> int:
    """Return the power of the tree's size that the evaluation may cost, estimated from above.

    One walk through the tree is always allowed. A predicate is evaluated for every node that reaches it, so whatever
    in it leaves the neighbourhood of that node multiplies the cost by the size once more.
    """
    levels = [0]
    most = 1
    for index, token in enumerate(tokens):
        if token.text == "[":
            levels.append(0)
        elif token.text == "]" and len(levels) > 1:
            levels.pop()
        elif token.text == "|" and len(levels) == 1:
            levels[0] = 0  # the next path costs its own, once
        else:
            levels[-1] += _reach(tokens, index, in_predicate=len(levels) > 1)
            most = max(most, max(1, levels[0]) + sum(levels[1:]))
    return most


def _reach(tokens: list[_Token], index: int, in_predicate: bool) -> int:
    """Return by how many powers of the tree's size a token multiplies the cost."""
    token = tokens[index]
    following = tokens[index + 1].text if index + 1 < len(tokens) else ""
    if token.text in ("//", "|"):
        return 1
    if token.kind == "operator" and token.text in _COMPARISONS:
        beside = [tokens[index - 1].kind if index else "", tokens[index + 1].kind if following else ""]
        return int("literal" not in beside and "number" not in beside)
    if token.kind == "name" and following == "::":
        return _AXES.get(token.text, 0)
    if token.kind == "name" and following == "(":
        return int(token.text == "id")
    return int(in_predicate and (token.kind == "root" or token.text == ".."))
