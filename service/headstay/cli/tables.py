"""Tables on a terminal: columns side by side in at most 80 characters. Knows nothing of what stands in them.

Times on a terminal are local, and the heading says so; only JSON has them in UTC.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 80
_ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    heading: str
    """May have several lines."""
    shortest: int | None = None
    """To how many characters its cells may be cut where the table is too wide; None: not at all."""
    right: bool = False
    """Whether its cells stand at its right edge."""


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """Return the lines of a table with its headings; cells are cut in their middle where they must be."""
    headings = [column.heading.splitlines() for column in columns]
    height = max(map(len, headings))
    above = [[*[""] * (height - len(heading)), *heading] for heading in headings]
    lines = [*zip(*above, strict=True), *([printable(cell) for cell in row] for row in rows)]
    widths = _widths(columns, [max(map(len, cells)) for cells in zip(*lines, strict=True)])
    return "\n".join(" ".join(map(_cell, line, widths, columns)).rstrip() for line in lines)


def local_time(text: str) -> str:
    """Return a date-and-time to the second, in local time."""
    return f"{datetime.datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def shortened(text: str, width: int) -> str:
    """Return the text in at most `width` characters, with `…` in its middle if it is longer."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return text[: width - 1 - tail] + _ELLIPSIS + text[len(text) - tail :]


def _widths(columns: Sequence[Column], widths: list[int]) -> list[int]:
    """Cut the widest of the columns that may be cut until the table fits, or none can be cut any more."""
    while sum(widths) + len(widths) - 1 > WIDTH:
        cut = [n for n, column in enumerate(columns) if column.shortest is not None and widths[n] > column.shortest]
        if not cut:
            break
        widths[max(cut, key=widths.__getitem__)] -= 1
    return widths


def _cell(text: str, width: int, column: Column) -> str:
    text = shortened(text, width)
    return text.rjust(width) if column.right else text.ljust(width)


def printable(text: str) -> str:
    """Return a text in which nothing steers the terminal: some of it comes from the cloud."""
    return "".join(character if character.isprintable() else "?" for character in text)
