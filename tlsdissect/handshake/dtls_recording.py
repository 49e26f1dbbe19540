"""The datagrams and records of a DTLS handshake, kept on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.capture.packet import time_or_none
from tlsdissect.handshake.recording import MAX_PACKETS, MAX_RECORDS, has_room
from tlsdissect.model.transcript import Packet, Recording, WireRecord

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from tlsdissect.capture.packet import Packet as CapturedPacket
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.model.connection import Side
    from tlsdissect.tls.dtls import DtlsRecord


class DtlsRecorder:
    """Keeps the datagrams and records of one handshake for ladders, trees and explanations."""

    def __init__(self, log: HandshakeLog) -> None:
        self._log = log
        self._packets: list[tuple[int, Packet]] = []
        """Each with the side of the flow that sent it: which side is the client is not known yet."""
        self._records: list[tuple[int, WireRecord]] = []
        self._copies = 0
        self._copied: tuple[int, int] | None = None
        self._frames: dict[bytes, int] = {}
        """The frame of each datagram that was kept."""

    def add_packet(self, packet: CapturedPacket, sender: int, offset: int, records: bytes, start: int) -> None:
        """Keep a datagram's records, which lie at `start` in its payload; `offset` is that in the side's records."""
        first = self._frames.get(records)
        if first is not None:
            self._copies += 1
            self._copied = self._copied or (first, packet.frame)
            return
        if not has_room(self._log, sender, len(self._packets) < MAX_PACKETS, 2 * len(records)):
            return
        self._frames[records] = packet.frame
        place = None if packet.place < 0 else packet.place + start
        length = packet.length - start
        time = time_or_none(packet.time)
        kept = Packet(packet.frame, time, "client", 0, offset, None, length, records, place)
        self._packets.append((sender, kept))

    def add_record(
        self, packet: CapturedPacket, sender: int, record: DtlsRecord, data: bytes, start: int, *, repeated: bool
    ) -> None:
        """Keep a record; `data` is its datagram, and `start` the record's offset in the bytes of the side's records."""
        size = len(record.fragment or b"")
        if not has_room(self._log, sender, len(self._records) < MAX_RECORDS, size):
            return
        kept = WireRecord(
            sender="client",
            frame=packet.frame,
            time=time_or_none(packet.time),
            content_type=record.content_type,
            version=record.version,
            length=record.length,
            start=start,
            fragment=record.fragment,
            encrypted=record.fragment is None,
            whole=record.whole,
            header=data[record.start : record.body],
            repeated=repeated,
        )
        self._records.append((sender, kept))

    def recording(self, client: int, repeated: AbstractSet[tuple[int, int]]) -> Recording:
        """Return what was kept, with the sides named; `repeated` are senders and starts of more repeated records."""
        sides: tuple[Side, Side] = ("client", "server")
        packets = [replace(packet, sender=sides[sender ^ client]) for sender, packet in self._packets]
        records = [
            replace(
                record,
                sender=sides[sender ^ client],
                repeated=record.repeated or (sender, record.start) in repeated,
            )
            for sender, record in self._records
        ]
        return Recording(tuple(packets), tuple(records), self._copies, self._copied)
