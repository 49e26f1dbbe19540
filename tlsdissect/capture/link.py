"""Link-layer headers, one round each, and what operating systems put in front of packets in their stead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.rows import ETHERNET, INTERNAL, IP_PROTOCOL, LINK_TYPE, PPP_PROTOCOL

if TYPE_CHECKING:
    from tlsdissect.capture.rows import Int64s, Next, Peel, Peeling, Rows

IPV4, IPV6, MPLS = 0x0800, 0x86DD, 0x8847
PPP, LLC, IP, PSEUDOWIRE = INTERNAL + 1, INTERNAL + 2, INTERNAL + 3, INTERNAL + 6
SNAP = INTERNAL + 8


def ethernet(view: Peeling, rows: Rows) -> Next:
    """Ethernet II, or IEEE 802.3 with a length where the type would be."""
    rows = view.room(rows, 14, "cut Ethernet header")
    return _typed(view, rows, 12)


def tag(view: Peeling, rows: Rows) -> Next:
    """IEEE 802.1Q: two bytes of VLAN, then a type like Ethernet's."""
    rows = view.room(rows, 4, "cut VLAN tag")
    return _typed(view, rows, 2)


def longer_tag(size: int) -> Peel:
    """Make a reader of other tags: bytes that say nothing here, then a type like Ethernet's."""

    def peel(view: Peeling, rows: Rows) -> Next:
        rows = view.room(rows, size + 2, "cut Ethernet tag")
        return _typed(view, rows, size)

    return peel


def behind(size: int, kind: int = ETHERNET, what: str = "cut Ethernet tag") -> Peel:
    """Make a reader of headers of one size that say nothing here, behind which what they hold is always the same."""

    def peel(view: Peeling, rows: Rows) -> Next:
        return [(kind, view.room(rows, size, what).moved(size))]

    return peel


def macsec(view: Peeling, rows: Rows) -> Next:
    """MACsec that signs and does not encrypt (IEEE 802.1AE-2018 section 9.3): a SecTAG, then the frame's own type."""
    rows = view.room(rows, 6, "cut MACsec tag")
    control = view.byte(rows.at)
    clear = control & 0x0C == 0
    if not clear.all():
        rows = view.good(rows, clear, "encrypted MACsec frames")
        control = control[clear]
    rows = view.room(rows.moved(np.where(control & 0x20, 14, 6)), 2, "cut MACsec tag")
    return _typed(view, rows, 0)


def trill(view: Peeling, rows: Rows) -> Next:
    """TRILL (RFC 6325 section 3.1): a header with options, counted in words, then an Ethernet frame."""
    rows = view.room(rows, 6, "cut TRILL header")
    return [(ETHERNET, rows.moved(6 + 4 * (view.word(rows.at) >> 6 & 31)))]


def _typed(view: Peeling, rows: Rows, place: int) -> Next:
    """Read a type or length at `place`, behind which the header ends."""
    kind = view.word(rows.at + place)
    inner = rows.moved(place + 2)
    if (kind >= 0x600).all():
        return [(kind, inner)]
    short = kind < 0x600
    framed = inner.where(short)
    return [(kind[~short], inner.where(~short)), (LLC, framed.within(framed.at + kind[short]))]


def llc(view: Peeling, rows: Rows) -> Next:
    """IEEE 802.2 LLC: SNAP with an EtherType, or the IP of RFC 1042's ancestor (SAP 6)."""
    rows = view.room(rows, 3)
    sap, control = view.word(rows.at), view.byte(rows.at + 2)
    snap = rows.where((sap == 0xAAAA) & (control == 3))
    saps = rows.where((sap == 0x0606) & (control == 3))
    return [(SNAP, snap.moved(3)), (IPV4, saps.moved(3))]


_BRIDGED = 0x0080C2
"""The OUI under which frames are numbered by kind: 1 and 7 are Ethernet's (RFC 2427 section 4.2)."""


def snap(view: Peeling, rows: Rows) -> Next:
    """IEEE 802 SNAP: an OUI, and a number that is an EtherType under some."""
    rows = view.room(rows, 5)
    oui, number = view.long(rows.at) >> 8, view.word(rows.at + 3)
    # 00-00-00 is RFC 1042's, 00-00-F8 the bridge tunnel's of IEEE 802.1H.
    typed = (oui == 0) | (oui == 0xF8)
    bridged = (oui == _BRIDGED) & ((number == 1) | (number == 7))
    return [(np.where(typed, number, np.where(bridged, ETHERNET, 0)), rows.moved(5))]


def fddi(view: Peeling, rows: Rows) -> Next:
    """FDDI: frame control and two addresses, then LLC, as a rule."""
    rows = view.room(rows, 13, "cut FDDI header")
    return [(LLC, rows.moved(13))]


def any_ip(view: Peeling, rows: Rows) -> Next:
    """Bytes that are IP of the version in their upper four bits."""
    rows = view.room(rows, 1, "empty IP packet")
    version = view.byte(rows.at) >> 4
    view.good(rows, (version == 4) | (version == 6), "unreadable IP header")
    return [(np.where(version == 4, IPV4, np.where(version == 6, IPV6, 0)), rows)]


_FAMILIES = {2: IPV4, 24: IPV6, 28: IPV6, 30: IPV6}
"""Address families of the BSDs and Darwin, which number IPv6 differently."""


def loopback(view: Peeling, rows: Rows) -> Next:
    """BSD loopback: the address family as four bytes, in the order of the host or of the network."""
    rows = view.room(rows, 4, "cut loopback header")
    family = view.long(rows.at)
    family = np.where(family > 0xFFFF, family >> 24, family)
    kind = np.zeros(len(rows), np.int64)
    for number, what in _FAMILIES.items():
        kind[family == number] = what
    return [(kind, rows.moved(4))]


def cooked(view: Peeling, rows: Rows) -> Next:
    """Linux cooked capture: 16 bytes, the protocol in the last two."""
    rows = view.room(rows, 16, "cut Linux cooked header")
    return _cooked(view, rows, 2, view.word(rows.at + 14), 16)


def cooked_2(view: Peeling, rows: Rows) -> Next:
    """Linux cooked capture, version 2: 20 bytes, the protocol in the first two."""
    rows = view.room(rows, 20, "cut Linux cooked header")
    return _cooked(view, rows, 8, view.word(rows.at), 20)


_ARPHRD_NETLINK, _ARPHRD_GRE = 824, 778


def _cooked(view: Peeling, rows: Rows, place: int, kind: Int64s, size: int) -> Next:
    """Tell what stands behind a cooked header, whose ARPHRD_ type is at `place`."""
    device = view.word(rows.at + place)
    # 4 is Linux's number for 802.2 frames; for netlink and GRE the field is no EtherType.
    kind = np.where(kind == 4, LLC, np.where(device == _ARPHRD_NETLINK, 0, kind))
    return [(kind, rows.moved(size))]


def ppp(view: Peeling, rows: Rows) -> Next:
    """PPP (RFC 1661), with or without address and control (RFC 1662), its protocol one byte or two."""
    rows = view.room(rows, 4, "cut PPP header")
    framed = view.word(rows.at)
    skip = np.where((framed == 0xFF03) | (framed == 0x0F00) | (framed == 0x8F00), 2, 0)
    cisco = (framed == 0x0F00) | (framed == 0x8F00)
    rows = rows.moved(skip)
    first = view.byte(rows.at)
    # Compressed to one byte, a protocol is odd (RFC 1661 section 6.5).
    short = (first & 1 == 1) & ~cisco
    number = np.where(short, first, view.word(rows.at))
    kind = np.where(cisco, number, PPP_PROTOCOL + number)
    return [(kind, rows.moved(np.where(short, 1, 2)))]


def cisco_hdlc(view: Peeling, rows: Rows) -> Next:
    """Cisco's framing of HDLC: address, control, and a type like Ethernet's."""
    rows = view.room(rows, 4, "cut HDLC header")
    return [(view.word(rows.at + 2), rows.moved(4))]


_NLPID = np.zeros(256, np.int64)
"""What ISO's numbers of network protocols stand for (RFC 2427 section 3, RFC 1973 section 3)."""
_NLPID[[0x80, 0x8E, 0xCC, 0xCF]] = SNAP, IPV6, IPV4, PPP


def frame_relay(view: Peeling, rows: Rows) -> Next:
    """Frame Relay: an address of two to four bytes, then control and NLPID (RFC 2427), or Cisco's EtherType."""
    what = "cut Frame Relay header"
    rows = view.room(rows, 4, what)
    size = np.where(view.byte(rows.at + 1) & 1, 2, np.where(view.byte(rows.at + 2) & 1, 3, 4))
    rows = view.room(rows.moved(size), 3, what)
    control = view.byte(rows.at)
    # Padding may stand in front of SNAP's number.
    place = np.where(view.byte(rows.at + 1), 1, 2)
    numbered = control == 3
    kind = np.where(numbered, _NLPID[view.byte(rows.at + place)], view.word(rows.at))
    return [(kind, rows.moved(np.where(numbered, place + 1, 2)))]


def pktap(view: Peeling, rows: Rows) -> Next:
    """Darwin's PKTAP (tcpdump.org/linktypes): its length, a kind, and the link type of what follows; little-endian."""
    rows = view.room(rows, 12, "cut PKTAP header")
    size, link = _little(view, rows.at), _little(view, rows.at + 8)
    sane = (size >= 12) & (rows.at + size <= rows.end)
    rows = view.good(rows, sane, "cut PKTAP header").moved(size[sane])
    return [(LINK_TYPE + np.minimum(link[sane], INTERNAL - LINK_TYPE - 1), rows)]


def _little(view: Peeling, at: Int64s) -> Int64s:
    return view.long(at).astype(np.uint32).byteswap().astype(np.int64)


def packet_filter_log(view: Peeling, rows: Rows) -> Next:
    """OpenBSD's pflog (tcpdump.org/linktypes): a length that does not count the padding to four bytes, then IP."""
    rows = view.room(rows, 4, "cut pflog header")
    size = view.byte(rows.at)
    return [(IP, rows.moved(size + -size % 4))]


def pppoe(view: Peeling, rows: Rows) -> Next:
    """PPPoE session (RFC 2516 section 4): a length, then PPP from its protocol on."""
    rows = view.room(rows, 6, "cut PPPoE header")
    inner = rows.moved(6).within(rows.at + 6 + view.word(rows.at + 4))
    return [(PPP, inner)]


def mpls(view: Peeling, rows: Rows) -> Next:
    """One label (RFC 3032 section 2.1); what is under the last is told by its first four bits."""
    rows = view.room(rows, 4, "cut MPLS label")
    last = view.byte(rows.at + 2) & 1 == 1
    rows = rows.moved(4)
    under = view.room(rows.where(last), 1)
    nibble = view.byte(under.at) >> 4
    kind = np.where(nibble == 4, IPV4, np.where(nibble == 6, IPV6, PSEUDOWIRE))
    return [(MPLS, rows.where(~last)), (kind, under)]


_FRAMED = (IPV4, IPV6, 0x8100, 0x88A8, MPLS, 0x8864)


def pseudowire(view: Peeling, rows: Rows) -> Next:
    """Ethernet over MPLS, with a control word or without (RFC 4448 section 4.4).

    The word begins with four zero bits (RFC 4385 section 3), but so do many addresses: a type in its place decides.
    """
    rows = view.room(rows, 18)
    worded = (view.byte(rows.at) >> 4 == 0) & ~np.isin(view.word(rows.at + 12), _FRAMED)
    return [(ETHERNET, rows.moved(np.where(worded, 4, 0)))]


def same_as(kind: int) -> Peel:
    """Peel nothing: this number is another name of `kind`."""

    def peel(_view: Peeling, rows: Rows) -> Next:
        return [(kind, rows)]

    return peel


PEELS: dict[int, Peel] = {
    ETHERNET: ethernet,
    0x6558: same_as(ETHERNET),  # transparent Ethernet bridging (RFC 1701)
    0x6400: same_as(ETHERNET),  # MikroTik's EoIP, in GRE with a key
    **dict.fromkeys((0x8100, 0x88A8, 0x9100, 0x9200, 0x9300), tag),
    # Redundancy tags (IEEE 802.1CB and IEC 62439-3, HSR), Cisco's VN-Tag; E-Tag (IEEE 802.1BR), Cisco's SGT.
    **dict.fromkeys((0xF1C1, 0x892F, 0x8926), longer_tag(4)),
    **dict.fromkeys((0x893F, 0x8909), longer_tag(6)),
    0x88E7: behind(4),  # provider backbone bridging (IEEE 802.1Q-2018 section 9.7)
    0x8903: behind(2),  # Cisco's FabricPath
    0x88E5: macsec,
    0x22F3: trill,
    **dict.fromkeys((MPLS, 0x8848, PPP_PROTOCOL + 0x281, PPP_PROTOCOL + 0x283, IP_PROTOCOL + 137), mpls),
    PSEUDOWIRE: pseudowire,
    0x8864: pppoe,
    0x880B: same_as(PPP),
    LLC: llc,
    SNAP: snap,
    IP: any_ip,
    PPP: ppp,
    **dict.fromkeys((LINK_TYPE + 9, LINK_TYPE + 50), ppp),
    LINK_TYPE + 10: fddi,
    LINK_TYPE + 51: pppoe,
    LINK_TYPE + 104: cisco_hdlc,
    **dict.fromkeys((LINK_TYPE + 0, LINK_TYPE + 108), loopback),
    **dict.fromkeys((LINK_TYPE + 12, LINK_TYPE + 14, LINK_TYPE + 101), any_ip),
    LINK_TYPE + 107: frame_relay,
    LINK_TYPE + 109: behind(12, IP, "cut OpenBSD encapsulation header"),
    LINK_TYPE + 113: cooked,
    LINK_TYPE + 117: packet_filter_log,
    LINK_TYPE + 204: behind(1, PPP, "cut PPP header"),
    LINK_TYPE + 276: cooked_2,
    LINK_TYPE + 258: pktap,
    LINK_TYPE + 228: same_as(IPV4),
    LINK_TYPE + 229: same_as(IPV6),
    PPP_PROTOCOL + 0x21: same_as(IPV4),
    PPP_PROTOCOL + 0x57: same_as(IPV6),
}
