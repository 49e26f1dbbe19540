"""What one side of a conversation sent: from its segments to its records."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.capture.packets import UNTIMED
from tlsdissect.streams.reassembly import Arrival, Assembler
from tlsdissect.tls.record import HANDSHAKE, SSL2, MessageJoiner, Record, RecordReader, is_header
from tlsdissect.transcript.tracking.framing import Framing, framing
from tlsdissect.transcript.tracking.opening import Opening, judge
from tlsdissect.transcript.tracking.seen import Signal, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.streams.limits import Budget

OPENING, PLAIN, TLS = range(3)
"""A half whose first bytes are not judged yet; one that speaks something else, so far; one that sends records."""

KEPT = 2048
"""Bytes kept of the beginning and of the end of what a half said before TLS."""
MAX_TROUBLES = 64
"""Troubles noted of one half."""
MAX_AHEAD = 1 << 24
"""Bytes that may be missing though the other side has not acknowledged them: more than are on their way at a time."""
MAX_ARRIVALS = 65_536
"""Segments of one record or message of which it is noted where they lie."""

_SHORT = b"|".join(b"\\x00\\x%02x[\\x01\\x02]" % n + b"." * (n - 1) + rb"\x16\x03[\x00-\x04]" for n in range(1, 6))
"""A first record too short for all by which a hello is told, and the header of the next."""
_HELLO = re.compile(
    rb"\x16\x03[\x00-\x04](?:(?!\x00[\x00-\x05])[\x00-\x48].[\x01\x02]\x00..[\x03\x7f][\x00-\x1c]|" + _SHORT + b")",
    re.DOTALL,
)
_HELLO_SIZE = 13
"""Bytes that the longest of these patterns takes."""
_ALERT = re.compile(rb"\x15\x03[\x00-\x04]\x00\x02[\x01\x02][\x00-\xff]", re.DOTALL)


class Extent(Struct, frozen=True, gc=False):
    """Where a segment lies in its stream."""

    offset: int
    size: int


class Piece(Struct, frozen=True, gc=False):
    """Records, and the packet that completed them (application data: that began it)."""

    records: list[Record]
    frame: int
    """Of a record whose end is missing, that of what there is of it."""
    time: int
    """UNTIMED: the packet that completed it is missing."""


class Half:
    """One side's bytes, put in order and cut into records."""

    __slots__ = (
        "_budget", "_framing", "_inside", "_latest", "_opening", "_tail", "acked", "arrivals", "assembler",
        "before", "changed", "counting", "embedded", "fin", "first_frame", "first_hole", "joiner", "last", "mode",
        "payload", "reader", "rst", "seeking", "strayed", "troubles",
    )  # fmt: skip

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.assembler = Assembler()
        self.reader = RecordReader()
        self.joiner = MessageJoiner()
        self.mode = OPENING
        self.seeking = False
        """The other half sends records: an alert may begin this half's TLS too."""
        self.embedded = False
        """TLS begins within a segment, behind something else: who waits for an answer begins a segment with it."""
        self.before = b""
        """What was said before TLS: its beginning, and its end where it was long."""
        self.changed = 0
        """ChangeCipherSpecs sent."""
        self.acked: int | None = None
        """Sequence number up to which the other side has acknowledged this one."""
        self.counting = True
        """The ClientHello was not seen: it is of interest in how many segments a message comes."""
        self.arrivals: list[Extent] = []
        """Where the segments lie that brought the record or message which is being read."""
        self.payload = 0
        """Payload bytes seen, repeated ones included."""
        self.first_hole: int | None = None
        """Stream offset of the first byte that is missing."""
        self.strayed = False
        """Something else stood where a record should begin: what was said there is not known."""
        self.first_frame: int | None = None
        """The frame of the first segment."""
        self.last: Record | None = None
        self.fin: Signal | None = None
        self.rst: Signal | None = None
        self.troubles: list[Trouble] = []
        self._opening = bytearray()
        self._framing: Framing | None = None
        self._inside = 0
        """Bytes that the framing has given so far."""
        self._latest = 0
        """The frame of the latest bytes."""
        self._tail = b""

    def segment(self, sequence: int, data: bytes, size: int, frame: int, time: int) -> list[Piece]:
        """Take a segment's payload and return the records that it completes."""
        assembler = self.assembler
        self.payload += size
        if len(data) == size and assembler.advance(sequence, size):
            offset = assembler.position - size
            if self.mode == TLS and self._framing is None:
                return self._next(data, offset, frame, time)
            return self._arrive(Arrival(offset, data, size, frame, time))
        if not assembler.started:
            assembler.start(self._first(sequence))
        pieces: list[Piece] = []
        held = assembler.held_bytes
        for arrival in assembler.feed(sequence, data, size, frame, time):
            pieces += self._arrive(arrival)
        self._budget.used += assembler.held_bytes - held
        while assembler.holds and (assembler.held_bytes > self._budget.limits.held_bytes or self._budget.spent):
            self.trouble("limit", "no more bytes are held behind a hole", frame, assembler.position)
            pieces += self._leap()
        return pieces

    def finish(self) -> Iterator[Piece]:
        """Take all holes as lost, one by one: nothing will fill them any more."""
        while self.assembler.holds:
            yield from self._leap()
        if self.mode == OPENING:
            self._settle()
        # A record that has no end says something only where it begins with a hello.
        begun = [record for record in self.reader.break_off() if _is_hello(record)] if self.mode == TLS else []
        if begun:
            yield Piece(begun, self._latest, UNTIMED)

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
        half = Half(self._budget)
        half.acked, half.fin, half.rst = self.acked, self.fin, self.rst
        return half

    def trouble(self, code: str, detail: str, frame: int, offset: int | None) -> None:
        """Note what could not be read; a half has no end of troubles, so only the first are kept."""
        if len(self.troubles) < MAX_TROUBLES:
            self.troubles.append(Trouble(code, detail, frame, offset))

    def _first(self, sequence: int) -> int:
        """Where the stream begins: where the other side waits for it, if this segment is near behind that."""
        if self.acked is not None and (sequence - self.acked) & 0xFFFFFFFF < self._budget.limits.held_bytes:
            return self.acked
        return sequence

    def _leap(self) -> Iterator[Piece]:
        """Go on behind the first hole; the record that it spoils came as far as it did with what stands before."""
        start = self.assembler.position
        held = self.assembler.held_bytes
        if self._waits_too_far():
            self.trouble("gap", "segments far ahead of all that was acknowledged are left out", self._latest, start)
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
            return [Piece(self.reader.lost(size), self._latest, time)]
        if self._opening:
            self._settle()
        self._tail = b""
        return []

    def _arrive(self, arrival: Arrival) -> list[Piece]:
        if self._framing is not None:
            arrival = self._unwrapped(arrival, self._framing)
        data, offset, frame = arrival.data, arrival.offset, arrival.frame
        self._latest = frame
        if self.first_frame is None:
            self.first_frame = frame
        if self.mode == TLS:
            pieces = self._next(data, offset, frame, arrival.time)
        else:
            if self.mode == PLAIN:
                del self.arrivals[:-_HELLO_SIZE]
            self.arrivals.append(Extent(offset, arrival.size))
            records = self._open(arrival) if self.mode == OPENING else self._seek(arrival)
            pieces = [Piece(records, frame, arrival.time)] if records else []
        cut = arrival.size - len(data)
        if cut:
            where = offset + len(data)
            self.trouble("truncated_packet", f"the capture cut {cut} bytes off a segment", frame, where)
            pieces += self._lose(where, cut, arrival.time)
        return pieces

    def _next(self, data: bytes, offset: int, frame: int, time: int) -> list[Piece]:
        """Read the next bytes of a half that sends records."""
        reader, self._latest = self.reader, frame
        if self.counting:
            if reader.between and not self.joiner.waiting:
                self.arrivals = []
            if len(self.arrivals) < MAX_ARRIVALS:
                self.arrivals.append(Extent(offset, len(data)))
        records = reader.feed(data)
        if reader.astray is not None and reader.astray >= offset:
            self.strayed = True
            self.trouble("malformed_record", "no record header here", frame, reader.astray)
        return [Piece(records, frame, time)] if records else []

    def _unwrapped(self, arrival: Arrival, framing: Framing) -> Arrival:
        """What a segment carries, at its place in the stream that is carried; a hole breaks that stream off."""
        data = framing.unwrap(arrival.data)
        offset, self._inside = self._inside, self._inside + len(data)
        return Arrival(offset, data, len(data), arrival.frame, arrival.time)

    def _open(self, arrival: Arrival) -> list[Record]:
        """Judge the first bytes; return the records among them."""
        start, data = arrival.offset - len(self._opening), bytes(self._opening) + arrival.data
        verdict = judge(data)
        if verdict is Opening.RECORDS:
            self._opening.clear()
            self.mode = TLS
            self.reader.start(start)
            return self.reader.feed(data)
        self._opening += arrival.data
        if verdict is Opening.UNDECIDED:
            return []
        if verdict is Opening.OTHER:
            return self._other(start, data, arrival.offset)
        self._opening.clear()
        self.mode = TLS
        size = int.from_bytes(data[:2], "big") & 0x7FFF
        self.reader.start(start + 2 + size)
        return [Record(SSL2, 2, size, start, data[2 : 2 + size]), *self.reader.feed(data[2 + size :])]

    def _other(self, start: int, data: bytes, latest: int) -> list[Record]:
        """Take the first bytes for something else than TLS, in which TLS may already have begun.

        `latest` is where in the stream the latest segment begins.
        """
        self._framing = framing(data)
        if self._framing is not None:
            data, start = self._framing.unwrap(data), 0
            self._inside = len(data)
            # Where segments lay so far was told in the stream that carries this one.
            self.arrivals = []
        found = self._find(data)
        if found:
            self._opening.clear()
            return self._turn(start, data, found.start(), latest)
        self._settle()
        return []

    @property
    def said(self) -> bytes:
        """What was said so far that is not TLS: its beginning, and its end where it was long."""
        return bytes(self._opening) if self.mode == OPENING else self.before

    def _settle(self) -> None:
        """Take the first bytes for something else than TLS."""
        self.mode = PLAIN
        self.before = _ends(bytes(self._opening))
        self._tail = bytes(self._opening[-_HELLO_SIZE:])
        self._opening.clear()

    def _seek(self, arrival: Arrival) -> list[Record]:
        """Look for the beginning of TLS in what is not TLS so far."""
        # Behind a hole of a half whose other half sends records, any record may come first.
        if self.seeking and self.first_hole is not None and is_header(arrival.data):
            self._tail = b""
            return self._turn(arrival.offset, arrival.data, 0, arrival.offset)
        data = self._tail + arrival.data
        if found := self._find(data):
            return self._turn(arrival.offset - len(self._tail), data, found.start(), arrival.offset)
        self._tail = data[-_HELLO_SIZE:]
        self.before = _ends(self.before + arrival.data)
        return []

    def _find(self, data: bytes) -> re.Match[bytes] | None:
        return _HELLO.search(data) or (_ALERT.search(data) if self.seeking else None)

    def _turn(self, offset: int, data: bytes, begin: int, latest: int) -> list[Record]:
        """Let TLS begin within `data`, whose first byte stands at `offset`, the latest segment's at `latest`."""
        self.mode = TLS
        self.embedded = offset + begin != latest
        old = len(self._tail) - begin
        self.before = self.before[:-old] if old > 0 else _ends(self.before + data[len(self._tail) : begin])
        self.reader.start(offset + begin)
        return self.reader.feed(data[begin:])

    def spoil(self, start: int) -> None:
        """Take what stands at a stream offset as missing: it cannot be read."""
        self.first_hole = start if self.first_hole is None else min(start, self.first_hole)

    def is_whole(self, end: int) -> bool:
        """Whether no byte of TLS before this stream offset is missing."""
        return self.first_hole is None or self.first_hole >= end

    def segments(self, start: int, end: int) -> int:
        """In how many segments the part of the stream came that is being read."""
        return sum(1 for place in self.arrivals if place.offset < end and place.offset + place.size > start)


def _is_hello(record: Record) -> bool:
    """Whether a record that was cut begins with a ClientHello or ServerHello: its type, its length, its version."""
    beginning = record.fragment or b""
    return record.content_type == HANDSHAKE and re.match(rb"[\x01\x02]\x00..\x03.", beginning, re.DOTALL) is not None


def _ends(said: bytes) -> bytes:
    """The beginning and the end of what was said."""
    return said if len(said) <= 2 * KEPT else said[:KEPT] + said[-KEPT:]
