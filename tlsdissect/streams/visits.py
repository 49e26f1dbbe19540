"""The packets of a conversation that still matter, made ready for Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.streams.bulk import pass_over, silent_record
from tlsdissect.streams.following import CLOSED, FOLLOW, RECORDS, WATCH
from tlsdissect.streams.headers import await_acknowledgement, note_speakers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.streams.columns import Columns
    from tlsdissect.streams.following import Follower
    from tlsdissect.streams.segments import Segment, Segments

    Indexes = NDArray[np.int64]

_FEW = 12
"""Rows that are sooner looked at one by one than sorted out."""
_AHEAD = 64
"""Rows of a followed conversation that are made ready at once."""


class Strides:
    """The rows of each side of many conversations as runs of bytes, in which records can be found one by another.

    Rows that neither carry nor end anything are left out.
    """

    __slots__ = ("_breaks", "_cuts", "_ends", "_places", "_rows", "_sequences", "_sides", "_stops", "_table")

    def __init__(self, table: Segments, at: Indexes, owner: Indexes) -> None:
        self._table = table
        carries = (table.length[at] > 0) | table.flagged[at]
        at = at[carries]
        side = owner[carries] * 2 + table.sender[at]
        order = np.argsort(side, kind="stable")
        at, side = at[order], side[order]
        length, sequence, ends = table.length[at], table.sequence[at], np.cumsum(table.length[at])
        starts = np.flatnonzero(np.diff(side, prepend=-1))
        bounds = zip(starts.tolist(), np.append(starts, len(at))[1:].tolist(), strict=True)
        self._sides = dict(zip(side[starts].tolist(), bounds, strict=True))
        """Of each side, the first of its rows here, and the first that is another's."""
        self._rows = at.tolist()
        self._sequences = sequence.tolist()
        self._ends = [0, *ends.tolist()]
        """Where each row begins and the one before it ends, counted in bytes over all rows."""
        self._places = (table.payload_of(at) - ends + length).tolist()
        """What to add to such a count within a row to find its byte in the batch's data."""
        following = (sequence[:-1] + length[:-1] - sequence[1:]) & 0xFFFFFFFF == 0
        self._breaks = np.cumsum(np.append(False, ~following)).tolist()
        """How many rows up to each do not follow on the one before."""
        self._cuts = [0, *np.cumsum(~table.whole(at)).tolist()]
        """How many rows before each the capture has cut."""
        self._stops = [*np.flatnonzero(table.flagged[at]).tolist(), len(at)]

    def walk(self, follower: Follower, index: int, sender: int, begin: int) -> int:
        """Show the packets in which a record begins, of a conversation's side from row `begin` on, and those that end.

        A side whose packets are not in order or not whole is shown as it is.
        """
        first, last = self._sides.get(index * 2 + sender, (0, 0))
        first = bisect_left(self._rows, begin, first, last)
        if first == last:
            return RECORDS
        start, origin = self._sequences[first], self._ends[first]
        in_order = self._breaks[first] == self._breaks[last - 1] and self._cuts[first] == self._cuts[last]
        expected = follower.next_record(sender)
        if not in_order or expected is None or expected.position != start:
            return self._show(follower, first, last)
        at, state = first, RECORDS
        while at < last:
            stop = min(self._stops[bisect_left(self._stops, at)], last)
            header = self._hop(origin + ((expected.header - start) & 0xFFFFFFFF), expected.telling, (at, stop))
            row = min(bisect_right(self._ends, header, at + 1, last + 1) - 1, stop)
            if row > at:
                end = self._ends[row]
                follower.skip_to(sender, start + end - origin, start + max(header, end) - origin)
            if row < last:
                state = self._show(follower, row, row + 1)
            at = row + 1
            expected = follower.next_record(sender)
            if expected is None:
                return self._show(follower, at, last)
        return state

    def _show(self, follower: Follower, first: int, last: int) -> int:
        return follower.feed(self._table.data, self._table.take(np.array(self._rows[first:last], np.int64)))

    def _hop(self, header: int, telling: int, rows: tuple[int, int]) -> int:
        """Step over records that say nothing, within these rows; return where the next header begins."""
        ends, (first, last) = self._ends, rows
        while header < ends[last]:
            row = bisect_right(ends, header, first + 1, last + 1) - 1
            size = silent_record(self._table.data, self._places[row] + header, ends[row + 1] - header, telling)
            if not size:
                break
            header += size
        return header


class Visit:
    """The rows of one conversation."""

    __slots__ = ("_columns", "_end", "_next", "_ready", "_strides", "_table", "index")

    def __init__(
        self,
        index: int,
        columns: Columns,
        table: Segments,
        ready: list[Segment],
        rest: tuple[int, int],
        strides: Strides | None,
    ) -> None:
        self.index = index
        self._columns = columns
        self._table = table
        self._ready = ready
        self._next, self._end = rest
        self._strides = strides
        """The rows that are not ready, made so for walking; None: this is done when it comes to that."""

    @property
    def headers(self) -> list[Segment] | None:
        """The rows, where none has payload; None otherwise."""
        return None if self._next < self._end or any(row[6] for row in self._ready) else self._ready

    @property
    def left(self) -> tuple[int, int]:
        """How many rows, and bytes in them, stand behind those that were shown last."""
        return self._end - self._next, int(self._table.length[self._next : self._end].sum())

    def lead(self, follower: Follower, state: int) -> int:
        """Show the follower all that matters to it; return what will matter next time."""
        data = self._table.data
        if state == RECORDS:
            self._columns.catch_up(self.index, follower)
        if self._ready:
            state = follower.feed(data, self._ready)
        while self._next < self._end and state != CLOSED:
            if state == FOLLOW or self._end - self._next <= _FEW:
                state = follower.feed(data, self._take(np.arange(self._next, min(self._next + _AHEAD, self._end))))
            else:
                state = self._walk(follower) if state == RECORDS else self._seek(follower)
        if state == RECORDS:
            self._columns.expect(self.index, follower)
        return state

    def _take(self, at: Indexes) -> list[Segment]:
        self._next = int(at[-1]) + 1 if len(at) else self._end
        return self._table.take(at)

    def _seek(self, follower: Follower) -> int:
        """Show the next packet that begins with a hello or has a SYN, and the first of each side before that."""
        rows = np.arange(self._next, self._end)
        opening = self._table.openings(rows)[:1]
        before = rows[: opening[0] - self._next] if len(opening) else rows
        _, first = np.unique(self._table.sender[before], return_index=True)
        state = follower.feed(self._table.data, self._table.take(np.append(np.sort(before[first]), opening)))
        self._next = int(opening[0]) + 1 if len(opening) else self._end
        return state

    def _walk(self, follower: Follower) -> int:
        """Show the packets in which a record begins, each side's by itself, and those that end the conversation."""
        begin, self._next = self._next, self._end
        strides = self._strides
        if strides is None:
            rows = np.arange(begin, self._end)
            strides = Strides(self._table, rows, np.full(len(rows), self.index))
        return max(strides.walk(follower, self.index, sender, begin) for sender in (0, 1))


def visits(table: Segments, owners: Indexes, counts: Indexes, columns: Columns) -> list[Visit]:
    """The conversations to look at, in the order of their first rows.

    `owners` are the conversations in the order of `table`, `counts` how many rows each has there.
    """
    states = columns.state[owners]
    left = (states != CLOSED) & ~pass_over(columns.records, table, owners, counts, states == RECORDS)
    if not left.any():
        return []
    at, ends = np.flatnonzero(np.repeat(left, counts)), np.cumsum(counts)[left]
    owners, counts, states = owners[left], counts[left], states[left]
    starts = ends - counts
    row_state = np.repeat(states, counts)
    follow = (row_state == FOLLOW) | ((row_state == RECORDS) & np.repeat(counts <= _FEW, counts))
    matters = follow & (at - np.repeat(starts, counts) < _AHEAD)
    ready = table.take(at[matters])
    rows = np.add.reduceat(matters, np.cumsum(counts) - counts, dtype=np.int64)
    wanted = (rows > 0) | (states == RECORDS)
    openings = table.openings(at[row_state == WATCH])
    wanted[np.searchsorted(ends, openings, "right")] = True
    speakers = np.bitwise_or.reduceat(1 << table.sender[at], np.cumsum(counts) - counts)
    wanted |= await_acknowledgement(columns.way, owners, speakers)
    note_speakers(columns.way, owners[~wanted], speakers[~wanted])
    walked = ~matters & (row_state != WATCH)
    strides = Strides(table, at[walked], np.repeat(owners, counts)[walked]) if walked.any() else None
    rest = np.where(states == WATCH, starts, starts + rows)
    first = np.cumsum(rows) - rows
    parts = (owners, states, first, first + rows, rest, ends)
    order = np.argsort(table.order[starts])
    return [
        Visit(index, columns, table, ready[begin:end], (after, last), None if was == WATCH else strides)
        for index, was, begin, end, after, last in zip(
            *(part[order[wanted[order]]].tolist() for part in parts), strict=True
        )
    ]
