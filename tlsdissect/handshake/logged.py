# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A handshake that is no longer followed: its log, and the final state of both directions and of TCP.

This is what facts are derived from. It is plain data without the objects that follow a connection, so it takes little
memory while its connection waits for its last packet, and can wait in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython
from msgspec import Struct

from tlsdissect.flows.flow import NO_TIME, UNKNOWN
from tlsdissect.flows.sequence import difference
from tlsdissect.handshake.plaintext import TLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.flows.flow import Signal
    from tlsdissect.handshake.direction import Reply
    from tlsdissect.handshake.events import (
        HandshakeEvent,
        HeartbeatRecord,
        SealedRecord,
        SeenClientHello,
        SeenServerHello,
    )
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.model.connection import Dtls, Eap, Problem, Transport
    from tlsdissect.model.transcript import PacketRef, Recording
    from tlsdissect.tls.quic import ConnectionClose

_UNKNOWN = UNKNOWN


@cython.no_gc
@cython.cclass
class DirectionSummary:
    """The state of one direction."""

    begin: cython.longlong
    """Sequence number of stream offset 0; UNKNOWN if the side sent no payload."""
    position: cython.longlong
    """Stream offset after the bytes that were read."""
    first: cython.longlong
    """Sequence number of the first byte, by the SYN; UNKNOWN if that was not captured."""
    isn: cython.longlong
    """As `TcpSide.isn`."""
    acked: Any
    """The other side's last acknowledgement number; None if there was none."""
    fin: Signal | None
    """The first FIN."""
    rst: Signal | None
    """The first RST that took effect."""
    payload: cython.longlong
    """Payload bytes, retransmitted ones included."""
    first_frame: cython.longlong
    """The frame of the first payload; 0 if there was none."""
    first_hole: cython.longlong
    """Stream offset of the first missing byte; UNKNOWN if none is missing."""
    cut_off: cython.longlong
    """As `Direction.cut_off`."""
    strayed: cython.bint
    """As `Direction.strayed`."""
    changed: cython.longlong
    """Number of ChangeCipherSpec messages."""
    last_data: tuple[int, int] | None
    """Stream offset and length of the last record if it is application data."""
    mode: cython.longlong
    """As `PlaintextPhase.mode`."""
    before: bytes
    """As `PlaintextPhase.before`."""
    embedded: cython.bint
    """As `PlaintextPhase.embedded`."""
    headless: cython.bint
    """As `PlaintextPhase.headless`."""
    framing: str | None
    """The protocol whose packets carry TLS; stream offsets are then those of the carried stream."""
    reply: Reply | None
    reset_text: tuple[int, bytes] | None
    """The frame and the text of the first RST with payload."""
    problems: tuple[Problem, ...]

    @staticmethod
    def of_datagrams(
        *,
        position: cython.longlong,
        payload: cython.longlong,
        first_frame: cython.longlong,
        changed: cython.longlong,
        problems: Sequence[Problem],
        first_hole: cython.longlong = UNKNOWN,
        last_data: tuple[int, int] | None = None,
    ) -> DirectionSummary:
        """Return the summary of a direction without TCP."""
        return new_summary(
            begin=UNKNOWN,
            position=position,
            first=UNKNOWN,
            isn=UNKNOWN,
            acked=None,
            fin=None,
            rst=None,
            payload=payload,
            first_frame=first_frame,
            first_hole=first_hole,
            cut_off=0,
            strayed=False,
            changed=changed,
            last_data=last_data,
            mode=TLS,
            before=b"",
            embedded=False,
            headless=False,
            framing=None,
            reply=None,
            reset_text=None,
            problems=tuple(problems),
        )

    @cython.ccall
    def offset(self, sequence: cython.longlong) -> cython.longlong:
        """Return the stream offset of a sequence number that is nearest to `position`."""
        begin: cython.longlong = sequence if self.begin == _UNKNOWN else self.begin + self.position
        return self.position + difference(sequence, begin)

    @cython.ccall
    def is_whole(self, end: cython.longlong) -> cython.bint:
        """Return whether no byte before this stream offset is missing."""
        return self.first_hole == _UNKNOWN or self.first_hole >= end

    @property
    def ended(self) -> Signal | None:
        """The first FIN or RST; a packet with both flags counts as RST."""
        fin, rst = self.fin, self.rst
        return rst if fin is None or (rst is not None and rst.frame <= fin.frame) else fin


@cython.ccall
def new_summary(
    begin: cython.longlong,
    position: cython.longlong,
    first: cython.longlong,
    isn: cython.longlong,
    acked: Any,
    fin: Signal | None,
    rst: Signal | None,
    payload: cython.longlong,
    first_frame: cython.longlong,
    first_hole: cython.longlong,
    cut_off: cython.longlong,
    strayed: cython.bint,
    changed: cython.longlong,
    last_data: Any,
    mode: cython.longlong,
    before: bytes,
    embedded: cython.bint,
    headless: cython.bint,
    framing: str | None,
    reply: Reply | None,
    reset_text: Any,
    problems: tuple[Problem, ...],
) -> DirectionSummary:
    """Make a summary."""
    summary: DirectionSummary = DirectionSummary.__new__(DirectionSummary)
    summary.begin = begin
    summary.position = position
    summary.first = first
    summary.isn = isn
    summary.acked = acked
    summary.fin = fin
    summary.rst = rst
    summary.payload = payload
    summary.first_frame = first_frame
    summary.first_hole = first_hole
    summary.cut_off = cut_off
    summary.strayed = strayed
    summary.changed = changed
    summary.last_data = last_data
    summary.mode = mode
    summary.before = before
    summary.embedded = embedded
    summary.headless = headless
    summary.framing = framing
    summary.reply = reply
    summary.reset_text = reset_text
    summary.problems = problems
    return summary


class LoggedQuic(Struct, frozen=True, gc=False):
    """What only a QUIC connection has. Of each pair, the first belongs to the client and the second to the server."""

    version: int
    """Of the server's first Initial, or else of the client's latest."""
    version_negotiation: bool | None
    """Whether there was one; None if the capture may lack what it answers."""
    refused: bool
    """Whether the client sent nothing more after the Version Negotiation."""
    retry: bool | None
    """Whether there was one; None if the capture may lack it."""
    original_id: bytes
    """Destination Connection ID of the client's first Initial with this version."""
    ids: tuple[bytes | None, bytes | None]
    """The connection ID that each side chose first; None if unknown."""
    initial_packets: tuple[int, int]
    """Initial packets that were opened."""
    first_one_rtt: tuple[PacketRef | None, PacketRef | None]
    """The client's first 1-RTT packet, and the server's first after it."""
    close: tuple[int, ConnectionClose, int] | None
    """The side that sent the first readable CONNECTION_CLOSE, the frame of QUIC, and the frame of the capture."""


@cython.no_gc
@cython.cclass
class LoggedHandshake:
    """The log of a handshake, with sides 0 and 1 as in its flow: side 0 sent the first packet.

    What carries messages without TCP sets the fields that it knows otherwise or later, before facts are derived.
    """

    transport: Transport
    client: cython.longlong
    """The side that is the client."""
    events: list[HandshakeEvent]
    """In the order of the frames that completed them."""
    client_hello: SeenClientHello | None
    server_hello: SeenServerHello | None
    retry_request: HandshakeEvent | None
    hello_retries: cython.longlong
    """Number of HelloRetryRequests before the ServerHello."""
    version: cython.longlong
    """The version that the server selected; UNKNOWN if it is not known."""
    tls13: cython.bint
    """Whether that is TLS 1.3, one of its drafts or experiments."""
    decided: cython.bint
    """Whether the handshake has succeeded or failed."""
    first_data: tuple[PacketRef | None, ...]
    """The packets in which each side's first record of application data begins."""
    heartbeats: tuple[HeartbeatRecord, ...]
    limited: frozenset[int]
    """The sides that sent more than is kept."""
    directions: tuple[DirectionSummary, DirectionSummary]
    opener: cython.longlong
    """As `TcpHandshake.opener`."""
    tcp_times: tuple[int, int, int]
    """Times of the SYN, the SYN-ACK and its acknowledgement; NO_TIME for a packet that was not captured."""
    two_sided: cython.bint
    """Whether both sides sent packets."""
    dropped: cython.longlong
    """Number of segments that TCP drops."""
    first_dropped: cython.longlong
    """The frame of the first of them."""
    before: tuple[bytes, bytes] | None
    """The first bytes of both sides when the flow was first given up as not TLS."""
    given_up: cython.bint
    """Whether the flow was given up before its end."""
    unordered: cython.bint
    """Whether the capture is not in the order of time."""
    clocks_differ: cython.bint
    """Whether its times are wrong, too: the two directions were captured with clocks that differ."""
    frames: dict[int, int]
    """The frame of the capture for each frame number used, if the handshake was read again in another order."""
    until: cython.longlong
    """The time up to which the capture would contain further packets of the flow, or UNTIMED."""
    damage: tuple[Damage, ...]
    """Damage of the capture while the flow lasted."""
    recording: Recording | None
    """The packets and records of the handshake if they were to be kept."""
    next_messages: tuple[int, int]
    """Of each side of DTLS, the number of the message after those in plaintext."""
    plain_bytes: tuple[int | None, int | None]
    """The bytes of each side's handshake records in plaintext, over DTLS; None where some are missing."""
    hello_verify: Any
    """Whether a DTLS server sent a HelloVerifyRequest; None if what it sent before its ServerHello is missing."""
    quic: LoggedQuic | None
    dtls: Dtls | None
    eap: Eap | None
    sealed_records: tuple[SealedRecord, ...]
    """Protected records that were kept to be opened with keys."""
    unkept: cython.bint
    """Whether more of them were sent than are kept."""

    def __init__(
        self,
        transport: Transport,
        client: cython.longlong,
        events: list[HandshakeEvent],
        client_hello: SeenClientHello | None,
        server_hello: SeenServerHello | None,
        retry_request: HandshakeEvent | None,
        hello_retries: cython.longlong,
        version: cython.longlong,
        tls13: cython.bint,
        decided: cython.bint,
        first_data: tuple[PacketRef | None, ...],
        heartbeats: tuple[HeartbeatRecord, ...],
        limited: frozenset[int],
        directions: tuple[DirectionSummary, DirectionSummary],
        opener: cython.longlong,
        tcp_times: tuple[int, int, int],
        two_sided: cython.bint,
        dropped: cython.longlong,
        first_dropped: cython.longlong,
        before: tuple[bytes, bytes] | None,
        given_up: cython.bint,
        unordered: cython.bint,
        frames: dict[int, int],
        until: cython.longlong,
        damage: tuple[Damage, ...],
        recording: Recording | None,
        next_messages: tuple[int, int] = (0, 0),
        plain_bytes: tuple[int | None, int | None] = (None, None),
        hello_verify: Any = False,
        quic: LoggedQuic | None = None,
        dtls: Dtls | None = None,
        eap: Eap | None = None,
        sealed_records: tuple[SealedRecord, ...] = (),
        unkept: cython.bint = False,
        clocks_differ: cython.bint = False,
    ) -> None:
        self.transport = transport
        self.client = client
        self.events = events
        self.client_hello = client_hello
        self.server_hello = server_hello
        self.retry_request = retry_request
        self.hello_retries = hello_retries
        self.version = version
        self.tls13 = tls13
        self.decided = decided
        self.first_data = first_data
        self.heartbeats = heartbeats
        self.limited = limited
        self.directions = directions
        self.opener = opener
        self.tcp_times = tcp_times
        self.two_sided = two_sided
        self.dropped = dropped
        self.first_dropped = first_dropped
        self.before = before
        self.given_up = given_up
        self.unordered = unordered
        self.clocks_differ = clocks_differ
        self.frames = frames
        self.until = until
        self.damage = damage
        self.recording = recording
        self.next_messages = next_messages
        self.plain_bytes = plain_bytes
        self.hello_verify = hello_verify
        self.quic = quic
        self.dtls = dtls
        self.eap = eap
        self.sealed_records = sealed_records
        self.unkept = unkept

    @classmethod
    def without_tcp(
        cls,
        transport: Transport,
        log: HandshakeLog,
        directions: tuple[DirectionSummary, DirectionSummary],
        *,
        two_sided: cython.bint,
        given_up: cython.bint,
        until: cython.longlong,
        damage: tuple[Damage, ...],
        recording: Recording | None,
    ) -> LoggedHandshake:
        """Return the handshake of a log whose messages TCP did not carry."""
        return cls(
            transport=transport,
            client=log.client,
            events=log.events,
            client_hello=log.client_hello,
            server_hello=log.server_hello,
            retry_request=log.retry_request,
            hello_retries=log.hello_retries,
            version=log.version,
            tls13=log.tls13,
            decided=log.decided,
            first_data=tuple(log.first_data),
            heartbeats=tuple(log.heartbeats),
            limited=frozenset(log.limited),
            directions=directions,
            opener=UNKNOWN,
            tcp_times=(NO_TIME, NO_TIME, NO_TIME),
            two_sided=two_sided,
            dropped=0,
            first_dropped=0,
            before=None,
            given_up=given_up,
            unordered=False,
            frames={},
            until=until,
            damage=damage,
            recording=recording,
            sealed_records=tuple(log.sealed_records),
            unkept=log.unkept,
        )
