"""Bytes that never reached the other side, and whether the size of their segments is the likely reason."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.handshake.facts.timing import elapsed
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views.explain.model import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tlsdissect.model.connection import Connection, Side
    from tlsdissect.model.transcript import Packet

LEAST = 3
"""Times that bytes were sent from which on it is worth saying that nobody acknowledged them."""
_RETRANSMITTED = 1000.0
"""Milliseconds within which TCP sends again what is not acknowledged (RFC 6298 section 2)."""
_SYN = 2
_SHOWN = 8
"""Frames that a sentence names at most."""


class Unreceived(NamedTuple):
    """The first bytes of a side that the other side did not acknowledge."""

    sender: Side
    start: int
    """Stream offset, which is how much of the stream was acknowledged."""
    size: int
    from_start: bool
    """Whether stream offset 0 is the first byte that the side sent."""
    sent: tuple[Packet, ...]
    """The segments with all of them; none: the capture lacks them."""
    lost: int
    """Bytes of the shortest segment with them; of bytes that the capture lacks, how many there are."""
    passed: tuple[Packet, ...]
    """Segments of the side that arrived: acknowledged, or seen behind bytes that the capture lacks."""
    waited: float | None
    """Milliseconds from the last of these to the last packet; None where the capture does not tell."""

    @property
    def is_repeated(self) -> bool:
        """Whether there was time to send the bytes again, so that they were not merely on their way."""
        return len(self.sent) >= LEAST if self.sent else self.waited is not None and self.waited >= _RETRANSMITTED

    @property
    def only_shorter_passed(self) -> bool:
        """Whether only segments arrived that are shorter than what did not."""
        return bool(self.passed) and all(packet.length < self.lost for packet in self.passed)


def losses(c: Connection) -> Iterator[Sentence]:
    """What of a handshake that failed was never acknowledged."""
    if not isinstance(c, KeptConnection):
        return
    sides: tuple[Side, ...] = ("client", "server")
    for sender in sides:
        lost = unreceived(c.transcript.packets, sender)
        if lost is not None and lost.is_repeated:
            yield _never_acknowledged(lost)
            if lost.only_shorter_passed:
                yield _path_mtu(lost)


def unreceived(packets: Sequence[Packet], sender: Side) -> Unreceived | None:
    """Find the first bytes of a side that were not acknowledged; None where all were, or nobody is seen to."""
    mine = [(packet.offset, packet) for packet in packets if packet.sender == sender and packet.offset is not None]
    theirs = [packet for packet in packets if packet.sender != sender and packet.acknowledged is not None]
    start = max((packet.acknowledged or 0 for packet in theirs), default=None)
    # A SYN is acknowledged as if it were a byte in front of the stream.
    if start is None or start < 0:
        return None
    segments = [(offset, packet) for offset, packet in mine if packet.length]
    sent = [(offset, packet) for offset, packet in segments if offset <= start < offset + packet.length]
    behind = [(offset, packet) for offset, packet in segments if offset > start]
    if sent:
        size = min(offset + packet.length for offset, packet in sent) - start
        lost = min(packet.length for _, packet in sent)
    elif behind:
        size = lost = min(offset for offset, _ in behind) - start
    else:
        return None
    received = _Blocks(block for packet in theirs for block in packet.sacked)
    passed = [
        packet
        for offset, packet in segments
        if offset + packet.length <= start
        or (not sent and offset > start)
        or received.cover(offset, offset + packet.length)
    ]
    waited = elapsed(passed[-1].time, packets[-1].time) if passed else None
    from_start = any(packet.flags & _SYN for _, packet in mine)
    held = tuple(packet for _, packet in sent)
    return Unreceived(sender, start, size, from_start, held, lost, tuple(passed), waited)


class _Blocks:
    """Parts of a stream, put together where they touch."""

    def __init__(self, blocks: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(set(blocks)):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def cover(self, start: int, end: int) -> bool:
        """Whether one of the parts holds this one."""
        at = bisect_right(self._starts, start) - 1
        return at >= 0 and end <= self._ends[at]


def _never_acknowledged(lost: Unreceived) -> Sentence:
    if not lost.from_start:
        what = f"{lost.size:,} bytes of the {lost.sender}"
    elif lost.start:
        what = f"{lost.size:,} bytes of the {lost.sender}, behind its first {lost.start:,},"
    else:
        what = f"The {lost.sender}'s first {lost.size:,} bytes"
    how = f"were sent {len(lost.sent)} times" if lost.sent else "are not in the capture"
    again = "" if lost.sent else " were"
    if not lost.sent:
        others = ", while bytes behind them arrived"
    else:
        others = ", while shorter ones arrived" if lost.only_shorter_passed else ""
    frames = tuple(packet.frame for packet in (lost.sent or lost.passed[-1:]))
    text = f"{what} {how} and{again} never acknowledged{others}."
    return Sentence("end", "never_acknowledged", text, frames[:_SHOWN])


def _path_mtu(lost: Unreceived) -> Sentence:
    longest = max(packet.length for packet in lost.passed)
    text = f"Perhaps the path drops what is longer: segments of up to {longest:,} bytes arrived, and its MTU may be "
    text += "smaller than the two believe (RFC 2923 section 2.1)."
    frames = tuple(packet.frame for packet in lost.passed if packet.length == longest)
    return Sentence("end", "path_mtu", text, frames[:_SHOWN], guess=True)
