# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A TCP connection by its headers: totals, sequence numbers, the three-way handshake, and how it ended."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.capture.transport import NO_TIMESTAMP, timestamp, window_shift
from tlsdissect.flows.sequence import add, difference
from tlsdissect.flows.totals import Totals

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet

FIN, SYN, RST, ACK, URG = 0x01, 0x02, 0x04, 0x10, 0x20
"""Flags of a TCP header (RFC 9293 section 3.1)."""

UNKNOWN = -1
"""Stands for an unknown sequence number, window or side."""
NEVER = (1 << 63) - 1
"""Later than every time of the clock."""
PAST = -(1 << 63)
"""Earlier than every time of the clock."""
NO_TIME = -(1 << 63)
"""Stands for the time of a packet that was not captured."""

COPY_NS = 1_000_000
"""Nanoseconds within which an identical packet is a copy, not a retransmission: the retransmission timeout is at least
a second (RFC 6298 section 2.4)."""

_FIN = FIN
_SYN = SYN
_RST = RST
_ACK = ACK
_UNKNOWN = UNKNOWN
_NEVER = NEVER
_NO_TIME = NO_TIME
_NO_TIMESTAMP = NO_TIMESTAMP
_COPY_NS = COPY_NS
_INITIAL_TIMEOUT_NS = 1_000_000_000
"""Nanoseconds after which a SYN or SYN-ACK is sent again (RFC 6298 section 2)."""
_MAX_WINDOW = 1 << 30
"""Octets of the largest window (RFC 7323 section 2.3)."""
_IN_FLIGHT = 1 << 24
"""Octets that are never in flight together, if the window is not known."""
MAX_WITNESSES = 16
"""Segments of a side whose checksums are verified after a FIN or RST with a wrong one, until one is right."""
MAX_ANSWERS = 16
"""SYN-ACKs of a connection with different numbers that are remembered until one is acknowledged."""
NEAR = 1 << 16
"""Octets within which both numbers of a packet are near to those of a connection. Those of a new one with the same
endpoints are not: initial numbers advance every 4 us (RFC 9293 section 3.4.1), in Linux every 64 ns."""
_NEAR = NEAR
_DROPPED, _CHALLENGED, _RESETS = 0, 1, 2
"""Effects of a RST (RFC 9293 section 3.10.7.4): dropped; answered by a challenge ACK in newer stacks; reset."""


class Interest(IntEnum):
    """Which packets of a flow must still be decoded."""

    PACKETS = 0
    """Every packet."""
    RECORDS = 1
    """Packets that `RecordCursor` does not pass, and packets with SYN, FIN or RST."""
    HELLOS = 2
    """Packets whose payload begins with a ClientHello or ServerHello."""
    NOTHING = 3


_HELLOS = Interest.HELLOS


class Signal(Struct, frozen=True, gc=False):
    """A FIN or RST."""

    frame: int
    end: int
    """Sequence number after the last byte that its sender sent."""


@cython.no_gc
@cython.cclass
class TcpSide:
    """The state of one side, from the TCP headers of both."""

    isn: cython.longlong
    """Initial sequence number, or the first number seen minus one; UNKNOWN before its first packet."""
    first: cython.longlong
    """Sequence number of its first byte; UNKNOWN if its SYN was not captured."""
    acknowledged: cython.longlong
    """The other side's last acknowledgement number; UNKNOWN if there was none."""
    next: cython.longlong
    """Sequence number after everything that it sent (SND.NXT of RFC 9293); UNKNOWN before its first packet."""
    sent: cython.longlong
    """Octets from `first` to `next`. Sequence numbers wrap after 4 GiB; this does not."""
    window: cython.longlong
    """The unscaled window of its last packet; UNKNOWN before its first packet."""
    shift: cython.longlong
    """The shift count of its window (RFC 7323 section 2.2); UNKNOWN if its SYN was not captured."""
    seen: cython.bint
    """Whether it sent a packet of this connection."""
    stamp: cython.longlong
    """The timestamp of its SYN; NO_TIMESTAMP if there is none, or the SYN-ACK echoes none or an older one."""
    fin_clock: cython.longlong
    """The clock at its first FIN; NEVER before that."""
    fin: Signal | None
    """Its first FIN; if several end the stream at different places, the one with the lowest sequence number. It is None
    again once the other side acknowledges other bytes in its place."""
    fin_frame: cython.longlong
    """The frame of its first FIN, whether its stream is TLS or not; UNKNOWN before that."""
    fin_place: cython.longlong
    """The sequence number of that FIN."""
    far_fin: Signal | None
    """Its first FIN beyond the other side's window, until that acknowledges it: TCP drops one that was not sent by it
    (RFC 9293 section 3.10.7.4), and packets that the capture lacks may have opened the window for one that was."""
    rst: Signal | None
    """Its first RST that reset the connection."""
    challenged: Signal | None
    """Its first RST in the window but after everything that it had sent.

    Both are None again once later packets show that they were dropped.
    """
    reset_next: cython.longlong
    """The value of `next` when the latest RST of either side was captured."""
    computes: cython.bint
    """Whether its SYN had a right checksum, so that no network card computes its checksums after the capture."""
    suspect: cython.longlong
    """The frame of its latest FIN or RST with a wrong checksum, until that is judged; else UNKNOWN."""
    witnesses: cython.longlong
    """Segments after it whose checksums were verified."""
    answers: tuple[int, ...]
    """Sequence numbers of its first byte by other SYN-ACKs than the one that counts, until it sends bytes."""
    other_answer: cython.longlong
    """The frame of the latest SYN-ACK with another number; UNKNOWN if it was counted as dropped."""

    def __init__(self) -> None:
        self.isn = self.first = self.acknowledged = self.next = UNKNOWN
        self.sent = 0
        self.window = self.shift = self.reset_next = self.suspect = self.other_answer = UNKNOWN
        self.witnesses = 0
        self.answers = ()
        self.stamp = NO_TIMESTAMP
        self.seen = self.computes = False
        self.fin_clock = NEVER
        self.fin_frame = self.fin_place = UNKNOWN
        self.fin = self.far_fin = self.rst = self.challenged = None

    @cython.ccall
    def begin(self, sequence: cython.longlong) -> None:
        """Begin the stream at this number: earlier packets belong to an earlier connection."""
        self.first = self.next = sequence
        self.sent = 0
        if self.isn != add(sequence, -1):
            self.fin_clock = NEVER
            self.fin = self.far_fin = self.rst = self.challenged = None

    @cython.ccall
    @cython.exceptval(-1)
    def offset(self, sequence: cython.longlong) -> cython.longlong:
        """Return the octets from `first`, which must be known, to a sequence number; negative before it."""
        return self.sent + difference(sequence, self.next)

    @cython.ccall
    def reach(self, sequence: cython.longlong) -> None:
        """Advance `next` to the end of a segment, unless it is a retransmission."""
        ahead: cython.longlong = 0 if self.next == _UNKNOWN else difference(sequence, self.next)
        if self.next == _UNKNOWN or ahead > 0:
            self.next = sequence
            self.sent += ahead

    @cython.ccall
    def distance(self, sequence: cython.longlong) -> cython.longlong:
        """Return the octets from what it has sent, forwards or backwards, to a sequence number."""
        ahead: cython.longlong = difference(sequence, self.isn if self.next == _UNKNOWN else self.next)
        return max(ahead, 0 - ahead)

    @cython.ccall
    def open_window(self, peer: TcpSide) -> cython.longlong:
        """Return the octets that it accepts after the last acknowledged one; the maximum if its window is not known."""
        if self.window == _UNKNOWN or self.shift == _UNKNOWN or peer.shift == _UNKNOWN:
            return _MAX_WINDOW
        return self.window << self.shift

    @property
    def reset(self) -> Signal | None:
        """Its first RST that took effect, as far as is known."""
        if self.rst is None or (self.challenged is not None and self.challenged.frame < self.rst.frame):
            return self.challenged
        return self.rst


@cython.cfunc
def _is_soon(first: cython.longlong, later: cython.longlong) -> cython.bint:
    """Return whether a SYN with the later time cannot have been sent again, since the first copy was not captured."""
    return first >= 0 and later - first < _INITIAL_TIMEOUT_NS


@cython.cfunc
def _is_copy(first: cython.longlong, again: cython.longlong) -> cython.bint:
    """Return whether a packet follows one with the same flags so soon that it is a copy."""
    return first != _NO_TIME and first <= again < first + _COPY_NS


@cython.cclass
class TcpHandshake:
    """The times of TCP's three-way handshake (RFC 9293 section 3.5); NO_TIME for a packet that was not captured."""

    syn: cython.longlong
    """The last SYN before it was answered."""
    synack: cython.longlong
    """The last SYN-ACK before it was acknowledged."""
    ack: cython.longlong
    """The first acknowledgement of the SYN-ACK."""
    opener: cython.longlong
    """The side that sent the SYN; UNKNOWN if neither a SYN nor a SYN-ACK was captured."""
    missed: cython.bint
    """No acknowledgement of the SYN-ACK alone was captured: the first one also acknowledges payload, or is a RST."""
    early: cython.longlong
    """The opener's first acknowledgement, if the capture has it before the SYN-ACK."""
    early_number: cython.longlong
    """Its acknowledgement number."""
    late_side: cython.longlong
    """The side whose packets have too late a time: its SYN has a later one than the SYN-ACK, or its SYN-ACK than the
    acknowledgement, by less than the time after which it would be sent again. UNKNOWN if times show none."""

    def __init__(self) -> None:
        self.syn = self.synack = self.ack = self.early = NO_TIME
        self.early_number = UNKNOWN
        self.opener = UNKNOWN
        self.missed = False
        self.late_side = UNKNOWN

    @cython.ccall
    def add_syn(
        self, sender: cython.longlong, flags: cython.longlong, time: cython.longlong, first: cython.longlong
    ) -> None:
        """Add a SYN or SYN-ACK, whose side's first byte has the sequence number `first`.

        Of copies, the first counts. If the capture is not in the order of time, times decide: a SYN may be captured
        after the SYN-ACK, and a SYN-ACK after its acknowledgement.
        """
        if not flags & _ACK:
            if self.synack == _NO_TIME:
                if self.opener != sender or not _is_copy(self.syn, time):
                    self.syn = time
                self.opener = sender
            elif self.syn == _NO_TIME and sender == self.opener:
                if time <= self.synack:
                    self.syn = time
                elif _is_soon(self.synack, time):
                    self.late_side = sender
        elif self.ack == _NO_TIME and sender != self.opener:
            if not _is_copy(self.synack, time):
                self.synack = time
            self.opener = 1 - sender
            if self.early != _NO_TIME and self.early_number == first:
                if time <= self.early:
                    self.ack = self.early
                elif _is_soon(self.early, time):
                    self.late_side = sender

    @cython.ccall
    def acknowledge(
        self, sender: cython.longlong, time: cython.longlong, of_syn: cython.bint, number: cython.longlong
    ) -> None:
        """Add an acknowledgement: the first one ends the round trip if it acknowledges the SYN-ACK and no payload.

        If the first one acknowledges payload or is a RST, no acknowledgement ends the round trip of the handshake
        (RFC 8912 section 10).
        """
        if self.ack != _NO_TIME or sender != self.opener:
            return
        if self.synack == _NO_TIME:
            if self.early == _NO_TIME:
                self.early = time
                self.early_number = number
            return
        if of_syn and not self.missed:
            self.ack = time
        else:
            self.missed = True


@cython.cclass
class Flow(Totals):
    """A TCP connection, from its first packet until no packet can change it.

    It is over at `due`: `closed_after` after its close, or `silent_after` after its latest packet. `queued` is the time
    of its valid entry in the flow table's heap. A packet postpones `due` without a heap operation; when the entry is
    popped, the flow is queued again for its `due`.
    """

    interest: cython.longlong
    """An `Interest`."""
    dropped: cython.longlong
    """Packets that TCP drops: those of an earlier connection, and RSTs outside the window."""
    first_dropped: cython.longlong
    """The frame of the first of them."""
    passed: cython.bint
    """Whether payload was captured that is not TLS."""
    given_up_segment: object
    """The beginning of its latest segment when it was given up as not TLS: a hello may follow in its place."""
    one: TcpSide
    """The side that sent the first packet: side 0."""
    other: TcpSide
    """Side 1."""
    handshake: TcpHandshake
    rst_clock: cython.longlong
    """The clock at the first RST; NEVER before that."""
    may_have_dropped: cython.bint
    """Whether later packets may show that a RST, FIN or SYN-ACK was dropped."""
    resets: cython.longlong
    """RSTs that later packets may show to have been dropped."""
    first_reset: cython.longlong
    """The frame of the first of them."""
    reset_time: cython.longlong
    """The time of the latest of them."""
    unfinished: cython.bint
    """Whether a ClientHello has begun and is not complete. A RST or FINs then say little: they may be forged, and what
    comes after a pause is the rest of the hello. So the flow is not over sooner than one that is open."""
    gave_up: cython.bint
    """Whether it was given up because too many flows had its endpoints, or may continue one that was."""
    due: cython.longlong
    """The clock after which the flow is over; PAST once it was returned as over."""
    queued: cython.longlong
    replaced: cython.bint
    """Whether the flow table finds another flow by its endpoints."""
    claims: cython.bint
    """Whether its SYN came while another flow with its endpoints was established, and has not been answered."""
    rival: Flow | None
    """The flow of the latest SYN with another sequence number."""
    former: Flow | None
    """The flow that had the endpoints before this one, as long as it may continue."""
    outlived: cython.bint
    """Whether it continued after the SYN of its rival was answered, so that the answer was forged, too."""
    protocol: str | None
    """Its protocol by `handshake.not_tls`; None if unknown."""
    counted: str | None
    """The kind under which it was counted once it was over and not TLS; None before that."""
    follower: Any
    """What reads its handshake, else None."""

    def __init__(self, endpoints: bytes, stream: cython.longlong) -> None:
        Totals.__init__(self, endpoints, stream)
        self.dropped = self.first_dropped = 0
        self.interest = 0
        self.passed = False
        self.given_up_segment = None
        self.one = TcpSide()
        self.other = TcpSide()
        self.handshake = TcpHandshake()
        self.rst_clock = NEVER
        self.may_have_dropped = False
        self.resets = self.first_reset = 0
        self.reset_time = NO_TIME
        self.unfinished = self.gave_up = False
        self.due = NEVER
        self.queued = NEVER
        self.replaced = self.claims = False
        self.rival = None
        self.former = None
        self.outlived = False
        self.protocol = None
        self.counted = None
        self.follower = None

    @cython.ccall
    def side(self, number: cython.longlong) -> TcpSide:
        """Return side 0, which sent the first packet, or side 1."""
        return self.other if number else self.one

    @cython.ccall
    @cython.exceptval(-1)
    def closed(self) -> cython.longlong:
        """Return the clock at which both sides had sent a FIN, or one a RST; NEVER while the flow is open."""
        fins: cython.longlong = max(self.one.fin_clock, self.other.fin_clock)
        return min(self.rst_clock, fins)

    @cython.ccall
    def is_established(self) -> cython.bint:
        """Return whether the connection is open, and more was captured of it than SYNs without a SYN-ACK."""
        times: TcpHandshake = self.handshake
        begun: cython.bint = times.opener == _UNKNOWN or times.synack != _NO_TIME or times.early != _NO_TIME
        return begun and self.closed() == _NEVER

    @cython.ccall
    def contest(self, rival: Flow) -> None:
        """Let another flow claim the endpoints; an earlier claim that was not answered was dropped."""
        self.first_dropped = self.first_drop()
        self.dropped += self.unanswered()
        self.rival = rival

    @cython.ccall
    def unanswered(self) -> cython.longlong:
        """Return the number of SYNs, and of packets after them, that claim endpoints and did not get them.

        A SYN that is earlier than all that was captured before it did not come into an established connection: the
        capture is not in the order of time, and most likely it began this one.
        """
        if self.claims:
            return self.packets
        rival: Flow | None = self.rival
        if rival is None or rival.start < self.start:
            return 0
        return 0 if rival.other.seen and not self.outlived else rival.packets

    @cython.ccall
    def first_drop(self) -> cython.longlong:
        """Return the frame of the first packet that TCP dropped, those that were not answered included; 0 if none."""
        if self.claims:
            return self.first_frame
        rival: Flow | None = self.rival
        if rival is None or not self.unanswered():
            return self.first_dropped
        return min(self.first_dropped, rival.first_frame) if self.dropped else rival.first_frame

    @cython.ccall
    def has_number(self, packet: Packet, rival: Flow) -> cython.bint:
        """Return whether a packet belongs to this flow by its number, and not to one that claims its endpoints.

        The number is that of the bytes of the side that claims them: the other side acknowledges it. What is in this
        flow's window belongs to it; otherwise the nearest one decides.
        """
        mine: TcpSide = self.one if rival.endpoints == self.endpoints else self.other
        peer: TcpSide = self.other if rival.endpoints == self.endpoints else self.one
        number: cython.longlong = packet.sequence
        if packet.endpoints != rival.endpoints:
            if not packet.flags & _ACK:
                return True
            number = packet.acknowledgement
        away: cython.longlong = mine.distance(number)
        return away <= min(peer.open_window(mine), _IN_FLIGHT) or away <= rival.one.distance(number)

    @cython.ccall
    def distance(self, packet: Packet) -> cython.longlong:
        """Return how far the numbers of a packet are from those of this flow, as far as these are known."""
        mine: TcpSide = self.one if packet.endpoints == self.endpoints else self.other
        peer: TcpSide = self.other if packet.endpoints == self.endpoints else self.one
        away: cython.longlong = 0 if mine.isn == _UNKNOWN else mine.distance(packet.sequence)
        if packet.flags & _ACK and peer.isn != _UNKNOWN:
            away += peer.distance(packet.acknowledgement)
        return away

    @cython.ccall
    def has_both_numbers(self, packet: Packet) -> cython.bint:
        """Return whether both sides are known, and both numbers of a packet are near to what they sent."""
        mine: TcpSide = self.one if packet.endpoints == self.endpoints else self.other
        peer: TcpSide = self.other if packet.endpoints == self.endpoints else self.one
        if not packet.flags & _ACK or not mine.seen or not peer.seen:
            return False
        return mine.distance(packet.sequence) <= _NEAR and peer.distance(packet.acknowledgement) <= _NEAR

    @cython.ccall
    def has_both_fins(self) -> cython.bint:
        """Return whether both sides sent a FIN."""
        return self.one.fin_clock != _NEVER and self.other.fin_clock != _NEVER

    @cython.ccall
    @cython.exceptval(-1)
    def count(self, packet: Packet, clock: cython.longlong, sender: cython.longlong) -> cython.bint:
        """Add a packet to the totals and the state of its side; return False if TCP drops it."""
        me: TcpSide = self.other if sender else self.one
        peer: TcpSide = self.one if sender else self.other
        flags: cython.longlong = packet.flags
        self.add(packet)
        if flags & (_FIN | _RST) and me.computes and packet.length == 0 and packet.checksum_is_wrong():
            # RFC 9293 section 3.1.
            self._drop(packet.frame)
            return False
        if flags & _RST:
            return self._reset(me, peer, packet, clock, sender)
        if self.may_have_dropped:
            self._judge(me, peer, packet)
        if _is_of_earlier_connection(me, peer, packet):
            self._drop(packet.frame)
            return False
        me.seen = True
        end: cython.longlong = add(packet.sequence, packet.length)
        if flags & _SYN and self._is_late(me, packet):
            self._drop(packet.frame)
            return False
        if flags & (_SYN | _FIN):
            end = self._signal(me, peer, packet, clock, sender)
        me.reach(end)
        me.window = packet.window
        if flags & _ACK:
            peer.acknowledged = packet.acknowledgement
            fin: Signal | None = peer.far_fin
            if fin is not None and difference(packet.acknowledgement, fin.end) == 1:
                self._end(peer, fin, clock)
            if peer.fin_clock != _NEVER:
                self._reopen(peer)
            if self.handshake.ack == _NO_TIME and not flags & _SYN:
                of_syn: cython.bint = packet.acknowledgement == peer.first
                self.handshake.acknowledge(sender, packet.time, of_syn, packet.acknowledgement)
        return True

    @cython.cfunc
    def _signal(self, me: TcpSide, peer: TcpSide, packet: Packet, clock: cython.longlong,
                sender: cython.longlong) -> cython.longlong:  # fmt: skip
        """Process a SYN or FIN; return the sequence number that its side has reached."""
        sequence: cython.longlong = packet.sequence
        end: cython.longlong = add(sequence, packet.length)
        if packet.flags & _SYN:
            sequence = add(sequence, 1)
            end = add(end, 1)
            if not packet.flags & _ACK and self.payload_bytes == packet.length:
                self._forget_resets()
            # Of several SYNs with different numbers, the last one that is not acknowledged yet counts.
            if me.first != sequence and me.first != _UNKNOWN and packet.flags & _ACK:
                self._add_answer(me, packet.frame, sequence)
            if me.first != sequence and (me.first == _UNKNOWN or me.acknowledged == _UNKNOWN):
                me.begin(sequence)
            if me.first == sequence:
                me.shift = window_shift(packet)
                me.computes = packet.captured == packet.length and packet.checksum_is_right()
                self._stamp(me, peer, packet)
            self.handshake.add_syn(sender, packet.flags, packet.time, sequence)
        if packet.flags & _FIN:
            fin = Signal(packet.frame, end)
            self._suspect(me, packet)
            if me.next != _UNKNOWN and difference(sequence, me.next) > peer.open_window(me):
                if me.far_fin is None:
                    me.far_fin = fin
                return me.next
            self._end(me, fin, clock)
            self.may_have_dropped = self.may_have_dropped or not peer.seen
            end = add(end, 1)
        return end

    @cython.cfunc
    def _stamp(self, me: TcpSide, peer: TcpSide, packet: Packet) -> None:
        """Note the timestamp of a SYN, which the other side knows from then on (RFC 7323 section 4.3).

        Of several, the oldest counts, as any may have been dropped.
        """
        own: cython.longlong = timestamp(packet.data, packet.transport, packet.payload, False)
        answer: cython.bint = packet.flags & _ACK != 0
        first: cython.bint = (self.handshake.synack if answer else self.handshake.syn) == _NO_TIME
        if first or own == _NO_TIMESTAMP or (me.stamp != _NO_TIMESTAMP and difference(own, me.stamp) < 0):
            me.stamp = own
        if answer and peer.stamp != _NO_TIMESTAMP:
            echoed: cython.longlong = timestamp(packet.data, packet.transport, packet.payload, True)
            if echoed == _NO_TIMESTAMP or difference(echoed, peer.stamp) < 0:
                me.stamp = peer.stamp = NO_TIMESTAMP

    @cython.cfunc
    def _end(self, me: TcpSide, fin: Signal, clock: cython.longlong) -> None:
        """End the stream of a side with its FIN."""
        if me.fin_clock == _NEVER:
            me.fin_frame, me.fin_place = fin.frame, fin.end
        me.fin_clock = min(me.fin_clock, clock)
        me.far_fin = None
        # The end of an earlier exchange that was not TLS is not the end of TLS that may begin later.
        if self.interest != _HELLOS and (me.fin is None or self._precedes(me, fin.end, me.fin.end)):
            me.fin = fin

    @cython.cfunc
    def _precedes(self, me: TcpSide, end: cython.longlong, known: cython.longlong) -> cython.bint:
        """Return whether a FIN ends the stream before a known one, which its receiver then never reaches.

        A FIN before bytes that the other side has acknowledged is too old to end anything (RFC 9293 section 3.4).
        """
        is_new: cython.bint = me.acknowledged == _UNKNOWN or difference(end, me.acknowledged) >= 0
        return is_new and difference(end, known) < 0

    @cython.cfunc
    def _reopen(self, me: TcpSide) -> None:
        """Discard a FIN if the other side acknowledges bytes that were sent in its place: it was dropped."""
        if difference(me.acknowledged, me.fin_place) > 1 and difference(me.next, me.acknowledged) >= 0:
            self._drop_fin(me)

    @cython.cfunc
    def _forget_resets(self) -> None:
        """Forget the RSTs before a SYN without earlier payload: it is a new attempt (RFC 9293 section 3.5.1)."""
        self.rst_clock = NEVER
        self.resets = 0
        self.one.rst = self.one.challenged = self.other.rst = self.other.challenged = None

    @cython.cfunc
    def _reset(self, me: TcpSide, peer: TcpSide, packet: Packet, clock: cython.longlong,
               sender: cython.longlong) -> cython.bint:  # fmt: skip
        """Process a RST; return False if TCP drops it."""
        effect: cython.longlong = self._effect(me, peer, packet, sender)
        if effect == _DROPPED:
            self._drop(packet.frame)
            return False
        me.seen = True
        if packet.flags & _ACK and (peer.first == _UNKNOWN or peer.offset(packet.acknowledgement) >= 0):
            peer.acknowledged = packet.acknowledgement
            if self.handshake.ack == _NO_TIME:
                self.handshake.acknowledge(sender, packet.time, False, packet.acknowledgement)
        # Text in a RST is not stream data (RFC 9293 section 3.5.3).
        signal = Signal(packet.frame, packet.sequence)
        self.may_have_dropped = True
        if self.resets == 0:
            self.first_reset = packet.frame
        self.resets += 1
        self.reset_time = packet.time
        self.one.reset_next, self.other.reset_next = self.one.next, self.other.next
        self._suspect(me, packet)
        if effect == _RESETS:
            self.rst_clock = min(self.rst_clock, clock)
        if self.interest == _HELLOS:
            return True
        if effect == _RESETS:
            if me.rst is None:
                me.rst = signal
        elif me.challenged is None:
            me.challenged = signal
        return True

    @cython.cfunc
    def _suspect(self, me: TcpSide, packet: Packet) -> None:
        """Note a FIN or RST without data if its checksum is wrong: receivers drop such segments (RFC 9293 section 3.1).

        If the SYN of its sender was not captured, it counts as dropped once another segment of its sender has a right
        checksum. Until then, the network card may compute the checksums after the capture.
        """
        if packet.length == 0 and packet.checksum_is_wrong():
            me.suspect = packet.frame
            me.witnesses = 0
            self.may_have_dropped = True

    @cython.cfunc
    def _is_late(self, me: TcpSide, packet: Packet) -> cython.bint:
        """Return whether a SYN has another number than the one that the other side has acknowledged.

        A challenge ACK answers it, and its data are dropped with it (RFC 5961 section 4).
        """
        sequence: cython.longlong = add(packet.sequence, 1)
        if me.first == _UNKNOWN or me.first == sequence or me.acknowledged == _UNKNOWN:
            return False
        if packet.flags & _ACK:
            self._add_answer(me, UNKNOWN, sequence)
        return True

    @cython.cfunc
    def _add_answer(self, me: TcpSide, frame: cython.longlong, sequence: cython.longlong) -> None:
        """Remember a SYN-ACK with another number: the acknowledgement of one shows which was not dropped."""
        other: cython.longlong = sequence if me.acknowledged != _UNKNOWN else me.first
        if me.sent == 0 and other not in me.answers and len(me.answers) < MAX_ANSWERS:
            me.answers = (*me.answers, other)
            me.other_answer = frame
            self.may_have_dropped = True

    @cython.cfunc
    def _judge(self, me: TcpSide, peer: TcpSide, packet: Packet) -> None:
        """Undo a RST, FIN or SYN-ACK if a packet shows that its receiver dropped it."""
        flags: cython.longlong = packet.flags
        number: cython.longlong = packet.acknowledgement
        if flags & _ACK and self.resets and packet.time >= self.reset_time:
            # Both sides go on: one acknowledges bytes that the other sent after the RST.
            rst: Signal | None = peer.challenged
            since: cython.longlong = peer.reset_next
            if since == _UNKNOWN and peer.seen:
                since = add(peer.isn, 1)
            if since != _UNKNOWN and difference(number, since) > 0 and (rst is None or number != rst.end):
                self._drop_resets()
        if me.suspect != _UNKNOWN:
            me.witnesses += 1
            if packet.captured == packet.length and packet.checksum_is_right():
                self._drop_suspect(me)
            elif me.witnesses >= MAX_WITNESSES:
                me.suspect = UNKNOWN
        if flags & _SYN:
            return
        if not peer.seen and me.fin_clock != _NEVER and packet.length > 0:
            # Without the other side's acknowledgements: a sender whose FIN it was sends nothing after it.
            end: cython.longlong = add(packet.sequence, packet.length)
            if difference(end, me.fin_place) > 1:
                self._drop_fin(me)
        if flags & _ACK and peer.sent == 0 and number in peer.answers:
            self._choose_answer(peer, number)
        if packet.length > 0 and me.sent == 0 and me.acknowledged == _UNKNOWN and packet.sequence in me.answers:
            self._choose_answer(me, packet.sequence)

    @cython.cfunc
    def _choose_answer(self, me: TcpSide, first: cython.longlong) -> None:
        """Begin the stream of a side where the SYN-ACK says that was not dropped."""
        if me.other_answer != _UNKNOWN:
            self._drop(me.other_answer)
        me.answers = (*[one for one in me.answers if one != first], me.first)
        me.stamp = NO_TIMESTAMP
        me.begin(first)

    @cython.cfunc
    def _drop_resets(self) -> None:
        """Undo all RSTs: they were dropped."""
        self._drop(self.first_reset)
        self.dropped += self.resets - 1
        self._forget_resets()

    @cython.cfunc
    def _drop_suspect(self, me: TcpSide) -> None:
        """Forget a FIN or RST whose checksum is wrong: its receiver dropped it."""
        rst: Signal | None = me.reset
        if me.fin_clock != _NEVER and me.fin_frame == me.suspect:
            self._drop_fin(me)
        elif rst is not None and rst.frame == me.suspect:
            self._drop_resets()
        elif me.far_fin is not None and me.far_fin.frame == me.suspect:
            me.far_fin = None
            self._drop(me.suspect)
        me.suspect = UNKNOWN

    @cython.cfunc
    def _drop_fin(self, me: TcpSide) -> None:
        """Undo a FIN: it was dropped."""
        self._drop(me.fin_frame)
        me.fin_clock = NEVER
        me.fin = None

    @cython.ccall
    def continue_after_end(self) -> None:
        """Undo what closed the connection: it goes on later than a connection that was closed may."""
        if self.resets:
            self._drop_resets()
        if self.one.fin_clock != _NEVER:
            self._drop_fin(self.one)
        if self.other.fin_clock != _NEVER:
            self._drop_fin(self.other)

    @cython.cfunc
    def _drop(self, frame: cython.longlong) -> None:
        """Count a packet that TCP drops."""
        if self.dropped == 0 or frame < self.first_dropped:
            self.first_dropped = frame
        self.dropped += 1

    @cython.cfunc
    def _effect(self, me: TcpSide, peer: TcpSide, packet: Packet, sender: cython.longlong) -> cython.longlong:
        """Return the effect of a RST, by its sequence number or, if it answers a SYN, its acknowledgement number.

        RFC 9293 sections 3.10.7.3 and 3.10.7.4.
        RCV.NXT of its receiver is not visible: it lies between the last acknowledgement and the last byte that was
        sent. A RST in this range counts as one that resets.
        """
        begun: cython.bint = self.handshake.opener == 1 - sender and self.handshake.synack == _NO_TIME
        if begun and not me.seen and peer.first != _UNKNOWN and peer.sent == 0:
            # RFC 9293 section 3.10.7.3.
            answers: cython.bint = packet.flags & _ACK != 0 and packet.acknowledgement == peer.first
            return _RESETS if answers else _DROPPED
        least: cython.longlong = me.first if me.acknowledged == _UNKNOWN else me.acknowledged
        most: cython.longlong = least if me.next == _UNKNOWN else me.next
        if most == _UNKNOWN:
            return _RESETS
        if least != _UNKNOWN:
            # After a FIN was acknowledged, a RST may have the sequence number of the FIN itself.
            behind: cython.longlong = difference(packet.sequence, least)
            if behind < -1 or (behind == -1 and me.fin_clock == _NEVER):
                return _DROPPED
            if difference(most, least) < 0:
                most = least
        ahead: cython.longlong = difference(packet.sequence, most)
        if ahead <= 0:
            return _RESETS
        return _DROPPED if ahead > peer.open_window(me) else _CHALLENGED


@cython.cfunc
@cython.exceptval(-1)
def _is_of_earlier_connection(me: TcpSide, peer: TcpSide, packet: Packet) -> cython.bint:
    """Return whether a segment belongs to an earlier connection (RFC 9293 sections 3.4.3, 3.10.7.3 and 3.10.7.4).

    It ends at least two octets before its side's first byte, where a keep-alive ends one octet before it; or it
    acknowledges something before the first byte of the other side.
    """
    flags: cython.longlong = packet.flags
    if me.first != _UNKNOWN and not flags & _SYN and me.offset(add(packet.sequence, packet.length)) < -1:
        return True
    return flags & _ACK != 0 and peer.first != _UNKNOWN and peer.offset(packet.acknowledgement) < 0
