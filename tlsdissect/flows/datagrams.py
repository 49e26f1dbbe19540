"""Flows over UDP, counted: QUIC and DTLS are recognised and not decoded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

MAX_COUNTED = 1 << 20
"""Flows of one kind that are told apart; more count as so many, and the summary says "at least". Each takes about 80
bytes."""
_LEAST = 13
"""Bytes of a DTLS record's header; no QUIC packet with a long header is as short."""

_DTLS = re.compile(rb"[\x15\x16]\xfe[\xfc-\xff]\x00", re.DOTALL)
"""A handshake or alert record in the clear: epoch 0 (RFC 6347 section 4.1)."""
_QUIC = re.compile(
    rb"[\xc0-\xff](?:"
    rb"\x00\x00\x00\x01|\x6b\x33\x43\xcf|\x70\x9a\x50\xc4|\xff\x00\x00[\x00-\x3f]|\xfa\xce\xb0[\x00-\x0f]"
    rb"|Q0[0-i].|T05[0-?])",
    re.DOTALL,
)
"""A long header with the fixed bit (RFC 8999 section 5.1, RFC 9000 section 17.2) and a version in use: RFC 9000,
RFC 9369 and its draft, drafts of RFC 9000, one big site's (quicwg's list of versions), and QUIC before the IETF's."""


class Datagrams:
    """The endpoints between which QUIC or DTLS handshakes went."""

    def __init__(self) -> None:
        # Hashes of 64 bits, keyed by Python for each process: a million endpoints would take 300 MB.
        self._quic: set[int] = set()
        self._dtls: set[int] = set()

    @property
    def quic(self) -> int:
        """Flows with a long header of a known version of QUIC."""
        return len(self._quic)

    @property
    def dtls(self) -> int:
        """Flows with a record of DTLS."""
        return len(self._dtls)

    def feed(self, packet: Packet) -> None:
        """Look at a datagram."""
        if packet.captured < _LEAST or packet.quoted:
            return
        if _DTLS.match(packet.data, packet.payload):
            _add(self._dtls, packet.endpoints)
        elif _QUIC.match(packet.data, packet.payload):
            _add(self._quic, packet.endpoints)


def _add(known: set[int], endpoints: bytes) -> None:
    """Note a flow, whichever of its directions this is."""
    size = (len(endpoints) - 4) // 2
    ports = 2 * size
    backwards = endpoints[size:ports] + endpoints[:size] + endpoints[ports + 2 :] + endpoints[ports : ports + 2]
    if len(known) < MAX_COUNTED:
        known.add(hash(min(endpoints, backwards)))
