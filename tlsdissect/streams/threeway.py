"""TCP's own handshake, and a FIN or RST before any payload (RFC 9293 sections 3.5 and 3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.streams.segments import ACK, FIN, RST, SYN, Signal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.streams.segments import Segment

UNKNOWN = -(1 << 63)
"""Stands for a number that is not known: no time is so early."""


class ThreeWay:
    """What a conversation's packets tell before any of them carries payload; as numbers, a row of a column."""

    __slots__ = ("ack", "acked", "fins", "first", "opener", "passed", "resets", "seen", "spoken", "syn", "synack")

    def __init__(self) -> None:
        self.syn: int | None = None
        """Time of the last SYN before it was answered."""
        self.synack: int | None = None
        """Time of the last SYN-ACK before it was acknowledged."""
        self.ack: int | None = None
        """Time of the first acknowledgement of the SYN-ACK."""
        self.opener: int | None = None
        """Who sent the SYN."""
        self.first: list[int | None] = [None, None]
        """Sequence number of each side's first byte, where its SYN was seen."""
        self.acked: list[int | None] = [None, None]
        """Sequence number up to which each side's bytes were acknowledged last."""
        self.seen = [False, False]
        """Whether packets of each side were seen."""
        self.passed = False
        """Whether the first acknowledgement seen was one of payload: that of the SYN-ACK is not in the capture."""
        self.spoken = False
        """Whether payload was seen that is no TLS."""
        self.fins: list[Signal | None] = [None, None]
        """Each side's first FIN: segments may come out of order, so payload may follow it in the capture."""
        self.resets: list[Signal | None] = [None, None]
        """Each side's first RST: the other side may not have accepted it."""

    @classmethod
    def unpacked(cls, row: list[int]) -> ThreeWay:
        """Take a row of the column."""
        way = cls()
        known = [None if number == UNKNOWN else number for number in row]
        way.syn, way.synack, way.ack, way.opener = known[:4]
        way.first, way.acked = known[4:6], known[6:8]
        way.seen, way.spoken = [bool(row[8] & 1), bool(row[8] & 2)], bool(row[8] & 4)
        way.passed = bool(row[8] & 8)
        way.fins, way.resets = _signals(row[9:13]), _signals(row[13:17])
        return way

    def packed(self) -> list[int]:
        """Write a row of the column."""
        known = [self.syn, self.synack, self.ack, self.opener, *self.first, *self.acked]
        flags = self.seen[0] | self.seen[1] << 1 | self.spoken << 2 | self.passed << 3
        row = [UNKNOWN if number is None else number for number in known] + [flags]
        for signals in (self.fins, self.resets):
            row += [UNKNOWN if one is None else one.frame for one in signals]
            row += [UNKNOWN if one is None else one.end for one in signals]
        return row

    def see(self, sender: int, flags: int, time: int, sequence: int, acknowledgement: int) -> None:
        """Look at a packet's header."""
        self.seen[sender] = True
        if flags & SYN:
            self._synchronize(sender, flags, time, sequence)
        if flags & ACK:
            self.acked[1 - sender] = acknowledgement
            if self.ack is None and self.synack is not None and sender == self.opener and not flags & (SYN | RST):
                self._acknowledge(time, first=acknowledgement == self.first[1 - sender])

    def glance(self, sender: int, flags: int, time: int, sequence: int, acknowledgement: int) -> None:
        """Look at the header of a packet that is no TLS, where TCP's own handshake may still go on.

        Not all such packets are shown: each SYN is, and the first packet of each side, so the one of the opener must be
        the acknowledgement of the SYN-ACK, or that is not known.
        """
        self.seen[sender] = True
        if flags & SYN:
            self._synchronize(sender, flags, time, sequence)
        elif self.ack is None and self.synack is not None and sender == self.opener:
            plain = flags & (ACK | RST) == ACK
            self._acknowledge(time, first=plain and acknowledgement == self.first[1 - sender])

    def see_headers(self, segments: Sequence[Segment]) -> None:
        """Look at the headers of packets without payload."""
        for frame, time, sender, flags, sequence, acknowledgement, *_ in segments:
            self.see(sender, flags, time, sequence, acknowledgement)
            end = Signal(frame, (sequence + bool(flags & SYN)) & 0xFFFFFFFF)
            if flags & FIN and self.fins[sender] is None:
                self.fins[sender] = end
            if flags & RST and self.resets[sender] is None:
                self.resets[sender] = end

    def _acknowledge(self, time: int, *, first: bool) -> None:
        """Take the acknowledgement of the SYN-ACK; one of payload tells no round trip of TCP (RFC 8912 section 10)."""
        if first and not self.passed:
            self.ack = time
        else:
            self.passed = True

    def _synchronize(self, sender: int, flags: int, time: int, sequence: int) -> None:
        # Of several answers to a SYN that number their bytes differently, the last one not acknowledged yet counts.
        if self.first[sender] is None or self.acked[sender] is None:
            self.first[sender] = (sequence + 1) & 0xFFFFFFFF
        if not flags & ACK and self.synack is None:
            self.syn, self.opener = time, sender
        elif flags & ACK and self.ack is None and sender != self.opener:
            self.synack, self.opener = time, 1 - sender


def _signals(numbers: list[int]) -> list[Signal | None]:
    """Both sides' first FIN or RST, from both frames and both ends."""
    frames, ends = numbers[:2], numbers[2:]
    return [None if frame == UNKNOWN else Signal(frame, end) for frame, end in zip(frames, ends, strict=True)]


UNSEEN = ThreeWay().packed()
"""The row of a conversation of which nothing was seen."""
