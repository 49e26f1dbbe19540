"""Ladders as pictures: one, or two on one axis of time.

Time goes down. It is not to scale, for most of a handshake happens within a hundredth of it: the later of two moments
is drawn lower, at a distance that grows with the time between them; no arrow covers the text of another.
"""

from __future__ import annotations

import itertools
import math
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from tlsdissect.model.connection import stream_name
from tlsdissect.views.ladder.model import in_turn, tenths, wrapped
from tlsdissect.views.printable import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from tlsdissect.views.ladder.model import Arrow, Kind, Ladder

_LINE = 0.20
"""Height of a line of text, in inches."""
_GAP = 0.20
"""Minimum distance between two arrows, in inches."""
_STRETCH = 0.55
"""Distance that the longest wait adds, in inches."""
_LANE, _MARGIN, _TIMES = 5.2, 0.45, 1.35
"""Inches between lifelines, beside them, and for the times at the left."""
_CHARACTERS = 50
"""Characters of a label in a line."""
_HEAD = 1.25
"""Inches above the first arrow."""


class _Ink(NamedTuple):
    """Colours that colour-blind readers can tell apart, also in grey (the palette of Okabe and Ito)."""

    sheet: str
    words: str
    quiet: str
    kinds: dict[str, str]


_LIGHT = _Ink(
    "#ffffff",
    "#1a1a1a",
    "#5c6470",
    {
        "tcp": "#5c6470",
        "clear": "#0072b2",
        "encrypted": "#8b3f6d",
        "data": "#00694d",
        "again": "#a64500",
        "lost": "#b3001b",
    },
)
_DARK = _Ink(
    "#14181d",
    "#e8eaed",
    "#a7b0bb",
    {
        "tcp": "#a7b0bb",
        "clear": "#56b4e9",
        "encrypted": "#e29bc4",
        "data": "#3ecf9e",
        "again": "#f0a060",
        "lost": "#ff7b7b",
    },
)
_STYLES = {"tcp": "-", "clear": "-", "encrypted": (0, (5, 2)), "data": "-", "again": (0, (1, 2)), "lost": (0, (1, 4))}
_WIDTHS = {"tcp": 0.9, "clear": 1.6, "encrypted": 1.6, "data": 3.0, "again": 1.2, "lost": 1.6}


class _Placed(NamedTuple):
    """An arrow with its text, the number of its ladder, and its vertical position."""

    arrow: Arrow
    lines: list[tuple[str, Kind]]
    lane: int
    y: float


def picture(ladders: Sequence[Ladder], form: str, *, dark: bool = False) -> bytes:
    """Draw one ladder, or more side by side, as "svg", "png" or "pdf"."""
    made = figure(ladders, dark=dark)
    out = BytesIO()
    # The same connection gives the same bytes: no date, no random names.
    nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with rc_context({"svg.hashsalt": "tlsdissect", "svg.fonttype": "none"}):
        made.savefig(out, format=form, dpi=144, metadata=nothing, facecolor=made.get_facecolor())
    return out.getvalue()


def figure(ladders: Sequence[Ladder], *, dark: bool = False) -> Figure:
    """Draw ladders side by side, on one axis of time that begins at the ClientHello of each."""
    ink = _DARK if dark else _LIGHT
    placed = _place(ladders)
    depth = max((one.y for one in placed), default=0) + 0.4
    width = _TIMES + len(ladders) * (_LANE + 2 * _MARGIN)
    made = Figure(figsize=(width, _HEAD + depth), facecolor=ink.sheet)
    axes = made.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(_HEAD + depth, 0))
    axes.set_axis_off()
    for lane, ladder in enumerate(ladders):
        _lifelines(axes, ladder, _left(lane), _HEAD + depth, ink)
    for one in placed:
        _arrow(axes, one, ink)
    _times(axes, placed, width, ink)
    return made


def _left(lane: int) -> float:
    return _TIMES + _MARGIN + lane * (_LANE + 2 * _MARGIN)


def _place(ladders: Sequence[Ladder]) -> list[_Placed]:
    """Place each arrow below the previous ones, at a distance that grows with the time between them."""
    arrows = in_turn(ladders)
    waits = [0.0, *(_wait(earlier, later) for (earlier, _), (later, _) in itertools.pairwise(arrows))]
    longest = max(waits) or 1
    placed: list[_Placed] = []
    y = 0.0
    for (arrow, lane), wait in zip(arrows, waits, strict=False):
        lines = wrapped(arrow, _CHARACTERS, _behind(arrow, alone=len(ladders) == 1))
        y += _LINE * len(lines) + _GAP + _STRETCH * math.sqrt(wait / longest)
        placed.append(_Placed(arrow, lines, lane, y))
    return placed


def _wait(earlier: Arrow, later: Arrow) -> float:
    return 0.0 if earlier.ms is None or later.ms is None else max(later.ms - earlier.ms, 0.0)


def _behind(arrow: Arrow, *, alone: bool) -> str:
    """Return the text after the messages: bytes, and round trips if the axis shows those of several ladders."""
    parts = [] if arrow.bytes is None or arrow.kind in ("again", "lost") else [f"{arrow.bytes:,} bytes"]
    parts += [] if alone or arrow.round_trips is None else [f"{tenths(arrow.round_trips)} RT"]
    return f"({', '.join(parts)})" if parts else ""


def _lifelines(axes: Axes, ladder: Ladder, left: float, bottom: float, ink: _Ink) -> None:
    words: dict[str, Any] = {"color": ink.words, "fontsize": 9.5, "va": "bottom"}
    axes.text(left, 0.34, ladder.negotiated, fontweight="bold", **{**words, "fontsize": 10.5})
    stream = stream_name(ladder.transport, ladder.stream)
    source = shortened(f"stream {stream} of {printable(ladder.source)}", 60, tail=30)
    axes.text(left, 0.58, f"{ladder.result};  {source}", **{**words, "color": ink.quiet, "fontsize": 8.5})
    for x, end, name, side in (
        (left, ladder.client, "client", "left"),
        (left + _LANE, ladder.server, "server", "right"),
    ):
        axes.text(x, 0.92, f"{name}  {end}", ha=side, **words)
        axes.plot([x, x], [1.0, bottom - 0.15], color=ink.quiet, linewidth=1.2)


def _arrow(axes: Axes, one: _Placed, ink: _Ink) -> None:
    arrow, left, y = one.arrow, _left(one.lane), _HEAD + one.y
    ends = (left, left + _LANE) if arrow.sender == "client" else (left + _LANE, left)
    kinds = [kind for kind, _ in arrow.parts()]
    steps = [ends[0] + (ends[1] - ends[0]) * n / len(kinds) for n in range(len(kinds) + 1)]
    for kind, start, end in zip(kinds, steps, steps[1:], strict=False):
        _shaft(axes, kind, (start, end), y, ink, headed=end == steps[-1])
    for number, (line, kind) in enumerate(reversed(one.lines)):
        axes.text(
            left + 0.12 if arrow.sender == "client" else left + _LANE - 0.12,
            y - 0.05 - number * _LINE,
            line,
            ha="left" if arrow.sender == "client" else "right",
            va="bottom",
            fontsize=8.5,
            color=ink.kinds[kind],
            parse_math=False,
        )


def _shaft(axes: Axes, kind: Kind, ends: tuple[float, float], y: float, ink: _Ink, *, headed: bool) -> None:
    """Draw an arrow, or its part with messages of one kind."""
    axes.add_patch(
        FancyArrowPatch(
            (ends[0], y),
            (ends[1], y),
            arrowstyle="-|>" if headed else "-",
            mutation_scale=11,
            color=ink.kinds[kind],
            linestyle=_STYLES[kind],
            linewidth=_WIDTHS[kind],
            shrinkA=0,
            shrinkB=0,
        )
    )


def _times(axes: Axes, placed: Sequence[_Placed], width: float, ink: _Ink) -> None:
    """Write the time of each arrow, for one ladder also in round trips of TCP."""
    single = len({one.lane for one in placed}) == 1
    for one in placed:
        trips = one.arrow.round_trips
        time = "" if one.arrow.ms is None else f"{one.arrow.ms:.3f} ms"
        if single and trips is not None:
            time += f"\n{tenths(trips)} RT"
        y = _HEAD + one.y
        axes.text(_TIMES - 0.1, y, time, ha="right", va="center", fontsize=8, color=ink.quiet, linespacing=1.1)
        axes.plot([_TIMES, width - 0.1], [y, y], color=ink.quiet, linewidth=0.3, alpha=0.35, zorder=0)
