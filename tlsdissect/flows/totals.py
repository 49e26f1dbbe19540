# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The packets of a connection, in numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet


@cython.cclass
class Totals:
    """The endpoints of a connection, and the totals of its packets."""

    endpoints: bytes
    """`Packet.endpoints` of the first packet."""
    stream: cython.longlong
    first_frame: cython.longlong
    start: cython.longlong
    end: cython.longlong
    digits: cython.longlong
    packets: cython.longlong
    payload_bytes: cython.longlong
    """Payload bytes, retransmitted ones included."""

    def __init__(self, endpoints: bytes, stream: cython.longlong) -> None:
        self.endpoints = endpoints
        self.stream = stream
        self.first_frame = self.start = self.end = self.digits = 0
        self.packets = self.payload_bytes = 0

    @cython.ccall
    def begin(self, packet: Packet) -> None:
        """Set what the first packet decides."""
        self.first_frame = packet.frame
        self.start = self.end = packet.time
        self.digits = packet.digits

    def copy(self) -> Totals:
        """Return the totals so far."""
        copied: Totals = Totals(self.endpoints, self.stream)
        copied.first_frame = self.first_frame
        copied.start = self.start
        copied.end = self.end
        copied.digits = self.digits
        copied.packets = self.packets
        copied.payload_bytes = self.payload_bytes
        return copied

    @cython.ccall
    def add(self, packet: Packet) -> None:
        """Count a packet."""
        self.packets += 1
        self.payload_bytes += packet.length
        self.end = packet.time
