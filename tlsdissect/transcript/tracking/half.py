"""What one side of a conversation sent: from its segments to its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN, Signal
from tlsdissect.flows.reassembly import OVERHEAD, Arrival, Assembler
from tlsdissect.flows.sequence import add, difference
from tlsdissect.tls.record import HANDSHAKE, MessageJoiner, Record, RecordReader, is_hello
from tlsdissect.transcript.tracking.cursor import PADDING, starts_with_hello
from tlsdissect.transcript.tracking.opening import Opening, judge
from tlsdissect.transcript.tracking.prelude import HELLO_SIZE, OPENING, PLAIN, TLS, Prelude
from tlsdissect.transcript.tracking.seen import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.flows.flow import TcpSide
    from tlsdissect.flows.limits import Budget
    from tlsdissect.transcript.tracking.framing import Framing
    from tlsdissect.transcript.tracking.seen import BegunAlert

MAX_TROUBLES = 64
"""Troubles noted of one half."""
MAX_AHEAD = 1 << 24
"""Bytes that may be missing though the other side has not acknowledged them: more than are on their way at a time."""
REPLY_BYTES = 256
"""Bytes kept of what a side says in another protocol than TLS while the other side speaks TLS."""
MAX_UNPLACED = 10
"""Segments of a stream without SYN that wait for the first acknowledgement: an initial window (RFC 6928)."""
MAX_ARRIVALS = 65_536
"""Segments of one record or message of which it is noted where they lie."""


class Extent(Struct, frozen=True, gc=False):
    """Where a segment lies in its stream."""

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
    """Records, and the packet that completed them (application data: that began it)."""

    records: list[Record]
    frame: int
    """Of a record whose end is missing, that of what there is of it."""
    time: int
    """UNTIMED: the packet that completed it is missing."""
    broken: bool = False
    """Bytes behind these records are missing, in which other records may have begun."""


class Reply(NamedTuple):
    """What a side says in another protocol than TLS while the other side speaks TLS."""

    words: bytes
    """Its beginning."""
    frame: int
    """The frame of its first segment."""
    offset: int
    """Stream offset of its first byte."""


class Half:
    """One side's bytes, put in order and cut into records."""

    __slots__ = (
        "_budget", "_framing", "accounted", "alert", "arrivals", "assembler", "awaited", "changed", "counting",
        "doubtful", "first_frame", "first_hole", "frames", "joiner", "last", "latest", "mode", "payload", "prelude",
        "reader", "reply", "reset_text", "strayed", "tcp", "troubles", "unplaced",
    )  # fmt: skip

    def __init__(self, budget: Budget, tcp: TcpSide) -> None:
        self._budget = budget
        self.tcp = tcp
        """What its TCP headers show."""
        self.assembler = Assembler()
        self.reader = RecordReader()
        self.joiner = MessageJoiner()
        self.alert: BegunAlert | None = None
        """The first byte of an alert in the clear, until a later record brings the second."""
        self.prelude = Prelude()
        self.mode = self.prelude.mode
        self.changed = 0
        """ChangeCipherSpecs sent."""
        self.awaited: int | None = None
        """That number when the other side first said something."""
        self.counting = True
        """The ClientHello was not seen: it is of interest in how many segments a message comes."""
        self.arrivals: list[Extent] = []
        """Where the segments lie that brought the record or message which is being read."""
        self.payload = 0
        """Payload bytes seen, repeated ones included."""
        self.unplaced: list[SegmentPayload] = []
        """Segments of a stream whose first byte is not known yet."""
        self.reset_text: tuple[int, bytes] | None = None
        """The frame of a RST that carries a text, and the text."""
        self.doubtful: SegmentPayload | None = None
        """A segment as short as the padding of a frame, which nothing has shown to be stream data yet."""
        self.first_hole: int | None = None
        """Stream offset of the first byte that is missing."""
        self.accounted = 0
        """Bytes of a message that is not whole, as they were counted."""
        self.strayed = False
        """Something else stood where a record should begin: what was said there is not known."""
        self.first_frame: int | None = None
        """The frame of the first segment."""
        self.last: Record | None = None
        self.reply: Reply | None = None
        """Of a side that does not speak TLS; what it says before the ClientHello is whole does not count."""
        self.troubles: list[Trouble] = []
        self._framing: Framing | None = None
        self.latest = 0
        """The frame of the latest bytes."""
        self.frames: dict[int, int] = {}
        """Where packets were put in order: the number that stands for a frame."""

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
        """Take in segments that waited for an acknowledgement, which has come; return the records they complete."""
        if self.unplaced:
            return [] if self._awaits_more() else self.place()
        doubtful, acked = self.doubtful, self.acked
        if doubtful is None or acked is None or difference(acked, doubtful.sequence + doubtful.size) < 0:
            return []
        return self._settle()

    def restart(self, sequence: int) -> None:
        """Let the stream, of which nothing was read, begin at this sequence number: that behind the SYN."""
        self._forget_unplaced()
        self.doubtful = None
        self.payload = 0
        self.assembler.start(sequence)

    def _await_place(self, segment: SegmentPayload) -> list[Piece]:
        """Hold a segment of a stream without SYN until it is known where the stream begins.

        The first one that is seen need not be the first that was sent, while none is acknowledged.
        """
        self.unplaced.append(segment)
        self.payload += segment.size
        self._budget.used += len(segment.data) + OVERHEAD
        known = self.acked is not None or starts_with_hello(segment.data) or len(self.unplaced) >= MAX_UNPLACED
        far = abs(difference(segment.sequence, self.unplaced[0].sequence)) > MAX_AHEAD
        spent = self.held_bytes > self._budget.limits.held_bytes or self._budget.spent
        return self.place() if far or spent or (known and not self._awaits_more()) else []

    def _awaits_more(self) -> bool:
        """Whether only one byte is there, which may be a keep-alive's: what follows tells."""
        first = self.unplaced[0]
        return len(self.unplaced) < MAX_UNPLACED and all(
            one.size == 1 and one.sequence == first.sequence for one in self.unplaced
        )

    def is_apart(self, sequence: int) -> bool:
        """Whether bytes are missing between the segments that wait for their place and this sequence number."""
        ahead = [difference(sequence, one.sequence + one.size) for one in self.unplaced]
        return bool(ahead) and min(ahead) > 0

    def place(self) -> list[Piece]:
        """Let the stream begin with the first of the segments that wait, and read them."""
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

        Bytes that the sender itself sends again with other content, and that nobody acknowledged, were no stream data
        (RFC 9293 section 3.4): some stacks count a frame's padding into the length of a bare ACK.
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
        """Read the doubtful segment: it is stream data, unless a FIN stands in its place."""
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
            self.trouble("limit", "no more bytes are held behind a hole", frame, assembler.position)
            pieces += self._leap()
        return pieces

    def finish(self) -> Iterator[Piece]:
        """Take all holes as lost, one by one: nothing will fill them any more."""
        if self.unplaced:
            yield from self.place()
        # Zeros that nobody acknowledged, where a record should begin, are padding.
        between = self.mode == TLS and self.reader.between
        if self.doubtful is not None and not (between and not any(self.doubtful.data)):
            yield from self._settle()
        while self.assembler.holds:
            yield from self._leap()
        if self.mode == OPENING:
            self.prelude.settle()
            self.mode = PLAIN
        # A record that has no end says something only where it begins with a hello.
        begun = [
            record
            for record in (self.reader.break_off() if self.mode == TLS else ())
            if record.content_type == HANDSHAKE and is_hello(record.fragment or b"")
        ]
        if begun:
            yield Piece(begun, self.latest, UNTIMED)

    @property
    def acked(self) -> int | None:
        """Sequence number up to which the other side has acknowledged this one."""
        known = self.tcp.acknowledged
        return None if known == UNKNOWN else known

    @property
    def fin(self) -> Signal | None:
        """The first FIN."""
        return self._numbered(self.tcp.fin)

    @property
    def rst(self) -> Signal | None:
        """The first RST that TCP did not drop."""
        return self._numbered(self.tcp.reset)

    def _numbered(self, signal: Signal | None) -> Signal | None:
        """Return a FIN or RST with the number that stands for its frame."""
        if signal is None or signal.frame not in self.frames:
            return signal
        return Signal(self.frames[signal.frame], signal.end)

    @property
    def held_bytes(self) -> int:
        """What the segments cost that wait for others."""
        return self.assembler.held_bytes + sum(len(one.data) + OVERHEAD for one in self.unplaced)

    @property
    def carrier(self) -> str | None:
        """The protocol in whose packets TLS is carried: where a record stands is then not where its bytes are."""
        return None if self._framing is None else self._framing.name

    @property
    def ended(self) -> Signal | None:
        """The first FIN or RST; one that is both is taken as RST."""
        fin, rst = self.fin, self.rst
        return rst if fin is None or (rst is not None and rst.frame <= fin.frame) else fin

    def has_passed(self, sequence: int) -> bool:
        """Whether bytes at this sequence number were delivered before."""
        return self.assembler.started and self.assembler.offset(sequence) < self.assembler.position

    def renewed(self) -> Half:
        """A half that begins anew within the same conversation."""
        half = Half(self._budget, self.tcp)
        half.frames = self.frames
        half.awaited = self.acked
        return half

    def trouble(self, code: str, detail: str, frame: int, offset: int | None) -> None:
        """Note what could not be read; a half has no end of troubles, so only the first are kept."""
        if len(self.troubles) < MAX_TROUBLES:
            self.troubles.append(Trouble(code, detail, frame, offset))

    def _first(self, sequence: int) -> int:
        """Where the stream begins: where the other side waited for it, if this segment is near behind that."""
        begin = self.acked if self.awaited is None else self.awaited
        if begin is not None and (sequence - begin) & 0xFFFFFFFF < self._budget.limits.held_bytes:
            return begin
        return sequence

    def _leap(self) -> Iterator[Piece]:
        """Go on behind the first hole; the record that it spoils came as far as it did with what stands before."""
        start = self.assembler.position
        held = self.assembler.held_bytes
        if self._waits_too_far():
            self.trouble("gap", "segments far ahead of all that was acknowledged are left out", self.latest, start)
            self.assembler.drop_held()
            self._budget.used -= held
            return
        hole, arrivals = self.assembler.give_up()
        self._budget.used += self.assembler.held_bytes - held
        self.trouble("gap", f"{hole} bytes are not in the capture", arrivals[0].frame, start)
        yield from self._lose(start, hole, UNTIMED)
        for arrival in arrivals:
            yield from self._arrive(arrival)

    def _waits_too_far(self) -> bool:
        """Whether what waits behind the first hole was numbered by somebody else, as the other side's word tells.

        In front of a device that changes sequence numbers and behind it, the same segments pass twice.
        """
        if self.acked is None:
            return False
        reached = max(self.assembler.position, self.assembler.offset(self.acked))
        return self.assembler.next_held - reached > MAX_AHEAD

    def _lose(self, start: int, size: int, time: int) -> list[Piece]:
        """Take the news that the capture lacks these bytes, and of the time at which they came."""
        self.spoil(start)
        if self.mode == TLS:
            skip, reader = self.reader.skip, self.reader
            records = reader.lost(size)
            # A record that goes on behind the missing bytes was complete at a later time.
            complete = all(record.end <= start + size for record in records)
            broken = size > skip and not any(record.end >= start + size for record in records)
            return [Piece(records, self.latest, time if complete else UNTIMED, broken)]
        self.prelude.lose()
        self.mode = self.prelude.mode
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
            self.arrivals.append(Extent(offset, arrival.size))
            # Behind a hole, bytes may be the middle of a record, and are nobody's words.
            if self.prelude.seeking and data and self.first_hole is None:
                self._answer(data, offset, frame)
            records = self._begin(data, offset)
            pieces = [Piece(records, frame, arrival.time)] if records else []
        cut = arrival.size - len(data)
        if cut:
            where = offset + len(data)
            self.trouble("truncated_packet", f"the capture cut {cut} bytes off a segment", frame, where)
            pieces += self._lose(where, cut, arrival.time)
        return pieces

    def _answer(self, data: bytes, offset: int, frame: int) -> None:
        """Note what is said in another protocol than TLS."""
        known = self.reply or Reply(b"", frame, offset)
        if len(known.words) < REPLY_BYTES:
            self.reply = known._replace(words=known.words + data[: REPLY_BYTES - len(known.words)])

    def _next(self, data: bytes, offset: int, frame: int, time: int) -> list[Piece]:
        """Read the next bytes of a half that sends records."""
        reader, self.latest = self.reader, frame
        if self.counting:
            if reader.between and not self.joiner.waiting:
                self.arrivals = []
            if len(self.arrivals) < MAX_ARRIVALS:
                self.arrivals.append(Extent(offset, len(data)))
        lost = reader.astray
        records = reader.feed(data)
        # Behind missing bytes it is not known where a record begins: what stands there is not malformed.
        if reader.astray is not None and reader.astray != lost:
            self.strayed = True
            self.trouble("malformed_record", "no record header here", frame, reader.astray)
        return [Piece(records, frame, time)] if records else []

    def _unwrapped(self, arrival: Arrival, framing: Framing) -> Arrival:
        """What a segment carries, at its place in the stream that is carried; a hole breaks that stream off."""
        offset, data = framing.position, framing.unwrap(arrival.data)
        return Arrival(offset, data, len(data), arrival.frame, arrival.time)

    def _begin(self, data: bytes, offset: int) -> list[Record]:
        """Look for the beginning of TLS; return the records that stand there."""
        start = self.prelude.take(offset, data, behind_hole=self.first_hole is not None)
        self.mode = self.prelude.mode
        if self._framing is not self.prelude.framing:
            self._framing = self.prelude.framing
            # Where segments lay so far was told in the stream that carries this one.
            self.arrivals = []
        if start is None:
            return []
        self.reader.start(start.offset)
        return [*([start.hello] if start.hello else []), *self.reader.feed(start.data)]

    def spoil(self, start: int) -> None:
        """Take what stands at a stream offset as missing: it cannot be read."""
        self.first_hole = start if self.first_hole is None else min(start, self.first_hole)

    def is_whole(self, end: int) -> bool:
        """Whether no byte of TLS before this stream offset is missing."""
        return self.first_hole is None or self.first_hole >= end

    def segments(self, start: int, end: int) -> int:
        """In how many segments the part of the stream came that is being read."""
        return sum(1 for place in self.arrivals if place.offset < end and place.offset + place.size > start)


def _is_keep_alive(first: SegmentPayload, second: SegmentPayload | None) -> bool:
    """Whether a first byte cannot be told from a keep-alive's (RFC 9293 section 3.8.4): it begins no TLS.

    `second` is what comes next in the stream.
    """
    if first.size > 1 or (second is not None and second.sequence == first.sequence):
        return False
    return judge(first.data + (b"" if second is None else second.data)) is Opening.OTHER
