"""IP fragments, joined: the packet belongs to the frame of the fragment that completed it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture.rows import IP_PROTOCOL, Rows, together

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from tlsdissect.capture.rows import Int64s, Peeling

MAX_BYTES = 8 << 20
"""Bytes of fragments that wait for others, PACKET_BYTES and FRAGMENT_BYTES included; beyond, the packet that waits
longest is given up, and its fragments are counted."""
PACKET_BYTES = 1024
"""Bytes that a packet counts whose fragments wait: what fragments have in common, and the lists of them."""
FRAGMENT_BYTES = 256
"""Bytes that a fragment counts beside its own: an empty one takes memory, too."""
MAX_PACKETS = 4096
"""Packets that wait for fragments."""
MAX_FRAGMENTS = 8192
"""Fragments of one packet: as many as 64 KiB have in parts of 8 bytes; a packet of more is given up."""
_SLICE = 4096
"""Fragments whose places are numbers of Python at a time."""


class Fragment(msgspec.Struct, frozen=True):
    """One fragment."""

    key: bytes
    """What fragments of one packet have in common."""
    header: bytes
    """The IP header, as far as it stands in front of what is fragmented."""
    protocol: int
    offset: int
    last: bool
    body: bytes


class Incomplete:
    """A packet that misses fragments.

    Which of its bytes are covered is kept as ranges, apart from each other and in order. A fragment changes them at
    the cost of a search, so that the fragments are joined once, when nothing is missing, and not looked through for
    each that comes: the same one may come any number of times.
    """

    def __init__(self) -> None:
        self.size = PACKET_BYTES
        """Bytes that count in MAX_BYTES."""
        self.parts: list[tuple[int, bytes]] = []
        """Offset and bytes of each fragment, in the order of their coming."""
        self.header: bytes | None = None
        """The IP header of the fragment with offset 0 that came first."""
        self.protocol = 0
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._total: int | None = None
        """Bytes of the packet, once its last fragment was seen."""

    def add(self, fragment: Fragment) -> None:
        """Keep a fragment."""
        end = fragment.offset + len(fragment.body)
        self.size += FRAGMENT_BYTES + len(fragment.body)
        self.parts.append((fragment.offset, fragment.body))
        if fragment.offset == 0 and self.header is None:
            self.header, self.protocol = fragment.header, fragment.protocol
        if fragment.last and self._total is None:
            self._total = end
        self._cover(fragment.offset, end)

    def _cover(self, start: int, end: int) -> None:
        """Join a range with those that it overlaps or touches."""
        first, after = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < after:
            start, end = min(start, self._starts[first]), max(end, self._ends[after - 1])
        self._starts[first:after], self._ends[first:after] = [start], [end]

    def whole(self) -> tuple[bytes, int, bytes] | None:
        """Give header, protocol and body; None while bytes are missing.

        Of bytes that overlap, those of the fragment that begins first count.
        """
        if self.header is None or self._total is None or len(self._ends) > 1 or self._ends[0] < self._total:
            return None
        body = bytearray()
        for offset, part in sorted(self.parts, key=lambda part: part[0]):
            body += part[len(body) - offset :]
        return self.header, self.protocol, bytes(body[: self._total])


class Joined(msgspec.Struct, frozen=True):
    """Packets that were completed: their bytes, and where to go on in them."""

    data: bytearray
    kinds: Int64s
    rows: Rows


class Fragments:
    """The fragments that wait for others."""

    def __init__(self, skipped: Counter[str]) -> None:
        self._skipped = skipped
        # The first entry of a plain dict is searched behind all that were removed before it.
        self._waiting: OrderedDict[bytes, Incomplete] = OrderedDict()
        self._size = 0

    def join(self, view: Peeling) -> Joined:
        """Take the fragments of a batch, in the order of frames; give the packets that they complete."""
        data = bytearray()
        spots: list[tuple[int, int, int, int]] = []
        for record, at, end, limit, ip in _in_order(view.fragments):
            if end < limit:
                self._skipped["IP fragments cut by the snap length"] += 1
                continue
            whole = self._add(_read(view, ip, at, end))
            if whole is not None:
                header, protocol, body = whole
                start = len(data)
                data += header + body
                spots.append((record, start, start + len(header), protocol + IP_PROTOCOL))
        return _joined(data, spots)

    def finish(self) -> None:
        """Count what never became whole."""
        while self._waiting:
            self._drop(next(iter(self._waiting)))

    def _add(self, fragment: Fragment) -> tuple[bytes, int, bytes] | None:
        """Keep a fragment; give header, protocol and body of the packet if it is complete now."""
        waiting = self._waiting.get(fragment.key)
        if waiting is None:
            waiting = self._waiting[fragment.key] = Incomplete()
            self._size += waiting.size
        before = waiting.size
        waiting.add(fragment)
        self._size += waiting.size - before
        whole = waiting.whole()
        if whole is not None:
            self._forget(fragment.key)
            return whole
        if len(waiting.parts) > MAX_FRAGMENTS:
            self._drop(fragment.key)
        while self._size > MAX_BYTES or len(self._waiting) > MAX_PACKETS:
            self._drop(next(iter(self._waiting)))
        return None

    def _forget(self, key: bytes) -> Incomplete:
        waiting = self._waiting.pop(key)
        self._size -= waiting.size
        return waiting

    def _drop(self, key: bytes) -> None:
        self._skipped["IP fragments without the rest of their packet"] += len(self._forget(key).parts)


def _in_order(found: list[Rows]) -> Iterator[tuple[int, ...]]:
    """Yield record, place, end, limit and place of the IP header of each fragment, in the order of frames."""
    rows = together(found)
    columns = np.array([rows.record, rows.at, rows.end, rows.limit, rows.ip])
    order = np.lexsort(columns[::-1])
    for start in range(0, len(order), _SLICE):
        yield from zip(*columns[:, order[start : start + _SLICE]].tolist(), strict=True)


def _read(view: Peeling, ip: int, at: int, end: int) -> Fragment:
    """Read the fragment whose IP header is at `ip`; `at` is the same for IPv4, and the fragment header for IPv6."""
    data = view.data
    if data[ip] >> 4 == 4:
        body = ip + (data[ip] & 15) * 4
        field = int.from_bytes(data[ip + 6 : ip + 8], "big")
        offset, last = (field & 0x1FFF) * 8, not field & 0x2000
        # RFC 791 section 3.2: identification, addresses and protocol.
        key = bytes(data[ip + 4 : ip + 6]) + bytes(data[ip + 9 : ip + 10]) + bytes(data[ip + 12 : ip + 20])
        return Fragment(key, bytes(data[ip:body]), data[ip + 9], offset, last, bytes(data[body:end]))
    field = int.from_bytes(data[at + 2 : at + 4], "big")
    # RFC 8200 section 4.5: addresses and identification.
    key = bytes(data[ip + 8 : ip + 40]) + bytes(data[at + 4 : at + 8])
    return Fragment(key, bytes(data[ip : ip + 40]), data[at], field & 0xFFF8, not field & 1, bytes(data[at + 8 : end]))


def _joined(data: bytearray, spots: list[tuple[int, int, int, int]]) -> Joined:
    """Make rows of packets that lie one behind the other in `data`."""
    record, start, at, kinds = np.array(spots, np.int64).reshape(-1, 4).T
    end = np.append(start[1:], len(data))[: len(spots)]
    return Joined(data, kinds, Rows(record, at, end, end, start))
