"""QUIC, DTLS and RADIUS by the first bytes of a datagram; counts of flows that are not decoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tlsdissect.flows.flow import opposite

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

DTLS, DTLS_DATA, QUIC, RADIUS = "dtls", "dtls_data", "quic", "radius"
MAX_COUNTED = 1 << 20
"""Maximum number of flows counted of one kind; then the summary says "at least". Each takes about 80 bytes."""
_LEAST = 13
"""Bytes of a DTLS record header; a QUIC packet with a long header is longer."""

_DTLS_RECORD = rb"[\x15\x16](?:\xfe[\xfc-\xff]|\x01\x00)\x00\x00"
"""A plaintext handshake or alert record: epoch 0 (RFC 6347 section 4.1). Cisco's version is 0x0100."""
_DTLS = rb"(?:\x01\x00\x00\x00|[\x40-\x4f].{3}|\x00[\x16\x17]..\x21\x12\xa4\x42.{12,60}?\x00\x13..)?" + _DTLS_RECORD
"""Such a record, alone, or after the header of CAPWAP (RFC 5415 section 4.2) or of TURN: ChannelData, or a Send or Data
indication with a DATA attribute (RFC 8656 sections 12.4 and 18)."""
_DTLS_DATA = rb"\x17\xfe[\xfd\xff]\x00[\x01-\x0f]"
"""A record of application data in one of the first epochs of DTLS 1.0 or 1.2."""
_VERSIONS = (
    rb"(?:"
    rb"\x00\x00\x00\x01|\x6b\x33\x43\xcf|\x70\x9a\x50\xc4|\xff\x00\x00[\x00-\x3f]|\xfa\xce\xb0[\x00-\x0f]"
    rb"|Q0[0-i].|T05[0-?]|[\x0a\x1a\x2a\x3a\x4a\x5a\x6a\x7a\x8a\x9a\xaa\xba\xca\xda\xea\xfa]{4})"
)
"""The versions of QUIC in use: RFC 9000, RFC 9369 and its draft, drafts of RFC 9000, mvfst (quicwg's list of versions),
Google QUIC, and versions that every server refuses (RFC 9000 section 15)."""
_ID = b"(?:%b)" % b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(21))
"""A connection ID with its length (RFC 9000 section 17.2)."""
_QUIC = rb"[\xc0-\xff]%b|[\x80-\xff]\x00{4}%b%b%b" % (_VERSIONS, _ID, _ID, _VERSIONS)
"""A long header with the fixed bit and such a version (RFC 8999 section 5.1, RFC 9000 section 17.2), or a Version
Negotiation that lists such a version first (RFC 8999 section 6)."""
_RADIUS = rb"[\x01-\x03\x0b].[\x00-\x10]"
"""Access-Request, -Accept, -Reject or -Challenge, an identifier, and a length of at most 4,096 (RFC 2865 section 3)."""
_KNOWN = re.compile(
    rb"(?P<dtls>%b)|(?P<dtls_data>%b)|(?P<quic>%b)|(?P<radius>%b)" % (_DTLS, _DTLS_DATA, _QUIC, _RADIUS), re.DOTALL
)
"""One expression, so that a datagram of another protocol costs one match."""


def recognise(packet: Packet) -> str | None:
    """Return the protocol of a UDP datagram by its first bytes: one of those above, or None for any other."""
    found = _KNOWN.match(packet.data, packet.payload) if packet.captured >= _LEAST else None
    return None if found is None else found.lastgroup


class Datagrams:
    """Counts QUIC and DTLS flows without a handshake that could be decoded."""

    def __init__(self) -> None:
        # 64-bit hashes, keyed per process, of endpoints: a million endpoints themselves would take 300 MB.
        self._quic: set[int] = set()
        self._dtls: set[int] = set()
        self._decoded: set[int] = set()

    @property
    def quic(self) -> int:
        """Flows with a long header of a known version of QUIC."""
        return len(self._quic)

    @property
    def dtls(self) -> int:
        """Flows with a record of DTLS."""
        return len(self._dtls)

    def add(self, protocol: str, endpoints: bytes) -> None:
        """Count a flow by the endpoints of either direction."""
        known = self._dtls if protocol == DTLS else self._quic
        if len(known) < MAX_COUNTED:
            known.add(_hash(endpoints))

    def add_data(self, endpoints: bytes) -> None:
        """Count a flow with application data of DTLS, unless its handshake was decoded before."""
        if _hash(endpoints) not in self._decoded:
            self.add(DTLS, endpoints)

    def decode(self, endpoints: bytes) -> None:
        """Note that a handshake of a flow of DTLS was decoded."""
        self._dtls.discard(_hash(endpoints))
        if len(self._decoded) < MAX_COUNTED:
            self._decoded.add(_hash(endpoints))


def _hash(endpoints: bytes) -> int:
    return hash(min(endpoints, opposite(endpoints)))
