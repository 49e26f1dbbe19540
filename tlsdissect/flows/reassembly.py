# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Reassembly of one direction of a TCP connection (RFC 9293 section 3.4).

Goal: deliver each byte of the stream once and in order, with the frame and time of its segment. A segment in order is
delivered as it is, without a copy; all others are held in a heap by stream offset until the hole before them is filled.
So n segments in order cost O(n), and n in any order O(n log n). Overlaps are cut off at delivery.
Copies that differ are found in `handshake/segments.py`; docs/reassembly.md says which of them counts.

The caller limits `held_bytes`: only it knows the budget of all connections, and reports the bytes that it gives up.

Two alternatives were rejected. One buffer indexed by stream offset would lose the frames and times of segments, and a
single forged sequence number would make it up to 2 GiB large. A sorted list of disjoint segments would resolve overlaps
at insertion, which costs O(n) for each segment before many others.
"""

from __future__ import annotations

from heapq import heappop, heappush

import cython

from tlsdissect.flows.sequence import add, difference

OVERHEAD = 128
"""Estimated bytes that a held segment takes besides its payload."""


@cython.cclass
class PlacedSegment:
    """A segment's payload with its stream offset, frame and time."""

    __slots__ = ("data", "frame", "offset", "size", "time")

    offset: cython.longlong
    data: bytes
    size: cython.longlong
    """Bytes on the wire; more than `data` has if the snap length cut the segment."""
    frame: cython.longlong
    time: cython.longlong

    def __init__(
        self,
        offset: cython.longlong,
        data: bytes,
        size: cython.longlong,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> None:
        self.offset = offset
        self.data = data
        self.size = size
        self.frame = frame
        self.time = time

    def __lt__(self, other: PlacedSegment) -> bool:
        if self.offset != other.offset:
            return self.offset < other.offset
        # Of two segments at the same offset, the first in the capture counts.
        return (self.frame, self.data, self.size, self.time) < (other.frame, other.data, other.size, other.time)

    @property
    def end(self) -> cython.longlong:
        """The stream offset after the segment."""
        return self.offset + self.size


@cython.no_gc
@cython.cclass
class Assembler:
    """Delivers each byte once, in order.

    A byte that was delivered is final. Of held segments that overlap, the one with the lower offset counts.

    Stream offsets count from the first byte after the SYN, or from the first segment if no SYN was captured. They do
    not wrap.
    """

    __slots__ = ("_base", "_held", "_merged", "held_bytes", "position", "started")

    started: cython.bint
    """Whether the sequence number of the first byte is known."""
    position: cython.longlong
    """Stream offset of the next byte to deliver."""
    held_bytes: cython.longlong
    """Bytes of the segments held after a hole, plus OVERHEAD for each."""
    _base: cython.longlong
    """Sequence number of stream offset 0, once `started`."""
    _held: list[PlacedSegment]
    """A heap, by stream offset, of the segments held after a hole."""
    _merged: cython.longlong
    """Number of held segments after they were last merged."""

    def __init__(self) -> None:
        self.started = False
        self.position = 0
        self.held_bytes = 0
        self._base = 0
        self._held = []
        self._merged = 0

    @cython.ccall
    def is_holding(self) -> cython.bint:
        """Return whether bytes are held after a hole."""
        return len(self._held) > 0

    @property
    def next_held(self) -> int:
        """Stream offset of the first byte held after a hole."""
        first: PlacedSegment = self._held[0]
        return first.offset

    @cython.ccall
    def start(self, sequence: cython.longlong) -> None:
        """Map the stream offset `position` to this sequence number."""
        self._base = add(sequence, -self.position)
        self.started = True

    @cython.ccall
    def offset(self, sequence: cython.longlong) -> cython.longlong:
        """Return the stream offset of a sequence number that is nearest to `position`."""
        if not self.started:
            self.start(sequence)
        return self.position + difference(sequence, self._base + self.position)

    @cython.ccall
    @cython.exceptval(-1)
    def sequence(self, offset: cython.longlong) -> cython.longlong:
        """Return the sequence number of a stream offset."""
        return add(self._base, offset)

    @cython.ccall
    def expects(self, sequence: cython.longlong) -> cython.bint:
        """Return whether the next byte to deliver has this sequence number."""
        return self.started and difference(sequence, self._base + self.position) == 0

    @cython.ccall
    @cython.exceptval(-1)
    def advance(self, sequence: cython.longlong, size: cython.longlong) -> cython.bint:
        """Deliver a segment without copying it if it is in order and none is held; return whether that is so."""
        if not self.started or self._held or difference(sequence, self._base + self.position) != 0:
            return False
        self.position += size
        return True

    @cython.ccall
    def feed(
        self,
        sequence: cython.longlong,
        data: bytes,
        size: cython.longlong,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> tuple[PlacedSegment, ...]:
        """Add a segment; return the payload that is now deliverable, in order and without overlap."""
        offset: cython.longlong = self.offset(sequence)
        placed: PlacedSegment = PlacedSegment(offset, data, size, frame, time)
        if offset == self.position and not self._held:
            self.position = offset + size
            return (placed,)
        if offset > self.position:
            heappush(self._held, placed)
            self.held_bytes += len(data) + OVERHEAD
            return ()
        return self._deliver(placed)

    @cython.ccall
    def merge(self) -> None:
        """Merge held segments without a hole between them, each to one with the frame and time of the latest.

        Short segments take more memory than their payload. They are merged only if there are twice as many as the last
        time left, so that n segments cost O(n log n).
        """
        merged: list[PlacedSegment] = []
        parts: list[bytes] = []
        start: cython.longlong = 0
        end: cython.longlong = 0
        last: PlacedSegment | None = None
        one: PlacedSegment
        if len(self._held) < 2 * self._merged:
            return
        for one in sorted(self._held):
            whole: cython.bint = len(one.data) == one.size
            if last is None or one.offset > end or not whole:
                if last is not None:
                    merged.append(PlacedSegment(start, b"".join(parts), end - start, last.frame, last.time))
                parts, start, end, last = [one.data], one.offset, one.offset + one.size, one
                if not whole:
                    merged.append(one)
                    last = None
                continue
            if one.offset + one.size > end:
                parts.append(one.data[end - one.offset :])
                end = one.offset + one.size
            if one.frame > last.frame:
                last = one
        if last is not None:
            merged.append(PlacedSegment(start, b"".join(parts), end - start, last.frame, last.time))
        # A sorted list is a heap.
        self._held = merged
        self._merged = len(merged)
        self.held_bytes = sum([len(one.data) + OVERHEAD for one in merged])

    @cython.ccall
    def skip(self, octets: cython.longlong) -> None:
        """Skip bytes that arrived in order and are not needed."""
        self.position += octets

    def give_up(self) -> tuple[int, tuple[PlacedSegment, ...]]:
        """Skip the first hole, and return its size and the payload after it up to the next hole."""
        first: PlacedSegment = self._take_first()
        hole: cython.longlong = first.offset - self.position
        self.position = first.offset
        return hole, self._deliver(first)

    @cython.ccall
    def drop_held(self) -> None:
        """Discard the segments held after a hole."""
        self._held.clear()
        self.held_bytes = 0

    @cython.cfunc
    def _deliver(self, placed: PlacedSegment) -> tuple[PlacedSegment, ...]:
        """Deliver a segment that reaches the hole, and the held segments that are contiguous with it.

        Held segments get its frame and time, unless theirs are later: they become readable when the hole is filled.
        Bytes that the snap length cut off a segment are delivered as missing only where no held segment has them.
        """
        ready: list[PlacedSegment] = []
        current: PlacedSegment | None = placed
        cut: PlacedSegment = placed
        # The end of `cut`, of the segments so far the one that reaches farthest.
        sent: cython.longlong = self.position
        end: cython.longlong
        while True:
            if current is not None:
                end = current.offset + len(current.data)
                if end > self.position:
                    ready.append(self._piece(current, placed, current.data[self.position - current.offset :], end))
                if current.offset + current.size > sent:
                    cut = current
                    sent = cut.offset + cut.size
                current = None
            elif self._held and self.next_held <= self.position:
                current = self._take_first()
            elif sent > self.position:
                missing: PlacedSegment = self._piece(
                    cut, placed, b"", min(sent, self.next_held) if self._held else sent
                )
                last: PlacedSegment | None = ready[len(ready) - 1] if ready else None
                if last is not None and last.frame == missing.frame:
                    last.size += missing.size
                else:
                    ready.append(missing)
            else:
                break
        return tuple(ready)

    @cython.cfunc
    def _piece(self, one: PlacedSegment, placed: PlacedSegment, data: bytes, end: cython.longlong) -> PlacedSegment:
        """Deliver bytes of a segment up to a stream offset, now that another one has arrived."""
        start: cython.longlong = self.position
        later: PlacedSegment = one if one.frame > placed.frame else placed
        self.position = end
        return PlacedSegment(start, data, end - start, later.frame, later.time)

    @cython.cfunc
    def _take_first(self) -> PlacedSegment:
        first: PlacedSegment = heappop(self._held)
        self.held_bytes -= len(first.data) + OVERHEAD
        return first
