# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""One direction of a TCP conversation as bytes in order (RFC 9293 section 3.4)."""

from __future__ import annotations

from heapq import heappop, heappush

import cython

from tlsdissect.flows.sequence import add, difference

OVERHEAD = 128
"""Bytes that a held segment costs besides its own."""


@cython.cclass
class Arrival:
    """A segment's payload at its place in the stream, and the frame that brought it."""

    __slots__ = ("data", "frame", "offset", "size", "time")

    offset: cython.longlong
    data: bytes
    size: cython.longlong
    """Bytes the segment had on the wire: more than `data` where the capture cut it."""
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

    def __lt__(self, other: Arrival) -> bool:
        if self.offset != other.offset:
            return self.offset < other.offset
        # Of two copies of a byte, the first counts.
        return (self.frame, self.data, self.size, self.time) < (other.frame, other.data, other.size, other.time)

    @property
    def end(self) -> cython.longlong:
        """The stream offset behind the segment."""
        return self.offset + self.size


@cython.cclass
class Assembler:
    """Puts segments in order, each byte once; the first copy of a byte counts.

    Stream offsets count from the first byte behind the SYN (or from the first segment seen) and never wrap.
    """

    __slots__ = ("_base", "_held", "held_bytes", "position", "started")

    started: cython.bint
    """Whether the sequence number of the first byte is known."""
    position: cython.longlong
    """Stream offset of the next byte to deliver."""
    held_bytes: cython.longlong
    """What the segments that wait behind a hole cost: their bytes, and OVERHEAD for each."""
    _base: cython.longlong
    """Sequence number of stream offset 0, once that is known."""
    _held: list[Arrival]
    """A heap of the segments that wait behind a hole, the first of the stream on top."""

    def __init__(self) -> None:
        self.started = False
        self.position = 0
        self.held_bytes = 0
        self._base = 0
        self._held = []

    @property
    def holds(self) -> bool:
        """Whether bytes wait behind a hole."""
        return len(self._held) > 0

    @property
    def next_held(self) -> int:
        """Stream offset of the first byte that waits behind a hole."""
        first: Arrival = self._held[0]
        return first.offset

    @cython.ccall
    def start(self, sequence: cython.longlong) -> None:
        """Let stream offset `position` be at this sequence number."""
        self._base = add(sequence, -self.position)
        self.started = True

    @cython.ccall
    def offset(self, sequence: cython.longlong) -> cython.longlong:
        """Stream offset of a sequence number: of all that it may be, the one nearest to `position`."""
        if not self.started:
            self.start(sequence)
        return self.position + difference(sequence, self._base + self.position)

    @cython.ccall
    def sequence(self, offset: cython.longlong) -> cython.longlong:
        """Sequence number of a stream offset."""
        return add(self._base, offset)

    @cython.ccall
    def expects(self, sequence: cython.longlong) -> cython.bint:
        """Whether the next byte to deliver has this sequence number."""
        return self.started and difference(sequence, self._base + self.position) == 0

    @cython.ccall
    def advance(self, sequence: cython.longlong, size: cython.longlong) -> cython.bint:
        """Step over a segment that comes in order while none is held; tell whether it does."""
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
    ) -> tuple[Arrival, ...]:
        """Take a segment and return what can now be delivered, in order and without overlap."""
        offset: cython.longlong = self.offset(sequence)
        arrival: Arrival = Arrival(offset, data, size, frame, time)
        if offset == self.position and not self._held:
            self.position = offset + size
            return (arrival,)
        if offset > self.position:
            heappush(self._held, arrival)
            self.held_bytes += len(data) + OVERHEAD
            return ()
        return self._deliver(arrival)

    @cython.ccall
    def skip_to(self, sequence: cython.longlong) -> None:
        """Step over bytes that are known to have come in order and that nobody reads."""
        self.position = self.offset(sequence)

    def give_up(self) -> tuple[int, tuple[Arrival, ...]]:
        """Take the first hole as lost; return its size, and what stands behind it."""
        first: Arrival = self._take_first()
        hole: cython.longlong = first.offset - self.position
        self.position = first.offset
        return hole, self._deliver(first)

    @cython.ccall
    def drop_held(self) -> None:
        """Forget what waits behind a hole."""
        self._held.clear()
        self.held_bytes = 0

    @cython.cfunc
    def _deliver(self, arrival: Arrival) -> tuple[Arrival, ...]:
        """Deliver a segment that reaches the hole, and those held that follow on it.

        What it makes readable is as late as itself: the frame that fills a hole is the one that counts.
        """
        ready: list[Arrival] = []
        current: Arrival | None = arrival
        last: Arrival
        first: Arrival
        old: cython.longlong
        while current is not None:
            if current.offset + current.size > self.position:
                old = self.position - current.offset
                last = current if current.frame > arrival.frame else arrival
                ready.append(Arrival(self.position, current.data[old:], current.size - old, last.frame, last.time))
                self.position = current.offset + current.size
            current = None
            if self._held:
                first = self._held[0]
                if first.offset <= self.position:
                    current = self._take_first()
        return tuple(ready)

    @cython.cfunc
    def _take_first(self) -> Arrival:
        first: Arrival = heappop(self._held)
        self.held_bytes -= len(first.data) + OVERHEAD
        return first
