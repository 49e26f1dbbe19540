"""One direction of a flow: from TCP segments to TLS records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN, Signal
from tlsdissect.flows.reassembly import OVERHEAD, Arrival, Assembler
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.events import Trouble
from tlsdissect.handshake.first_bytes import FirstBytes, judge
from tlsdissect.handshake.plaintext import HELLO_SIZE, OPENING, PLAIN, TLS, PlaintextPhase
from tlsdissect.handshake.record_cursor import PADDING, starts_with_hello
from tlsdissect.tls.record import HANDSHAKE, MessageJoiner, Record, RecordReader, is_hello

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.flows.flow import TcpSide
    from tlsdissect.flows.limits import Budget
    from tlsdissect.handshake.carriers import Carrier
    from tlsdissect.handshake.events import BegunAlert

MAX_PROBLEMS = 64
"""Maximum problems reported of one direction."""
MAX_AHEAD = 1 << 24
"""Maximum size of a hole after the last acknowledged byte: more than is ever in flight."""
REPLY_BYTES = 256
"""Bytes kept of an answer in another protocol than TLS to a side that sends TLS."""
MAX_UNPLACED = 10
"""Segments held until the first acknowledgement if no SYN was captured: an initial window (RFC 6928)."""
MAX_ARRIVALS = 65_536
"""Maximum segments counted of one record or message."""


class SegmentSpan(Struct, frozen=True, gc=False):
    """Place and size of a segment in its stream."""

    offset: int
    size: int


class SegmentPayload(Struct, frozen=True, gc=False):
    """The payload of a TCP segment, before its place in the stream is known."""

    sequence: int
    """Sequence number of the first byte."""
    data: bytes
    size: int
    """Bytes on the wire; more than `data` has if the snap length cut the segment."""
    frame: int
    time: int


class Piece(Struct, frozen=True, gc=False):
    """Records, and the packet that completed them; for application data, the packet in which it began."""

    records: list[Record]
    frame: int
    """For a record whose end is missing, the frame of its last captured byte."""
    time: int
    """UNTIMED if the packet that completed it is missing."""
    broken: bool = False
    """Bytes after these records are missing, and other records may have begun in them."""


class Reply(NamedTuple):
    """An answer in another protocol than TLS to a side that sends TLS."""

    words: bytes
    """Its first bytes."""
    frame: int
    """The frame of its first segment."""
    offset: int
    """Stream offset of its first byte."""


class Direction:
    """Reassembles the bytes of one side and splits them into records."""

    __slots__ = (
        "_budget",
        "_framing",
        "accounted",
        "alert",
        "arrivals",
        "assembler",
        "awaited",
        "changed",
        "counting",
        "doubtful",
        "first_frame",
        "first_hole",
        "frames",
        "joiner",
        "last",
        "latest",
        "mode",
        "payload",
        "plaintext",
        "problems",
        "reader",
        "reply",
        "reset_text",
        "strayed",
        "tcp",
        "unplaced",
    )  # fmt: skip

    def __init__(self, budget: Budget, tcp: TcpSide) -> None:
        self._budget = budget
        self.tcp = tcp
        """The state of this side by its TCP headers."""
        self.assembler = Assembler()
        self.reader = RecordReader()
        self.joiner = MessageJoiner()
        self.alert: BegunAlert | None = None
        """The first byte of a plaintext alert whose second byte is in a later record."""
        self.plaintext = PlaintextPhase()
        self.mode = self.plaintext.mode
        self.changed = 0
        """Number of ChangeCipherSpec messages sent."""
        self.awaited: int | None = None
        """The acknowledgement number of the other side's first payload."""
        self.counting = True
        """Whether segments per message are counted: until a ClientHello was read."""
        self.arrivals: list[SegmentSpan] = []
        """The segments of the current record or message."""
        self.payload = 0
        """Payload bytes, retransmitted ones included."""
        self.unplaced: list[SegmentPayload] = []
        """Segments held while the first byte of the stream is not known."""
        self.reset_text: tuple[int, bytes] | None = None
        """The frame and the text of the first RST with payload."""
        self.doubtful: SegmentPayload | None = None
        """A segment that may be padding of a frame: it is short, and nothing has confirmed it as stream data."""
        self.first_hole: int | None = None
        """Stream offset of the first missing byte."""
        self.accounted = 0
        """Bytes of an incomplete message that are counted in the budget."""
        self.strayed = False
        """Whether something else than a record header was found where one was expected."""
        self.first_frame: int | None = None
        """The frame of the first segment."""
        self.last: Record | None = None
        self.reply: Reply | None = None
        """Set while this side does not send TLS; bytes before the complete ClientHello are not part of it."""
        self.problems: list[Trouble] = []
        self._framing: Carrier | None = None
        self.latest = 0
        """The frame of the latest payload."""
        self.frames: dict[int, int] = {}
        """If the handshake is read again in another order: the frame number used for each frame of the capture."""

    def add(self, segment: SegmentPayload) -> list[Piece]:
        """Add a segment's payload and return the records that it completes."""
        if not self.assembler.started:
            return self._await_place(segment)
        if self.fin is not None and difference(segment.sequence, self.fin.end) >= 0:
            # The receiver ignores data after a FIN (RFC 9293 section 3.10.7.4).
            return []
        size = segment.size
        self.payload += size
        pieces = [] if self.doubtful is None else self._compare(segment)
        if size <= PADDING and self.assembler.expects(segment.sequence):
            known = 0 if self.doubtful is None else self.doubtful.size
            self.payload -= min(size, known)
            if size > known:
                self.doubtful = segment
            return pieces
        return pieces + self._take(segment)

    def acknowledge(self) -> list[Piece]:
        """Read segments that were held for an acknowledgement; return the records that they complete."""
        if self.unplaced:
            return [] if self._awaits_more() else self.place()
        doubtful, acked = self.doubtful, self.acked
        if doubtful is None or acked is None or difference(acked, doubtful.sequence + doubtful.size) < 0:
            return []
        return self._settle()

    def restart(self, sequence: int) -> None:
        """Begin the stream, of which nothing was read, at this sequence number."""
        self._forget_unplaced()
        self.doubtful = None
        self.payload = 0
        self.assembler.start(sequence)

    def _await_place(self, segment: SegmentPayload) -> list[Piece]:
        """Hold a segment until the first byte of a stream without SYN is known.

        Until one is acknowledged, the first segment in the capture need not be the first one sent.
        """
        self.unplaced.append(segment)
        self.payload += segment.size
        self._budget.used += len(segment.data) + OVERHEAD
        known = self.acked is not None or starts_with_hello(segment.data) or len(self.unplaced) >= MAX_UNPLACED
        far = abs(difference(segment.sequence, self.unplaced[0].sequence)) > MAX_AHEAD
        spent = self.held_bytes > self._budget.limits.held_bytes or self._budget.spent
        return self.place() if far or spent or (known and not self._awaits_more()) else []

    def _awaits_more(self) -> bool:
        """Return whether only one byte is held, which may be that of a keep-alive."""
        first = self.unplaced[0]
        return len(self.unplaced) < MAX_UNPLACED and all(
            one.size == 1 and one.sequence == first.sequence for one in self.unplaced
        )

    def is_apart(self, sequence: int) -> bool:
        """Return whether bytes are missing between the held segments and this sequence number."""
        ahead = [difference(sequence, one.sequence + one.size) for one in self.unplaced]
        return bool(ahead) and min(ahead) > 0

    def place(self) -> list[Piece]:
        """Begin the stream with the first of the held segments; return the records that they complete."""
        waiting = self.unplaced
        origin = waiting[0].sequence
        self._forget_unplaced()
        self.payload -= sum(one.size for one in waiting)
        first = min(waiting, key=lambda one: difference(one.sequence, origin))
        others = [one for one in waiting if one.size > 1 or one.sequence != first.sequence]
        second = min(others, key=lambda one: difference(one.sequence, origin), default=None)
        if _is_keep_alive(first, second):
            waiting = others
            self.assembler.start(add(first.sequence, 1))
        else:
            self.assembler.start(self._first(first.sequence))
        return [piece for one in waiting for piece in self.add(one)]

    def _forget_unplaced(self) -> None:
        self._budget.used -= sum(len(one.data) + OVERHEAD for one in self.unplaced)
        self.unplaced = []

    def _compare(self, segment: SegmentPayload) -> list[Piece]:
        """Compare the sender's next segment with the doubtful one; return the records that this one completes.

        Unacknowledged bytes that the sender sends again with other values were not stream data (RFC 9293 section 3.4):
        some stacks count a frame's padding as payload of a bare ACK.
        """
        doubtful = self.doubtful
        if doubtful is None:
            return []
        data, ahead = segment.data, difference(segment.sequence, doubtful.sequence)
        if ahead + segment.size <= 0:
            return []
        if ahead >= doubtful.size:
            return self._settle()
        old, new = (doubtful.data[ahead:], data) if ahead >= 0 else (doubtful.data, data[-ahead:])
        shared = min(len(old), len(new))
        if old[:shared] != new[:shared]:
            self.payload -= doubtful.size
            self.doubtful = None
            return []
        return [] if segment.size <= PADDING else self._settle()

    def _settle(self) -> list[Piece]:
        """Read the doubtful segment as stream data, unless a FIN has its sequence number."""
        doubtful, self.doubtful = self.doubtful, None
        if doubtful is None:
            return []
        if self.fin is not None and difference(doubtful.sequence, self.fin.end) >= 0:
            self.payload -= doubtful.size
            return []
        return self._take(doubtful)

    def _take(self, segment: SegmentPayload) -> list[Piece]:
        """Reassemble a segment's payload and return the records that it completes."""
        assembler = self.assembler
        data, size, frame, time = segment.data, segment.size, segment.frame, segment.time
        if len(data) == size and assembler.advance(segment.sequence, size):
            offset = assembler.position - size
            if self.mode == TLS and self._framing is None:
                return self._next(data, offset, frame, time)
            return self._arrive(Arrival(offset, data, size, frame, time))
        pieces: list[Piece] = []
        held = assembler.held_bytes
        for arrival in assembler.feed(segment.sequence, data, size, frame, time):
            pieces += self._arrive(arrival)
        self._budget.used += assembler.held_bytes - held
        while assembler.holds and (assembler.held_bytes > self._budget.limits.held_bytes or self._budget.spent):
            self.report("limit", "no more bytes are held behind a hole", frame, assembler.position)
            pieces += self._leap()
        return pieces

    def finish(self) -> Iterator[Piece]:
        """Yield the records after each hole, at the end of the flow."""
        if self.unplaced:
            yield from self.place()
        # Unacknowledged zeros where a record should begin are padding.
        between = self.mode == TLS and self.reader.between
        if self.doubtful is not None and not (between and not any(self.doubtful.data)):
            yield from self._settle()
        while self.assembler.holds:
            yield from self._leap()
        if self.mode == OPENING:
            self.plaintext.settle()
            self.mode = PLAIN
        # Of an incomplete record, only the beginning of a hello is of use.
        begun = [
            record
            for record in (self.reader.break_off() if self.mode == TLS else ())
            if record.content_type == HANDSHAKE and is_hello(record.fragment or b"")
        ]
        if begun:
            yield Piece(begun, self.latest, UNTIMED)

    @property
    def acked(self) -> int | None:
        """The other side's last acknowledgement number; None if there was none."""
        known = self.tcp.acknowledged
        return None if known == UNKNOWN else known

    @property
    def fin(self) -> Signal | None:
        """The first FIN."""
        return self._numbered(self.tcp.fin)

    @property
    def rst(self) -> Signal | None:
        """The first RST that took effect."""
        return self._numbered(self.tcp.reset)

    def _numbered(self, signal: Signal | None) -> Signal | None:
        """Return a FIN or RST with the frame number that is used for its frame."""
        if signal is None or signal.frame not in self.frames:
            return signal
        return Signal(self.frames[signal.frame], signal.end)

    @property
    def held_bytes(self) -> int:
        """Bytes that the held segments take."""
        return self.assembler.held_bytes + sum(len(one.data) + OVERHEAD for one in self.unplaced)

    @property
    def carrier(self) -> str | None:
        """The protocol whose packets carry TLS; stream offsets are then those of the carried stream."""
        return None if self._framing is None else self._framing.name

    @property
    def ended(self) -> Signal | None:
        """The first FIN or RST; a packet with both flags counts as RST."""
        fin, rst = self.fin, self.rst
        return rst if fin is None or (rst is not None and rst.frame <= fin.frame) else fin

    def has_passed(self, sequence: int) -> bool:
        """Return whether the byte at this sequence number was delivered before."""
        return self.assembler.started and self.assembler.offset(sequence) < self.assembler.position

    def renewed(self) -> Direction:
        """Return a new reader of the same direction."""
        direction = Direction(self._budget, self.tcp)
        direction.frames = self.frames
        direction.awaited = self.acked
        return direction

    def report(self, code: str, detail: str, frame: int, offset: int | None) -> None:
        """Report a problem; further ones than MAX_TROUBLES are not kept."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Trouble(code, detail, frame, offset))

    def _first(self, sequence: int) -> int:
        """Return the first sequence number: that which the other side expected if this segment is close after it."""
        begin = self.acked if self.awaited is None else self.awaited
        if begin is not None and (sequence - begin) & 0xFFFFFFFF < self._budget.limits.held_bytes:
            return begin
        return sequence

    def _leap(self) -> Iterator[Piece]:
        """Yield the records up to and after the first hole."""
        start = self.assembler.position
        held = self.assembler.held_bytes
        if self._waits_too_far():
            self.report("gap", "segments far ahead of all that was acknowledged are left out", self.latest, start)
            self.assembler.drop_held()
            self._budget.used -= held
            return
        hole, arrivals = self.assembler.give_up()
        self._budget.used += self.assembler.held_bytes - held
        self.report("gap", f"{hole} bytes are not in the capture", arrivals[0].frame, start)
        yield from self._lose(start, hole, UNTIMED)
        for arrival in arrivals:
            yield from self._arrive(arrival)

    def _waits_too_far(self) -> bool:
        """Return whether the held segments are too far after the last acknowledged byte to be of this stream.

        This happens if the capture has the same segments before and after a device that changes sequence numbers.
        """
        if self.acked is None:
            return False
        reached = max(self.assembler.position, self.assembler.offset(self.acked))
        return self.assembler.next_held - reached > MAX_AHEAD

    def _lose(self, start: int, size: int, time: int) -> list[Piece]:
        """Handle bytes that the capture lacks; `time` is when they were sent, or UNTIMED."""
        self.spoil(start)
        if self.mode == TLS:
            skip, reader = self.reader.skip, self.reader
            records = reader.lost(size)
            # A record that continues after the missing bytes was complete at a later time.
            complete = all(record.end <= start + size for record in records)
            broken = size > skip and not any(record.end >= start + size for record in records)
            return [Piece(records, self.latest, time if complete else UNTIMED, broken)]
        self.plaintext.lose()
        self.mode = self.plaintext.mode
        return []

    def _arrive(self, arrival: Arrival) -> list[Piece]:
        if self._framing is not None:
            arrival = self._unwrapped(arrival, self._framing)
        data, offset, frame = arrival.data, arrival.offset, arrival.frame
        self.latest = frame
        if self.first_frame is None:
            self.first_frame = frame
        if self.mode == TLS:
            pieces = self._next(data, offset, frame, arrival.time)
        else:
            if self.mode == PLAIN:
                del self.arrivals[:-HELLO_SIZE]
            self.arrivals.append(SegmentSpan(offset, arrival.size))
            # After a hole, bytes may be the middle of a record, and not an answer.
            if self.plaintext.seeking and data and self.first_hole is None:
                self._answer(data, offset, frame)
            records = self._begin(data, offset)
            pieces = [Piece(records, frame, arrival.time)] if records else []
        cut = arrival.size - len(data)
        if cut:
            where = offset + len(data)
            self.report("truncated_packet", f"the capture cut {cut} bytes off a segment", frame, where)
            pieces += self._lose(where, cut, arrival.time)
        return pieces

    def _answer(self, data: bytes, offset: int, frame: int) -> None:
        """Keep the first bytes of an answer in another protocol than TLS."""
        known = self.reply or Reply(b"", frame, offset)
        if len(known.words) < REPLY_BYTES:
            self.reply = known._replace(words=known.words + data[: REPLY_BYTES - len(known.words)])

    def _next(self, data: bytes, offset: int, frame: int, time: int) -> list[Piece]:
        """Read the next bytes of a side that sends records."""
        reader, self.latest = self.reader, frame
        if self.counting:
            if reader.between and not self.joiner.waiting:
                self.arrivals = []
            if len(self.arrivals) < MAX_ARRIVALS:
                self.arrivals.append(SegmentSpan(offset, len(data)))
        lost = reader.astray
        records = reader.feed(data)
        # After missing bytes, the beginning of the next record is not known: bytes there are not malformed.
        if reader.astray is not None and reader.astray != lost:
            self.strayed = True
            self.report("malformed_record", "no record header here", frame, reader.astray)
        return [Piece(records, frame, time)] if records else []

    def _unwrapped(self, arrival: Arrival, framing: Carrier) -> Arrival:
        """Return the payload of the carried stream that a segment contains, with its offset there."""
        offset, data = framing.position, framing.unwrap(arrival.data)
        return Arrival(offset, data, len(data), arrival.frame, arrival.time)

    def _begin(self, data: bytes, offset: int) -> list[Record]:
        """Search for the beginning of TLS; return the records that are found."""
        start = self.plaintext.take(offset, data, behind_hole=self.first_hole is not None)
        self.mode = self.plaintext.mode
        if self._framing is not self.plaintext.framing:
            self._framing = self.plaintext.framing
            # The offsets of earlier segments are those of the carrying stream.
            self.arrivals = []
        if start is None:
            return []
        self.reader.start(start.offset)
        return [*([start.hello] if start.hello else []), *self.reader.feed(start.data)]

    def spoil(self, start: int) -> None:
        """Treat the byte at a stream offset as missing, because it cannot be read."""
        self.first_hole = start if self.first_hole is None else min(start, self.first_hole)

    def is_whole(self, end: int) -> bool:
        """Return whether no byte before this stream offset is missing."""
        return self.first_hole is None or self.first_hole >= end

    def segments(self, start: int, end: int) -> int:
        """Return the number of segments of the part of the stream that is being read."""
        return sum(1 for place in self.arrivals if place.offset < end and place.offset + place.size > start)


def _is_keep_alive(first: SegmentPayload, second: SegmentPayload | None) -> bool:
    """Return whether a first byte may be that of a keep-alive (RFC 9293 section 3.8.4), because it does not begin TLS.

    `second` is the next segment of the stream.
    """
    if first.size > 1 or (second is not None and second.sequence == first.sequence):
        return False
    return judge(first.data + (b"" if second is None else second.data)) is FirstBytes.OTHER
