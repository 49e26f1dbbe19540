"""Who talks to whom: conversations, their numbers and totals, and which packets still matter.

A conversation that nobody follows any more costs numpy work only: its rows are counted by column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.streams.following import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tlsdissect.streams.following import Follower

NEVER = int(np.iinfo(np.int64).max)
OVER = int(np.iinfo(np.int64).min)
FREE = -1

End = tuple[int, int, int]
"""Address (upper and lower 64 bits) and port."""


class Totals(NamedTuple):
    """What the columns hold of one conversation."""

    stream: int
    first_frame: int
    start: int
    end: int
    digits: int
    packets: int
    bytes: int
    family: int
    sender: End
    """Who sent the first packet."""
    other: End


class Columns:
    """Growing numpy columns, one row a conversation; a row's index is the conversation's identity while it is known."""

    __slots__ = (
        "_free", "base", "bytes", "closing", "digits", "due", "end", "first_frame", "forward", "key", "packets",
        "records", "size", "start", "state", "stream", "way",
    )  # fmt: skip

    def __init__(self, room: int = 1024) -> None:
        self.size = 0
        """Rows that are, or were, a conversation's."""
        self._free = np.empty(0, np.int64)
        self.key = np.zeros((room, 5), np.uint64)
        """The lower endpoint's address (high, low), the higher one's, and IP version, lower port, higher port."""
        self.forward = np.zeros(room, np.int64)
        """Which of the two sent the first packet: 0 the lower endpoint, 1 the higher one."""
        self.base = np.zeros((room, 2), np.int64)
        """Each endpoint's initial sequence number (one below the first one seen, without a SYN); -1: unknown."""
        self.stream = np.zeros(room, np.int64)
        """Number of the conversation; FREE: the row is nobody's."""
        self.first_frame = np.zeros(room, np.int64)
        self.start = np.zeros(room, np.int64)
        self.end = np.zeros(room, np.int64)
        self.closing = np.zeros((room, 3), np.int64)
        """The clock at each side's first FIN and at the first RST."""
        self.due = np.zeros(room, np.int64)
        """The clock at which the conversation is over."""
        self.digits = np.zeros(room, np.uint8)
        self.packets = np.zeros(room, np.int64)
        self.bytes = np.zeros(room, np.int64)
        self.state = np.zeros(room, np.uint8)
        self.records = np.full((room, 2, 3), UNKNOWN, np.int64)
        """`Next` of the first sender and of the other side, while records are what matters."""
        self.way = np.zeros((room, 17), np.int64)
        """TCP's own handshake, and a FIN or RST before any payload, as `ThreeWay.packed` writes it."""

    def add(self, count: int) -> NDArray[np.int64]:
        """Make room for so many more and return their indexes."""
        again, self._free = self._free[:count], self._free[count:]
        first, self.size = self.size, self.size + count - len(again)
        if self.size > len(self.stream):
            for name in _COLUMNS:
                column = getattr(self, name)
                more = np.zeros((max(self.size, 2 * len(column)), *column.shape[1:]), column.dtype)
                more[:first] = column[:first]
                setattr(self, name, more)
        index = np.append(again, np.arange(first, self.size))
        self.closing[index] = NEVER
        self.packets[index] = self.bytes[index] = 0
        self.records[index] = UNKNOWN
        return index

    def free(self, indexes: NDArray[np.int64]) -> None:
        """Let rows be used for other conversations."""
        self.stream[indexes] = FREE
        self.due[indexes] = OVER
        self._free = np.append(self._free, indexes)

    def expect(self, index: int, follower: Follower) -> None:
        """Note where the next records of a conversation stand: it may go on from there without its follower."""
        self.records[index] = [follower.next_record(sender) or UNKNOWN for sender in (0, 1)]

    def catch_up(self, index: int, follower: Follower) -> None:
        """Move a follower on to where its conversation stands."""
        for sender, (position, header, _) in enumerate(self.records[index].tolist()):
            if position != UNKNOWN.position:
                follower.skip_to(sender, position, header)
        self.records[index] = UNKNOWN

    @property
    def known(self) -> int:
        """Conversations that have a row."""
        return self.size - len(self._free)

    def totals(self, indexes: Sequence[int]) -> list[Totals]:
        """What is known of these conversations."""
        columns = (
            self.stream,
            self.first_frame,
            self.start,
            self.end,
            self.digits,
            self.packets,
            self.bytes,
            self.forward,
            self.key,
        )
        rows = zip(*(column[list(indexes)].tolist() for column in columns), strict=True)
        return [Totals(*plain, *_ends(forward, *key)) for *plain, forward, key in rows]  # type: ignore[call-arg]


_COLUMNS = [name for name in Columns.__slots__ if name not in ("_free", "size")]


def _ends(forward: int, low: int, lower: int, high: int, higher: int, rest: int) -> tuple[int, End, End]:
    """IP version, first sender and other side, from a conversation's key."""
    first, other = (low, lower, rest >> 16 & 0xFFFF), (high, higher, rest & 0xFFFF)
    return rest >> 32, other if forward else first, first if forward else other
