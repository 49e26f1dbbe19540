"""QUIC, DTLS and RADIUS by the first bytes of a datagram; counts of flows that are not decoded."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from tlsdissect.capture.packet import opposite

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

DTLS, DTLS_DATA, QUIC, GOOGLE_QUIC, RADIUS = "dtls", "dtls_data", "quic", "google_quic", "radius"
MAX_COUNTED = 1 << 18
"""Maximum number of flows counted of one kind; then the summary says "at least". Each takes about 80 bytes."""
_LEAST = 13
"""Bytes of a DTLS record header; a QUIC packet with a long header is longer."""

_ENCAPSULATION = rb"(?:\x01\x00\x00\x00|[\x40-\x4f].{3}|\x00[\x16\x17]..\x21\x12\xa4\x42.{12,60}?\x00\x13..)?"
"""What may come before a record of DTLS: the header of CAPWAP (RFC 5415 section 4.2) or of TURN: ChannelData, or a Send
or Data indication with a DATA attribute (RFC 8656 sections 12.4 and 18)."""
_DTLS_VERSION = rb"(?:\xfe[\xfc-\xff]|\x01\x00)"
"""The record versions of DTLS, among them 0x0100, which Cisco used before the standard."""
_DTLS = _ENCAPSULATION + rb"[\x15\x16]%b\x00\x00" % _DTLS_VERSION
"""A plaintext handshake or alert record: epoch 0 (RFC 6347 section 4.1)."""
_DTLS_DATA = _ENCAPSULATION + rb"[\x14-\x1a]%b\x00[\x01-\x0f]" % _DTLS_VERSION
"""A record of one of the first epochs after the handshake."""
_LONG_HEADER = 0x80
"""The bit in the first byte of a long header (RFC 8999 section 5.1)."""
_UNIFIED_FIRST, _UNIFIED_BITS, _TWO_BYTES = 0x24, 0xF4, 0x08
"""The bits that a unified header has, the mask that selects them, and the bit for a sequence number of two bytes."""
_LEAST_CIPHERTEXT = 16
"""Bytes of the shortest encrypted record body (RFC 9147 section 4.2.3)."""
_UNIFIED = rb"[\x24-\x27\x2c-\x2f]"
"""A record of DTLS 1.3 whose unified header has a length but no connection ID (RFC 9147 section 4)."""
_VERSIONS = (
    rb"(?:"
    rb"\x00\x00\x00\x01|\x6b\x33\x43\xcf|\x70\x9a\x50\xc4|\xff\x00\x00[\x00-\x3f]|\xfa\xce\xb0[\x00-\x0f]"
    rb"|Q0[0-9]{2}|T05[0-?]|[\x0a\x1a\x2a\x3a\x4a\x5a\x6a\x7a\x8a\x9a\xaa\xba\xca\xda\xea\xfa]{4})"
)
"""The versions of QUIC in use: RFC 9000, RFC 9369 and its draft, drafts of RFC 9000, mvfst (quicwg's list of versions),
Google QUIC, and versions that every server refuses (RFC 9000 section 15)."""
_ID = b"(?:%b)" % b"|".join(re.escape(bytes([size])) + b".{%d}" % size for size in range(21))
"""A connection ID with its length (RFC 9000 section 17.2)."""
_QUIC = rb"[\xc0-\xff](?!Q)%b|[\x80-\xff]\x00{4}%b%b%b" % (_VERSIONS, _ID, _ID, _VERSIONS)
"""A long header with the fixed bit and such a version (RFC 8999 section 5.1, RFC 9000 section 17.2), or a Version
Negotiation that lists such a version first (RFC 8999 section 6)."""
_NIBBLES = b"(?:%b)" % b"|".join(
    re.escape(bytes([both])) + b".{%d}" % sum([code and code + 3 for code in divmod(both, 16)])
    for both in range(1, 256)
)
"""A byte with two codes of four bits, then two connection IDs. A code is the length of its ID less 3, or 0 for an empty
ID (draft-ietf-quic-invariants-05 section 4.1). At least one of the IDs is not empty."""
_GOOGLE_QUIC = (
    rb"[\x09\x0d\x19\x1d\x29\x2d\x39\x3d].{8}(?P<public>Q0(?:[0-3][0-9]|4[0-3]))"
    rb"|[\xc0-\xff](?:(?P<nibbles>Q04[4-8])%b|(?P<lengths>Q0(?:49|[5-9][0-9]))%b%b)" % (_NIBBLES, _ID, _ID)
)
"""A packet of Google QUIC from before TLS that states its version: up to Q043, in a public header whose flags announce
the version and a connection ID of 8 bytes (draft-hamilton-early-deployment-quic-00 section 6); later, a long header."""
_PUBLIC_ID = 9
"""Bytes of the flags and the connection ID of a public header."""
_LEAST_PUBLIC = 27
"""Bytes of the shortest packet with a public header and a version, which a packet number, a hash and a frame follow."""
_LISTED = re.compile(rb"(?:%b){2,}" % _VERSIONS, re.DOTALL)
"""The versions that Google QUIC's Version Negotiation lists, behind the connection ID."""
_RADIUS = rb"[\x01-\x03\x0b].[\x00-\x10]"
"""Access-Request, -Accept, -Reject or -Challenge, an identifier, and a length of at most 4,096 (RFC 2865 section 3)."""


@cache
def _known() -> re.Pattern[bytes]:
    """Return the expression of all protocols: one, so that a datagram of another protocol costs one match.

    It is compiled for the first datagram, since that takes a twentieth of the start-up.
    """
    return re.compile(
        rb"(?P<dtls>%b)|(?P<dtls_data>%b)|(?P<google>%b)|(?P<unified>%b)|(?P<quic>%b)|(?P<radius>%b)"
        % (_DTLS, _DTLS_DATA, _GOOGLE_QUIC, _UNIFIED, _QUIC, _RADIUS),
        re.DOTALL,
    )


@cache
def _google() -> re.Pattern[bytes]:
    """Return the expression of Google QUIC's packets, compiled for the first of them."""
    return re.compile(_GOOGLE_QUIC, re.DOTALL)


def recognise(packet: Packet) -> str | None:
    """Return the protocol of a UDP datagram by its first bytes: one of those above, or None for any other."""
    found = _known().match(packet.data, packet.payload) if packet.captured >= _LEAST else None
    if found is None:
        return None
    if found.lastgroup == "google":
        if google_version(packet) is None:
            return None
        # After a refused long header, an endpoint may try a version that can be decoded.
        return QUIC if packet.data[packet.payload] & _LONG_HEADER else GOOGLE_QUIC
    if found.lastgroup == "unified":
        return DTLS_DATA if _has_unified_records(packet.captured_payload(), packet.length) else None
    return found.lastgroup


def google_version(packet: Packet) -> str | None:
    """Return the version that a packet of Google QUIC from before TLS states ("Q043"), or None if this is not one.

    A server that refuses a version lists others in the place of this one: then none of them is in use.
    """
    found = _google().match(packet.data, packet.payload, packet.payload + packet.captured)
    if found is None:
        return None
    if found["public"] is not None:
        listed = packet.captured_payload()[_PUBLIC_ID:]
        is_negotiation = _LISTED.fullmatch(listed, 0, len(listed) // 4 * 4) is not None
        if packet.length < _LEAST_PUBLIC or is_negotiation:
            return None
    version: bytes = found["public"] or found["nibbles"] or found["lengths"]
    return version.decode()


def _has_unified_records(data: bytes, end: int) -> bool:
    """Return whether a datagram of `end` bytes has records of DTLS 1.3, of which the last one ends where it does.

    A unified header has three fixed bits, so only the lengths distinguish records from other protocols.
    """
    at = 0
    while at < min(end, len(data)):
        body = at + (5 if data[at] & _TWO_BYTES else 4)
        size = int.from_bytes(data[body - 2 : body], "big")
        if data[at] & _UNIFIED_BITS != _UNIFIED_FIRST or body > len(data) or size < _LEAST_CIPHERTEXT:
            return False
        at = body + size
    return at == end


class Datagrams:
    """Counts QUIC and DTLS flows without a handshake that could be decoded."""

    def __init__(self) -> None:
        # 64-bit hashes, keyed per process, of endpoints: a million endpoints themselves would take 300 MB.
        self._quic: dict[int, str | None] = {}
        """The version of Google QUIC of each; None for any other QUIC."""
        self._elsewhere: set[int] = set()
        """Those that another shard counts, though they belong to connections that this one decodes."""
        self._dtls: set[int] = set()
        self._decoded: set[int] = set()

    @property
    def quic(self) -> int:
        """Flows with a long header of a known version of QUIC, and those of Google QUIC."""
        return len(self._quic) - len(self._elsewhere)

    @property
    def google_quic(self) -> Counter[str]:
        """Flows of Google QUIC from before TLS, by version."""
        return Counter(filter(None, self._quic.values()))

    @property
    def dtls(self) -> int:
        """Flows with a record of DTLS."""
        return len(self._dtls)

    def add_quic(self, endpoints: bytes, google: str | None) -> None:
        """Count a QUIC flow once for both directions, and note its latest version of Google QUIC, if it has one."""
        flow = _hash(endpoints)
        if flow in self._quic:
            self._quic[flow] = google or self._quic[flow]
        elif len(self._quic) < MAX_COUNTED:
            self._quic[flow] = google

    def add_elsewhere(self, endpoints: bytes) -> None:
        """Take back that another shard counts a flow of QUIC, to which the client of a decoded connection moved."""
        if len(self._elsewhere) < MAX_COUNTED:
            self._elsewhere.add(_hash(endpoints))

    def add_dtls(self, endpoints: bytes) -> None:
        """Count a flow of DTLS by the endpoints of either direction."""
        if len(self._dtls) < MAX_COUNTED:
            self._dtls.add(_hash(endpoints))

    def add_data(self, endpoints: bytes) -> None:
        """Count a flow with application data of DTLS, unless its handshake was decoded before."""
        if _hash(endpoints) not in self._decoded:
            self.add_dtls(endpoints)

    def decode(self, endpoints: bytes) -> None:
        """Note that a handshake of a flow of DTLS was decoded."""
        self._dtls.discard(_hash(endpoints))
        if len(self._decoded) < MAX_COUNTED:
            self._decoded.add(_hash(endpoints))


def _hash(endpoints: bytes) -> int:
    return hash(min(endpoints, opposite(endpoints)))
