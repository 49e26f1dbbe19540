"""The tracker of one TCP flow: it reads both directions until the handshake is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.flows.flow import ACK, RST, SYN, UNKNOWN, Interest
from tlsdissect.transcript.tracking import not_tls
from tlsdissect.transcript.tracking.cursor import EVERY, NONE, OUT_OF_STEP, RecordCursor, starts_with_hello
from tlsdissect.transcript.tracking.half import Half, SegmentPayload
from tlsdissect.transcript.tracking.prelude import OPENING, PLAIN, TLS
from tlsdissect.transcript.tracking.script import MAX_PROTECTED, Script
from tlsdissect.transcript.tracking.segments import KeptSegment, Segments
from tlsdissect.transcript.tracking.shapes import is_decided
from tlsdissect.transcript.tracking.upgrade import may_upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.flow import Flow
    from tlsdissect.flows.limits import Budget
    from tlsdissect.transcript.tracking.half import Piece

_FORGOTTEN = (b"?", b"?")
"""In place of the first bytes of both sides where these were not kept."""
FOLLOWED_BYTES = 1 << 20
"""Payload bytes after which an undecided handshake is no longer read packet by packet."""
UPGRADE_BYTES = 1 << 16
"""Payload bytes that are searched for TLS in a flow that began with another protocol."""


class Tracker:
    """Both directions of a flow, and the handshake messages of both in the order of the capture."""

    __slots__ = (
        "_budget", "_segments", "before", "flow", "frames", "halves", "heard", "limited", "reread", "script", "settled",
        "state", "unordered",
    )  # fmt: skip

    def __init__(self, budget: Budget, flow: Flow) -> None:
        self._budget = budget
        self.flow = flow
        self.halves = (Half(budget, flow.one), Half(budget, flow.other))
        self.script = Script(budget)
        self.state: int = flow.interest
        self.heard: int | None = None
        """The frame that showed the ClientHello."""
        self.settled: int | None = None
        """The frame that decided the handshake."""
        self.before: tuple[bytes, bytes] | None = _FORGOTTEN if flow.passed else None
        """The first bytes of both sides when the flow was first given up as not TLS."""
        self.limited = False
        """The flow was given up before its end."""
        self.frames: dict[int, int] = {}
        """If the handshake was read again in another order: the frame of the capture for each frame number used."""
        self.unordered = False
        """The capture is not in the order of time."""
        self.reread = False
        """The latest packet caused the handshake to be read again."""
        self._segments = Segments(budget)
        self._start()

    @property
    def silent(self) -> bool:
        """Whether the flow has nothing that may be TLS, so that its totals are all there is to keep."""
        return self.state == Interest.HELLOS or not (self.halves[0].payload or self.halves[1].payload)

    def feed(self, packet: Packet, sender: int) -> int:
        """Read a packet that the flow has counted; return the `Interest` in further packets."""
        self.reread = False
        if self.state == Interest.PACKETS:
            self._segments.add(packet, sender)
        segments = self._segments
        self._look(packet, sender)
        if self._segments is not segments:
            if isinstance(self.flow.doubtful, KeptSegment):
                self._segments.recall(self.flow.doubtful)
            self._segments.add(packet, sender)
        if self.state != Interest.PACKETS and self._segments.kept:
            self._review()
        return self.state

    def _start(self) -> None:
        """Begin each direction after its SYN, if that was captured."""
        for half in self.halves:
            if half.tcp.first != UNKNOWN:
                half.assembler.start(half.tcp.first)

    def _look(self, packet: Packet, sender: int) -> None:
        """Read a packet."""
        half, other, length = self.halves[sender], self.halves[1 - sender], packet.length
        sequence = packet.sequence
        if packet.flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
            if half.tcp.first == sequence and (not half.assembler.started or half.acked is None):
                half = self._begin(sender, sequence)
        if packet.flags & ACK and (other.unplaced or other.doubtful is not None):
            self._take(1 - sender, other.acknowledge(), None)
        if packet.flags & RST:
            if length and half.reset_text is None:
                # Text in a RST is no stream data (RFC 9293 section 3.5.3).
                half.reset_text = (packet.frame, packet.captured_payload())
        elif length:
            if packet.flags & ACK and other.awaited is None:
                other.awaited = packet.acknowledgement
            segment = SegmentPayload(sequence, packet.captured_payload(), length, packet.frame, packet.time)
            if self.script.client is None:
                self._search(sender, segment, packet.acknowledgement)
            else:
                self._take(sender, half.add(segment), packet.acknowledgement)
        if half.fin is not None and other.fin is not None and self._is_closed():
            self.state = Interest.NOTHING

    def _review(self) -> None:
        """Read the finished handshake again if segments were out of order, or the receiver dropped one of them."""
        segments = self._segments
        false = segments.false(self.flow.endpoints) if segments.conflicts else set()
        self.unordered = segments.unordered
        order = segments.kept
        if self.unordered and segments.complete:
            order = segments.in_order()
        if false or order is not segments.kept:
            order = [one for one in order if one.frame not in false]
            numbers = sorted(one.frame for one in order)
            if numbers != [one.frame for one in order]:
                self.frames = {number: one.frame for number, one in zip(numbers, order, strict=True)}
            if isinstance(self.flow.doubtful, KeptSegment) and self.flow.doubtful.frame in false:
                self.flow.passed = False
            self._read_again(order, numbers)
        self._note_conflicts(false)
        segments.drop()

    def _read_again(self, order: Sequence[KeptSegment], numbers: Sequence[int]) -> None:
        """Read these segments in this order, with these frame numbers."""
        self.reread = True
        self._budget.used -= self.script.held_bytes + sum(half.assembler.held_bytes for half in self.halves)
        self.halves = Half(self._budget, self.flow.one), Half(self._budget, self.flow.other)
        self.script = type(self.script)(self._budget)
        self.state, self.heard, self.settled = Interest.PACKETS, None, None
        self.before = _FORGOTTEN if self.flow.passed else None
        given = {frame: number for number, frame in self.frames.items()}
        for half in self.halves:
            half.frames = given
        self._start()
        for one, number in zip(order, numbers, strict=True):
            endpoints = self.flow.endpoints
            self._again(one.packet(endpoints, number), one.sender)

    def _again(self, packet: Packet, sender: int) -> None:
        """Read a packet again."""
        self._look(packet, sender)

    def _note_conflicts(self, false: set[int]) -> None:
        """Report segments with other bytes at the same place; once for each segment that is left out."""
        noted: set[int] = set()
        given = {frame: number for number, frame in self.frames.items()}
        for first, second, sequence in self._segments.conflicts:
            wrong = [one.frame for one in (first, second) if one.frame in false]
            if len(wrong) == 2 or not noted.isdisjoint(wrong):
                continue
            noted.update(wrong)
            half = self.halves[first.sender]
            if wrong:
                other = second.frame if wrong[0] == first.frame else first.frame
                detail = f"other bytes than in frame {other}, and a wrong TCP checksum: this segment is left out"
            else:
                detail = f"other bytes than in frame {first.frame}, which came first and counts"
            frame = wrong[0] if wrong else second.frame
            half.trouble("conflicting_data", detail, given.get(frame, frame), half.assembler.offset(sequence))

    def _search(self, sender: int, segment: SegmentPayload, acknowledgement: int) -> None:
        """Search a segment's payload for TLS."""
        half, sequence, begins = self.halves[sender], segment.sequence, starts_with_hello(segment.data)
        if begins and half.is_apart(sequence):
            self._take(sender, half.place(), None)
            self._seek()
            half = self.halves[sender]
        # A hello in place of bytes that were delivered before begins a new stream.
        if self.state == Interest.HELLOS or (half.mode == PLAIN and half.has_passed(sequence)):
            if begins:
                self._wake(sender, sequence)
            elif self.state == Interest.HELLOS:
                return
        self._take(sender, self.halves[sender].add(segment), acknowledgement)
        if self.script.client is None:
            self._seek()

    def _take(self, sender: int, pieces: list[Piece], acknowledgement: int | None) -> None:
        """Process the records that a packet completed; `acknowledgement` is None if the other side sent that packet."""
        half, script = self.halves[sender], self.script
        for piece in pieces:
            script.take(sender, half, piece, acknowledgement)
        if pieces and self.state == Interest.PACKETS and script.client is not None:
            self._decide(pieces[-1].frame)

    def _begin(self, sender: int, sequence: int) -> Half:
        """Begin a direction after its SYN: what was read before belongs to an earlier connection."""
        half = self.halves[sender]
        if half.mode == TLS or (half.assembler.started and half.assembler.sequence(0) == sequence):
            return half
        if half.first_frame is not None:
            self._budget.used -= half.held_bytes
            half = half.renewed()
            self.halves = (half, self.halves[1]) if sender == 0 else (self.halves[0], half)
        half.restart(sequence)
        return half

    @property
    def closing_frame(self) -> int | None:
        """The frame that closed the flow: the later FIN or the first RST."""
        fins = [half.fin.frame for half in self.halves if half.fin is not None]
        resets = [half.rst.frame for half in self.halves if half.rst is not None]
        return min([*resets, *([max(fins)] if len(fins) == 2 else [])], default=None)

    def _is_closed(self) -> bool:
        """Return whether no bytes before a FIN are missing."""
        for half in self.halves:
            if (
                half.fin is not None
                and half.assembler.started
                and half.assembler.position < half.assembler.offset(half.fin.end)
            ):
                return False
        return True

    def finish(self) -> None:
        """Read what is held behind holes, at the end of the flow."""
        if self._segments.kept:
            self._review()
        for sender, half in enumerate(self.halves):
            for piece in half.finish():
                self.script.take(sender, half, piece, None)
            if half.joiner.waiting:
                self.script.break_off(sender, half)
            self.script.break_off_alert(half)
        self.script.sort()

    def spoken(self) -> str | None:
        """Return the protocol of this flow, in which no TLS was found; None if it is not known."""
        flow, halves = self.flow, self.halves
        carrier = halves[0].carrier or halves[1].carrier
        if carrier is not None:
            return not_tls.name(carrier)
        said = halves[0].prelude.said, halves[1].prelude.said
        if self.before is not None and self.before is not _FORGOTTEN:
            said = self.before
        named = not_tls.from_words(*said, flow.handshake.opener) if any(said) else ""
        if named:
            return named
        if TLS in (halves[0].mode, halves[1].mode):
            return not_tls.RECORDS_BEGUN if flow.handshake.opener == UNKNOWN else not_tls.RECORDS
        if flow.handshake.opener != UNKNOWN and flow.payload_bytes and not any(said):
            return not_tls.HIDDEN
        return None

    def release(self) -> None:
        """Return the bytes that are held and kept to the budget."""
        self._segments.drop()
        self._budget.used -= self.script.held_bytes + sum(half.held_bytes for half in self.halves)

    def expect(self) -> tuple[RecordCursor, RecordCursor]:
        """Return a cursor at the next record of each side, by which packets without news are skipped."""
        return self._expected(0), self._expected(1)

    def catch_up(self, cursors: tuple[RecordCursor, RecordCursor]) -> None:
        """Skip the bytes of the packets that the cursors passed."""
        for half, cursor in zip(self.halves, cursors, strict=True):
            if cursor.in_step:
                old = half.assembler.position
                half.assembler.skip_to(cursor.position)
                half.payload += half.assembler.position - old
                half.reader.jump(half.assembler.position, cursor.ahead)

    def _expected(self, sender: int) -> RecordCursor:
        half, script = self.halves[sender], self.script
        if half.mode != TLS or half.carrier or half.reader.astray is not None or half.assembler.holds or half.doubtful:
            return OUT_OF_STEP
        telling = NONE if script.alert_size is None else script.alert_size
        # Application data matters until its first record, in TLS 1.3 until the handshake is over; then only alerts do.
        settled = script.first_data[sender] is not None and (script.decided or not script.tls13)
        if not settled or not (half.reader.skip or half.reader.between):
            telling = EVERY
        return RecordCursor(half.assembler.sequence(half.assembler.position), half.reader.skip, telling)

    def _wake(self, sender: int, sequence: int) -> None:
        """Follow a flow again that was not TLS so far: a hello begins here."""
        mine, other = self.halves
        self.before = (mine.prelude.said, other.prelude.said) if self.before is None else self.before
        self._budget.used -= mine.held_bytes + other.held_bytes
        self.halves = (mine.renewed(), other.renewed())
        self.halves[sender].assembler.start(sequence)
        self.state = Interest.PACKETS
        if not self._segments.conflicts:
            self._segments.drop()
            self._segments = Segments(self._budget)

    def _decide(self, frame: int) -> None:
        """Decide which packets matter after a record was read."""
        script = self.script
        if self.heard is None:
            self._hear(frame)
        if self._segments.unordered and self._segments.complete:
            # What comes next in the capture may be what came first.
            return
        if is_decided(script):
            script.settle()
        elif not self._is_too_long():
            return
        self.state, self.settled = Interest.RECORDS, frame

    def _hear(self, frame: int) -> None:
        """Mark the flow as TLS; once there is a ClientHello, segments per message are no longer counted."""
        unheard = self.script.offer is None
        for half in self.halves:
            half.prelude.seeking, half.counting, half.reply = True, unheard, None
        self.heard = None if unheard else frame

    def _is_too_long(self) -> bool:
        """Return whether both sides sent more than a handshake takes."""
        mine, other = self.halves
        return mine.payload + other.payload > FOLLOWED_BYTES or max(self.script.protected) > MAX_PROTECTED

    def _seek(self) -> None:
        """Give the flow up unless it may still become TLS."""
        payload = self.halves[0].payload + self.halves[1].payload
        modes = (self.halves[0].mode, self.halves[1].mode)
        if TLS in modes:
            for other in self.halves:
                other.prelude.seeking = True
            hopeful = payload <= UPGRADE_BYTES
        elif modes == (OPENING, OPENING) or any(half.carrier for half in self.halves):
            hopeful = payload <= UPGRADE_BYTES
        else:
            hopeful = payload <= UPGRADE_BYTES and may_upgrade(*(half.prelude.said for half in self.halves))
        if not hopeful:
            self.flow.spoken = self.flow.spoken or self.spoken()
            self.state = Interest.HELLOS
            first = not self.flow.passed and not self.reread
            self.flow.doubtful = self._segments.doubtful(self.flow.endpoints) if first else None
            self.flow.passed = True
            # A hello may come after this tracker is gone, and then there are no bytes of before.
            self.before = _FORGOTTEN
