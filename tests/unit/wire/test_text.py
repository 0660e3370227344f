"""Texts from elsewhere, made fit to be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstay.wire import messages
from headstay.wire.text import LONGEST_LEGIBLE, legible


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("plain", "plain"), ("a\r\nb", "a  b"), ("\x1b[31mred\x00", "[31mred"), ("\u202eevil\ufffe", "evil")],
)
def test_one_printable_line(text: str, shown: str) -> None:
    assert legible(text) == shown


@given(st.text(max_size=3 * LONGEST_LEGIBLE))
def test_what_is_legible_fits_into_a_reason(text: str) -> None:
    assert legible(text).isprintable()
    assert len(legible(text)) <= LONGEST_LEGIBLE
    closed = messages.Closed("i", f"certificate-name-mismatch: {legible(text)}")
    assert messages.TO_CLOUD.decode(messages.encode(closed)) == closed
