"""Regular expressions: they match what the library's translation matches for Python, but in time that is known."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yangson.constraint import Pattern as LibraryPattern
from yangson.exceptions import InvalidArgument

from headstay.datastore.patterns import MOST_CHARACTERS, MOST_CLASSES, MOST_DEPTH, MOST_STATES, NotAPattern, Pattern


def matches(pattern: str, text: str) -> bool:
    return Pattern(pattern).matches(text, lambda _: None)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("", "", True),
        ("", "a", False),
        ("a", "ab", False),  # always the whole text
        ("open.*", "openconfig", True),
        ("open.*", "reopen", False),
        (r"\d{0,3}[a-c-[b]]+", "12ac", True),
        (r"\d{0,3}[a-c-[b]]+", "12ab", False),
        (r"\p{Lu}(x|yz)?\.", "Éyz.", True),
        (r"\P{Lu}", "É", False),
        (r"[\]\[]+", "[]", True),
        ("a{2}", "aa", True),
        ("a{2}", "a", False),
        ("a{2,}", "aaaa", True),
        ("a{0}b", "b", True),
        ("(a*)*b", "aab", True),
        ("^a$", "^a$", True),  # no anchors in XML Schema
        ("a|", "", True),
        (".", "\n", False),
        ("(a|b){1,3}", "abab", False),
    ],
)
def test_what_matches(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "a**",
        "[",
        "[a",
        "a{2,1}",
        "{",
        "a{x}",
        "\\",
        r"\q",
        r"\p{Nowhere}",
        "*",
        "[z-a]",
        "]",
        "(a",
        "a{999999}",
    ],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(NotAPattern):
        Pattern(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "a" * (MOST_CHARACTERS + 1),
        f"a{{{MOST_STATES + 1}}}",
        "((a{100}){100}){100}",
        "((){1000}){1000}",
        "(" * (MOST_DEPTH + 1) + ")" * (MOST_DEPTH + 1),
        r"\d" * (MOST_CLASSES + 1),
    ],
)
def test_what_is_too_large(pattern: str) -> None:
    with pytest.raises(NotAPattern):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+b", "(a?){400}b", "(.*)*(.*)*(.*)*x"])
def test_the_work_is_bounded_by_the_text_and_the_states(pattern: str) -> None:
    spent: list[int] = []
    compiled, text = Pattern(pattern), "a" * 3000
    assert not compiled.matches(text, spent.append)
    assert sum(spent) <= len(text) * (1 + compiled.states)


def test_what_spends_too_much_is_stopped() -> None:
    def spend(_: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Pattern("a*").matches("aa", spend)


ATOMS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", "1", "-"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.lists(inner, min_size=1, max_size=3).map("|".join).map("({})".format),
        st.builds("({}){}".format, inner, st.sampled_from(["?", "*", "+", "{0,2}", "{2}", "{1,}"])),
    ),
    max_leaves=5,
)


@given(PATTERNS, st.text("ab1-", max_size=6))
def test_it_matches_what_the_library_translates_to(pattern: str, text: str) -> None:
    assert matches(pattern, text) is (LibraryPattern(pattern).regex.fullmatch(text) is not None)


@given(st.text("ab(){}[]|*+?.\\^$,-1", max_size=10), st.text("ab1", max_size=4))
def test_any_text_is_a_pattern_or_none(pattern: str, text: str) -> None:
    try:
        found = matches(pattern, text)
    except NotAPattern:
        return
    try:
        expected = LibraryPattern(pattern).regex.fullmatch(text) is not None
    except (InvalidArgument, re.error, OverflowError):
        return
    assert found is expected
