"""IEEE 802.11, and the headers that capture drivers put in front of it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal

from tlsdissect.capture.protocols import (
    ETHERNET,
    IEEE_802_11,
    IEEE_802_11_PADDED,
    IEEE_802_11_SWAPPED,
    LINK_TYPE,
    LLC,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.headers import Headers

UNREADABLE = "unreadable 802.11 frames"

_ENCRYPTED, _MORE_FRAGMENTS, _ORDER = 0x40, 0x04, 0x80
_FROM_SYSTEM, _BOTH_SYSTEMS = 0x02, 0x03
"""Values of ToDS and FromDS: from an access point or mesh station, and from one such to another."""
_AGGREGATED, _MESH = 0x80, 0x01
"""Bits of a QoS control field's two bytes: A-MSDU, mesh control (IEEE 802.11-2020 sections 9.2.4.5.9, 9.2.4.5.10)."""
_TSFT, _FLAGS, _EXTENDED = 1 << 0, 1 << 1, 1 << 31
"""Bits of radiotap's presence words: the TSFT field (eight bytes), the flags field, and another word."""
_CHECKED, _PADDED = 0x10, 0x20
"""Bits of radiotap's flags (radiotap.org/fields/Flags): FCS at the end, and padding before the body."""
_DATA, _QUALITY, _NO_DATA = 2, 0x80, 0x40


def ieee_802_11(h: Headers) -> int:
    """IEEE 802.11."""
    return _frame(h, h.data[h.at : h.end])


def ieee_802_11_padded(h: Headers) -> int:
    """IEEE 802.11 whose body begins at a multiple of four bytes."""
    return _frame(h, h.data[h.at : h.end], padded=True)


def ieee_802_11_swapped(h: Headers) -> int:
    """IEEE 802.11 as some access points send it in CAPWAP: with the two bytes of frame control swapped."""
    frame = h.data[h.at : h.end]
    if len(frame) > 1 and frame[1] >> 2 & 3 == _DATA:
        frame = frame[1::-1] + frame[2:]
    return _frame(h, frame)


def _frame(h: Headers, frame: bytes, *, padded: bool = False) -> int:
    """Read a frame (IEEE 802.11-2020 section 9.3.2): only data frames contain LLC."""
    if len(frame) < 2:
        return h.skip(UNREADABLE)
    control, flags = frame[0], frame[1]
    if control >> 2 & 3 != _DATA or control & _NO_DATA:
        # Management and control frames, and data frames without data.
        return 0
    if flags & _ENCRYPTED:
        return h.skip("encrypted 802.11 frames")
    h.addresses = h.at + 4
    if flags & _MORE_FRAGMENTS:
        return h.skip("802.11 fragments")
    start = 30 if flags & _BOTH_SYSTEMS == _BOTH_SYSTEMS else 24
    aggregated, mesh = False, False
    if control & _QUALITY:
        if start + 2 > len(frame):
            return h.skip(UNREADABLE)
        aggregated = frame[start] & _AGGREGATED != 0
        mesh = frame[start + 1] & _MESH != 0 and flags & _FROM_SYSTEM != 0
        start += 6 if flags & _ORDER else 2
    if padded:
        start += -start % 4
    if start > len(frame) or (mesh and not aggregated and start == len(frame)):
        return h.skip(UNREADABLE)
    if aggregated:
        h.hold((LLC, h.at + begin, h.at + end) for begin, end in _subframes(frame, start, mesh=mesh))
        return 0
    h.at += start + (_mesh_control(frame, start) if mesh else 0)
    return LLC


def _subframes(frame: bytes, start: int, *, mesh: bool) -> Iterator[tuple[int, int]]:
    """Split an A-MSDU: subframes of addresses, a length and LLC, padded to four bytes (section 9.3.2.2.2)."""
    while start + 14 <= len(frame):
        size = int.from_bytes(frame[start + 12 : start + 14], "big")
        end = min(start + 14 + size, len(frame))
        # Skip what is too short for LLC.
        if size >= 3 and start + 14 < len(frame):
            yield start + 14 + (_mesh_control(frame, start + 14) if mesh else 0), end
        start += 14 + size + -(14 + size) % 4


def _mesh_control(frame: bytes, at: int) -> int:
    """Return the length of a mesh control field: six bytes, and up to two addresses (section 9.2.4.7.3).

    Outside a mesh, the bit that announces it may be part of a queue size. LLC follows then, whose first byte is not a
    number of addresses.
    """
    addresses = frame[at]
    return 6 + 6 * addresses if addresses <= 2 else 0


def radiotap(h: Headers) -> int:
    """Radiotap: only its flags matter, which announce padding and a frame check sequence at the end."""
    packet = h.data[h.at : h.end]
    try:
        size, present = struct.unpack_from("<2xHI", packet)
        at, word = 8, present
        while word & _EXTENDED:
            word = struct.unpack_from("<I", packet, at)[0]
            at += 4
        if present & _TSFT:
            at += -at % 8 + 8
        flags = packet[at] if present & _FLAGS else 0
    except (struct.error, IndexError):
        return h.skip(UNREADABLE)
    h.enter(h.at + size, h.end - (4 if flags & _CHECKED else 0))
    return IEEE_802_11_PADDED if flags & _PADDED else IEEE_802_11


def prism(h: Headers) -> int:
    """Prism or AVS: both have their length after a magic number, in different byte orders."""
    packet = h.data[h.at : min(h.at + 8, h.end)]
    if len(packet) < 8:
        return h.skip(UNREADABLE)
    order: Literal["big", "little"] = "big" if packet[:3] == b"\x80\x21\x10" else "little"
    h.at += int.from_bytes(packet[4:], order)
    return IEEE_802_11


def per_packet_information(h: Headers) -> int:
    """PPI: its length, and the link type of what follows."""
    packet = h.data[h.at : min(h.at + 8, h.end)]
    if len(packet) < 8:
        return h.skip(UNREADABLE)
    size, link = struct.unpack("<2xHI", packet)
    h.at += size
    return {1: ETHERNET, 105: IEEE_802_11}.get(link, 0)


READERS: dict[int, Callable[[Headers], int]] = {
    IEEE_802_11: ieee_802_11,
    IEEE_802_11_PADDED: ieee_802_11_padded,
    IEEE_802_11_SWAPPED: ieee_802_11_swapped,
    **dict.fromkeys((LINK_TYPE + 119, LINK_TYPE + 163), prism),
    LINK_TYPE + 127: radiotap,
    LINK_TYPE + 192: per_packet_information,
}
"""The reader of each header, by its number."""
