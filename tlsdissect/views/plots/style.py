"""How every figure looks: colours, type, and how categories, keys and captions are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import pandas as pd
from matplotlib import rc_context
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import blended_transform_factory

from tlsdissect.model.dates import FIRST_DATE
from tlsdissect.views.colours import SHEETS
from tlsdissect.views.printable import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tlsdissect.views.dataframes import Tables

GREY = "#7f7f7f"
GOOD, ODD, BAD, PALE = "#0072b2", "#d55e00", "#d02f3f", "#b7c9d6"
"""What is as it should be, what is otherwise, what is wrong, and what is only the background of these."""
VERSIONS = {
    "TLS 1.3": GOOD, "TLS 1.3 in QUIC": "#009e73", "DTLS 1.3": "#56b4e9", "TLS 1.3 draft": "#88ccee",
    "TLS 1.2": ODD, "DTLS 1.2": "#e69f00", "TLS 1.1": "#cc79a7", "TLS 1.0": "#aa4499", "DTLS 1.0": "#999933",
    "SSL 3.0": "#9c6152", "SSL 2.0": "#c49c94", "other": "#44aa99", "no version": GREY,
}  # fmt: skip
"""Colours that colour-blind people can distinguish (Okabe and Ito; Tol), from the newest version to none."""
_PLAIN: dict[Any, Any] = {"text.parse_math": False, "legend.frameon": False}
"""A name from the wire is no formula, and a legend has no box."""
LABEL = 44
"""Characters of a category's name."""
_TICKS = 7
_ROUND = (1, 2, 5, 10)
"""Steps between two ticks of an axis, in powers of ten."""
_FIRST_DATE = pd.Timestamp(FIRST_DATE, tz="UTC")
LEFT = 0.012
"""Where titles, keys and captions begin, as a part of a figure's width."""
_KEYS, _KEY_INCHES = 5, 0.22
"""Keys in a row at most, and the height of a row."""
_ROW_LETTERS, _PATCH_LETTERS = 88, 6
"""Letters for which a row of keys has room, and how many of them the patch of a key and the gap behind it take."""
_LEAST_ROWS = 2
"""Rows for which there is room, so that a single bar is no slab."""


class Plot(NamedTuple):
    """A kind of figure."""

    title: str
    unit: str
    """What a row of its data is, as a plural."""
    data: Callable[[Tables], Any]
    """Returns what is drawn, row by row."""
    draw: Callable[[Any, Axes], None]
    rows: Callable[[Any], int] = lambda _: 0
    """Returns the number of categories below each other."""
    instead: str = "no data for this figure"
    """What is written without data."""

    def draw_on(self, data: Any, ax: Axes) -> Axes:
        """Draw data on `ax`, and return it; without data, say so.

        `ax` may be of a figure that somebody else made: it gets our lines, and keeps its own colours and type.
        """
        with rc_context(_PLAIN):
            ax.spines[["top", "right", "left"]].set_visible(False)
            ax.set_axisbelow(True)
            ax.grid(visible=True, alpha=0.25, linewidth=0.8)
            ax.tick_params(which="both", length=0)
            ax.tick_params(axis="x", pad=7)  # The lowest label of the other axis must not touch the first one here.
            if len(data):
                self.draw(data, ax)
            else:
                ax.text(0.5, 0.5, self.instead, ha="center", va="center", transform=ax.transAxes)
                ax.set_axis_off()
            for label in ax.get_yticklabels() if ax.axison else ():
                label.set_parse_math(False)  # The first one was made with the Axes, and is copied to all.
        return ax


def inked(*, dark: bool) -> AbstractContextManager[None]:
    """Set type and colours for a light or dark background."""
    sheet, ink = SHEETS[dark]
    names = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {
        **dict.fromkeys(names, ink),
        **_PLAIN,
        "figure.facecolor": sheet, "axes.facecolor": sheet,
        "font.size": 10, "legend.fontsize": 10,
        "svg.hashsalt": "tlsdissect",
    }  # fmt: skip
    return rc_context(settings)


def version_names(connections: pd.DataFrame) -> pd.Series[str]:
    """Return the name under which each connection's version is drawn, one of `VERSIONS`."""
    quic = connections["transport"] == "quic" if "transport" in connections else pd.Series(False, connections.index)
    names = connections["version"].astype(object).map(_version_name, na_action="ignore")
    names = names.mask(quic & (names == "TLS 1.3"), "TLS 1.3 in QUIC")
    return names.where(names.notna(), "no version")


def _version_name(version: str) -> str:
    name = "TLS 1.3 draft" if version.startswith("TLS 1.3 (") else version
    return name if name in VERSIONS else "other"


def mark_keys(ax: Axes, colours: Mapping[str, str]) -> None:
    """Draw the legend in rows above the Axes, from the left edge of the figure, and raise the figure to fit it."""
    handles = [Patch(color=colour, label=name) for name, colour in colours.items()]
    many = _keys_in_a_row(list(colours))
    figure = cast("Figure", ax.get_figure())
    figure.set_figheight(figure.get_figheight() + _KEY_INCHES * ((len(handles) - 1) // many))
    ax.legend(
        # A legend is filled column by column, and is read row by row.
        handles=[one for first in range(many) for one in handles[first::many]],
        loc="lower left", bbox_to_anchor=(LEFT, 1), ncols=many, borderaxespad=0.7, borderpad=0.2, handlelength=1.2,
        columnspacing=1.4, bbox_transform=blended_transform_factory(figure.transFigure, ax.transAxes),
    )  # fmt: skip


def _keys_in_a_row(names: Sequence[str]) -> int:
    """Return how many columns of keys fit: a legend that is too wide is cut off, and narrows the Axes below it."""
    for many in range(min(len(names), _KEYS), 1, -1):
        columns = [max(map(len, names[first::many])) for first in range(many)]
        if sum(columns) + many * _PATCH_LETTERS <= _ROW_LETTERS:
            return many
    return 1


def name_categories(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows of a figure, the first at the top."""
    ax.set_yticks(range(len(names)), [short(name) for name in names])
    ax.set_ylim(max(len(names), _LEAST_ROWS) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")


def count_along(ax: Axes, unit: str, highest: float) -> None:
    """Scale the horizontal axis for counts, with space for the numbers behind bars."""
    ax.set_xlim(0, max(highest, 1) * 1.22)
    ax.xaxis.set_major_locator(MaxNLocator(_TICKS, integer=True, steps=_ROUND))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel(unit)


def count_up(ax: Axes, unit: str) -> None:
    """Scale the vertical axis for counts."""
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=_ROUND))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_ylabel(unit)
    ax.grid(visible=False, axis="x")


def write_behind(ax: Axes, end: float, row: int, text: str) -> None:
    """Write a number or a word behind a bar."""
    ax.annotate(text, (end, row), xytext=(5, 0), textcoords="offset points", va="center")


def dated(starts: pd.Series[pd.Timestamp]) -> pd.Series[pd.Timestamp]:
    """Return the times that have a date, of some that may be missing, or by a clock that was never set."""
    return starts[starts >= _FIRST_DATE]


def short(name: str) -> str:
    """Shorten a name from the wire; cipher suites lose the prefix that all have."""
    return shortened(printable(name).removeprefix("TLS_"), LABEL)


def caption(tables: Tables, count: int, unit: str) -> str:
    """Return the line below a title: how many are drawn, from which captures, and when these were recorded."""
    starts = dated(tables.connections["start"])
    days = sorted({f"{one:%Y-%m-%d}" for one in (starts.min(), starts.max())}) if len(starts) else []
    sources = [str(one) for one in tables.connections["source"].unique()]
    named = [shortened(printable(sources[0].rpartition("/")[2]), LABEL)] if sources else []
    if len(sources) > 1:
        named = [f"{named[0]} and {len(sources) - 1:,} {'other' if len(sources) == 2 else 'others'}"]
    counted = f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"
    return " · ".join([counted, *named, " to ".join(days) or "no date"])
