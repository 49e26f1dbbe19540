"""A tracker that keeps what it reads: the packets of the handshake, and its records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict, replace

from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import ACK, SYN, Interest
from tlsdissect.handshake.copies import Copies
from tlsdissect.handshake.log import PART_BYTES, HandshakeLog
from tlsdissect.handshake.revocation_lookups import LookupTracker
from tlsdissect.model.transcript import Packet, Recording, WireRecord
from tlsdissect.tls.record import APPLICATION_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.packet import Packet as CapturedPacket
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import Flow
    from tlsdissect.flows.reassembly import Assembler
    from tlsdissect.handshake.direction import Direction, Piece
    from tlsdissect.handshake.segments import KeptSegment
    from tlsdissect.model.connection import Side
    from tlsdissect.tls.record import Record

_TCP_HEADER = 20
"""Bytes of a TCP header without options."""
_END_OF_OPTIONS, _NO_OPERATION, _SACK = 0, 1, 5
"""Kinds of TCP options."""
MAX_PACKETS = 16_384
"""Packets that are kept of one conversation."""
MAX_RECORDS = 8192
"""Records that are kept of one conversation."""


class RecordingLog(HandshakeLog):
    """A script that keeps the records which it takes."""

    __slots__ = ("following", "records")

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self.records: list[tuple[int, int, int, Record]] = []
        """Sender, frame and time of completion, and the record."""
        self.following = True
        """The handshake is being followed: records of application data are kept too."""

    def take(self, sender: int, direction: Direction, piece: Piece, acknowledgement: int) -> bool:
        """Keep records, and add what they contain to the log."""
        for record in piece.records:
            wanted = self.following or record.content_type != APPLICATION_DATA
            if wanted and self.makes_room(sender, len(self.records) < MAX_RECORDS, len(record.fragment or b"")):
                self.records.append((sender, piece.frame, piece.time, record))
        return super().take(sender, direction, piece, acknowledgement)

    def makes_room(self, sender: int, room: bool, size: int) -> bool:
        """Count bytes that are kept; tell whether there is room for them."""
        full = self.kept_bytes + size > self._budget.limits.message_bytes or self._budget.spent
        if full or not room:
            self.limited.add(sender)
            return False
        self.kept_bytes += size
        self.hold(size + PART_BYTES)
        return True


class RecordingTracker(LookupTracker):
    """A tracker whose connection has a transcript; it listens to questions too, if it is asked to."""

    __slots__ = ("_copies", "_packets", "_reading")

    def __init__(self, budget: Budget, flow: Flow, *, listens: bool = False) -> None:
        super().__init__(budget, flow, listens=listens)
        self.log: RecordingLog = RecordingLog(budget)
        self._packets: list[tuple[int, Packet]] = []
        """Each with its sender, whose name is not known yet."""
        self._copies = Copies()
        self._reading: set[int] = set()
        """Frames of the packets to keep while the handshake is read again."""

    def is_silent(self) -> bool:
        """Whether nothing is worth keeping: TCP's own handshake is, as long as TLS may follow it."""
        return self.state == Interest.HELLOS and not self.hears

    def feed(self, packet: CapturedPacket, sender: int) -> int:
        """Look at a packet, and keep it if it matters."""
        following, noted = self.state == Interest.PACKETS, len(self.log.events)
        self.log.following = following
        state = super().feed(packet, sender)
        # Behind the handshake, packets are kept that brought or end something.
        told = (
            len(self.log.events) > noted
            or (packet.length and self._gathers(sender))
            or self._ends(sender, packet.frame)
        )
        if not self.reread and (following or (told and self.state != Interest.HELLOS)):
            self._keep(packet, sender)
        return state

    def finish(self) -> None:
        """Read what still waits behind holes, as of the state in which the conversation ended."""
        self.log.following = self.state == Interest.PACKETS
        super().finish()

    def recording(self) -> Recording:
        """Return the packets and records of the handshake, with the sides named."""
        client = self.log.client
        return Recording(
            tuple(self._named_packets(client)),
            tuple(self._named_records(client)),
            self._copies.count,
            self._copies.first,
        )

    def _read_again(self, order: Sequence[KeptSegment], numbers: Sequence[int]) -> None:
        again = {one.frame for one in order}
        latest = max(again)
        self._reading = {packet.frame for _, packet in self._packets} & again
        # The latest packet had this be read again, before it was kept.
        if latest != self._copies.latest:
            self._reading.add(latest)
        known = {one.frame for one in self._segments.kept}
        self._packets = [(sender, packet) for sender, packet in self._packets if packet.frame not in known]
        super()._read_again(order, numbers)

    def _again(self, packet: CapturedPacket, sender: int) -> None:
        self.log.following = self.state == Interest.PACKETS
        super()._again(packet, sender)
        if self.frames.get(packet.frame, packet.frame) in self._reading:
            self._hold(packet, sender)

    def _wake(self, sender: int, sequence: int) -> None:
        super()._wake(sender, sequence)
        self._packets.clear()
        self._copies = Copies()

    def _gathers(self, sender: int) -> bool:
        """Whether a side's record has begun that somebody will read."""
        reader = self.directions[sender].reader
        return not (reader.between or reader.skip)

    def _ends(self, sender: int, frame: int) -> bool:
        """Whether a side's first FIN or RST came in this frame."""
        direction = self.directions[sender]
        return any(signal is not None and signal.frame == frame for signal in (direction.fin, direction.rst))

    def _keep(self, packet: CapturedPacket, sender: int) -> None:
        if not self._copies.has(packet, sender) and self._hold(packet, sender):
            self._copies.note(packet, sender)

    def _hold(self, packet: CapturedPacket, sender: int) -> bool:
        """Keep a packet, if there is room for it."""
        if not self.log.makes_room(sender, len(self._packets) < MAX_PACKETS, packet.captured):
            return False
        mine, other = self.directions[sender].assembler, self.directions[1 - sender].assembler
        start = packet.sequence + (1 if packet.flags & SYN else 0)
        kept = Packet(
            packet.frame,
            time_or_none(packet.time),
            "client",
            packet.flags,
            mine.offset(start) if mine.started else None,
            other.offset(packet.acknowledgement) if packet.flags & ACK and other.started else None,
            packet.length,
            packet.captured_payload(),
            None if packet.place < 0 else packet.place,
            _sacked(packet.data[packet.transport + _TCP_HEADER : packet.payload], other) if other.started else (),
        )
        self._packets.append((sender, kept))
        return True

    def _named_packets(self, client: int) -> Iterator[Packet]:
        fins = [direction.fin.frame for direction in self.directions if direction.fin is not None]
        last = max(fins) if len(fins) == 2 else None
        for sender, packet in self._packets:
            if last is None or packet.frame <= last:
                yield replace(packet, sender=_side(sender, client))

    def _named_records(self, client: int) -> Iterator[WireRecord]:
        sealed = {(event.sender, event.start) for event in self.log.events if event.encrypted}
        for sender, frame, time, record in sorted(self.log.records, key=lambda kept: kept[1]):
            encrypted = record.content_type == APPLICATION_DATA or (sender, record.start) in sealed
            yield WireRecord(
                sender=_side(sender, client),
                frame=frame,
                time=time_or_none(time),
                encrypted=encrypted,
                **asdict(record),
            )


def _sacked(options: bytes, other: Assembler) -> tuple[tuple[int, int], ...]:
    """The blocks of a SACK option among TCP's options (RFC 9293 section 3.1, RFC 2018 section 3)."""
    at, end = 0, len(options)
    while at < end and options[at] != _END_OF_OPTIONS:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        size = options[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            break
        if options[at] == _SACK:
            edges = [other.offset(int.from_bytes(options[n : n + 4], "big")) for n in range(at + 2, at + size - 3, 4)]
            return tuple(zip(edges[::2], edges[1::2], strict=False))
        at += size
    return ()


def _side(sender: int, client: int) -> Side:
    return "client" if sender == client else "server"
