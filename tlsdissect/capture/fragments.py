"""IP reassembly (RFC 791 section 3.2, RFC 8200 section 4.5), with bounds on what waits.

A reassembled packet belongs to the frame of the fragment that completed it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.differences import MAX_COPY, differing

if TYPE_CHECKING:
    from collections import Counter

IP_FRAGMENTS_BYTES = 8 << 20
"""Bytes of all fragments that wait for others, PACKET_BYTES and FRAGMENT_BYTES included. Beyond it, the packet that has
waited longest is dropped, and its fragments are counted."""
PACKET_BYTES = 1024
"""Bytes counted for each incomplete packet: its key, and the lists of its fragments."""
FRAGMENT_BYTES = 512
"""Bytes counted for each fragment besides its own: an empty one takes memory too."""
FRAME_BYTES = 40
"""Bytes counted for each frame of a fragment that came in several."""
MAX_PACKETS = 4096
"""Incomplete packets. Beyond it, the packet that has waited longest is dropped."""
MAX_FRAGMENTS = 8192
"""Fragments of one packet: 64 KiB in parts of 8 bytes. A packet with more is dropped."""
COMPLETE_BYTES = 1 << 20
"""Bytes of the latest complete packets, counted as those of IP_FRAGMENTS_BYTES, that later fragments are compared with.
Beyond it, the oldest is given up."""
MAX_LATE = 16
"""Fragments that differ from a complete packet, with which it is read again; further ones are not compared."""


class Fragment(NamedTuple):
    """One fragment."""

    key: bytes
    """The header fields by which fragments belong to one packet."""
    header: bytes
    """The IP header; in IPv6 without extension headers."""
    protocol: int
    """IP protocol number of the fragmented data."""
    offset: int
    last: bool
    body: bytes
    frames: tuple[int, ...]
    """The frames that it came in: several if it was inside a reassembled packet."""


class Reassembled(NamedTuple):
    """A packet put together from its fragments."""

    header: bytes
    """The IP header of its first fragment."""
    protocol: int
    body: bytes
    frames: tuple[int, ...]
    """The frames of all its fragments."""
    conflict: FragmentConflict | None
    """Where fragments that overlap differ, if they do."""


class FragmentConflict(NamedTuple):
    """Two fragments with different bytes at the same place of their packet: the first place.

    Where one says that the packet ends there and the other has bytes, it has none.
    """

    used: Fragment
    """The one whose bytes are used."""
    other: Fragment
    start: int
    """Offset in the packet, without its IP header, of the first byte that differs."""
    end: int
    """Offset after the last one, at most MAX_COPY bytes later."""
    before: int = 0
    """The frame that completed the packet without one of them, so that it is not known which counts; 0 if none did."""


def _conflict(parts: list[Fragment], others: list[Fragment], body: bytes) -> FragmentConflict | None:
    """Return where others of the fragments differ from the packet that `parts`, sorted by offset, were joined to."""
    for other in others:
        found = differing(other.body, body[other.offset : other.offset + len(other.body)])
        if found is not None:
            start, end = other.offset + found[0], other.offset + found[1]
            used = next(one for one in parts if one.offset + len(one.body) > start)
            return FragmentConflict(used, other, start, end)
    return None


def _other_end(parts: list[Fragment], others: list[Fragment], total: int) -> FragmentConflict | None:
    """Return the first of other fragments, in order of arrival, after which the packet ends elsewhere."""
    used = next(part for part in parts if part.last and part.offset + len(part.body) == total)
    for other in others:
        end = other.offset + len(other.body)
        if end > total or (other.last and end < total):
            start = max(min(end, total), other.offset)
            return FragmentConflict(used, other, start, min(max(end, total), start + MAX_COPY))
    return None


class PartialPacket:
    """A packet that lacks fragments.

    The bytes that have arrived are kept as sorted ranges that neither overlap nor touch. A binary search updates them
    for each fragment, so the fragments are joined only once, when no byte is missing. Checking all fragments at each
    arrival would take quadratic time, because a sender may repeat one fragment any number of times.
    """

    def __init__(self) -> None:
        self.size = PACKET_BYTES
        """Bytes counted towards IP_FRAGMENTS_BYTES."""
        self.parts: list[Fragment] = []
        """In order of arrival."""
        self._frames: dict[int, tuple[int, ...]] = {}
        """The frames of each fragment, by the identity of the tuple: fragments inside one packet share it."""
        self.begin: Fragment | None = None
        """The fragment with offset 0 that arrived first."""
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._total: int | None = None
        """Length of the packet; None until its last fragment has arrived."""

    def add(self, fragment: Fragment) -> None:
        """Add a fragment."""
        end = fragment.offset + len(fragment.body)
        self.size += FRAGMENT_BYTES + len(fragment.body) + FRAME_BYTES * (len(fragment.frames) - 1)
        self._frames[id(fragment.frames)] = fragment.frames
        self.parts.append(fragment)
        if fragment.offset == 0 and self.begin is None:
            self.begin = fragment
        if fragment.last and self._total is None:
            self._total = end
        self._cover(fragment.offset, end)

    def _cover(self, start: int, end: int) -> None:
        """Merge a range with those that it overlaps or touches."""
        first, after = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < after:
            start, end = min(start, self._starts[first]), max(end, self._ends[after - 1])
        self._starts[first:after], self._ends[first:after] = [start], [end]

    def reassemble(self) -> Reassembled | None:
        """Return the packet; None while bytes are missing.

        Where fragments overlap, the bytes of the one that begins first are used. The packet ends where the first
        fragment that is marked as its last one does.
        """
        if self.begin is None or self._total is None or self._ends[0] < self._total:
            return None
        body = bytearray()
        total = self._total
        parts = sorted((part for part in self.parts if part.offset <= total), key=lambda part: part.offset)
        for part in parts:
            body += part.body[len(body) - part.offset :]
        frames = tuple({frame for some in self._frames.values() for frame in some})
        overlaps = sum(len(part.body) for part in parts) > len(body)
        conflict = _other_end(self.parts, self.parts, total)
        if conflict is None and overlaps:
            conflict = _conflict(parts, parts, bytes(body))
        return Reassembled(self.begin.header, self.begin.protocol, bytes(body[: self._total]), frames, conflict)


class CompletePacket:
    """A packet that is complete, with later fragments that differ from it.

    Its receiver may have lost one of the fragments that completed it, and read it with one of these instead.
    """

    def __init__(self, packet: PartialPacket, reassembled: Reassembled) -> None:
        self.size = packet.size + len(reassembled.body)
        """Bytes counted towards COMPLETE_BYTES."""
        self._parts = sorted(packet.parts, key=lambda part: part.offset)
        self._completed = packet.parts[-1].frames[-1]
        self._body = reassembled.body
        self._late: list[Fragment] = []

    def read_again(self, fragment: Fragment) -> Reassembled | None:
        """Return the packet with a later fragment; None if this agrees with it, or begins another packet."""
        body, end = self._body, fragment.offset + len(fragment.body)
        agrees = fragment.body == body[fragment.offset : end] and (not fragment.last or end == len(body))
        # Of TCP, the first bytes are the ports and the sequence number: a packet that reuses the identification has
        # others.
        begins = fragment.offset == 0 and fragment.body[:8] != body[:8]
        if agrees or begins or len(self._late) >= MAX_LATE:
            return None
        self._late.append(fragment)
        self.size += FRAGMENT_BYTES + len(fragment.body)
        packet = PartialPacket()
        for one in (*reversed(self._late), *self._parts):
            packet.add(one)
        reassembled = packet.reassemble()
        conflict = _other_end(self._parts, [fragment], len(body)) or _conflict(self._parts, [fragment], body)
        if reassembled is None or conflict is None:
            return None
        return reassembled._replace(conflict=conflict._replace(before=self._completed))


class Fragments:
    """All incomplete packets of a capture, by the key of their fragments."""

    def __init__(self, skipped: Counter[str]) -> None:
        self._skipped = skipped
        # An OrderedDict, because finding the first key of a plain dict scans the slots of all keys removed before it.
        self._waiting: OrderedDict[bytes, PartialPacket] = OrderedDict()
        self._size = 0
        self._complete: OrderedDict[bytes, CompletePacket] = OrderedDict()
        self._complete_size = 0
        self.latest: Reassembled | None = None
        """The latest packet of which fragments differ."""

    def add(self, fragment: Fragment) -> Reassembled | None:
        """Add a fragment; return its packet if it is complete now, or was complete and differs from this fragment."""
        packet = self._waiting.get(fragment.key)
        if packet is None:
            packet = self._waiting[fragment.key] = PartialPacket()
            self._size += packet.size
        before = packet.size
        packet.add(fragment)
        self._size += packet.size - before
        reassembled = packet.reassemble()
        if reassembled is not None:
            self._keep(self._remove(fragment.key), fragment.key, reassembled)
        elif packet.begin is None or packet.begin is fragment:
            reassembled = self._read_again(fragment)
        if reassembled is not None:
            if reassembled.conflict is not None:
                self.latest = reassembled
            return reassembled
        if len(packet.parts) > MAX_FRAGMENTS:
            self._drop(fragment.key)
        while self._size > IP_FRAGMENTS_BYTES or len(self._waiting) > MAX_PACKETS:
            self._drop(next(iter(self._waiting)))
        return None

    def finish(self) -> None:
        """Drop what never became complete, and count it."""
        while self._waiting:
            self._drop(next(iter(self._waiting)))

    def _remove(self, key: bytes) -> PartialPacket:
        packet = self._waiting.pop(key)
        self._size -= packet.size
        return packet

    def _keep(self, packet: PartialPacket, key: bytes, reassembled: Reassembled) -> None:
        """Keep a complete packet, to compare it with later fragments."""
        if key in self._complete:
            self._complete_size -= self._complete.pop(key).size
        complete = self._complete[key] = CompletePacket(packet, reassembled)
        self._count_complete(complete.size)

    def _read_again(self, fragment: Fragment) -> Reassembled | None:
        """Return a complete packet again with a fragment that differs from it."""
        complete = self._complete.get(fragment.key)
        if complete is None:
            return None
        before = complete.size
        reassembled = complete.read_again(fragment)
        self._count_complete(complete.size - before)
        return reassembled

    def _count_complete(self, size: int) -> None:
        """Count bytes of complete packets, and give up the oldest if they are too many."""
        self._complete_size += size
        while self._complete_size > COMPLETE_BYTES:
            self._complete_size -= self._complete.popitem(last=False)[1].size

    def _drop(self, key: bytes) -> None:
        self._skipped["IP fragments without the rest of their packet"] += len(self._remove(key).parts)
