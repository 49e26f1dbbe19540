"""Waits within a flight, and segments that were sent again: what a handshake's time was lost on below TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.handshake.facts.timing import elapsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.model.connection import Side
    from tlsdissect.model.transcript import Packet

WINDOW = 10
"""Segments that may be sent before the first acknowledgement (RFC 6928 section 2)."""


class Pause(NamedTuple):
    """A side waited within what it had to say, until the other side acknowledged."""

    sender: Side
    ms: float
    sent: int
    """Bytes that it had sent since the other side spoke last."""
    segments: int
    """And in how many segments."""
    frames: tuple[int, int, int]
    """The segment before, the acknowledgement, the segment after."""


class Repeat(NamedTuple):
    """A segment that was seen before, or that came after what stands behind it."""

    sender: Side
    ms: float | None
    """After it was seen first, or after what stands behind it; None where the capture does not tell."""
    frames: tuple[int, int]
    late: bool
    """It was not seen before."""


def pauses(packets: Sequence[Packet], least_ms: float) -> Iterator[Pause]:
    """Waits of at least so long that an acknowledgement without data ended."""
    run: list[Packet] = []
    heard: Packet | None = None
    for packet in packets:
        if not packet.length:
            if run and packet.sender != run[-1].sender and packet.flags & 16:
                heard = packet
            continue
        if run and packet.sender == run[-1].sender:
            wait = elapsed(run[-1].time, packet.time)
            if heard is not None and wait is not None and wait >= least_ms:
                sent = sum(one.length for one in run)
                yield Pause(packet.sender, wait, sent, len(run), (run[-1].frame, heard.frame, packet.frame))
        else:
            run = []
        run.append(packet)
        heard = None


def repeats(packets: Sequence[Packet]) -> Iterator[Repeat]:
    """Segments that bring nothing new, and those that fill a hole in front of what was seen."""
    sides: dict[Side, _Seen] = {"client": _Seen(), "server": _Seen()}
    for packet in packets:
        if not packet.length or packet.offset is None:
            continue
        before, late = sides[packet.sender].add(packet, packet.offset)
        if before is not None:
            ms = elapsed(before.time, packet.time)
            yield Repeat(packet.sender, ms, (before.frame, packet.frame), late)


class _Seen:
    """What was seen of one side's bytes: all up to a place, but for holes."""

    def __init__(self) -> None:
        self._packets: list[tuple[int, Packet]] = []
        self._reached = 0
        self._holes: list[tuple[int, int, Packet]] = []
        """Each with the segment behind it."""

    def add(self, packet: Packet, start: int) -> tuple[Packet | None, bool]:
        """See a segment; the one that it should have come before and True, or the one that it repeats and False."""
        end = start + packet.length
        filled = [hole for hole in self._holes if start < hole[1] and hole[0] < end]
        before = filled[0][2] if filled else self._first(start) if end <= self._reached else None
        for hole in filled:
            self._holes.remove(hole)
            rest = ((hole[0], start, hole[2]), (end, hole[1], hole[2]))
            self._holes += (part for part in rest if part[0] < part[1])
        if start > self._reached and self._packets:
            self._holes.append((self._reached, start, packet))
        self._reached = max(self._reached, end)
        self._packets.append((start, packet))
        return before, bool(filled)

    def _first(self, byte: int) -> Packet | None:
        """The first segment with a byte."""
        return next((packet for start, packet in self._packets if start <= byte < start + packet.length), None)


def segment_size(packets: Sequence[Packet], sender: Side) -> int:
    """The largest segment of a side: about what its path carries."""
    return max((packet.length for packet in packets if packet.sender == sender), default=0)
