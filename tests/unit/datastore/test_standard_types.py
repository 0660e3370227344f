"""Patterns in words: none of the device's types shows a regular expression to a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yangson import datatype as yang

from headstay.datastore import standard_types
from models import device_model


def strings(kind: Any) -> Iterator[Any]:
    """The string types that a type comes down to."""
    match kind:
        case yang.UnionType():
            for member in kind.types:
                yield from strings(member)
        case yang.LeafrefType():
            yield from strings(kind.ref_type)
        case yang.StringType():
            yield kind


def test_every_pattern_of_the_device_has_words() -> None:
    """The model's own, or those of the table: a type of a standard module that is new here needs an entry."""
    wordless = {
        kind.name
        for leaf_type in device_model()._types.values()
        for kind in strings(leaf_type._type)
        for pattern in kind.patterns
        if pattern.error_message in (None, f"pattern '{pattern.pattern}'") and standard_types.known(kind.name) is None
    }
    assert wordless == set()


def test_what_is_told_of_a_type_that_is_not_known() -> None:
    assert standard_types.known("mac-address") is None
    assert standard_types.expected("mac-address") == "expected a value of the type mac-address"
    assert standard_types.expected(None) == "expected another form of text"
