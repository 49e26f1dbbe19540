"""The handshake of a QUIC connection: CRYPTO frames joined to messages, alerts, and Handshake packets."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import UNTIMED
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.handshake.crypto_stream import CryptoStream
from tlsdissect.handshake.events import SealedRecord, new_event
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake
from tlsdissect.handshake.problems import ProblemList
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.quic import LongPacket, long_packets
from tlsdissect.tls.record import ALERT, HANDSHAKE, MessageJoiner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.handshake.keys import CaptureKeys
    from tlsdissect.model.transcript import PacketRef
    from tlsdissect.tls.quic import Crypto

MAX_ENCRYPTED = 256
"""Maximum datagrams with Handshake packets kept of each side of a QUIC connection."""
FATAL = 2
"""The level of the alert that a CONNECTION_CLOSE stands for (RFC 9001 section 4.8)."""
CONFLICT = "CRYPTO frames have different bytes at the same offset: those that were joined first count"
"""The detail of a problem."""
_MESSAGE_HEADER = 4


class Place(NamedTuple):
    """Where something was sent."""

    sender: int
    frame: int
    time: int


class Datagram(NamedTuple):
    """A UDP datagram."""

    data: bytes
    packets: tuple[LongPacket, ...]
    """Its packets with long headers."""
    place: Place
    length: int
    """As `Packet.length`."""
    offset: int
    """As `Packet.place`."""

    @classmethod
    def of(cls, packet: Packet, sender: int) -> Datagram:
        """Return a captured datagram."""
        data = packet.captured_payload()
        place = Place(sender, packet.frame, packet.time)
        return cls(data, tuple(long_packets(data)), place, packet.length, packet.place)


class _Side:
    """What one side sent."""

    __slots__ = ("crypto", "encrypted", "end", "first_encrypted", "frames", "joiner", "latest", "problems", "reported")

    def __init__(self) -> None:
        self.crypto = CryptoStream()
        self.joiner = MessageJoiner()
        self.end = 0
        """Bytes of its messages and Handshake packets."""
        self.encrypted = 0
        """Datagrams with Handshake packets."""
        self.first_encrypted = 0
        """The frame of the first of them; 0 if there was none."""
        self.frames: set[int] = set()
        """The frames with bytes of the message that is not whole yet."""
        self.latest: Place | None = None
        """The latest place of such bytes."""
        self.problems = ProblemList()
        self.reported: set[str] = set()
        """Of each problem, only the first is reported."""


class QuicHandshake:
    """The log of a handshake while it goes on."""

    def __init__(self, budget: Budget, keys: CaptureKeys | None) -> None:
        """With `keys`, Handshake packets are kept to be opened if there may be secrets for them."""
        self._budget = budget
        self.log = HandshakeLog(budget, keys=keys)
        self._sides = (_Side(), _Side())

    @property
    def held_bytes(self) -> int:
        """Estimated bytes of the log."""
        return self.log.held_bytes

    @property
    def has_hellos(self) -> bool:
        """Whether the hellos of both sides are known."""
        return self.log.client_hello is not None and self.log.server_hello is not None

    def conflicts(self, sender: int) -> bool:
        """Return whether a side sent different bytes at the same offset."""
        return self._sides[sender].crypto.conflicts

    def report(self, sender: int, code: str, detail: str, frame: int) -> None:
        """Report a problem of a side, unless it was reported before."""
        side = self._sides[sender]
        if detail not in side.reported:
            side.reported.add(detail)
            side.problems.report(code, detail, frame, None)

    def add_crypto(self, frame: Crypto, place: Place) -> bool:
        """Add a CRYPTO frame, and the messages that it completes; return whether all of its bytes were known."""
        side = self._sides[place.sender]
        known = side.crypto.news
        before = side.crypto.held_bytes + side.joiner.waiting
        if frame.offset + len(frame.crypto_data) > side.crypto.position:
            side.frames.add(place.frame)
            side.latest = place
        data = None if self._budget.is_spent() else side.crypto.add(frame.offset, frame.crypto_data)
        if data is None:
            self.report(place.sender, "limit", "more bytes of CRYPTO frames were sent than are kept", place.frame)
            return False
        if side.crypto.conflicts:
            # A sender must not change them (RFC 9000 section 2.2).
            self.report(place.sender, "conflicting_data", CONFLICT, place.frame)
        for message in side.joiner.feed(data, 0) if data else ():
            self._add_message(message.handshake_type, message.body, len(message.body), place)
        if side.joiner.malformed is not None:
            detail = "a handshake message states too great a length"
            self.report(place.sender, "malformed_message", detail, place.frame)
            side.joiner.malformed = None
        self.log.account(side.crypto.held_bytes + side.joiner.waiting - before)
        return side.crypto.news == known

    def _add_message(self, kind: int, body: bytes, size: int, place: Place) -> None:
        side = self._sides[place.sender]
        start = side.end
        side.end = start + _MESSAGE_HEADER + size
        event = new_event(place.sender, HANDSHAKE, kind, size, body, place.frame, place.time, start, side.end, False)
        self.log.add_message(event, side.problems, len(side.frames))
        side.frames = {place.frame} if side.joiner.waiting else set()

    def add_alert(self, description: int, place: Place) -> None:
        """Add the alert that a CONNECTION_CLOSE stands for."""
        end, body = self._sides[place.sender].end, bytes([FATAL, description])
        event = new_event(place.sender, ALERT, None, len(body), body, place.frame, place.time, end, end, False)
        self.log.add_event(event)

    def add_encrypted(self, size: int, place: Place) -> None:
        """Add a datagram whose Handshake packets have Length fields with this sum."""
        side = self._sides[place.sender]
        if side.encrypted >= MAX_ENCRYPTED:
            return
        side.encrypted += 1
        side.first_encrypted = side.first_encrypted or place.frame
        start = side.end
        side.end += size
        event = new_event(place.sender, HANDSHAKE, None, size, b"", place.frame, place.time, start, side.end, True)
        self.log.add_event(event)

    def seal(self, packet: LongPacket, datagram: Datagram, position: int) -> None:
        """Keep a Handshake packet if keys may open it; `position` is the datagram's among the bytes of its sender."""
        if not self.log.opens or packet.end > len(datagram.data):
            return
        sender, frame, time = datagram.place
        body, start = datagram.data[packet.start : packet.end], position + packet.start
        self.log.add_sealed(SealedRecord(sender, 0, 0, HANDSHAKE, packet.header.version, body, frame, time, start))

    def finish(self, client: int, one_rtt: Sequence[PacketRef | None] = (None, None)) -> LoggedHandshake | None:
        """Return the handshake, and its bytes to the budget; None if there was no hello.

        `one_rtt` are the first 1-RTT packets of each side. What is known only at the end of the connection is
        left open.
        """
        log = self.log
        for sender in (client, 1 - client):
            later = one_rtt[sender]
            self._break_off(sender, self._sides[sender].first_encrypted or (0 if later is None else later.frame))
        log.sort()
        log.account(-log.held_bytes)
        if log.client == UNKNOWN:
            return None
        summaries = _summary(self._sides[0]), _summary(self._sides[1])
        logged = LoggedHandshake.without_tcp(
            "quic", log, summaries, two_sided=True, given_up=False, until=UNTIMED, damage=(), recording=None
        )
        logged.client = client
        return logged

    def _break_off(self, sender: int, later: int) -> None:
        """Add the beginning of a hello whose end is missing; `later` is the frame of a packet sent after it, or 0."""
        side = self._sides[sender]
        begun, _ = side.joiner.drop()
        if side.latest is None:
            if later:
                self.report(sender, "gap", "the capture lacks the Initial packets of this side", later)
            return
        if not (side.crypto.has_gap or begun):
            return
        self.report(sender, "gap", "bytes of the handshake are missing", side.latest.frame)
        if len(begun) > _MESSAGE_HEADER and begun[0] in (HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO):
            size = int.from_bytes(begun[1:_MESSAGE_HEADER], "big")
            self._add_message(begun[0], begun[_MESSAGE_HEADER:], size, side.latest)


def _summary(side: _Side) -> DirectionSummary:
    return DirectionSummary.of_datagrams(
        position=side.end, payload=side.end, first_frame=0, changed=0, problems=side.problems
    )
