"""Values of leafs as an edit takes them in, by the leafs of `tests/yang/test-types.yang`."""

from __future__ import annotations

import pytest

from headstay.datastore.schema import Canonical
from headstay.datastore.values import NotAValue
from models import PREFIXES, device_model, test_model

SCOPE: dict[str | None, str] = {None: "urn:test:types"} | dict(PREFIXES.items())


def canonical(leaf: str, text: str) -> Canonical:
    return test_model().schema.find(f"/tt:types/{leaf}").canonical(text, SCOPE)


def refused(leaf: str, text: str) -> NotAValue:
    with pytest.raises(NotAValue) as caught:
        canonical(leaf, text)
    return caught.value


@pytest.mark.parametrize(
    ("leaf", "text", "expected"),
    [
        ("int8", "-128", "-128"),
        ("int64", "9223372036854775807", "9223372036854775807"),
        ("uint64", "18446744073709551615", "18446744073709551615"),
        ("ranged", "-7", "-7"),
        ("decimal", "+1.50", "1.5"),
        ("decimal", "-92233720368547758.08", "-92233720368547758.08"),
        ("fine", "9.223372036854775807", "9.223372036854775807"),
        ("rights", "write read", "read write"),
        ("colour", "dark blue", "dark blue"),
        ("octets", "QR==", "QQ=="),
        ("word", "a-b", "a-b"),
        ("text", " x ", " x "),
        ("nothing", "", ""),
        ("mixed", "01", "1"),
        ("mixed", "1.50", "1.5"),
        ("mixed", "4 ever", "4 ever"),
        ("mixed", "AAAA", "AAAA"),
        ("mixed", "x:dog", "ti:dog"),
    ],
)
def test_canonical(leaf: str, text: str, expected: str) -> None:
    assert canonical(leaf, text).text == expected


@pytest.mark.parametrize(
    ("leaf", "text"),
    [
        ("int8", "128"),
        ("int8", "0x10"),
        ("int64", "9223372036854775808"),
        ("uint64", "-1"),
        ("ranged", "-4"),
        ("ranged", "6"),
        ("decimal", "92233720368547758.08"),
        ("decimal", "9" * 40),
        ("fine", "9.223372036854775808"),
        ("money", "9"),
        ("flag", " true "),
        ("octets", "AAAAAAA="),
        ("colour", "dark  blue"),
        ("word", "a\n"),
        ("word", ""),
        ("word", "abcdefghi"),
        ("word", "forbidden"),
        ("mixed", "AAA="),
        ("nothing", " "),
    ],
)
def test_refused(leaf: str, text: str) -> None:
    refused(leaf, text)


def test_an_identity_bears_its_modules_own_prefix() -> None:
    assert canonical("animal", "x:dog") == Canonical("ti:dog", {"ti": "urn:test:identities"})
    assert canonical("animal", "cat") == Canonical("tt:cat", {"tt": "urn:test:types"})


@pytest.mark.parametrize("text", ["ti:animal", "dog", "w:dog", "nope:dog", " ti:dog", "ti:", "ti:no-such", ""])
def test_not_an_identity(text: str) -> None:
    refused("animal", text)


def test_an_identity_is_derived_from_all_bases() -> None:
    assert canonical("pet", "ti:dog").text == "ti:dog"
    refused("pet", "ti:wolf")


def test_paths_and_expressions_get_the_modules_own_prefixes() -> None:
    scope = {None: "urn:test:types", "a": "urn:test:types"}
    schema = test_model().schema
    instance = schema.find("/tt:types/instance").canonical("/a:types/a:kind[a:note='a:b']", scope)
    assert instance == Canonical("/tt:types/tt:kind[tt:note='a:b']", {"tt": "urn:test:types"})
    expression = schema.find("/tt:types/expression").canonical("child::a:types", scope)
    assert expression == Canonical("child::tt:types", {"tt": "urn:test:types"})


@pytest.mark.parametrize("leaf", ["instance", "expression"])
@pytest.mark.parametrize("text", ["/w:types", "/nope:types"])
def test_prefixes_must_stand_for_a_module(leaf: str, text: str) -> None:
    refused(leaf, text)


@pytest.mark.parametrize("text", ["", "tt:types", "/types", "/tt:types[", "//tt:types", "tt"])
def test_not_an_instance_identifier(text: str) -> None:
    refused("instance", text)


def test_the_models_message_and_app_tag_are_given() -> None:
    range_error, pattern_error = refused("percent", "101"), refused("word", "A")
    assert (str(range_error), range_error.app_tag) == ("A percentage is from 0 to 100.", "not-a-percentage")
    assert (str(pattern_error), pattern_error.app_tag) == ("A word has lower-case letters.", "not-a-word")


def test_of_a_union_only_the_models_own_words_are_given() -> None:
    domain = device_model().schema.find("/hcm:cloud-management/server/domain")
    with pytest.raises(NotAValue) as caught:
        domain.canonical("https://cloud.example/", SCOPE)
    assert caught.value.explained
    assert "This is not a domain name" in str(caught.value)
    assert "pattern" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "text", "words"),
    [
        ("/hcm:cloud-management/source-address", "300.1.1.1", "expected an IPv4 or IPv6 address without zone"),
        ("/hcm:cloud-management/source-address", "fe80::1%eth0", "expected an IPv4 or IPv6 address without zone"),
        ("/nacm:nacm/groups/group/name", "*", "expected a name that does not start with *"),
        ("/nacm:nacm/rule-list/group", "*x", "expected *, or a name that does not start with *"),
        (
            "/sys:system/authentication/user/password",
            "secret",
            "expected a password in clear after $0$, or its hash, which starts with $1$, $5$ or $6$",
        ),
    ],
)
def test_a_pattern_of_a_standard_module_is_told_in_words(path: str, text: str, words: str) -> None:
    with pytest.raises(NotAValue) as caught:
        device_model().schema.find(path).canonical(text, SCOPE)
    assert str(caught.value) == words


def test_messages_never_quote_the_value() -> None:
    leaf = device_model().schema.find("/hcm:cloud-management/server/password")
    for secret in ("hunter2", "$0$hunter2\n", "$1$hunter2", "$aes-256-gcm$hunter2!"):
        with pytest.raises(NotAValue) as caught:
            leaf.canonical(secret, {})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("leaf", "defaults"), [("percent", ("50",)), ("rights", ("read run",)), ("pet", ("ti:dog",)), ("int8", ())]
)
def test_defaults_are_canonical(leaf: str, defaults: tuple[str, ...]) -> None:
    assert test_model().schema.find(f"/tt:types/{leaf}").defaults == defaults


@pytest.mark.parametrize(
    ("leaf", "text", "json"),
    [
        ("int8", "1", 1),
        ("int64", "1", "1"),
        ("decimal", "1.5", "1.5"),
        ("flag", "true", True),
        ("nothing", "", [None]),
        ("rights", "read run", "read run"),
        ("animal", "ti:dog", "test-identities:dog"),
        ("octets", "AAAA", "AAAA"),
        ("mixed", "1", 1),
        ("mixed", "1.5", "1.5"),
        ("mixed", "auto", "auto"),
        ("mixed", "ti:dog", "test-identities:dog"),
    ],
)
def test_json(leaf: str, text: str, json: object) -> None:
    """RFC 7951 section 6."""
    assert test_model().schema.find(f"/tt:types/{leaf}").json(text) == json
