# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Link-layer headers, and the pseudo-headers that operating systems use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import u16, u16_little, u32, u32_little
from tlsdissect.capture.protocols import (
    ETHERNET,
    INTERNAL,
    IP,
    IP_PROTOCOL,
    IPV4,
    IPV6,
    LINK_TYPE,
    LLC,
    MPLS,
    PPP,
    PPP_PROTOCOL,
    PPPOE,
    PSEUDOWIRE,
    SERVICE_VLAN,
    SNAP,
    VLAN,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.capture.headers import Headers


@cython.ccall
@cython.exceptval(-1)
def ethernet(h: Headers) -> cython.longlong:
    """Ethernet II, or IEEE 802.3 with a length in place of the type."""
    if h.at + 14 <= h.end:
        h.addresses = h.at
    return _ethertype(h, 14, "cut Ethernet header")


@cython.ccall
def vlan(h: Headers) -> cython.longlong:
    """IEEE 802.1Q: a tag of two bytes, then an EtherType."""
    return _ethertype(h, 4, "cut VLAN tag")


@cython.ccall
def redundancy_tag(h: Headers) -> cython.longlong:
    """Redundancy tags (IEEE 802.1CB and IEC 62439-3, HSR), Cisco's VN-Tag: four bytes, then an EtherType."""
    return _ethertype(h, 6, "cut Ethernet tag")


@cython.ccall
def group_tag(h: Headers) -> cython.longlong:
    """E-Tag (IEEE 802.1BR), Cisco's SGT: six bytes, then an EtherType."""
    return _ethertype(h, 8, "cut Ethernet tag")


@cython.cfunc
def _type(h: Headers, size: cython.longlong, what: str) -> cython.longlong:
    """Read a header that ends with an EtherType."""
    if h.at + size > h.end:
        return h.skip(what)
    h.at += size
    return u16(h.data, h.at - 2)


@cython.cfunc
def _ethertype(h: Headers, size: cython.longlong, what: str) -> cython.longlong:
    """Read a header that ends with an EtherType, or with a length in its place."""
    if h.at + size > h.end:
        return h.skip(what)
    h.at += size
    kind: cython.longlong = u16(h.data, h.at - 2)
    if kind >= 0x600:
        return kind
    h.narrow(h.at + kind)
    return LLC


@cython.ccall
def backbone(h: Headers) -> cython.longlong:
    """Provider backbone bridging (IEEE 802.1Q-2018 section 9.7)."""
    return _step(h, 4, ETHERNET, "cut Ethernet tag")


@cython.ccall
def fabric_path(h: Headers) -> cython.longlong:
    """Cisco's FabricPath."""
    return _step(h, 2, ETHERNET, "cut Ethernet tag")


@cython.ccall
def fddi(h: Headers) -> cython.longlong:
    """FDDI: frame control and two addresses, then usually LLC."""
    return _step(h, 13, LLC, "cut FDDI header")


@cython.ccall
def token_ring(h: Headers) -> cython.longlong:
    """IEEE 802.5 section 3.2: access and frame control, two addresses, a route if the source's first bit says so."""
    if h.at + 16 > h.end:
        return h.skip("cut Token Ring header")
    control: cython.longlong = h.data[h.at + 1]
    has_route: cython.bint = h.data[h.at + 8] & 0x80 != 0
    h.at += 14
    if has_route:
        # The length of the route counts its own two bytes.
        h.at += h.data[h.at] & 0x1F
    # Frames of the MAC itself have no LLC.
    return LLC if control >> 6 == 1 else 0


@cython.ccall
def ip_over_1394(h: Headers) -> cython.longlong:
    """Apple's IP over IEEE 1394 (tcpdump.org/linktypes): two addresses of 8 bytes, then an EtherType."""
    return _type(h, 18, "cut IEEE 1394 header")


@cython.ccall
def atm(h: Headers) -> cython.longlong:
    """LLC over ATM (RFC 2684 section 5), where two bytes of padding precede a bridged frame; or PPP (RFC 2364)."""
    data: bytes = h.data
    if h.at + 8 > h.end:
        return h.skip("cut ATM header")
    if u32(data, h.at) == 0xFEFE03CF:
        h.at += 4
        return PPP
    kind: cython.longlong = llc(h)
    # Bridged Ethernet, with or without its checksum.
    if kind == SNAP and u32(data, h.at) == 0x0080C200 and data[h.at + 4] in (1, 7):
        return _step(h, 7, ETHERNET, "cut ATM header")
    return kind


@cython.ccall
def ipnet(h: Headers) -> cython.longlong:
    """Solaris ipnet (tcpdump.org/linktypes): 24 bytes, then IP; the second byte is the address family."""
    if h.at + 24 > h.end:
        return h.skip("cut ipnet header")
    family: cython.longlong = h.data[h.at + 1]
    h.at += 24
    if family == 2:
        return IPV4
    return IPV6 if family == 26 else 0


@cython.ccall
def openbsd_encapsulation(h: Headers) -> cython.longlong:
    """OpenBSD's enc(4): twelve bytes, then IP."""
    return _step(h, 12, IP, "cut OpenBSD encapsulation header")


@cython.ccall
def ppp_with_direction(h: Headers) -> cython.longlong:
    """PPP after a byte for the direction."""
    return _step(h, 1, PPP, "cut PPP header")


@cython.cfunc
def _step(h: Headers, size: cython.longlong, kind: cython.longlong, what: str) -> cython.longlong:
    """Skip a header of constant size that is always followed by the same header."""
    if h.at + size > h.end:
        return h.skip(what)
    h.at += size
    return kind


@cython.ccall
def macsec(h: Headers) -> cython.longlong:
    """MACsec without encryption (IEEE 802.1AE-2018 section 9.3): a SecTAG, then the frame's EtherType."""
    if h.at + 6 > h.end:
        return h.skip("cut MACsec tag")
    control: cython.longlong = h.data[h.at]
    if control & 0x0C:
        return h.skip("encrypted MACsec frames")
    h.at += 14 if control & 0x20 else 6
    return _ethertype(h, 2, "cut MACsec tag")


@cython.ccall
def trill(h: Headers) -> cython.longlong:
    """TRILL (RFC 6325 section 3.1): a header whose options are counted in words, then an Ethernet frame."""
    if h.at + 6 > h.end:
        return h.skip("cut TRILL header")
    h.at += 6 + 4 * (u16(h.data, h.at) >> 6 & 31)
    return ETHERNET


@cython.ccall
def llc(h: Headers) -> cython.longlong:
    """IEEE 802.2 LLC: SNAP with an EtherType, or IP by its own SAP, 6."""
    if h.at + 3 > h.end or h.data[h.at + 2] != 3:
        return 0
    saps: cython.longlong = u16(h.data, h.at)
    h.at += 3
    if saps == 0xAAAA:
        return SNAP
    return IPV4 if saps == 0x0606 else 0


@cython.ccall
def snap(h: Headers) -> cython.longlong:
    """IEEE 802 SNAP: an OUI, and a number that is an EtherType for some OUIs."""
    if h.at + 5 > h.end:
        return 0
    oui: cython.longlong = u32(h.data, h.at) >> 8
    number: cython.longlong = u16(h.data, h.at + 3)
    h.at += 5
    # 00-00-00 is RFC 1042's, 00-00-F8 the bridge tunnel's of IEEE 802.1H.
    if oui in (0, 0xF8):
        return number
    # Types of bridged frames: 1 and 7 are Ethernet (RFC 2427 section 4.2).
    if oui == 0x0080C2 and number in (1, 7):
        return ETHERNET
    return 0


@cython.ccall
def any_ip(h: Headers) -> cython.longlong:
    """IP of either version, by its version field."""
    if h.at + 1 > h.end:
        return h.skip("empty IP packet")
    version: cython.longlong = h.data[h.at] >> 4
    if version == 4:
        return IPV4
    return IPV6 if version == 6 else h.skip("unreadable IP header")


@cython.ccall
def loopback(h: Headers) -> cython.longlong:
    """BSD loopback: the address family in four bytes, in host or network byte order."""
    if h.at + 4 > h.end:
        return h.skip("cut loopback header")
    family: cython.longlong = u32(h.data, h.at)
    h.at += 4
    if family > 0xFFFF:
        family >>= 24
    if family == 2:
        return IPV4
    # IPv6 has different numbers in the BSDs and Darwin.
    return IPV6 if family in (24, 28, 30) else 0


@cython.ccall
def linux_cooked(h: Headers) -> cython.longlong:
    """Linux cooked capture: 16 bytes, the protocol in the last two."""
    if h.at + 16 > h.end:
        return h.skip("cut Linux cooked header")
    return _cooked(h, u16(h.data, h.at + 2), u16(h.data, h.at + 14), 16)


@cython.ccall
def linux_cooked_2(h: Headers) -> cython.longlong:
    """Linux cooked capture, version 2: 20 bytes, the protocol in the first two."""
    if h.at + 20 > h.end:
        return h.skip("cut Linux cooked header")
    return _cooked(h, u16(h.data, h.at + 8), u16(h.data, h.at), 20)


@cython.cfunc
def _cooked(h: Headers, device: cython.longlong, protocol: cython.longlong, size: cython.longlong) -> cython.longlong:
    """Return what follows a cooked header, by the device's type (ARPHRD_...) and the protocol."""
    h.at += size
    # 4 is Linux's number for 802.2 frames; for netlink (824) the field is not an EtherType.
    if protocol == 4:
        return LLC
    return 0 if device == 824 else protocol


@cython.ccall
def ppp(h: Headers) -> cython.longlong:
    """PPP (RFC 1661), with or without address and control (RFC 1662), its protocol one byte or two."""
    if h.at + 4 > h.end:
        return h.skip("cut PPP header")
    framed: cython.longlong = u16(h.data, h.at)
    if framed in (0x0F00, 0x8F00):
        return cisco_hdlc(h)
    if framed == 0xFF03:
        h.at += 2
    first: cython.longlong = h.data[h.at]
    if first & 1:
        # An odd first byte is a protocol compressed to one byte (RFC 1661 section 6.5).
        h.at += 1
        return PPP_PROTOCOL + first
    h.at += 2
    return PPP_PROTOCOL + u16(h.data, h.at - 2)


@cython.ccall
def cisco_hdlc(h: Headers) -> cython.longlong:
    """Cisco's framing of HDLC: address, control, and an EtherType."""
    return _type(h, 4, "cut HDLC header")


@cython.ccall
def frame_relay(h: Headers) -> cython.longlong:
    """Frame Relay: an address of two to four bytes, then control and NLPID (RFC 2427), or Cisco's EtherType."""
    data: bytes = h.data
    if h.at + 4 > h.end:
        return h.skip("cut Frame Relay header")
    if data[h.at + 1] & 1:
        h.at += 2
    elif data[h.at + 2] & 1:
        h.at += 3
    else:
        h.at += 4
    if h.at + 3 > h.end:
        return h.skip("cut Frame Relay header")
    if data[h.at] != 3:
        h.at += 2
        return u16(data, h.at - 2)
    # There may be a byte of padding before the NLPID.
    h.at += 2 if data[h.at + 1] else 3
    number: cython.longlong = data[h.at - 1]
    # RFC 2427 section 3, RFC 1973 section 3.
    if number == 0x80:
        return SNAP
    if number == 0x8E:
        return IPV6
    if number == 0xCC:
        return IPV4
    return PPP if number == 0xCF else 0


@cython.ccall
def pktap(h: Headers) -> cython.longlong:
    """Darwin's PKTAP (tcpdump.org/linktypes): its length, a type, and the link type of what follows, little-endian."""
    if h.at + 12 > h.end:
        return h.skip("cut PKTAP header")
    size: cython.longlong = u32_little(h.data, h.at)
    link: cython.longlong = u32_little(h.data, h.at + 8)
    if size < 12 or h.at + size > h.end:
        return h.skip("cut PKTAP header")
    h.at += size
    return LINK_TYPE + min(link, INTERNAL - LINK_TYPE - 1)


@cython.ccall
def packet_filter_log(h: Headers) -> cython.longlong:
    """OpenBSD's pflog (tcpdump.org/linktypes): its length without the padding to four bytes, then IP."""
    if h.at + 4 > h.end:
        return h.skip("cut pflog header")
    size: cython.longlong = h.data[h.at]
    h.at += (size + 3) // 4 * 4
    return IP


@cython.ccall
def netfilter_log(h: Headers) -> cython.longlong:
    """NFLOG (tcpdump.org/linktypes): four bytes, then TLVs in host byte order, one of which is a packet."""
    data: bytes = h.data
    here: cython.longlong = h.at + 4
    size: cython.longlong
    kind: cython.longlong
    if here + 2 > h.end:
        return h.skip("unreadable NFLOG packets")
    little: cython.bint = u16_little(data, here) <= h.end - here
    while here + 4 <= h.end:
        size = u16_little(data, here) if little else u16(data, here)
        kind = u16_little(data, here + 2) if little else u16(data, here + 2)
        if size < 4:
            return 0
        if kind & 0x7FFF == 9:
            h.enter(here + 4, min(here + size, h.end))
            return IP
        here += (size + 3) // 4 * 4
    return 0


@cython.ccall
def pppoe(h: Headers) -> cython.longlong:
    """PPPoE session (RFC 2516 section 4): a length, then PPP without address and control."""
    if h.at + 6 > h.end:
        return h.skip("cut PPPoE header")
    h.narrow(h.at + 6 + u16(h.data, h.at + 4))
    h.at += 6
    return PPP


@cython.ccall
def mpls(h: Headers) -> cython.longlong:
    """Decode one label (RFC 3032 section 2.1); after the last one, four bits are 4 for IPv4 and 6 for IPv6."""
    if h.at + 4 > h.end:
        return h.skip("cut MPLS label")
    last: cython.longlong = h.data[h.at + 2] & 1
    h.at += 4
    if not last:
        return MPLS
    if h.at + 1 > h.end:
        return 0
    nibble: cython.longlong = h.data[h.at] >> 4
    if nibble == 4:
        return IPV4
    return IPV6 if nibble == 6 else PSEUDOWIRE


@cython.ccall
def pseudowire(h: Headers) -> cython.longlong:
    """Ethernet over MPLS, with or without a control word (RFC 4448 section 4.4).

    The control word begins with four zero bits (RFC 4385 section 3), but so do many addresses. A known EtherType where
    a frame without the word would have it decides.
    """
    if h.at + 18 > h.end:
        return 0
    kind: cython.longlong = u16(h.data, h.at + 12)
    framed: cython.bint = kind in (IPV4, IPV6, VLAN, SERVICE_VLAN, MPLS, PPPOE)
    if h.data[h.at] >> 4 == 0 and not framed:
        h.at += 4
    return ETHERNET


READERS: dict[int, Callable[[Headers], int]] = {
    ETHERNET: ethernet,
    0x6558: ethernet,  # transparent Ethernet bridging (RFC 1701)
    0x6400: ethernet,  # MikroTik's EoIP, in GRE with a key
    **dict.fromkeys((VLAN, SERVICE_VLAN, 0x9100, 0x9200, 0x9300), vlan),
    **dict.fromkeys((0xF1C1, 0x892F, 0x8926), redundancy_tag),
    **dict.fromkeys((0x893F, 0x8909), group_tag),
    0x88E7: backbone,
    0x8903: fabric_path,
    0x88E5: macsec,
    0x22F3: trill,
    **dict.fromkeys((MPLS, 0x8848, PPP_PROTOCOL + 0x281, PPP_PROTOCOL + 0x283, IP_PROTOCOL + 137), mpls),
    PSEUDOWIRE: pseudowire,
    PPPOE: pppoe,
    LLC: llc,
    SNAP: snap,
    IP: any_ip,
    **dict.fromkeys((PPP, 0x880B, LINK_TYPE + 9, LINK_TYPE + 50), ppp),
    LINK_TYPE + 6: token_ring,
    LINK_TYPE + 10: fddi,
    LINK_TYPE + 51: pppoe,
    LINK_TYPE + 100: atm,
    LINK_TYPE + 104: cisco_hdlc,
    **dict.fromkeys((LINK_TYPE + 0, LINK_TYPE + 108), loopback),
    **dict.fromkeys((LINK_TYPE + 12, LINK_TYPE + 14, LINK_TYPE + 101), any_ip),
    LINK_TYPE + 107: frame_relay,
    LINK_TYPE + 109: openbsd_encapsulation,
    LINK_TYPE + 113: linux_cooked,
    LINK_TYPE + 117: packet_filter_log,
    LINK_TYPE + 138: ip_over_1394,
    LINK_TYPE + 204: ppp_with_direction,
    LINK_TYPE + 226: ipnet,
    LINK_TYPE + 239: netfilter_log,
    LINK_TYPE + 276: linux_cooked_2,
    LINK_TYPE + 258: pktap,
}
"""The reader of each header, by its number."""
