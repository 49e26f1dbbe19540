# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""One captured TCP segment, UDP datagram, or EAP packet of a LAN."""

from __future__ import annotations

import cython

from tlsdissect.capture.octets import cut, u16

TCP, UDP = 6, 17
"""IP's protocol numbers: values of `Packet.protocol`."""

UNTIMED = -(1 << 63) + 1
"""The time of a packet whose capture has none. All other times are later."""


def time_or_none(time: cython.longlong) -> int | None:
    """Return a packet's time, or None for UNTIMED."""
    return None if time == UNTIMED else time


@cython.ccall
def opposite(endpoints: bytes) -> bytes:
    """Return the endpoints of packets in the other direction: source and destination are swapped."""
    size: cython.Py_ssize_t = (len(endpoints) - 4) // 2
    ports: cython.Py_ssize_t = 2 * size
    target, source = cut(endpoints, size, ports), cut(endpoints, 0, size)
    return target + source + cut(endpoints, ports + 2, ports + 4) + cut(endpoints, ports, ports + 2)


@cython.cclass
class Packet:
    """One TCP segment, UDP datagram or EAP packet, overwritten by each `PacketReader.next`.

    The object is reused, but the bytes that it refers to (`data`, `endpoints`) never change, so they may be kept.
    """

    __slots__ = (
        "acknowledgement",
        "captured",
        "data",
        "digits",
        "endpoints",
        "flags",
        "frame",
        "identification",
        "interface",
        "ip",
        "length",
        "payload",
        "place",
        "protocol",
        "quoted",
        "sequence",
        "time",
        "transport",
        "window",
    )

    data: bytes
    """The bytes that the offsets below point into."""
    frame: cython.longlong
    """Number of the frame, from 1, as Wireshark counts."""
    time: cython.longlong
    """Capture time, nanoseconds since 1970-01-01T00:00:00Z; UNTIMED if the capture has none."""
    digits: cython.longlong
    """Digits of a second in the capture's own clock: 6 for microseconds, 9 for nanoseconds."""
    protocol: cython.longlong
    """TCP or UDP; for EAP over a LAN, the EtherType `protocols.EAPOL`."""
    endpoints: bytes
    """Source address, destination address, source port, destination port: 12 bytes for IPv4, 36 for IPv6.

    The destination of a source-routed packet is the last one, with which TCP communicates (RFC 8200 section 8.1).
    EAP over a LAN has 16 bytes: the two addresses of the frame, or zeros if it has none, and four zeros.
    """
    ip: cython.Py_ssize_t
    """Where the innermost IP header begins in `data`; for EAP, where the EAPOL header does."""
    transport: cython.Py_ssize_t
    """Where the TCP, UDP or EAPOL header begins in `data`."""
    sequence: cython.longlong
    """TCP sequence number; 0 without TCP."""
    acknowledgement: cython.longlong
    """TCP acknowledgement number; 0 without TCP."""
    flags: cython.longlong
    """The low eight TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); 0 without TCP."""
    window: cython.longlong
    """TCP window as in the header, not scaled (RFC 7323 section 2.2); 0 without TCP."""
    payload: cython.Py_ssize_t
    """Where the payload begins in `data`."""
    length: cython.longlong
    """Payload bytes that the packet carried, by the length in IP, UDP or EAPOL: link-layer padding is not counted."""
    captured: cython.longlong
    """Captured payload bytes: fewer than `length` if the snap length cut the packet."""
    place: cython.longlong
    """Offset of the payload in the frame; -1 if the packet was reassembled from fragments."""
    interface: cython.longlong
    """Number of the interface in its section of a pcapng file; 0 in other captures."""
    identification: cython.longlong
    """Identification of the IPv4 header or of IPv6's fragment header; -1 if there is neither."""
    quoted: cython.bint
    """Whether this is a quotation in an ICMP error or an sFlow sample, and not a packet of this capture."""

    def __init__(self) -> None:
        self.data = b""
        self.frame = 0
        self.time = UNTIMED
        self.digits = 0
        self.protocol = 0
        self.endpoints = b""
        self.ip = 0
        self.transport = 0
        self.sequence = 0
        self.acknowledgement = 0
        self.flags = 0
        self.window = 0
        self.payload = 0
        self.length = 0
        self.captured = 0
        self.place = 0
        self.interface = 0
        self.identification = -1
        self.quoted = False

    @cython.ccall
    def captured_payload(self) -> bytes:
        """Return the captured payload bytes."""
        return cut(self.data, self.payload, self.payload + self.captured)

    @cython.ccall
    @cython.exceptval(-1)
    def hop_limit(self) -> cython.longlong:
        """Return the Hop Limit of its IP header, in IPv4 the TTL."""
        data: bytes = self.data
        return data[self.ip + 8] if data[self.ip] >> 4 == 4 else data[self.ip + 7]

    @cython.ccall
    def ip_checksum_is_wrong(self) -> cython.bint:
        """Return whether the checksum of its IPv4 header is wrong (RFC 791 section 3.1), and not left out."""
        data: bytes = self.data
        at: cython.Py_ssize_t = self.ip
        if data[at] >> 4 != 4 or u16(data, at + 10) == 0:
            return False
        return _sum(data, at, at + (data[at] & 15) * 4) % 0xFFFF != 0

    @cython.ccall
    def checksum_is_right(self) -> cython.bint:
        """Verify the checksum of TCP or UDP (RFC 9293 section 3.1, RFC 768); meaningful if `captured` is `length`."""
        end: cython.Py_ssize_t = min(self.payload + self.captured, len(self.data))
        size: cython.longlong = end - self.transport
        if self.protocol == 17 and size >= 8 and u16(self.data, self.transport + 6) == 0:
            # The sender did not compute it, which IPv6 allows for tunnels, too (RFC 6935).
            return True
        return (self._pseudo_header() + size + _sum(self.data, self.transport, end)) % 0xFFFF == 0

    @cython.ccall
    def checksum_is_partial(self) -> cython.bint:
        """Return whether the TCP checksum is partial: the sum of the pseudo-header, with or without the length.

        The network card completes it after the capture (checksum offload).
        """
        partial: cython.longlong = u16(self.data, self.transport + 16) - self._pseudo_header()
        size: cython.longlong = self.payload + self.captured - self.transport
        return partial % 0xFFFF == 0 or (partial - size) % 0xFFFF == 0

    @cython.cfunc
    def _pseudo_header(self) -> cython.longlong:
        """Return the sum of the words of the pseudo-header, without the length."""
        return _sum(self.endpoints, 0, len(self.endpoints) - 4) + self.protocol

    @cython.ccall
    def checksum_is_wrong(self) -> cython.bint:
        """Return whether TCP's checksum is wrong; False if it is partial, or bytes of the segment are missing."""
        data: bytes = self.data
        if self.captured < self.length or self.payload - self.transport < 20:
            return False
        if self.payload - self.transport != (data[self.transport + 12] >> 4) * 4:
            return False
        return not self.checksum_is_right() and not self.checksum_is_partial()


@cython.cfunc
@cython.exceptval(-1)
def _sum(data: bytes, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
    """Add up 16-bit words; an odd last octet is padded with a zero octet (RFC 1071)."""
    total: cython.longlong = 0
    while start < end - 1:
        total += u16(data, start)
        start += 2
    if start < end:
        last: cython.longlong = data[start]
        total += last << 8
    return total
