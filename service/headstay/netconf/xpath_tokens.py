"""The tokens of an XPath 1.0 expression (section 3.7 of that recommendation).

Owns the lexical structure only: what is an operator, where an absolute path starts, which paths a union is made of.
Knows no tree and no cost.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headstay.errors import ErrorType, InvalidValue

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


@dataclass(frozen=True, slots=True)
class Token:
    """A token, with the ambiguous ones told apart."""

    kind: str
    """literal, number, name, symbol, operator, or root: a slash that starts at the root."""
    text: str

    @property
    def continues(self) -> bool:
        """Whether it is a slash after which a step starts from what the path has reached so far."""
        return self.text in ("/", "//") and (self.kind, self.text) != ("root", "/")


def tokens(expression: str) -> Iterator[Token]:
    """Yield the tokens of an expression. Raises InvalidValue where there is none."""
    position = 0
    after_operand = False
    while position < len(expression):
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise invalid(f"not an XPath expression: unexpected {expression[position:][:20]!r}")
        token = _classified(match.lastgroup, match[match.lastgroup], after_operand)
        after_operand = token.kind in ("literal", "number", "name") or token.text in (")", "]", ".", "..")
        after_operand = after_operand or (token.text == "*" and token.kind == "symbol")
        position = match.end()
        yield token


def _classified(kind: str, text: str, after_operand: bool) -> Token:
    if after_operand and (text == "*" or text in _OPERATOR_NAMES):
        return Token("operator", text)
    if text in _OPERATORS and kind == "symbol":
        return Token("operator", text)
    if not after_operand and text in ("/", "//"):
        return Token("root", text)
    return Token(kind, text)


def split(expression: Sequence[Token], separator: str) -> list[list[Token]]:
    """Return the parts of an expression between the separators that stand in no parentheses and no brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in expression:
        if token.kind == "symbol":
            depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
        if depth == 0 and token.text == separator and token.kind in ("operator", "symbol"):
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def closing(expression: Sequence[Token], opening: int) -> int | None:
    """Return where the parenthesis ends that opens here; None where none does, or it has no end."""
    depth = 0
    for index in range(opening, len(expression)):
        if expression[index].kind == "symbol":
            depth += (expression[index].text in ("(", "[")) - (expression[index].text in (")", "]"))
        if depth == 0:
            return index if expression[opening].text == "(" and expression[index].text == ")" else None
    return None


def invalid(message: str) -> InvalidValue:
    """Return the error for an expression that is wrong."""
    return InvalidValue(message, type=ErrorType.PROTOCOL)
