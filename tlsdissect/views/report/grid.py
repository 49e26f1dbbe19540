"""The sortable and filterable tables of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_WIDEST = 44
"""Maximum width of a column's text, in characters."""
_AROUND = 3
"""Padding of a column, in characters."""


class Column(Struct, frozen=True):
    """A column of a table."""

    title: str
    right: bool
    width: int
    """In characters."""
    paper: bool
    """Whether it is printed on paper."""


class Grid(Struct, frozen=True):
    """A table whose rows are drawn by the page's script."""

    name: str
    columns: list[Column]
    choices: dict[str, list[str]]
    """Values of some columns, which the page offers as a filter."""
    rows: int


def widths(titles: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], paper: Collection[str]) -> list[Column]:
    """Make columns from titles and whether each is right-aligned, as wide as the rows need.

    Columns in `paper` are printed.
    """
    return [
        Column(
            title, right, min(max([len(title) + 1, *(len(row[at]) for row in rows)]), _WIDEST) + _AROUND, title in paper
        )
        for at, (title, right) in enumerate(titles)
    ]
