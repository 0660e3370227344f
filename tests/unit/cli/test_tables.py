from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstay.cli.tables import Column, shortened, table


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("cloud.example.com", 17, "cloud.example.com"),
        ("cloud.example.com", 16, "cloud.ex…ple.com"),
        ("cloud.example.com", 3, "c…m"),
        ("cloud.example.com", 2, "c…"),
        ("cloud.example.com", 1, "…"),
        ("", 1, ""),
    ],
)
def test_shortened(text: str, width: int, shown: str) -> None:
    assert shortened(text, width) == shown
    assert len(shown) <= width


def test_columns_are_as_wide_as_they_need() -> None:
    columns = (Column("NAME"), Column("COUNT\nIN", right=True), Column("LAST"))
    assert table(columns, [("a", "1", "x"), ("longer", "1234567", "")]).splitlines() == [
        "         COUNT",
        "NAME        IN LAST",
        "a            1 x",
        "longer 1234567",
    ]


def test_headings_alone() -> None:
    assert table((Column("NAME"), Column("COUNT")), []) == "NAME COUNT"


def test_the_widest_column_is_cut_first() -> None:
    columns = (Column("A", shortest=5), Column("B", shortest=5), Column("C"))
    (_, line) = table(columns, [("a" * 10, "b" * 100, "c" * 10)]).splitlines()
    assert line == f"{'a' * 10} {'b' * 29}…{'b' * 28} {'c' * 10}"


def test_what_the_cloud_says_does_not_steer_the_terminal() -> None:
    text = table((Column("A"),), [("\x9b2J\x1b[31m\n\ttext\u202e",)])
    assert text.splitlines()[1] == "?2J?[31m??text?"


@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), max_size=5))
def test_no_line_is_too_long(rows: list[tuple[str, str]]) -> None:
    lines = table((Column("A", shortest=5), Column("B", shortest=5, right=True)), rows).split("\n")
    assert len(lines) == 1 + len(rows)
    assert max(map(len, lines)) <= 80
