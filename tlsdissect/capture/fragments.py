"""IP fragments, joined: the packet belongs to the frame of the fragment that completed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture.rows import IP_PROTOCOL, Rows

if TYPE_CHECKING:
    from collections import Counter

    from tlsdissect.capture.rows import Int64s, Peeling

MAX_BYTES = 8 << 20
"""Bytes of fragments that wait for others; beyond, the packet that waits longest is given up."""
MAX_PACKETS = 4096
"""Packets that wait for fragments."""
MAX_FRAGMENTS = 8192
"""Fragments of one packet: as many as 64 KiB have in parts of 8 bytes."""


class Fragment(msgspec.Struct, frozen=True):
    """One fragment."""

    key: bytes
    """What fragments of one packet have in common."""
    header: bytes
    """The IP header, as far as it stands in front of what is fragmented."""
    protocol: int
    offset: int
    last: bool
    body: bytes


class Incomplete(msgspec.Struct):
    """A packet that misses fragments."""

    fragments: list[Fragment]
    size: int = 0
    """Bytes of the fragments, overlaps counted twice."""
    total: int | None = None
    """Bytes of the packet, once its last fragment was seen."""


class Joined(msgspec.Struct, frozen=True):
    """Packets that were completed: their bytes, and where to go on in them."""

    data: bytearray
    kinds: Int64s
    rows: Rows


class Fragments:
    """The fragments that wait for others."""

    def __init__(self, skipped: Counter[str]) -> None:
        self._skipped = skipped
        self._waiting: dict[bytes, Incomplete] = {}
        self._size = 0

    def join(self, view: Peeling) -> Joined:
        """Take the fragments of a batch, in the order of frames; give the packets that they complete."""
        data = bytearray()
        spots: list[tuple[int, int, int, int]] = []
        found = [spot for rows in view.fragments for spot in zip(*_places(rows), strict=True)]
        for record, at, end, limit, ip in sorted(found):
            if end < limit:
                self._skipped["IP fragments cut by the snap length"] += 1
                continue
            whole = self._add(_read(view, ip, at, end))
            if whole is not None:
                header, protocol, body = whole
                start = len(data)
                data += header + body
                spots.append((record, start, start + len(header), protocol + IP_PROTOCOL))
        return _joined(data, spots)

    def finish(self) -> None:
        """Count what never became whole."""
        while self._waiting:
            self._drop(next(iter(self._waiting)))

    def _add(self, fragment: Fragment) -> tuple[bytes, int, bytes] | None:
        """Keep a fragment; give header, protocol and body of the packet if it is complete now."""
        waiting = self._waiting.setdefault(fragment.key, Incomplete([]))
        waiting.fragments.append(fragment)
        waiting.size += len(fragment.body)
        self._size += len(fragment.body)
        if fragment.last and waiting.total is None:
            waiting.total = fragment.offset + len(fragment.body)
        if waiting.total is not None and waiting.size >= waiting.total:
            body = _assemble(waiting.fragments, waiting.total)
            if body is not None:
                self._forget(fragment.key)
                first = next(part for part in waiting.fragments if part.offset == 0)
                return first.header, first.protocol, body
        if len(waiting.fragments) > MAX_FRAGMENTS:
            self._drop(fragment.key)
        while self._size > MAX_BYTES or len(self._waiting) > MAX_PACKETS:
            self._drop(next(iter(self._waiting)))
        return None

    def _forget(self, key: bytes) -> Incomplete:
        waiting = self._waiting.pop(key)
        self._size -= waiting.size
        return waiting

    def _drop(self, key: bytes) -> None:
        self._skipped["IP fragments without the rest of their packet"] += len(self._forget(key).fragments)


def _places(rows: Rows) -> tuple[list[int], ...]:
    return tuple(column.tolist() for column in (rows.record, rows.at, rows.end, rows.limit, rows.ip))


def _read(view: Peeling, ip: int, at: int, end: int) -> Fragment:
    """Read the fragment whose IP header is at `ip`; `at` is the same for IPv4, and the fragment header for IPv6."""
    data = view.data
    if data[ip] >> 4 == 4:
        body = ip + (data[ip] & 15) * 4
        field = int.from_bytes(data[ip + 6 : ip + 8], "big")
        offset, last = (field & 0x1FFF) * 8, not field & 0x2000
        # RFC 791 section 3.2: identification, addresses and protocol.
        key = bytes(data[ip + 4 : ip + 6]) + bytes(data[ip + 9 : ip + 10]) + bytes(data[ip + 12 : ip + 20])
        return Fragment(key, bytes(data[ip:body]), data[ip + 9], offset, last, bytes(data[body:end]))
    field = int.from_bytes(data[at + 2 : at + 4], "big")
    # RFC 8200 section 4.5: addresses and identification.
    key = bytes(data[ip + 8 : ip + 40]) + bytes(data[at + 4 : at + 8])
    return Fragment(key, bytes(data[ip : ip + 40]), data[at], field & 0xFFF8, not field & 1, bytes(data[at + 8 : end]))


def _assemble(fragments: list[Fragment], total: int) -> bytes | None:
    """Join the fragments, of bytes that overlap those of the one that begins first; None if some are missing."""
    body = bytearray()
    for fragment in sorted(fragments, key=lambda fragment: fragment.offset):
        if fragment.offset > len(body):
            return None
        body += fragment.body[len(body) - fragment.offset :]
    return bytes(body[:total]) if len(body) >= total else None


def _joined(data: bytearray, spots: list[tuple[int, int, int, int]]) -> Joined:
    """Make rows of packets that lie one behind the other in `data`."""
    record, start, at, kinds = np.array(spots, np.int64).reshape(-1, 4).T
    end = np.append(start[1:], len(data))[: len(spots)]
    return Joined(data, kinds, Rows(record, at, end, end, start))
