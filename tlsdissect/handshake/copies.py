"""Packets that were captured twice: on two interfaces of a router, by `tcpdump -i any`, or in two VLANs.

A copy has the same IP identification, TCP numbers, flags and payload as an earlier packet. A retransmission has another
identification (RFC 6864 section 4.1), or comes after a timeout: RFC 1122 section 3.2.1.5 allows the same identification
again. Some senders do not vary the identification (IPv6, or DF with identification 0). Their packet is a copy if its
TCP header and payload are identical to those of an earlier packet, it follows sooner than any timeout, and either it
was captured elsewhere (hop limit, interface, encapsulation) or the other side, which may ask for a retransmission, sent
nothing in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import COPY_NS, FIN, SYN

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

    _Key = tuple[int, int, int, int, int, int]

IDENTIFIED_NS = 100_000_000
"""Nanoseconds within which a packet with the same identification is a copy: the shortest timeouts of TCP are twice
as long."""
_CHECKSUM = 16
"""Offset of the checksum in the TCP header. It is not compared: one copy may be from before it was computed."""


class _Seen(NamedTuple):
    """The fields by which a copy of a packet is recognised."""

    frame: int
    time: int
    header: bytes
    """The TCP header."""
    payload: bytes
    passed: tuple[int, int, int]
    """Hop limit, interface, and place of the payload in the frame."""
    turn: int
    """How often the sending side had changed before."""


class Copies:
    """Distinguishes copies from new packets of a connection, and counts them."""

    __slots__ = ("_identifications", "_seen", "_speaker", "_turn", "_varies", "count", "first", "latest")

    def __init__(self) -> None:
        self.count = 0
        """Number of copies."""
        self.first: tuple[int, int] | None = None
        """The frames of the first packet with a copy, and of that copy."""
        self.latest: int | None = None
        """The frame of the latest copy."""
        self._seen: dict[_Key, _Seen] = {}
        self._identifications: list[int | None] = [None, None]
        self._varies = [False, False]
        """Whether the packets of each side have different identifications."""
        self._speaker = 0
        self._turn = 0

    def has(self, packet: Packet, sender: int) -> bool:
        """Return whether a packet is a copy, and count it if so."""
        earlier = self._seen.get(_key(packet, sender))
        if earlier is None or not self._is_same(earlier, packet, sender):
            return False
        self.count += 1
        self.first = self.first or (earlier.frame, packet.frame)
        self.latest = packet.frame
        return True

    def note(self, packet: Packet, sender: int, payload: bytes) -> None:
        """Remember a new packet and its captured payload."""
        if sender != self._speaker:
            self._speaker = sender
            self._turn += 1
        known = self._identifications[sender]
        if known is not None and known != packet.identification:
            self._varies[sender] = True
        self._identifications[sender] = packet.identification
        self._seen[_key(packet, sender)] = _Seen(
            packet.frame, packet.time, _header(packet), payload, _passed(packet), self._turn
        )

    def _is_same(self, earlier: _Seen, packet: Packet, sender: int) -> bool:
        if earlier.payload != packet.captured_payload():
            return False
        gap = None if UNTIMED in (packet.time, earlier.time) else packet.time - earlier.time
        if self._varies[sender] and packet.identification > 0:
            return gap is None or 0 <= gap < IDENTIFIED_NS
        if gap is None or not 0 <= gap < COPY_NS:
            return False
        if _without_checksum(earlier.header) != _without_checksum(_header(packet)):
            return False
        if earlier.passed != _passed(packet):
            return True
        # Bare acknowledgements are repeated at once if segments are missing (RFC 5681 section 3.2).
        distinctive = packet.length > 0 or packet.flags & (SYN | FIN) or self.count > 0
        return bool(distinctive) and earlier.turn == self._turn


def _key(packet: Packet, sender: int) -> _Key:
    return sender, packet.sequence, packet.acknowledgement, packet.flags, packet.length, packet.identification


def _header(packet: Packet) -> bytes:
    return packet.data[packet.transport : packet.payload]


def _without_checksum(header: bytes) -> bytes:
    return header[:_CHECKSUM] + header[_CHECKSUM + 2 :]


def _passed(packet: Packet) -> tuple[int, int, int]:
    data, ip = packet.data, packet.ip
    # RFC 791 section 3.1, RFC 8200 section 3.
    hops = data[ip + 8] if data[ip] >> 4 == 4 else data[ip + 7]
    return hops, packet.interface, packet.place
