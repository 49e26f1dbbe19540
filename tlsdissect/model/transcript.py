"""The transcript of a connection: its packets, its records, and the place of each byte in the capture."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Literal, NamedTuple

from msgspec import Struct

from tlsdissect.model.connection import CRYPTO_ERROR, FAILURES, Connection, Side
from tlsdissect.tls.quic import PacketType
from tlsdissect.tls.record import HEADER_SIZE, SSL2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.model.connection import Alert


BYTES_MISSING = frozenset(("gap", "truncated_packet"))
"""Problems by which the capture lacks bytes of a stream."""
_ECH_REQUIRED = "ech_required"
_NO_ERRORS = (None, "close_notify", "user_canceled")
"""The descriptions of alerts that are no errors (RFC 8446 section 6.1), and that of an encrypted one."""
_FIN, _SYN, _RST = 1, 2, 4
_SSL2_HEADER = 2
"""Bytes of a record header of SSL 2.0."""


class PacketRef(Struct, frozen=True, gc=False):
    """A packet of interest."""

    frame: int
    time: int | None
    """Nanoseconds since 1970-01-01T00:00:00Z; None if the capture has no times."""
    acknowledgement: int | None


class Packet(Struct, frozen=True, gc=False):
    """One packet of the handshake."""

    frame: int
    time: int | None
    """Nanoseconds since 1970-01-01T00:00:00Z; None if the capture has no times."""
    sender: Side
    flags: int
    """TCP's flags (RFC 9293 section 3.1): FIN 1, SYN 2, RST 4, PSH 8, ACK 16."""
    offset: int | None
    """Stream offset of the payload, from the first byte after the SYN; None if unknown."""
    acknowledged: int | None
    """The acknowledged stream offset of the other side; None without ACK, or if unknown."""
    length: int
    """Bytes of payload on the wire."""
    payload: bytes
    """The captured payload."""
    place: int | None
    """Offset of the payload in the frame; None if it was reassembled from fragments."""
    sacked: tuple[tuple[int, int], ...] = ()
    """Its SACK blocks (RFC 2018), as stream offsets of the other side."""
    name: str | None = None
    """What it is if it belongs to the protocol that carries TLS: "EAP-Success"."""
    closed: bool = False
    """Whether its sender's receive window is 0."""


class Probe(NamedTuple):
    """A segment of at most one byte that asks for nothing but an acknowledgement."""

    sender: Side
    frame: int
    of_window: bool
    """Whether it asks if a closed window is open again (RFC 9293 section 3.8.6.1); otherwise it is a keep-alive."""


def probes(packets: Sequence[Packet]) -> list[Probe]:
    """Find keep-alives (RFC 9293 section 3.8.4) and probes of closed windows.

    Both may repeat the byte before the next one. In a keep-alive it may be any byte, which the receiver does not read.
    A segment of one byte that comes a second time, with the same byte, was sent again.
    """
    found: list[Probe] = []
    reached: dict[Side, int] = {"client": 0, "server": 0}
    acknowledged: dict[Side, int] = {"client": 0, "server": 0}
    closed: dict[Side, bool] = {"client": False, "server": False}
    last: dict[Side, tuple[int, bytes] | None] = {"client": None, "server": None}
    """Where the latest segment with new bytes begins, and its payload."""
    for packet in packets:
        side, start = packet.sender, packet.offset
        peer: Side = "server" if side == "client" else "client"
        if packet.flags & _RST or start is None:
            continue
        if packet.length <= 1 and not packet.flags & (_SYN | _FIN) and start >= 0:
            repeats_last = start == reached[side] - 1 and (start, packet.payload) != last[side]
            if closed[peer] and (repeats_last or packet.length):
                found.append(Probe(side, packet.frame, of_window=True))
            elif repeats_last and acknowledged[side] == reached[side]:
                found.append(Probe(side, packet.frame, of_window=False))
        if start + packet.length > reached[side]:
            last[side] = start, packet.payload
        reached[side] = max(reached[side], start + packet.length)
        acknowledged[peer] = max(acknowledged[peer], packet.acknowledged or 0)
        closed[side] = packet.closed
    return found


class WireRecord(Struct, frozen=True, gc=False):
    """A record as it was sent (RFC 8446 section 5.1), with the frame and the time that completed it."""

    sender: Side
    frame: int
    time: int | None
    """As `Packet.time`."""
    content_type: int
    version: int
    length: int
    start: int
    """Stream offset of the record header."""
    fragment: bytes | None
    """None for application data, whose body is not kept."""
    encrypted: bool
    """Whether its content is encrypted."""
    whole: bool
    """False if bytes after the fragment are missing."""
    header: bytes = b""
    """The header of a record of DTLS; empty in TLS, whose header the other fields determine."""
    repeated: bool = False
    """Whether all that a record of DTLS contains was sent before."""

    @property
    def body(self) -> int:
        """Stream offset after the header."""
        return self.start + (len(self.header) or (_SSL2_HEADER if self.content_type == SSL2 else HEADER_SIZE))

    @property
    def end(self) -> int:
        """Stream offset after the record."""
        return self.body + self.length


class QuicPacket(Struct, frozen=True, gc=False):
    """A packet of QUIC with a long header, in a datagram that is kept as a packet."""

    datagram: int
    """The number of the datagram among the packets of the transcript."""
    kind: int
    """Its type, as `tls.quic.PacketType`."""
    start: int
    """Where it begins in the datagram."""
    protected: int
    """Where its packet number and payload begin in the datagram."""
    end: int
    """After the bytes that its Length counts, or those of them that were captured."""
    header: bytes
    """Of an opened packet, the header without protection, with the packet number."""
    payload: bytes | None
    """Of an opened packet, the payload without protection."""
    repeated: bool | None = None
    """Whether all bytes in its CRYPTO frames were sent before; None if it has none, or is not opened."""
    with_keys: bool = False
    """Whether keys opened it, as they do Handshake packets."""


class Span(Struct, frozen=True, gc=False):
    """Bytes in a frame."""

    frame: int
    offset: int | None
    """Offset in the frame; None if the bytes were reassembled from fragments, carried in packets, or not kept."""
    length: int


class Recording(Struct, frozen=True):
    """Packets and records of a handshake, in the order in which they were seen."""

    packets: tuple[Packet, ...]
    """Those of the handshake, and later ones that completed messages or ended a direction."""
    records: tuple[WireRecord, ...]
    copies: int
    """Packets left out because they were captured twice, as on two interfaces of a router."""
    copied: tuple[int, int] | None
    """The frames of the first packet that was captured twice."""
    quic: tuple[QuicPacket, ...] = ()
    """The packets of QUIC in the datagrams, in order."""
    eap_packets: tuple[Packet, ...] = ()
    """The EAPOL frames or RADIUS packets that carry EAP, in order, with their headers.

    Their offsets are those in all that their sender sent in such packets, not in the stream of TLS.
    """


class OpenedMessage(Struct, frozen=True, gc=False):
    """A handshake message with its header, or an alert, that keys opened."""

    sender: Side
    content_type: int
    start: int
    """Stream offset of the record in which it begins."""
    data: bytes


class Transcript(Struct, frozen=True):
    """Packets and records of a TLS connection, in the order in which they were seen."""

    packets: tuple[Packet, ...]
    """As `Recording.packets`."""
    records: tuple[WireRecord, ...]
    first_data: tuple[PacketRef | None, PacketRef | None]
    """The packets in which the first application data of the client and of the server begins.

    In TLS 1.3, the server's first record after the client's flight, which may be a ticket.
    """
    version: int | None
    """The selected version."""
    cipher_suite: int | None
    framing: str | None
    """The protocol whose packets carry TLS; stream offsets are then those of the carried stream."""
    copies: int = 0
    """As `Recording.copies`."""
    copied: tuple[int, int] | None = None
    """As `Recording.copied`."""
    quic: tuple[QuicPacket, ...] = ()
    """As `Recording.quic`."""
    eap_packets: tuple[Packet, ...] = ()
    """As `Recording.eap_packets`."""
    opened: tuple[OpenedMessage, ...] = ()
    """What keys opened."""

    def repeated_frames(self) -> set[int]:
        """Return the frames of DTLS, or of QUIC's Initial packets, that contain nothing but what was sent before."""
        frames = {record.frame for record in self.records if record.repeated}
        frames |= {self.packets[one.datagram].frame for one in self.quic if one.repeated}
        if not frames:
            return frames
        new = {record.frame for record in self.records if not record.repeated}
        new |= {
            self.packets[one.datagram].frame
            for one in self.quic
            if one.repeated is False or one.kind != PacketType.INITIAL
        }
        return frames - new


class KeptConnection(Connection, frozen=True, kw_only=True):
    """A connection with its transcript."""

    transcript: Transcript
    other_view: KeptConnection | None = None
    """The same connection as another capture shows it, if both were joined."""


def kept(connection: Connection) -> KeptConnection:
    """Return a connection that has a transcript; ValueError if it has none, TypeError if it is not a connection."""
    if not isinstance(connection, Connection):
        raise TypeError(f"this is not a connection but a {type(connection).__name__}")
    if not isinstance(connection, KeptConnection):
        raise ValueError("the connection has no transcript: read it with keep=True")  # noqa: TRY004  # of the same type
    return connection


def final_alert(connection: Connection) -> Alert | None:
    """Return the alert by which one side ended a handshake; None if it is encrypted and known by its length alone.

    A warning counts only if it is its sender's last message: a handshake may continue after one (RFC 6066 section 3).
    The first error ends it (RFC 8446 section 6.2), unless its sender went on.
    """
    side = connection.failed_by
    alerts = [alert for alert in connection.alerts if alert.sender == side]
    if connection.outcome != "alert" or not alerts:
        return None
    sent = [message.type for message in connection.messages if message.sender == side]
    last = len(list(takewhile("alert".__eq__, reversed(sent))))
    final = alerts[-last:] if last or not sent else []
    for among in (final, alerts[::-1]):
        error = next((alert for alert in among if alert.level != "warning"), None)
        if error is not None:
            return error
    return final[-1] if final else None


class KeyedEnd(Struct, frozen=True, gc=False):
    """How one side ended a handshake, if only keys show it. The outcome, which anyone can see, may be another one."""

    outcome: Literal["alert", "closed"]
    """What the outcome would be if anyone could see it."""
    sender: Side
    description: str
    """The name of the alert, or of the error code of QUIC's CONNECTION_CLOSE."""
    frame: int


def keyed_end(connection: Connection) -> KeyedEnd | None:
    """Return how one side ended the handshake, if only keys show it; None if they show nothing of that."""
    alert = _keyed_refusal(connection)
    if alert is not None:
        return KeyedEnd("alert", alert.sender, alert.description or "", alert.frame)
    close = None if connection.hidden is None else connection.hidden.quic_close
    # A side also closes in a Handshake packet while it does not know whether the other has the later keys (RFC 9000
    # section 10.2.3), so that after 1-RTT packets of both sides, a close says nothing of the handshake.
    if close is None or close.code == CRYPTO_ERROR or connection.outcome not in ("incomplete", "one_sided"):
        return None
    return KeyedEnd("closed", close.sender, close.code, close.frame)


def _keyed_refusal(connection: Connection) -> Alert | None:
    """Return the alert by which one side refused the handshake, if only keys show it.

    Nobody refuses an established handshake, except over QUIC, whose key logs open only packets of the handshake: a
    server may refuse after 1-RTT packets of both sides; and a client whose Encrypted Client Hello was rejected refuses
    after both Finished (RFC 9849 section 6.1.6).
    """
    hidden, by, seen = connection.hidden, connection.failed_by, final_alert(connection)
    may_refuse = connection.outcome != "established" or connection.quic is not None
    if hidden is None or (seen is not None and seen.description is not None):
        return None
    if connection.outcome != "alert" and connection.eap is not None:
        # The server reports by EAP-Failure that the client refused.
        by = None
    for alert in hidden.alerts or ():
        # In TLS 1.3, the level says nothing (RFC 8446 section 6).
        warning = alert.level == "warning" and not connection.is_tls13
        rejected = alert.description == _ECH_REQUIRED and alert.sender == "client"
        if not (may_refuse or rejected):
            continue
        if by in (None, alert.sender) and not warning and alert.description not in _NO_ERRORS:
            return alert
    return None


def has_failed(connection: Connection) -> bool:
    """Return whether the handshake failed as anyone can see, or as keys show."""
    return connection.outcome in FAILURES or keyed_end(connection) is not None


def lost_certificates(connection: Connection) -> bool:
    """Return whether a server's certificates may be among bytes that the capture lacks, and could be read otherwise."""
    hidden = connection.hidden
    if connection.chain("server") is not None or (hidden is None and connection.is_tls13):
        return False
    problems = connection.problems if hidden is None else (*connection.problems, *hidden.problems)
    return any(problem.code in BYTES_MISSING and problem.sender == "server" for problem in problems)


def refusal(connection: Connection) -> WireRecord | None:
    """Return the encrypted alert by which a server refused in TLS 1.3: its first record after the client's flight."""
    refused = connection.outcome == "alert" and connection.failed_by == "server"
    if not refused or not isinstance(connection, KeptConnection) or final_alert(connection):
        return None
    last = connection.messages[-1].frame
    later = (one for one in connection.transcript.records if one.sender == "server" and one.frame > last)
    return next(later, None)


class Places:
    """The place in the frames of each byte that a side sent; the first copy of a byte counts."""

    def __init__(self, transcript: Transcript, sender: Side) -> None:
        self._carried = transcript.framing is not None
        self._starts: list[int] = []
        self._ends: list[int] = []
        sent = [
            (one.offset, one.offset + len(one.payload), one)
            for one in transcript.packets
            if one.sender == sender and one.offset is not None and one.payload
        ]
        if any(later[0] < earlier[1] for earlier, later in pairwise(sent)):
            runs = [(low, high, one) for start, end, one in sent for low, high in self._add(start, end - start)]
            sent = sorted(runs, key=lambda run: run[0])
        self._runs = sent
        self._first = [start for start, _, _ in sent]

    def spans(self, start: int, end: int, frame: int) -> tuple[Span, ...]:
        """Return the places of bytes between two stream offsets; `frame` is used for bytes without a place."""
        return tuple([Span(*one) for one in self.ranges(start, end, frame)])

    def ranges(self, start: int, end: int, frame: int) -> list[tuple[int, int | None, int]]:
        """Return the places as frame, offset in it, and length: see `Span`."""
        index = max(bisect_right(self._first, start) - 1, 0)
        if index < len(self._runs) and not self._carried and self._first[index] <= start < end <= self._runs[index][1]:
            return [_range(self._runs[index][2], start, end)]
        found: list[tuple[int, int | None, int]] = []
        while start < end:
            run = self._runs[index] if index < len(self._runs) and not self._carried else None
            if run is None or run[0] > start:
                upto = min(end, run[0]) if run else end
                found.append((frame, None, upto - start))
                start = upto
                continue
            upto = min(end, run[1])
            if upto > start:
                found.append(_range(run[2], start, upto))
                start = upto
            index += 1
        return found

    def _add(self, start: int, size: int) -> list[tuple[int, int]]:
        """Mark bytes as placed; return the ranges that were not placed before."""
        end, gaps = start + size, []
        first = bisect_left(self._ends, start)
        last, at = first, start
        while last < len(self._starts) and self._starts[last] <= end:
            if self._starts[last] > at:
                gaps.append((at, self._starts[last]))
            at = max(at, self._ends[last])
            last += 1
        if at < end:
            gaps.append((at, end))
        low = min(start, self._starts[first]) if last > first else start
        self._starts[first:last], self._ends[first:last] = [low], [max(end, at)]
        return gaps


def _range(packet: Packet, start: int, end: int) -> tuple[int, int | None, int]:
    inside = start - (packet.offset or 0)
    return packet.frame, None if packet.place is None else packet.place + inside, end - start
