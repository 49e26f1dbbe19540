# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Application data stepped over packet by packet: most of bulk traffic is that, and no object is made of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

NONE, EVERY = -1, -2
"""Lengths of application data that may say something: none, or any."""

PADDING = 6
"""Octets that pad a bare ACK of IPv4 to the shortest payload of Ethernet (IEEE 802.3 section 3.2.7: 46 octets)."""

_HELLO = re.compile(rb"\x16\x03...[\x01\x02]\x00..\x03.", re.DOTALL)
"""The record and message header of a ClientHello or ServerHello, and the major version behind them."""

_EVERY = EVERY
_PADDING = PADDING
_MASK = 0xFFFFFFFF


def starts_with_hello(payload: bytes) -> bool:
    """Tell whether a payload begins with the record of a ClientHello or ServerHello."""
    return _HELLO.match(payload) is not None


@cython.cclass
class RecordCursor:
    """Where a side stands whose records are looked at only where they may say something.

    While a side sends segments in order, whole and full of application data, its cursor moves and nothing else does.
    """

    in_step: cython.bint
    """Whether it is known where the next record begins."""
    position: cython.longlong
    """Sequence number of the next byte."""
    ahead: cython.longlong
    """Bytes from there to the next record header."""
    notable: cython.longlong
    """Length of application data that may say something: NONE, or EVERY."""

    def __init__(self) -> None:
        self.in_step = False
        self.position = 0
        self.ahead = 0
        self.notable = _EVERY

    @cython.ccall
    def set(self, position: cython.longlong, ahead: cython.longlong, notable: cython.longlong) -> cython.bint:
        """Continue at the byte with this sequence number, `ahead` bytes before a record header."""
        self.in_step = True
        self.position = position
        self.ahead = ahead
        self.notable = notable
        return True

    @cython.ccall
    def stop(self) -> cython.bint:
        """Pass no packet, because it is not known where the next record begins."""
        self.in_step = False
        return False

    @cython.ccall
    def passes(self, packet: Packet) -> cython.bint:
        """Step over a packet that says nothing; False: it must be looked at.

        A record says something that is no application data, has a notable length, or whose header is cut by the
        segment's end.
        """
        data: bytes = packet.data
        end: cython.longlong = packet.payload + packet.captured
        here: cython.longlong = packet.payload + self.ahead
        length: cython.longlong
        if not self.in_step or packet.sequence != self.position or packet.captured != packet.length:
            return False
        if packet.length <= _PADDING:
            # It may be padding.
            return False
        while here < end:
            if self.notable == _EVERY or here + 5 > end:
                return False
            # RFC 8446 section 5.1, by which the minor version is ignored; of lengths the longest that RFC 5246
            # section 6.2.3 allows.
            if data[here] != 23 or data[here + 1] != 3 or data[here + 3] > 71:
                return False
            length = data[here + 3] << 8 | data[here + 4]
            if length == self.notable:
                return False
            here += 5 + length
        self.position = (self.position + packet.length) & _MASK
        self.ahead = here - end
        return True
