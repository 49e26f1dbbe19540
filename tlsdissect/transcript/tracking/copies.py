"""Packets that a capture holds twice: taken on two interfaces of a router, by `tcpdump -i any`, or in two VLANs.

A copy has the same IP identification, TCP numbers, flags and payload as the packet before; what TCP sends again has
another identification (RFC 6864 section 4.1), or comes later (a sender may send the very same packet again by RFC 1122
section 3.2.1.5, once a timer has run out). A sender that leaves the identification alone (IPv6, or DF and 0) gives
no such sign. Of it, a packet is a copy whose TCP header and payload are the same octet for octet and that comes so soon
that no timer can have run out, and either reached another place (hop limit, interface, encapsulation) or came before
the other side said anything, which may have asked for it again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import COPY_NS, FIN, SYN

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

IDENTIFIED_NS = 100_000_000
"""Nanoseconds within which the same identification makes a copy: TCP's shortest timers take twice that."""
_CHECKSUM = 16
"""Byte of the TCP header at which its checksum begins: of two copies, one may be from before it was computed."""


class _Seen(NamedTuple):
    """What a packet is recognised by."""

    frame: int
    time: int
    header: bytes
    """TCP's header without the checksum."""
    payload: bytes
    passed: tuple[int, int, int]
    """Hop limit, interface, and place of the payload in the frame."""
    turn: int
    """How often the word had passed from one side to the other before."""


class Copies:
    """The packets of a conversation that are in the capture already; they are counted and told from new ones."""

    __slots__ = ("_identifications", "_seen", "_speaker", "_turn", "_varies", "count", "first", "latest")

    def __init__(self) -> None:
        self.count = 0
        """Packets that were seen before."""
        self.first: tuple[int, int] | None = None
        """The frames of the first packet that was seen again."""
        self.latest: int | None = None
        """The frame of the latest one that was seen before."""
        self._seen: dict[tuple[int, ...], _Seen] = {}
        self._identifications: list[int | None] = [None, None]
        self._varies = [False, False]
        """Whether a side's packets have identifications that differ."""
        self._speaker = 0
        self._turn = 0

    def has(self, packet: Packet, sender: int) -> bool:
        """Tell whether the capture had a packet before, and count it if so."""
        key = (sender, packet.sequence, packet.acknowledgement, packet.flags, packet.length, packet.identification)
        earlier = self._seen.get(key)
        if earlier is None or not self._is_same(earlier, packet, sender):
            return False
        self.count += 1
        self.first = self.first or (earlier.frame, packet.frame)
        self.latest = packet.frame
        return True

    def note(self, packet: Packet, sender: int) -> None:
        """Remember a new packet."""
        if sender != self._speaker:
            self._speaker = sender
            self._turn += 1
        known = self._identifications[sender]
        if known is not None and known != packet.identification:
            self._varies[sender] = True
        self._identifications[sender] = packet.identification
        key = (sender, packet.sequence, packet.acknowledgement, packet.flags, packet.length, packet.identification)
        passed, turn = _passed(packet), self._turn
        self._seen[key] = _Seen(packet.frame, packet.time, _header(packet), packet.captured_payload(), passed, turn)

    def _is_same(self, earlier: _Seen, packet: Packet, sender: int) -> bool:
        if earlier.payload != packet.captured_payload():
            return False
        gap = None if UNTIMED in (packet.time, earlier.time) else packet.time - earlier.time
        if self._varies[sender] and packet.identification > 0:
            return gap is None or 0 <= gap < IDENTIFIED_NS
        if gap is None or not 0 <= gap < COPY_NS:
            return False
        if earlier.header != _header(packet):
            return False
        if earlier.passed != _passed(packet):
            return True
        # Acknowledgements are repeated at once where segments are missing (RFC 5681 section 3.2).
        telling = packet.length > 0 or packet.flags & (SYN | FIN) or self.count > 0
        return bool(telling) and earlier.turn == self._turn


def _header(packet: Packet) -> bytes:
    at = packet.transport
    return packet.data[at : at + _CHECKSUM] + packet.data[at + _CHECKSUM + 2 : packet.payload]


def _passed(packet: Packet) -> tuple[int, int, int]:
    data, ip = packet.data, packet.ip
    # RFC 791 section 3.1, RFC 8200 section 3.
    hops = data[ip + 8] if data[ip] >> 4 == 4 else data[ip + 7]
    return hops, packet.interface, packet.place
