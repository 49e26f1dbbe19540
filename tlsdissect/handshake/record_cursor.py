# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A cursor that skips packets of application data after the handshake, without creating an object for them.

Most packets of bulk traffic contain nothing else. The cursor needs only the position of the next record header.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

NONE, EVERY = -1, -2
"""Instead of a length of notable application data: no length, or every length."""

PADDING = 6
"""Octets that pad a bare ACK of IPv4 to the shortest payload of Ethernet (IEEE 802.3 section 3.2.7: 46 octets)."""

_HELLO_HEAD = 11
"""Octets of the record and message header of a hello, and of the version after them."""
_EVERY = EVERY
_PADDING = PADDING
_MASK = 0xFFFFFFFF


@cython.ccall
def starts_with_hello(payload: bytes) -> cython.bint:
    """Return whether a payload begins with the record of a ClientHello or ServerHello."""
    if len(payload) < _HELLO_HEAD or payload[0] != 22 or payload[1] != 3:
        return False
    return 1 <= payload[5] <= 2 and payload[6] == 0 and payload[9] == 3


@cython.cclass
class RecordCursor:
    """The position in the stream of a side whose application data is skipped.

    While the side sends whole segments in order that contain only application data, only the cursor advances.
    """

    in_step: cython.bint
    """Whether the position of the next record header is known."""
    position: cython.longlong
    """Sequence number of the next byte."""
    ahead: cython.longlong
    """Bytes from there to the next record header."""
    notable: cython.longlong
    """The length of application data that must be decoded, or NONE, or EVERY."""
    keeps: cython.longlong
    """As `RecordReader.keeps`: no longer application data must be decoded too."""
    passed: cython.longlong
    """Bytes of the packets that were stepped over since `take_passed`; unlike `position`, this does not wrap."""
    records: cython.longlong
    """Records that began in packets that were stepped over since `take_records`."""

    def __init__(self) -> None:
        self.in_step = False
        self.position = 0
        self.ahead = 0
        self.notable = _EVERY
        self.keeps = NONE
        self.passed = 0
        self.records = 0

    @cython.ccall
    @cython.exceptval(-1)
    def set(
        self,
        position: cython.longlong,
        ahead: cython.longlong,
        notable: cython.longlong,
        keeps: cython.longlong = NONE,
    ) -> cython.bint:
        """Continue at the byte with this sequence number, `ahead` bytes before a record header."""
        self.in_step = True
        self.position = position
        self.ahead = ahead
        self.notable = notable
        self.keeps = keeps
        return True

    @cython.ccall
    def stop(self) -> cython.bint:
        """Pass no packet, because the position of the next record header is not known."""
        self.in_step = False
        return False

    @cython.ccall
    def passes(self, packet: Packet) -> cython.bint:
        """Skip a packet of application data; return False if it must be decoded.

        It must be if it is not the next whole segment, or if a record in it has another content type, a length that
        matters, or a header that continues in the next segment.
        """
        data: bytes = packet.data
        end: cython.longlong = packet.payload + packet.captured
        here: cython.longlong = packet.payload + self.ahead
        length: cython.longlong
        records: cython.longlong = 0
        if not self.in_step or packet.sequence != self.position or packet.captured != packet.length:
            return False
        if packet.length <= _PADDING:
            # It may be padding.
            return False
        while here < end:
            if self.notable == _EVERY or here + 5 > end:
                return False
            # The minor version is ignored (RFC 8446 section 5.1). The length is at most 2^14 + 2048 (RFC 5246 section
            # 6.2.3), which is rounded up here.
            if data[here] != 23 or data[here + 1] != 3 or data[here + 3] > 71:
                return False
            length = data[here + 3] << 8 | data[here + 4]
            if length == self.notable or length <= self.keeps:
                return False
            here += 5 + length
            records += 1
        self.position = (self.position + packet.length) & _MASK
        self.ahead = here - end
        self.passed += packet.length
        self.records += records
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def take_passed(self) -> cython.longlong:
        """Return the bytes that were stepped over since the last call."""
        passed: cython.longlong = self.passed
        self.passed = 0
        return passed

    @cython.ccall
    @cython.exceptval(-1)
    def take_records(self) -> cython.longlong:
        """Return the records that began in packets that were stepped over since the last call."""
        records: cython.longlong = self.records
        self.records = 0
        return records
