"""Rows of headers on their way inwards, and the bytes they stand in."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from tlsdissect.capture.records import numbers

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Int64s: TypeAlias = NDArray[np.int64]
    Mask: TypeAlias = NDArray[np.bool_]
    Next: TypeAlias = Iterable[tuple[Int64s | int, "Rows"]]
    """What a header holds: kinds, one for all rows or one each, and the rows, moved to it."""
    Peel: TypeAlias = Callable[["Peeling", "Rows"], Next]

# What stands at a row's place is one number: an EtherType, or one of another registry, set apart by its upper bits.
IP_PROTOCOL = 0x1_0000
PPP_PROTOCOL = 0x2_0000
LINK_TYPE = 0x3_0000
INTERNAL = 0x4_0000
KINDS = 0x4_0100

ETHERNET, WIRELESS = LINK_TYPE + 1, LINK_TYPE + 105


class Rows(msgspec.Struct, frozen=True, gc=False):
    """Packets whose next header is of the same kind, or stands beside a column of kinds."""

    record: Int64s
    """Which of the batch's records."""
    at: Int64s
    """Where the next header begins."""
    end: Int64s
    """Where the captured bytes end."""
    limit: Int64s
    """Where the bytes end that the packet carried; behind `end` where the snap length cut it."""
    ip: Int64s
    """Where the innermost IP header so far begins; -1 before the first."""

    def __len__(self) -> int:
        return len(self.record)

    def where(self, mask: Mask) -> Rows:
        """Keep the rows that `mask` tells."""
        if mask.all():
            return self
        return Rows(self.record[mask], self.at[mask], self.end[mask], self.limit[mask], self.ip[mask])

    def moved(self, by: Int64s | int) -> Rows:
        """Step over a header."""
        return Rows(self.record, self.at + by, self.end, self.limit, self.ip)

    def within(self, limit: Int64s) -> Rows:
        """Let an inner length shorten what the outer ones left."""
        limit = np.minimum(limit, self.limit)
        return Rows(self.record, self.at, np.minimum(self.end, limit), limit, self.ip)


def together(parts: list[Rows]) -> Rows:
    """Put rows behind each other."""
    if len(parts) == 1:
        return parts[0]
    names = ("record", "at", "end", "limit", "ip")
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class Peeling:
    """The bytes of a batch, and what was found in them."""

    def __init__(self, data: bytearray | memoryview, skipped: Counter[str], *, quoted: bool = False) -> None:
        self.data = data
        self.quoted = quoted
        self.skipped = skipped
        self.u8: NDArray[np.uint8] = np.frombuffer(data, np.uint8)
        self.u16 = numbers(data, ">u2")
        self.u32 = numbers(data, ">u4")
        self.tcp: list[Rows] = []
        self.udp: list[Rows] = []
        self.fragments: list[Rows] = []
        self.quotes: list[tuple[Int64s | int, Rows]] = []
        self.detours: list[tuple[Int64s, Int64s]] = []
        """Where IP headers begin whose packets go on from their destination, and where the last address stands."""

    def byte(self, at: Int64s) -> Int64s:
        """Read the byte at each place."""
        return self.u8[at].astype(np.int64)

    def word(self, at: Int64s) -> Int64s:
        """Read two bytes, in network order, at each place."""
        return self.u16[at].astype(np.int64)

    def long(self, at: Int64s) -> Int64s:
        """Read four bytes, in network order, at each place."""
        return self.u32[at].astype(np.int64)

    def room(self, rows: Rows, size: Int64s | int, what: str = "") -> Rows:
        """Keep the rows that have `size` bytes more; count the others as `what`, if they count."""
        return self.good(rows, rows.at + size <= rows.end, what)

    def good(self, rows: Rows, mask: Mask, what: str = "") -> Rows:
        """Keep the rows that `mask` tells; count the others as `what`, if they count."""
        if what:
            lost = len(mask) - int(np.count_nonzero(mask))
            if lost:
                self.skipped[what] += lost
        return rows.where(mask)
