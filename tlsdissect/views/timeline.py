"""A figure of one connection with a linear time axis: the ladder to scale."""

from __future__ import annotations

from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from tlsdissect.views.frames import Tables

MAX_ARROWS = 40
"""Arrows that are drawn; later ones are counted."""
LINE = 0.17
"""Height of a line of text, in inches."""
_AROUND = 1.3
"""Height of a figure outside of the Axes, in inches."""
_CHARACTERS = 31
_TOGETHER = "\xa0"
_LINES = 6
_COLOURS = {"tcp": "#7f7f7f", "clear": "#0072b2", "encrypted": "#cc79a7", "data": "#009e73"}
"""Colours that colour-blind people can distinguish (Okabe and Ito)."""
_STYLES = {"tcp": "-", "clear": "-", "encrypted": "--", "data": "-"}
_SIDES = ("client", "server")


class Arrow(NamedTuple):
    """What one side sent at a time: milliseconds since the ClientHello, at the capture point."""

    sender: str
    kind: str
    ms: float
    words: str


class _Label(NamedTuple):
    """The text of an arrow, and the time at which the arrow begins."""

    lines: list[str]
    ms: float


def timeline(tables: Tables, ax: Axes) -> Axes:
    """Draw the arrows of a single connection between its ends, with time running down, to scale.

    The slope of an arrow is the transit time, as measured by the TCP handshake from the capture point to both ends.
    With more than one connection, only their number is written.
    """
    ax.set_axis_off()
    one = tables.connections.iloc[0] if len(tables.connections) == 1 else None
    arrows = [] if one is None else list(_arrows(one, tables.messages))
    if one is None or not arrows:
        message = _choose(len(tables.connections)) if len(tables.connections) > 1 else "no data for this figure"
        ax.text(0.5, 0.5, message, ha="center", va="center", transform=ax.transAxes)
        return ax
    shown = arrows[:MAX_ARROWS]
    ways = {side: (_known(one[f"timing_{name}_ms"]) or 0.0) / 2 for side, name in _WAYS.items()}
    for arrow in shown:
        _draw(arrow, ways, ax)
    _phases(one, ax)
    _words(shown, ways, ax)
    for x, side in enumerate(_SIDES):
        ax.axvline(x, color=_COLOURS["tcp"], linewidth=1.2)
        name = f"{side}  {one[f'{side}_ip']}"
        ax.annotate(name, (x, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center")
    ax.set_xlim(-1.5, 2.5)
    _scale(ax)
    if len(arrows) > len(shown):
        ax.annotate(f"{len(arrows) - len(shown):,} more are not drawn", (0.02, 0.01), xycoords="axes fraction")
    return ax


def rows(tables: Tables) -> int:
    """Return how many rows of a figure the texts of the fuller side need, with space for the axis."""
    if len(tables.connections) != 1:
        return 0
    arrows = list(_arrows(tables.connections.iloc[0], tables.messages))[:MAX_ARROWS]
    return 8 + max(sum(len(_wrapped(one)) + 1 for one in arrows if one.sender == side) for side in _SIDES)


_WAYS = {"client": "synack_ack", "server": "syn_synack"}


def _choose(many: int) -> str:
    return f"{many:,} connections: select one"


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _arrows(one: pd.Series[Any], messages: pd.DataFrame) -> Iterator[Arrow]:
    """Yield the arrows by time; messages of one side with the same time form one arrow."""
    found = [*_opening(one), *_data(one)]
    rows = messages.dropna(subset=["ms"])
    said = zip(rows["sender"], rows["ms"], rows["type"], rows["bytes"], strict=True)
    for (sender, ms), group in groupby(said, key=lambda row: (row[0], row[1])):
        together = list(group)
        sealed = all(kind == "encrypted" for _, _, kind, _ in together)
        words = ", ".join(f"{kind}{_TOGETHER}{size:,}" for _, _, kind, size in together)
        found.append(Arrow(str(sender), "encrypted" if sealed else "clear", float(ms), words))
    yield from sorted(found, key=lambda arrow: arrow.ms)


def _opening(one: pd.Series[Any]) -> Iterator[Arrow]:
    """Yield the arrows of the TCP handshake."""
    gap, there, back = (_known(one[f"timing_{name}_ms"]) for name in ("ack_client_hello", "syn_synack", "synack_ack"))
    if gap is None or there is None or back is None:
        return
    yield Arrow("client", "tcp", -(gap + back + there), "SYN")
    yield Arrow("server", "tcp", -(gap + back), "SYN, ACK")
    yield Arrow("client", "tcp", -gap, "ACK")


def _data(one: pd.Series[Any]) -> Iterator[Arrow]:
    events = (
        ("client", "client_data", "application data"),
        ("server", "server_data", "application data"),
        ("server", "server_record", "application data, or a ticket"),
    )
    for sender, name, words in events:
        ms = _known(one[f"timing_{name}_ms"])
        if ms is not None:
            yield Arrow(sender, "data", ms, words)


def _draw(arrow: Arrow, ways: dict[str, float], ax: Axes) -> None:
    """Draw an arrow from its departure to its arrival."""
    start, end = (0, 1) if arrow.sender == "client" else (1, 0)
    other = _SIDES[1 - _SIDES.index(arrow.sender)]
    style = {"arrowstyle": "-|>", "color": _COLOURS[arrow.kind], "linestyle": _STYLES[arrow.kind], "linewidth": 1.4}
    places = (end, arrow.ms + ways[other]), (start, arrow.ms - ways[arrow.sender])
    ax.annotate("", *places, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _phases(one: pd.Series[Any], ax: Axes) -> None:
    """Shade the durations of the TCP and TLS handshakes at the capture point."""
    gap, tcp, tls = (_known(one[f"timing_{name}_ms"]) for name in ("ack_client_hello", "tcp", "handshake"))
    if gap is not None and tcp is not None:
        label = f"TCP {tcp:.3g} ms, {gap:.3g} ms before TLS"
        ax.fill_between([0, 1], -(gap + tcp), -gap, color=_COLOURS["tcp"], alpha=0.25, label=label)
    if tls is not None:
        ax.fill_between([0, 1], 0, tls, color=_COLOURS["clear"], alpha=0.15, label=f"TLS {tls:.3g} ms")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False)


def _wrapped(arrow: Arrow) -> list[str]:
    """Wrap the text of an arrow: its time first, and a message never separated from its size."""
    found = [line.replace(_TOGETHER, " ") for line in wrap(f"{arrow.ms:.3f}{_TOGETHER}ms  {arrow.words}", _CHARACTERS)]
    return found if len(found) <= _LINES else [*found[: _LINES - 1], f"and {len(found) - _LINES + 1} lines more"]


def _words(arrows: Sequence[Arrow], ways: dict[str, float], ax: Axes) -> None:
    """Write the texts beside the lifelines without overlap, each with a line to the start of its arrow."""
    begin, end = (arrows[0].ms, arrows[-1].ms) if arrows else (0.0, 0.0)
    span = (end - begin + sum(ways.values())) or 1.0
    figure: Any = ax.get_figure(root=True)
    line = span * LINE / max(figure.get_figheight() - _AROUND, 1.0)
    lowest = begin - ways["client"]
    for side, x, away, align in (("client", 0, -0.12, "right"), ("server", 1, 1.12, "left")):
        labels = [_Label(_wrapped(one), one.ms - ways[side]) for one in arrows if one.sender == side]
        for label, y in zip(labels, _apart(labels, line), strict=True):
            ax.plot([x, away], [label.ms, y], color=_COLOURS["tcp"], linewidth=0.6)
            ax.text(away, y, "\n".join(label.lines), ha=align, va="center", fontsize=8, parse_math=False)
            lowest = max(lowest, y + line * len(label.lines) / 2)
    ax.set_ylim(max(lowest, end + max(ways.values())) + line, begin - ways["client"] - line)


def _apart(labels: Sequence[_Label], line: float) -> list[float]:
    """Return a position for each label: at the start of its arrow, or as close below it as is free."""
    found: list[float] = []
    free = float("-inf")
    for label in labels:
        half = line * (len(label.lines) + 0.5) / 2
        y = max(label.ms, free + half)
        free = y + half
        found.append(y)
    return found


def _scale(ax: Axes) -> None:
    """Show the time axis only."""
    ax.set_axis_on()
    ax.set_xticks([])
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_ylabel("ms since the ClientHello, at the capture point")
