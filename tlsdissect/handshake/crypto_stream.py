# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The bytes of QUIC's CRYPTO frames in order: frames may overlap, repeat, leave gaps and come in any order.

RFC 9000 section 19.6. Frames that come early wait in a heap, the lowest offset first, so that each costs logarithmic
time; a buffer with a bit for each byte would cost memory for gaps that are never filled. Of bytes that were sent twice,
those count that came first in the order of the stream, which a sender must not change (section 2.2).
"""

from __future__ import annotations

from heapq import heappop, heappush

import cython

from tlsdissect.capture.differences import differing
from tlsdissect.handshake.problems import CryptoConflict

MAX_CRYPTO_BYTES = 1 << 17
"""Maximum bytes read of the CRYPTO frames of one side; a frame that ends beyond it is not read. Endpoints have room for
4,096 bytes or more (RFC 9000 section 7.5)."""
MAX_CRYPTO_HELD = 1 << 17
"""Maximum bytes held of CRYPTO frames that wait for earlier ones; further ones are not read."""
FRAME_BYTES = 160
"""Estimated bytes that a waiting frame takes besides its data."""


# C integers, by the .pxd.
_MAX_BYTES, _MAX_HELD, _FRAME_BYTES = MAX_CRYPTO_BYTES, MAX_CRYPTO_HELD, FRAME_BYTES


@cython.cclass
class CryptoStream:
    """One side's CRYPTO frames at one level of encryption."""

    conflict: CryptoConflict | None
    """The first place at which other bytes were sent than were known."""
    news: cython.longlong
    """Number of frames with bytes that were not known before."""
    position: cython.longlong
    """Offset after the bytes that were returned."""
    _spans: dict[tuple[int, int], bytes]
    """The waiting frames by offset and length: one that is sent again does not wait twice."""
    _read: bytearray
    """The bytes that were returned, to be compared with those that are sent again."""
    _waiting: list[tuple[int, int, bytes]]
    _waiting_bytes: cython.longlong
    _arrivals: cython.longlong

    def __init__(self) -> None:
        self.conflict = None
        self.news = 0
        self.position = 0
        self._spans = {}
        self._read = bytearray()
        self._waiting = []
        self._waiting_bytes = 0
        self._arrivals = 0

    @cython.ccall
    def held_bytes(self) -> cython.longlong:
        """Return the estimated bytes of all that is held."""
        return self.position + self._waiting_bytes

    @cython.ccall
    def has_gap(self) -> cython.bint:
        """Return whether bytes are missing in front of others that came."""
        return len(self._waiting) > 0

    @cython.ccall
    def add(self, offset: cython.longlong, data: bytes) -> bytes | None:
        """Add a frame; return the bytes that it makes available, or None if there is no room for it."""
        size: cython.longlong = len(data)
        before: cython.longlong = self.position
        read: bytearray = self._read
        if offset + size > _MAX_BYTES:
            return None
        if not self._waiting:
            if offset == before:
                # Nearly all frames are the next one.
                read += data
                self.position += size
                self.news += size > 0
                return data
        elif (offset, size) in self._spans:
            self._compare(offset, self._spans[offset, size], data, True)
            return b""
        if offset > before:
            if self._waiting_bytes + size + _FRAME_BYTES > _MAX_HELD:
                return None
            self._arrivals += 1
            self._waiting_bytes += size + _FRAME_BYTES
            heappush(self._waiting, (offset, self._arrivals, data))
            self._spans[offset, size] = data
            self.news += 1
            return b""
        self._join(offset, data, True)
        self.news += self.position > before
        while self._waiting and self._waiting[0][0] <= self.position:
            start, _, later = heappop(self._waiting)
            del self._spans[start, len(later)]
            self._waiting_bytes -= len(later) + _FRAME_BYTES
            self._join(start, later, False)
        return bytes(read[before:])

    @cython.cfunc
    def _join(self, offset: cython.longlong, data: bytes, is_latest: cython.bint) -> cython.bint:
        """Append what is new in a frame that begins in the bytes that are known, or right behind them."""
        read: bytearray = self._read
        known = bytes(read[offset : offset + len(data)])
        self._compare(offset, known, data, is_latest)
        read += data[len(known) :]
        self.position = len(read)
        return True

    @cython.cfunc
    def _compare(self, offset: cython.longlong, known: bytes, data: bytes, is_latest: cython.bint) -> cython.bint:
        """Note the first conflict."""
        found = None if self.conflict is not None else differing(known, data)
        if found is not None:
            start, end = found
            self.conflict = CryptoConflict(offset + start, known[start:end], data[start:end], is_latest)
        return True
