# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Packets that were captured twice: on two interfaces of a router, by `tcpdump -i any`, or in two VLANs.

A copy has the same IP identification, TCP numbers, flags and payload as an earlier packet. A retransmission has another
identification (RFC 6864 section 4.1), or comes after a timeout: RFC 1122 section 3.2.1.5 allows the same identification
again. Some senders do not vary the identification (IPv6, or DF with identification 0). Their packet is a copy if its
TCP header and payload are identical to those of an earlier packet, it follows sooner than any timeout, and either it
was captured elsewhere (hop limit, interface, encapsulation) or the other side, which may ask for a retransmission, sent
nothing in between.
"""

from __future__ import annotations

from array import array
from typing import Any

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import UNTIMED, Packet
from tlsdissect.flows.flow import COPY_NS, FIN, SYN

IDENTIFIED_NS = 100_000_000
"""Nanoseconds within which a packet with the same identification is a copy: the shortest timeouts of TCP are twice
as long."""
MAX_RECENT = 64
"""How many of the latest records or datagrams a new one is compared with, to see whether it was captured twice: as many
as a receiver's replay window has (RFC 6347 section 4.1.2.6)."""
_CHECKSUM = 16
"""Offset of the checksum in the TCP header. It is not compared: one copy may be from before it was computed."""
# C integers, by the .pxd.
_UNTIMED, _SYN_OR_FIN, _COPY_NS, _IDENTIFIED_NS = UNTIMED, SYN | FIN, COPY_NS, IDENTIFIED_NS


@cython.cclass
class NumberedCopies:
    """Recognizes records of DTLS and datagrams of QUIC that were captured twice, among the latest ones.

    A sender numbers them, so that no two are equal (RFC 6347 section 4.1, RFC 9147 section 4, RFC 9000 section 12.3).
    """

    first: cython.longlong
    """The frame of the first copy of what was captured twice last."""
    _hashes: Any
    """Hashes of the latest ones: so few are found as fast as in a dictionary, which takes 20 KB for them."""
    _frames: Any

    def __init__(self) -> None:
        self.first = 0
        self._hashes, self._frames = array("q"), None

    @cython.ccall
    @cython.exceptval(-1)
    def has(self, data: bytes, frame: cython.longlong) -> cython.bint:
        """Return whether these bytes are a copy, and remember them; `frame` is 0 if `first` is not asked for."""
        known = hash(data)
        if known in self._hashes:
            self.first = self._frames[self._hashes.index(known)] if frame else 0
            return True
        self._hashes.append(known)
        if frame:
            self._frames = self._frames or array("q")
            self._frames.append(frame)
        if len(self._hashes) > MAX_RECENT:
            del self._hashes[0]
            if frame:
                del self._frames[0]
        return False


@cython.no_gc
@cython.cclass
class _Seen:
    """The fields by which a copy of a packet is recognised."""

    __slots__ = ("frame", "header", "hops", "interface", "payload", "place", "time", "turn")

    frame: cython.longlong
    time: cython.longlong
    header: bytes
    """The TCP header."""
    payload: bytes
    hops: cython.longlong
    """The hop limit."""
    interface: cython.longlong
    place: cython.longlong
    """Offset of the payload in the frame."""
    turn: cython.longlong
    """How often the sending side had changed before."""


@cython.cclass
class Copies:
    """Distinguishes copies from new packets of a connection, and counts them."""

    __slots__ = ("_identifications", "_seen", "_speaker", "_turn", "_varies", "count", "first", "latest")

    count: cython.longlong
    """Number of copies."""
    first: tuple[int, int] | None
    """The frames of the first packet with a copy, and of that copy."""
    latest: cython.longlong
    """The frame number of the latest copy; 0 before the first."""
    _seen: dict[tuple[int, int, int, int, int, int], _Seen]
    _identifications: list[int | None]
    _varies: list[bool]
    """Whether the packets of each side have different identifications."""
    _speaker: cython.longlong
    _turn: cython.longlong

    def __init__(self) -> None:
        self.count = 0
        self.first = None
        self.latest = 0
        self._seen = {}
        self._identifications = [None, None]
        self._varies = [False, False]
        self._speaker = 0
        self._turn = 0

    @cython.ccall
    @cython.exceptval(-1)
    def has(self, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Return whether a packet is a copy, and count it if so."""
        earlier: _Seen | None = self._seen.get(_key(packet, sender))
        if earlier is None or not self._is_same(earlier, packet, sender):
            return False
        self.count += 1
        self.first = self.first or (earlier.frame, packet.frame)
        self.latest = packet.frame
        return True

    @cython.ccall
    @cython.exceptval(-1)
    def note(self, packet: Packet, sender: cython.longlong, payload: bytes) -> cython.bint:
        """Remember a new packet and its captured payload."""
        if sender != self._speaker:
            self._speaker = sender
            self._turn += 1
        known = self._identifications[sender]
        if known is not None and known != packet.identification:
            self._varies[sender] = True
        self._identifications[sender] = packet.identification
        seen: _Seen = _Seen.__new__(_Seen)
        seen.frame = packet.frame
        seen.time = packet.time
        seen.header = _header(packet)
        seen.payload = payload
        seen.hops = packet.hop_limit()
        seen.interface = packet.interface
        seen.place = packet.place
        seen.turn = self._turn
        self._seen[_key(packet, sender)] = seen
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _is_same(self, earlier: _Seen, packet: Packet, sender: cython.longlong) -> cython.bint:
        if earlier.payload != packet.captured_payload():
            return False
        timed: cython.bint = packet.time != _UNTIMED and earlier.time != _UNTIMED
        gap: cython.longlong = packet.time - earlier.time if timed else 0
        if self._varies[sender] and packet.identification > 0:
            return not timed or 0 <= gap < _IDENTIFIED_NS
        if not timed or not 0 <= gap < _COPY_NS:
            return False
        if _without_checksum(earlier.header) != _without_checksum(_header(packet)):
            return False
        if earlier.hops != packet.hop_limit() or earlier.interface != packet.interface or earlier.place != packet.place:
            return True
        # Bare acknowledgements are repeated at once if segments are missing (RFC 5681 section 3.2).
        distinctive: cython.bint = packet.length > 0 or packet.flags & _SYN_OR_FIN != 0 or self.count > 0
        return distinctive and earlier.turn == self._turn


@cython.cfunc
def _key(packet: Packet, sender: cython.longlong) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    return sender, packet.sequence, packet.acknowledgement, packet.flags, packet.length, packet.identification


@cython.cfunc
def _header(packet: Packet) -> bytes:
    return cut(packet.data, packet.transport, packet.payload)


@cython.cfunc
def _without_checksum(header: bytes) -> bytes:
    return header[:_CHECKSUM] + header[_CHECKSUM + 2 :]
