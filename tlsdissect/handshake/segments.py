# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The segments of a handshake, kept until it is decided, so that it can be read again.

Payload is read as it comes. Two things show only later that this was wrong. Another segment may have other bytes at the
same place; their checksums show which of the two the receiver dropped. Or bytes are acknowledged before they are
captured, because the capture is not in the order of time. In both cases the handshake is read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import TCP, UNTIMED, Packet
from tlsdissect.flows.flow import ACK, FIN, RST, SYN, UNKNOWN
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.record_cursor import PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.flows.budget import Budget

KEPT_BYTES = 1 << 18
"""Maximum bytes kept of one handshake, including SEGMENT_BYTES per segment; a larger one is not read again."""
MAX_SEGMENTS = 1024
"""Maximum segments kept of one handshake; one with more is not read again."""
SEGMENT_BYTES = 256
"""Estimated bytes that a segment takes besides its payload."""
MAX_CONFLICTS = 16
"""Maximum conflicts reported of one connection."""
MAX_COMPARISONS = 8192
"""Maximum comparisons between segments of one connection; further segments are not compared."""
MAX_WITNESSES = 16
"""Segments of a sender whose checksums are verified to find out whether its checksums are valid in the capture."""
DOUBTFUL_BYTES = 64
"""Bytes kept of a segment that is not TLS and that its receiver may have dropped."""


@cython.no_gc
@cython.cclass
class KeptSegment:
    """A TCP segment as it was captured. It does not change."""

    sender: cython.longlong
    frame: cython.longlong
    time: cython.longlong
    flags: cython.longlong
    sequence: cython.longlong
    """Of the first byte of payload."""
    acknowledgement: cython.longlong
    length: cython.longlong
    header: bytes
    payload: bytes
    place: cython.longlong

    def __init__(
        self,
        sender: cython.longlong,
        frame: cython.longlong,
        time: cython.longlong,
        flags: cython.longlong,
        sequence: cython.longlong,
        acknowledgement: cython.longlong,
        length: cython.longlong,
        header: bytes,
        payload: bytes,
        place: cython.longlong,
    ) -> None:
        self.sender = sender
        self.frame = frame
        self.time = time
        self.flags = flags
        self.sequence = sequence
        self.acknowledgement = acknowledgement
        self.length = length
        self.header = header
        self.payload = payload
        self.place = place

    def packet(self, endpoints: bytes, frame: cython.longlong) -> Packet:
        """Return the segment as a packet with this frame number; `endpoints` may be those of either direction."""
        packet = Packet()
        packet.data = self.header + self.payload
        packet.frame, packet.time, packet.protocol = frame, self.time, TCP
        packet.endpoints = endpoints
        packet.sequence = add(self.sequence, -1) if self.flags & SYN else self.sequence
        packet.acknowledgement, packet.flags = self.acknowledgement, self.flags
        packet.payload, packet.length, packet.captured = len(self.header), self.length, len(self.payload)
        packet.place = self.place
        return packet

    def checksum(self, endpoints: bytes) -> bool | None:
        """Return whether the checksum is valid; None if bytes are missing, or a network card was to compute it.

        In that case the header contains the checksum of the pseudo-header alone, with or without the length.
        """
        if len(self.payload) < self.length:
            return None
        if self.packet(endpoints, self.frame).checksum_is_right():
            return True
        pseudo = int.from_bytes(endpoints[: len(endpoints) - 4], "big") + TCP
        begun = int.from_bytes(self.header[16:18], "big")
        sums = (pseudo, pseudo + len(self.header) + len(self.payload))
        return None if any((begun - one) % 0xFFFF == 0 for one in sums) else False


class Conflict(NamedTuple):
    """Two segments with different bytes at the same place."""

    first: KeptSegment
    second: KeptSegment
    sequence: int
    """Sequence number of the first byte that differs."""


# C integers, by the .pxd.
_SYN, _ACK, _RST, _UNKNOWN, _UNTIMED, _PADDING = SYN, ACK, RST, UNKNOWN, UNTIMED, PADDING
_SEGMENT_BYTES, _KEPT_BYTES, _MAX_SEGMENTS = SEGMENT_BYTES, KEPT_BYTES, MAX_SEGMENTS


@cython.cclass
class Segments:
    """The segments of an undecided handshake, in the order of the capture."""

    kept: list[KeptSegment]
    held_bytes: cython.longlong
    complete: cython.bint
    """No segment since the first payload is missing here."""
    conflicts: list[Conflict]
    comparisons: cython.longlong
    _budget: Budget
    _wrong: set[int]
    """Frames with a wrong checksum."""
    _sides: list[list[KeptSegment]]
    """The segments of each side with which later ones are compared."""
    _reached: list[int]
    """Sequence number after the last byte of each side; UNKNOWN before the first."""
    _acknowledged: list[int]
    """Latest acknowledgement number for each side; UNKNOWN before the first."""
    _back: cython.bint
    """The time decreased from one segment to the next."""
    _last: cython.longlong
    """The time of the latest segment."""
    _times: cython.longlong
    """Number of changes of the time."""
    _surprises: cython.longlong
    """Number of new segments that were captured after an acknowledgement of them."""

    def __init__(self, budget: Budget) -> None:
        self.kept = []
        self.held_bytes = 0
        self.complete = True
        self.conflicts = []
        self.comparisons = 0
        self._budget = budget
        self._wrong = set()
        self._sides = [[], []]
        self._reached = [UNKNOWN, UNKNOWN]
        self._acknowledged = [UNKNOWN, UNKNOWN]
        self._back = False
        self._last = UNTIMED
        self._times = 0
        self._surprises = 0

    @property
    def unordered(self) -> bool:
        """Whether segments were captured after their acknowledgement, and their times do not confirm this order."""
        return self._surprises > 0 and (self._back or not self._times)

    @cython.ccall
    def add(self, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Keep a packet of the handshake, and compare it with earlier ones; return whether it was kept."""
        size: cython.longlong = packet.captured + _SEGMENT_BYTES
        acknowledged: cython.longlong
        known: cython.longlong
        sequence: cython.longlong = packet.sequence
        payload: bytes
        if not self.complete or (packet.length == 0 and not self.kept):
            return False
        if self.held_bytes + size > _KEPT_BYTES or len(self.kept) >= _MAX_SEGMENTS or self._budget.is_spent():
            self.drop()
            return False
        if packet.flags & _SYN:
            sequence = add(sequence, 1)
        payload = packet.captured_payload()
        one = KeptSegment(
            sender,
            packet.frame,
            packet.time,
            packet.flags,
            sequence,
            packet.acknowledgement,
            packet.length,
            cut(packet.data, packet.transport, packet.payload),
            payload,
            packet.place,
        )
        acknowledged = self._acknowledged[sender]
        # The byte of a keep-alive (RFC 9293 section 3.8.4), padding, and the text in a RST (section 3.5.3) are no data.
        if packet.length > 0 and not packet.flags & _RST:
            keep_alive: cython.bint = (
                packet.length == 1 and acknowledged != _UNKNOWN and difference(sequence, acknowledged) < 0
            )
            if not keep_alive and (packet.length > _PADDING or payload.strip(b"\0")):
                self._compare(one, sender, sequence, packet.length, acknowledged)
        if packet.time != self._last and self.kept:
            self._times += packet.time != _UNTIMED
            self._back = self._back or packet.time < self._last
        self._last = packet.time
        if packet.flags & _ACK:
            known = self._acknowledged[1 - sender]
            if known == _UNKNOWN or difference(packet.acknowledgement, known) > 0:
                self._acknowledged[1 - sender] = packet.acknowledgement
        self.kept.append(one)
        self.held_bytes += size
        self._budget.used += size
        return True

    def doubtful(self, endpoints: bytes) -> KeptSegment | None:
        """Return the beginning of the latest segment if its checksum is wrong and it was not acknowledged."""
        if not self.kept:
            return None
        one = self.kept[len(self.kept) - 1]
        acknowledged = self._acknowledged[one.sender]
        if acknowledged != UNKNOWN and difference(acknowledged, one.sequence) > 0:
            return None
        if one.checksum(endpoints) is not False:
            return None
        return KeptSegment(
            one.sender,
            one.frame,
            one.time,
            one.flags,
            one.sequence,
            one.acknowledgement,
            one.length,
            b"",
            one.payload[:DOUBTFUL_BYTES],
            one.place,
        )

    def recall(self, one: KeptSegment) -> None:
        """Compare later segments with the beginning of one that was left out because of a wrong checksum."""
        self._wrong.add(one.frame)
        self._sides[one.sender].append(one)
        self._reached[one.sender] = add(one.sequence, len(one.payload))

    def drop(self) -> None:
        """Discard all segments, and keep no more."""
        self._budget.used -= self.held_bytes
        self.held_bytes = 0
        self.kept = []
        self._sides = [[], []]
        self.complete = False

    def false(self, endpoints: bytes) -> set[int]:
        """Return the frames of conflicting segments that the receiver dropped.

        A receiver drops a segment with a wrong checksum (RFC 9293 section 3.1). This is evidence only if the other
        segment and another one of the sender have valid checksums: else a network card may compute them later.
        """
        disputed = {one.frame for conflict in self.conflicts for one in conflict[:2]}
        found: set[int] = set()
        for conflict in self.conflicts:
            one, other = conflict.first, conflict.second
            right = [part.frame not in self._wrong and part.checksum(endpoints) for part in (one, other)]
            if set(right) == {True, False} and self._computes(one.sender, disputed, endpoints):
                found.add(other.frame if right[0] else one.frame)
        return found

    def in_order(self) -> list[KeptSegment]:
        """Return the segments in the order in which they were sent, by time or by acknowledgement numbers.

        The bytes that a side has sent and received never decrease from one of its segments to the next.
        """
        timed = all(one.time != UNTIMED for one in self.kept)
        orders = [self.kept]
        if timed:
            orders.append(sorted(self.kept, key=lambda one: one.time))
        orders.append(_by_acknowledgement(self.kept))
        return min(orders, key=_surprises)

    def _computes(self, sender: cython.longlong, disputed: set[int], endpoints: bytes) -> bool:
        """Return whether a sender's segments without conflicts have valid checksums."""
        others = [one for one in self.kept if one.sender == sender and one.frame not in disputed]
        return any(one.checksum(endpoints) is True for one in others[:MAX_WITNESSES])

    @cython.cfunc
    def _compare(
        self,
        one: KeptSegment,
        sender: cython.longlong,
        sequence: cython.longlong,
        length: cython.longlong,
        acknowledged: cython.longlong,
    ) -> cython.bint:
        """Compare a segment with earlier ones at the same place."""
        end: cython.longlong = add(sequence, length)
        reached: cython.longlong = self._reached[sender]
        earlier: list[KeptSegment] = self._sides[sender]
        if reached != _UNKNOWN and difference(sequence, reached) < 0:
            other: KeptSegment
            for other in earlier:
                self.comparisons += 1
                if self.comparisons > MAX_COMPARISONS or len(self.conflicts) >= MAX_CONFLICTS:
                    break
                at = _conflict(other, one)
                if at is not None:
                    self.conflicts.append(Conflict(other, one, at))
        elif acknowledged != _UNKNOWN and difference(acknowledged, end) >= 0:
            self._surprises += 1
        if reached == _UNKNOWN or difference(end, reached) > 0:
            self._reached[sender] = end
        earlier.append(one)
        return True


def _conflict(one: KeptSegment, other: KeptSegment) -> int | None:
    """Return the sequence number of the first byte in which two segments differ; None if they agree."""
    ahead = difference(other.sequence, one.sequence)
    mine, theirs = (one.payload[ahead:], other.payload) if ahead >= 0 else (one.payload, other.payload[0 - ahead :])
    size = min(len(mine), len(theirs))
    if mine[:size] == theirs[:size]:
        return None
    at = next(n for n in range(size) if mine[n] != theirs[n])
    return add(one.sequence, at + max(ahead, 0))


def _by_acknowledgement(kept: Sequence[KeptSegment]) -> list[KeptSegment]:
    """Sort segments by the number of bytes that their sender had sent and received."""
    begin: list[int | None] = [None, None]
    for one in kept:
        if begin[one.sender] is None:
            begin[one.sender] = one.sequence
        if begin[1 - one.sender] is None and one.flags & ACK:
            begin[1 - one.sender] = one.acknowledgement
    received = [0, 0]
    keyed = []
    for one in kept:
        mine, theirs = begin[one.sender] or 0, begin[1 - one.sender] or 0
        if one.flags & ACK:
            received[one.sender] = difference(one.acknowledgement, theirs)
        keyed.append((difference(one.sequence, mine) + received[one.sender], one))
    return [one for _, one in sorted(keyed, key=lambda pair: pair[0])]


def _surprises(order: Sequence[KeptSegment]) -> int:
    """Count new segments that come after an acknowledgement of them."""
    reached: list[int | None] = [None, None]
    acknowledged: list[int | None] = [None, None]
    count = 0
    for one in order:
        end = add(one.sequence, one.length + bool(one.flags & FIN))
        known, acked = reached[one.sender], acknowledged[one.sender]
        if known is None or difference(end, known) > 0:
            count += end != one.sequence and acked is not None and difference(acked, end) >= 0
            reached[one.sender] = end
        other = acknowledged[1 - one.sender]
        if one.flags & ACK and (other is None or difference(one.acknowledgement, other) > 0):
            acknowledged[1 - one.sender] = one.acknowledgement
    return count
