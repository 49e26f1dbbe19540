"""A figure of one connection with a linear time axis: the ladder to scale."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

from tlsdissect.views.ladder.model import NO_BREAK, timed_arrows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from tlsdissect.model.connection import Connection, Side
    from tlsdissect.views.ladder.model import Arrow

MAX_ARROWS = 40
"""Arrows that are drawn; later ones are counted."""
LINE = 0.17
"""Height of a line of text, in inches."""
_AROUND = 1.3
"""Height of a figure outside of the Axes, in inches."""
_CHARACTERS = 31
_LINES = 6
_COLOURS = {"tcp": "#7f7f7f", "clear": "#0072b2", "encrypted": "#cc79a7", "data": "#009e73"}
"""Colours that colour-blind people can distinguish (Okabe and Ito)."""
_STYLES = {"tcp": "-", "clear": "-", "encrypted": "--", "data": "-"}
_SIDES: tuple[Side, Side] = ("client", "server")


class _Label(NamedTuple):
    """The text of an arrow, and the time at which the arrow begins."""

    lines: list[str]
    ms: float


def timeline(connections: Sequence[Connection], ax: Axes) -> None:
    """Draw the arrows of a single connection between its ends, with time running down, to scale.

    The slope of an arrow is the transit time, as measured by the TCP handshake from the capture point to both ends.
    With more than one connection, only their number is written.
    """
    ax.set_axis_off()
    arrows = timed_arrows(connections[0]) if len(connections) == 1 else []
    if not arrows:
        many = len(connections)
        message = f"{many:,} connections: select one" if many > 1 else "no data for this figure"
        ax.text(0.5, 0.5, message, ha="center", va="center", transform=ax.transAxes)
        return
    one, shown = connections[0], arrows[:MAX_ARROWS]
    ways: dict[Side, float] = {
        "client": (one.timing.synack_ack_ms or 0.0) / 2,
        "server": (one.timing.syn_synack_ms or 0.0) / 2,
    }
    for ms, arrow in shown:
        _draw(ms, arrow, ways, ax)
    _phases(one, ax)
    _words(shown, ways, ax)
    for x, side in enumerate(_SIDES):
        ax.axvline(x, color=_COLOURS["tcp"], linewidth=1.2)
        name = f"{side}  {(one.client if side == 'client' else one.server).host}"
        ax.annotate(name, (x, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center")
    ax.set_xlim(-1.5, 2.5)
    _scale(ax)
    if len(arrows) > len(shown):
        ax.annotate(f"{len(arrows) - len(shown):,} more are not drawn", (0.02, 0.01), xycoords="axes fraction")


def rows(connections: Sequence[Connection]) -> int:
    """Return the height of a figure in rows: the labels of the side that has more of them, plus the axis."""
    if len(connections) != 1:
        return 0
    arrows = timed_arrows(connections[0])[:MAX_ARROWS]
    return 8 + max(sum(len(_wrapped(*one)) + 1 for one in arrows if one[1].sender == side) for side in _SIDES)


def _draw(ms: float, arrow: Arrow, ways: dict[Side, float], ax: Axes) -> None:
    """Draw an arrow from its departure to its arrival."""
    start, end = (0, 1) if arrow.sender == "client" else (1, 0)
    other = _SIDES[1 - _SIDES.index(arrow.sender)]
    style = {"arrowstyle": "-|>", "color": _COLOURS[arrow.kind], "linestyle": _STYLES[arrow.kind], "linewidth": 1.4}
    places = (end, ms + ways[other]), (start, ms - ways[arrow.sender])
    ax.annotate("", *places, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _phases(one: Connection, ax: Axes) -> None:
    """Shade the durations of the TCP and TLS handshakes at the capture point."""
    gap, tcp, tls = one.timing.ack_client_hello_ms, one.timing.tcp_ms, one.timing.handshake_ms
    if gap is not None and tcp is not None:
        label = f"TCP {tcp:.3g} ms, {gap:.3g} ms before TLS"
        ax.fill_between([0, 1], -(gap + tcp), -gap, color=_COLOURS["tcp"], alpha=0.25, label=label)
    if tls is not None:
        ax.fill_between([0, 1], 0, tls, color=_COLOURS["clear"], alpha=0.15, label=f"TLS {tls:.3g} ms")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0), ncols=2, frameon=False)


def _wrapped(ms: float, arrow: Arrow) -> list[str]:
    """Wrap the text of an arrow: its time first, and a message never separated from its size."""
    labels = [label.replace(" ", NO_BREAK, 1) for label in arrow.labels] if arrow.sealed else arrow.labels
    words = f"{ms:.3f}{NO_BREAK}ms  {', '.join(labels)}"
    found = [line.replace(NO_BREAK, " ") for line in wrap(words, _CHARACTERS)]
    return found if len(found) <= _LINES else [*found[: _LINES - 1], f"and {len(found) - _LINES + 1} lines more"]


def _words(arrows: Sequence[tuple[float, Arrow]], ways: dict[Side, float], ax: Axes) -> None:
    """Write the texts beside the lifelines without overlap, each with a line to the start of its arrow."""
    begin, end = arrows[0][0], arrows[-1][0]
    span = (end - begin + sum(ways.values())) or 1.0
    figure: Any = ax.get_figure(root=True)
    line = span * LINE / max(figure.get_figheight() - _AROUND, 1.0)
    lowest = begin - ways["client"]
    for side, x, away, align in (("client", 0, -0.12, "right"), ("server", 1, 1.12, "left")):
        labels = [_Label(_wrapped(ms, one), ms - ways[side]) for ms, one in arrows if one.sender == side]
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
    ax.grid(visible=False)
    ax.set_xticks([])
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    ax.set_ylabel("ms since the ClientHello, at the capture point")
