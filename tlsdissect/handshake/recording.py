# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The packets and records of a handshake, kept on request."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

import cython
from msgspec.structs import replace

from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import Packet, time_or_none
from tlsdissect.capture.protocols import EAPOL
from tlsdissect.flows.flow import ACK, RST, SYN, Interest
from tlsdissect.handshake.copies import Copies
from tlsdissect.handshake.log import PART_BYTES, HandshakeLog
from tlsdissect.model.transcript import Packet as KeptPacket
from tlsdissect.model.transcript import Recording, WireRecord
from tlsdissect.tls.record import APPLICATION_DATA, Record

if TYPE_CHECKING:
    from tlsdissect.flows.flow import Signal
    from tlsdissect.flows.reassembly import Assembler
    from tlsdissect.handshake.direction import Direction, PacketRecords
    from tlsdissect.handshake.events import HandshakeEvent
    from tlsdissect.handshake.tracker import Tracker
    from tlsdissect.model.connection import Side

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
# C integers, by the .pxd.
_PACKETS, _HELLOS, _APPLICATION_DATA = Interest.PACKETS, Interest.HELLOS, APPLICATION_DATA
_WITH_SYN, _WITH_ACK, _WITH_RST = SYN, ACK, RST
_frame = itemgetter(1)


@cython.cclass
class Recorder:
    """Keeps the packets and records of one connection for ladders, trees and explanations.

    Its tracker gives it packets, and its log the records that they complete.
    """

    __slots__ = ("_copies", "_follows", "_packets", "_records")

    _packets: list[tuple[int, KeptPacket]]
    """Each with the side of the flow that sent it: which side is the client is not known yet."""
    _records: list[tuple[int, int, int, Record]]
    """The sender, the frame and the time of completion, and the record."""
    _copies: Copies
    _follows: cython.bint
    """Whether the handshake is in progress: records of application data are kept too."""

    def __init__(self) -> None:
        self._packets = []
        self._records = []
        self._copies = Copies()
        self._follows = True

    @cython.ccall
    @cython.exceptval(-1)
    def keep(self, log: HandshakeLog, sender: cython.longlong, packet: KeptPacket) -> cython.bint:
        """Keep a packet, whose sender is not named yet, if the limits allow; return whether they do."""
        if not has_room(log, sender, len(self._packets) < MAX_PACKETS, len(packet.payload)):
            return False
        self._packets.append((sender, packet))
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def add_records(self, log: HandshakeLog, sender: cython.longlong, completed: PacketRecords) -> cython.bint:
        """Keep records if the limits allow."""
        record: Record
        for record in completed.records:
            wanted: cython.bint = self._follows or record.content_type != _APPLICATION_DATA
            size: cython.longlong = 0 if record.fragment is None else len(record.fragment)
            if wanted and has_room(log, sender, len(self._records) < MAX_RECORDS, size):
                self._records.append((sender, completed.frame, completed.time, record))
        return True

    def recording(self, log: HandshakeLog, last: Any = None) -> Recording:
        """Return the packets, up to the frame `last`, and the records of the handshake, with the sides named."""
        client: cython.longlong = log.client
        sender: cython.longlong
        packets: list[KeptPacket] = []
        for sender, packet in self._packets:
            if last is not None and packet.frame > last:
                continue
            named: Side = _side(sender, client)
            packets.append(packet if packet.sender == named else replace(packet, sender=named))
        return Recording(tuple(packets), self._named_records(log, client), self._copies.count, self._copies.first)

    @cython.cfunc
    def _named_records(self, log: HandshakeLog, client: cython.longlong) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
        event: HandshakeEvent
        record: Record
        sender: cython.longlong
        sealed: set[tuple[int, int]] = set()
        for event in log.events:
            if event.encrypted:
                sealed.add((event.sender, event.start))
        named: list[WireRecord] = []
        for sender, frame, time, record in sorted(self._records, key=_frame):
            named.append(
                WireRecord(
                    _side(sender, client),
                    frame,
                    time_or_none(time),
                    record.content_type,
                    record.version,
                    record.length,
                    record.start,
                    record.fragment,
                    record.content_type == _APPLICATION_DATA or (sender, record.start) in sealed,
                    record.whole,
                )
            )
        return tuple(named)


@cython.cclass
class EapRecorder(Recorder):
    """Keeps the packets of an EAP conversation, too: the EAPOL frames or RADIUS packets around EAP."""

    __slots__ = ("_eap_packets", "_positions")

    _eap_packets: list[tuple[int, KeptPacket]]
    _positions: list[int]
    """Bytes of each side's EAPOL frames and RADIUS packets so far."""

    def __init__(self) -> None:
        Recorder.__init__(self)
        self._eap_packets = []
        self._positions = [0, 0]

    def add_eap_packet(self, log: HandshakeLog, sender: cython.longlong, packet: Packet) -> None:
        """Keep an EAPOL frame or a RADIUS packet if the limits allow."""
        start: cython.Py_ssize_t = packet.transport if packet.protocol == EAPOL else packet.payload
        data = cut(packet.data, start, packet.payload + packet.captured)
        if has_room(log, sender, len(self._eap_packets) < MAX_PACKETS, len(data)):
            place = packet.place - (packet.payload - start)
            kept = KeptPacket(
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
            self._eap_packets.append((sender, kept))
            self._positions[sender] += len(data)

    def recording(self, log: HandshakeLog, last: Any = None) -> Recording:
        """Return the packets and records of the handshake, and what carried them, with the sides named."""
        packets = [replace(one, sender=_side(sender, log.client)) for sender, one in self._eap_packets]
        return replace(Recorder.recording(self, log, last), eap_packets=tuple(packets))


@cython.cclass
class TcpRecorder(Recorder):
    """Keeps the packets of a TCP connection; its tracker calls it before and after each packet."""

    __slots__ = ("_again", "_events", "_reached")

    _events: cython.longlong
    """Number of events in the log before the packet."""
    _reached: list[int]
    """Stream offset up to which each side had sent while the handshake was in progress."""
    _again: set[int]
    """Frames of the packets to keep while the handshake is read again."""

    def __init__(self) -> None:
        Recorder.__init__(self)
        self._events = 0
        self._reached = [0, 0]
        self._again = set()

    def before_packet(self, tracker: Tracker) -> None:
        """Prepare for a packet."""
        self._follows = tracker.state == _PACKETS
        self._events = len(tracker.log.events)

    def after_packet(self, tracker: Tracker, follows: cython.bint, packet: Packet, sender: cython.longlong) -> None:
        """Keep a packet of the handshake, and later ones that completed a message, ended a direction, or sent it again.

        `follows` is whether the handshake was in progress before the packet.
        """
        start = _start(tracker, packet, sender)
        if follows and start is not None:
            self._reached[sender] = max(self._reached[sender], start + packet.length)
        keeps: cython.bint = follows or (tracker.state != _HELLOS and self._brings(tracker, packet, sender, start))
        if keeps and not self._copies.has(packet, sender):
            kept = self._keep(tracker, packet, sender, start)
            if kept is not None:
                self._copies.note(packet, sender, kept.payload)

    @cython.cfunc
    @cython.exceptval(-1)
    def _brings(self, tracker: Tracker, packet: Packet, sender: cython.longlong, start: Any) -> cython.bint:
        """Return whether a later packet completed a message, ended its direction, or sent the handshake again."""
        direction: Direction = tracker.directions[sender]
        if packet.length > 0 and start is not None and start < self._reached[sender]:
            return True
        if len(tracker.log.events) > self._events or (packet.length > 0 and _is_in_record(direction)):
            return True
        return _is_in(direction.fin, packet.frame) or _is_in(direction.rst, packet.frame)

    def before_end(self, tracker: Tracker) -> None:
        """Prepare for the end of the flow, when segments after a hole are read."""
        self._follows = tracker.state == _PACKETS

    def read_again(self, known: set[int], order: set[int]) -> None:
        """Discard the packets in the frames `known`, and all records: the frames in `order` are read again."""
        latest = max(order)
        self._again = {packet.frame for _, packet in self._packets} & order
        # The latest packet caused this, and was not kept yet.
        if self._copies.latest != latest:
            self._again.add(latest)
        self._packets = [(sender, packet) for sender, packet in self._packets if packet.frame not in known]
        self._records = []
        self._follows = True

    def after_reading_again(self, tracker: Tracker, packet: Packet, sender: cython.longlong) -> None:
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

    @cython.cfunc
    def _keep(self, tracker: Tracker, packet: Packet, sender: cython.longlong, start: Any) -> KeptPacket | None:
        """Keep a packet if the limits allow, and return it; its payload begins at the offset `start`."""
        direction: Direction = tracker.directions[1 - sender]
        other: Assembler = direction.assembler
        acknowledges: cython.bint = packet.flags & _WITH_ACK != 0 and other.started
        kept = KeptPacket(
            packet.frame,
            time_or_none(packet.time),
            _SIDES[sender],
            packet.flags,
            start,
            other.offset(packet.acknowledgement) if acknowledges else None,
            packet.length,
            packet.captured_payload(),
            None if packet.place < 0 else packet.place,
            _sacked(cut(packet.data, packet.transport + _TCP_HEADER, packet.payload), other) if other.started else (),
            # The window of a RST means nothing (RFC 9293 section 3.5.2 sends 0).
            closed=packet.window == 0 and packet.flags & _WITH_RST == 0,
        )
        return kept if self.keep(tracker.log, sender, kept) else None


@cython.cfunc
def _start(tracker: Tracker, packet: Packet, sender: cython.longlong) -> Any:
    """Return the stream offset of a packet's payload; None if unknown."""
    direction: Direction = tracker.directions[sender]
    if not direction.assembler.started:
        return None
    first: cython.longlong = 1 if packet.flags & _WITH_SYN else 0
    return direction.assembler.offset(packet.sequence + first)


@cython.ccall
@cython.exceptval(-1)
def has_room(log: HandshakeLog, sender: cython.longlong, room: cython.bint, size: cython.longlong) -> cython.bint:
    """Count bytes that are to be kept; return False if a limit would be exceeded."""
    if not room or log.kept_bytes + size > log.budget.message_bytes or log.budget.is_spent():
        log.limited.add(sender)
        return False
    log.kept_bytes += size
    log.account(size + PART_BYTES)
    return True


@cython.cfunc
@cython.exceptval(-1)
def _is_in_record(direction: Direction) -> cython.bint:
    """Return whether a record has begun whose body is kept."""
    return not direction.reader.is_between() and direction.reader.skip == 0


@cython.cfunc
@cython.exceptval(-1)
def _is_in(signal: Signal | None, frame: cython.longlong) -> cython.bint:
    """Return whether a FIN or RST is in this frame."""
    return signal is not None and signal.frame == frame


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


@cython.cfunc
def _side(sender: cython.longlong, client: cython.longlong) -> Side:
    return "client" if sender == client else "server"
