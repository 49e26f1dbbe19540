# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Headers of tunnels: GRE and ERSPAN, L2TP, NSH, WCCP, and those over UDP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import u16, u32
from tlsdissect.capture.protocols import (
    AYIYA,
    CAPWAP,
    ETHERNET,
    GENEVE,
    GRE,
    GTP,
    IEEE_802_11,
    IEEE_802_11_SWAPPED,
    IP,
    IP_PROTOCOL,
    IPV4,
    IPV6,
    L2TP,
    L2TP_3,
    MPLS,
    NSH,
    PPP,
    SFLOW,
    TEREDO,
    TZSP,
    VLAN,
    VXLAN,
    VXLAN_GPE,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.capture.headers import Headers

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
    8472: VXLAN,  # the default in Linux, older than the registered port
    37008: TZSP,
}
"""What datagrams from or to a port contain."""
_OF_TUNNEL = bytearray(1 << 16)
"""By port, whether it is one of these: nearly no datagram has one."""
for _port in UDP_PORTS:
    _OF_TUNNEL[_port] = 1


@cython.ccall
def over_udp(h: Headers) -> cython.longlong:
    """Skip a UDP header; return the protocol of its destination port, or else of its source port."""
    at: cython.longlong = h.at
    source: cython.longlong = u16(h.data, at)
    destination: cython.longlong = u16(h.data, at + 2)
    of_tunnel: bytearray = _OF_TUNNEL
    h.at = at + 8
    if not (of_tunnel[destination] or of_tunnel[source]):
        return 0
    return UDP_PORTS.get(destination) or UDP_PORTS[source]


@cython.ccall
def gre(h: Headers) -> cython.longlong:
    """GRE (RFC 2784, RFC 2890), with the acknowledgement of PPTP (RFC 2637 section 4.1)."""
    if h.at + 4 > h.end:
        return h.skip("cut GRE header")
    flags: cython.longlong = u16(h.data, h.at)
    kind: cython.longlong = u16(h.data, h.at + 2)
    if flags & 0x4000:
        # RFC 2784 removed source routes from GRE.
        return h.skip("GRE packets with source routes")
    h.at += 4
    if flags & 0x8000:
        h.at += 4  # checksum
    if flags & 0x2000:
        h.at += 4  # key
    if flags & 0x1000:
        h.at += 4  # sequence number
    if flags & 0x0080:
        h.at += 4  # acknowledgement
    if kind == 0x88BE and not flags & 0x1000:
        # ERSPAN I has neither a sequence number nor a header.
        return ETHERNET
    # 0x8200, 0x8210, ... 0x83F0 are 802.11 between Aruba access points and their controller.
    return IEEE_802_11 if kind & 0xFE0F == 0x8200 else kind


@cython.ccall
def wccp(h: Headers) -> cython.longlong:
    """WCCP (draft-mclaggan-wccp-v2rev1): redirected packets, in version 2 after a header."""
    if h.at + 4 > h.end:
        return h.skip("cut WCCP header")
    if h.data[h.at] >> 4 != 4:
        h.at += 4
    return IPV4


@cython.ccall
def erspan(h: Headers) -> cython.longlong:
    """ERSPAN II and III (draft-foschiano-erspan sections 4.2 and 4.3): a mirrored Ethernet frame."""
    if h.at + 8 > h.end:
        return h.skip("cut ERSPAN header")
    version: cython.longlong = h.data[h.at] >> 4
    if version == 1:
        h.at += 8
        return ETHERNET
    if version != 2:
        return 0
    if h.at + 12 > h.end:
        return h.skip("cut ERSPAN header")
    h.at += 20 if h.data[h.at + 11] & 1 else 12
    return ETHERNET


@cython.ccall
def vxlan(h: Headers) -> cython.longlong:
    """VXLAN (RFC 7348 section 5)."""
    if h.at + 8 > h.end or not h.data[h.at] & 8:
        return 0
    h.at += 8
    return ETHERNET


@cython.cfunc
def _next_protocol(number: cython.longlong) -> cython.longlong:
    """Return the header for a next protocol of VXLAN-GPE and NSH (RFC 8300 section 2.2)."""
    if number == 1:
        return IPV4
    if number == 2:
        return IPV6
    if number == 3:
        return ETHERNET
    if number == 4:
        return NSH
    return MPLS if number == 5 else 0


@cython.ccall
def vxlan_gpe(h: Headers) -> cython.longlong:
    """VXLAN with a next protocol (draft-ietf-nvo3-vxlan-gpe section 3), which without its flag should be 0: Ethernet.

    Where it is not 0, it counts without the flag too, as in Wireshark, by which UDP flows are numbered.
    """
    if h.at + 8 > h.end:
        return 0
    h.at += 8
    number: cython.longlong = h.data[h.at - 5]
    return _next_protocol(number) if number > 0 or h.data[h.at - 8] & 4 else ETHERNET


@cython.ccall
def nsh(h: Headers) -> cython.longlong:
    """Network service header (RFC 8300 section 2.2): its length in words, and a next protocol."""
    if h.at + 8 > h.end:
        return h.skip("cut NSH header")
    size: cython.longlong = (u16(h.data, h.at) & 0x3F) * 4
    number: cython.longlong = h.data[h.at + 3]
    h.at += size
    return _next_protocol(number) if size >= 8 else 0


@cython.ccall
def geneve(h: Headers) -> cython.longlong:
    """GENEVE (RFC 8926 section 3.4), version 0, the only one."""
    at: cython.longlong = h.at
    if at + 8 > h.end or h.data[at] >> 6 != 0:
        return 0
    h.at = at + 8 + (h.data[at] & 0x3F) * 4
    return u16(h.data, at + 2)


@cython.ccall
def gtp(h: Headers) -> cython.longlong:
    """GTP-U with a user packet (3GPP TS 29.281 section 5.1), with extension headers (section 5.2.1)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end or data[at] >> 4 != 3 or data[at + 1] != 255:
        return 0
    h.narrow(at + 8 + u16(data, at + 2))
    flags: cython.longlong = data[at] & 7
    at += 8
    if flags != 0:
        # Any flag adds all three optional fields, but only one flag announces extension headers.
        at += 4
        if at > h.end:
            return h.skip("cut GTP header")
    more: cython.bint = flags & 4 != 0 and data[at - 1] != 0
    size: cython.longlong
    while more:
        # An extension header begins with its length in words and ends with the type of the next one.
        if at + 4 > h.end:
            return h.skip("cut GTP extension header")
        size = data[at] * 4
        if size == 0 or at + size > h.end:
            return h.skip("cut GTP extension header")
        at += size
        more = data[at - 1] != 0
    h.at = at
    if at + 1 > h.end:
        return 0
    # The type of the contents is negotiated elsewhere: PPP begins with its address field, otherwise it is IP.
    if data[at] == 0xFF:
        return PPP
    return IP if data[at] >> 4 == 4 or data[at] >> 4 == 6 else 0


@cython.ccall
def teredo(h: Headers) -> cython.longlong:
    """IPv6 after the optional headers of Teredo: authentication, then origin (RFC 4380 section 5.1.1)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        return 0
    if u16(data, at) == 1:
        at += 13 + data[at + 2] + data[at + 3]
    if at + 8 > h.end:
        return 0
    if u16(data, at) == 0:
        at += 8
    h.at = at
    return IPV6 if at + 1 <= h.end and data[at] >> 4 == 6 else 0


@cython.ccall
def l2tp(h: Headers) -> cython.longlong:
    """L2TP data messages over UDP: version 2 (RFC 2661 section 3.1) or 3 (RFC 3931 section 4.1.2.1)."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end:
        return 0
    flags: cython.longlong = u16(data, at)
    size: cython.longlong = 6
    if flags & 0x8000:
        # A control message.
        return 0
    if flags & 15 == 3:
        h.at = at + 4
        return L2TP_3
    if flags & 15 != 2:
        return 0
    if flags & 0x4000:
        h.narrow(at + u16(data, at + 2))
        size += 2
    if flags & 0x0800:
        size += 4
    if flags & 0x0200:
        if at + size + 2 >= h.end:
            return 0
        size += 2 + u16(data, at + size)
    elif at + size >= h.end:
        return 0
    h.at = at + size
    return PPP


@cython.ccall
def l2tp_3(h: Headers) -> cython.longlong:
    """L2TPv3 data. The control channel negotiates the header length, so this searches for Ethernet and IP headers."""
    data: bytes = h.data
    at: cython.longlong = h.at
    kind: cython.longlong
    version: cython.longlong
    size: cython.longlong = 4
    if at + 4 > h.end or u32(data, at) == 0:
        return 0
    # A session ID, a cookie of 0, 4 or 8 bytes and a sublayer of 0 or 4 (RFC 3931 sections 4.1.1, 4.6).
    while size <= 16 and at + size + 15 <= h.end:
        kind = u16(data, at + size + 12)
        version = data[at + size + 14] >> 4
        if (kind == IPV4 and version == 4) or (kind == IPV6 and version == 6) or kind == VLAN:
            h.at = at + size
            return ETHERNET
        size += 4
    return h.skip("L2TPv3 packets of unknown contents")


@cython.ccall
def capwap(h: Headers) -> cython.longlong:
    """CAPWAP data (RFC 5415 section 4.3): an Ethernet or 802.11 frame; keep-alives have neither."""
    if h.at + 8 > h.end:
        return 0
    head: cython.longlong = u32(h.data, h.at)
    # The second half of the preamble is 1 for DTLS, whose contents are encrypted.
    if head >> 24 != 0 or head & 0x08:
        return 0
    if head & 0x80:
        return h.skip("CAPWAP fragments")
    h.at += (head >> 19 & 31) * 4
    return IEEE_802_11_SWAPPED if head & 0x100 else ETHERNET


@cython.ccall
def ayiya(h: Headers) -> cython.longlong:
    """AYIYA (draft-massar-v6ops-ayiya-02): an identity and a signature, then what an IP protocol number names."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 8 > h.end or data[at + 2] & 15 != 1:
        return 0
    identity: cython.longlong = 1
    identity <<= data[at] >> 4
    h.at = at + 8 + identity + (data[at + 1] >> 4) * 4
    return IP_PROTOCOL + data[at + 3]


@cython.ccall
def tzsp(h: Headers) -> cython.longlong:
    """TZSP version 1, with Ethernet (1) or 802.11 (18) after any number of tags."""
    data: bytes = h.data
    at: cython.longlong = h.at
    if at + 4 > h.end or data[at] != 1:
        return 0
    kind: cython.longlong = u16(data, at + 2)
    if kind not in (1, 18):
        return 0
    at += 4
    # Tag 0 is a byte of padding, 1 the end; all others have a length.
    while at + 2 <= h.end:
        if data[at] == 1:
            h.at = at + 1
            return ETHERNET if kind == 1 else IEEE_802_11
        at += data[at + 1] + 2 if data[at] != 0 else 1
    return 0


READERS: dict[int, Callable[[Headers], int]] = {
    IP_PROTOCOL + 115: l2tp_3,
    GRE: gre,
    **dict.fromkeys((0x88BE, 0x22EB), erspan),
    VXLAN: vxlan,
    VXLAN_GPE: vxlan_gpe,
    NSH: nsh,
    0x883E: wccp,
    GENEVE: geneve,
    GTP: gtp,
    TEREDO: teredo,
    L2TP: l2tp,
    L2TP_3: l2tp_3,
    CAPWAP: capwap,
    AYIYA: ayiya,
    TZSP: tzsp,
}
"""The reader of each header, by its number."""
