"""Counts of EAP conversations that carry TLS, in RADIUS and in IEEE 802.1X. None is decoded.

The authentication server begins each conversation with a Start packet, so there are as many conversations as Start
packets. If the capture lacks Start packets, each peer that responds counts as one conversation.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

METHODS = {13: "EAP-TLS", 21: "EAP-TTLS", 25: "PEAP", 43: "EAP-FAST", 55: "TEAP"}
"""EAP methods that carry TLS, by type (IANA's "Method Types"): RFC 5216, RFC 5281, draft-josefsson-pppext-eap-tls-eap,
RFC 4851, RFC 7170. All share the flags of EAP-TLS (RFC 5216 section 3.1)."""
MAX_STARTS = 1 << 18
"""Maximum number of conversations counted of one method. Each takes about 80 bytes."""

_REQUEST, _RESPONSE = 1, 2
_EXPANDED = 254
"""The expanded type: a vendor ID, 0 for the IETF, and a type of four bytes follow (RFC 3748 section 5.7)."""
_START = 0x20
_RADIUS_HEADER = 20
_CALLING_STATION_ID, _EAP_MESSAGE = 31, 79


class EapPacket(NamedTuple):
    """An EAP packet with the fields that distinguish conversations between the same endpoints."""

    data: bytes
    station: bytes
    """The Calling-Station-Id of RADIUS; empty if there is none."""
    carrier: bytes
    """The RADIUS packet, which is identical when it is retransmitted; empty in IEEE 802.1X."""


class EapConversations:
    """Counts EAP conversations whose method carries TLS."""

    def __init__(self) -> None:
        # 64-bit hashes, as in `Datagrams`, by method and carrier.
        self._starts: dict[tuple[str, str], set[int]] = {}
        self._peers: dict[tuple[str, str], set[int]] = {}

    @property
    def counted(self) -> Counter[tuple[str, str]]:
        """Number of conversations by method and carrier, "RADIUS" or "802.1X"."""
        kinds = self._starts.keys() | self._peers.keys()
        return Counter({kind: max(len(self._starts.get(kind, ())), len(self._peers.get(kind, ()))) for kind in kinds})

    def add(self, carrier: str, endpoints: bytes, packet: EapPacket) -> None:
        """Count the conversation of an EAP packet (RFC 3748 section 4)."""
        data = packet.data
        if len(data) < 6 or not 6 <= int.from_bytes(data[2:4], "big") <= len(data):
            return
        at = 4
        if data[4] == _EXPANDED and data[5:11] == bytes(6) and len(data) >= 13:
            at = 11
        method = METHODS.get(data[at])
        if method is None:
            return
        if data[0] == _REQUEST and data[at + 1] & _START:
            _note(self._starts, (method, carrier), hash((endpoints, data, packet.carrier)))
        elif data[0] == _RESPONSE:
            _note(self._peers, (method, carrier), hash((endpoints, packet.station)))


def _note(known: dict[tuple[str, str], set[int]], kind: tuple[str, str], conversation: int) -> None:
    found = known.setdefault(kind, set())
    if len(found) < MAX_STARTS:
        found.add(conversation)


def read_radius(packet: bytes) -> EapPacket | None:
    """Join the EAP-Message attributes of a RADIUS packet (RFC 3579 section 3.1); None if malformed or without any."""
    end = int.from_bytes(packet[2:4], "big")
    if not _RADIUS_HEADER <= end <= len(packet):
        return None
    at, parts, station = _RADIUS_HEADER, [], b""
    while at < end:
        size = packet[at + 1] if at + 1 < end else 0
        if size < 2 or at + size > end:
            return None
        if packet[at] == _EAP_MESSAGE:
            parts.append(packet[at + 2 : at + size])
        elif packet[at] == _CALLING_STATION_ID:
            station = packet[at + 2 : at + size]
        at += size
    return EapPacket(b"".join(parts), station, packet[:end]) if parts else None
