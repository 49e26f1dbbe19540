"""Where the DTLS records of a datagram lie: alone, or inside what shares a flow with them.

WebRTC sends STUN, TURN, RTP and DTLS over one flow, told apart by the first byte of a datagram (RFC 7983 section 7).
TURN carries the client's DTLS in ChannelData and in Send and Data indications (RFC 8656). CAPWAP puts four bytes before
a record (RFC 5415 section 4.2).
"""

from __future__ import annotations

_FIRST, _LAST = 20, 63
"""First bytes of a DTLS record, those of unified headers included (RFC 7983 section 7, RFC 9147 section 4.1)."""
_FIRST_CHANNEL, _LAST_CHANNEL = 64, 79
_FIRST_MEDIA, _LAST_MEDIA = 128, 191
"""First bytes of RTP and RTCP, encrypted or not (RFC 7983 section 7)."""
_CAPWAP = b"\x01\x00\x00\x00"
"""Version 0 and type 1, a DTLS header, then three reserved bytes."""
_INDICATIONS = frozenset((b"\x00\x16", b"\x00\x17"))
"""STUN's message types of the Send and the Data indication (RFC 8656 section 18.1)."""
_COOKIE = b"\x21\x12\xa4\x42"
"""STUN's magic cookie (RFC 8489 section 5)."""
_DATA = 0x0013
"""The DATA attribute (RFC 8656 section 18.5)."""
_STUN_HEADER = 20


def find_records(data: bytes, end: int) -> tuple[int, int] | None:
    """Return the offsets between which DTLS records may lie in the captured bytes of a datagram, or None.

    `end` is that of the datagram on the wire, which may lie after the end of `data`.
    """
    if not data:
        return None
    first = data[0]
    if _FIRST <= first <= _LAST:
        return 0, end
    if _FIRST_CHANNEL <= first <= _LAST_CHANNEL:
        # ChannelData: a channel number and a length (RFC 8656 section 12.4).
        return _within(data, 4, 4 + int.from_bytes(data[2:4], "big"), end)
    if data.startswith(_CAPWAP):
        return _within(data, 4, end, end)
    if data[:2] in _INDICATIONS and data.startswith(_COOKIE, 4):
        return _in_indication(data, end)
    return None


def is_media(data: bytes) -> bool:
    """Return whether a datagram begins like one of RTP or RTCP."""
    return bool(data) and _FIRST_MEDIA <= data[0] <= _LAST_MEDIA


def _within(data: bytes, start: int, inner_end: int, end: int) -> tuple[int, int] | None:
    if start < len(data) and inner_end <= end and _FIRST <= data[start] <= _LAST:
        return start, inner_end
    return None


def _in_indication(data: bytes, end: int) -> tuple[int, int] | None:
    """Return the place of the DATA attribute of an indication."""
    at = _STUN_HEADER
    while at + 4 <= len(data):
        kind, size = int.from_bytes(data[at : at + 2], "big"), int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == _DATA:
            return _within(data, at + 4, at + 4 + size, end)
        # Attributes are padded to a multiple of four bytes (RFC 8489 section 14).
        at += 4 + (size + 3 & ~3)
    return None
