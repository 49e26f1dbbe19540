# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The segments of a handshake, kept until it is decided, so that it can be read again.

Payload is read as it comes. Two things show only later that this was wrong. Another segment may have other bytes at the
same place; their checksums show which of the two the receiver dropped. Or bytes are acknowledged before they are
captured, because the capture is not in the order of time. In both cases the handshake is read again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.capture.differences import differing
from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import TCP, UNTIMED, Packet
from tlsdissect.capture.transport import NO_TIMESTAMP, timestamp
from tlsdissect.flows.flow import ACK, FIN, RST, SYN, UNKNOWN
from tlsdissect.flows.reassembly import Assembler, PlacedSegment
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.record_cursor import PADDING
from tlsdissect.model.connection import DataCopy

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import Flow

REPLAY_BYTES = 1 << 18
"""Maximum bytes kept of one handshake, including SEGMENT_BYTES per segment; a larger one is not read again."""
MAX_SEGMENTS = 1024
"""Maximum segments kept of one handshake; one with more is not read again."""
SEGMENT_BYTES = 256
"""Estimated bytes that a segment takes besides its payload."""
MAX_CONFLICTS = 16
"""Maximum conflicts reported of one connection."""
MAX_COMPARISONS = 8192
"""Maximum comparisons between segments of one connection; further segments are not compared."""
UNCOMPARED = "too many segments to compare: copies of the same bytes that differ are not reported from here on"
"""Detail of the problem at the first segment that repeats bytes and was not compared with all earlier ones."""
MAX_WITNESSES = 16
"""Segments of a sender whose checksums are verified to find out whether its checksums are valid in the capture."""
SWAPPED_NS = 1_000_000
"""A segment that follows its acknowledgement within these nanoseconds was sent before it and captured late. A
retransmission would follow later (RFC 6298 section 2.4 has a second as the minimum)."""
GIVEN_UP_BYTES = 64
"""Bytes kept of a segment that is not TLS, in whose place a hello may follow."""
_WINDOW = 14
"""Offset of the window in TCP's header (RFC 9293 section 3.1)."""


@cython.no_gc
@cython.cclass
class Segment:
    """A TCP segment as it was captured. It does not change."""

    sender: cython.longlong
    frame: cython.longlong
    time: cython.longlong
    flags: cython.longlong
    sequence: cython.longlong
    """Of the first byte of payload."""
    acknowledgement: cython.longlong
    length: cython.longlong
    """Bytes of payload on the wire; more than `payload` has if the snap length cut the segment."""
    header: bytes
    payload: bytes
    place: cython.longlong
    """As `Packet.place`."""
    hop_limit: cython.longlong
    """TTL or Hop Limit of its IP packet; UNKNOWN if it did not come in one."""

    def packet(self, endpoints: bytes) -> Packet:
        """Return the segment as a packet; `endpoints` may be those of either direction."""
        packet = Packet()
        packet.data = self.header + self.payload
        packet.frame, packet.time, packet.protocol = self.frame, self.time, TCP
        packet.endpoints = endpoints
        packet.sequence = add(self.sequence, -1) if self.flags & SYN else self.sequence
        packet.acknowledgement, packet.flags = self.acknowledgement, self.flags
        packet.payload, packet.length, packet.captured = len(self.header), self.length, len(self.payload)
        packet.place = self.place
        known: cython.bint = len(self.header) >= _WINDOW + 2
        packet.window = self.header[_WINDOW] << 8 | self.header[_WINDOW + 1] if known else UNKNOWN
        return packet

    def checksum(self, endpoints: bytes) -> bool | None:
        """Return whether the checksum is valid; None if bytes are missing, or the network card was to compute it."""
        if len(self.payload) < self.length or not self.header:
            return None
        packet = self.packet(endpoints)
        if packet.checksum_is_right():
            return True
        return None if packet.checksum_is_partial() else False


@cython.ccall
def new_segment(
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
    hop_limit: cython.longlong,
) -> Segment:
    """Make a segment."""
    segment: Segment = Segment.__new__(Segment)
    segment.sender = sender
    segment.frame = frame
    segment.time = time
    segment.flags = flags
    segment.sequence = sequence
    segment.acknowledgement = acknowledgement
    segment.length = length
    segment.header = header
    segment.payload = payload
    segment.place = place
    segment.hop_limit = hop_limit
    return segment


@cython.ccall
def captured_segment(packet: Packet, sender: cython.longlong) -> Segment:
    """Return the segment of a packet."""
    return new_segment(
        sender,
        packet.frame,
        packet.time,
        packet.flags,
        add(packet.sequence, 1) if packet.flags & _SYN else packet.sequence,
        packet.acknowledgement,
        packet.length,
        cut(packet.data, packet.transport, packet.payload),
        packet.captured_payload(),
        packet.place,
        packet.hop_limit(),
    )


class GivenUpSegment(NamedTuple):
    """A segment that is not TLS. Its receiver may have dropped it, and the acknowledgement may be forged."""

    segment: Segment
    wrong: bool
    """Whether its checksum is wrong."""
    acknowledged: bool


class Conflict(NamedTuple):
    """Two segments with different bytes at the same place."""

    first: Segment
    second: Segment
    sequence: int
    """Sequence number of the first byte that differs."""
    size: int
    """Number of bytes from there to the last one that differs, at most MAX_COPY."""

    def copies(self, read: bytes | None, left_out: Container[int]) -> tuple[DataCopy, DataCopy]:
        """Return both copies; `read` is how the first byte that differs was read, if it was."""
        return (self._copy(self.first, read, left_out), self._copy(self.second, read, left_out))

    def _copy(self, one: Segment, read: bytes | None, left_out: Container[int]) -> DataCopy:
        at = difference(self.sequence, one.sequence)
        data = one.payload[at : at + self.size]
        used = False if one.frame in left_out else None if read is None else data[:1] == read
        return DataCopy(one.frame, data.hex(), used, None if one.hop_limit == UNKNOWN else one.hop_limit)


# C integers, by the .pxd.
_SYN, _ACK, _RST, _UNKNOWN, _UNTIMED, _PADDING = SYN, ACK, RST, UNKNOWN, UNTIMED, PADDING
_SEGMENT_BYTES, _REPLAY_BYTES, _MAX_SEGMENTS = SEGMENT_BYTES, REPLAY_BYTES, MAX_SEGMENTS
_SWAPPED_NS = SWAPPED_NS


@cython.no_gc
@cython.cclass
class SentSegments:
    """The segments of one side."""

    compared: list[Segment]
    """Those with which later ones are compared."""
    reached: cython.longlong
    """Sequence number after the last byte; UNKNOWN before the first."""
    acknowledged: cython.longlong
    """The other side's latest acknowledgement number; UNKNOWN before the first."""
    acknowledged_at: cython.longlong
    """The time of the first segment with that number."""
    surprised: cython.bint
    """A segment of this side was first captured after its acknowledgement."""

    def __init__(self) -> None:
        self.compared = []
        self.reached = UNKNOWN
        self.acknowledged = UNKNOWN
        self.acknowledged_at = UNTIMED
        self.surprised = False


@cython.no_gc
@cython.cclass
class Segments:
    """The segments of an undecided handshake, in the order of the capture."""

    kept: list[Segment]
    held_bytes: cython.longlong
    complete: cython.bint
    """No segment since the first payload is missing here."""
    conflicts: tuple[Conflict, ...]
    comparisons: cython.longlong
    settled: cython.longlong
    """The frame of a segment without TLS that the peer acknowledged before a hello came with the same sequence numbers.

    UNKNOWN if there is none.
    """
    uncompared: Segment | None
    """The first segment with bytes sent before that a limit kept from being compared with all of them; None without."""
    _budget: Budget
    _wrong: tuple[int, ...]
    """Frames with a wrong checksum."""
    _damaged: tuple[int, ...]
    """Frames of IP packets with a wrong header checksum."""
    _distrusted: tuple[int, ...]
    """Frames that complete IP fragments which overlap with different bytes."""
    _one: SentSegments
    """Those of side 0."""
    _other: SentSegments
    """Those of side 1."""
    _back: cython.bint
    """The time decreased from one segment to the next."""
    _last: cython.longlong
    """The time of the latest segment."""
    _times: cython.longlong
    """Number of changes of the time."""
    _surprises: cython.longlong
    """Number of new segments that were captured after an acknowledgement of them."""
    _swapped: cython.bint
    """One of them was captured within SWAPPED_NS of its acknowledgement."""
    _resumed: cython.longlong
    """The frame from which the segments were read."""

    def __init__(self, budget: Budget) -> None:
        self.kept = []
        self.held_bytes = 0
        self.complete = True
        self.conflicts = ()
        self.comparisons = 0
        self.settled = UNKNOWN
        self.uncompared = None
        self._budget = budget
        self._wrong = ()
        self._damaged = ()
        self._distrusted = ()
        self._one = SentSegments()
        self._other = SentSegments()
        self._back = False
        self._last = UNTIMED
        self._times = 0
        self._surprises = 0
        self._swapped = False
        self._resumed = 0

    @cython.ccall
    def has_data(self) -> cython.bint:
        """Return whether more is kept than the bytes of keep-alives."""
        one: Segment
        for one in self.kept:  # noqa: SIM110  # a generator would be a closure
            if one.length > 1 or one.flags & _RST:
                return True
        return False

    @cython.ccall
    def is_unordered(self, flow: Flow) -> cython.bint:
        """Return whether segments were captured after their acknowledgement, in an order that times do not confirm.

        Times confirm nothing if TCP's handshake shows, too, that those of the same side are too late.
        """
        if self._surprises == 0:
            return False
        if self._back or self._swapped or not self._times:
            return True
        late: cython.longlong = flow.handshake.late_side
        if late == _UNKNOWN:
            return False
        sent: SentSegments = self._other if late else self._one
        return sent.surprised

    @cython.ccall
    @cython.exceptval(-1)
    def add(self, one: Segment) -> cython.bint:
        """Keep a segment of the handshake; return whether it was compared with all earlier ones."""
        size: cython.longlong = len(one.payload) + _SEGMENT_BYTES
        mine: SentSegments = self._of(one)
        theirs: SentSegments = self._one if one.sender else self._other
        compared: cython.bint = True
        if one.length == 0 and not self.kept:
            return True
        if len(mine.compared) > MAX_CONFLICTS and self._is_again(one, mine):
            return True
        if self.complete and (
            self.held_bytes + size > _REPLAY_BYTES or len(self.kept) >= _MAX_SEGMENTS or self._budget.is_spent()
        ):
            self.drop()
        # The byte of a keep-alive (RFC 9293 section 3.8.4), padding, and the text in a RST (section 3.5.3) are no data.
        if one.length > 0 and not one.flags & _RST:
            keep_alive: cython.bint = (
                one.length == 1 and mine.acknowledged != _UNKNOWN and difference(one.sequence, mine.acknowledged) < 0
            )
            if not keep_alive and (one.length > _PADDING or one.payload.strip(b"\0")):
                compared = self.complete and self._compare(one, mine)
        if one.flags & _ACK and (
            theirs.acknowledged == _UNKNOWN or difference(one.acknowledgement, theirs.acknowledged) > 0
        ):
            theirs.acknowledged = one.acknowledgement
            theirs.acknowledged_at = one.time
        if not self.complete:
            return compared
        if one.time != self._last and self.kept:
            self._times += one.time != _UNTIMED
            self._back = self._back or one.time < self._last
        self._last = one.time
        self.kept.append(one)
        self.held_bytes += size
        self._budget.used += size
        return compared

    @cython.ccall
    def pass_over(self, one: Segment) -> cython.bint:
        """Note a segment with bytes that were read before, and that was not compared with all of them for a limit."""
        self.uncompared = self.uncompared or one
        return True

    @cython.cfunc
    def _is_again(self, one: Segment, sent: SentSegments) -> cython.bint:
        """Return whether a segment is the latest of its side again, with the same bytes: it needs no room."""
        last: Segment = sent.compared[len(sent.compared) - 1]
        return (
            last.sequence == one.sequence
            and last.length == one.length
            and last.flags == one.flags
            and last.payload == one.payload
            and last.acknowledgement == one.acknowledgement
        )

    def given_up(self, flow: Flow) -> GivenUpSegment | None:
        """Return the beginning of the latest segment, or None if no segment is kept."""
        if not self.kept:
            return None
        one = self.kept[len(self.kept) - 1]
        number = flow.side(one.sender).acknowledged
        acknowledged = number != UNKNOWN and difference(number, one.sequence) > 0
        beginning = new_segment(
            one.sender,
            one.frame,
            one.time,
            one.flags,
            one.sequence,
            one.acknowledgement,
            one.length,
            b"",
            one.payload[:GIVEN_UP_BYTES],
            one.place,
            one.hop_limit,
        )
        return GivenUpSegment(beginning, one.checksum(flow.endpoints) is False, acknowledged)

    def recall(self, given_up: GivenUpSegment) -> None:
        """Compare later segments with the beginning of one that was given up as not TLS."""
        one = given_up.segment
        if given_up.wrong:
            self._wrong = (*self._wrong, one.frame)
        if given_up.acknowledged:
            self.settled = one.frame
        sent = self._of(one)
        sent.compared.append(one)
        sent.reached = add(one.sequence, len(one.payload))

    def resume(self, frame: cython.longlong) -> None:
        """Note that what came before this frame is not read any more: the stream begins here."""
        self._resumed = frame

    def damage(self, frame: cython.longlong) -> None:
        """Note that the IP header of a segment has a wrong checksum."""
        if len(self._damaged) < MAX_WITNESSES:
            self._damaged = (*self._damaged, frame)

    def distrust(self, frame: cython.longlong) -> None:
        """Distrust a segment whose IP fragments differ: receivers may drop it (RFC 8200 section 4.5)."""
        self._distrusted = (*self._distrusted, frame)

    def distrusts(self, frame: cython.longlong) -> bool:
        """Return whether the IP fragments of a segment differ."""
        return frame in self._distrusted

    @cython.ccall
    def drop(self) -> cython.bint:
        """Discard all segments, and keep no more."""
        self._budget.used -= self.held_bytes
        self.held_bytes = 0
        self.kept = []
        self._one.compared = []
        self._other.compared = []
        self.complete = False
        return True

    @cython.cfunc
    def _of(self, one: Segment) -> SentSegments:
        """Return those of the sender of a segment."""
        return self._other if one.sender else self._one

    def false(self, flow: Flow) -> dict[int, str]:
        """Return the frames of conflicting segments that the receiver dropped, each with how that shows.

        A receiver drops a segment with a wrong checksum (RFC 9293 section 3.1). This is evidence only if the other
        segment and another one of the sender have valid checksums: else a network card may compute them later. What it
        acknowledges shows whether it took the data of a SYN (RFC 7413 section 3), or a FIN and the data before it. It
        drops IP fragments that overlap, too (RFC 8200 section 4.5, RFC 5722), and so does Linux in IPv4; and it drops
        segments for other reasons that `_refused` names.
        """
        endpoints = flow.endpoints
        disputed = {one.frame for conflict in self.conflicts for one in conflict[:2]}
        found: dict[int, str] = {}
        for conflict in self.conflicts:
            one, other = conflict.first, conflict.second
            right = [part.frame not in self._wrong and part.checksum(endpoints) for part in (one, other)]
            refused = [self._refused(part, flow, disputed) for part in (one, other)]
            if set(right) == {True, False} and self._computes(one.sender, disputed, endpoints):
                found[other.frame if right[0] else one.frame] = "a wrong TCP checksum"
            elif refused.count(None) == 1:
                found[other.frame if refused[0] is None else one.frame] = refused[0] or refused[1] or ""
            elif self.distrusts(one.frame) != self.distrusts(other.frame):
                found[one.frame if self.distrusts(one.frame) else other.frame] = "IP fragments that differ"
        return found

    def _refused(self, one: Segment, flow: Flow, disputed: set[int]) -> str | None:
        """Return the evidence that the receiver dropped a segment; None if there is none."""
        acknowledged = self._of(one).acknowledged
        if one.frame in self._damaged and any(
            other.sender == one.sender and other.frame not in (*self._damaged, *disputed) for other in self.kept
        ):
            return "a wrong checksum of the IP header"
        if not one.flags & (SYN | ACK):
            # RFC 9293 section 3.10.7.4.
            return "no ACK flag"
        if one.flags & ACK and self._acknowledges_unsent(one, flow):
            return "an acknowledgement of bytes that were not sent"
        if not one.flags & SYN and is_older(one.header, flow.side(one.sender).stamp):
            return "a timestamp before that of its SYN"
        if one.flags & FIN and acknowledged != UNKNOWN and difference(acknowledged, add(one.sequence, one.length)) > 1:
            return "a FIN in whose place other bytes were acknowledged"
        if one.flags & SYN and any(
            other.sender != one.sender and other.flags & SYN and other.acknowledgement == one.sequence
            for other in self.kept
        ):
            return "data of a SYN that the SYN-ACK does not acknowledge"
        return None

    def _acknowledges_unsent(self, one: Segment, flow: Flow) -> bool:
        """Return whether a segment acknowledges more than the other side had sent (RFC 9293 section 3.10.7.4)."""
        first = flow.side(1 - one.sender).first
        if first == UNKNOWN or self.is_unordered(flow):
            return False
        reached = first
        for other in self.kept:
            if other.frame < one.frame and other.sender != one.sender:
                end = add(other.sequence, other.length + bool(other.flags & FIN))
                reached = end if difference(end, reached) > 0 else reached
        return difference(one.acknowledgement, reached) > 0

    def read(self, conflict: Conflict, begin: cython.longlong, order: Sequence[Segment]) -> bytes | None:
        """Return how the first byte of a conflict was read; None if it was not.

        The stream of its sender begins at a sequence number, and the segments were read in this order.
        """
        compared = {id(one) for one in self._of(conflict.first).compared}
        assembler = Assembler()
        assembler.start(begin)
        read: list[PlacedSegment] = []
        for one in order:
            if id(one) in compared and one.frame >= self._resumed:
                read += assembler.feed(one.sequence, one.payload, len(one.payload), one.frame, one.time)
        while assembler.is_holding():
            read += assembler.give_up()[1]
        at = assembler.offset(conflict.sequence)
        return next((one.data[at - one.offset :][:1] for one in read if one.offset <= at < one.end), None)

    def in_order(self) -> list[Segment]:
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
    def _compare(self, one: Segment, sent: SentSegments) -> cython.bint:
        """Compare a segment with earlier ones of its side at the same place; return whether none was left out."""
        whole: cython.bint = True
        end: cython.longlong = add(one.sequence, one.length)
        if sent.reached != _UNKNOWN and difference(one.sequence, sent.reached) < 0:
            other: Segment
            for other in sent.compared:
                self.comparisons += 1
                if self.comparisons > MAX_COMPARISONS or len(self.conflicts) >= MAX_CONFLICTS:
                    whole = False
                    break
                found = _conflict(other, one)
                if found is not None:
                    self.conflicts = (*self.conflicts, found)
        elif sent.acknowledged != _UNKNOWN and difference(sent.acknowledged, end) >= 0:
            self._surprises += 1
            sent.surprised = True
            if _UNTIMED not in (one.time, sent.acknowledged_at) and one.time - sent.acknowledged_at <= _SWAPPED_NS:
                self._swapped = True
        if sent.reached == _UNKNOWN or difference(end, sent.reached) > 0:
            sent.reached = end
        sent.compared.append(one)
        return whole


def is_older(header: bytes, stamp: cython.longlong) -> bool:
    """Return whether the timestamp of a TCP header is older than one that its receiver knows (RFC 7323 section 5.3)."""
    own = timestamp(header, 0, len(header), False)
    return NO_TIMESTAMP not in (own, stamp) and difference(own, stamp) < 0


def _conflict(one: Segment, other: Segment) -> Conflict | None:
    """Return where two segments differ; None if they agree."""
    ahead = difference(other.sequence, one.sequence)
    mine, theirs = (one.payload[ahead:], other.payload) if ahead >= 0 else (one.payload, other.payload[0 - ahead :])
    found = differing(mine, theirs)
    return found and Conflict(one, other, add(one.sequence, found[0] + max(ahead, 0)), found[1] - found[0])


def _by_acknowledgement(kept: Sequence[Segment]) -> list[Segment]:
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


def _surprises(order: Sequence[Segment]) -> int:
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
