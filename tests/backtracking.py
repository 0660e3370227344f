"""Finds regular expressions that Python's matcher may backtrack in for longer than linear time.

A matcher that backtracks tries every way to read a text before it says no. So the number of ways counts, and that can
be told from the expression's position automaton (Weideman and others, "Analyzing Matching Time Behavior of Backtracking
Regular Expression Matchers", 2016): exponential, if some state leads back to itself in two ways by the same word;
quadratic or worse, if p leads to p, p to q and q to q by the same word. Conservative: a repetition of more than
MOST_COPIES counts as one without end, and assertions count as true.
"""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_COPIES = 6

Characters = frozenset[str]
"""A set of characters, as those of the sample that are in it."""


class Cost(enum.IntEnum):
    """What a text that does not match may cost, by its length."""

    LINEAR = 0
    POLYNOMIAL = 1
    EXPONENTIAL = 2


@dataclass
class Part:
    """A part of an expression as a position automaton: the positions that it starts and ends at."""

    first: list[int] = field(default_factory=list)
    last: list[int] = field(default_factory=list)
    empty: bool = True
    """Whether it matches the empty text."""


class Automaton:
    """The positions of an expression, what each reads, and the ways from one to the next."""

    def __init__(self, pattern: str, flags: int = 0, *, search: bool = False) -> None:
        """`search` is for a match that may start anywhere."""
        tree = parser.parse(pattern, flags)
        self._flags = tree.state.flags
        self._sample = sorted(_sample(tree))
        self.reads: list[Characters] = []
        self.ways: dict[int, list[int]] = defaultdict(list)
        """A position stands twice among the next ones if two ways lead there."""
        whole = self._sequence(tree)
        if search and not _starts_at_beginning(tree, self._flags):
            anything = self._repeated(lambda: self._reading(lambda _: True), 0, sre.MAXREPEAT)
            self._then(anything, whole)

    def cost(self, alphabet: Callable[[str], bool] = lambda _: True) -> Cost:
        """Return what texts may cost of which only characters of this alphabet can be repeated without end."""
        step = self._steps(alphabet)
        cyclic = {p for p in range(len(self.reads)) if p in _reached(p, lambda at: iter({to for to, _ in step[at]}))}
        for p in cyclic:
            if self._back_in_two_ways(p, step):
                return Cost.EXPONENTIAL
        if any(self._two_loops(p, q, step) for p in cyclic for q in cyclic if p != q):
            return Cost.POLYNOMIAL
        return Cost.LINEAR

    def repeated(self) -> Callable[[str], bool]:
        """Return an alphabet that has every character that a matching text can repeat without end."""
        step = self._steps(lambda _: True)
        sets = [
            self.reads[p]
            for p in range(len(self.reads))
            if p in _reached(p, lambda at: iter({to for to, _ in step[at]}))
        ]
        known = set(self._sample)
        # A character between two of the sample behaves like the one before it.
        starts = self._sample

        def among(character: str) -> bool:
            if character not in known:
                below = [start for start in starts if start <= character]
                character = below[-1] if below else starts[0]
            return any(character in characters for characters in sets)

        return among

    # questions

    def _steps(self, alphabet: Callable[[str], bool]) -> dict[int, list[tuple[int, Characters]]]:
        allowed = frozenset(filter(alphabet, self._sample))
        reads = [characters & allowed for characters in self.reads]
        return {p: [(q, reads[q]) for q in self.ways[p] if reads[q]] for p in range(len(self.reads))}

    @staticmethod
    def _back_in_two_ways(p: int, step: dict[int, list[tuple[int, Characters]]]) -> bool:
        def pairs(at: tuple[int, int, bool]) -> Iterator[tuple[int, int, bool]]:
            a, b, parted = at
            for i, (to_a, read_a) in enumerate(step[a]):
                for j, (to_b, read_b) in enumerate(step[b]):
                    if read_a & read_b:
                        yield to_a, to_b, parted or to_a != to_b or (a == b and i != j)

        return (p, p, True) in _reached((p, p, False), pairs)

    @staticmethod
    def _two_loops(p: int, q: int, step: dict[int, list[tuple[int, Characters]]]) -> bool:
        if q not in _reached(p, lambda at: iter({to for to, _ in step[at]})):
            return False

        def triples(at: tuple[int, int, int]) -> Iterator[tuple[int, int, int]]:
            a, b, c = at
            for to_a, read_a in step[a]:
                for to_b, read_b in step[b]:
                    both = read_a & read_b
                    if both:
                        yield from ((to_a, to_b, to_c) for to_c, read_c in step[c] if both & read_c)

        return (p, q, q) in _reached((p, p, q), triples)

    # construction

    def _sequence(self, items: Iterable[Any]) -> Part:
        whole = Part()
        for operation, argument in items:
            whole = self._then(whole, self._part(operation, argument))
        return whole

    def _part(self, operation: Any, argument: Any) -> Part:
        if operation in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, inner = argument
            return self._repeated(lambda: self._sequence(inner), least, most)
        if operation is sre.SUBPATTERN:
            return self._sequence(argument[-1])
        if operation is sre.ATOMIC_GROUP:
            return self._sequence(argument)
        if operation is sre.BRANCH:
            parts = [self._sequence(branch) for branch in argument[1]]
            return Part(
                [p for part in parts for p in part.first],
                [p for part in parts for p in part.last],
                any(part.empty for part in parts),
            )
        if operation in (sre.AT, sre.ASSERT, sre.ASSERT_NOT):
            return Part()
        if operation in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._reading(lambda character: _holds(operation, argument, character, self._flags))
        raise NotImplementedError(f"{operation} is not understood here")

    def _reading(self, accepts: Callable[[str], bool]) -> Part:
        self.reads.append(frozenset(filter(accepts, self._sample)))
        return Part([len(self.reads) - 1], [len(self.reads) - 1], empty=False)

    def _then(self, before: Part, after: Part) -> Part:
        for p in before.last:
            self.ways[p].extend(after.first)
        return Part(
            before.first + (after.first if before.empty else []),
            after.last + (before.last if after.empty else []),
            before.empty and after.empty,
        )

    def _repeated(self, make: Callable[[], Part], least: int, most: Any) -> Part:
        if most is sre.MAXREPEAT or most > MOST_COPIES:
            part = make()
            for p in part.last:
                self.ways[p].extend(part.first)
            return Part(part.first, part.last, part.empty or least == 0)
        # a{1,3} is a(a(a)?)?: in aa?a? the second a could be read in two ways.
        whole = Part()
        for left in reversed(range(most)):
            whole = self._then(make(), whole)
            whole.empty = whole.empty or left >= least
        return whole


def cost(pattern: str, flags: int = 0, *, search: bool = False) -> Cost:
    """Return what a text that does not match may cost."""
    return Automaton(pattern, flags, search=search).cost()


def _reached(start: Any, following: Callable[[Any], Iterator[Any]]) -> set[Any]:
    """Return what can be reached by one step or more."""
    reached: set[Any] = set()
    waiting = [start]
    while waiting:
        new = set(following(waiting.pop())) - reached
        reached |= new
        waiting.extend(new)
    return reached


def _starts_at_beginning(tree: Any, flags: int) -> bool:
    beginnings = (sre.AT, sre.AT_BEGINNING), (sre.AT, sre.AT_BEGINNING_STRING)
    return bool(tree) and tree[0] in beginnings and not flags & re.MULTILINE


def _holds(operation: Any, argument: Any, character: str, flags: int) -> bool:
    variants = {character, character.lower(), character.upper()} if flags & re.IGNORECASE else {character}
    if operation is sre.LITERAL:
        return chr(argument) in variants
    if operation is sre.NOT_LITERAL:
        return chr(argument) not in variants
    if operation is sre.ANY:
        return character != "\n" or bool(flags & re.DOTALL)
    negated = argument[0][0] is sre.NEGATE
    return negated != any(_is_in(item, variant) for item in argument[negated:] for variant in variants)


def _is_in(item: Any, character: str) -> bool:
    kind, argument = item
    if kind is sre.LITERAL:
        return ord(character) == argument
    if kind is sre.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    category = {
        sre.CATEGORY_DIGIT: str.isdigit,
        sre.CATEGORY_SPACE: str.isspace,
        sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    }
    opposite = {
        sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT,
        sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE,
        sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD,
    }
    if argument in opposite:
        return not category[opposite[argument]](character)
    return bool(category[argument](character))


def _sample(tree: Any) -> set[str]:
    """Return a character for each way in which the sets of an expression tell characters apart."""
    found = set("\0\t\n 0a_A!~\x7fé٣")

    def look(node: Any) -> None:
        if isinstance(node, parser.SubPattern | list):
            for part in node:
                look(part)
        elif isinstance(node, tuple) and node and node[0] in (sre.LITERAL, sre.NOT_LITERAL):
            add(node[1])
        elif isinstance(node, tuple) and node and node[0] is sre.RANGE:
            add(node[1][0])
            add(node[1][1])
        elif isinstance(node, tuple):
            for part in node:
                look(part)

    def add(code: int) -> None:
        found.update(chr(near) for near in (code - 1, code, code + 1) if 0 <= near <= 0x10FFFF)

    look(tree)
    return found
