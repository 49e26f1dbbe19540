"""One direction of a TCP conversation as bytes in order (RFC 9293 section 3.4)."""

from __future__ import annotations

from heapq import heappop, heappush
from operator import attrgetter

from msgspec import Struct

OVERHEAD = 128
"""Bytes that a held segment costs besides its own."""

_HALF = 1 << 31
_MASK = (1 << 32) - 1


class Arrival(Struct, frozen=True, order=True, gc=False):
    """A segment's payload at its place in the stream, and the frame that brought it."""

    offset: int
    data: bytes
    size: int
    """Bytes the segment had on the wire: more than `data` where the capture cut it."""
    frame: int
    time: int

    @property
    def end(self) -> int:
        """The stream offset behind the segment."""
        return self.offset + self.size


_frame = attrgetter("frame")


class Assembler:
    """Puts segments in order, each byte once; the first copy of a byte counts.

    Stream offsets count from the first byte behind the SYN (or from the first segment seen) and never wrap.
    """

    __slots__ = ("_base", "_held", "held_bytes", "position")

    def __init__(self) -> None:
        self._base: int | None = None
        self._held: list[Arrival] = []
        self.position = 0
        """Stream offset of the next byte to deliver."""
        self.held_bytes = 0

    @property
    def holds(self) -> bool:
        """Whether bytes wait behind a hole."""
        return bool(self._held)

    @property
    def started(self) -> bool:
        """Whether the sequence number of the first byte is known."""
        return self._base is not None

    def start(self, sequence: int) -> None:
        """Let stream offset `position` be at this sequence number."""
        self._base = (sequence - self.position) & _MASK

    def offset(self, sequence: int) -> int:
        """Stream offset of a sequence number: of all that it may be, the one nearest to `position`."""
        if self._base is None:
            self.start(sequence)
        expected = self._base + self.position  # type: ignore[operator]
        return self.position + ((sequence - expected + _HALF) & _MASK) - _HALF

    def sequence(self, offset: int) -> int:
        """Sequence number of a stream offset."""
        return ((self._base or 0) + offset) & _MASK

    def advance(self, sequence: int, size: int) -> bool:
        """Step over a segment that comes in order while none is held; tell whether it does."""
        if self._held or self._base is None or (self._base + self.position - sequence) & _MASK:
            return False
        self.position += size
        return True

    def feed(self, sequence: int, data: bytes, size: int, frame: int, time: int) -> tuple[Arrival, ...]:
        """Take a segment and return what can now be delivered, in order and without overlap."""
        offset = self.offset(sequence)
        if offset == self.position and not self._held:
            self.position = offset + size
            return (Arrival(offset, data, size, frame, time),)
        if offset > self.position:
            heappush(self._held, Arrival(offset, data, size, frame, time))
            self.held_bytes += len(data) + OVERHEAD
            return ()
        return self._deliver(Arrival(offset, data, size, frame, time))

    def skip_to(self, sequence: int) -> None:
        """Step over bytes that are known to have come in order and that nobody reads."""
        self.position = self.offset(sequence)

    def give_up(self) -> tuple[int, tuple[Arrival, ...]]:
        """Take the first hole as lost; return its size, and what stands behind it."""
        first = self._take_first()
        hole = first.offset - self.position
        self.position = first.offset
        return hole, self._deliver(first)

    @property
    def next_held(self) -> int:
        """Stream offset of the first byte that waits behind a hole."""
        return self._held[0].offset

    def drop_held(self) -> None:
        """Forget what waits behind a hole."""
        self._held.clear()
        self.held_bytes = 0

    def _deliver(self, arrival: Arrival) -> tuple[Arrival, ...]:
        """Deliver a segment that reaches the hole, and those held that follow on it.

        What it makes readable is as late as itself: the frame that fills a hole is the one that counts.
        """
        ready = []
        current: Arrival | None = arrival
        while current is not None:
            if current.end > self.position:
                old = self.position - current.offset
                last = max(arrival, current, key=_frame)
                ready.append(Arrival(self.position, current.data[old:], current.size - old, last.frame, last.time))
                self.position = current.end
            current = None
            if self._held and self._held[0].offset <= self.position:
                current = self._take_first()
        return tuple(ready)

    def _take_first(self) -> Arrival:
        first = heappop(self._held)
        self.held_bytes -= len(first.data) + OVERHEAD
        return first
