from __future__ import annotations

import pytest

from headstay.datastore import values
from headstay.datastore.values import NotAValue, Step


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("0", "0"), ("-0", "0"), ("+7", "7"), ("007", "7"), ("010", "10"), ("-12", "-12"), ("9" * 40, "9" * 40)],
)
def test_integer(text: str, canonical: str) -> None:
    assert values.integer(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0:0:0:0:0:0:0:1", "::1"),
        ("2001:DB8::0:1", "2001:db8::1"),
        ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("::ffff:C000:0201", "::ffff:192.0.2.1"),
        ("fe80:0::1%eth0", "fe80::1%eth0"),
    ],
)
def test_ipv6_address(text: str, canonical: str) -> None:
    assert values.ipv6_address(text) == canonical


def test_not_an_ipv6_address() -> None:
    with pytest.raises(NotAValue):
        values.ipv6_address("192.0.2.1")


@pytest.mark.parametrize("text", ["", " 1", "1 ", "0x10", "1_0", "1.0", "1e1", "+", "--1", "٣", "1\n", "one"])
def test_not_an_integer(text: str) -> None:
    with pytest.raises(NotAValue):
        values.integer(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("1", "1.0"), ("1.50", "1.5"), ("1.500", "1.5"), ("+1.5", "1.5"), ("-0.0", "0.0"), ("-00.10", "-0.1")],
)
def test_decimal64(text: str, canonical: str) -> None:
    assert values.decimal64(text, 2) == canonical


@pytest.mark.parametrize("text", ["", ".5", "5.", "1e1", "1.005", " 1.0", "1,5", "NaN", "Infinity", "٣.0", "1.0\n"])
def test_not_a_decimal64(text: str) -> None:
    with pytest.raises(NotAValue):
        values.decimal64(text, 2)


@pytest.mark.parametrize("text", ["true", "false"])
def test_boolean(text: str) -> None:
    assert values.boolean(text) == text


@pytest.mark.parametrize("text", ["True", " true ", "1", "0", "", "yes"])
def test_not_a_boolean(text: str) -> None:
    with pytest.raises(NotAValue):
        values.boolean(text)


def test_empty_holds_nothing() -> None:
    assert values.empty("") == ""
    with pytest.raises(NotAValue):
        values.empty(" ")


@pytest.mark.parametrize(("text", "canonical"), [("", ""), ("AAAA", "AAAA"), ("A A\nA A", "AAAA"), ("QR==", "QQ==")])
def test_binary(text: str, canonical: str) -> None:
    assert values.binary(text) == canonical


@pytest.mark.parametrize("text", ["A", "AAA", "AAAA=", "A-A_", "é", "====", "AA==AA=="])
def test_not_binary(text: str) -> None:
    with pytest.raises(NotAValue):
        values.binary(text)


def test_bits_stand_in_the_order_of_their_positions() -> None:
    order = {"read": 0, "write": 7, "run": 3}
    assert values.bits(" write  read run ", order) == "read run write"
    assert values.bits("", order) == ""
    for wrong in ("read read", "READ", "read,run"):
        with pytest.raises(NotAValue):
            values.bits(wrong, order)


def test_qualified_name() -> None:
    prefixes = {None: "urn:default", "p": "urn:p"}
    assert values.qualified_name("p:x", prefixes) == ("urn:p", "x")
    assert values.qualified_name("x", prefixes) == ("urn:default", "x")
    with pytest.raises(NotAValue, match="not declared"):
        values.qualified_name("q:x", prefixes)
    with pytest.raises(NotAValue, match="with its prefix"):
        values.qualified_name("x", {})


@pytest.mark.parametrize(
    ("expression", "prefixes"),
    [
        ("/a:b/c:d[e:f='g:h']", {"a", "c", "e"}),
        ('a:b[.="c:d"]', {"a"}),
        ("ancestor::a:b | child::c", {"a"}),
        ("a:*", {"a"}),
        ("1 + 1", set()),
        ("'a:b'", set()),
        ("a:b[.='x'c:d]", {"a"}),
    ],
)
def test_prefixes_in_path(expression: str, prefixes: set[str]) -> None:
    assert values.prefixes_in_path(expression) == prefixes


def test_with_prefixes_leaves_quoted_text_alone() -> None:
    renamed = values.with_prefixes("/a:b[a:c='a:d']/a:e[.=\"a:f\"]", {"a": "z"})
    assert renamed == "/z:b[z:c='a:d']/z:e[.=\"a:f\"]"


def test_with_prefixes_leaves_alone_what_a_quote_stands_before() -> None:
    assert values.with_prefixes("a:b[.='x'c:d]", {"a": "z"}) == "z:b[.='x'c:d]"


def test_with_prefixes_renames_after_an_axis() -> None:
    assert values.with_prefixes("ancestor::a:b", {"a": "z"}) == "ancestor::z:b"


def test_node_path() -> None:
    assert values.node_path("/") == ()
    assert values.node_path("/a:b/c[a:d = 'x'] [a:e=\"y'\"]/f:g[.='']") == (
        Step("a", "b"),
        Step("a", "c", (("d", "x"), ("e", "y'"))),
        Step("f", "g", ((".", ""),)),
    )
    assert values.node_path("/a:b[c=$USER]") == (Step("a", "b", (("c", None),)),)


@pytest.mark.parametrize(
    "path",
    ["", "a:b", "/b", "//a:b", "/a:b/", "/a:b[1]", "/a:b[a:c]", "/a:b[a:c=$OTHER]", "/a:*", "/a:b or /a:c", "/ "],
)
def test_not_a_node_path(path: str) -> None:
    with pytest.raises(NotAValue):
        values.node_path(path)
