"""IP headers, one round each, and the TCP and UDP headers in which they end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.link import IP, IPV4, IPV6
from tlsdissect.capture.records import fields
from tlsdissect.capture.rows import ETHERNET, IP_PROTOCOL, Rows

if TYPE_CHECKING:
    from tlsdissect.capture.rows import Int64s, Mask, Next, Peel, Peeling

LEAST_OF_TCP = 16
"""Bytes of a TCP header from its ports to its window: Wireshark does not number one that is cut shorter."""


_END_OF_OPTIONS, _NO_OPERATION, _SOURCE_ROUTES = 0, 1, (131, 137)
"""Types of IPv4's options (RFC 791 section 3.1): a loose and a strict source route."""

_IPV4 = np.dtype(
    [
        ("first", "u1"),
        ("service", "u1"),
        ("total", ">u2"),
        ("identification", ">u2"),
        ("fragment", ">u2"),
        ("ttl", "u1"),
        ("protocol", "u1"),
        ("checksum", ">u2"),
        ("source", ">u4"),
    ]
)
"""An IPv4 header up to the source address; its first byte has the version and the header's length."""


def ipv4(view: Peeling, rows: Rows) -> Next:
    """IPv4 (RFC 791 section 3.1)."""
    rows = view.room(rows, 20, "cut IPv4 header")
    ip = fields(view.data, rows.at, _IPV4)
    version = ip["first"] >> 4
    newer = version == 6
    if newer.any():
        # The version is what counts: some senders write IPv4's EtherType in front of IPv6 too.
        return [(IPV6, rows.where(newer)), *ipv4(view, rows.where(~newer))]
    total = ip["total"].astype(np.int64)
    header = (ip["first"] & 15).astype(np.int64) * 4
    sane = (version == 4) & (header >= 20) & ((total >= header) | (total == 0)) & (rows.at + header <= rows.end)
    if not sane.all():
        rows = view.good(rows, sane, "unreadable IPv4 header")
        ip, header, total = ip[sane], header[sane], total[sane]
    # A network card that cuts segments itself is handed packets of length 0.
    limit = np.where(total == 0, rows.limit, rows.at + total)
    kind = ip["protocol"].astype(np.int64) + IP_PROTOCOL
    rows = Rows(rows.record, rows.at, rows.end, rows.limit, rows.at).within(limit)
    if (header > 20).any():
        _source_routes(view, rows.at, rows.at + header)
    part = ip["fragment"].astype(np.int64) & 0x3FFF
    if not part.any():
        return [(kind, rows.moved(header))]
    whole = (part == 0) | ((part & 0x1FFF == 0) & _stands_alone(view, rows))
    view.fragments.append(rows.where(~whole))
    return [(kind[whole], rows.where(whole).moved(header[whole]))]


def _source_routes(view: Peeling, ip: Int64s, end: Int64s) -> None:
    """Note where packets go at last whose route an option of IPv4 lays down (RFC 791 section 3.1)."""
    at = ip + 20
    while len(at):
        open_ = (at + 1 < end) & (view.byte(np.minimum(at, end - 1)) != _END_OF_OPTIONS)
        ip, at, end = ip[open_], at[open_], end[open_]
        kind = view.byte(at)
        size = np.where(kind == _NO_OPERATION, 1, view.byte(at + 1))
        ahead = np.isin(kind, _SOURCE_ROUTES) & (size >= 7) & (at + size <= end)
        ahead[ahead] = view.byte(at[ahead] + 2) <= size[ahead] - 3
        if ahead.any():
            view.detours.append((ip[ahead], (at + size)[ahead] - 4))
        going = (size > 0) & ~ahead
        ip, at, end = ip[going], (at + size)[going], end[going]


def _stands_alone(view: Peeling, rows: Rows) -> Mask:
    """Tell which first fragments are read by themselves: those that the rest can't be joined to."""
    return (rows.end < rows.limit) | view.quoted


def ipv6(view: Peeling, rows: Rows) -> Next:
    """IPv6 (RFC 8200 section 3)."""
    rows = view.room(rows, 40, "cut IPv6 header")
    rows = view.good(rows, view.byte(rows.at) >> 4 == 6, "unreadable IPv6 header")
    size = view.word(rows.at + 4)
    # 0 is a jumbogram (RFC 2675 section 3), or a packet for a card that cuts segments itself.
    limit = np.where(size == 0, rows.limit, rows.at + 40 + size)
    kind = view.byte(rows.at + 6) + IP_PROTOCOL
    rows = Rows(rows.record, rows.at, rows.end, rows.limit, rows.at).within(limit)
    return [(kind, rows.moved(40))]


def options(view: Peeling, rows: Rows) -> Next:
    """Read an IPv6 extension header of the common form (RFC 8200 sections 4.3 and 4.6; RFC 6275 section 6.1)."""
    rows = view.room(rows, 8, "cut IPv6 extension header")
    size = view.byte(rows.at + 1) * 8 + 8
    return [(view.byte(rows.at) + IP_PROTOCOL, rows.moved(size))]


def routing(view: Peeling, rows: Rows) -> Next:
    """IPv6 routing header (RFC 8200 section 4.4): until the last segment, the destination is only the next one."""
    rows = view.room(rows, 8, "cut IPv6 extension header")
    size, kind = view.byte(rows.at + 1) * 8 + 8, view.byte(rows.at + 2)
    ahead = (view.byte(rows.at + 3) > 0) & (size >= 24) & (rows.at + size <= rows.end) & (view.byte(rows.ip) >> 4 == 6)
    # Of a source route (RFC 2460 section 4.4) the last address counts, of segments (RFC 8754 section 2) the first, and
    # a mobile node has one (RFC 6275 section 6.4).
    ahead &= np.isin(kind, (0, 2, 4))
    view.detours.append((rows.ip[ahead], (rows.at + np.where(kind == 0, size - 16, 8))[ahead]))
    return [(view.byte(rows.at) + IP_PROTOCOL, rows.moved(size))]


def authentication(view: Peeling, rows: Rows) -> Next:
    """Authentication header (RFC 4302 section 2): it signs what follows, and hides nothing."""
    rows = view.room(rows, 12, "cut authentication header")
    size = view.byte(rows.at + 1) * 4 + 8
    return [(view.byte(rows.at) + IP_PROTOCOL, rows.moved(size))]


def fragment(view: Peeling, rows: Rows) -> Next:
    """IPv6 fragment header (RFC 8200 section 4.5); one that is the whole packet is only stepped over (RFC 6946)."""
    rows = view.room(rows, 8, "cut IPv6 fragment header")
    # Protocol 44 under IPv4 would be taken for a fragment of that header, again and again.
    rows = rows.where(view.byte(rows.ip) >> 4 == 6)
    field = view.word(rows.at + 2)
    whole = (field & 0xFFF9 == 0) | ((field & 0xFFF8 == 0) & _stands_alone(view, rows))
    view.fragments.append(rows.where(~whole))
    rows = rows.where(whole)
    return [(view.byte(rows.at) + IP_PROTOCOL, rows.moved(8))]


def ethernet_in_ip(view: Peeling, rows: Rows) -> Next:
    """EtherIP (RFC 3378 section 3): two bytes, the first four bits the version."""
    rows = view.room(rows, 2, "cut EtherIP header")
    rows = view.good(rows, view.byte(rows.at) >> 4 == 3, "EtherIP of an unknown version")
    return [(ETHERNET, rows.moved(2))]


def icmp(view: Peeling, rows: Rows) -> Next:
    """ICMP errors quote the packet they are about (RFC 792; RFC 1122 section 3.2.2)."""
    rows = view.room(rows, 9)
    kind = view.byte(rows.at)
    view.quotes.append((IP, rows.where(np.isin(kind, (3, 4, 5, 11, 12))).moved(8)))
    return []


def icmp6(view: Peeling, rows: Rows) -> Next:
    """ICMPv6 errors too (RFC 4443 section 3)."""
    rows = view.room(rows, 9)
    kind = view.byte(rows.at)
    view.quotes.append((IP, rows.where((kind >= 1) & (kind <= 4)).moved(8)))
    return []


def tcp(view: Peeling, rows: Rows) -> Next:
    """TCP (RFC 9293 section 3.1): the innermost header of the way."""
    view.tcp.append(view.room(rows, LEAST_OF_TCP, "cut TCP header"))
    return []


PEELS: dict[int, Peel] = {
    IPV4: ipv4,
    IPV6: ipv6,
    IP_PROTOCOL + 4: ipv4,
    IP_PROTOCOL + 41: ipv6,
    **dict.fromkeys((IP_PROTOCOL + number for number in (0, 60, 135, 139, 140)), options),
    IP_PROTOCOL + 43: routing,
    IP_PROTOCOL + 44: fragment,
    IP_PROTOCOL + 51: authentication,
    IP_PROTOCOL + 97: ethernet_in_ip,
    IP_PROTOCOL + 1: icmp,
    IP_PROTOCOL + 58: icmp6,
    IP_PROTOCOL + 6: tcp,
}
