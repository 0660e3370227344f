"""Hypothesis strategies for bad input: good messages with damage done to them, and XPath expressions by the grammar.

Random octets rarely get past the first check of a parser. These nearly pass.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

Expressions = st.SearchStrategy[str]

PIECES = (
    *(b"<", b">", b"/>", b"</", b"&", b";", b"&lt;", b"&#0;", b"&#xD800;", b"&#x10FFFF;", b"&x;", b"]]>", b"<![CDATA["),
    *(b"<!--", b"-->", b"<?x ?>", b"<!DOCTYPE a [<!ENTITY x 'y'>]>", b"'", b'"', b"=", b":", b" ", b"\n", b"\0"),
    *(b"\x1b", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", "\N{RIGHT-TO-LEFT OVERRIDE}".encode()),
    *(b' xmlns=""', b' xmlns:a="urn:a"', b' a:b="c"', b' xml:space="preserve"', b"xmlns:xml=", b"nc:", b"xml:", b"a:"),
    *(b"\n##\n", b"]]>]]>", b"\n#4\n", b"0", b"-1", b"4294967296", b"9" * 40, b"9" * 5000, b"true", b"$0$", b"*"),
    *(b"[", b"]", b"/", b"//", "\U0001f600".encode()),
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, documents: Sequence[bytes], pieces: Sequence[bytes] = PIECES) -> bytes:
    """One of these documents, in which up to six places are cut, doubled or replaced."""
    octets = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(octets)))
        end = min(len(octets), start + draw(st.integers(0, 24)))
        new = draw(
            st.one_of(st.just(b""), st.just(octets[start:end] * 2), st.sampled_from(pieces), st.binary(max_size=4))
        )
        octets = octets[:start] + new + octets[end:]
    return octets


AXES = (
    *("child", "descendant", "descendant-or-self", "parent", "ancestor", "ancestor-or-self", "self", "attribute"),
    *("following", "following-sibling", "preceding", "preceding-sibling", "namespace"),
)
OPERATORS = ("=", "!=", "<", ">=", "and", "or", "+", "-", "*", "div", "mod", "|")
FUNCTIONS = {
    **dict.fromkeys(("count", "string", "not", "normalize-space", "string-length", "sum", "id", "lang"), 1),
    **dict.fromkeys(("boolean", "number", "local-name", "namespace-uri", "name", "floor"), 1),
    **dict.fromkeys(("contains", "starts-with", "substring-before", "substring-after", "substring"), 2),
    **dict.fromkeys(("deref", "enum-value"), 1),
    **dict.fromkeys(("re-match", "derived-from", "derived-from-or-self", "bit-is-set"), 2),
    "current": 0,
    "translate": 3,
    "concat": 4,
    **dict.fromkeys(("position", "last", "true"), 0),
}


def expressions(names: Sequence[str]) -> Expressions:
    """XPath expressions by the grammar of XPath 1.0, most of them with a node-set for their value."""
    tests = st.sampled_from([*names, "*", "node()", "text()"])
    scalars = st.sampled_from(["1", "0.5", "'ab'", "''", "position()", "last()", "position() = last()", "$a"])

    def deeper(inner: Expressions) -> Expressions:
        predicates = st.lists(inner.map("[{}]".format), max_size=2).map("".join)
        axis = st.sampled_from(["", "", "", "@", *(f"{axis}::" for axis in AXES)])
        step = st.one_of(st.sampled_from(["..", "."]), st.builds("{}{}{}".format, axis, tests, predicates))
        separators = st.sampled_from(["/", "/", "//"])
        path = st.builds(
            lambda start, first, rest: start + first + "".join(separator + step for separator, step in rest),
            st.sampled_from(["", "/", "//", ".//"]),
            step,
            st.lists(st.tuples(separators, step), max_size=4),
        )
        operation = st.builds("{} {} {}".format, inner, st.sampled_from(OPERATORS), inner)
        call = st.sampled_from(sorted(FUNCTIONS)).flatmap(
            lambda name: st.lists(inner, min_size=FUNCTIONS[name], max_size=FUNCTIONS[name]).map(
                lambda arguments: f"{name}({', '.join(arguments)})"
            )
        )
        filtered = st.builds("({}){}".format, inner, st.sampled_from(["", "[1]", "[last()]", "/..", "//*"]))
        return st.one_of(path, path, operation, call, filtered, inner.map("-{}".format))

    return st.recursive(st.one_of(tests, scalars), deeper, max_leaves=8)
