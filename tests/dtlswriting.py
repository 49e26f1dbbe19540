"""Records and handshake fragments of DTLS as tests write them."""

from __future__ import annotations

import struct

from tlswriting import sized

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA, TLS12_CID = 20, 21, 22, 23, 25


def record(kind: int, body: bytes, *, epoch: int = 0, sequence: int = 0, version: int = 0xFEFD) -> bytes:
    """A record (RFC 6347 section 4.1)."""
    return struct.pack(">BHH", kind, version, epoch) + sequence.to_bytes(6, "big") + sized(body)


def cid_record(cid: bytes, body: bytes, *, epoch: int = 1, sequence: int = 0) -> bytes:
    """A record with a connection ID (RFC 9146 section 4)."""
    return struct.pack(">BHH", TLS12_CID, 0xFEFD, epoch) + sequence.to_bytes(6, "big") + cid + sized(body)


def unified(
    epoch: int,
    body: bytes,
    *,
    two_bytes: bool = True,
    cid: bytes = b"",
    length: bool = True,
    number: bytes = b"\x5a\xa5",
) -> bytes:
    """A record with a unified header (RFC 9147 section 4)."""
    first = 0x20 | (0x10 if cid else 0) | (0x08 if two_bytes else 0) | (0x04 if length else 0) | epoch & 3
    return bytes([first]) + cid + number[: 1 + two_bytes] + (sized(body) if length else body)


def fragment(kind: int, message_seq: int, data: bytes, *, length: int | None = None, offset: int = 0) -> bytes:
    """A handshake message or a part of it (RFC 6347 section 4.2.2)."""
    whole = len(data) if length is None else length
    header = bytes([kind]) + whole.to_bytes(3, "big") + message_seq.to_bytes(2, "big")
    return header + offset.to_bytes(3, "big") + sized(data, 3)
