"""Headers of tunnels, one round each: GRE and ERSPAN, L2TP, and those over UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture import unusual
from tlsdissect.capture.link import IP, IPV4, IPV6, MPLS, PPP
from tlsdissect.capture.rows import ETHERNET, INTERNAL, IP_PROTOCOL, WIRELESS

if TYPE_CHECKING:
    from tlsdissect.capture.rows import Int64s, Next, Peel, Peeling, Rows

_NUMBERS = iter(range(INTERNAL + 0x10, INTERNAL + 0x40))
ERSPAN, VXLAN, VXLAN_GPE, GENEVE, GTP, GTP_EXTENSION, TEREDO, L2TP, L2TP_3 = (next(_NUMBERS) for _ in range(9))
CAPWAP, TZSP, TZSP_ETHERNET, TZSP_WIRELESS, AYIYA = (next(_NUMBERS) for _ in range(5))
WIRELESS_SWAPPED, SFLOW = unusual.WIRELESS_SWAPPED, unusual.SFLOW
GRE = IP_PROTOCOL + 47
NSH = 0x894F
WCCP = 0x883E
ARUBA = 0x8200
"""GRE protocols 0x8200, 0x8210, ... 0x83F0: 802.11 between Aruba's access points and their controller."""

UDP_PORTS = {
    1701: L2TP,
    2152: GTP,
    3544: TEREDO,
    4754: GRE,  # RFC 8086
    4789: VXLAN,
    4790: VXLAN_GPE,
    5072: AYIYA,
    5247: CAPWAP,
    6081: GENEVE,
    6343: SFLOW,
    6635: MPLS,  # RFC 7510
    8472: VXLAN,  # Linux's choice before there was a registered one
    37008: TZSP,
}
_TUNNEL = np.zeros(65_536, np.int64)
_TUNNEL[list(UDP_PORTS)] = list(UDP_PORTS.values())


def udp(view: Peeling, rows: Rows) -> Next:
    """UDP (RFC 768): a row of its own, and perhaps a tunnel."""
    rows = view.room(rows, 8, "cut UDP header")
    view.udp.append(rows)
    source, destination = _TUNNEL[view.word(rows.at)], _TUNNEL[view.word(rows.at + 2)]
    tunnel = (source | destination) != 0
    if not tunnel.any():
        return []
    inner = rows.where(tunnel)
    size = view.word(inner.at + 4)
    inner = inner.within(np.where(size < 8, inner.limit, inner.at + size)).moved(8)
    return [(np.where(destination != 0, destination, source)[tunnel], inner)]


def gre(view: Peeling, rows: Rows) -> Next:
    """GRE (RFC 2784, RFC 2890), with the acknowledgement of PPTP (RFC 2637 section 4.1)."""
    rows = view.room(rows, 4, "cut GRE header")
    flags, kind = view.word(rows.at), view.word(rows.at + 2)
    routed = flags & 0x4000 != 0
    if routed.any():
        # Source routes were taken out of GRE by RFC 2784.
        rows = view.good(rows, ~routed, "GRE packets with source routes")
        flags, kind = flags[~routed], kind[~routed]
    size = 4 + 4 * (_bit(flags, 0x8000) + _bit(flags, 0x2000) + _bit(flags, 0x1000) + _bit(flags, 0x0080))
    # ERSPAN's first version has neither a sequence number nor a header.
    mirrored = (kind == 0x88BE) & (flags & 0x1000 == 0)
    wireless = kind & 0xFE0F == ARUBA
    return [(np.where(mirrored, ETHERNET, np.where(wireless, WIRELESS, kind)), rows.moved(size))]


def _bit(flags: Int64s, mask: int) -> Int64s:
    return np.where(flags & mask, 1, 0)


def wccp(view: Peeling, rows: Rows) -> Next:
    """WCCP (draft-mclaggan-wccp-v2rev1): packets turned aside, by its second version behind a header of its own."""
    rows = view.room(rows, 4, "cut WCCP header")
    return [(IPV4, rows.moved(np.where(view.byte(rows.at) >> 4 == 4, 0, 4)))]


def erspan(view: Peeling, rows: Rows) -> Next:
    """ERSPAN II and III (draft-foschiano-erspan sections 4.2 and 4.3): a mirrored Ethernet frame."""
    rows = view.room(rows, 8, "cut ERSPAN header")
    version = view.byte(rows.at) >> 4
    third = view.room(rows.where(version == 2), 12, "cut ERSPAN header")
    longer = view.byte(third.at + 11) & 1
    return [(ETHERNET, rows.where(version == 1).moved(8)), (ETHERNET, third.moved(12 + 8 * longer))]


def vxlan(view: Peeling, rows: Rows) -> Next:
    """VXLAN (RFC 7348 section 5)."""
    rows = view.room(rows, 8)
    return [(ETHERNET, rows.where(view.byte(rows.at) & 8 != 0).moved(8))]


_NEXT_PROTOCOL = np.zeros(256, np.int64)
"""What VXLAN-GPE and NSH call the packets in them (RFC 8300 section 2.2)."""
_NEXT_PROTOCOL[1:6] = IPV4, IPV6, ETHERNET, NSH, MPLS


def vxlan_gpe(view: Peeling, rows: Rows) -> Next:
    """VXLAN with a protocol (draft-ietf-nvo3-vxlan-gpe section 3)."""
    rows = view.room(rows, 8)
    told = view.byte(rows.at) & 4 != 0
    return [(np.where(told, _NEXT_PROTOCOL[view.byte(rows.at + 3)], ETHERNET), rows.moved(8))]


def nsh(view: Peeling, rows: Rows) -> Next:
    """Network service header (RFC 8300 section 2.2): its length in words, then what is in it."""
    rows = view.room(rows, 8, "cut NSH header")
    size = (view.word(rows.at) & 0x3F) * 4
    rows, size = rows.where(size >= 8), size[size >= 8]
    return [(_NEXT_PROTOCOL[view.byte(rows.at + 3)], rows.moved(size))]


def geneve(view: Peeling, rows: Rows) -> Next:
    """GENEVE (RFC 8926 section 3.4), of which there is one version, 0."""
    rows = view.room(rows, 8)
    rows = rows.where(view.byte(rows.at) >> 6 == 0)
    return [(view.word(rows.at + 2), rows.moved(8 + (view.byte(rows.at) & 0x3F) * 4))]


def gtp(view: Peeling, rows: Rows) -> Next:
    """GTP-U, a user's packet (3GPP TS 29.281 section 5.1)."""
    rows = view.room(rows, 8)
    rows = rows.where((view.byte(rows.at) >> 4 == 3) & (view.byte(rows.at + 1) == 255))
    rows = rows.within(rows.at + 8 + view.word(rows.at + 2))
    flags = view.byte(rows.at) & 7
    # One flag is enough for all three optional fields to be there, but only its own tells of extensions.
    longer = view.room(rows.where(flags != 0), 12, "cut GTP header")
    extended = (view.byte(longer.at) & 4 != 0) & (view.byte(longer.at + 11) != 0)
    return [
        *_user_packet(view, rows.where(flags == 0).moved(8)),
        *_user_packet(view, longer.where(~extended).moved(12)),
        (GTP_EXTENSION, longer.where(extended).moved(12)),
    ]


def gtp_extension(view: Peeling, rows: Rows) -> Next:
    """GTP-U extension header: its length in words in front, the next one's kind at its end (section 5.2.1)."""
    rows = view.room(rows, 4, "cut GTP extension header")
    size = view.byte(rows.at) * 4
    rows = view.good(rows, (size > 0) & (rows.at + size <= rows.end), "cut GTP extension header")
    rows = rows.moved(view.byte(rows.at) * 4)
    more = view.byte(rows.at - 1) != 0
    return [(GTP_EXTENSION, rows.where(more)), *_user_packet(view, rows.where(~more))]


def _user_packet(view: Peeling, rows: Rows) -> Next:
    """IP as a rule, PPP by its address field: the tunnel's kind is agreed elsewhere."""
    rows = view.room(rows, 1)
    first = view.byte(rows.at)
    version = first >> 4
    return [(np.where(first == 0xFF, PPP, np.where((version == 4) | (version == 6), IP, 0)), rows)]


def teredo(view: Peeling, rows: Rows) -> Next:
    """IPv6 under Teredo's optional headers: authentication, then origin (RFC 4380 section 5.1.1)."""
    rows = view.room(rows, 8)
    signed = view.word(rows.at) == 1
    size = 13 + view.byte(rows.at + 2) + view.byte(rows.at + 3)
    rows = view.room(rows.moved(np.where(signed, size, 0)), 8)
    rows = view.room(rows.moved(np.where(view.word(rows.at) == 0, 8, 0)), 1)
    return [(IPV6, rows.where(view.byte(rows.at) >> 4 == 6))]


def l2tp(view: Peeling, rows: Rows) -> Next:
    """L2TP data messages over UDP: version 2 (RFC 2661 section 3.1) or 3 (RFC 3931 section 4.1.2.1)."""
    rows = view.room(rows, 8)
    flags = view.word(rows.at)
    data = flags & 0x8000 == 0
    third = rows.where(data & (flags & 15 == 3)).moved(4)
    rows = rows.where(data & (flags & 15 == 2))
    flags = view.word(rows.at)
    rows = rows.within(np.where(flags & 0x4000, rows.at + view.word(rows.at + 2), rows.limit))
    size = 6 + 2 * _bit(flags, 0x4000) + 4 * _bit(flags, 0x0800)
    padded = _bit(flags, 0x0200)
    enough = rows.at + size + 2 * padded < rows.end
    rows, size, padded = rows.where(enough), size[enough], padded[enough]
    # The last two bytes in front of the payload are at hand even where they are no offset size.
    size = size + padded * (2 + view.word(rows.at + size))
    return [(L2TP_3, third), (PPP, rows.moved(size))]


_SESSION_SIZES = (4, 8, 12, 16)
"""L2TPv3: a session number, a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4 (RFC 3931 sections 4.1.1, 4.6)."""


def l2tp_3(view: Peeling, rows: Rows) -> Next:
    """L2TPv3 data: how long its header is, only the control channel tells; Ethernet with IP in it is looked for."""
    rows = view.room(rows, 4)
    rows = rows.where(view.long(rows.at) != 0)
    found: list[tuple[Int64s | int, Rows]] = []
    for size in _SESSION_SIZES:
        near = view.room(rows, size + 15)
        kind, version = view.word(near.at + size + 12), view.byte(near.at + size + 14) >> 4
        fits = ((kind == IPV4) & (version == 4)) | ((kind == IPV6) & (version == 6)) | (kind == 0x8100)
        found.append((ETHERNET, near.where(fits).moved(size)))
        rows = rows.where(~np.isin(rows.record, near.record[fits]))
    if len(rows):
        view.skipped["L2TPv3 packets of unknown contents"] += len(rows)
    return found


def capwap(view: Peeling, rows: Rows) -> Next:
    """CAPWAP data (RFC 5415 section 4.3): an Ethernet frame or one of the binding, 802.11; keep-alives have neither."""
    rows = view.room(rows, 8)
    head = view.long(rows.at)
    # The preamble's second half tells DTLS, whose contents are hidden.
    plain = (head >> 24 == 0) & (head & 0x08 == 0)
    rows, head = rows.where(plain), head[plain]
    part = head & 0x80 != 0
    if part.any():
        rows = view.good(rows, ~part, "CAPWAP fragments")
        head = head[~part]
    size = (head >> 19 & 31) * 4
    return [(np.where(head & 0x100 != 0, WIRELESS_SWAPPED, ETHERNET), rows.moved(size))]


def ayiya(view: Peeling, rows: Rows) -> Next:
    """AYIYA (draft-massar-v6ops-ayiya-02): who sends and its signature, then what IP has for a protocol."""
    rows = view.room(rows, 8)
    rows = rows.where(view.byte(rows.at + 2) & 15 == 1)
    identity, signature = 1 << (view.byte(rows.at) >> 4), (view.byte(rows.at + 1) >> 4) * 4
    return [(view.byte(rows.at + 3) + IP_PROTOCOL, rows.moved(8 + identity + signature))]


def tzsp(view: Peeling, rows: Rows) -> Next:
    """TZSP, a sniffer's mirror, version 1: Ethernet (1) is read, and 802.11 (18)."""
    rows = view.room(rows, 4)
    kind = view.word(rows.at + 2) * (view.byte(rows.at) == 1)
    rows = rows.moved(4)
    return [(TZSP_ETHERNET, rows.where(kind == 1)), (TZSP_WIRELESS, rows.where(kind == 18))]


def _tags(this: int, inner: int) -> Peel:
    """Step over one of TZSP's tags: 0 is a byte of padding, 1 the end, others have a length."""

    def peel(view: Peeling, rows: Rows) -> Next:
        rows = view.room(rows, 2)
        tag, size = view.byte(rows.at), view.byte(rows.at + 1)
        ended = tag == 1
        return [(inner, rows.where(ended).moved(1)), (this, rows.moved(np.where(tag, size + 2, 1)).where(~ended))]

    return peel


PEELS: dict[int, Peel] = {
    IP_PROTOCOL + 17: udp,
    IP_PROTOCOL + 115: l2tp_3,
    GRE: gre,
    **dict.fromkeys((ERSPAN, 0x88BE, 0x22EB), erspan),
    VXLAN: vxlan,
    VXLAN_GPE: vxlan_gpe,
    NSH: nsh,
    WCCP: wccp,
    GENEVE: geneve,
    GTP: gtp,
    GTP_EXTENSION: gtp_extension,
    TEREDO: teredo,
    L2TP: l2tp,
    L2TP_3: l2tp_3,
    CAPWAP: capwap,
    AYIYA: ayiya,
    TZSP: tzsp,
    TZSP_ETHERNET: _tags(TZSP_ETHERNET, ETHERNET),
    TZSP_WIRELESS: _tags(TZSP_WIRELESS, WIRELESS),
}
