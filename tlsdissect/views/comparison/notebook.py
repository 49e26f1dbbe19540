"""Comparisons for Python and notebooks: DataFrames, figures, text and HTML."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, get_args

import pandas as pd
from msgspec import structs

from tlsdissect.views.comparison.builder import By, compared
from tlsdissect.views.comparison.formats import Text, caveats, conclusions, filled_sections
from tlsdissect.views.comparison.model import Difference
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tlsdissect.views.comparison.model import Group
    from tlsdissect.views.dataframes import Tables

_STYLE = """<style>
.tlsdissect-comparison.tlsdissect-comparison { overflow-x: auto }
.tlsdissect-comparison.tlsdissect-comparison td { max-width: none; white-space: nowrap }
</style>"""


class Comparison:
    """Comparison of TLS 1.2 and TLS 1.3 over some captures, which are read on first use of a table or figure.

    `print` shows the text of `tlsdissect compare`, a notebook a table.
    """

    def __init__(self, tables: Tables, by: By | None = None) -> None:
        if by is not None and by not in get_args(By):
            raise ValueError(f"by must be one of {', '.join(get_args(By))}, not {by!r}")
        self.tables = tables
        """The compared connections, as DataFrames."""
        self._by = by

    def __repr__(self) -> str:
        return "<Comparison>" if self._by is None else f"<Comparison by {self._by}>"

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The comparison of all connections, then those of the groups of `by`."""
        return compared(self.tables.read(), self._by)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The text of the command as a table: a row per measure, a column per version."""
        return _summary(self.groups[0])

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """All numbers: a row per measure, a column per version."""
        numbers = self.tables.comparison.dropna(subset=["version"])
        return numbers.pivot_table("value", "measure", "version", aggfunc="first", sort=False)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """TLS 1.2 minus TLS 1.3 for the same clients and servers, with 95 % intervals; empty with too few of them."""
        rows = [{**structs.asdict(one), "differs": one.differs} for one in self.groups[0].differences or ()]
        return pd.DataFrame(rows, columns=[*Difference.__struct_fields__, "differs"])

    def plot(self, kind: str, ax: Axes | None = None) -> Axes:
        """Draw a figure of `tlsdissect plot` on `ax`, by default pyplot's current Axes; ValueError for another kind."""
        from tlsdissect.views.plots import KINDS  # noqa: PLC0415 (matplotlib is slow to load)

        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        if ax is None:
            from matplotlib import pyplot as plt  # noqa: PLC0415

            ax = plt.gca()
        plot = KINDS[kind]
        return plot.draw_on(plot.data(self.tables), ax)

    def __str__(self) -> str:
        return b"".join(Text().written(self.groups)).decode().rstrip("\n")

    def _repr_html_(self) -> str:
        parts = [_STYLE]
        for group in self.groups:
            if group.key is not None:
                parts.append(f"<h4>{escape(printable(group.key))}</h4>")
            parts += [f"<p>{escape(sentence)}</p>" for sentence in conclusions(group.differences)]
            parts.append(_summary(group).to_html(escape=True, border=0))
            parts += [f"<p>{escape(sentence)}</p>" for sentence in caveats(group)]
        return f'<div class="tlsdissect-comparison">{"".join(parts)}</div>'


def _summary(group: Group) -> pd.DataFrame:
    rows = [
        (section.heading, printable(label), *cells)
        for section in filled_sections(group.sides)
        for label, cells in section.rows
    ]
    names = ["section", "measure", *(side.version for side in group.sides)]
    return pd.DataFrame(rows, columns=names).set_index(["section", "measure"])
