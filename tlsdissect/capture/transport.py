# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""TCP, UDP and EAPOL headers, the innermost ones, which fill a `Packet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import cut, u16, u32
from tlsdissect.capture.packet import TCP, UDP
from tlsdissect.capture.protocols import EAPOL

if TYPE_CHECKING:
    from tlsdissect.capture.headers import Headers
    from tlsdissect.capture.packet import Packet

SHORTEST_TCP = 16
"""Bytes of a TCP header from its ports to its window: Wireshark assigns no stream number if fewer are captured."""
_MAX_SHIFT = 14
"""The greatest shift of a window (RFC 7323 section 2.3)."""
_WINDOW_SCALE = 3
"""Kind of the Window Scale option (RFC 7323 section 2.2)."""
_TIMESTAMPS = 8
"""Kind of the Timestamps option (RFC 7323 section 3.2)."""
NO_TIMESTAMP = -1
"""Stands for the timestamp of a segment without one."""
_NO_TIMESTAMP = NO_TIMESTAMP


@cython.ccall
@cython.exceptval(-1)
def tcp(h: Headers, packet: Packet) -> cython.bint:
    """TCP (RFC 9293 section 3.1); False if there is no header."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + SHORTEST_TCP > h.end:
        h.skip("cut TCP header")
        return False
    size: cython.longlong = (data[at + 12] >> 4) * 4
    payload: cython.longlong = at + size
    if size < 20 or payload > h.limit:
        # A header with an impossible length leaves no payload.
        payload = h.limit
    packet.protocol = TCP
    packet.sequence = u32(data, at + 4)
    packet.acknowledgement = u32(data, at + 8)
    packet.flags = data[at + 13]
    packet.window = u16(data, at + 14)
    packet.length = h.limit - payload
    packet.captured = h.end - payload if payload < h.end else 0
    packet.payload = min(payload, h.end)
    return _from_ip(h, packet)


@cython.ccall
def udp(h: Headers, packet: Packet) -> cython.bint:
    """UDP (RFC 768); False if there is no header. A tunnel may follow."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        h.skip("cut UDP header")
        return False
    size: cython.longlong = u16(data, at + 4)
    # A length of 0 is a jumbogram's (RFC 2675 section 4).
    if size >= 8:
        h.narrow(at + size)
    packet.protocol = UDP
    _clear_tcp(packet)
    packet.length = h.limit - at - 8
    packet.captured = h.end - at - 8
    packet.payload = at + 8
    return _from_ip(h, packet)


@cython.ccall
def eapol(h: Headers, packet: Packet) -> cython.bint:
    """EAP over a LAN (IEEE 802.1X-2020 section 11.3); False if there is no EAP packet, as in EAPOL-Key frames."""
    data: bytes = h.data
    at: cython.longlong = h.at
    # Version, type, length of the body; type 0 is an EAP packet.
    if at + 4 > h.end or data[at + 1] != 0:
        return False
    h.narrow(at + 4 + u16(data, at + 2))
    if h.end < at + 4:
        return False
    packet.protocol = EAPOL
    _clear_tcp(packet)
    packet.length = h.limit - at - 4
    packet.captured = h.end - at - 4
    packet.payload = at + 4
    packet.endpoints = bytes(16) if h.addresses < 0 else data[h.addresses : h.addresses + 12] + bytes(4)
    packet.ip = at
    packet.identification = -1
    return _from_frame(h, packet)


@cython.ccall
def window_shift(packet: Packet) -> cython.longlong:
    """Return the shift of the Window Scale option of a SYN (RFC 7323 section 2.2), 0 if it has none."""
    data: bytes = packet.data
    at: cython.longlong = _find_option(data, packet.transport, packet.payload, _WINDOW_SCALE, 3)
    return 0 if at < 0 else min(data[at + 2], _MAX_SHIFT)


@cython.ccall
def timestamp(data: bytes, start: cython.longlong, end: cython.longlong, echoed: cython.bint) -> cython.longlong:
    """Return the timestamp of a TCP header, or the one that it echoes (RFC 7323 section 3.2); NO_TIMESTAMP without."""
    at: cython.longlong = _find_option(data, start, end, _TIMESTAMPS, 10)
    return _NO_TIMESTAMP if at < 0 else u32(data, at + 6 if echoed else at + 2)


@cython.cfunc
def _find_option(
    data: bytes, start: cython.longlong, end: cython.longlong, kind: cython.longlong, size: cython.longlong
) -> cython.longlong:
    """Return where an option of this size begins in a TCP header (RFC 9293 section 3.1); -1 without one."""
    at: cython.Py_ssize_t = start + 20
    end = min(end, len(data))
    while at + 1 < end and data[at] != 0:
        if data[at] == 1:
            at += 1
            continue
        if data[at] == kind and data[at + 1] == size and at + size <= end:
            return at
        if data[at + 1] < 2:
            break
        at += data[at + 1]
    return -1


@cython.cfunc
def _clear_tcp(packet: Packet) -> cython.bint:
    """Zero the fields that only TCP has."""
    packet.sequence = 0
    packet.acknowledgement = 0
    packet.flags = 0
    packet.window = 0
    return True


@cython.cfunc
@cython.exceptval(-1)
def _from_ip(h: Headers, packet: Packet) -> cython.bint:
    """Fill in the fields that come from the IP header, and those of the frame."""
    data: bytes = h.data
    at: cython.Py_ssize_t = h.at
    ip: cython.Py_ssize_t = h.ip
    last_hop: cython.Py_ssize_t = h.last_hop
    older: cython.bint = data[ip] >> 4 == 4
    if last_hop < 0 and at - ip == (20 if older else 40):
        # Without options, the ports follow the addresses: a single slice halves the time per packet.
        packet.endpoints = cut(data, ip + 12 if older else ip + 8, at + 4)
    elif older:
        if last_hop < 0:
            packet.endpoints = data[ip + 12 : ip + 20] + data[at : at + 4]
        else:
            packet.endpoints = data[ip + 12 : ip + 16] + data[last_hop : last_hop + 4] + data[at : at + 4]
    elif last_hop < 0:
        packet.endpoints = data[ip + 8 : ip + 40] + data[at : at + 4]
    else:
        packet.endpoints = data[ip + 8 : ip + 24] + data[last_hop : last_hop + 16] + data[at : at + 4]
    packet.ip = ip
    packet.identification = h.identification
    return _from_frame(h, packet)


@cython.cfunc
def _from_frame(h: Headers, packet: Packet) -> cython.bint:
    """Fill in the fields that locate the packet in its frame."""
    packet.data = h.data
    packet.transport = h.at
    packet.place = packet.payload - h.start if h.start >= 0 else -1
    packet.quoted = h.quoted
    return True
