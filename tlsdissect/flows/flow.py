# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""One TCP connection as its headers show it: totals, sequence numbers, TCP's own handshake, and how it ended."""

from __future__ import annotations

from enum import IntEnum

import cython
from msgspec import Struct

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
"""Flags of a TCP header (RFC 9293 section 3.1)."""

UNKNOWN = -1
"""Stands for a sequence number that is not known."""
NEVER = (1 << 63) - 1
"""A time on the clock that never comes."""
PAST = -(1 << 63)
"""A time on the clock that is before all others."""
NO_TIME = -(1 << 63)
"""Stands for the time of a packet that was not seen."""

_FIN = FIN
_SYN = SYN
_RST = RST
_ACK = ACK
_MASK = 0xFFFFFFFF
_UNKNOWN = UNKNOWN
_NO_TIME = NO_TIME


class Interest(IntEnum):
    """Which packets of a flow still matter."""

    PACKETS = 0
    """Every packet."""
    RECORDS = 1
    """Packets that begin a record, other than application data that says nothing; and FIN and RST."""
    HELLOS = 2
    """Packets whose payload begins with a ClientHello or ServerHello."""
    NOTHING = 3


_HELLOS = Interest.HELLOS


class Signal(Struct, frozen=True, gc=False):
    """A FIN or RST."""

    frame: int
    end: int
    """Sequence number behind the last byte that its side sent."""


@cython.cclass
class TcpSide:
    """What one side's TCP headers show."""

    isn: cython.longlong
    """Initial sequence number, or the number before the first one seen; UNKNOWN before its first packet."""
    first: cython.longlong
    """Sequence number of its first byte; UNKNOWN where its SYN was not seen."""
    acknowledged: cython.longlong
    """Sequence number up to which the other side last acknowledged it; UNKNOWN where it has not."""
    seen: cython.bint
    """Whether it sent a packet that was counted."""
    fin_clock: cython.longlong
    """The clock at its first FIN; NEVER before that."""
    fin: Signal | None
    """Its first FIN."""
    rst: Signal | None
    """Its first RST."""

    def __init__(self) -> None:
        self.isn = self.first = self.acknowledged = UNKNOWN
        self.seen = False
        self.fin_clock = NEVER
        self.fin = self.rst = None


@cython.cclass
class TcpHandshake:
    """The times of TCP's three-way handshake (RFC 9293 section 3.5), NO_TIME for what was not seen."""

    syn: cython.longlong
    """The last SYN before it was answered."""
    synack: cython.longlong
    """The last SYN-ACK before it was acknowledged."""
    ack: cython.longlong
    """The first acknowledgement of the SYN-ACK."""
    opener: cython.longlong
    """The side that sent the SYN; UNKNOWN where neither a SYN nor a SYN-ACK was seen."""
    missed: cython.bint
    """The first acknowledgement seen was not of the SYN-ACK alone, so that one is not in the capture."""

    def __init__(self) -> None:
        self.syn = self.synack = self.ack = NO_TIME
        self.opener = UNKNOWN
        self.missed = False

    @cython.ccall
    def see(self, sender: cython.longlong, flags: cython.longlong, time: cython.longlong) -> None:
        """Look at a SYN or SYN-ACK."""
        if not flags & _ACK:
            if self.synack == _NO_TIME:
                self.syn = time
                self.opener = sender
        elif self.ack == _NO_TIME and sender != self.opener:
            self.synack = time
            self.opener = 1 - sender

    @cython.ccall
    def acknowledge(self, sender: cython.longlong, time: cython.longlong, of_syn: cython.bint) -> None:
        """Look at an acknowledgement: the first one tells the round trip, if it is of the SYN-ACK alone.

        One of payload, or in an RST, tells no round trip of TCP (RFC 8912 section 10), nor do those behind it.
        """
        if self.ack != _NO_TIME or self.synack == _NO_TIME or sender != self.opener:
            return
        if of_syn and not self.missed:
            self.ack = time
        else:
            self.missed = True


@cython.cclass
class Flow:
    """A TCP connection: from its first packet until nothing about it can change.

    `due` is when it is over: `closed_after` behind its close, or `silent_after` behind its latest packet. `queued` is
    the entry for it in the flow table's heap that counts; a flow whose `due` was put off is queued again when that
    entry comes up, so that a packet costs no heap operation.
    """

    endpoints: bytes
    """Addresses and ports of the first packet: source address, destination address, source port, destination port."""
    stream: cython.longlong
    first_frame: cython.longlong
    start: cython.longlong
    end: cython.longlong
    digits: cython.longlong
    packets: cython.longlong
    payload_bytes: cython.longlong
    """Payload bytes, repeated ones included."""
    interest: cython.longlong
    """An `Interest`."""
    passed: cython.bint
    """Payload was seen that is no TLS."""
    one: TcpSide
    """The side that sent the first packet: side 0."""
    other: TcpSide
    """Side 1."""
    handshake: TcpHandshake
    rst_clock: cython.longlong
    """The clock at the first RST; NEVER before that."""
    due: cython.longlong
    """The clock behind which the flow is over; PAST once it was returned as such."""
    queued: cython.longlong
    replaced: cython.bint
    """A later flow has its endpoints."""
    spoken: str | None
    """What was said in it, by `tracking.not_tls`; None where nothing is known of that."""
    counted: str | None
    """What it is counted as, when it is over and was no TLS; None before that."""

    def __init__(self, endpoints: bytes, stream: cython.longlong) -> None:
        self.endpoints = endpoints
        self.stream = stream
        self.first_frame = self.start = self.end = self.digits = 0
        self.packets = self.payload_bytes = 0
        self.interest = 0
        self.passed = False
        self.one = TcpSide()
        self.other = TcpSide()
        self.handshake = TcpHandshake()
        self.rst_clock = NEVER
        self.due = NEVER
        self.queued = NEVER
        self.replaced = False
        self.spoken = None
        self.counted = None

    @cython.ccall
    def side(self, number: cython.longlong) -> TcpSide:
        """Side 0, which sent the first packet, or side 1."""
        return self.other if number else self.one

    @cython.ccall
    def closed(self) -> cython.longlong:
        """The clock at which both sides had sent a FIN, or one a RST; NEVER while the flow is open."""
        fins: cython.longlong = max(self.one.fin_clock, self.other.fin_clock)
        return min(self.rst_clock, fins)

    @cython.ccall
    def count(self, frame: cython.longlong, time: cython.longlong, clock: cython.longlong, sender: cython.longlong,
              flags: cython.longlong, sequence: cython.longlong, acknowledgement: cython.longlong,
              length: cython.longlong) -> None:  # fmt: skip
        """Add a packet to the totals, and note what its header says."""
        me: TcpSide = self.other if sender else self.one
        peer: TcpSide = self.one if sender else self.other
        self.packets += 1
        self.payload_bytes += length
        self.end = time
        me.seen = True
        if flags & (_SYN | _FIN | _RST):
            self._signal(me, frame, time, clock, sender, flags, sequence, length)
        if flags & _ACK:
            peer.acknowledged = acknowledgement
            if self.handshake.ack == _NO_TIME and not flags & _SYN:
                self.handshake.acknowledge(sender, time, acknowledgement == peer.first and not flags & _RST)

    @cython.cfunc
    def _signal(self, me: TcpSide, frame: cython.longlong, time: cython.longlong, clock: cython.longlong,
                sender: cython.longlong, flags: cython.longlong, sequence: cython.longlong,
                length: cython.longlong) -> None:  # fmt: skip
        """Note a SYN, FIN or RST."""
        if flags & _SYN:
            sequence = (sequence + 1) & _MASK
            # Of several SYNs with different numbers, the last one that is not acknowledged yet counts.
            if me.first == _UNKNOWN or me.acknowledged == _UNKNOWN:
                me.first = sequence
            self.handshake.see(sender, flags, time)
        if flags & _FIN:
            me.fin_clock = min(me.fin_clock, clock)
        if flags & _RST:
            self.rst_clock = min(self.rst_clock, clock)
        # What ends a flow that is no TLS so far says nothing of the end of TLS that may begin later.
        if self.interest == _HELLOS:
            return
        if flags & _FIN and me.fin is None:
            me.fin = Signal(frame, (sequence + length) & _MASK)
        if flags & _RST and me.rst is None:
            me.rst = Signal(frame, (sequence + length) & _MASK)
