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

    __slots__ = ("_arrivals", "_waiting", "held_bytes", "position")

    def __init__(self) -> None:
        self.position = 0
        """Offset after the bytes that were returned."""
        self.held_bytes = 0
        self._waiting: list[tuple[int, int, bytes]] = []
        self._arrivals = 0

    @property
    def has_gap(self) -> bool:
        """Whether bytes are missing in front of others that came."""
        return bool(self._waiting)

    def add(self, offset: int, data: bytes) -> bytes | None:
        """Add a frame; return the bytes that it makes available, or None if there is no room for it."""
        end = offset + len(data)
        if end <= self.position:
            return b""
        if end > MAX_CRYPTO_BYTES:
            return None
        if offset > self.position:
            if self.held_bytes + len(data) + FRAME_BYTES > MAX_CRYPTO_HELD:
                return None
            self._arrivals += 1
            self.held_bytes += len(data) + FRAME_BYTES
            heappush(self._waiting, (offset, self._arrivals, data))
            return b""
        parts = [data[self.position - offset :]]
        self.position = end
        while self._waiting and self._waiting[0][0] <= self.position:
            start, _, later = heappop(self._waiting)
            self.held_bytes -= len(later) + FRAME_BYTES
            if start + len(later) > self.position:
                parts.append(later[self.position - start :])
                self.position = start + len(later)
        return b"".join(parts)
