"""The packets and records of a handshake, kept on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.capture.packet import time_or_none
from tlsdissect.capture.protocols import EAPOL
from tlsdissect.flows.flow import ACK, SYN, Interest
from tlsdissect.handshake.copies import Copies
from tlsdissect.handshake.log import PART_BYTES
from tlsdissect.model.transcript import Packet, Recording, WireRecord
from tlsdissect.tls.record import APPLICATION_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packet import Packet as CapturedPacket
    from tlsdissect.flows.reassembly import Assembler
    from tlsdissect.handshake.direction import Direction, Piece
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.tracker import Tracker
    from tlsdissect.model.connection import Side
    from tlsdissect.tls.record import Record

_TCP_HEADER = 20
"""Bytes of a TCP header without options."""
_SIDES: tuple[Side, Side] = ("client", "server")
"""What the sides of a flow nearly always are: that which began it is the client."""
_END_OF_OPTIONS, _NO_OPERATION, _SACK = 0, 1, 5
"""Kinds of TCP options."""
MAX_PACKETS = 16_384
"""Maximum packets kept of one connection."""
MAX_RECORDS = 8192
"""Maximum records kept of one connection."""


class Recorder:
    """Keeps the packets and records of one connection for ladders, trees and explanations.

    Its tracker gives it packets, and its log the records that they complete.
    """

    def __init__(self) -> None:
        self._packets: list[tuple[int, Packet]] = []
        """Each with the side of the flow that sent it: which side is the client is not known yet."""
        self._records: list[tuple[int, int, int, Record]] = []
        """The sender, the frame and the time of completion, and the record."""
        self._copies = Copies()
        self._follows = True
        """Whether the handshake is in progress: records of application data are kept too."""

    def keep(self, log: HandshakeLog, sender: int, packet: Packet) -> bool:
        """Keep a packet, whose sender is not named yet, if the limits allow; return whether they do."""
        if not has_room(log, sender, len(self._packets) < MAX_PACKETS, len(packet.payload)):
            return False
        self._packets.append((sender, packet))
        return True

    def add_records(self, log: HandshakeLog, sender: int, piece: Piece) -> None:
        """Keep records if the limits allow."""
        for record in piece.records:
            wanted = self._follows or record.content_type != APPLICATION_DATA
            if wanted and has_room(log, sender, len(self._records) < MAX_RECORDS, len(record.fragment or b"")):
                self._records.append((sender, piece.frame, piece.time, record))

    def recording(self, log: HandshakeLog, last: int | None = None) -> Recording:
        """Return the packets, up to the frame `last`, and the records of the handshake, with the sides named."""
        client = log.client
        packets = [one for _, one in self._packets]
        if any(one.sender != _side(sender, client) for sender, one in self._packets):
            packets = [replace(one, sender=_side(sender, client)) for sender, one in self._packets]
        return Recording(
            tuple([packet for packet in packets if last is None or packet.frame <= last]),
            tuple(self._named_records(log, client)),
            self._copies.count,
            self._copies.first,
        )

    def _named_records(self, log: HandshakeLog, client: int) -> Iterator[WireRecord]:
        sealed = {(event.sender, event.start) for event in log.events if event.encrypted}
        for sender, frame, time, record in sorted(self._records, key=lambda kept: kept[1]):
            encrypted = record.content_type == APPLICATION_DATA or (sender, record.start) in sealed
            yield WireRecord(
                sender=_side(sender, client),
                frame=frame,
                time=time_or_none(time),
                content_type=record.content_type,
                version=record.version,
                length=record.length,
                start=record.start,
                fragment=record.fragment,
                encrypted=encrypted,
                whole=record.whole,
            )


class EapRecorder(Recorder):
    """Keeps the packets of an EAP conversation, too: the EAPOL frames or RADIUS packets around EAP."""

    def __init__(self) -> None:
        super().__init__()
        self._carriers: list[tuple[int, Packet]] = []
        self._positions = [0, 0]
        """Bytes of each side's carriers so far."""

    def add_carrier(self, log: HandshakeLog, sender: int, packet: CapturedPacket) -> None:
        """Keep an EAPOL frame or a RADIUS packet if the limits allow."""
        start = packet.transport if packet.protocol == EAPOL else packet.payload
        data = packet.data[start : packet.payload + packet.captured]
        if has_room(log, sender, len(self._carriers) < MAX_PACKETS, len(data)):
            place = packet.place - (packet.payload - start)
            kept = Packet(
                frame=packet.frame,
                time=time_or_none(packet.time),
                sender="client",
                flags=0,
                offset=self._positions[sender],
                acknowledged=None,
                length=packet.length + packet.payload - start,
                payload=data,
                place=None if packet.place < 0 else place,
            )
            self._carriers.append((sender, kept))
            self._positions[sender] += len(data)

    def recording(self, log: HandshakeLog, last: int | None = None) -> Recording:
        """Return the packets and records of the handshake, and what carried them, with the sides named."""
        carriers = [replace(one, sender=_side(sender, log.client)) for sender, one in self._carriers]
        return replace(super().recording(log, last), carriers=tuple(carriers))


class TcpRecorder(Recorder):
    """Keeps the packets of a TCP connection; its tracker calls it before and after each packet."""

    def __init__(self) -> None:
        super().__init__()
        self._events = 0
        """Number of events in the log before the packet."""
        self._reached = [0, 0]
        """Stream offset up to which each side had sent while the handshake was in progress."""
        self._again: set[int] = set()
        """Frames of the packets to keep while the handshake is read again."""

    def before_packet(self, tracker: Tracker) -> None:
        """Prepare for a packet."""
        self._follows = tracker.state == Interest.PACKETS
        self._events = len(tracker.log.events)

    def after_packet(self, tracker: Tracker, follows: bool, packet: CapturedPacket, sender: int) -> None:
        """Keep a packet of the handshake, and later ones that completed a message, ended a direction, or sent it again.

        `follows` is whether the handshake was in progress before the packet.
        """
        start = _start(tracker, packet, sender)
        if follows and start is not None:
            self._reached[sender] = max(self._reached[sender], start + packet.length)
        keeps = follows or (tracker.state != Interest.HELLOS and self._brings(tracker, packet, sender, start))
        if keeps and not self._copies.has(packet, sender):
            kept = self._keep(tracker, packet, sender, start)
            if kept is not None:
                self._copies.note(packet, sender, kept.payload)

    def _brings(self, tracker: Tracker, packet: CapturedPacket, sender: int, start: int | None) -> bool:
        """Return whether a later packet completed a message, ended its direction, or sent the handshake again."""
        return (
            (packet.length > 0 and start is not None and start < self._reached[sender])
            or len(tracker.log.events) > self._events
            or (packet.length > 0 and _is_in_record(tracker.directions[sender]))
            or _ends(tracker.directions[sender], packet.frame)
        )

    def before_end(self, tracker: Tracker) -> None:
        """Prepare for the end of the flow, when segments after a hole are read."""
        self._follows = tracker.state == Interest.PACKETS

    def read_again(self, known: set[int], order: set[int]) -> None:
        """Discard the packets in the frames `known`, and all records: the frames in `order` are read again."""
        latest = max(order)
        self._again = {packet.frame for _, packet in self._packets} & order
        # The latest packet caused this, and was not kept yet.
        if latest != self._copies.latest:
            self._again.add(latest)
        self._packets = [(sender, packet) for sender, packet in self._packets if packet.frame not in known]
        self._records = []
        self._follows = True

    def after_reading_again(self, tracker: Tracker, packet: CapturedPacket, sender: int) -> None:
        """Keep a packet that was read again if it was kept before."""
        if tracker.frames.get(packet.frame, packet.frame) in self._again:
            self._keep(tracker, packet, sender, _start(tracker, packet, sender))

    def forget(self) -> None:
        """Forget all packets: TLS begins with the next one."""
        self._packets.clear()
        self._copies = Copies()

    def recorded(self, tracker: Tracker) -> Recording:
        """Return the packets and records of the handshake, up to the last FIN of a connection that was closed."""
        fins = [direction.fin.frame for direction in tracker.directions if direction.fin is not None]
        return self.recording(tracker.log, max(fins) if len(fins) == 2 else None)

    def _keep(self, tracker: Tracker, packet: CapturedPacket, sender: int, start: int | None) -> Packet | None:
        """Keep a packet if the limits allow, and return it; its payload begins at the offset `start`."""
        other = tracker.directions[1 - sender].assembler
        kept = Packet(
            packet.frame,
            time_or_none(packet.time),
            _SIDES[sender],
            packet.flags,
            start,
            other.offset(packet.acknowledgement) if packet.flags & ACK and other.started else None,
            packet.length,
            packet.captured_payload(),
            None if packet.place < 0 else packet.place,
            _sacked(packet.data[packet.transport + _TCP_HEADER : packet.payload], other) if other.started else (),
        )
        return kept if self.keep(tracker.log, sender, kept) else None


def _start(tracker: Tracker, packet: CapturedPacket, sender: int) -> int | None:
    """Return the stream offset of a packet's payload; None if unknown."""
    mine = tracker.directions[sender].assembler
    return mine.offset(packet.sequence + (1 if packet.flags & SYN else 0)) if mine.started else None


def has_room(log: HandshakeLog, sender: int, room: bool, size: int) -> bool:
    """Count bytes that are to be kept; return False if a limit would be exceeded."""
    if not room or log.kept_bytes + size > log.budget.message_bytes or log.budget.is_spent():
        log.limited.add(sender)
        return False
    log.kept_bytes += size
    log.account(size + PART_BYTES)
    return True


def _is_in_record(direction: Direction) -> bool:
    """Return whether a record has begun whose body is kept."""
    return not (direction.reader.is_between() or direction.reader.skip)


def _ends(direction: Direction, frame: int) -> bool:
    """Return whether a side's first FIN or RST is in this frame."""
    return any(signal is not None and signal.frame == frame for signal in (direction.fin, direction.rst))


def _sacked(options: bytes, other: Assembler) -> tuple[tuple[int, int], ...]:
    """Return the blocks of a SACK option among TCP's options (RFC 9293 section 3.1, RFC 2018 section 3)."""
    if _SACK not in options:
        return ()
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
