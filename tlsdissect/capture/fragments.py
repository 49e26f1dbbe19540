"""IP fragments, joined: the packet belongs to the frame of the fragment that completed it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections import Counter

MAX_BYTES = 8 << 20
"""Bytes of fragments that wait for others, PACKET_BYTES and FRAGMENT_BYTES included; beyond, the packet that waits
longest is given up, and its fragments are counted."""
PACKET_BYTES = 1024
"""Bytes that a packet counts whose fragments wait: what fragments have in common, and the lists of them."""
FRAGMENT_BYTES = 256
"""Bytes that a fragment counts beside its own: an empty one takes memory, too."""
MAX_PACKETS = 4096
"""Packets that wait for fragments; beyond, the packet that waits longest is given up."""
MAX_FRAGMENTS = 8192
"""Fragments of one packet: as many as 64 KiB have in parts of 8 bytes; a packet of more is given up."""


class Fragment(NamedTuple):
    """One fragment."""

    key: bytes
    """What fragments of one packet have in common."""
    header: bytes
    """The IP header, as far as it stands in front of what is fragmented."""
    protocol: int
    """IP's number of what the packet holds."""
    offset: int
    last: bool
    body: bytes


class Joined(NamedTuple):
    """A packet whose fragments are all there."""

    header: bytes
    """The IP header of its first fragment."""
    protocol: int
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
        """Offset and bytes of each fragment, in the order of arrival."""
        self._first: Fragment | None = None
        """The first to arrive of the fragments with offset 0."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._total: int | None = None
        """Bytes of the packet, once its last fragment was seen."""

    def add(self, fragment: Fragment) -> None:
        """Keep a fragment."""
        end = fragment.offset + len(fragment.body)
        self.size += FRAGMENT_BYTES + len(fragment.body)
        self.parts.append((fragment.offset, fragment.body))
        if fragment.offset == 0 and self._first is None:
            self._first = fragment
        if fragment.last and self._total is None:
            self._total = end
        self._cover(fragment.offset, end)

    def _cover(self, start: int, end: int) -> None:
        """Join a range with those that it overlaps or touches."""
        first, after = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < after:
            start, end = min(start, self._starts[first]), max(end, self._ends[after - 1])
        self._starts[first:after], self._ends[first:after] = [start], [end]

    def joined(self) -> Joined | None:
        """Return the packet; None while bytes are missing.

        Of bytes that overlap, those of the fragment that begins first count.
        """
        if self._first is None or self._total is None or len(self._ends) > 1 or self._ends[0] < self._total:
            return None
        body = bytearray()
        for offset, part in sorted(self.parts, key=lambda part: part[0]):
            body += part[len(body) - offset :]
        return Joined(self._first.header, self._first.protocol, bytes(body[: self._total]))


class Fragments:
    """The fragments that wait for others."""

    def __init__(self, skipped: Counter[str]) -> None:
        self._skipped = skipped
        # The first entry of a plain dict is searched behind all that were removed before it.
        self._waiting: OrderedDict[bytes, Incomplete] = OrderedDict()
        self._size = 0

    def add(self, fragment: Fragment) -> Joined | None:
        """Keep a fragment; return its packet if that is complete now."""
        waiting = self._waiting.get(fragment.key)
        if waiting is None:
            waiting = self._waiting[fragment.key] = Incomplete()
            self._size += waiting.size
        before = waiting.size
        waiting.add(fragment)
        self._size += waiting.size - before
        joined = waiting.joined()
        if joined is not None:
            self._forget(fragment.key)
            return joined
        if len(waiting.parts) > MAX_FRAGMENTS:
            self._drop(fragment.key)
        while self._size > MAX_BYTES or len(self._waiting) > MAX_PACKETS:
            self._drop(next(iter(self._waiting)))
        return None

    def finish(self) -> None:
        """Count what never became complete."""
        while self._waiting:
            self._drop(next(iter(self._waiting)))

    def _forget(self, key: bytes) -> Incomplete:
        waiting = self._waiting.pop(key)
        self._size -= waiting.size
        return waiting

    def _drop(self, key: bytes) -> None:
        self._skipped["IP fragments without the rest of their packet"] += len(self._forget(key).parts)
