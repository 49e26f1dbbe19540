"""The segments of a handshake, kept until it is decided, so that it can be read again.

Bytes are read when they come. Two things show only later that they were read wrongly: another segment with other bytes
at the same place, where a checksum tells which of the two the receiver dropped; and acknowledgements of what comes
later in the capture, where the packets are not in the order of time. Then the handshake is read again from here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from tlsdissect.capture.packet import TCP, UNTIMED, Packet
from tlsdissect.flows.flow import ACK, FIN, RST, SYN
from tlsdissect.flows.sequence import add, difference
from tlsdissect.transcript.tracking.cursor import PADDING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.flows.limits import Budget

KEPT_BYTES = 1 << 18
"""Bytes that are kept of one handshake, with SEGMENT_BYTES for each segment; beyond, it is not read again."""
KEPT_SEGMENTS = 1024
"""Segments that are kept of one handshake; beyond, it is not read again."""
SEGMENT_BYTES = 256
"""Bytes that a segment takes by estimate besides its payload."""
MAX_CONFLICTS = 16
"""Conflicts of one conversation that are noted."""
MAX_COMPARISONS = 8192
"""Comparisons of one conversation's segments with earlier ones; what comes behind them is not compared."""
MAX_WITNESSES = 16
"""Segments of a sender whose checksums are verified to see whether it computes them itself."""
DOUBTFUL_BYTES = 64
"""Bytes that are kept of a segment that is no TLS and that its receiver may have dropped."""


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
        """Return it as a packet with this frame's number; `endpoints` are those of either direction."""
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
        """Tell whether the checksum is right; None: bytes are missing, or the network card was to compute it.

        What a card is to complete is the sum of the pseudo-header alone, with or without the length in it.
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
    """Two segments that have other bytes at the same place."""

    first: KeptSegment
    second: KeptSegment
    sequence: int
    """Sequence number of the first byte that differs."""


class Segments:
    """What was captured of a handshake that is not decided, in the order of the capture."""

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
        """Nothing was left out since the first payload."""
        self.conflicts: list[Conflict] = []
        self.comparisons = 0
        self._wrong: set[int] = set()
        """Frames whose checksum is known to be wrong."""
        self._sides: tuple[list[KeptSegment], list[KeptSegment]] = ([], [])
        """What each side's later segments are compared with."""
        self._reached: list[int | None] = [None, None]
        """Sequence number behind the furthest byte of each side."""
        self._acknowledged: list[int | None] = [None, None]
        """How far the other side has acknowledged each side."""
        self._back = False
        """Time went back from one segment to the next."""
        self._last = UNTIMED
        self._times = 0
        """How often the time changed."""
        self._surprises = 0
        """Segments that came behind an acknowledgement of them, and were not seen before."""

    @property
    def unordered(self) -> bool:
        """Whether segments stand behind what acknowledges them, and the times do not say that this is their order."""
        return self._surprises > 0 and (self._back or not self._times)

    def add(self, packet: Packet, sender: int) -> None:
        """Keep a packet that belongs to the handshake, and compare it with those before."""
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
        """Return the beginning of the latest segment if it has a wrong checksum and nobody has acknowledged it."""
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
        """Compare what comes with the beginning of a segment that was left out, for its checksum is wrong."""
        self._wrong.add(one.frame)
        self._sides[one.sender].append(one)
        self._reached[one.sender] = add(one.sequence, len(one.payload))

    def drop(self) -> None:
        """Keep nothing any more."""
        self._budget.used -= self.held_bytes
        self.held_bytes = 0
        self.kept = []
        self._sides = ([], [])
        self.complete = False

    def false(self, endpoints: bytes) -> set[int]:
        """Return the frames of the segments that conflict with others and that the receiver dropped.

        A receiver drops a segment with a wrong checksum (RFC 9293 section 3.1). It is told by that only where the
        other segment's is right, and others of the sender are: elsewhere a network card may compute them.
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
        """Return the segments in the order in which they were sent: by time, or by what they acknowledge.

        Whoever acknowledges bytes has them: what a side has sent and received only grows from segment to segment.
        """
        timed = all(one.time != UNTIMED for one in self.kept)
        orders = [self.kept]
        if timed:
            orders.append(sorted(self.kept, key=lambda one: one.time))
        orders.append(_by_acknowledgement(self.kept))
        return min(orders, key=_surprises)

    def _computes(self, sender: int, disputed: set[int], endpoints: bytes) -> bool:
        """Whether a sender's segments have right checksums, those in conflict left out."""
        others = [one for one in self.kept if one.sender == sender and one.frame not in disputed]
        return any(one.checksum(endpoints) is True for one in others[:MAX_WITNESSES])

    def _compare(self, one: KeptSegment, acknowledged: int | None) -> None:
        """See whether a segment's bytes came before, and whether they are the same."""
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
    """Whether there is no payload, or none that counts.

    That of a keep-alive does not (RFC 9293 section 3.8.4), nor padding, nor the text of an RST (section 3.5.3).
    """
    if not one.length or one.flags & RST:
        return True
    if one.length == 1 and acknowledged is not None and difference(one.sequence, acknowledged) < 0:
        return True
    return one.length <= PADDING and not one.payload.strip(b"\0")


def _conflict(one: KeptSegment, other: KeptSegment) -> int | None:
    """Sequence number of the first byte in which two segments differ; None: they have none."""
    ahead = difference(other.sequence, one.sequence)
    mine, theirs = (one.payload[ahead:], other.payload) if ahead >= 0 else (one.payload, other.payload[-ahead:])
    size = min(len(mine), len(theirs))
    if mine[:size] == theirs[:size]:
        return None
    at = next(n for n in range(size) if mine[n] != theirs[n])
    return add(one.sequence, at + max(ahead, 0))


def _by_acknowledgement(kept: Sequence[KeptSegment]) -> list[KeptSegment]:
    """Sort segments by what their sender had sent and received by then."""
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
    """How many segments stand behind an acknowledgement of them without having been seen before."""
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
