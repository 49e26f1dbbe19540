"""The datagrams and packets of a QUIC connection, kept on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.capture.packet import time_or_none
from tlsdissect.handshake.recording import MAX_PACKETS
from tlsdissect.model.transcript import Packet, QuicPacket, Recording

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tlsdissect.flows.budget import Budget
    from tlsdissect.handshake.quic_handshake import Datagram
    from tlsdissect.handshake.quic_keys import OpenedPacket
    from tlsdissect.model.connection import Side
    from tlsdissect.tls.quic_packets import LongPacket

ENTRY_BYTES = 512
"""Estimated bytes that a kept datagram takes besides twice its own."""


class QuicRecorder:
    """Keeps what ladders, trees and explanations show of one connection."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._packets: list[tuple[int, Packet]] = []
        """Each with the side of the flow that sent it."""
        self._quic: list[QuicPacket] = []
        self._held = 0
        self._copies = 0
        self._copied: tuple[int, int] | None = None
        self.full = False
        """Whether there was no room for a datagram."""

    def add(self, datagram: Datagram, opened: Mapping[int, OpenedPacket], position: int) -> None:
        """Keep a datagram; `opened` has the packets in it that were opened, by where they begin.

        `position` is its offset in the bytes of its sender.
        """
        size = 2 * len(datagram.data) + ENTRY_BYTES
        self.full = (
            self.full
            or len(self._packets) >= MAX_PACKETS
            or self._held + size > self._budget.message_bytes
            or self._budget.is_spent()
        )
        if self.full:
            return
        self._held += size
        self._budget.used += size
        number = len(self._packets)
        kept = Packet(
            frame=datagram.frame,
            time=time_or_none(datagram.time),
            sender="client",
            flags=0,
            offset=position,
            acknowledged=None,
            length=datagram.length,
            payload=datagram.data,
            place=None if datagram.offset < 0 else datagram.offset,
        )
        self._packets.append((datagram.sender, kept))
        self._quic += [_packet(number, packet, datagram, opened.get(packet.start)) for packet in datagram.packets]

    def add_copy(self, first: int, frame: int) -> None:
        """Note that a datagram was captured twice, in these frames."""
        self._copies += 1
        self._copied = self._copied or (first, frame)

    def recording(self, client: int) -> Recording:
        """Return what was kept with the sides named, and its bytes to the budget."""
        self._budget.used -= self._held
        self._held = 0
        sides: tuple[Side, Side] = ("client", "server")
        packets = [replace(packet, sender=sides[sender ^ client]) for sender, packet in self._packets]
        return Recording(tuple(packets), (), self._copies, self._copied, tuple(self._quic))


def _packet(number: int, packet: LongPacket, datagram: Datagram, opened: OpenedPacket | None) -> QuicPacket:
    return QuicPacket(
        datagram=number,
        kind=packet.kind,
        start=packet.start,
        protected=packet.protected,
        end=min(packet.end, len(datagram.data)),
        header=b"" if opened is None else opened.header,
        payload=None if opened is None else opened.payload,
        repeated=None if opened is None else opened.repeated,
    )
