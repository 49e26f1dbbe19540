"""Ladders as pictures: one, or two side by side on one axis of time, to scale.

Time goes down. An arrow is slanted by the time that it took, as far as TCP's handshake shows that: a time is written
where it was measured, at the end next to the capture point, and the other end of an arrow is half a round trip away.
Words keep their distance from each other, and thin lines lead from them to their moments.
"""

from __future__ import annotations

from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle

from tlsdissect.model.connection import stream_name
from tlsdissect.views.colours import SHEETS
from tlsdissect.views.durations import in_ms
from tlsdissect.views.ladder.axis import Axis, Course
from tlsdissect.views.ladder.model import OTHER, wrapped
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import printable, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes

    from tlsdissect.model.connection import Side
    from tlsdissect.views.ladder.axis import Band, Slant
    from tlsdissect.views.ladder.model import Ladder
    from tlsdissect.views.ladder.scale import Scale

WIDTH = 9.0
"""Inches of a picture."""
_AXIS = 0.5
"""Inches for the times at the left."""
_HEAD, _FOOT = 1.62, 0.42
"""Inches above the first moment, and below the last one."""
_TALL = 4.6
"""Minimum inches between the first and the last moment."""
_LINE = 0.142
"""Height of a line of words, in inches."""
_AWAY = 0.12
"""Inches between a lifeline and the words beside it."""
_LETTER = 0.0635
"""Inches of a letter, on average."""
_SMALL = 8.0
_SIDES: tuple[Side, Side] = ("client", "server")


class _Ink(NamedTuple):
    """Colours that colour-blind readers can tell apart, also in grey (the palette of Okabe and Ito)."""

    sheet: str
    words: str
    quiet: str
    failed: str
    bands: tuple[str, str, str]
    """Behind TCP's handshake, and behind odd and even round trips."""
    kinds: dict[str, str]


_LIGHT = _Ink(
    *SHEETS[False],
    "#5c6470",
    "#c0001d",
    ("#eceef0", "#cfe3f5", "#e6f0fa"),
    {
        "tcp": "#5c6470",
        "clear": "#005f9a",
        "encrypted": "#8b3f6d",
        "data": "#00694d",
        "again": "#a64500",
        "lost": "#c0001d",
    },
)
_DARK = _Ink(
    *SHEETS[True],
    "#a7b0bb",
    "#ff7b7b",
    ("#1d232b", "#143350", "#102438"),
    {
        "tcp": "#a7b0bb",
        "clear": "#56b4e9",
        "encrypted": "#e29bc4",
        "data": "#3ecf9e",
        "again": "#f0a060",
        "lost": "#ff7b7b",
    },
)
_STYLES = {"tcp": "-", "clear": "-", "encrypted": (0, (5, 2)), "data": "-", "again": (0, (1, 2)), "lost": (0, (1, 2))}
_WIDTHS = {"tcp": 0.9, "clear": 1.6, "encrypted": 1.6, "data": 2.6, "again": 1.4, "lost": 1.6}


class _Words(NamedTuple):
    """What is written beside a lifeline, and the moment that it belongs to."""

    ms: float
    lines: list[tuple[str, str, bool]]
    """Text, colour, and whether it is bold."""
    sent: bool
    """Whether they are messages that left here, not only the time of an arrival."""


def picture(ladders: Sequence[Ladder], form: str, *, dark: bool = False) -> bytes:
    """Draw one ladder, or two side by side, as "svg", "png" or "pdf"."""
    made = figure(ladders, dark=dark)
    out = BytesIO()
    # The same connection gives the same bytes: no date, no random names.
    nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form, {})
    with rc_context({"svg.hashsalt": "tlsdissect", "svg.fonttype": "none"}):
        made.savefig(out, format=form, dpi=144, metadata=nothing, facecolor=made.get_facecolor())
    return out.getvalue()


def figure(ladders: Sequence[Ladder], *, dark: bool = False) -> Figure:
    """Draw ladders side by side, on one axis of time that begins at the ClientHello of each."""
    drawing = _Drawing(ladders, _DARK if dark else _LIGHT)
    made = Figure(figsize=(WIDTH, drawing.height), facecolor=drawing.ink.sheet)
    drawing.draw(made.add_axes((0, 0, 1, 1)))
    return made


def draw(ladders: Sequence[Ladder], ax: Axes, *, dark: bool) -> None:
    """Draw ladders side by side on an Axes, whose height `height` returns."""
    _Drawing(ladders, _DARK if dark else _LIGHT).draw(ax)


def height(ladders: Sequence[Ladder]) -> float:
    """Return the height of a drawing, in inches."""
    return _Drawing(ladders, _LIGHT).height


class _Lane:
    """One ladder: its arrows with their moments, and the words on both sides of its lifelines."""

    def __init__(self, course: Course, scale: Scale, left: float, width: float, ink: _Ink) -> None:
        self.course, self.ladder, self._scale = course, course.ladder, scale
        between = 0.9 if width < WIDTH / 2 else width / 3
        beside = (width - between) / 2
        self.x: dict[Side, float] = {"client": left + beside, "server": left + beside + between}
        self.left, self.right = left + 0.05, left + width - 0.25
        self.letters = int((beside - _AWAY) / _LETTER)
        self.words: dict[Side, list[_Words]] = {side: list(self._words(side, ink)) for side in _SIDES}

    def _words(self, side: Side, ink: _Ink) -> Iterator[_Words]:
        """Yield the labels of a side: the messages that it sent, and the times if they were measured at that side."""
        last = self.course.completing
        for arrow, begin, end in self.course.slants:
            time = "" if arrow.ms is None or side != self.course.near else self._scale.in_ms(arrow.ms)
            lines = []
            if arrow.sender == side:
                lines = [
                    (line, ink.failed if arrow.failed else ink.kinds[kind], arrow.failed)
                    for line, kind in wrapped(arrow, self.letters)
                ]
            if time and len(lines) == 1 and len(lines[0][0]) + len(time) + 3 <= self.letters:
                text, colour, bold = lines[0]
                pair = (text, time) if side == "client" else (time, text)
                lines = [(" · ".join(pair), colour, bold)]
            elif time:
                lines.insert(0, (time, ink.quiet, False))
            if time and arrow is last:
                lines.append(("handshake complete", ink.words, True))
            if lines:
                sent = arrow.sender == side
                yield _Words(begin if sent else end, lines, sent)


class _Drawing:
    """Places lanes on one axis of time, and draws them; all coordinates are inches."""

    def __init__(self, ladders: Sequence[Ladder], ink: _Ink) -> None:
        self.ink = ink
        width = (WIDTH - _AXIS) / len(ladders)
        courses = [Course(one) for one in ladders]
        self.axis = Axis(courses)
        self.scale = self.axis.scale
        lefts = [_AXIS + number * width for number in range(len(courses))]
        self.lanes = [_Lane(one, self.scale, left, width, ink) for one, left in zip(courses, lefts, strict=True)]
        sides = [words for lane in self.lanes for words in lane.words.values()]
        tall = max([_TALL, *(sum(len(one.lines) + 0.4 for one in words) * _LINE for words in sides)])
        self._inches = tall / (self.scale.length or 1.0)
        self.placed = [
            {side: list(self._apart(self._told(words))) for side, words in lane.words.items()} for lane in self.lanes
        ]
        lows = [y + len(one.lines) * _LINE / 2 for lane in self.placed for words in lane.values() for one, y in words]
        self.bottom = max([_HEAD + tall, *lows]) + 0.12
        self.height = self.bottom + _FOOT

    def y(self, ms: float) -> float:
        """Return how far down a moment is."""
        return _HEAD + self.scale.at(ms) * self._inches

    def _told(self, words: Sequence[_Words]) -> list[_Words]:
        """Leave out the time of an arrival that an answer follows at once: its time is the same on this scale."""
        return [
            one
            for one, after in zip_longest(words, words[1:])
            if one.lines[1:] or one.sent or after is None or self.y(after.ms) - self.y(one.ms) > _LINE
        ]

    def _apart(self, words: Sequence[_Words]) -> Iterator[tuple[_Words, float]]:
        """Yield the middle of each text: at its moment, or as close below it as is free."""
        free = 0.0
        for one in words:
            half = _LINE * (len(one.lines) + 0.4) / 2
            y = max(self.y(one.ms), free + half)
            free = y + half
            yield one, y

    def draw(self, ax: Axes) -> None:
        """Draw everything."""
        ax.set(xlim=(0, WIDTH), ylim=(self.height, 0))
        ax.set_axis_off()
        self._axis(ax)
        for lane, placed in zip(self.lanes, self.placed, strict=True):
            for band in lane.course.bands():
                self._band(lane, band, ax)
            self._head(lane, ax)
            for slant in lane.course.slants:
                self._arrow(lane, slant, ax)
            for side in _SIDES:
                self._lifeline(lane, side, ax)
                self._write(lane, side, placed[side], ax)
        self._foot(ax)

    def _text(self, ax: Axes, x: float, y: float, text: str, **look: Any) -> None:
        ax.text(x, y, text, parse_math=False, **{"fontsize": _SMALL, "color": self.ink.quiet, "va": "center", **look})

    def _axis(self, ax: Axes) -> None:
        """Draw the times that are common to all lanes, and what was cut."""
        if not any(lane.course.timed for lane in self.lanes):
            return
        self._text(ax, _AXIS - 0.1, _HEAD - 0.26, "ms", ha="right")
        last = 0.0
        for ms in self.axis.ticks():
            y = self.y(ms)
            if y < last + 2 * _LINE:
                continue
            last = y
            across = [(_AXIS - 0.06, _AXIS), *((lane.x["client"], lane.x["server"]) for lane in self.lanes)]
            for ends in across:
                ax.plot(ends, [y, y], color=self.ink.quiet, linewidth=0.5, alpha=0.4, zorder=0.4)
            self._text(ax, _AXIS - 0.1, y, f"{ms:,g}", ha="right")

    def _band(self, lane: _Lane, band: Band, ax: Axes) -> None:
        colour = self.ink.bands[band.number]
        client, server = lane.x["client"], lane.x["server"]
        top, bottom = self.y(band.begin), self.y(band.end)
        ax.add_patch(Rectangle((client, top), server - client, bottom - top, color=colour, linewidth=0, zorder=0.5))
        if bottom - top > 3 * _LINE:
            side = lane.course.near
            x, way = lane.x[side], 1 if side == "client" else -1
            for number, word in enumerate(lines := band.name.split(" ", 1)):
                y = (top + bottom) / 2 + (number - (len(lines) - 1) / 2) * _LINE
                self._text(ax, x + way * 0.07, y, word, ha="left" if way > 0 else "right", fontsize=7.5)

    def _head(self, lane: _Lane, ax: Axes) -> None:
        """Write what took how long, or how it failed; then between whom."""
        ladder, ink, left = lane.ladder, self.ink, lane.left
        done, trips = ladder.timing.handshake_ms, ladder.round_trips
        letters = int((lane.right - left) / _LETTER * 0.95)
        version = (ladder.version or "no version") + " in QUIC" * (ladder.transport == "quic")
        self._text(ax, left, 0.22, version, fontsize=12, fontweight="bold", color=ink.words)
        if ladder.failed or done is None:
            colour = ink.failed if ladder.failed else ink.words
            shown = shortened(ladder.outcome, letters)
            # A long reason shrinks: cut off, it would lose who caused it.
            size = max(min(15.0, 15.0 * letters * 0.5 / len(shown)), _SMALL)
            self._text(ax, left, 0.53, shown, fontsize=size, fontweight="bold", color=colour)
        else:
            self._text(ax, left, 0.53, in_ms(done), fontsize=21, fontweight="bold", color=ink.kinds["clear"])
            for number, told in enumerate(("handshake", "" if trips is None else counted(trips, "round trip"))):
                self._text(ax, left + 1.75, 0.45 + 0.18 * number, told, fontsize=11, color=ink.words)
        self._text(ax, left, 0.84, shortened(ladder.cipher_suite or "no cipher suite", letters))
        stream = stream_name(ladder.transport, ladder.stream)
        source = printable(ladder.source)
        self._text(ax, left, 1.03, shortened(f"stream {stream} of {source}", letters, tail=letters // 2))
        for side, end, align, x in (
            ("client", ladder.client, "left", left),
            ("server", ladder.server, "right", lane.right),
        ):
            room = letters // 2 - 1
            self._text(ax, x, 1.27, shortened(f"{side} {end}", room), ha=align, fontweight="bold", color=ink.words)

    def _arrow(self, lane: _Lane, slant: Slant, ax: Axes) -> None:
        """Draw an arrow, in parts if it is encrypted in part; what was lost arrives nowhere."""
        arrow = slant.arrow
        ends = lane.x[arrow.sender], lane.x[OTHER[arrow.sender]]
        begin, end = self.y(slant.begin), self.y(slant.end)
        kinds = [kind for kind, _ in arrow.parts()]
        reach = 1.0 if arrow.arrives else 0.55
        for number, kind in enumerate(kinds):
            shares = number / len(kinds) * reach, (number + 1) / len(kinds) * reach
            places = [(ends[0] + (ends[1] - ends[0]) * one, begin + (end - begin) * one) for one in shares]
            last = number + 1 == len(kinds)
            colour = self.ink.failed if arrow.failed else self.ink.kinds[kind]
            ax.add_patch(
                FancyArrowPatch(
                    *places,
                    arrowstyle="-|>" if last and arrow.arrives else "-",
                    mutation_scale=10,
                    color=colour,
                    linestyle=_STYLES[kind],
                    linewidth=_WIDTHS[kind] + 0.6 * arrow.failed,
                    shrinkA=0,
                    shrinkB=0,
                )
            )
            if last and not arrow.arrives:
                ax.plot(*places[-1], marker="x", color=self.ink.failed, markersize=7, markeredgewidth=2)

    def _lifeline(self, lane: _Lane, side: Side, ax: Axes) -> None:
        """Draw a lifeline, with a mark wherever a pause is cut."""
        x = lane.x[side]
        ax.plot([x, x], [_HEAD - 0.16, self.bottom], color=self.ink.quiet, linewidth=1.2)
        for pause in self.scale.pauses:
            y = (self.y(pause.begin) + self.y(pause.end)) / 2
            ax.plot([x, x], [y - 0.05, y + 0.05], color=self.ink.sheet, linewidth=3, zorder=3)
            for one in (y - 0.05, y + 0.05):
                ax.plot([x - 0.08, x + 0.08], [one + 0.03, one - 0.03], color=self.ink.quiet, linewidth=1.2, zorder=4)
            if side == "client":
                middle = (lane.x["client"] + lane.x["server"]) / 2
                self._text(ax, middle, y, pause.words, ha="center", style="italic", fontsize=7.5)

    def _write(self, lane: _Lane, side: Side, placed: Sequence[tuple[_Words, float]], ax: Axes) -> None:
        """Write the words of a side, each with a line to its moment."""
        way, align = (-1, "right") if side == "client" else (1, "left")
        x = lane.x[side]
        for one, middle in placed:
            ax.plot([x, x + way * (_AWAY - 0.04)], [self.y(one.ms), middle], color=self.ink.quiet, linewidth=0.6)
            for number, (text, colour, bold) in enumerate(one.lines):
                y = middle + (number - (len(one.lines) - 1) / 2) * _LINE
                weight = "bold" if bold else "normal"
                self._text(ax, x + way * _AWAY, y, text, ha=align, color=colour, fontweight=weight)

    def _foot(self, ax: Axes) -> None:
        said = self.axis.origin
        if self.axis.legend:
            self._text(ax, _AXIS + 0.05, self.height - 0.32, said, fontsize=7.5)
            said = self.axis.legend
        self._text(ax, _AXIS + 0.05, self.height - 0.18, said, fontsize=7.5)
