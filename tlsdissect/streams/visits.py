"""The packets of a conversation that still matter, made ready for Python."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from tlsdissect.streams.columns import CLOSED, FIN, FOLLOW, RECORDS, RST, WATCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Packets

    Indexes = NDArray[np.int64]

HELLO_START = 11
"""Bytes by which a ClientHello or ServerHello at the start of a record is told from other bytes."""

_HELLO = ((0, 22, 22), (1, 3, 3), (2, 0, 4), (5, 1, 2), (6, 0, 0), (9, 3, 3))
"""Places in the payload and what may stand there: record type and version, message type, its length, its version."""
_FEW = 24
"""Rows that are sooner looked at one by one than sorted out."""
_AHEAD = 64
"""Rows of a followed conversation that are made ready at once."""


class Row(NamedTuple):
    """One packet of a conversation."""

    frame: int
    time: int
    sender: int
    """0: who sent the conversation's first packet; 1: the other side."""
    flags: int
    sequence: int
    acknowledgement: int
    length: int
    payload: int
    captured: int
    place: int


class Follower(Protocol):
    """Who looks at a conversation's packets."""

    def feed(self, data: memoryview, rows: Sequence[Row]) -> int:
        """Look at packets; return what matters from now on."""

    def next_record(self, sender: int) -> tuple[int, int] | None:
        """Sequence numbers of the next byte expected of a side and of its next record header; None: out of step."""

    def plain_record(self, sender: int, data: memoryview, at: int, left: int) -> int:
        """Size of the record whose header stands here, if it says nothing; 0 if it must be looked at."""

    def skip_to(self, sender: int, position: int, header: int) -> None:
        """Step over bytes, seen in order; sequence numbers of the next byte, and of the next record header."""


class Rows:
    """The rows of a stretch of time, conversation by conversation, each conversation's in their order."""

    __slots__ = ("_packets", "flagged", "length", "order", "rows", "sender", "sequence")

    def __init__(self, packets: Packets, rows: Indexes, sender: Indexes, order: Indexes) -> None:
        self._packets = packets
        self.rows = rows
        self.sender = sender
        self.order = order
        self.length = packets.length[rows]
        self.flagged = (packets.flags[rows] & (FIN | RST)) != 0
        self.sequence = packets.sequence[rows].astype(np.int64)

    @property
    def data(self) -> memoryview:
        """What the rows' payloads point into."""
        return self._packets.data

    def take(self, at: Indexes) -> list[Row]:
        """Rows as Python values."""
        packets, rows = self._packets, self.rows[at]
        columns = (
            packets.frame[rows],
            packets.time[rows],
            self.sender[at],
            packets.flags[rows],
            self.sequence[at],
            packets.acknowledgement[rows],
            self.length[at],
            packets.payload[rows],
            packets.captured[rows],
            packets.place[rows],
        )
        return list(zip(*(column.tolist() for column in columns), strict=True))  # type: ignore[arg-type]

    def whole(self, at: Indexes) -> bool:
        """Whether the capture holds all bytes of these rows."""
        return bool((self._packets.captured[self.rows[at]] == self.length[at]).all())

    def payload_of(self, at: Indexes) -> Indexes:
        """Where the payloads of these rows begin in the data."""
        return self._packets.payload[self.rows[at]]

    def hellos(self, among: Indexes) -> Indexes:
        """Of these rows, those whose payload begins with the record of a ClientHello or ServerHello."""
        among = among[self._packets.captured[self.rows[among]] >= HELLO_START]
        for offset, low, high in _HELLO:
            byte = self._bytes(among, offset)
            among = among[(byte >= low) & (byte <= high)]
        return among

    def _bytes(self, at: Indexes, offset: int) -> NDArray[np.uint8]:
        data = np.frombuffer(self._packets.data, np.uint8)
        return data[self._packets.payload[self.rows[at]] + offset]


class Visit:
    """The rows of one conversation."""

    __slots__ = ("_end", "_next", "_ready", "_table", "index")

    def __init__(self, index: int, table: Rows, ready: list[Row], rest: int, end: int) -> None:
        self.index = index
        self._table = table
        self._ready = ready
        self._next = rest
        self._end = end

    def lead(self, follower: Follower, state: int) -> int:
        """Show the follower all that matters to it; return what will matter next time."""
        data = self._table.data
        if self._ready:
            state = follower.feed(data, self._ready)
        while self._next < self._end and state != CLOSED:
            if state == FOLLOW or self._end - self._next <= _FEW:
                state = follower.feed(data, self._take(np.arange(self._next, min(self._next + _AHEAD, self._end))))
            else:
                state = self._walk(follower) if state == RECORDS else self._seek(follower)
        return state

    def _take(self, at: Indexes) -> list[Row]:
        self._next = int(at[-1]) + 1 if len(at) else self._end
        return self._table.take(at)

    def _seek(self, follower: Follower) -> int:
        """Show the first packet that begins with a hello."""
        hellos = self._table.hellos(np.arange(self._next, self._end))
        if not len(hellos):
            self._next = self._end
            return WATCH
        return follower.feed(self._table.data, self._take(hellos[:1]))

    def _walk(self, follower: Follower) -> int:
        """Show the packets in which a record begins, each side's by itself, and those that end the conversation."""
        here = np.arange(self._next, self._end)
        self._next = self._end
        state = RECORDS
        for sender in (0, 1):
            mine = here[
                (self._table.sender[here] == sender) & ((self._table.length[here] > 0) | self._table.flagged[here])
            ]
            if len(mine):
                state = self._stride(follower, sender, mine)
        return state

    def _stride(self, follower: Follower, sender: int, mine: Indexes) -> int:
        """Step from record to record where a side's packets are in order and whole; else show them all."""
        table = self._table
        ends = np.cumsum(table.length[mine])
        start = int(table.sequence[mine[0]])
        in_order = ((table.sequence[mine[1:]] - start) & 0xFFFFFFFF == ends[:-1]).all() and table.whole(mine)
        expected = follower.next_record(sender)
        if not in_order or expected is None or expected[0] != start:
            return follower.feed(table.data, table.take(mine))
        steps = _Steps(ends.tolist(), (table.payload_of(mine) - (ends - table.length[mine])).tolist())
        stops = [*np.flatnonzero(table.flagged[mine]).tolist(), len(mine)]
        at, state = 0, RECORDS
        while at < len(mine):
            stop = stops[bisect_left(stops, at)]
            header = steps.hop(follower, sender, table.data, (expected[1] - start) & 0xFFFFFFFF, stop)
            row = min(bisect_right(steps.ends, header), stop)
            if row > at:
                follower.skip_to(sender, start + steps.ends[row - 1], start + max(header, steps.ends[row - 1]))
            if row < len(mine):
                state = follower.feed(table.data, table.take(mine[row : row + 1]))
            at = row + 1
            expected = follower.next_record(sender)
            if expected is None:
                return follower.feed(table.data, table.take(mine[at:]))
        return state


class _Steps(NamedTuple):
    """One side's rows as one run of bytes."""

    ends: list[int]
    """Where each row ends, counted from the first byte of the first."""
    places: list[int]
    """What to add to such an offset within a row to find its byte in the batch's data."""

    def hop(self, follower: Follower, sender: int, data: memoryview, header: int, stop: int) -> int:
        """Step over records that say nothing, up to the row `stop`; return where the next header begins."""
        ends = self.ends
        limit = ends[stop - 1] if stop else 0
        while header < limit:
            row = bisect_right(ends, header)
            size = follower.plain_record(sender, data, self.places[row] + header, ends[row] - header)
            if not size:
                break
            header += size
        return header


def starts_with_hello(payload: memoryview) -> bool:
    """Whether a payload begins with the record of a ClientHello or ServerHello."""
    return len(payload) >= HELLO_START and all(low <= payload[at] <= high for at, low, high in _HELLO)


def visits(table: Rows, owners: Indexes, counts: Indexes, state: NDArray[np.uint8]) -> list[Visit]:
    """The conversations to look at, in the order of their first rows.

    `owners` are the conversations in the order of `table`, `counts` how many rows each has there.
    """
    if not len(owners):
        return []
    ends = np.cumsum(counts)
    starts = ends - counts
    states = state[owners]
    row_state = np.repeat(states, counts)
    follow = (row_state == FOLLOW) | ((row_state == RECORDS) & np.repeat(counts <= _FEW, counts))
    matters = follow & (np.arange(len(row_state)) - np.repeat(starts, counts) < _AHEAD)
    ready = table.take(np.flatnonzero(matters))
    rows = np.add.reduceat(matters, starts, dtype=np.int64)
    wanted = (rows > 0) | (states == RECORDS)
    hellos = table.hellos(np.flatnonzero(row_state == WATCH))
    wanted[np.searchsorted(ends, hellos, "right")] = True
    rest = np.where(states == WATCH, starts, starts + rows)
    first = np.cumsum(rows) - rows
    columns = (owners, first, first + rows, rest, ends)
    order = np.argsort(table.order[starts])
    return [
        Visit(index, table, ready[begin:end], after, last)
        for index, begin, end, after, last in zip(*(c[order[wanted[order]]].tolist() for c in columns), strict=True)
    ]
