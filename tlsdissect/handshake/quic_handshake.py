# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The handshake of a QUIC connection: CRYPTO frames joined to messages, alerts, and Handshake packets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.crypto_stream import CryptoStream
from tlsdissect.handshake.events import HandshakeEvent, new_event, new_sealed
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
from tlsdissect.handshake.problems import CryptoConflict, ProblemList
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.quic_packets import LongPacket, long_packets
from tlsdissect.tls.record import ALERT, HANDSHAKE, Message, MessageJoiner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.model.transcript import PacketRef

MAX_ENCRYPTED = 256
"""Maximum datagrams with Handshake packets kept of each side of a QUIC connection."""
FATAL = 2
"""The level of the alert that a CONNECTION_CLOSE stands for (RFC 9001 section 4.8)."""
CONFLICT = "CRYPTO frames have different bytes at the same offset: those that were joined first count"
"""The detail of a problem."""
BYTES_MISSING = "bytes of the handshake are missing"
"""The detail of another."""

# C integers, by the .pxd.
_MAX_ENCRYPTED, _MESSAGE_HEADER = MAX_ENCRYPTED, 4
_HANDSHAKE, _ALERT, _UNKNOWN = HANDSHAKE, ALERT, UNKNOWN


@cython.no_gc
@cython.cclass
class Datagram:
    """A UDP datagram."""

    data: bytes
    packets: list[LongPacket]
    """Its packets with long headers."""
    sender: cython.longlong
    frame: cython.longlong
    time: cython.longlong
    length: cython.longlong
    """As `Packet.length`."""
    offset: cython.longlong
    """As `Packet.place`."""


@cython.ccall
def new_datagram(packet: Packet, sender: cython.longlong) -> Datagram:
    """Make a datagram of a captured packet."""
    datagram: Datagram = Datagram.__new__(Datagram)
    datagram.data = packet.captured_payload()
    datagram.packets = long_packets(datagram.data)
    datagram.sender = sender
    datagram.frame = packet.frame
    datagram.time = packet.time
    datagram.length = packet.length
    datagram.offset = packet.place
    return datagram


@cython.cclass
class _Side:
    """What one side sent."""

    crypto: CryptoStream
    joiner: MessageJoiner
    end: cython.longlong
    """Bytes of its messages and Handshake packets."""
    encrypted: cython.longlong
    """Datagrams with Handshake packets."""
    first_encrypted: cython.longlong
    """The frame of the first of them; 0 if there was none."""
    frames: set[int]
    """The frames with bytes of the message that is not whole yet."""
    latest_frame: cython.longlong
    """The latest frame with such bytes; 0 if there was none."""
    problems: ProblemList
    first_hole: cython.longlong
    """Where bytes of its messages in Initial packets are missing; UNKNOWN if none are."""

    def __init__(self) -> None:
        self.crypto = CryptoStream()
        self.joiner = MessageJoiner()
        self.end = 0
        self.encrypted = 0
        self.first_encrypted = 0
        self.frames = set()
        self.latest_frame = 0
        self.problems = ProblemList()
        self.first_hole = UNKNOWN


@cython.cclass
class QuicHandshake:
    """The log of a handshake while it goes on."""

    log: HandshakeLog
    _budget: Budget
    _one: _Side
    _other: _Side

    def __init__(self, budget: Budget, keys: CaptureKeys | None) -> None:
        """With `keys`, Handshake packets are kept to be opened if there may be secrets for them."""
        self._budget = budget
        self.log = HandshakeLog(budget, keys=keys)
        self._one = _Side()
        self._other = _Side()

    @cython.cfunc
    def _side(self, sender: cython.longlong) -> _Side:
        return self._one if sender == 0 else self._other

    @cython.ccall
    def has_hellos(self) -> cython.bint:
        """Return whether the hellos of both sides are known."""
        return self.log.client_hello is not None and self.log.server_hello is not None

    @cython.ccall
    def conflicts(self, sender: cython.longlong) -> cython.bint:
        """Return whether a side sent different bytes at the same offset."""
        return self._side(sender).crypto.conflict is not None

    @cython.ccall
    def report(self, sender: cython.longlong, code: str, detail: str, frame: cython.longlong) -> cython.bint:
        """Report a problem of a side; return whether it was not reported before."""
        problems: ProblemList = self._side(sender).problems
        for problem in problems:
            if problem.detail == detail:
                return False
        problems.report(code, detail, frame, None)
        return True

    def report_fragments(self, sender: cython.longlong, frame: cython.longlong, conflict: FragmentConflict) -> None:
        """Report that the IP fragments of a datagram of a side differ."""
        self._side(sender).problems.report_fragments(frame, conflict)

    @cython.ccall
    def add_crypto(self, offset: cython.longlong, data: bytes, datagram: Datagram) -> cython.bint:
        """Add a CRYPTO frame, and the messages that it completes; return whether all of its bytes were known."""
        side: _Side = self._side(datagram.sender)
        crypto: CryptoStream = side.crypto
        joiner: MessageJoiner = side.joiner
        message: Message
        known: cython.longlong = crypto.news
        before: cython.longlong = crypto.held_bytes() + joiner.waiting
        if offset + len(data) > crypto.position:
            side.frames.add(datagram.frame)
            side.latest_frame = datagram.frame
        joined: bytes | None = None if self._budget.is_spent() else crypto.add(offset, data)
        if joined is None:
            self.report(datagram.sender, "limit", "more bytes of CRYPTO frames were sent than are kept", datagram.frame)
            return False
        if crypto.conflict is not None:
            self._report_conflict(side, crypto.conflict, datagram.frame)
        if len(joined) > 0:
            for message in joiner.feed(joined, 0):
                size: cython.longlong = len(message.body)
                self._add_message(
                    datagram.sender, message.handshake_type, message.body, size, datagram.frame, datagram.time
                )
        if joiner.malformed is not None:
            detail = "a handshake message states too great a length"
            self.report(datagram.sender, "malformed_message", detail, datagram.frame)
            joiner.malformed = None
        self.log.account(crypto.held_bytes() + joiner.waiting - before)
        return crypto.news == known

    @cython.cfunc
    def _report_conflict(self, side: _Side, conflict: CryptoConflict, frame: cython.longlong) -> cython.bint:
        """Report that a side changed bytes, which it must not (RFC 9000 section 2.2); once."""
        problems: ProblemList = side.problems
        for problem in problems:
            if problem.detail == CONFLICT:
                return False
        copies = conflict.copies(side.crypto.position, frame)
        problems.report("conflicting_data", CONFLICT, frame, conflict.offset, copies)
        return True

    @cython.cfunc
    def _add_message(
        self,
        sender: cython.longlong,
        kind: cython.longlong,
        body: bytes,
        size: cython.longlong,
        frame: cython.longlong,
        time: cython.longlong,
    ) -> cython.bint:
        side: _Side = self._side(sender)
        start: cython.longlong = side.end
        side.end = start + _MESSAGE_HEADER + size
        event: HandshakeEvent = new_event(sender, _HANDSHAKE, kind, size, body, frame, time, start, side.end, False)
        self.log.add_message(event, side.problems, len(side.frames))
        side.frames = set()
        if side.joiner.waiting > 0:
            side.frames.add(frame)
        return True

    @cython.ccall
    def add_alert(self, description: cython.longlong, datagram: Datagram) -> cython.bint:
        """Add the alert that a CONNECTION_CLOSE stands for."""
        end: cython.longlong = self._side(datagram.sender).end
        body = bytes([FATAL, description])
        event: HandshakeEvent = new_event(
            datagram.sender, _ALERT, None, len(body), body, datagram.frame, datagram.time, end, end, False
        )
        self.log.add_event(event)
        return True

    @cython.ccall
    def add_encrypted(self, size: cython.longlong, datagram: Datagram) -> cython.bint:
        """Add a datagram whose Handshake packets have Length fields with this sum; return whether it is kept."""
        side: _Side = self._side(datagram.sender)
        if side.encrypted >= _MAX_ENCRYPTED:
            return False
        side.encrypted += 1
        if side.first_encrypted == 0:
            side.first_encrypted = datagram.frame
        start: cython.longlong = side.end
        side.end += size
        event: HandshakeEvent = new_event(
            datagram.sender, _HANDSHAKE, None, size, b"", datagram.frame, datagram.time, start, side.end, True
        )
        self.log.add_event(event)
        return True

    @cython.ccall
    def seal(self, packet: LongPacket, datagram: Datagram, position: cython.longlong) -> cython.bint:
        """Keep a Handshake packet if keys may open it; `position` is the datagram's among the bytes of its sender.

        Return whether keys may open it.
        """
        self.log.look_for_keys()
        if not self.log.opens or packet.end > len(datagram.data):
            return False
        body: bytes = cut(datagram.data, packet.start, packet.end)
        start: cython.longlong = position + packet.start
        self.log.add_sealed(
            new_sealed(datagram.sender, 0, 0, HANDSHAKE, packet.version, body, datagram.frame, datagram.time, start)
        )
        return True

    def finish(
        self, client: cython.longlong, one_rtt: Sequence[PacketRef | None] = (None, None)
    ) -> LoggedHandshake | None:
        """Return the handshake, and its bytes to the budget; None if there was no hello.

        `one_rtt` are the first 1-RTT packets of each side. What is known only at the end of the connection is
        left open.
        """
        log: HandshakeLog = self.log
        for sender in (client, 1 - client):
            self._break_off(sender, self._later_frame(sender, one_rtt[sender]))
        log.sort()
        log.account(-log.held_bytes)
        if log.client == _UNKNOWN:
            return None
        summaries = _summary(self._one), _summary(self._other)
        logged: LoggedHandshake = LoggedHandshake.without_tcp(
            "quic", log, summaries, two_sided=True, given_up=False, until=UNTIMED, damage=(), recording=None
        )
        logged.client = client
        return logged

    def take_sealed(self, logged: LoggedHandshake) -> None:
        """Give a handshake that is over the packets that were kept since, and their bytes to the budget."""
        log: HandshakeLog = self.log
        logged.sealed_records = tuple(log.sealed_records)
        logged.unkept = log.unkept
        log.account(-log.held_bytes)

    @cython.cfunc
    def _later_frame(self, sender: cython.longlong, one_rtt: PacketRef | None) -> cython.longlong:
        """Return the frame of a packet that a side or its peer sends only after that side's Initial packets; 0 if none.

        The keys of Handshake packets follow from both hellos (RFC 9001 section 4.1.4).
        """
        side: _Side = self._side(sender)
        other: _Side = self._side(1 - sender)
        if side.first_encrypted != 0:
            return side.first_encrypted
        if other.first_encrypted != 0:
            return other.first_encrypted
        if one_rtt is not None:
            return one_rtt.frame
        answer = self.log.server_hello
        return 0 if answer is None or answer.event.sender == sender else answer.event.frame

    @cython.cfunc
    def _break_off(self, sender: cython.longlong, later: cython.longlong) -> cython.bint:
        """Add the beginning of a hello whose end is missing; `later` is the frame of a packet sent after it, or 0.

        Return whether bytes are missing.
        """
        side: _Side = self._side(sender)
        begun: bytes = side.joiner.drop()[0]
        if side.latest_frame == 0:
            if later:
                cut_packets = [problem for problem in side.problems if problem.code == "truncated_packet"]
                lacking = BYTES_MISSING if cut_packets else "the capture lacks the Initial packets of this side"
                self.report(sender, "gap", lacking, later)
                side.first_hole = 0
            return later > 0
        if not (side.crypto.has_gap() or len(begun) > 0):
            return False
        self.report(sender, "gap", BYTES_MISSING, side.latest_frame)
        side.first_hole = side.end
        if len(begun) > _MESSAGE_HEADER and begun[0] in (HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO):
            size: cython.longlong = int.from_bytes(begun[1:_MESSAGE_HEADER], "big")
            body: bytes = begun[_MESSAGE_HEADER:]
            # It is not known when it became complete, since its last packet is missing.
            self._add_message(sender, begun[0], body, size, side.latest_frame, UNTIMED)
        return True


@cython.cfunc
def _summary(side: _Side) -> DirectionSummary:
    return DirectionSummary.of_datagrams(
        position=side.end,
        payload=side.end,
        first_frame=0,
        changed=0,
        problems=side.problems,
        first_hole=side.first_hole,
    )
