"""The segments of a handshake, kept until it is decided, so that it can be read again.

Payload is read as it comes. Two things show only later that this was wrong. Another segment may have other bytes at the
same place; their checksums show which of the two the receiver dropped. Or bytes are acknowledged before they are
captured, because the capture is not in the order of time. In both cases the handshake is read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from tlsdissect.capture.packet import TCP, UNTIMED, Packet
from tlsdissect.flows.flow import ACK, FIN, RST, SYN
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.record_cursor import PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.flows.limits import Budget

KEPT_BYTES = 1 << 18
"""Maximum bytes kept of one handshake, including SEGMENT_BYTES per segment; a larger one is not read again."""
KEPT_SEGMENTS = 1024
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


class KeptSegment(Struct, frozen=True, gc=False):
    """A TCP segment as it was captured."""

    sender: int
    frame: int
    time: int
    flags: int
    sequence: int
    """Of the first byte of payload."""
    acknowledgement: int
    length: int
    header: bytes
    payload: bytes
    place: int

    def packet(self, endpoints: bytes, frame: int) -> Packet:
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
        pseudo = int.from_bytes(endpoints[:-4], "big") + TCP
        begun = int.from_bytes(self.header[16:18], "big")
        sums = (pseudo, pseudo + len(self.header) + len(self.payload))
        return None if any((begun - one) % 0xFFFF == 0 for one in sums) else False


class Conflict(NamedTuple):
    """Two segments with different bytes at the same place."""

    first: KeptSegment
    second: KeptSegment
    sequence: int
    """Sequence number of the first byte that differs."""


class Segments:
    """The segments of an undecided handshake, in the order of the capture."""

    __slots__ = (
        "_acknowledged",
        "_back",
        "_budget",
        "_last",
        "_reached",
        "_sides",
        "_surprises",
        "_times",
        "_wrong",
        "comparisons",
        "complete",
        "conflicts",
        "held_bytes",
        "kept",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.kept: list[KeptSegment] = []
        self.held_bytes = 0
        self.complete = True
        """No segment since the first payload is missing here."""
        self.conflicts: list[Conflict] = []
        self.comparisons = 0
        self._wrong: set[int] = set()
        """Frames with a wrong checksum."""
        self._sides: tuple[list[KeptSegment], list[KeptSegment]] = ([], [])
        """The segments of each side with which later ones are compared."""
        self._reached: list[int | None] = [None, None]
        """Sequence number after the last byte of each side."""
        self._acknowledged: list[int | None] = [None, None]
        """Latest acknowledgement number for each side."""
        self._back = False
        """The time decreased from one segment to the next."""
        self._last = UNTIMED
        self._times = 0
        """Number of changes of the time."""
        self._surprises = 0
        """Number of new segments that were captured after an acknowledgement of them."""

    @property
    def unordered(self) -> bool:
        """Whether segments were captured after their acknowledgement, and their times do not confirm this order."""
        return self._surprises > 0 and (self._back or not self._times)

    def add(self, packet: Packet, sender: int) -> None:
        """Keep a packet of the handshake, and compare it with earlier ones."""
        if not self.complete or not (self.kept or packet.length):
            return
        acknowledged = self._acknowledged[sender]
        size = packet.captured + SEGMENT_BYTES
        if self.held_bytes + size > KEPT_BYTES or len(self.kept) >= KEPT_SEGMENTS or self._budget.spent:
            self.drop()
            return
        one = KeptSegment(
            sender=sender,
            frame=packet.frame,
            time=packet.time,
            flags=packet.flags,
            sequence=add(packet.sequence, 1) if packet.flags & SYN else packet.sequence,
            acknowledgement=packet.acknowledgement,
            length=packet.length,
            header=packet.data[packet.transport : packet.payload],
            payload=packet.captured_payload(),
            place=packet.place,
        )
        if not _is_no_data(one, acknowledged):
            self._compare(one, acknowledged)
        if packet.time != self._last and self.kept:
            self._times += packet.time != UNTIMED
            self._back = self._back or packet.time < self._last
        self._last = packet.time
        if one.flags & ACK:
            other = self._acknowledged[1 - sender]
            if other is None or difference(one.acknowledgement, other) > 0:
                self._acknowledged[1 - sender] = one.acknowledgement
        self.kept.append(one)
        self.held_bytes += size
        self._budget.used += size

    def doubtful(self, endpoints: bytes) -> KeptSegment | None:
        """Return the beginning of the latest segment if its checksum is wrong and it was not acknowledged."""
        if not self.kept:
            return None
        one = self.kept[-1]
        acknowledged = self._acknowledged[one.sender]
        if acknowledged is not None and difference(acknowledged, one.sequence) > 0:
            return None
        if one.checksum(endpoints) is not False:
            return None
        return structs.replace(one, header=b"", payload=one.payload[:DOUBTFUL_BYTES])

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
        self._sides = ([], [])
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

    def _computes(self, sender: int, disputed: set[int], endpoints: bytes) -> bool:
        """Return whether a sender's segments without conflicts have valid checksums."""
        others = [one for one in self.kept if one.sender == sender and one.frame not in disputed]
        return any(one.checksum(endpoints) is True for one in others[:MAX_WITNESSES])

    def _compare(self, one: KeptSegment, acknowledged: int | None) -> None:
        """Compare a segment with earlier ones at the same place."""
        end = add(one.sequence, one.length)
        reached = self._reached[one.sender]
        if reached is not None and difference(one.sequence, reached) < 0:
            for earlier in self._sides[one.sender]:
                self.comparisons += 1
                if self.comparisons > MAX_COMPARISONS or len(self.conflicts) >= MAX_CONFLICTS:
                    break
                at = _conflict(earlier, one)
                if at is not None:
                    self.conflicts.append(Conflict(earlier, one, at))
        elif acknowledged is not None and difference(acknowledged, end) >= 0:
            self._surprises += 1
        if reached is None or difference(end, reached) > 0:
            self._reached[one.sender] = end
        self._sides[one.sender].append(one)


def _is_no_data(one: KeptSegment, acknowledged: int | None) -> bool:
    """Return whether a segment has no stream data.

    The byte of a keep-alive (RFC 9293 section 3.8.4), padding, and the text in a RST (section 3.5.3) are none.
    """
    if not one.length or one.flags & RST:
        return True
    if one.length == 1 and acknowledged is not None and difference(one.sequence, acknowledged) < 0:
        return True
    return one.length <= PADDING and not one.payload.strip(b"\0")


def _conflict(one: KeptSegment, other: KeptSegment) -> int | None:
    """Return the sequence number of the first byte in which two segments differ; None if they agree."""
    ahead = difference(other.sequence, one.sequence)
    mine, theirs = (one.payload[ahead:], other.payload) if ahead >= 0 else (one.payload, other.payload[-ahead:])
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
