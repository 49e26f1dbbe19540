"""Comparisons as text for a terminal: the versions side by side, and the significant differences."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

from tlsdissect.views.comparison.client_times import LOCAL, NOT_SEEN
from tlsdissect.views.comparison.sections import filled_sections
from tlsdissect.views.printable import columns, encoded, printable, shortened, styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.views.comparison.model import Difference, Group

WIDEST = 110
"""Maximum width in columns."""
_LABEL, _LONGEST, _MAX_COLUMN = 28, 48, 26
_BETWEEN = " / "
_BOLD, _FAINT = "1", "2"
_UNITS = {"round_trips": "round trips", "milliseconds": "ms", "in_round_trips": "TCP round trips"}
_LESS = {"round_trips": "fewer"}


class Text:
    """Formats comparisons as text, at least 60 columns wide."""

    def __init__(self, width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> None:
        self._width = max(min(width or WIDEST, WIDEST), 60)
        self._coloured = coloured
        self._encoding = encoding

    def written(self, groups: Sequence[Group]) -> Iterator[bytes]:
        """Format groups, one below the other."""
        for number, group in enumerate(groups):
            gap = "\n" if number else ""
            yield encoded(gap + "".join(f"{line}\n" for line in self.lines(group)), self._encoding)

    def lines(self, group: Group) -> Iterator[str]:
        """Format a group, line by line."""
        if group.key is not None:
            yield self._styled(shortened(printable(group.key), self._width, tail=self._width // 2), _BOLD)
        if not group.sides:
            yield "no TLS connections"
            return
        versions = [side.version for side in group.sides]
        filled = list(filled_sections(group.sides))
        width = self._column_width([versions, *(cells for _, rows in filled for _, cells in rows)])
        yield self._styled(self._line("", versions, width), _BOLD)
        for heading, rows in filled:
            yield self._styled(heading, _FAINT)
            yield from (self._line(f"  {label}", cells, width) for label, cells in rows)
        yield self._styled("TLS 1.2 and TLS 1.3 between the same client and server", _FAINT)
        for sentence in (*conclusions(group.differences), *caveats(group)):
            yield from wrap(sentence, self._width, initial_indent="  ", subsequent_indent="    ")

    def _column_width(self, rows: Sequence[Sequence[str]]) -> int:
        """Return the width of a version's column: no wider than its cells need if labels would be cut for it."""
        count, needed = len(rows[0]), max(len(cell) for row in rows for cell in row) + 2
        return min((self._width - _LABEL) // count, _MAX_COLUMN, max(needed, (self._width - _LONGEST) // count))

    def _line(self, label: str, cells: Sequence[str], width: int) -> str:
        before = min(self._width - width * len(cells), _LONGEST)
        shown = shortened(printable(label), before - 1, tail=before * 2 // 5)
        padded = [_fitting(cell, width - 1).rjust(width) for cell in cells]
        return f"{shown}{' ' * (before - columns(shown))}{''.join(padded)}".rstrip()

    def _styled(self, text: str, style: str) -> str:
        return styled(text, style) if self._coloured else text


def _fitting(cell: str, width: int) -> str:
    """Drop the last of several numbers until the others fit: a number must not be cut in the middle."""
    parts = cell.split(_BETWEEN)
    while len(parts) > 1 and columns(cell) > width:
        parts = parts[:-1]
        cell = _BETWEEN.join([*parts, "…"])
    return shortened(cell, width)


def conclusions(differences: Sequence[Difference] | None) -> Iterator[str]:
    """Yield a sentence for each measure; a difference whose interval includes zero is not significant."""
    if differences is None:
        yield "too few connections to compare: 10 of each version are needed"
    for one in differences or ():
        what = f"{one.kind}, {_UNITS[one.measure]}:"
        pairs = f"{one.pairs:,} pair{'' if one.pairs == 1 else 's'}"
        interval = f"(95 %: {one.low:.2f} to {one.high:.2f}; {one.connections:,} connections, {pairs})"
        if one.differs:
            more = _LESS.get(one.measure, "less") if one.difference > 0 else "more"
            yield f"{what} TLS 1.3 takes {abs(one.difference):.2f} {more} {interval}"
        else:
            yield f"{what} no significant difference {interval}"


def caveats(group: Group) -> Iterator[str]:
    """Yield what a reader of these numbers must keep in mind."""
    newer = next((side for side in group.sides if side.version == "TLS 1.3"), None)
    if newer is not None and "first_record" in newer.milliseconds:
        yield "in TLS 1.3 the first server record may be a ticket: tickets and data are encrypted alike"
    if any(side.capture_points.get(LOCAL) for side in group.sides):
        yield "with a TCP round trip below 1 ms, the programs take more time than the path: compare the milliseconds"
    if any(side.capture_points.get(NOT_SEEN) for side in group.sides):
        yield "without a captured TCP handshake, times are those of the capture point, not of the client"
    if group.unpaired:
        yield f"{group.unpaired:,} connections were left out of the pairs, because there were too many"
