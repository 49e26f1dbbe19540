"""A comparison as Python and notebooks have it: DataFrames, figures, text, and a readable form."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, get_args

import pandas as pd
from msgspec import structs

from tlsdissect.views.comparison.sections import sections
from tlsdissect.views.comparison.text import Text, conclusions, remarks
from tlsdissect.views.comparison.whole import By, Comparing
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlsdissect.views.comparison.model import Difference, Group
    from tlsdissect.views.frames import Tables


class Comparison:
    """TLS 1.2 beside TLS 1.3 in some captures, which are read when the first of its tables or figures is asked for.

    Printed it is the text of `tlsdissect compare`, in a notebook a table.
    """

    def __init__(self, tables: Tables, by: By | None = None) -> None:
        if by is not None and by not in get_args(By):
            raise ValueError(f"by is one of {', '.join(get_args(By))}, not {by!r}")
        self.tables = tables
        """The connections behind it, as DataFrames."""
        self._by = by

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """Everything first, then the groups that were asked for."""
        comparing = Comparing(self._by)
        for one in self.tables.read():
            comparing.add(one)
        return comparing.groups()

    @cached_property
    def summary(self) -> pd.DataFrame:
        """What was measured, as text in the words of the command: a row a measure, a column a version."""
        return _summary(self.groups[0])

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number: a row a measure, a column a version."""
        told = self.tables.comparison.dropna(subset=["version"])
        return told.pivot_table("value", "measure", "version", aggfunc="first", sort=False)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """TLS 1.2 less TLS 1.3, over the same clients and servers, with 95 % intervals; empty where too few are."""
        rows = [_difference(one) for one in self.groups[0].differences or ()]
        return pd.DataFrame(rows, columns=[*_DIFFERENCE, "differs"])

    def plot(self, kind: str, ax: Axes | None = None) -> Axes:
        """Draw a figure of `tlsdissect plot` on an Axes, or on pyplot's; ValueError for an unknown kind."""
        from tlsdissect.views.plots import KINDS  # noqa: PLC0415 (matplotlib is slow to load)

        if kind not in KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
        if ax is None:
            from matplotlib import pyplot as plt  # noqa: PLC0415

            ax = plt.gca()
        return KINDS[kind].draw(self.tables, ax)

    def __str__(self) -> str:
        return b"".join(Text().written(self.groups)).decode().rstrip("\n")

    def _repr_html_(self) -> str:
        parts: list[str] = []
        for group in self.groups:
            if group.key is not None:
                parts.append(f"<h4>{escape(printable(group.key))}</h4>")
            parts.append(_summary(group).to_html(escape=True, border=0))
            said = (*conclusions(group.differences), *remarks(group))
            parts += [f"<p>{escape(one)}</p>" for one in said]
        return "".join(parts)


_DIFFERENCE = ("kind", "measure", "pairs", "connections", "difference", "low", "high")


def _difference(one: Difference) -> dict[str, object]:
    return {**structs.asdict(one), "differs": one.differs}


def _summary(group: Group) -> pd.DataFrame:
    rows = [
        (section.heading, printable(label), *(cell(side) for side in group.sides))
        for section in sections(group.sides)
        for label, cell in section.rows
    ]
    names = ["section", "measure", *(side.version for side in group.sides)]
    told = pd.DataFrame([row for row in rows if any(text.strip("-") for text in row[2:])], columns=names)
    return told.set_index(["section", "measure"])
