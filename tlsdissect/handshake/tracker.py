# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The tracker of one TCP flow: it reads both directions until the handshake is over.

Goal: log the handshake from the packets as they are captured, and stop looking at packets as soon as none can matter.
`state` is the `Interest` in further packets, which these events change:

    PACKETS -> RECORDS    the handshake is decided, or longer than FOLLOWED_BYTES or MAX_PROTECTED allow
    PACKETS -> HELLOS     TLS cannot follow the payload so far, or it exceeds UPGRADE_BYTES
    HELLOS  -> PACKETS    a segment begins with a hello: both directions are read anew from there
    RECORDS -> NOTHING    both sides have sent a FIN, and no bytes before it are missing

Payload is read at once. Sorting packets by time first was rejected: it would delay a live capture and copy the packets
of all flows, while captures out of order are few. Instead, `Segments` keeps the packets of an undecided handshake, and
the handshake is read again in another order if they turn out to be out of order or to contradict each other. So each
packet is read at most twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython
from msgspec.structs import replace

from tlsdissect.flows.flow import ACK, NEVER, RST, SYN, UNKNOWN, URG, Interest
from tlsdissect.flows.sequence import difference
from tlsdissect.handshake import not_tls
from tlsdissect.handshake.direction import NO_FRAMES, Direction, may_be_padding
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.logged import LoggedHandshake
from tlsdissect.handshake.plaintext import OPENING, PLAIN, TLS, contains_hello
from tlsdissect.handshake.problems import fragment_copies, fragment_detail
from tlsdissect.handshake.record_cursor import starts_with_hello
from tlsdissect.handshake.segments import (
    MAX_CONFLICTS,
    UNCOMPARED,
    GivenUpSegment,
    Segment,
    Segments,
    captured_segment,
    new_segment,
)
from tlsdissect.handshake.starttls import may_upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import Flow, TcpHandshake
    from tlsdissect.handshake.direction import PacketRecords
    from tlsdissect.handshake.log import MayOpen
    from tlsdissect.handshake.recording import TcpRecorder
    from tlsdissect.handshake.revocation_lookups import LookupListener

_NOT_KEPT = (b"?", b"?")
"""Stands for the first bytes of both sides if these were not kept."""
TRACKER_BYTES = 5120
"""Estimated bytes that a tracker takes besides what it keeps."""
FOLLOWED_BYTES = 1 << 20
"""Payload bytes after which an undecided handshake is no longer read packet by packet."""
UPGRADE_BYTES = 1 << 16
"""Payload bytes that are searched for TLS in a flow that began with another protocol."""


# C integers, by the .pxd.
_PACKETS, _RECORDS, _HELLOS, _NOTHING = Interest.PACKETS, Interest.RECORDS, Interest.HELLOS, Interest.NOTHING
_SYN, _ACK, _RST, _URG, _UNKNOWN, _NEVER = SYN, ACK, RST, URG, UNKNOWN, NEVER
_PLAIN, _FOLLOWED_BYTES = PLAIN, FOLLOWED_BYTES
_NOBODY: frozenset[int] = frozenset()


@cython.cclass
class Tracker:
    """Both directions of a flow, and the log of its handshake."""

    flow: Flow
    directions: tuple[Direction, Direction]
    """Those of side 0, which sent the first packet, and of side 1."""
    log: HandshakeLog
    state: cython.longlong
    """The `Interest` in further packets."""
    hello_frame: cython.longlong
    """The frame that completed the ClientHello; UNKNOWN before that."""
    decided_frame: cython.longlong
    """The frame that decided the handshake; UNKNOWN before that."""
    before: tuple[bytes, bytes] | None
    """The first bytes of both sides when the flow was first given up as not TLS."""
    limited: cython.bint
    """The flow was given up before its end."""
    frames: dict[int, int]
    """If the handshake was read again in another order: the frame of the capture for each frame number used."""
    unordered: cython.bint
    """The capture is not in the order of time."""
    reread: cython.bint
    """The latest packet caused the handshake to be read again."""
    recorder: TcpRecorder | None
    """Keeps packets and records, if they are to be kept."""
    lookups: LookupListener | None
    """Decodes OCSP and CRL lookups, if they are to be decoded."""
    _budget: Budget
    _keys: MayOpen | None
    _segments: Segments
    _fragments: tuple[tuple[int, int, FragmentConflict], ...]
    """Segments in IP fragments that differ: their sides, frames, and where."""
    _left_out: frozenset[int]
    """Frames of segments that were left out because the receiver dropped them."""

    def __init__(
        self,
        budget: Budget,
        flow: Flow,
        recorder: TcpRecorder | None = None,
        lookups: LookupListener | None = None,
        keys: MayOpen | None = None,
    ) -> None:
        self.flow = flow
        self.directions = (Direction(budget, flow.one), Direction(budget, flow.other))
        self.log = HandshakeLog(budget, recorder, keys)
        self.state = flow.interest
        self.hello_frame = UNKNOWN
        self.decided_frame = UNKNOWN
        self.before = _NOT_KEPT if flow.passed else None
        self.limited = flow.gave_up
        self.frames = NO_FRAMES
        self.unordered = False
        self.reread = False
        self.recorder = recorder
        self.lookups = lookups
        self._budget = budget
        self._keys = keys
        self._segments = Segments(budget)
        self._fragments = ()
        self._left_out = _NOBODY
        budget.used += TRACKER_BYTES
        self._start()

    @cython.ccall
    @cython.exceptval(-1)
    def is_silent(self) -> cython.bint:
        """Return whether the tracker has nothing to keep, so that the flow needs none.

        With a recorder, the packets of TCP's handshake are kept as long as TLS may follow.
        """
        if self.lookups is not None and self.lookups.has_payload:
            return False
        return self.state == _HELLOS or (self.recorder is None and self._has_no_data())

    @cython.ccall
    def awaits_hello(self) -> cython.bint:
        """Return whether bytes wait for the rest of the first hello."""
        direction: Direction
        if self.state != _PACKETS or self.hello_frame != _UNKNOWN or self.log.server_hello is not None:
            return False
        for direction in self.directions:  # noqa: SIM110  # a generator would be a closure
            if direction.waits():
                return True
        return False

    @cython.cfunc
    @cython.exceptval(-1)
    def _has_no_data(self) -> cython.bint:
        """Return whether there was no payload but keep-alives."""
        mine: Direction = self.directions[0]
        other: Direction = self.directions[1]
        if mine.payload or other.payload or mine.late or other.late:
            return False
        return not self._segments.has_data()

    @cython.ccall
    @cython.exceptval(-1)
    def feed(self, packet: Packet, sender: cython.longlong) -> cython.longlong:
        """Read a packet that the flow has counted; return the `Interest` in further packets."""
        follows: cython.bint = self.state == _PACKETS
        if self.recorder is not None:
            self.recorder.before_packet(self)
        if follows and packet.length > 0 and packet.ip_checksum_is_wrong():
            self._segments.damage(packet.frame)
        self._read(captured_segment(packet, sender))
        if self.recorder is not None and self._has_no_data():
            self._begin_anew()
        if self.lookups is not None:
            self.lookups.feed(packet, sender)
        if self.recorder is not None and not self.reread:
            self.recorder.after_packet(self, follows, packet, sender)
        if self.state == _HELLOS and self.lookups is not None and self.lookups.is_active:
            return _PACKETS
        return self.state

    def add_fragments(self, packet: Packet, sender: cython.longlong, conflict: FragmentConflict) -> None:
        """Note that the next packet came in IP fragments that overlap with different bytes."""
        if self.state == Interest.PACKETS and len(self._fragments) < MAX_CONFLICTS:
            self._fragments = (*self._fragments, (sender, packet.frame, conflict))
            self._segments.distrust(packet.frame)
            if conflict.before:
                self._segments.distrust(conflict.before)

    @cython.cfunc
    def _begin_anew(self) -> cython.bint:
        """Forget what packets without data left, as is forgotten with the whole tracker where there is no recorder."""
        mine: Direction = self.directions[0]
        other: Direction = self.directions[1]
        self._budget.used -= mine.held_bytes + other.held_bytes
        self._segments.drop()
        self.directions = (Direction(self._budget, self.flow.one), Direction(self._budget, self.flow.other))
        self._segments = Segments(self._budget)
        self._fragments = ()
        self.frames, self.unordered = NO_FRAMES, False
        self.before = _NOT_KEPT if self.flow.passed else None
        return self._start()

    @cython.cfunc
    @cython.exceptval(-1)
    def _read(self, segment: Segment) -> cython.bint:
        """Read a segment, and the whole handshake again if the segment shows that it was read wrongly."""
        segments: Segments = self._segments
        self.reread = False
        if self.log.look_for_keys():
            self._keep_bodies()
        if self.state == _PACKETS and not segments.add(segment):
            direction: Direction = self.directions[segment.sender]
            if direction.has_passed(segment.sequence):
                segments.pass_over(segment)
        self._process(segment)
        if self._segments is not segments:
            segments = self._segments
            if isinstance(self.flow.given_up_segment, GivenUpSegment):
                segments.recall(self.flow.given_up_segment)
            segments.add(segment)
        if self.state != _PACKETS and segments.kept:
            self._review()
        return True

    @cython.cfunc
    def _start(self) -> cython.bint:
        """Begin each direction after its SYN, if that was captured."""
        direction: Direction
        self._keep_bodies()
        for direction in self.directions:
            if direction.tcp.first != _UNKNOWN:
                direction.assembler.start(direction.tcp.first)
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _process(self, segment: Segment) -> cython.bint:
        """Read a segment."""
        sender: cython.longlong = segment.sender
        direction: Direction = self.directions[sender]
        other: Direction = self.directions[1 - sender]
        flags: cython.longlong = segment.flags
        sequence: cython.longlong = segment.sequence
        if flags & _SYN:
            unacknowledged: cython.bint = direction.tcp.acknowledged == _UNKNOWN
            if direction.tcp.first == sequence and (not direction.assembler.started or unacknowledged):
                direction = self._begin(sender, sequence)
        if self.flow.may_have_dropped:
            self._follow_answers()
            direction, other = self.directions[sender], self.directions[1 - sender]
        if flags & _ACK and (other.unplaced or other.late or other.possible_padding is not None):
            self._add_records(1 - sender, other.acknowledge(), _UNKNOWN)
        if flags & _RST:
            # Text in a RST is no stream data (RFC 9293 section 3.5.3).
            if segment.length > 0 and direction.reset_text is None and not may_be_padding(segment):
                direction.reset_text = (segment.frame, segment.payload)
        elif segment.length > 0:
            if flags & _URG:
                direction.report_urgent(segment)
            if flags & _ACK and other.awaited == _UNKNOWN:
                other.awaited = segment.acknowledgement
            if self.log.client == _UNKNOWN:
                self._search(segment)
            else:
                self._add_records(sender, direction.add(segment), segment.acknowledgement)
        # An undecided handshake may continue, if what closed it was dropped.
        if self.decided_frame != _UNKNOWN and direction.tcp.fin is not None and self._is_closed():
            self.state = _NOTHING
        return True

    @cython.cfunc
    def _review(self) -> cython.bint:
        """Read the finished handshake again if segments were out of order, or the receiver dropped one of them."""
        segments: Segments = self._segments
        self.unordered = segments.is_unordered(self.flow)
        if segments.conflicts or self.unordered:
            self._correct(segments)
        segments.drop()
        return True

    def _correct(self, segments: Segments) -> None:
        """Read the handshake again without the segments that the receiver dropped, and in the order of their times."""
        false = segments.false(self.flow) if segments.conflicts else {}
        order = segments.kept
        if self.unordered and segments.complete:
            order = segments.in_order()
        if false or order is not segments.kept:
            order = [one for one in order if one.frame not in false]
            numbers = sorted(one.frame for one in order)
            if numbers != [one.frame for one in order]:
                self.frames = {number: one.frame for number, one in zip(numbers, order, strict=True)}
            if (
                isinstance(self.flow.given_up_segment, GivenUpSegment)
                and self.flow.given_up_segment.segment.frame in false
            ):
                self.flow.passed = False
            self._read_again(order, numbers)
        self._left_out = frozenset(false)
        self._report_conflicts(false, order)

    def _read_again(self, order: Sequence[Segment], numbers: Sequence[int]) -> None:
        """Read these segments in this order, with these frame numbers."""
        self.reread = True
        if self.recorder is not None:
            self.recorder.read_again({one.frame for one in self._segments.kept}, {one.frame for one in order})
        self._budget.used -= self.log.held_bytes + sum(direction.held_bytes for direction in self.directions)
        self.directions = Direction(self._budget, self.flow.one), Direction(self._budget, self.flow.other)
        self.log = HandshakeLog(self._budget, self.recorder, self._keys)
        self.state, self.hello_frame, self.decided_frame = Interest.PACKETS, UNKNOWN, UNKNOWN
        self.before = _NOT_KEPT if self.flow.passed else None
        given = {frame: number for number, frame in self.frames.items()}
        for direction in self.directions:
            direction.frames = given
        self._start()
        for one, number in zip(order, numbers, strict=True):
            segment: Segment = _numbered(one, number)
            if self.recorder is not None:
                self.recorder.before_packet(self)
            self._process(segment)
            if self.recorder is not None:
                self.recorder.after_reading_again(self, segment.packet(self.flow.endpoints), one.sender)

    def _report_conflicts(self, false: dict[int, str], order: Sequence[Segment]) -> None:
        """Report segments with different bytes at the same place, once for each segment that is left out.

        `order` is that in which segments were read.
        """
        reported: set[int] = set()
        given = {frame: number for number, frame in self.frames.items()}
        for conflict in self._segments.conflicts:
            first, second = conflict.first, conflict.second
            wrong = [one.frame for one in (first, second) if one.frame in false]
            if len(wrong) == 2 or not reported.isdisjoint(wrong):
                continue
            reported.update(wrong)
            direction = self.directions[first.sender]
            begin = direction.assembler.sequence(0)
            copies = conflict.copies(self._segments.read(conflict, begin, order), false)
            frame, other = second.frame, first.frame
            if frame not in wrong and (wrong or copies[1].used):
                frame, other = other, frame
            detail = f"other bytes than in frame {other}"
            if wrong:
                detail += f", and {false[wrong[0]]}: this segment is left out"
            elif copies[0].used or copies[1].used:
                detail += ", which counts"
            settled = self._segments.settled
            if settled in {frame, other}:
                detail += f", although frame {given.get(settled, settled)} was acknowledged"
            direction.problems.report(
                "conflicting_data",
                detail,
                given.get(frame, frame),
                direction.assembler.offset(conflict.sequence),
                tuple([replace(one, frame=given.get(one.frame or 0, one.frame)) for one in copies]),
            )

    def _report_fragments(self) -> None:
        """Report IP fragments with different bytes at the same place."""
        given = {frame: number for number, frame in self.frames.items()}
        for sender, frame, conflict in self._fragments:
            copies = fragment_copies(conflict)
            if frame in self._left_out and copies[0].used:
                copies = (replace(copies[0], used=False), copies[1])
            self.directions[sender].problems.report(
                "conflicting_data",
                fragment_detail(conflict),
                given.get(frame, frame),
                None,
                tuple([replace(one, frame=given.get(one.frame or 0, one.frame)) for one in copies]),
            )

    def _report_uncompared(self) -> None:
        """Report the first segment that a limit kept from being compared with all earlier ones."""
        one = self._segments.uncompared
        if one is not None:
            given = {frame: number for number, frame in self.frames.items()}
            direction = self.directions[one.sender]
            offset = direction.assembler.offset(one.sequence)
            direction.problems.report("limit", UNCOMPARED, given.get(one.frame, one.frame), offset)

    @cython.cfunc
    def _search(self, segment: Segment) -> cython.bint:
        """Search a segment's payload for TLS."""
        sender: cython.longlong = segment.sender
        sequence: cython.longlong = segment.sequence
        direction: Direction = self.directions[sender]
        begins: cython.bint = starts_with_hello(segment.payload)
        if begins and (direction.is_apart(sequence) or direction.holds_other_bytes(segment)):
            self._add_records(sender, direction.place(), UNKNOWN)
            self._give_up_if_hopeless()
            direction = self.directions[sender]
        # A hello in place of bytes that were delivered before begins a new stream.
        if self.state == _HELLOS or (direction.mode == _PLAIN and direction.has_passed(sequence)):
            if begins or (self.state == _HELLOS and may_resume(self.flow, sender, sequence, segment.payload)):
                self._resume(segment)
                direction = self.directions[sender]
            elif self.state == _HELLOS:
                return False
        self._add_records(sender, direction.add(segment), segment.acknowledgement)
        if self.log.client == _UNKNOWN:
            self._give_up_if_hopeless()
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _add_records(
        self, sender: cython.longlong, completed: list[PacketRecords], acknowledgement: cython.longlong
    ) -> cython.bint:
        """Process the records that a packet completed.

        `acknowledgement` is that of the packet, UNKNOWN if the other side sent it.
        """
        log: HandshakeLog = self.log
        direction: Direction = self.directions[sender]
        records: PacketRecords
        frame: cython.longlong = 0
        if not completed:
            return False
        for records in completed:
            log.add_records(sender, direction, records, acknowledgement)
            frame = records.frame
        if self.state == _PACKETS and log.client != _UNKNOWN:
            self._decide(frame)
        if log.keeps != direction.reader.keeps:
            self._keep_bodies()
        return True

    @cython.cfunc
    def _keep_bodies(self) -> cython.bint:
        """Let both directions keep the bodies of application data that the log wants."""
        direction: Direction
        for direction in self.directions:
            direction.reader.keeps = self.log.keeps
        return True

    def _follow_answers(self) -> None:
        """Begin each direction where the SYN-ACK says that was not dropped."""
        for sender, direction in enumerate(self.directions):
            first = direction.tcp.first
            if direction.payload == 0 and direction.tcp.answers and direction.assembler.started:
                self._begin(sender, first)

    def _begin(self, sender: cython.longlong, sequence: cython.longlong) -> Direction:
        """Begin a direction after its SYN: earlier bytes belong to an earlier connection."""
        direction = self.directions[sender]
        if direction.mode == TLS or (direction.assembler.started and direction.assembler.sequence(0) == sequence):
            return direction
        self._budget.used -= direction.held_bytes
        direction = direction.renewed()
        self.directions = (direction, self.directions[1]) if sender == 0 else (self.directions[0], direction)
        direction.assembler.start(sequence)
        return direction

    @property
    def closing_frame(self) -> int | None:
        """The frame that closed the flow: the later FIN or the first RST."""
        fins = [direction.fin.frame for direction in self.directions if direction.fin is not None]
        resets = [direction.rst.frame for direction in self.directions if direction.rst is not None]
        return min([*resets, *([max(fins)] if len(fins) == 2 else [])], default=None)

    @cython.ccall
    def closed_clock(self) -> cython.longlong:
        """Return the clock at the later FIN; NEVER if a side sent none, or bytes before a FIN are missing."""
        fins: cython.longlong = max(self.flow.one.fin_clock, self.flow.other.fin_clock)
        return fins if fins != _NEVER and self._is_closed() else NEVER

    @cython.cfunc
    def _is_closed(self) -> cython.bint:
        """Return whether both sides sent a FIN and no bytes before either are missing."""
        direction: Direction
        for direction in self.directions:
            fin = direction.tcp.fin
            if fin is None:
                return False
            if direction.assembler.started and direction.assembler.position < direction.assembler.offset(fin.end):
                return False
        return True

    @cython.ccall
    def finish(self) -> cython.bint:
        """Read the segments held after holes, at the end of the flow."""
        if self.recorder is not None:
            self.recorder.before_end(self)
        if self._segments.kept:
            self._review()
        # Reading again replaces the log.
        log: HandshakeLog = self.log
        sender: cython.longlong
        direction: Direction
        completed: PacketRecords
        for sender in range(2):
            direction = self.directions[sender]
            for completed in direction.finish():
                log.add_records(sender, direction, completed, _UNKNOWN)
            log.take_bodies(sender, direction)
            if direction.joiner.waiting > 0:
                log.break_off(sender, direction)
            if direction.alert is not None:
                log.break_off_alert(direction)
        log.sort()
        self._report_fragments()
        self._report_uncompared()
        return True

    @cython.ccall
    def logged(self, until: cython.longlong, damage: Sequence[Damage]) -> LoggedHandshake:
        """Return the handshake as logged so far; see `LoggedHandshake` for the arguments."""
        log: HandshakeLog = self.log
        flow: Flow = self.flow
        times: TcpHandshake = flow.handshake
        mine: Direction = self.directions[0]
        other: Direction = self.directions[1]
        # In the order of the fields: msgspec takes ten times as long to assign them by name.
        return LoggedHandshake(
            "tcp",
            log.client,
            log.events,
            log.client_hello,
            log.server_hello,
            log.retry_request,
            log.hello_retries,
            log.version,
            log.tls13,
            log.decided,
            tuple(log.first_data),
            tuple(log.heartbeats),
            frozenset(log.limited) if log.limited else _NOBODY,
            (mine.summary(), other.summary()),
            times.opener,
            (times.syn, times.synack, times.ack),
            flow.one.seen and flow.other.seen,
            flow.dropped + flow.unanswered(),
            flow.first_drop(),
            self.before,
            self.limited,
            self.unordered,
            self.frames,
            until,
            tuple(damage),
            None if self.recorder is None else self.recorder.recorded(self),
            sealed_records=tuple(log.sealed_records),
            unkept=log.unkept,
            clocks_differ=self.unordered and times.late_side != UNKNOWN,
        )

    def protocol(self) -> str | None:
        """Return the protocol of this flow without TLS; None if unknown."""
        flow, directions = self.flow, self.directions
        framing = directions[0].framing or directions[1].framing
        if framing is not None:
            return not_tls.name(framing)
        kept = directions[0].plaintext.kept, directions[1].plaintext.kept
        if self.before is not None and self.before is not _NOT_KEPT:
            kept = self.before
        named = not_tls.by_first_bytes(*kept, flow.handshake.opener) if any(kept) else ""
        if named:
            return named
        if TLS in (directions[0].mode, directions[1].mode):
            return not_tls.RECORDS_BEGUN if flow.handshake.opener == UNKNOWN else not_tls.RECORDS
        payload = directions[0].payload + directions[1].payload
        if flow.handshake.opener != UNKNOWN and payload and not any(kept):
            return not_tls.HIDDEN
        return None

    @cython.ccall
    def release(self) -> cython.bint:
        """Return the bytes that are held and kept to the budget."""
        direction: Direction
        self._budget.used -= TRACKER_BYTES
        self._segments.drop()
        if self.lookups is not None:
            self.lookups.release()
        self._budget.used -= self.log.held_bytes
        for direction in self.directions:
            self._budget.used -= direction.held_bytes
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def passes(self, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Skip a packet without flags of interest, if it is bare or all of its application data is of no interest."""
        direction: Direction = self.directions[sender]
        return packet.length == 0 or direction.cursor.passes(packet)

    @cython.ccall
    def expect(self) -> cython.bint:
        """Set the cursors of both directions, by which packets of no interest are skipped."""
        sender: cython.longlong
        direction: Direction
        log: HandshakeLog = self.log
        for sender in range(2):
            direction = self.directions[sender]
            decided: cython.bint = log.first_data[sender] is not None and (log.decided or not log.tls13)
            direction.expect(decided, log.alert_sizes[sender])
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def catch_up(self) -> cython.bint:
        """Skip the bytes of the packets that the cursors passed."""
        sender: cython.longlong
        direction: Direction
        log: HandshakeLog = self.log
        for sender in range(2):
            direction = self.directions[sender]
            direction.catch_up()
            log.count_passed(sender, direction.cursor.take_records())
        return True

    def _resume(self, segment: Segment) -> None:
        """Read a flow again that was given up as not TLS: a hello begins here."""
        mine, other = self.directions
        self.before = (mine.plaintext.kept, other.plaintext.kept) if self.before is None else self.before
        waiting = self._waiting(segment)
        self._budget.used -= mine.held_bytes + other.held_bytes
        self.directions = (mine.renewed(), other.renewed())
        direction = self.directions[segment.sender]
        direction.assembler.start(segment.sequence)
        self.state = Interest.PACKETS
        keeps = not self._segments.conflicts
        if keeps:
            self._segments.drop()
            self._segments = Segments(self._budget)
        self._segments.resume(segment.frame)
        if self.recorder is not None:
            self.recorder.forget()
        for one in waiting:
            if keeps:
                self._segments.add(one)
            direction.add(one)
            if self.recorder is not None:
                self.recorder.after_packet(self, True, one.packet(self.flow.endpoints), one.sender)

    def _waiting(self, segment: Segment) -> list[Segment]:
        """Return the segments of the same side that wait behind a gap for bytes before them, such as these."""
        direction = self.directions[segment.sender]
        return [
            one
            for one in self._segments.kept
            if one.sender == segment.sender
            and one is not segment
            and one.length > 0
            and not one.flags & RST
            and difference(one.sequence, segment.sequence) > 0
            and not direction.has_passed(one.sequence)
        ]

    @cython.cfunc
    def _decide(self, frame: cython.longlong) -> cython.bint:
        """Decide which packets matter after a record was read."""
        log: HandshakeLog = self.log
        segments: Segments = self._segments
        if self.hello_frame == _UNKNOWN:
            self._mark_as_tls(frame)
        if segments.complete and segments.is_unordered(self.flow):
            # Later packets of the capture may have been sent first.
            return False
        if log.is_over():
            log.decide()
        elif not self._is_too_long():
            return False
        self.state = _RECORDS
        self.decided_frame = frame
        return True

    @cython.cfunc
    def _mark_as_tls(self, frame: cython.longlong) -> cython.bint:
        """Mark the flow as TLS; once there is a ClientHello, segments per message are no longer counted."""
        direction: Direction
        lacks_client_hello: cython.bint = self.log.client_hello is None
        for direction in self.directions:
            direction.plaintext.seeking = True
            direction.counting = lacks_client_hello
            direction.reply = None
        self.hello_frame = _UNKNOWN if lacks_client_hello else frame
        return True

    @cython.cfunc
    def _is_too_long(self) -> cython.bint:
        """Return whether both sides sent more than a handshake takes."""
        mine: Direction = self.directions[0]
        other: Direction = self.directions[1]
        return mine.payload + other.payload > _FOLLOWED_BYTES or self.log.is_long()

    def _give_up_if_hopeless(self) -> None:
        """Give up the flow unless it may still become TLS."""
        payload = self.directions[0].payload + self.directions[1].payload
        modes = (self.directions[0].mode, self.directions[1].mode)
        if TLS in modes:
            for other in self.directions:
                other.plaintext.seeking = True
            hopeful = payload <= UPGRADE_BYTES
        elif modes == (OPENING, OPENING) or any(direction.framing for direction in self.directions):
            hopeful = payload <= UPGRADE_BYTES
        else:
            hopeful = payload <= UPGRADE_BYTES and may_upgrade(
                *(direction.plaintext.kept for direction in self.directions)
            )
        if not hopeful:
            self.flow.protocol = self.flow.protocol or self.protocol()
            self.state = Interest.HELLOS
            first = not self.flow.passed and not self.reread
            self.flow.given_up_segment = self._segments.given_up(self.flow) if first else None
            self.flow.passed = True
            # A hello may follow after this tracker is deleted, and its first bytes with it.
            self.before = _NOT_KEPT


@cython.ccall
def may_resume(flow: Flow, sender: cython.longlong, sequence: cython.longlong, payload: bytes) -> cython.bint:
    """Return whether a hello begins in a segment of a flow that was given up as not TLS.

    It begins the segment, since a side waits for an answer before it turns to TLS. Only what a side sends first may
    have a hello after other bytes: that of a client which read the server's greeting and awaits no further answer.
    """
    return starts_with_hello(payload) or (flow.side(sender).first == sequence and contains_hello(payload))


@cython.cfunc
def _numbered(one: Segment, frame: cython.longlong) -> Segment:
    """Return a segment with another frame number."""
    return new_segment(
        one.sender,
        frame,
        one.time,
        one.flags,
        one.sequence,
        one.acknowledgement,
        one.length,
        one.header,
        one.payload,
        one.place,
        one.hop_limit,
    )
