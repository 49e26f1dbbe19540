# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""IP headers, IPv6's extension headers, fragments, and ICMP errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.fragments import Fragment
from tlsdissect.capture.octets import u16, u32
from tlsdissect.capture.protocols import ETHERNET, IP, IP_PROTOCOL, IPV4, IPV6, LINK_TYPE, PPP_PROTOCOL

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.capture.headers import Headers


@cython.ccall
@cython.exceptval(-1)
def ipv4(h: Headers) -> cython.longlong:
    """IPv4 (RFC 791 section 3.1)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 20 > h.end:
        return h.skip("cut IPv4 header")
    version: cython.longlong = data[at] >> 4
    if version == 6:
        # Some senders use the EtherType of IPv4 for IPv6, too.
        return IPV6
    size: cython.longlong = (data[at] & 15) * 4
    total: cython.longlong = u16(data, at + 2)
    if version != 4 or size < 20 or at + size > h.end or 0 < total < size:
        return h.skip("unreadable IPv4 header")
    # Packets for segmentation by the network card are captured with a length of 0.
    if total > 0:
        h.narrow(at + total)
    h.ip = at
    h.identification = u16(data, at + 4)
    h.last_hop = _source_route(data, at + 20, at + size) if size > 20 else -1
    # More fragments, and the offset.
    part: cython.longlong = u16(data, at + 6) & 0x3FFF
    if part != 0 and not (part & 0x1FFF == 0 and _stands_alone(h)):
        return _fragment(h, at + size, data[at + 9], (part & 0x1FFF) * 8, part & 0x2000 == 0)
    h.at = at + size
    return IP_PROTOCOL + data[at + 9]


@cython.cfunc
def _source_route(data: bytes, at: cython.longlong, end: cython.longlong) -> cython.longlong:
    """Find the last address of a source route that is not completed (RFC 791 section 3.1); -1 without one."""
    size: cython.longlong
    while at + 1 < end and data[at] != 0:
        size = 1 if data[at] == 1 else data[at + 1]
        # A loose or strict source route whose pointer is not past the last address.
        if (data[at] == 131 or data[at] == 137) and size >= 7 and at + size <= end and data[at + 2] <= size - 3:
            return at + size - 4
        if size == 0:
            break
        at += size
    return -1


@cython.cfunc
def _stands_alone(h: Headers) -> cython.bint:
    """Return whether a first fragment must be read alone, because it is quoted by ICMP or cut by the snap length."""
    return h.quoted or h.end < h.limit


@cython.cfunc
def _fragment(
    h: Headers, body: cython.longlong, protocol: cython.longlong, offset: cython.longlong, last: cython.bint
) -> cython.longlong:
    """Add a fragment; if it completes its packet, continue with the contents."""
    if h.quoted:
        return 0
    if h.end < h.limit:
        return h.skip("IP fragments cut by the snap length")
    data: bytes = h.data
    ip: cython.Py_ssize_t = h.ip
    key: bytes
    header: bytes
    if data[ip] >> 4 == 4:
        # RFC 791 section 3.2: identification, addresses and protocol.
        key = data[ip + 4 : ip + 6] + data[ip + 9 : ip + 10] + data[ip + 12 : ip + 20]
        header = data[ip:body]
    else:
        # RFC 8200 section 4.5: addresses and identification.
        key = data[ip + 8 : ip + 40] + data[body - 4 : body]
        header = data[ip : ip + 40]
    frames: tuple[int, ...] = h.joined_frames or (h.frame,)
    next_header: cython.longlong = h.join(Fragment(key, header, protocol, offset, last, data[body : h.end], frames))
    return IP_PROTOCOL + next_header if next_header >= 0 else 0


@cython.ccall
def ipv6(h: Headers) -> cython.longlong:
    """IPv6 (RFC 8200 section 3)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 40 > h.end:
        return h.skip("cut IPv6 header")
    if data[at] >> 4 != 6:
        return h.skip("unreadable IPv6 header")
    size: cython.longlong = u16(data, at + 4)
    # 0 is a jumbogram (RFC 2675 section 3), or a packet for segmentation by the network card.
    if size > 0:
        h.narrow(at + 40 + size)
    h.ip = at
    h.identification = -1
    h.last_hop = -1
    h.at = at + 40
    return IP_PROTOCOL + data[at + 6]


@cython.ccall
def extension(h: Headers) -> cython.longlong:
    """IPv6 extension headers of the common form (RFC 8200 sections 4.3 and 4.6; RFC 6275 section 6.1)."""
    at: cython.longlong = h.at
    if at + 8 > h.end:
        return h.skip("cut IPv6 extension header")
    h.at = at + h.data[at + 1] * 8 + 8
    return IP_PROTOCOL + h.data[at]


@cython.ccall
def routing(h: Headers) -> cython.longlong:
    """IPv6 routing header (RFC 8200 section 4.4): until the last segment, the destination is the next hop."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        return h.skip("cut IPv6 extension header")
    size: cython.longlong = data[at + 1] * 8 + 8
    kind: cython.longlong = data[at + 2]
    h.at = at + size
    if data[at + 3] > 0 and size >= 24 and at + size <= h.end and data[h.ip] >> 4 == 6:
        # The final destination is the last address of a source route (RFC 2460 section 4.4), the first of a segment
        # list (RFC 8754 section 2), and the only one of a mobile node (RFC 6275 section 6.4).
        if kind == 0:
            h.last_hop = at + size - 16
        elif kind in (2, 4):
            h.last_hop = at + 8
    return IP_PROTOCOL + data[at]


@cython.ccall
def authentication(h: Headers) -> cython.longlong:
    """Authentication header (RFC 4302 section 2): it authenticates what follows and encrypts nothing."""
    at: cython.longlong = h.at
    if at + 12 > h.end:
        return h.skip("cut authentication header")
    h.at = at + h.data[at + 1] * 4 + 8
    return IP_PROTOCOL + h.data[at]


@cython.ccall
def fragment(h: Headers) -> cython.longlong:
    """IPv6 fragment header (RFC 8200 section 4.5); an atomic fragment is skipped (RFC 6946)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        return h.skip("cut IPv6 fragment header")
    # In IPv4, protocol 44 would be read as a fragment of the same header endlessly.
    if data[h.ip] >> 4 != 6:
        return 0
    field: cython.longlong = u16(data, at + 2)
    h.identification = u32(data, at + 4)
    if field & 0xFFF9 and not (field & 0xFFF8 == 0 and _stands_alone(h)):
        return _fragment(h, at + 8, data[at], field & 0xFFF8, field & 1 == 0)
    h.at = at + 8
    return IP_PROTOCOL + data[at]


@cython.ccall
def ethernet_in_ip(h: Headers) -> cython.longlong:
    """EtherIP (RFC 3378 section 3): two bytes, the first four bits the version."""
    if h.at + 2 > h.end:
        return h.skip("cut EtherIP header")
    if h.data[h.at] >> 4 != 3:
        return h.skip("EtherIP of an unknown version")
    h.at += 2
    return ETHERNET


@cython.ccall
def icmp(h: Headers) -> cython.longlong:
    """ICMP errors, which quote the packet that caused them (RFC 792; RFC 1122 section 3.2.2)."""
    if h.at + 9 <= h.end and h.data[h.at] in (3, 4, 5, 11, 12):
        h.hold([(IP, h.at + 8, h.end)], quoted=True)
    return 0


@cython.ccall
def icmp6(h: Headers) -> cython.longlong:
    """ICMPv6 errors (RFC 4443 section 3)."""
    if h.at + 9 <= h.end and 1 <= h.data[h.at] <= 4:
        h.hold([(IP, h.at + 8, h.end)], quoted=True)
    return 0


READERS: dict[int, Callable[[Headers], int]] = {
    **dict.fromkeys((IPV4, IP_PROTOCOL + 4, PPP_PROTOCOL + 0x21, LINK_TYPE + 228), ipv4),
    **dict.fromkeys((IPV6, IP_PROTOCOL + 41, PPP_PROTOCOL + 0x57, LINK_TYPE + 229), ipv6),
    **dict.fromkeys((IP_PROTOCOL + number for number in (0, 60, 135, 139, 140)), extension),
    IP_PROTOCOL + 43: routing,
    IP_PROTOCOL + 44: fragment,
    IP_PROTOCOL + 51: authentication,
    IP_PROTOCOL + 97: ethernet_in_ip,
    IP_PROTOCOL + 1: icmp,
    IP_PROTOCOL + 58: icmp6,
}
"""The reader of each header, by its number."""
