"""One conversation, followed until nothing more can be learnt of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.streams.following import CLOSED, EVERY, FOLLOW, NONE, RECORDS, WATCH, Next
from tlsdissect.streams.segments import ACK, FIN, RST, SYN, Signal, starts_with_hello
from tlsdissect.transcript.tracking.half import Half
from tlsdissect.transcript.tracking.prelude import OPENING, PLAIN, TLS
from tlsdissect.transcript.tracking.script import MAX_PROTECTED, Script
from tlsdissect.transcript.tracking.shapes import is_decided
from tlsdissect.transcript.tracking.upgrade import may_upgrade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.streams.limits import Budget
    from tlsdissect.streams.segments import Segment
    from tlsdissect.streams.threeway import ThreeWay

_SIGNALS = SYN | FIN | RST
_FORGOTTEN = (b"?", b"?")
"""What stands for words that were not kept."""
FOLLOWED_BYTES = 1 << 20
"""Payload after which a handshake that is still not decided is no longer followed packet by packet."""
UPGRADE_BYTES = 1 << 16
"""Payload within which a conversation that began with something else is followed in search of TLS."""


class Tracker:
    """The two halves of a conversation, and what they said in the order in which it was seen."""

    __slots__ = ("_budget", "_fins", "before", "halves", "heard", "limited", "script", "settled", "state", "way")

    def __init__(self, budget: Budget, way: ThreeWay, state: int = FOLLOW) -> None:
        self._budget = budget
        self.way = way
        """TCP's own handshake, and what of the conversation is known besides."""
        self.halves = (Half(budget), Half(budget))
        self.script = Script(budget)
        self.state = state
        self._fins = any(way.fins)
        self.heard: int | None = None
        """The frame that showed the ClientHello."""
        self.settled: int | None = None
        """The frame after which the handshake was followed no more."""
        self.before: tuple[bytes, bytes] | None = _FORGOTTEN if way.spoken else None
        """What the halves had said when the conversation was first given up as not TLS."""
        self.limited = False
        """It was given up before its end."""
        for half, first, acked, fin, rst in zip(self.halves, way.first, way.acked, way.fins, way.resets, strict=True):
            half.acked, half.fin, half.rst = acked, fin, rst
            if first is not None:
                half.assembler.start(first)

    @property
    def silent(self) -> bool:
        """Whether nothing was said that may be TLS: `way` is then all there is to keep."""
        return self.state == WATCH or not (self.halves[0].payload or self.halves[1].payload)

    def feed(self, data: memoryview, segments: Sequence[Segment]) -> int:
        """Look at packets, in order; return what matters from now on."""
        way, seen = self.way, self.way.seen
        for frame, time, sender, flags, sequence, acknowledgement, length, payload, captured, _ in segments:
            if self.state == WATCH and not starts_with_hello(data[payload : payload + captured]):
                # Of a conversation that was given up as not TLS, not all packets are shown.
                way.glance(sender, flags, time, sequence, acknowledgement)
                continue
            if self.state == RECORDS and not (length or flags & _SIGNALS):
                # Where only records matter, most packets without payload are never shown either.
                continue
            # Once TCP's own handshake is known, only who speaks is still of interest.
            if way.ack is None or flags & SYN:
                way.see(sender, flags, time, sequence, acknowledgement)
            seen[sender] = True
            if flags & _SIGNALS:
                sequence = self._signal(sender, flags, frame, sequence, length)  # noqa: PLW2901
            if flags & ACK and self.state != RECORDS:
                other = self.halves[1 - sender]
                other.acked = acknowledgement
                if length and other.awaited is None:
                    other.awaited = acknowledgement
            if length:
                chunk = data[payload : payload + captured]
                if self.script.client is None:
                    self._payload(sender, chunk, length, sequence, acknowledgement, frame, time)
                    if self.script.client is None:
                        self._seek()
                else:
                    self._read(sender, chunk, length, sequence, acknowledgement, frame, time)
            if self._fins and self._is_closed():
                self.state = CLOSED
                break
        return self.state

    def _payload(
        self, sender: int, chunk: memoryview, length: int, sequence: int, acknowledgement: int, frame: int, time: int
    ) -> None:
        """Read a packet's payload in search of TLS."""
        half = self.halves[sender]
        # A hello that takes the place of bytes already seen is not put in order: it begins anew.
        if self.state == WATCH or (half.mode == PLAIN and half.has_passed(sequence) and starts_with_hello(chunk)):
            self._wake(sender, sequence)
        self._read(sender, chunk, length, sequence, acknowledgement, frame, time)

    def _read(
        self, sender: int, chunk: memoryview, length: int, sequence: int, acknowledgement: int, frame: int, time: int
    ) -> None:
        """Read a packet's payload for the records that it completes."""
        half, script = self.halves[sender], self.script
        pieces = half.segment(sequence, bytes(chunk), length, frame, time)
        if not pieces:
            return
        for piece in pieces:
            script.take(sender, half, piece, acknowledgement)
        if self.state == FOLLOW and script.client is not None:
            self._decide(frame)

    @property
    def closing_frame(self) -> int | None:
        """The frame that closed the conversation: the later FIN, or the first RST."""
        fins = [half.fin.frame for half in self.halves if half.fin is not None]
        resets = [half.rst.frame for half in self.halves if half.rst is not None]
        return min([*resets, *([max(fins)] if len(fins) == 2 else [])], default=None)

    def _is_closed(self) -> bool:
        """Whether both sides have said all that they will."""
        for half in self.halves:
            if half.fin is None:
                return False
            if half.assembler.started and half.assembler.position < half.assembler.offset(half.fin.end):
                return False
        return True

    def finish(self) -> None:
        """Read what still waits behind holes: nothing will fill them any more."""
        for sender, half in enumerate(self.halves):
            for piece in half.finish():
                self.script.take(sender, half, piece, None)
            if half.joiner.waiting:
                self.script.break_off(sender, half)
        self.script.sort()

    def at_rest(self) -> list[int]:
        """What is kept of a conversation in which nothing was said that may be TLS, as a row of `Columns.way`."""
        way, halves = self.way, self.halves
        way.acked = [half.acked for half in halves]
        way.fins, way.resets = [half.fin for half in halves], [half.rst for half in halves]
        return way.packed()

    def release(self) -> None:
        """Give back what was held and kept."""
        self._budget.used -= self.script.held_bytes + sum(half.assembler.held_bytes for half in self.halves)

    def next_record(self, sender: int) -> Next | None:
        """Where a side stands; None: out of step."""
        half, script = self.halves[sender], self.script
        if half.mode != TLS or half.carrier or half.reader.astray is not None or half.assembler.holds:
            return None
        position, skip = half.assembler.position, half.reader.skip
        telling = NONE if script.alert_size is None else script.alert_size
        # Application data says nothing behind the first, nor in TLS 1.3 after the handshake, unless it may be an alert.
        settled = script.first_data[sender] is not None and (script.decided or not script.tls13)
        if not settled or not (skip or half.reader.between):
            telling = EVERY
        return Next(half.assembler.sequence(position), half.assembler.sequence(position + skip), telling)

    def skip_to(self, sender: int, position: int, header: int) -> None:
        """Step over bytes, seen in order; sequence numbers of the next byte, and of the next record header."""
        half = self.halves[sender]
        old = half.assembler.position
        half.assembler.skip_to(position & 0xFFFFFFFF)
        half.payload += half.assembler.position - old
        half.reader.jump(half.assembler.position, (header - position) & 0xFFFFFFFF)

    def _signal(self, sender: int, flags: int, frame: int, sequence: int, length: int) -> int:
        """Note a SYN, FIN or RST; return the sequence number of the packet's payload."""
        half = self.halves[sender]
        if flags & SYN:
            sequence = (sequence + 1) & 0xFFFFFFFF
            if not half.assembler.started or (half.acked is None and not half.payload):
                half.assembler.start(sequence)
        signal = Signal(frame, (sequence + length) & 0xFFFFFFFF)
        if flags & FIN and half.fin is None:
            half.fin = signal
            self._fins = True
        if flags & RST and half.rst is None:
            half.rst = signal
        return sequence

    def _wake(self, sender: int, sequence: int) -> None:
        """Follow again a conversation that was not TLS so far: here it begins."""
        mine, other = self.halves
        self.before = (mine.prelude.said, other.prelude.said) if self.before is None else self.before
        self._budget.used -= mine.assembler.held_bytes + other.assembler.held_bytes
        self.halves = (mine.renewed(), other.renewed())
        self.halves[sender].assembler.start(sequence)
        self.state = FOLLOW

    def _decide(self, frame: int) -> None:
        """See what matters from now on, after a record was read."""
        script = self.script
        if self.heard is None:
            self._hear(frame)
        if is_decided(script):
            script.settle()
        elif not self._is_too_long():
            return
        self.state, self.settled = RECORDS, frame

    def _hear(self, frame: int) -> None:
        """Know this for TLS; from the ClientHello on nobody asks any more in how many segments a message comes."""
        unheard = self.script.offer is None
        for half in self.halves:
            half.prelude.seeking, half.counting = True, unheard
        self.heard = None if unheard else frame

    def _is_too_long(self) -> bool:
        """Whether more was said than a handshake takes."""
        mine, other = self.halves
        return mine.payload + other.payload > FOLLOWED_BYTES or max(self.script.protected) > MAX_PROTECTED

    def _seek(self) -> None:
        """See whether this may still become TLS."""
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
            self.watch()

    def watch(self) -> None:
        """Give this up as not TLS: from now on only packets that begin with a hello are looked at.

        A FIN or RST that comes from now on, until there is a hello, says nothing of the TLS that begins with it.
        """
        self.state = WATCH
        self.way.spoken = True
        # As where the hello comes in a later batch, to another tracker.
        self.before = _FORGOTTEN
