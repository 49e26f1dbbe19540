"""The bytes of QUIC's CRYPTO frames in order: frames may overlap, repeat, leave gaps and come in any order.

RFC 9000 section 19.6. Frames that come early wait in a heap, the lowest offset first, so that each costs logarithmic
time; a buffer with a bit for each byte would cost memory for gaps that are never filled. Of bytes that were sent twice,
those count that came first in the order of the stream, which a sender must not change (section 2.2).
"""

from __future__ import annotations

from heapq import heappop, heappush

MAX_CRYPTO_BYTES = 1 << 17
"""Maximum bytes read of the CRYPTO frames of one side; a frame that ends beyond it is not read. Endpoints have room for
4,096 bytes or more (RFC 9000 section 7.5)."""
MAX_CRYPTO_HELD = 1 << 17
"""Maximum bytes held of CRYPTO frames that wait for earlier ones; further ones are not read."""
FRAME_BYTES = 160
"""Estimated bytes that a waiting frame takes besides its data."""


class CryptoStream:
    """One side's CRYPTO frames at one level of encryption."""

    __slots__ = ("_arrivals", "_read", "_spans", "_waiting", "_waiting_bytes", "conflicts", "news")

    def __init__(self) -> None:
        self.conflicts = False
        """Whether other bytes were sent at an offset for which bytes were known."""
        self.news = 0
        """Number of frames with bytes that were not known before."""
        self._spans: dict[tuple[int, int], bytes] = {}
        """The waiting frames by offset and length: one that is sent again does not wait twice."""
        self._read = bytearray()
        """The bytes that were returned, to be compared with those that are sent again."""
        self._waiting: list[tuple[int, int, bytes]] = []
        self._waiting_bytes = 0
        self._arrivals = 0

    @property
    def position(self) -> int:
        """Offset after the bytes that were returned."""
        return len(self._read)

    @property
    def held_bytes(self) -> int:
        """Estimated bytes of all that is held."""
        return len(self._read) + self._waiting_bytes

    @property
    def has_gap(self) -> bool:
        """Whether bytes are missing in front of others that came."""
        return bool(self._waiting)

    def add(self, offset: int, data: bytes) -> bytes | None:
        """Add a frame; return the bytes that it makes available, or None if there is no room for it."""
        if offset + len(data) > MAX_CRYPTO_BYTES:
            return None
        span = offset, len(data)
        if span in self._spans:
            self.conflicts = self.conflicts or self._spans[span] != data
            return b""
        if offset > self.position:
            if self._waiting_bytes + len(data) + FRAME_BYTES > MAX_CRYPTO_HELD:
                return None
            self._arrivals += 1
            self._waiting_bytes += len(data) + FRAME_BYTES
            heappush(self._waiting, (offset, self._arrivals, data))
            self._spans[span] = data
            self.news += 1
            return b""
        before = self.position
        self._join(offset, data)
        self.news += self.position > before
        while self._waiting and self._waiting[0][0] <= self.position:
            start, _, later = heappop(self._waiting)
            del self._spans[start, len(later)]
            self._waiting_bytes -= len(later) + FRAME_BYTES
            self._join(start, later)
        return bytes(self._read[before:])

    def _join(self, offset: int, data: bytes) -> None:
        """Append what is new in a frame that begins in the bytes that are known, or right behind them."""
        known = self._read[offset : offset + len(data)]
        self.conflicts = self.conflicts or known != data[: len(known)]
        self._read += data[len(known) :]
