"""Application data of followed conversations, stepped over by column: most of bulk traffic is that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.streams.following import EVERY

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.streams.segments import Segments

    Indexes = NDArray[np.int64]
    Mask = NDArray[np.bool_]

HEADER_SIZE = 5
_DATA = ((0, 23, 23), (1, 3, 3), (2, 0, 4), (3, 0, 71))
"""Places in a record's header and what stands there in one of application data: type, version, length (RFC 8446
section 5.1, and the longest of RFC 5246 section 6.2.1)."""
_FEW = 5
"""Sides that are sooner looked at one by one than in step."""


class _Sides(NamedTuple):
    """The bytes that the sides of some conversations sent in these rows, in one count over all of them."""

    owner: Indexes
    sender: Indexes
    origin: Indexes
    """Where each side's bytes begin."""
    end: Indexes
    sequence: Indexes
    """The sequence number there."""
    in_order: Mask
    """Whether they follow on one another, and the capture holds them all."""
    ends: Indexes
    """Where each row's bytes end."""
    places: Indexes
    """What to add to a count within a row to find its byte in the batch's data."""

    @classmethod
    def of(cls, table: Segments, at: Indexes, owner: Indexes) -> _Sides:
        """Sort the rows at these places, all of which carry bytes, by side."""
        side = owner * 2 + table.sender[at]
        order = np.argsort(side, kind="stable")
        at, side = at[order], side[order]
        length, sequence = table.length[at], table.sequence[at]
        ends = np.cumsum(length)
        starts = np.flatnonzero(np.diff(side, prepend=-1))
        odd = ~table.whole(at)
        odd[1:] |= (sequence[:-1] + length[:-1] - sequence[1:]) & 0xFFFFFFFF != 0
        # A side's first row follows on what its follower has seen, or does not: that is not told here.
        odd[starts] = ~table.whole(at[starts])
        origin = ends[starts] - length[starts]
        return cls(
            owner=side[starts] >> 1,
            sender=side[starts] & 1,
            origin=origin,
            end=np.append(origin[1:], ends[-1]),
            sequence=sequence[starts],
            in_order=~np.logical_or.reduceat(odd, starts),
            ends=ends,
            places=table.payload_of(at) - ends + length,
        )


def pass_over(records: NDArray[np.int64], table: Segments, owners: Indexes, counts: Indexes, followed: Mask) -> Mask:
    """Step over bytes that say nothing, and tell the conversations in whose rows there is nothing else.

    `owners` are the conversations in the order of `table`, `counts` how many rows each has there. Of those `followed`
    `records` has a `Next` for each side; it is moved on where a conversation is stepped over.
    """
    passed = followed.copy()
    at = np.flatnonzero(np.repeat(followed, counts))
    nth = np.repeat(np.arange(len(owners)), counts)[at]
    passed[nth[table.flagged[at]]] = False
    carries = passed[nth] & (table.length[at] > 0)
    if not carries.any():
        return passed
    sides = _Sides.of(table, at[carries], nth[carries])
    position, header, telling = records[owners[sides.owner], sides.sender].T
    header = sides.origin + ((header - sides.sequence) & 0xFFFFFFFF)
    silent = _hop(table.data, sides, header, telling, np.flatnonzero(sides.in_order & (position == sides.sequence)))
    passed[sides.owner[~silent]] = False
    done = passed[sides.owner]
    owner, sender, first = owners[sides.owner[done]], sides.sender[done], (sides.sequence - sides.origin)[done]
    records[owner, sender, 0] = (first + sides.end[done]) & 0xFFFFFFFF
    records[owner, sender, 1] = (first + np.maximum(header, sides.end)[done]) & 0xFFFFFFFF
    return passed


def silent_record(data: memoryview, at: int, left: int, telling: int) -> int:
    """Size of the record whose header stands here, with `left` bytes, if it says nothing; 0: it must be looked at."""
    if left < HEADER_SIZE or telling == EVERY or any(not low <= data[at + n] <= high for n, low, high in _DATA):
        return 0
    length = data[at + 3] << 8 | data[at + 4]
    return 0 if length == telling else HEADER_SIZE + length


def _hop(data: memoryview, sides: _Sides, header: Indexes, telling: Indexes, live: Indexes) -> Mask:
    """Move the headers of these sides from record to record; tell the sides in which all records say nothing."""
    octets = np.frombuffer(data, np.uint8)
    silent = np.zeros(len(header), np.bool_)
    silent[live] = header[live] >= sides.end[live]
    live = live[~silent[live]]
    while len(live) >= _FEW:
        here = header[live]
        row = np.searchsorted(sides.ends, here, "right")
        whole = here + HEADER_SIZE <= sides.ends[row]
        live, at = live[whole], (here + sides.places[row])[whole]
        plain = telling[live] != EVERY
        for place, low, high in _DATA:
            octet = octets[at + place]
            plain &= (octet >= low) & (octet <= high)
        length = octets[at + 3].astype(np.int64) << 8 | octets[at + 4]
        plain &= length != telling[live]
        live = live[plain]
        header[live] += HEADER_SIZE + length[plain]
        beyond = header[live] >= sides.end[live]
        silent[live[beyond]] = True
        live = live[~beyond]
    return silent
