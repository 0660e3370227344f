"""XML Schema's regular expressions, which YANG's are (RFC 7950 section 9.4.5), matched in time that is known before.

With `model`, `leaf_types`, `constraints` and `violations`, one of the importers of the YANG library (yangson): what a
class of characters holds, that library says. Everything else is an automaton that is in all its states at once, since
Python's own matcher tries one way after the other, and whoever writes the expression can make the ways too many.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from yangson.constraint import Pattern as LibraryPattern
from yangson.exceptions import InvalidArgument

MOST_CHARACTERS: Final = 500
"""Characters of an expression."""
MOST_STATES: Final = 2000
"""States that it may take, repetitions written out."""
MOST_CLASSES: Final = 32
"""Classes of characters in it: each takes the library a millisecond."""
MOST_DEPTH: Final = 40
"""Groups within one another."""
_WORK_OF_CLASS: Final = 100
_MOST_KNOWN: Final = 100_000
"""States in the sets that are remembered, all together."""

_SPECIAL: Final = frozenset(".\\?*+()|[]{}")
_QUANTITY = re.compile(r"\{([0-9]{1,5})(?:(,)([0-9]{1,5})?)?\}")
_ESCAPE = re.compile(r"\\(?:[pP]\{[^{}]*\}|.)", re.DOTALL)

_Passes = Callable[[str], bool]
"""Whether a character is one of those that stand for an atom."""


class NotAPattern(ValueError):
    """A text that is no regular expression, or one that is too large."""


class Pattern:
    """One expression. Remembers what it has found out, so it is for one thread at a time."""

    def __init__(self, text: str) -> None:
        """Raises NotAPattern."""
        if len(text) > MOST_CHARACTERS:
            raise NotAPattern(f"a regular expression has at most {MOST_CHARACTERS} characters")
        self._automaton, parser = _Automaton(), _Parser(text)
        self._start = self._automaton.closure([self._automaton.add(parser.expression(), _FINAL)])
        self.work = len(text) + len(self._automaton.states) + _WORK_OF_CLASS * parser.classes
        """What it took to make, in characters and states."""
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}
        self._remembered = 0

    @property
    def states(self) -> int:
        """How large it is."""
        return len(self._automaton.states)

    def matches(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether it matches a whole text. `spend` is told of each character and of each state looked at."""
        spend(len(text))
        current = self._start
        for character in text:
            following = self._known.get((current, character))
            if following is None:
                spend(len(current))
                following = self._following(current, character)
            current = following
            if not current:
                return False
        return _FINAL in current

    def _following(self, current: frozenset[int], character: str) -> frozenset[int]:
        found = self._automaton.step(current, character)
        self._remembered += 1 + len(found)
        if self._remembered > _MOST_KNOWN:
            self._known.clear()
            self._remembered = 0
        self._known[current, character] = found
        return found


# what an expression is made of


@dataclass(frozen=True, slots=True)
class _Atom:
    passes: _Passes


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Expression, ...]


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple[_Expression, ...]


@dataclass(frozen=True, slots=True)
class _Repeated:
    part: _Expression
    least: int
    most: int | None


_Expression = _Atom | _Sequence | _Choice | _Repeated


class _Parser:
    """One walk through an expression (XML Schema Part 2, appendix F)."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.classes = 0

    def expression(self) -> _Expression:
        """Return all of it."""
        found = self._choice()
        if self._at < len(self._text):
            raise self._unexpected()
        return found

    def _choice(self) -> _Expression:
        branches = [self._branch()]
        while self._next("|"):
            branches.append(self._branch())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _branch(self) -> _Expression:
        parts: list[_Expression] = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            parts.append(self._quantified(self._atom()))
        return _Sequence(tuple(parts))

    def _quantified(self, part: _Expression) -> _Expression:
        for sign, least, most in (("?", 0, 1), ("*", 0, None), ("+", 1, None)):
            if self._next(sign):
                return _Repeated(part, least, most)
        found = _QUANTITY.match(self._text, self._at)
        if found is None:
            return part
        self._at = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else (None if found[2] else least)
        if most is not None and most < least:
            raise NotAPattern("a quantity of a regular expression ends before it begins")
        return _Repeated(part, least, most)

    def _atom(self) -> _Expression:
        character = self._text[self._at]
        if character == "(":
            return self._group()
        if character in "\\.[":
            return _Atom(self._class())
        if character in _SPECIAL:
            raise self._unexpected()
        self._at += 1
        return _Atom(character.__eq__)

    def _group(self) -> _Expression:
        self._at += 1
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise NotAPattern("the groups of the regular expression are too deep")
        found = self._choice()
        self._depth -= 1
        if not self._next(")"):
            raise NotAPattern("a group of the regular expression has no end")
        return found

    def _class(self) -> _Passes:
        self.classes += 1
        if self.classes > MOST_CLASSES:
            raise NotAPattern(f"a regular expression has at most {MOST_CLASSES} classes of characters")
        start = self._at
        self._at = self._end_of_class()
        return _passes(self._text[start : self._at])

    def _end_of_class(self) -> int:
        """Return where an escape, or a bracket with those that are subtracted in it, ends."""
        at, depth = self._at, 0
        while at < len(self._text):
            if (escape := _ESCAPE.match(self._text, at)) is not None:
                at = escape.end()
            else:
                depth += {"[": 1, "]": -1}.get(self._text[at], 0)
                at += 1
            if depth == 0:
                return at
        raise NotAPattern("a class of characters of the regular expression has no end")

    def _next(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += found
        return found

    def _unexpected(self) -> NotAPattern:
        return NotAPattern(f"unexpected {self._text[self._at]!r} in the regular expression")


@functools.lru_cache(maxsize=256)
def _passes(characters: str) -> _Passes:
    """Return what tells whether a character is in a class."""
    try:
        regex = LibraryPattern(characters).regex
    except (InvalidArgument, re.error):
        raise NotAPattern("a class of characters of the regular expression is wrong") from None
    return lambda character: regex.fullmatch(character) is not None


# the automaton

_FINAL: Final = 0


@dataclass(slots=True)
class _State:
    passes: _Passes | None = None
    """What leads on from here; None: nothing is read."""
    onward: tuple[int, ...] = ()


@dataclass(slots=True)
class _Automaton:
    """Thompson's construction: a few states for each atom, however it is repeated."""

    states: list[_State] = field(default_factory=lambda: [_State()])
    _pieces: int = 0

    def add(self, expression: _Expression, following: int) -> int:
        """Add what reads an expression and goes on to a state. Returns where it starts."""
        self._pieces += 1
        if max(self._pieces, len(self.states)) > MOST_STATES:
            raise NotAPattern("the regular expression repeats too much")
        match expression:
            case _Atom(passes):
                return self._state(_State(passes, (following,)))
            case _Sequence(parts):
                for part in reversed(parts):
                    following = self.add(part, following)
                return following
            case _Choice(branches):
                return self._state(_State(None, tuple(self.add(branch, following) for branch in branches)))
        return self._repeated(expression, following)

    def step(self, current: frozenset[int], character: str) -> frozenset[int]:
        """Return the states that a character leads to."""
        states = (self.states[number] for number in current)
        return self.closure(
            number
            for state in states
            if state.passes is not None and state.passes(character)
            for number in state.onward
        )

    def closure(self, numbers: Iterable[int]) -> frozenset[int]:
        """Return these states and all that nothing need be read for."""
        found: set[int] = set()
        ahead = list(numbers)
        while ahead:
            number = ahead.pop()
            if number not in found:
                found.add(number)
                state = self.states[number]
                if state.passes is None:
                    ahead.extend(state.onward)
        return frozenset(found)

    def _repeated(self, repeated: _Repeated, following: int) -> int:
        start = following
        if repeated.most is None:
            loop = _State()
            start = self._state(loop)
            loop.onward = (self.add(repeated.part, start), following)
        for _ in range(0 if repeated.most is None else repeated.most - repeated.least):
            start = self._state(_State(None, (self.add(repeated.part, start), following)))
        for _ in range(repeated.least):
            start = self.add(repeated.part, start)
        return start

    def _state(self, state: _State) -> int:
        self.states.append(state)
        return len(self.states) - 1
