"""Columns of a page's tables that sort and filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_WIDEST = 44
"""Characters of the widest column."""
_AROUND = 3
"""Characters that a column is wider than what stands in it."""


class Column(Struct, frozen=True):
    """A column of a table."""

    title: str
    right: bool
    width: int
    """In characters."""
    paper: bool
    """Whether there is room for it on paper."""


class Grid(Struct, frozen=True):
    """A table whose rows a script draws."""

    name: str
    columns: list[Column]
    choices: dict[str, list[str]]
    """Of some columns, what may stand there: the page lets one choose."""
    rows: int


def widths(titles: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], paper: Collection[str]) -> list[Column]:
    """Make columns, each with its title and whether it stands at the right, as wide as rows need them.

    Those in `paper` are printed.
    """
    return [
        Column(
            title, right, min(max([len(title) + 1, *(len(row[at]) for row in rows)]), _WIDEST) + _AROUND, title in paper
        )
        for at, (title, right) in enumerate(titles)
    ]
