"""What the evaluation of an XPath expression may cost, bounded from above before it runs.

Nothing stops libxml2 once it has begun. So every token is charged with the most that it
can do: how often it may be evaluated, times what it visits, compares or copies each time. Owns that estimate only;
knows no model and no protocol.

Steps down the tree cost one walk through it, in predicates too: the nodes that a predicate is asked about are
different ones, so together they have no more children than the tree has nodes. What leaves the neighbourhood of a
node (`..`, an absolute path, a backward axis) is charged with the whole tree for every node.

Names are trusted, wildcards are not: in the models nothing stands within another thing of its name, and what bears one
name is found in the order of the document (a test holds the models to that). libxml2 sorts what is found in any other
order, and to compare two nodes it walks along their siblings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lxml import etree

from headstay.netconf.xpath_tokens import Token, split

DEEPEST: Final = 16
"""Levels of a data tree, at most; the models have fewer. A node has so many ancestors, and a text counts once in the
string-value of each of them."""

_COMPARISONS = frozenset(("=", "!=", "<", "<=", ">", ">="))
_DESCENDANTS = frozenset(("descendant", "descendant-or-self"))
_SIBLINGS = frozenset(("following", "following-sibling", "preceding", "preceding-sibling"))
_ANCESTORS = frozenset(("ancestor", "ancestor-or-self", "namespace"))
_NODE_TYPES = frozenset(("node", "text", "comment", "processing-instruction"))
_SEARCHES = {"contains": 64, "substring-before": 64, "substring-after": 64, "translate": 16}
"""Functions that take a second string for each character of the first, and how many such comparisons make one unit."""
_CHARACTERS = 64
"""Characters copied or looked at for one unit."""
_MERGED = 128
"""libxml2 compares what a node contributes to a node-set with all that is in it: so many comparisons for one unit. To
sort a node-set takes as much."""


_OF_NODES = frozenset(("derived-from", "derived-from-or-self"))
"""Functions that are not libxml2's and take many nodes. What they do with them they count themselves."""
_HANDED_OVER = 8
"""A node that is handed to one of them costs as much as so many visited."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a tree is."""

    nodes: int
    """Elements."""
    characters: int
    """Characters of text."""


def size(tree: etree._Element) -> Size:
    """Measure a tree."""
    return Size(sum(1 for _ in tree.iter()), _number_of_characters(tree))


def _number_of_characters(tree: etree._Element) -> int:
    counted = _STRING_LENGTH(tree)
    return int(counted) if isinstance(counted, float) else 0


_STRING_LENGTH = etree.XPath("string-length(/)")


def affordable(paths: Sequence[Sequence[Token]], size: Size, most: int) -> bool:
    """Whether the evaluation of these expressions, one after the other, costs no more than `most` nodes visited."""
    spent = 0
    for path in paths:
        for charge in _Estimate(path, size).charges():
            spent += charge
            # At once, since the numbers grow with every predicate.
            if spent > most:
                return False
    return True


@dataclass(slots=True)
class _Level:
    """Where the walk through an expression is: in the expression itself, or in a predicate."""

    times: int
    """How often a token is evaluated for each node of the tree."""
    disjoint: bool
    """Whether the nodes that the path has reached stand side by side, none within another."""
    starts_disjoint: bool
    """The same for the nodes that a path here starts from."""


class _Estimate:
    """The cost of one expression on a tree of some size."""

    def __init__(self, tokens: Sequence[Token], size: Size) -> None:
        self._tokens = tokens
        self._nodes = size.nodes
        self._partners = _partners(tokens)
        # What literals may be put together to; each is not longer than that either.
        literals = sum(len(token.text) for token in tokens if token.kind == "literal")
        # Only concat makes strings longer, and its result has at most as many parts as the expression has tokens.
        self._parts = len(tokens) if any(map(self._concatenates, range(len(tokens)))) else 1
        self._text = (size.characters + literals) * self._parts
        """Characters of the longest string that can come up."""
        self._strings = (size.characters * DEEPEST + size.nodes * literals) * self._parts
        """Characters of all strings that can come up when a string is taken of every node once."""

    def charges(self) -> Iterator[int]:
        """Yield the cost of each token."""
        # One level for each predicate that a token stands in.
        levels = [_Level(times=1, disjoint=True, starts_disjoint=True)]
        for index, token in enumerate(self._tokens):
            level = levels[-1]
            if token.text == "[":
                levels.append(_Level(level.times, level.disjoint, level.disjoint))
            elif token.text == "]" and len(levels) > 1:
                levels.pop()
            else:
                level.times *= self._reach(index, level, in_predicate=len(levels) > 1)
                yield level.times * (self._work(index) + self._work_of_sorting(index, level))
                level.disjoint = self._stays_disjoint(index, level)

    def _reach(self, index: int, level: _Level, in_predicate: bool) -> int:
        """Return how many times as often as before it everything after this token may be evaluated."""
        token, following = self._tokens[index], self._text_at(index + 1)
        if (token.text == "//" and token.kind == "symbol") or (token.text in _DESCENDANTS and following == "::"):
            return 1 if level.disjoint else DEEPEST
        if self._is_step_from_deref(index):
            return 1
        if token.kind == "root" or token.text == ".." or self._function_ended(index) == "deref":
            return self._nodes if in_predicate else 1
        if token.kind != "name":
            return 1
        if following == "::":
            return self._reach_of_axis(index, in_predicate)
        return self._nodes if following == "(" and token.text == "id" else 1

    def _stays_disjoint(self, index: int, level: _Level) -> bool:
        token = self._tokens[index]
        if token.text in ("//", "..", ")") or self._text_at(index + 1) == "::":
            return token.text in ("child", "self", "attribute") and level.disjoint
        if token.kind == "name" and not self._is_wild(index) and self._text_at(index + 1) != "(":
            return True
        starts_path = token.kind in ("operator", "root") or token.text in ("(", ",")
        return level.starts_disjoint if starts_path else level.disjoint

    def _reach_of_axis(self, index: int, in_predicate: bool) -> int:
        axis = self._tokens[index].text
        if axis == "parent":
            # A predicate is asked about the parent once for every child.
            after_step = index + (5 if self._text_at(index + 3) == "(" else 3)
            return self._nodes if in_predicate or self._text_at(after_step) == "[" else 1
        if axis in _SIBLINGS:
            return self._nodes**2
        return self._nodes if axis in _ANCESTORS else 1

    def _work(self, index: int) -> int:
        """Return what one evaluation of this token for every node of the tree costs."""
        token, following = self._tokens[index], self._text_at(index + 1)
        if token.kind == "operator":
            return self._work_of_operator(index)
        if token.kind == "name" and following == "(" and token.text not in _NODE_TYPES:
            return self._work_of_function(index)
        if token.kind in ("name", "root") or token.text in (".", "..", "*", "//"):
            return self._nodes + self._work_of_merging(index)
        # Here it is known how often the arguments have been evaluated.
        return self._nodes * _HANDED_OVER if self._function_ended(index) in _OF_NODES else 0

    def _work_of_operator(self, index: int) -> int:
        operator = self._tokens[index].text
        if operator in ("and", "or"):
            return self._nodes
        plain = self._nodes + self._strings // _CHARACTERS
        if operator == "|":
            # Merged, and then put into the order of the document.
            return plain + self._nodes**2 // 8
        if operator in _COMPARISONS and not (self._ends_scalar(index - 1) or self._starts_scalar(index + 1)):
            # Each node of the one set with each of the other.
            return plain + self._nodes**2
        return plain

    def _work_of_function(self, index: int) -> int:
        plain = self._nodes + self._strings // _CHARACTERS
        name = self._tokens[index].text
        if name == "concat":
            # The string so far is measured anew for each part.
            return plain * self._parts
        if name in _SEARCHES:
            return plain + self._strings * self._length_of_second(index) // _SEARCHES[name]
        return plain

    def _concatenates(self, index: int) -> bool:
        """Whether here stands a concat of more than literals."""
        if self._tokens[index].text != "concat":
            return False
        return any([token.kind for token in argument] != ["literal"] for argument in self._arguments(index))

    def _length_of_second(self, index: int) -> int:
        """Return how long a function's second argument may be."""
        arguments = self._arguments(index)
        if len(arguments) > 1 and [token.kind for token in arguments[1]] == ["literal"]:
            return len(arguments[1][0].text)
        return self._text

    def _arguments(self, index: int) -> list[list[Token]]:
        closing = self._partners.get(index + 1, len(self._tokens))
        return split(self._tokens[index + 2 : closing], ",")

    def _work_of_merging(self, index: int) -> int:
        """Return what it costs to find what several nodes lead to alike; the steps to children never do."""
        token = self._tokens[index]
        is_axis = self._text_at(index + 1) == "::" and (token.text == "parent" or token.text in _DESCENDANTS)
        if self._is_step_from_deref(index):
            from_many = False
        elif token.text == ".." or is_axis:
            from_many = index > 0 and self._tokens[index - 1].continues
        elif token.text == "//" and token.kind == "symbol":
            from_many = self._text_at(index - 1) != "." or (index > 1 and self._tokens[index - 2].continues)
        else:
            return 0
        return self._nodes**2 // _MERGED if from_many else 0

    def _work_of_sorting(self, index: int, level: _Level) -> int:
        """Return what it costs to sort what this node test finds where nodes lie within nodes of the same set."""
        if level.disjoint or not self._is_wild(index):
            return 0
        # Without a predicate, libxml2 makes one walk of `//` and the step after it, and that is in order.
        after = index + (3 if self._text_at(index + 1) == "(" else 1)
        one_walk = self._text_at(index - 1) == "//" and self._text_at(after) != "["
        return 0 if one_walk else self._nodes**2 // _MERGED

    def _is_wild(self, index: int) -> bool:
        """Whether here stands a node test that nodes of several names pass."""
        token = self._tokens[index]
        if token.kind == "name":
            is_type = token.text in _NODE_TYPES and self._text_at(index + 1) == "("
            return is_type or token.text.endswith(":*")
        return token.kind == "symbol" and token.text == "*"

    def _ends_scalar(self, index: int) -> bool:
        """Whether an operand that ends here is a string, number or truth value for certain."""
        if index in self._partners:
            return self._is_scalar_function(self._partners[index] - 1)
        return self._is_constant(index)

    def _starts_scalar(self, index: int) -> bool:
        return self._is_constant(index) or self._is_scalar_function(index)

    def _is_constant(self, index: int) -> bool:
        return 0 <= index < len(self._tokens) and self._tokens[index].kind in ("literal", "number")

    def _is_scalar_function(self, index: int) -> bool:
        if not (0 <= index < len(self._tokens) and self._text_at(index + 1) == "("):
            return False
        token = self._tokens[index]
        return token.kind == "name" and token.text not in {*_NODE_TYPES, "id", "deref"}

    def _is_step_from_deref(self, index: int) -> bool:
        """Whether here stands `..` right after a deref, which has multiplied what follows and counts what it finds."""
        return self._text_at(index) == ".." and self._function_ended(index - 2) == "deref"

    def _function_ended(self, index: int) -> str | None:
        """Return the name of the function whose last parenthesis stands here."""
        if self._text_at(index) != ")" or index not in self._partners:
            return None
        return self._text_at(self._partners[index] - 1)

    def _text_at(self, index: int) -> str:
        return self._tokens[index].text if 0 <= index < len(self._tokens) else ""


def _partners(tokens: Sequence[Token]) -> dict[int, int]:
    """Return for each parenthesis where its other one stands."""
    partners: dict[int, int] = {}
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.kind == "symbol" and token.text == "(":
            opened.append(index)
        elif token.kind == "symbol" and token.text == ")" and opened:
            partners[index] = opened.pop()
            partners[partners[index]] = index
    return partners
