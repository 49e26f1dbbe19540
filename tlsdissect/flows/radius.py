"""RADIUS packets that carry EAP (RFC 3579)."""

from __future__ import annotations

from typing import NamedTuple

ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE = 1, 2, 3, 11
"""Codes (RFC 2865 section 3)."""
_CODES = frozenset((ACCESS_REQUEST, ACCESS_ACCEPT, ACCESS_REJECT, ACCESS_CHALLENGE))
_HEADER, _ATTRIBUTE_HEADER = 20, 2
_MAX_LENGTH = 4096
_USER_NAME, _STATE, _CALLED_STATION_ID, _CALLING_STATION_ID, _EAP_MESSAGE = 1, 24, 30, 31, 79


class RadiusPacket(NamedTuple):
    """The EAP packet in a RADIUS packet, and what distinguishes the conversations of a pair of addresses."""

    code: int
    identifier: int
    authenticator: bytes
    user_name: bytes
    state: bytes
    called_station: bytes
    calling_station: bytes
    eap: bytes
    """The captured part of the joined EAP-Message attributes (section 3.1); empty without any."""
    spans: tuple[tuple[int, int], ...]
    """Where they are in the RADIUS packet: an offset and a number of bytes for each."""
    cut: bool
    """Whether the snap length cut attributes off."""


def read_radius(packet: bytes, size: int) -> RadiusPacket | None:
    """Read the captured bytes of a datagram of `size` bytes; None if it is no RADIUS packet of an authentication."""
    end = int.from_bytes(packet[2:4], "big")
    if packet[:1] not in _CODE_BYTES or not _HEADER <= end <= min(size, _MAX_LENGTH) or len(packet) < _HEADER:
        return None
    texts: dict[int, bytes] = {}
    spans: list[tuple[int, int]] = []
    at, reach = _HEADER, min(end, len(packet))
    while at + _ATTRIBUTE_HEADER <= reach:
        kind, length = packet[at], packet[at + 1]
        if length < _ATTRIBUTE_HEADER or at + length > end:
            return None
        value = at + _ATTRIBUTE_HEADER, min(at + length, reach)
        if kind == _EAP_MESSAGE:
            spans.append((value[0], value[1] - value[0]))
        elif at + length <= reach:
            texts.setdefault(kind, packet[value[0] : value[1]])
        at += length
    if at != end and reach == end:
        return None
    return RadiusPacket(
        code=packet[0],
        identifier=packet[1],
        authenticator=packet[4:_HEADER],
        user_name=texts.get(_USER_NAME, b""),
        state=texts.get(_STATE, b""),
        called_station=texts.get(_CALLED_STATION_ID, b""),
        calling_station=texts.get(_CALLING_STATION_ID, b""),
        eap=b"".join([packet[start : start + length] for start, length in spans]),
        spans=tuple(spans),
        cut=reach < end,
    )


_CODE_BYTES = frozenset(bytes((code,)) for code in _CODES)
