"""Records, handshake messages and extensions as tests write them."""

from __future__ import annotations

import struct


def sized(data: bytes, width: int = 2) -> bytes:
    """A vector behind a length of so many bytes (RFC 8446 section 3.4)."""
    return len(data).to_bytes(width, "big") + data


def extension(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + sized(data)


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + sized(body, 3)


def record(kind: int, fragment: bytes, version: int = 0x0303) -> bytes:
    return struct.pack(">BH", kind, version) + sized(fragment)
