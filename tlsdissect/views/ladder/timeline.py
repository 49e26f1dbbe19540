"""A figure of one connection: its ladder, as far as it is known without its packets."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from matplotlib.colors import to_rgb

from tlsdissect.views.ladder.model import outlined
from tlsdissect.views.ladder.plot import draw, height

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from tlsdissect.model.connection import Connection

_ROWS_PER_INCH = 1 / 0.27


def timeline(connections: Sequence[Connection], ax: Axes) -> None:
    """Draw the ladder of a single connection; with more than one, only their number is written."""
    ladders = [outlined(one) for one in connections[:1]]
    if len(connections) == 1 and ladders[0].arrows:
        draw(ladders, ax, dark=sum(to_rgb(ax.get_facecolor())) < 3 / 2)
        return
    ax.set_axis_off()
    many = len(connections)
    message = f"{many:,} connections: select one" if many > 1 else "no data for this figure"
    ax.text(0.5, 0.5, message, ha="center", va="center", transform=ax.transAxes)


def rows(connections: Sequence[Connection]) -> int:
    """Return the height of a figure in rows."""
    return ceil(height([outlined(connections[0])]) * _ROWS_PER_INCH) if len(connections) == 1 else 0
