"""Ladders for a terminal: one below the other, or two side by side on one axis of time.

A wait takes empty lines, about to scale; where a pause is cut, a line says how long it was.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.model.connection import stream_name
from tlsdissect.views.durations import in_ms
from tlsdissect.views.ladder.model import OTHER, drawn, in_turn, legend, scaled, tenths, views, waits, wrapped
from tlsdissect.views.printable import USUAL, TextBlocks, columns, printable, shortened, styled, titled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.model.connection import Connection, Side
    from tlsdissect.views.ladder.model import Arrow, Ladder
    from tlsdissect.views.ladder.scale import Scale

WIDEST = 120
"""Maximum columns of one ladder."""
_HEADINGS, _NOTHING = ("ms", "RT", "bytes", "frames"), ("", "", "", "")
_ROOMY = 120
"""Columns from which two ladders side by side show bytes, too."""
_LEAST = 14
"""Minimum columns between two lifelines."""
_EMPTY = 12
"""Empty lines that all waits together take."""
_BOLD, _FAINT, _RED = "1", "2", "1;31"
_STYLES = {"tcp": _FAINT, "clear": "", "encrypted": "35", "data": "32", "again": "33", "lost": "31"}


class _Signs(NamedTuple):
    """The characters of lines and arrows."""

    life: str
    left: str
    right: str
    shafts: dict[str, str]


_UNICODE = _Signs("│", "◀", "▶", {"tcp": "─", "clear": "─", "encrypted": "╌", "data": "═", "again": "·", "lost": "x"})
_ASCII = _Signs("|", "<", ">", {"tcp": "-", "clear": "-", "encrypted": "~", "data": "=", "again": ".", "lost": "x"})


class Text(TextBlocks):
    """Formats the ladders of a run as text."""

    def __init__(self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> None:
        super().__init__(lambda connection: self.lines(*views(connection)), encoding)
        self._width = width or USUAL
        self._coloured = coloured
        self._signs = _UNICODE if _knows(encoding, _UNICODE) else _ASCII

    def beside(self, left: Connection, right: Connection) -> bytes:
        """Format two ladders next to each other."""
        return self.block(self.lines(drawn(left), drawn(right)))

    def lines(self, one: Ladder, other: Ladder | None = None) -> Iterator[str]:
        """Draw a ladder, or two on one axis of time."""
        yield from (line.rstrip() for line in (self._single(one) if other is None else self._pair(one, other)))
        both = (one,) if other is None else (one, other)
        for told in filter(None, (_origin(both), legend(both))):
            for line in wrap(told, self._width, break_on_hyphens=False):
                yield self._styled(line, _FAINT)

    def _single(self, one: Ladder) -> Iterator[str]:
        width = min(self._width, WIDEST)
        scale = scaled([one])
        rows = [(_clock(arrow, scale), _trips(arrow), _size(arrow), arrow.frame_range) for arrow in one.arrows]
        headings = _headings([one])
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        inner = max(width - sum(widths) - 10 + 2 * (not widths[1]), _LEAST)
        yield from self._titles(one)
        *above, head = self._heads(one, inner)
        yield from (_row(_NOTHING, line, widths) for line in above)
        yield _row(headings, head, widths)
        for arrow, row, wait in zip(one.arrows, rows, _waits(scale, one.arrows), strict=True):
            yield from (_row(_NOTHING, self._between(line.center(inner), inner), widths) for line in wait)
            *before, last = self._cells(arrow, inner)
            yield from (_row(_NOTHING, cell, widths) for cell in before)
            yield _row(row, last, widths)

    def _pair(self, left: Ladder, right: Ladder) -> Iterator[str]:
        """Draw two ladders on one axis of time, which begins at the ClientHello of each.

        Each has its own round trips beside its lifelines, and the bytes of flights if there is room.
        """
        arrows, scale = in_turn((left, right)), scaled((left, right))
        time = max(map(len, [_HEADINGS[0], *(_clock(arrow, scale) for arrow, _ in arrows)]))
        details = [_trips, _size] if self._width >= _ROOMY else [_trips]
        headings = _headings([left, right])[1:]
        beside = [[headings[number], *(one(arrow) for arrow, _ in arrows)] for number, one in enumerate(details)]
        widths = [max(map(len, column)) for column in beside]
        inner = max((self._width - time) // 2 - sum(widths) - 2 * sum(map(bool, widths)) - 4, _LEAST)
        for one in (left, right):
            yield from self._titles(one)
        most = max(len(self._heads(one, inner)) for one in (left, right))
        for number, halves in enumerate(zip(*(self._heads(one, inner, most) for one in (left, right)), strict=True), 1):
            named = _HEADINGS[0] if number == most else ""
            left_half, right_half = (_beside(headings if named else _NOTHING, half, widths) for half in halves)
            yield f"{named:>{time}}  {left_half}  {right_half}"
        empty = _beside(_NOTHING, self._between("", inner), widths)
        lines = _waits(scale, [arrow for arrow, _ in arrows])
        for (arrow, side), wait in zip(arrows, lines, strict=True):
            for line in wait:
                half = _beside(_NOTHING, self._between(line.center(inner), inner), widths)
                yield f"{'':>{time}}  {half}  {half}"
            cells = self._cells(arrow, inner)
            for number, cell in enumerate(cells, 1):
                last = number == len(cells)
                clock = f"{_clock(arrow, scale) if last else '':>{time}}"
                half = _beside([one(arrow) for one in details] if last else _NOTHING, cell, widths)
                yield f"{clock}  {empty}  {half}" if side else f"{clock}  {half}  {empty}"

    def _titles(self, one: Ladder) -> Iterator[str]:
        """The connection and its outcome."""
        name = f"stream {stream_name(one.transport, one.stream)}  {one.negotiated}"
        times = (("handshake", one.timing.handshake_ms), ("TCP's round trip", one.timing.tcp_ms))
        told = "".join(f"; {name}: {in_ms(ms)}" for name, ms in times if ms is not None)
        yield self._styled(titled(name, printable(one.source), self._width), _BOLD)
        for line in wrap(f"{one.result}{told}", self._width, subsequent_indent="  ", break_on_hyphens=False):
            yield self._styled(line, _RED if one.failed else "")

    def _heads(self, one: Ladder, inner: int, lines: int = 1) -> list[str]:
        """The endpoints above their lifelines: below each other if one line, or `lines` of another ladder, is too few.

        Of an endpoint that is longer than a line, the end is kept: its port.
        """
        width = inner + 2
        client, server = (shortened(str(end), width, tail=width // 2) for end in (one.client, one.server))
        blank = width - columns(client) - columns(server)
        heads = [f"{client}{' ' * blank}{server}"]
        if blank < 1 or lines > 1:
            heads = [f"{client}{' ' * (width - columns(client))}", f"{' ' * (width - columns(server))}{server}"]
        return [self._styled(head, _BOLD) for head in heads]

    def _cells(self, arrow: Arrow, inner: int) -> list[str]:
        """The lines of an arrow: its labels, and a shaft after the last one."""
        signs, lost = self._signs, not arrow.arrives
        lines = wrapped(arrow, inner - 2) or [("", arrow.kind)]
        if columns(lines[-1][0]) > inner - 6:
            lines.append(("", lines[-1][1]))
        texts = []
        for number, (line, kind) in enumerate(lines, 1):
            text, shaft = f" {line} " if line else "", signs.shafts[kind]
            if number < len(lines):
                texts.append(text.ljust(inner) if arrow.sender == "client" else text.rjust(inner))
            elif arrow.sender == "client":
                texts.append(f"{text}{shaft * (inner - columns(text) - 1)}{shaft if lost else signs.right}")
            else:
                texts.append(f"{shaft if lost else signs.left}{shaft * (inner - columns(text) - 1)}{text}")
        styles = [_RED if arrow.failed else _STYLES[kind] for _, kind in lines]
        return [self._between(self._styled(text, style), inner) for text, style in zip(texts, styles, strict=True)]

    def _between(self, text: str, inner: int) -> str:
        life = self._signs.life
        return f"{life}{text or ' ' * inner}{life}"

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._coloured else text


def _origin(ladders: Sequence[Ladder]) -> str:
    """Say which end the times belong to, and how far away the other is; nothing where that is not known."""
    told: dict[Side, list[float]] = {}
    for one in ladders:
        near = one.timing.captured_near
        if near is None or not any(one.ways.values()):
            return ""
        told.setdefault(near, []).append(one.ways[OTHER[near]])
    if len(told) > 1:
        left, right = told
        return f"times as captured, near the {left} at the left and near the {right} at the right"
    [(near, ways)] = told.items()
    written = scaled(ladders).clock
    low, high = written(min(ways)), written(max(ways))
    away = low if low == high else f"{low} to {high}"
    return f"times as captured near the {near}; the {OTHER[near]} is about {away} ms away"


def _beside(cells: Sequence[str], between: str, widths: Sequence[int]) -> str:
    """One of two ladders: round trips before the lifelines, and bytes after them if they are shown."""
    before = f"{cells[0]:>{widths[0]}}  " if widths[0] else ""
    return f"{before}{between}" + (f"  {cells[1]:>{widths[1]}}" if len(widths) > 1 else "")


def _row(cells: Sequence[str], between: str, widths: Sequence[int]) -> str:
    """A line: the time, the arrow, its bytes and its frames."""
    (clock, trips, size, frames), (time, count, room, _) = cells, widths
    before = f"{clock:>{time}}  " + (f"{trips:>{count}}  " if count else "")
    return f"{before}{between}  {size:>{room}}  {frames}"


def _headings(ladders: Sequence[Ladder]) -> Sequence[str]:
    """The names of the columns; round trips have none where nothing is given in them."""
    told = any(arrow.round_trips is not None for one in ladders for arrow in one.arrows)
    return [name if told or name != "RT" else "" for name in _HEADINGS]


def _waits(scale: Scale, arrows: Sequence[Arrow]) -> Iterator[list[str]]:
    """Yield the lines before each arrow: empty ones for a wait, or one that says how long a cut pause was."""
    for share, cut in waits(scale, arrows):
        yield [f"~ {words} ~" for words in cut] or [""] * round(share * _EMPTY)


def _clock(arrow: Arrow, scale: Scale) -> str:
    return "" if arrow.ms is None else scale.clock(arrow.ms)


def _size(arrow: Arrow) -> str:
    return "" if arrow.bytes is None else str(arrow.bytes)


def _trips(arrow: Arrow) -> str:
    count = arrow.round_trips
    if count is None:
        return ""
    return tenths(count) if abs(count) < 1000 else f"{count:.0f}"


def _knows(encoding: str, signs: _Signs) -> bool:
    """Return whether an encoding has the characters of lines and arrows."""
    try:
        "".join([signs.life, signs.left, signs.right, *signs.shafts.values()]).encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
