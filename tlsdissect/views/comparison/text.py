"""Comparisons for a terminal: the versions side by side, and what can be concluded."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from tlsdissect.views.comparison.clocks import LOCAL, NOT_SEEN
from tlsdissect.views.comparison.sections import sections
from tlsdissect.views.printable import columns, encoded, printable, shortened, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.views.comparison.model import Difference, Group

WIDEST = 110
"""Columns beyond which a comparison does not grow."""
_LABEL, _LONGEST, _ROOM = 28, 48, 26
_BETWEEN = " / "
_BOLD, _FAINT = "1", "2"
_UNITS = {"round_trips": "round trips", "milliseconds": "ms", "in_round_trips": "TCP round trips"}
_LESS = {"round_trips": "fewer"}


class Text:
    """Comparisons as text of a width, which is at least 60 columns."""

    def __init__(self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> None:
        self._width = max(min(width or WIDEST, WIDEST), 60)
        self._coloured = coloured
        self._encoding = encoding

    def written(self, groups: Sequence[Group]) -> Iterator[bytes]:
        """Write groups, one below the other."""
        for number, group in enumerate(groups):
            gap = "\n" if number else ""
            yield encoded(gap + "".join(f"{line}\n" for line in self.lines(group)), self._encoding)

    def lines(self, group: Group) -> Iterator[str]:
        """Write a group, line by line."""
        if group.key is not None:
            yield self._styled(shortened(printable(group.key), self._width, tail=self._width // 2), _BOLD)
        if not group.sides:
            yield "no TLS connections"
            return
        versions = [side.version for side in group.sides]
        told = list(_told(group))
        room = self._room([versions, *(cells for _, rows in told for _, cells in rows)])
        yield self._styled(self._line("", versions, room), _BOLD)
        for heading, rows in told:
            yield self._styled(heading, _FAINT)
            yield from (self._line(f"  {label}", cells, room) for label, cells in rows)
        yield self._styled("TLS 1.2 beside TLS 1.3, by the same client and server", _FAINT)
        for said in (*conclusions(group.differences), *remarks(group)):
            yield from wrap(said, self._width, initial_indent="  ", subsequent_indent="    ")

    def _room(self, rows: Sequence[Sequence[str]]) -> int:
        """How wide a version's column is: no wider than needed where labels would have to be cut for it."""
        count, needed = len(rows[0]), max(len(cell) for row in rows for cell in row) + 2
        return min((self._width - _LABEL) // count, _ROOM, max(needed, (self._width - _LONGEST) // count))

    def _line(self, label: str, cells: Sequence[str], room: int) -> str:
        before = min(self._width - room * len(cells), _LONGEST)
        shown = shortened(printable(label), before - 1, tail=before * 2 // 5)
        padded = [_fitting(cell, room - 1).rjust(room) for cell in cells]
        return f"{shown}{' ' * (before - columns(shown))}{''.join(padded)}".rstrip()

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._coloured else text


def _told(group: Group) -> Iterator[tuple[str, list[tuple[str, list[str]]]]]:
    """The sections that have something to tell: headings, and rows of a label and a cell for each version."""
    for section in sections(group.sides):
        rows = [(label, [cell(side) for side in group.sides]) for label, cell in section.rows]
        told = [(label, cells) for label, cells in rows if any(cell.strip("-") for cell in cells)]
        if told:
            yield section.heading, told


def _fitting(cell: str, width: int) -> str:
    """Leave out the last of several numbers until the others fit: half a number tells a wrong one."""
    parts = cell.split(_BETWEEN)
    while len(parts) > 1 and columns(cell) > width:
        parts = parts[:-1]
        cell = _BETWEEN.join([*parts, "…"])
    return shortened(cell, width)


def conclusions(differences: Sequence[Difference] | None) -> Iterator[str]:
    """Say what differs; nothing is called a difference whose interval holds zero."""
    if differences is None:
        yield "too few to say anything: 10 connections of each version are needed"
    for one in differences or ():
        what = f"{one.kind}, {_UNITS[one.measure]}:"
        pairs = f"{one.pairs:,} pair{'' if one.pairs == 1 else 's'}"
        interval = f"(95 %: {one.low:.2f} to {one.high:.2f}; {one.connections:,} connections, {pairs})"
        if one.differs:
            more = _LESS.get(one.measure, "less") if one.difference > 0 else "more"
            yield f"{what} TLS 1.3 takes {abs(one.difference):.2f} {more} {interval}"
        else:
            yield f"{what} no difference to be told {interval}"


def remarks(group: Group) -> Iterator[str]:
    """Say what has to be minded when these numbers are read."""
    newer = next((side for side in group.sides if side.version == "TLS 1.3"), None)
    if newer is not None and "first_record" in newer.milliseconds:
        yield "TLS 1.3 encrypts tickets as it does data: the server's first byte is told together with them"
    if any(side.capture_points.get(LOCAL) for side in group.sides):
        yield "where TCP's round trip takes less than 1 ms, programs weigh more than the path: see the ms"
    if any(side.capture_points.get(NOT_SEEN) for side in group.sides):
        yield "where TCP's handshake was not seen, times are those of the capture point"
    if group.unpaired:
        yield f"{group.unpaired:,} connections were left out of the pairs, for there were too many"
