"""One connection on an axis of time that is to scale: the ladder as it was, and not as it reads best."""

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
"""Arrows that are drawn; what comes later is counted."""
LINE = 0.17
"""Inches that a line of words takes."""
_AROUND = 1.3
"""Inches of a figure that are not the drawing's own."""
_CHARACTERS = 31
_TOGETHER = "\xa0"
_LINES = 6
_COLOURS = {"tcp": "#7f7f7f", "clear": "#0072b2", "encrypted": "#cc79a7", "data": "#009e73"}
"""Colours that differ for those who see few (Okabe and Ito's set)."""
_STYLES = {"tcp": "-", "clear": "-", "encrypted": "--", "data": "-"}
_SIDES = ("client", "server")


class Arrow(NamedTuple):
    """What one side sent: when it passed the capture point, in milliseconds since the ClientHello."""

    sender: str
    kind: str
    ms: float
    words: str


class _Label(NamedTuple):
    """The words of an arrow, and where it begins."""

    lines: list[str]
    ms: float


def timeline(tables: Tables, ax: Axes) -> Axes:
    """Draw the arrows of the only connection there is between its two ends, time going down, to scale.

    An arrow slants by the time that it was on its way, as TCP's handshake measured it from the capture point to either
    end. Of more connections than one, it only says how many there are.
    """
    ax.set_axis_off()
    one = tables.connections.iloc[0] if len(tables.connections) == 1 else None
    arrows = [] if one is None else list(_arrows(one, tables.messages))
    if one is None or not arrows:
        told = _choose(len(tables.connections)) if len(tables.connections) > 1 else "no connection shows this"
        ax.text(0.5, 0.5, told, ha="center", va="center", transform=ax.transAxes)
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
    """Tell how many rows of a figure the words of the side that has more take, and as much again for the scale."""
    if len(tables.connections) != 1:
        return 0
    arrows = list(_arrows(tables.connections.iloc[0], tables.messages))[:MAX_ARROWS]
    return 8 + max(sum(len(_wrapped(one)) + 1 for one in arrows if one.sender == side) for side in _SIDES)


_WAYS = {"client": "synack_ack", "server": "syn_synack"}


def _choose(many: int) -> str:
    return f"{many:,} connections: choose one"


def _known(value: Any) -> float | None:
    return None if pd.isna(value) else float(value)


def _arrows(one: pd.Series[Any], messages: pd.DataFrame) -> Iterator[Arrow]:
    """What passed the capture point, in the order of time: what came together is one arrow."""
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
    """TCP's own handshake, before the ClientHello."""
    gap, there, back = (_known(one[f"timing_{name}_ms"]) for name in ("ack_client_hello", "syn_synack", "synack_ack"))
    if gap is None or there is None or back is None:
        return
    yield Arrow("client", "tcp", -(gap + back + there), "SYN")
    yield Arrow("server", "tcp", -(gap + back), "SYN, ACK")
    yield Arrow("client", "tcp", -gap, "ACK")


def _data(one: pd.Series[Any]) -> Iterator[Arrow]:
    told = (
        ("client", "client_data", "application data"),
        ("server", "server_data", "application data"),
        ("server", "server_record", "application data, or a ticket"),
    )
    for sender, name, words in told:
        ms = _known(one[f"timing_{name}_ms"])
        if ms is not None:
            yield Arrow(sender, "data", ms, words)


def _draw(arrow: Arrow, ways: dict[str, float], ax: Axes) -> None:
    """Draw an arrow from where it left to where it arrived."""
    start, end = (0, 1) if arrow.sender == "client" else (1, 0)
    other = _SIDES[1 - _SIDES.index(arrow.sender)]
    style = {"arrowstyle": "-|>", "color": _COLOURS[arrow.kind], "linestyle": _STYLES[arrow.kind], "linewidth": 1.4}
    places = (end, arrow.ms + ways[other]), (start, arrow.ms - ways[arrow.sender])
    ax.annotate("", *places, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _phases(one: pd.Series[Any], ax: Axes) -> None:
    """Shade what TCP and TLS took, between the lifelines, at the capture point."""
    gap, tcp, tls = (_known(one[f"timing_{name}_ms"]) for name in ("ack_client_hello", "tcp", "handshake"))
    if gap is not None and tcp is not None:
        told = f"TCP {tcp:.3g} ms, {gap:.3g} ms before TLS"
        ax.fill_between([0, 1], -(gap + tcp), -gap, color=_COLOURS["tcp"], alpha=0.25, label=told)
    if tls is not None:
        ax.fill_between([0, 1], 0, tls, color=_COLOURS["clear"], alpha=0.15, label=f"TLS {tls:.3g} ms")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False)


def _wrapped(arrow: Arrow) -> list[str]:
    """The words in lines: when first, a message and its bytes together."""
    found = [line.replace(_TOGETHER, " ") for line in wrap(f"{arrow.ms:.3f}{_TOGETHER}ms  {arrow.words}", _CHARACTERS)]
    return found if len(found) <= _LINES else [*found[: _LINES - 1], f"and {len(found) - _LINES + 1} lines more"]


def _words(arrows: Sequence[Arrow], ways: dict[str, float], ax: Axes) -> None:
    """Write beside the lifelines what was sent, no words on others', each tied to where its arrow begins."""
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
    """Find a height for each label: where its arrow begins, or as near below that as there is room."""
    found: list[float] = []
    free = float("-inf")
    for label in labels:
        half = line * (len(label.lines) + 0.5) / 2
        y = max(label.ms, free + half)
        free = y + half
        found.append(y)
    return found


def _scale(ax: Axes) -> None:
    """Show the axis of time alone."""
    ax.set_axis_on()
    ax.set_xticks([])
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_ylabel("ms since the ClientHello, at the capture point")
