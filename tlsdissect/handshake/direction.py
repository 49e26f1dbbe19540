# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""One direction of a flow: from TCP segments to TLS records.

Goal: split the bytes of one side into records, each with the packet that completed it, at a cost per packet that is
constant while segments are in order and whole. Three things make this more than reassembly:

- Without a SYN, the first segment in the capture need not be the first one sent. Up to UNPLACED_BYTES are held
  until an acknowledgement or a hello shows where the stream begins.
- Some stacks count the padding of an Ethernet frame as payload. A segment of so few bytes, all zero, is held as
  `possible_padding` until an acknowledgement or the sender's next segment confirms or refutes it. Dropping short
  segments was rejected: a record may end in one.
- Bytes may be missing. A hole is given up when held segments exceed a limit or at the end of the flow; reading then
  continues at the next record header that is known or found.

Once the handshake is decided, `RecordCursor` skips packets of application data without calling any of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import FIN, UNKNOWN, Signal
from tlsdissect.flows.reassembly import OVERHEAD, Assembler, PlacedSegment
from tlsdissect.flows.sequence import add, difference
from tlsdissect.handshake.logged import DirectionSummary, new_summary
from tlsdissect.handshake.plaintext import HELLO_SIZE, OPENING, OTHER, PLAIN, TLS, PlaintextPhase, classify
from tlsdissect.handshake.problems import ProblemList
from tlsdissect.handshake.record_cursor import EVERY, PADDING, RecordCursor, starts_with_hello
from tlsdissect.tls.record import (
    APPLICATION_DATA,
    HANDSHAKE,
    HEADER_SIZE,
    MAX_FRAGMENT,
    MessageJoiner,
    Record,
    RecordReader,
    is_hello,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import TcpSide
    from tlsdissect.handshake.events import BegunAlert
    from tlsdissect.handshake.framing import Framing
    from tlsdissect.handshake.plaintext import Start
    from tlsdissect.handshake.segments import Segment

MAX_AHEAD = 1 << 24
"""Maximum size of a hole after the last acknowledged byte: more than is ever in flight."""
REPLY_BYTES = 256
"""Bytes kept of an answer, in a protocol other than TLS, to a side that sends TLS."""
UNPLACED_BYTES = 1 << 16
"""Bytes held until the first acknowledgement if no SYN was captured, OVERHEAD included: an initial window (RFC 6928),
or a ClientHello in pieces of a byte."""
NO_FRAMES: dict[int, int] = {}
"""Other frame numbers, of a handshake that is read once: none."""
MAX_ARRIVALS = 65_536
"""Maximum segments counted of one record or message."""


_KEEP_ALIVES = 10
"""Keep-alives of a stream without SYN after which their byte counts as its first."""

# C integers, by the .pxd.
_OPENING, _PLAIN, _TLS = OPENING, PLAIN, TLS
_UNKNOWN, _PADDING, _EVERY, _FIN = UNKNOWN, PADDING, EVERY, FIN
_MAX_RECORD = HEADER_SIZE + MAX_FRAGMENT
_MASK = 0xFFFFFFFF


@cython.no_gc
@cython.cclass
class KeptBody:
    """The body of a record of application data, to be decrypted, and the packet that completed it."""

    start: cython.longlong
    """Stream offset of the record header."""
    body: bytes
    frame: cython.longlong
    time: cython.longlong

    def __init__(self, start: cython.longlong, body: bytes, frame: cython.longlong, time: cython.longlong) -> None:
        self.start = start
        self.body = body
        self.frame = frame
        self.time = time


@cython.no_gc
@cython.cclass
class PacketRecords:
    """Records, and the packet that completed them; for application data, the packet in which it began."""

    records: list[Record]
    frame: cython.longlong
    """For a record whose end is missing, the frame of its last captured byte."""
    time: cython.longlong
    """UNTIMED if the packet that completed it is missing."""
    broken: cython.bint
    """Bytes after these records are missing, and other records may have begun in them."""


@cython.cfunc
def _completed(
    records: list[Record], frame: cython.longlong, time: cython.longlong, broken: cython.bint
) -> PacketRecords:
    """Make the records of a packet."""
    completed: PacketRecords = PacketRecords.__new__(PacketRecords)
    completed.records = records
    completed.frame = frame
    completed.time = time
    completed.broken = broken
    return completed


class Reply(NamedTuple):
    """The first bytes of an answer, in a protocol other than TLS, to a side that sends TLS."""

    data: bytes
    frame: int
    """The frame of its first segment."""
    offset: int
    """Stream offset of its first byte."""


@cython.ccall
def may_be_padding(segment: Segment) -> cython.bint:
    """Return whether a segment may be padding of a frame: it is short, and all zero."""
    return segment.length <= _PADDING and not segment.payload.strip(b"\0")


@cython.no_gc
@cython.cclass
class Direction:
    """Reassembles the bytes of one side and splits them into records."""

    tcp: TcpSide
    """The state of this side by its TCP headers."""
    assembler: Assembler
    reader: RecordReader
    joiner: MessageJoiner
    cursor: RecordCursor
    """Skips application data once the handshake is decided."""
    alert: BegunAlert | None
    """The first byte of a plaintext alert whose second byte is in a later record."""
    plaintext: PlaintextPhase
    mode: cython.longlong
    """That of `plaintext`: OPENING, PLAIN or TLS."""
    changed: cython.longlong
    """Number of ChangeCipherSpec messages sent."""
    awaited: cython.longlong
    """The acknowledgement number of the other side's first payload; UNKNOWN before that."""
    counting: cython.bint
    """Whether segments per message are counted: until a ClientHello was read."""
    arrivals: list[tuple[int, int]]
    """Place and size of the segments of the current record or message."""
    payload: cython.longlong
    """Payload bytes, retransmitted ones included."""
    unplaced: list[Segment]
    """Segments held while the first byte of the stream is not known."""
    unplaced_bytes: cython.longlong
    """The memory that these segments count: their payload, and OVERHEAD for each."""
    late: list[Segment]
    """Segments after a FIN, held until an acknowledgement of them shows that the FIN was dropped."""
    late_bytes: cython.longlong
    """The memory that these segments count: their payload, and OVERHEAD for each."""
    reset_text: tuple[int, bytes] | None
    """The frame and the text of the first RST with payload."""
    possible_padding: Segment | None
    """A segment that may be padding of a frame: it is short, and nothing has confirmed it as stream data."""
    first_hole: cython.longlong
    """Stream offset of the first missing byte; UNKNOWN if none is missing."""
    cut_off: cython.longlong
    """Bytes missing at the end of the stream, at least; known at its end."""
    accounted: cython.longlong
    """Bytes of an incomplete message that are counted in the budget."""
    strayed: cython.bint
    """Whether bytes were found that are not a record header where one was expected."""
    first_frame: cython.longlong
    """The frame of the first segment; 0 before that."""
    last: Record | None
    """The latest record."""
    bodies: list[KeptBody]
    """Bodies of application data that were kept, until the log takes them."""
    reply: Reply | None
    """Set while this side does not send TLS; it lacks bytes sent before the ClientHello was complete."""
    problems: ProblemList
    latest: cython.longlong
    """The frame of the latest payload."""
    frames: dict[int, int]
    """If the handshake is read again in another order: the frame number used for each frame of the capture."""
    _budget: Budget
    _framing: Framing | None

    def __init__(self, budget: Budget, tcp: TcpSide) -> None:
        self.tcp = tcp
        self.assembler = Assembler()
        self.reader = RecordReader()
        self.joiner = MessageJoiner()
        self.cursor = RecordCursor()
        self.alert = None
        self.plaintext = PlaintextPhase()
        self.mode = OPENING
        self.changed = 0
        self.awaited = UNKNOWN
        self.counting = True
        self.arrivals = []
        self.payload = 0
        self.unplaced = []
        self.unplaced_bytes = 0
        self.late = []
        self.late_bytes = 0
        self.reset_text = None
        self.possible_padding = None
        self.first_hole = UNKNOWN
        self.cut_off = 0
        self.accounted = 0
        self.strayed = False
        self.first_frame = 0
        self.last = None
        self.bodies = []
        self.reply = None
        self.problems = ProblemList()
        self.latest = 0
        self.frames = NO_FRAMES
        self._budget = budget
        self._framing = None

    @cython.ccall
    def add(self, segment: Segment) -> list[PacketRecords]:
        """Add a segment's payload and return the records that it completes."""
        return self._add(segment) if self.assembler.started else self._await_place(segment)

    @cython.ccall
    def deliver(self, segment: Segment) -> list[PacketRecords]:
        """Add the next bytes of a stream that is not TCP's, so that none are padding; return the completed records."""
        self.payload += segment.length
        return self._reassemble(segment)

    @cython.ccall
    def lose(self, size: cython.longlong) -> list[PacketRecords]:
        """Skip missing bytes of a stream that is not TCP's; return the records that they truncate.

        If their number is UNKNOWN, reading continues at the next segment that begins with a record.
        """
        if size == _UNKNOWN:
            # More than the rest of any record.
            size = _MAX_RECORD + 1
        start: cython.longlong = self.assembler.position
        self.assembler.skip(size)
        return self._skip_missing(start, size, UNTIMED)

    @cython.cfunc
    def _add(self, segment: Segment) -> list[PacketRecords]:
        """Add a segment of a stream whose first byte is known."""
        fin = self.tcp.fin
        if fin is not None and difference(segment.sequence, fin.end) >= 0:
            self._hold_late(segment)
            return []
        self.payload += segment.length
        completed: list[PacketRecords] | None = None if self.possible_padding is None else self._compare(segment)
        if self._follows_padded_fin(segment):
            self.payload -= segment.length
            self._hold_late(segment)
            return completed or []
        if may_be_padding(segment) and self.assembler.expects(segment.sequence):
            possible_padding: Segment | None = self.possible_padding
            known: cython.longlong = 0 if possible_padding is None else possible_padding.length
            self.payload -= min(segment.length, known)
            if segment.length > known:
                self.possible_padding = segment
            return completed or []
        taken: list[PacketRecords] = self._reassemble(segment)
        return completed + taken if completed else taken

    @cython.ccall
    def waits(self) -> cython.bint:
        """Return whether bytes that may be TLS wait for others: before them, or to complete a record or a message."""
        if self.unplaced or self.assembler.is_holding() or self.joiner.waiting > 0:
            return True
        return self.payload > 0 and (self.mode == _OPENING or (self.mode == _TLS and not self.reader.is_between()))

    @cython.ccall
    def acknowledge(self) -> list[PacketRecords]:
        """Read segments that were held for an acknowledgement; return the records that they complete."""
        if self.unplaced:
            return [] if self._awaits_more() else self.place()
        if self.late and self.tcp.fin is None:
            return self._take_late()
        possible_padding: Segment | None = self.possible_padding
        if possible_padding is None or self.tcp.acknowledged == _UNKNOWN:
            return []
        if difference(self.tcp.acknowledged, possible_padding.sequence + possible_padding.length) < 0:
            return []
        return self._accept_doubtful()

    @cython.cfunc
    def _take_late(self) -> list[PacketRecords]:
        """Read the segments that were held after a FIN, which was dropped; return the records that they complete."""
        completed: list[PacketRecords] = []
        late: list[Segment] = self.late
        one: Segment
        self._budget.used -= self.late_bytes
        self.late = []
        self.late_bytes = 0
        for one in late:
            completed += self._add(one)
        return completed

    @cython.cfunc
    def _await_place(self, segment: Segment) -> list[PacketRecords]:
        """Hold a segment until the first byte of a stream without SYN is known.

        Until one is acknowledged, the first segment in the capture need not be the first one sent.
        """
        self.unplaced.append(segment)
        self.payload += segment.length
        self.unplaced_bytes += len(segment.payload) + OVERHEAD
        self._budget.used += len(segment.payload) + OVERHEAD
        origin: Segment = self.unplaced[0]
        ahead: cython.longlong = difference(segment.sequence, origin.sequence)
        if (
            ahead > MAX_AHEAD
            or ahead < 0 - MAX_AHEAD
            or self.held_bytes > self._budget.held_bytes
            or self._budget.is_spent()
        ):
            return self.place()
        known: cython.bint = (
            self.tcp.acknowledged != _UNKNOWN
            or starts_with_hello(segment.payload)
            or self.unplaced_bytes >= UNPLACED_BYTES
        )
        return self.place() if known and not self._awaits_more() else []

    @cython.cfunc
    def _awaits_more(self) -> cython.bint:
        """Return whether only one byte is held, which may be that of a keep-alive."""
        first: Segment = self.unplaced[0]
        one: Segment
        if len(self.unplaced) >= _KEEP_ALIVES:
            return False
        for one in self.unplaced:  # noqa: SIM110  # a generator would be a closure
            if one.length != 1 or one.sequence != first.sequence:
                return False
        return True

    def is_apart(self, sequence: cython.longlong) -> bool:
        """Return whether bytes are missing between the held segments and this sequence number."""
        ahead = [difference(sequence, one.sequence + one.length) for one in self.unplaced]
        return bool(ahead) and min(ahead) > 0

    def holds_other_bytes(self, segment: Segment) -> bool:
        """Return whether held segments that are no padding have other bytes where this one begins another stream."""
        for one in self.unplaced:
            if one.length <= PADDING and not one.payload.strip(b"\0"):
                continue
            ahead = difference(segment.sequence, one.sequence)
            if 0 <= ahead < one.length and not segment.payload.startswith(one.payload[ahead:][: len(segment.payload)]):
                return True
        return False

    @cython.ccall
    def place(self) -> list[PacketRecords]:
        """Begin the stream with the first of the held segments; return the records that they complete."""
        waiting: list[Segment] = self.unplaced
        one: Segment = waiting[0]
        origin: cython.longlong = one.sequence
        first: Segment = one
        second: Segment | None = None
        self._release_unplaced()
        for one in waiting:
            self.payload -= one.length
            if difference(one.sequence, origin) < difference(first.sequence, origin):
                first = one
        others: list[Segment] = [one for one in waiting if one.length > 1 or one.sequence != first.sequence]
        for one in others:
            if second is None or difference(one.sequence, origin) < difference(second.sequence, origin):
                second = one
        if _is_keep_alive(first, second) and not self._is_awaited(first.sequence):
            waiting = others
            self.assembler.start(add(first.sequence, 1))
        else:
            self.assembler.start(self._first(first.sequence))
        completed: list[PacketRecords] = []
        for one in waiting:
            completed += self._add(one)
        return completed

    @cython.cfunc
    def _release_unplaced(self) -> cython.bint:
        self._budget.used -= self.unplaced_bytes
        self.unplaced = []
        self.unplaced_bytes = 0
        return True

    @cython.cfunc
    def _compare(self, segment: Segment) -> list[PacketRecords]:
        """Compare the sender's next segment with one that may be padding; return the records that this one completes.

        Unacknowledged bytes that the sender sends again with other values were not stream data (RFC 9293 section 3.4):
        some stacks count a frame's padding as payload of a bare ACK.
        """
        possible_padding: Segment | None = self.possible_padding
        if possible_padding is None:
            return []
        data: bytes = segment.payload
        ahead: cython.longlong = difference(segment.sequence, possible_padding.sequence)
        if ahead + segment.length <= 0:
            return []
        if ahead >= possible_padding.length:
            return self._accept_doubtful()
        old: bytes = possible_padding.payload
        if ahead >= 0:
            old = old[min(ahead, len(old)) :]
        else:
            data = data[min(0 - ahead, len(data)) :]
        shared: cython.longlong = min(len(old), len(data))
        if old[:shared] != data[:shared]:
            self.payload -= possible_padding.length
            self.possible_padding = None
            return []
        return [] if segment.length <= _PADDING else self._accept_doubtful()

    @cython.cfunc
    def _ends_padded(self) -> cython.bint:
        """Return whether the segment that may be padding is the payload of the FIN."""
        possible_padding: Segment | None = self.possible_padding
        fin = self.tcp.fin
        if possible_padding is None or fin is None or not possible_padding.flags & _FIN:
            return False
        return difference(fin.end, possible_padding.sequence + possible_padding.length) == 0

    @cython.cfunc
    def _follows_padded_fin(self, segment: Segment) -> cython.bint:
        """Return whether a segment may be padding right after a FIN with padding, which takes one sequence number."""
        possible_padding: Segment | None = self.possible_padding
        if possible_padding is None or not self._ends_padded() or not may_be_padding(segment):
            return False
        return difference(segment.sequence, possible_padding.sequence) == 1

    @cython.cfunc
    def _accept_doubtful(self) -> list[PacketRecords]:
        """Read the segment that may be padding as stream data, unless a FIN has its sequence number."""
        possible_padding: Segment | None = self.possible_padding
        self.possible_padding = None
        if possible_padding is None:
            return []
        fin = self.tcp.fin
        if fin is not None and difference(possible_padding.sequence, fin.end) >= 0:
            self.payload -= possible_padding.length
            self._hold_late(possible_padding)
            return []
        return self._reassemble(possible_padding)

    def _hold_late(self, segment: Segment) -> None:
        """Hold a segment after a FIN; its receiver ignores it unless it dropped the FIN (RFC 9293 section 3.10.7.4)."""
        size = len(segment.payload) + OVERHEAD
        if self.late_bytes + size <= self._budget.held_bytes and not self._budget.is_spent():
            self.late.append(segment)
            self.late_bytes += size
            self._budget.used += size

    @cython.cfunc
    def _reassemble(self, segment: Segment) -> list[PacketRecords]:
        """Reassemble a segment's payload and return the records that it completes."""
        assembler: Assembler = self.assembler
        data: bytes = segment.payload
        size: cython.longlong = segment.length
        held: cython.longlong
        placed: PlacedSegment
        if len(data) == size and assembler.advance(segment.sequence, size):
            if self.mode == _TLS and self._framing is None:
                return self._read(data, assembler.position - size, segment.frame, segment.time)
            return self._read_placed(PlacedSegment(assembler.position - size, data, size, segment.frame, segment.time))
        completed: list[PacketRecords] = []
        held = assembler.held_bytes
        for placed in assembler.feed(segment.sequence, data, size, segment.frame, segment.time):
            completed += self._read_placed(placed)
        if assembler.held_bytes > self._budget.held_bytes:
            assembler.merge()
        self._budget.used += assembler.held_bytes - held
        while assembler.is_holding() and (assembler.held_bytes > self._budget.held_bytes or self._budget.is_spent()):
            self.problems.report("limit", "too many bytes are buffered after a gap", segment.frame, assembler.position)
            completed += self._skip_hole()
        return completed

    def finish(self) -> Iterator[PacketRecords]:
        """Yield the records after each hole, at the end of the flow.

        What a message took is counted when its record is logged, so that nothing after it may have been read by then.
        """
        possible_padding: Segment | None
        record: Record
        if self.unplaced:
            yield from self.place()
        if self.late and self.tcp.fin is None:
            yield from self._take_late()
        possible_padding = self.possible_padding
        # Unacknowledged zeros where a record should begin are padding.
        if possible_padding is not None and not (
            self.mode == _TLS and self.reader.is_between() and not possible_padding.payload.strip(b"\0")
        ):
            yield from self._accept_doubtful()
        while self.assembler.is_holding():
            yield from self._skip_hole()
        if self.assembler.started and (self.mode == _TLS or self.payload == 0):
            self._report_lost_end()
        if self.mode == _OPENING:
            self.plaintext.settle()
            self.mode = _PLAIN
        if self.mode == _TLS:
            for record in self.reader.break_off():
                # Of an incomplete record, only the beginning of a hello is of use.
                if record.content_type == HANDSHAKE and is_hello(record.fragment or b""):
                    yield _completed([record], self.latest, UNTIMED, False)

    def _report_lost_end(self) -> None:
        """Report the last bytes of the stream as missing, if a FIN or the other side shows that they were sent."""
        assembler: Assembler = self.assembler
        fin: Signal | None = self.tcp.fin
        begin = assembler.sequence(assembler.position)
        lost, frame = 0, 0
        if fin is not None:
            # What was left as padding is neither missing nor data.
            padded = 0 if self.possible_padding is None or not self._ends_padded() else self.possible_padding.length
            lost, frame = difference(fin.end, begin) - padded, fin.frame
            detail = f"{lost} bytes before the FIN are not in the capture"
        elif self.tcp.acknowledged != _UNKNOWN:
            # A FIN is acknowledged as if it were a byte, and may be missing as well.
            lost = difference(self.tcp.acknowledged, begin) - 1
            detail = f"at least {lost} bytes that were acknowledged are not in the capture"
        if lost > 0:
            self.problems.report("gap", detail, frame, assembler.position)
            self.mark_missing(assembler.position)
            self.cut_off = lost

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

    @cython.cfunc
    def _numbered(self, signal: Signal | None) -> Signal | None:
        """Return a FIN or RST with the frame number that is used for its frame."""
        if signal is None or not self.frames or signal.frame not in self.frames:
            return signal
        return Signal(self.frames[signal.frame], signal.end)

    @property
    def held_bytes(self) -> cython.longlong:
        """Bytes that the held segments take."""
        return self.assembler.held_bytes + self.late_bytes + self.unplaced_bytes

    @property
    def framing(self) -> str | None:
        """The protocol whose packets carry TLS; stream offsets are then those of the carried stream."""
        return None if self._framing is None else self._framing.name

    @cython.ccall
    def has_passed(self, sequence: cython.longlong) -> cython.bint:
        """Return whether the byte at this sequence number was delivered before."""
        return self.assembler.started and self.assembler.offset(sequence) < self.assembler.position

    @cython.ccall
    @cython.exceptval(-1)
    def expect(self, decided: cython.bint, alert_size: cython.longlong) -> cython.bint:
        """Set the cursor to the next record; see `RecordCursor.notable` for which application data matters.

        Until the handshake is `decided`, all does; then only records of an alert's length do.
        """
        reader: RecordReader = self.reader
        assembler: Assembler = self.assembler
        if (
            self.mode != _TLS
            or self._framing is not None
            or reader.astray is not None
            or assembler.held_bytes > 0
            or self.possible_padding is not None
            or reader.is_keeping()
        ):
            self.cursor.stop()
            return False
        if not decided or not (reader.skip > 0 or reader.is_between()):
            alert_size = _EVERY
        self.cursor.set(assembler.sequence(assembler.position), reader.skip, alert_size, reader.keeps)
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def catch_up(self) -> cython.bint:
        """Skip the bytes of the packets that the cursor passed."""
        assembler: Assembler = self.assembler
        passed: cython.longlong = self.cursor.take_passed()
        if passed == 0:
            return False
        assembler.skip(passed)
        self.payload += passed
        self.reader.jump(assembler.position, self.cursor.ahead)
        return True

    @cython.ccall
    def summary(self) -> DirectionSummary:
        """Return a summary of what this side sent so far."""
        assembler: Assembler = self.assembler
        plaintext: PlaintextPhase = self.plaintext
        last: Record | None = self.last
        return new_summary(
            assembler.sequence(0) if assembler.started else UNKNOWN,
            assembler.position,
            self.tcp.first,
            self.tcp.isn,
            None if self.tcp.acknowledged == _UNKNOWN else self.tcp.acknowledged,
            self._numbered(self.tcp.fin),
            self._numbered(self.tcp.reset),
            self.payload,
            self.first_frame,
            self.first_hole,
            self.cut_off,
            self.strayed,
            self.changed,
            (last.start, last.length) if last is not None and last.content_type == APPLICATION_DATA else None,
            self.mode,
            plaintext.before,
            plaintext.embedded,
            plaintext.headless,
            self.framing,
            self.reply,
            self.reset_text,
            tuple(self.problems) if self.problems else (),
        )

    def renewed(self) -> Direction:
        """Return a new reader of the same direction."""
        direction = Direction(self._budget, self.tcp)
        direction.reader.keeps = self.reader.keeps
        direction.frames = self.frames
        direction.awaited = self.tcp.acknowledged
        return direction

    @cython.cfunc
    def _is_awaited(self, sequence: cython.longlong) -> cython.bint:
        """Return whether the other side is known not to have had the byte with this number when the reading began."""
        return self.awaited != _UNKNOWN and difference(sequence, self.awaited) >= 0

    @cython.cfunc
    def _first(self, sequence: cython.longlong) -> cython.longlong:
        """Return the first sequence number: the one that the other side expects, if this segment follows it closely."""
        begin: cython.longlong = self.tcp.acknowledged if self.awaited == _UNKNOWN else self.awaited
        if begin != _UNKNOWN and (sequence - begin) & _MASK < self._budget.held_bytes:
            return begin
        return sequence

    def _skip_hole(self) -> Iterator[PacketRecords]:
        """Yield the records up to and after the first hole."""
        start = self.assembler.position
        held = self.assembler.held_bytes
        if self._waits_too_far():
            self.problems.report(
                "gap", "segments far ahead of all that was acknowledged are left out", self.latest, start
            )
            self.assembler.drop_held()
            self._budget.used -= held
            return
        hole, segments = self.assembler.give_up()
        self._budget.used += self.assembler.held_bytes - held
        self.problems.report("gap", f"{hole} bytes are not in the capture", segments[0].frame, start)
        yield from self._skip_missing(start, hole, UNTIMED)
        for placed in segments:
            yield from self._read_placed(placed)

    def _waits_too_far(self) -> bool:
        """Return whether the held segments are too far after the last acknowledged byte to be of this stream.

        This happens if the capture has the same segments before and after a device that changes sequence numbers.
        """
        if self.acked is None:
            return False
        reached = max(self.assembler.position, self.assembler.offset(self.acked))
        return self.assembler.next_held - reached > MAX_AHEAD

    @cython.cfunc
    def _skip_missing(
        self, start: cython.longlong, size: cython.longlong, time: cython.longlong
    ) -> list[PacketRecords]:
        """Handle bytes missing from the capture; `time` is when they were sent, or UNTIMED."""
        reader: RecordReader = self.reader
        self.mark_missing(start)
        if self.mode == _TLS:
            skip: cython.longlong = reader.skip
            records: list[Record] = reader.lost(size)
            # A record that continues after the missing bytes was complete at a later time.
            complete: cython.bint = True
            reaches: cython.bint = False
            for record in records:
                complete = complete and record.end <= start + size
                reaches = reaches or record.end >= start + size
            return [_completed(records, self.latest, time if complete else UNTIMED, size > skip and not reaches)]
        self.plaintext.lose()
        self.mode = self.plaintext.mode
        return []

    @cython.cfunc
    def _read_placed(self, placed: PlacedSegment) -> list[PacketRecords]:
        """Read bytes of the stream that are next, or the part of them that is in the capture."""
        if self._framing is not None:
            placed = self._unwrapped(placed, self._framing)
        data: bytes = placed.data
        cut: cython.longlong = placed.size - len(data)
        completed: list[PacketRecords]
        records: list[Record]
        self.latest = placed.frame
        if self.first_frame == 0:
            self.first_frame = placed.frame
        if self.mode == _TLS:
            completed = self._read(data, placed.offset, placed.frame, placed.time)
        else:
            if self.mode == _PLAIN:
                del self.arrivals[: max(0, len(self.arrivals) - HELLO_SIZE)]
            self.arrivals.append((placed.offset, placed.size))
            records = self._begin(data, placed.offset)
            # After a hole, bytes may be the middle of a record, and not an answer.
            if self.plaintext.seeking and self.mode != _TLS and data and self.first_hole == _UNKNOWN:
                self._keep_reply(data, placed.offset, placed.frame)
            if self.reader.bodies:
                self._keep_bodies(placed.frame, placed.time)
            completed = [_completed(records, placed.frame, placed.time, False)] if records else []
        if cut > 0:
            where: cython.longlong = placed.offset + len(data)
            self.problems.report("truncated_packet", f"the capture cut {cut} bytes off a segment", placed.frame, where)
            completed += self._skip_missing(where, cut, placed.time)
        return completed

    def _keep_reply(self, data: bytes, offset: cython.longlong, frame: cython.longlong) -> None:
        """Keep the first bytes of an answer in a protocol other than TLS."""
        reply = self.reply or Reply(b"", frame, offset)
        if len(reply.data) < REPLY_BYTES:
            self.reply = reply._replace(data=reply.data + data[: REPLY_BYTES - len(reply.data)])

    def _end_reply(self, begin: cython.longlong, data: bytes, offset: cython.longlong) -> None:
        """Keep of an answer only what came before TLS, which begins at the stream offset `begin`.

        `data` are the latest bytes, whose stream offset is `offset`.
        """
        reply = self.reply
        if reply is None:
            self._keep_reply(data[: begin - offset], offset, self.latest)
        else:
            self.reply = reply._replace(data=reply.data[: begin - reply.offset]) if begin > reply.offset else None

    @cython.cfunc
    def _read(
        self, data: bytes, offset: cython.longlong, frame: cython.longlong, time: cython.longlong
    ) -> list[PacketRecords]:
        """Read the next bytes of a side that sends records."""
        reader: RecordReader = self.reader
        self.latest = frame
        if self.counting:
            if reader.is_between() and self.joiner.waiting == 0:
                self.arrivals = []
            if len(self.arrivals) < MAX_ARRIVALS:
                self.arrivals.append((offset, len(data)))
        records: list[Record] = self._cut(data)
        if reader.bodies:
            self._keep_bodies(frame, time)
        return [_completed(records, frame, time, False)] if records else []

    @cython.cfunc
    def _cut(self, data: bytes) -> list[Record]:
        """Cut bytes of the latest frame into records; where no record begins, report a malformed one."""
        reader: RecordReader = self.reader
        lost = reader.astray
        records: list[Record] = reader.feed(data)
        # After missing bytes, the beginning of the next record is not known: bytes there are not malformed.
        if reader.astray is not None and reader.astray != lost:
            self.strayed = True
            self.problems.report("malformed_record", "no record header here", self.latest, reader.astray)
        return records

    @cython.cfunc
    def _keep_bodies(self, frame: cython.longlong, time: cython.longlong) -> cython.bint:
        """Keep the bodies of application data that a packet completed."""
        for start, body in self.reader.bodies:
            self.bodies.append(KeptBody(start, body, frame, time))
        self.reader.bodies = []
        return True

    def _unwrapped(self, placed: PlacedSegment, framing: Framing) -> PlacedSegment:
        """Return the payload of the carried stream that a segment contains, with its offset there."""
        offset, data = framing.position, framing.unwrap(placed.data)
        return PlacedSegment(offset, data, len(data), placed.frame, placed.time)

    @cython.cfunc
    def _begin(self, data: bytes, offset: cython.longlong) -> list[Record]:
        """Search for the beginning of TLS; return the records that are found."""
        plaintext: PlaintextPhase = self.plaintext
        start: Start | None = plaintext.add(offset, data, self.first_hole != _UNKNOWN)
        self.mode = plaintext.mode
        if self._framing is not plaintext.framing:
            self._framing = plaintext.framing
            # The offsets of earlier segments are those of the carrying stream.
            self.arrivals = []
        if start is None:
            return []
        if (
            (self.reply is not None or start.offset > offset)
            and start.hello is None
            and self._framing is None
            and plaintext.seeking
            and self.first_hole == _UNKNOWN
        ):
            self._end_reply(start.offset, data, offset)
        self.reader.start(start.offset)
        records: list[Record] = self._cut(start.data)
        return records if start.hello is None else [start.hello, *records]

    def report_urgent(self, segment: Segment) -> None:
        """Report the first segment with urgent data."""
        if any(problem.code == "urgent_data" for problem in self.problems):
            return
        offset = self.assembler.offset(segment.sequence) if self.assembler.started else None
        detail = "urgent data: a receiver may take a byte of them out of the stream"
        self.problems.report("urgent_data", detail, segment.frame, offset)

    @cython.ccall
    def mark_missing(self, start: cython.longlong) -> cython.bint:
        """Treat the byte at a stream offset as missing, because it cannot be read."""
        self.first_hole = start if self.first_hole == _UNKNOWN else min(start, self.first_hole)
        return True

    @cython.ccall
    def is_whole(self, end: cython.longlong) -> cython.bint:
        """Return whether no byte before this stream offset is missing."""
        return self.first_hole == _UNKNOWN or self.first_hole >= end

    @cython.ccall
    def segments(self, start: cython.longlong, end: cython.longlong) -> cython.longlong:
        """Return the number of segments of the part of the stream that is being read."""
        number: cython.longlong = 0
        offset: cython.longlong
        size: cython.longlong
        for offset, size in self.arrivals:
            if offset < end and offset + size > start:
                number += 1
        return number


@cython.cfunc
def _is_keep_alive(first: Segment, second: Segment | None) -> cython.bint:
    """Return whether a first byte may be that of a keep-alive (RFC 9293 section 3.8.4), because it does not begin TLS.

    `second` is the next segment of the stream.
    """
    if first.length > 1 or (second is not None and second.sequence == first.sequence):
        return False
    return classify(first.payload + (b"" if second is None else second.payload)) == OTHER
