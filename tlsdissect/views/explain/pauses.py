"""Waits within a flight, and segments that were sent again: what a handshake's time was lost on below TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.transcript.connection import Side
    from tlsdissect.transcript.kept import Packet

WINDOW = 10
"""Segments that may be sent before the first acknowledgement (RFC 6928 section 2)."""
_NS = 1_000_000


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
    """A segment that was sent again."""

    sender: Side
    ms: float
    """After it was seen first."""
    frames: tuple[int, int]


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
            wait = (packet.time - run[-1].time) / _NS
            if heard is not None and wait >= least_ms:
                sent = sum(one.length for one in run)
                yield Pause(packet.sender, wait, sent, len(run), (run[-1].frame, heard.frame, packet.frame))
        else:
            run = []
        run.append(packet)
        heard = None


def repeats(packets: Sequence[Packet]) -> Iterator[Repeat]:
    """Segments all of whose bytes had been seen."""
    seen: dict[tuple[Side, int], Packet] = {}
    reached: dict[Side, int] = {"client": 0, "server": 0}
    for packet in packets:
        if not packet.length or packet.offset is None:
            continue
        end = packet.offset + packet.length
        first = seen.setdefault((packet.sender, packet.offset), packet)
        if end <= reached[packet.sender]:
            yield Repeat(packet.sender, (packet.time - first.time) / _NS, (first.frame, packet.frame))
        reached[packet.sender] = max(reached[packet.sender], end)


def segment_size(packets: Sequence[Packet], sender: Side) -> int:
    """The largest segment of a side: about what its path carries."""
    return max((packet.length for packet in packets if packet.sender == sender), default=0)
