# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""TCP, UDP and EAPOL headers, in which the headers of a packet end: they fill a `Packet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import u16, u32
from tlsdissect.capture.protocols import EAPOL

if TYPE_CHECKING:
    from tlsdissect.capture.headers import Headers
    from tlsdissect.capture.packet import Packet

SHORTEST_TCP = 16
"""Bytes of a TCP header from its ports to its window: Wireshark does not number one that is cut shorter."""


@cython.ccall
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
        # A header that is no header, or longer than its packet, leaves no payload.
        payload = h.limit
    packet.protocol = 6
    packet.sequence = u32(data, at + 4)
    packet.acknowledgement = u32(data, at + 8)
    packet.flags = data[at + 13]
    packet.length = h.limit - payload
    packet.captured = h.end - payload if payload < h.end else 0
    packet.payload = min(payload, h.end)
    return _found(h, packet)


@cython.ccall
def udp(h: Headers, packet: Packet) -> cython.bint:
    """UDP (RFC 768); False if there is no header. What may be a tunnel comes next."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        h.skip("cut UDP header")
        return False
    size: cython.longlong = u16(data, at + 4)
    # A length of 0 is a jumbogram's (RFC 2675 section 4).
    if size >= 8:
        h.narrow(at + size)
    packet.protocol = 17
    packet.sequence = 0
    packet.acknowledgement = 0
    packet.flags = 0
    packet.length = h.limit - at - 8
    packet.captured = h.end - at - 8
    packet.payload = at + 8
    return _found(h, packet)


@cython.ccall
def eapol(h: Headers, packet: Packet) -> cython.bint:
    """EAP over a LAN (IEEE 802.1X-2020 section 11.3); False if there is no EAP packet, as in a key's frames."""
    data: bytes = h.data
    at: cython.longlong = h.at
    # Version, type, length of the body; type 0 is an EAP packet.
    if at + 4 > h.end or data[at + 1] != 0:
        return False
    h.narrow(at + 4 + u16(data, at + 2))
    if h.end < at + 4:
        return False
    packet.protocol = EAPOL
    packet.sequence = 0
    packet.acknowledgement = 0
    packet.flags = 0
    packet.length = h.limit - at - 4
    packet.captured = h.end - at - 4
    packet.payload = at + 4
    packet.endpoints = bytes(16) if h.addresses < 0 else data[h.addresses : h.addresses + 12] + bytes(4)
    packet.data = data
    packet.ip = at
    packet.transport = at
    packet.place = packet.payload - h.start if h.start >= 0 else -1
    packet.identification = -1
    packet.quoted = h.quoted
    return True


@cython.cfunc
def _found(h: Headers, packet: Packet) -> cython.bint:
    data: bytes = h.data
    at: cython.Py_ssize_t = h.at
    ip: cython.Py_ssize_t = h.ip
    last_hop: cython.Py_ssize_t = h.last_hop
    older: cython.bint = data[ip] >> 4 == 4
    if last_hop < 0 and at - ip == (20 if older else 40):
        # Without options, the ports follow on the addresses: one slice, which is half of the time for a packet.
        packet.endpoints = data[ip + 12 if older else ip + 8 : at + 4]
    elif older:
        if last_hop < 0:
            packet.endpoints = data[ip + 12 : ip + 20] + data[at : at + 4]
        else:
            packet.endpoints = data[ip + 12 : ip + 16] + data[last_hop : last_hop + 4] + data[at : at + 4]
    elif last_hop < 0:
        packet.endpoints = data[ip + 8 : ip + 40] + data[at : at + 4]
    else:
        packet.endpoints = data[ip + 8 : ip + 24] + data[last_hop : last_hop + 16] + data[at : at + 4]
    packet.data = data
    packet.ip = ip
    packet.transport = at
    packet.place = packet.payload - h.start if h.start >= 0 else -1
    packet.identification = h.identification
    packet.quoted = h.quoted
    return True
