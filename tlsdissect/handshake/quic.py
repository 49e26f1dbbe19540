"""QUIC connections of a UDP flow: Initial packets opened, their CRYPTO frames joined to handshake messages.

Initial packets of both sides are opened with the keys that anyone can derive (`quic_keys`). Handshake packets are only
measured, packets of 0-RTT and 1-RTT only counted. A packet belongs to the connection that has its connection IDs; only
an Initial packet that opens begins a connection, so that nothing else on UDP is taken for one. What comes before the
Initial that explains it is held for a while: datagrams may change places on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import NO_TIME, UNKNOWN
from tlsdissect.flows.totals import Totals
from tlsdissect.handshake.crypto_stream import CryptoStream
from tlsdissect.handshake.events import HandshakeEvent
from tlsdissect.handshake.log import HandshakeLog
from tlsdissect.handshake.logged import DirectionSummary, LoggedHandshake, LoggedQuic
from tlsdissect.handshake.problems import ProblemList
from tlsdissect.handshake.quic_keys import OpenedPacket, initial_key, is_genuine_retry, version_keys
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.codepoints import HandshakeType
from tlsdissect.tls.quic import (
    FIXED_BIT,
    LONG_HEADER,
    ConnectionClose,
    Crypto,
    LongPacket,
    NegotiationFields,
    PacketType,
    long_packets,
    read_frames,
)
from tlsdissect.tls.record import ALERT, HANDSHAKE, MessageJoiner
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.udp import UdpFlow
    from tlsdissect.handshake.options import Options

MAX_CONNECTIONS = 256
"""Maximum QUIC connections followed of one UDP flow; the datagrams of further ones count for the last."""
MAX_HELD_DATAGRAMS = 8
"""Maximum datagrams held of one UDP flow because the Initial that explains them may come; the oldest is dropped."""
MAX_ENCRYPTED = 256
"""Maximum datagrams with Handshake packets kept of each side of a QUIC connection."""
CONNECTION_BYTES = 4096
"""Estimated bytes that a QUIC connection takes besides its messages."""
DATAGRAM_BYTES = 512
"""Estimated bytes that a held datagram takes besides its own."""
_FATAL = 2
_MESSAGE_HEADER = 4


class Datagram(NamedTuple):
    """A UDP datagram with a packet that has a long header."""

    data: bytes
    packets: tuple[LongPacket, ...]
    sender: int
    frame: int
    time: int


class Counts:
    """The datagrams of a connection in numbers."""

    __slots__ = ("first_frames", "payloads", "totals")

    def __init__(self, flow: UdpFlow) -> None:
        self.totals = Totals(flow.endpoints, flow.stream)
        self.first_frames = [0, 0]
        """The frame of each side's first datagram; 0 if there was none."""
        self.payloads = [0, 0]

    def add(self, packet: Packet, sender: int) -> None:
        """Count a datagram."""
        if not self.totals.packets:
            self.totals.begin(packet)
        self.totals.add(packet)
        self.first_frames[sender] = self.first_frames[sender] or packet.frame
        self.payloads[sender] += packet.length


class QuicSide:
    """One side of a connection."""

    __slots__ = (
        "crypto",
        "encrypted",
        "end",
        "expected",
        "first_one_rtt",
        "frames",
        "id",
        "initial_packets",
        "joiner",
        "latest",
        "problems",
        "reported",
    )

    def __init__(self) -> None:
        self.id: bytes | None = None
        """The connection ID that the side chose, from the Source Connection ID of its first Initial."""
        self.initial_packets = 0
        self.first_one_rtt: PacketRef | None = None
        """Its first 1-RTT packet; of the server, the first after the client's."""
        self.encrypted = 0
        """Datagrams with Handshake packets."""
        self.problems = ProblemList()
        self.reported: set[str] = set()
        """Kinds of problems that were reported: of each, only the first is."""
        self.restart()

    def restart(self) -> None:
        """Forget the handshake so far, because the client begins again with another version."""
        self.crypto = CryptoStream()
        self.joiner = MessageJoiner()
        self.expected = 0
        """One more than the highest number of its Initial packets."""
        self.end = 0
        """Bytes of its handshake messages and Handshake packets."""
        self.frames: set[int] = set()
        """The frames with bytes of the message that is not whole yet."""
        self.latest: Datagram | None = None
        """The latest datagram with such bytes."""

    def report(self, code: str, detail: str, frame: int) -> None:
        """Report the first problem of a kind."""
        if detail not in self.reported:
            self.reported.add(detail)
            self.problems.report(code, detail, frame, None)


class QuicConnection:
    """A connection that a client's Initial packet began."""

    def __init__(self, counts: Counts, client: int, packet: LongPacket, budget: Budget) -> None:
        """`packet` is the Initial; `counts` has the datagrams before it, if they may belong to the connection."""
        self.counts = counts
        self.client = client
        self.sides = (QuicSide(), QuicSide())
        self.budget = budget
        self.log = HandshakeLog(budget)
        self.log.account(CONNECTION_BYTES)
        self.sides[client].id = packet.header.source_connection_id
        self.version = packet.header.version
        """Of the server's first Initial, or else of the client's latest."""
        self.original_id = packet.header.destination_connection_id
        self.key_id = self.original_id
        """The connection ID from which the keys are derived: the original one, or that of a Retry."""
        self.answered = False
        """Whether an Initial of the server was opened."""
        self.offered: tuple[int, ...] = ()
        """The versions in a Version Negotiation packet of the server."""
        self.version_negotiation = False
        self.retry = False
        self.close: tuple[int, ConnectionClose, int] | None = None
        """The first CONNECTION_CLOSE: who sent it, the frame of QUIC, and the number of the capture's frame."""

    def open(self, packet: LongPacket, data: bytes, sender: int) -> OpenedPacket | None:
        """Open an Initial packet of a side; None if it has other keys or missing bytes."""
        # A client may have sent an Initial before it received the Retry.
        late = sender == self.client and packet.header.destination_connection_id == self.original_id
        connection_id = self.original_id if late else self.key_id
        return open_initial(packet, data, connection_id, sender != self.client, self.sides[sender].expected)

    def begin_again(self, packet: LongPacket) -> None:
        """Continue with the Initial that a client sends after a Version Negotiation: it has a new handshake."""
        self.log.account(CONNECTION_BYTES - self.log.held_bytes)
        self.log = HandshakeLog(self.budget)
        for side in self.sides:
            side.restart()
        self.offered = ()
        self.version = packet.header.version
        self.sides[self.client].id = packet.header.source_connection_id
        self.original_id = self.key_id = packet.header.destination_connection_id

    def read_initial(self, packet: LongPacket, opened: OpenedPacket, datagram: Datagram) -> None:
        """Read an opened Initial packet."""
        sender = datagram.sender
        side = self.sides[sender]
        side.initial_packets += 1
        side.expected = max(side.expected, opened.number + 1)
        if sender != self.client and not self.answered:
            self.answered = True
            self.version = packet.header.version
            side.id = packet.header.source_connection_id
        frames, error = read_frames(opened.payload)
        for frame in frames:
            if isinstance(frame, Crypto):
                self._crypto(frame, datagram)
            elif isinstance(frame, ConnectionClose) and self.close is None:
                self._closed(frame, datagram)
        if error is not None:
            side.report("malformed_message", f"an Initial packet: {error}", datagram.frame)

    def _crypto(self, frame: Crypto, datagram: Datagram) -> None:
        side, log = self.sides[datagram.sender], self.log
        before = side.crypto.held_bytes + side.joiner.waiting
        if frame.offset + len(frame.crypto_data) > side.crypto.position:
            side.frames.add(datagram.frame)
            side.latest = datagram
        data = None if self.budget.is_spent() else side.crypto.add(frame.offset, frame.crypto_data)
        if data is None:
            side.report("limit", "more bytes of CRYPTO frames were sent than are kept", datagram.frame)
            return
        for message in side.joiner.feed(data, 0) if data else ():
            self._message(message.handshake_type, message.body, len(message.body), datagram)
        if side.joiner.malformed is not None:
            side.report("malformed_message", "a handshake message states too great a length", datagram.frame)
            side.joiner.malformed = None
        log.account(side.crypto.held_bytes + side.joiner.waiting - before)

    def _message(self, kind: int, body: bytes, size: int, datagram: Datagram) -> None:
        sender, frame, time = datagram.sender, datagram.frame, datagram.time
        side = self.sides[sender]
        start = side.end
        side.end = start + _MESSAGE_HEADER + size
        event = HandshakeEvent(sender, HANDSHAKE, kind, size, body, frame, time, start, side.end, False)
        self.log.add_message(event, side.problems, len(side.frames))
        side.frames = {frame} if side.joiner.waiting else set()

    def _closed(self, frame: ConnectionClose, datagram: Datagram) -> None:
        """Keep the first CONNECTION_CLOSE; one with an alert of TLS is an alert."""
        self.close = (datagram.sender, frame, datagram.frame)
        if frame.alert is not None:
            side = self.sides[datagram.sender]
            body = bytes([_FATAL, frame.alert])
            self.log.add_event(
                HandshakeEvent(
                    datagram.sender,
                    ALERT,
                    None,
                    len(body),
                    body,
                    datagram.frame,
                    datagram.time,
                    side.end,
                    side.end,
                    False,
                )
            )

    def read_handshake(self, size: int, datagram: Datagram) -> None:
        """Add the Handshake packets of a datagram, whose Length fields have this sum."""
        side = self.sides[datagram.sender]
        if side.first_one_rtt is not None or side.encrypted >= MAX_ENCRYPTED:
            return
        side.encrypted += 1
        start = side.end
        side.end += size
        event = HandshakeEvent(
            datagram.sender, HANDSHAKE, None, size, b"", datagram.frame, datagram.time, start, side.end, True
        )
        self.log.add_event(event)

    def read_one_rtt(self, sender: int, frame: int, time: int) -> None:
        """Note the first 1-RTT packet of each side: of the server, the first after the client's."""
        side = self.sides[sender]
        if side.first_one_rtt is None and (sender == self.client or self.sides[self.client].first_one_rtt is not None):
            side.first_one_rtt = PacketRef(frame, time_or_none(time), None)
            if sender != self.client:
                self.log.decide()

    def read_retry(self, packet: LongPacket, data: bytes) -> bool:
        """Return whether a client accepts a Retry: then its keys change (RFC 9000 section 17.2.5.2)."""
        if self.answered or self.retry or not is_genuine_retry(packet.header.version, data, self.original_id):
            return False
        self.retry = True
        self.key_id = packet.header.source_connection_id
        return True

    def read_negotiation(self, packet: LongPacket, data: bytes) -> None:
        """Note a Version Negotiation that a client accepts (RFC 9000 section 6.2)."""
        offered = versions_offered(packet, data)
        echoed = packet.header.source_connection_id == self.original_id
        if echoed and not (self.answered or self.retry) and self.version not in offered:
            self.version_negotiation = True
            self.offered = offered

    def finish(self, until: int, damage: Sequence[Damage], *, limited: bool) -> LoggedHandshake | None:
        """Return the handshake as logged, and return its bytes to the budget; None if there was no hello."""
        log = self.log
        for sender in (self.client, 1 - self.client):
            self._break_off(sender)
        log.sort()
        log.account(-log.held_bytes)
        if log.client == UNKNOWN:
            return None
        first_frame = self.counts.totals.first_frame
        return LoggedHandshake(
            transport="quic",
            client=self.client,
            events=log.events,
            client_hello=log.client_hello,
            server_hello=log.server_hello,
            hello_retry=log.hello_retry,
            hello_retries=log.hello_retries,
            version=log.version,
            tls13=log.tls13,
            decided=log.decided,
            first_data=(None, None),
            heartbeats=(),
            acknowledged=log.acknowledged,
            limited=frozenset(log.limited),
            directions=(self._summary(0), self._summary(1)),
            opener=UNKNOWN,
            tcp_times=(NO_TIME, NO_TIME, NO_TIME),
            two_sided=all(self.counts.first_frames),
            dropped=0,
            first_dropped=0,
            before=None,
            given_up=limited,
            unordered=False,
            frames={},
            until=until,
            damage=tuple([hurt for hurt in damage if hurt.frame > first_frame]),
            recording=None,
            quic=self._logged(),
        )

    def _break_off(self, sender: int) -> None:
        """Add the beginning of a message whose rest is missing."""
        side = self.sides[sender]
        begun, _ = side.joiner.drop()
        if side.latest is None or not (side.crypto.has_gap or begun):
            return
        side.report("gap", "bytes of the handshake are missing", side.latest.frame)
        if len(begun) > _MESSAGE_HEADER and begun[0] in (HandshakeType.CLIENT_HELLO, HandshakeType.SERVER_HELLO):
            size = int.from_bytes(begun[1:_MESSAGE_HEADER], "big")
            self._message(begun[0], begun[_MESSAGE_HEADER:], size, side.latest)

    def _summary(self, sender: int) -> DirectionSummary:
        side = self.sides[sender]
        return DirectionSummary.of_datagrams(
            position=side.end,
            payload=self.counts.payloads[sender],
            first_frame=self.counts.first_frames[sender],
            changed=0,
            problems=side.problems,
        )

    def _logged(self) -> LoggedQuic:
        client, server = self.sides[self.client], self.sides[1 - self.client]
        return LoggedQuic(
            version=self.version,
            version_negotiation=self.version_negotiation,
            refused=bool(self.offered),
            retry=self.retry,
            original_id=self.original_id,
            ids=(client.id, server.id),
            initial_packets=(client.initial_packets, server.initial_packets),
            first_one_rtt=(client.first_one_rtt, server.first_one_rtt),
            close=self.close,
        )


def open_initial(
    packet: LongPacket, data: bytes, connection_id: bytes, server: bool, expected: int
) -> OpenedPacket | None:
    """Open an Initial packet with the keys of a side that follow from a connection ID; None if it has others."""
    for keys in version_keys(packet.header.version):
        key = initial_key(keys, connection_id, server)
        opened = key.open(data, packet.start, packet.protected, packet.end, expected)
        if opened is not None:
            return opened
    return None


def versions_offered(packet: LongPacket, data: bytes) -> tuple[int, ...]:
    """Return the versions that a Version Negotiation packet lists; none if it is malformed."""
    header = packet.header
    size = 7 + len(header.destination_connection_id) + len(header.source_connection_id)
    try:
        return NegotiationFields.read(Reader(data, packet.start + size)).supported_versions
    except WireError:
        return ()


class QuicFollower:
    """The QUIC connections of a UDP flow."""

    def __init__(self, flow: UdpFlow, budget: Budget, _options: Options) -> None:
        self.limited = False
        self._flow = flow
        self._budget = budget
        self._connections: list[QuicConnection] = []
        self._ids: dict[tuple[int, bytes], QuicConnection] = {}
        """By sender and Destination Connection ID, unless that is empty."""
        self._lengths: tuple[set[int], set[int]] = (set(), set())
        """By sender, the lengths of these."""
        self._unclaimed: Counts | None = None
        """What comes before the first connection, which counts it as its own."""
        self._held: list[Datagram] = []
        self._refused: int | None = None
        """The side whose Initial packets, which cannot be opened, have a version that the other side does not know."""

    def feed(self, packet: Packet, sender: int) -> None:
        """Read a datagram."""
        data = packet.captured_payload()
        if not data or not data[0] & LONG_HEADER:
            found = self._read_short(data, packet, sender)
        else:
            datagram = Datagram(data, tuple(long_packets(data)), sender, packet.frame, packet.time)
            found = self._read_long(datagram)
            if found is None and datagram.packets:
                self._hold(datagram)
        self._counts(found).add(packet, sender)

    def finish(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections of the flow in the order of their first frames."""
        for one in self._connections:
            logged = one.finish(until, damage, limited=self.limited)
            if logged is not None:
                yield one.counts.totals, logged
        self._release_held()

    def _counts(self, connection: QuicConnection | None) -> Counts:
        """Return where a datagram counts: in a stray case, for the latest connection."""
        if connection is not None:
            return connection.counts
        if self._connections:
            return self._connections[-1].counts
        self._unclaimed = self._unclaimed or Counts(self._flow)
        return self._unclaimed

    def _read_short(self, data: bytes, packet: Packet, sender: int) -> QuicConnection | None:
        """Read a datagram that is a 1-RTT packet; return its connection."""
        found = self._of_short(data, sender)
        if found is not None:
            found.read_one_rtt(sender, packet.frame, packet.time)
        return found

    def _of_short(self, data: bytes, sender: int) -> QuicConnection | None:
        """Return the connection whose ID a short header has, which does not say how long the ID is."""
        if not data or not data[0] & FIXED_BIT:
            return None
        for size in self._lengths[sender]:
            found = self._ids.get((sender, data[1 : 1 + size]))
            if found is not None:
                return found
        latest = self._latest()
        return latest if latest is not None and latest.sides[1 - sender].id == b"" else None

    def _read_long(self, datagram: Datagram) -> QuicConnection | None:
        """Read a datagram that begins with a long header; return its connection, if that is known."""
        found: QuicConnection | None = None
        handshake = 0
        for packet in datagram.packets:
            found = found or self._find(packet, datagram.sender)
            if packet.kind is PacketType.INITIAL:
                found = self._read_initial(packet, datagram, found)
            elif found is None:
                continue
            elif packet.kind is PacketType.HANDSHAKE:
                handshake += packet.end - packet.protected
            elif packet.kind is PacketType.RETRY and datagram.sender != found.client:
                self._read_retry(packet, datagram, found)
            elif packet.kind is PacketType.VERSION_NEGOTIATION and datagram.sender != found.client:
                found.read_negotiation(packet, datagram.data)
        if found is None:
            self._refused = self._refuser(datagram) if self._refused is None else self._refused
            return None
        if handshake:
            found.read_handshake(handshake, datagram)
        rest = datagram.data[datagram.packets[-1].end :]
        if rest and self._of_short(rest, datagram.sender) is found:
            found.read_one_rtt(datagram.sender, datagram.frame, datagram.time)
        return found

    def _find(self, packet: LongPacket, sender: int) -> QuicConnection | None:
        """Return the connection of a packet by its connection IDs."""
        source, destination = packet.header.source_connection_id, packet.header.destination_connection_id
        found = self._ids.get((sender, destination)) or self._ids.get((1 - sender, source))
        latest = self._latest()
        if found is not None or latest is None:
            return found
        if sender == latest.client:
            # The server's ID may be missing in the capture.
            known = latest.sides[sender].id == source == b"" and packet.kind is not PacketType.INITIAL
        else:
            known = latest.sides[1 - sender].id == destination == b"" and not latest.answered
        return latest if known else None

    def _read_initial(
        self, packet: LongPacket, datagram: Datagram, found: QuicConnection | None
    ) -> QuicConnection | None:
        """Read an Initial packet, which may begin a connection; return its connection."""
        sender = datagram.sender
        # A client without a connection ID of its own is known by the keys alone.
        one = found or self._latest()
        if one is not None and sender == one.client and packet.header.version in one.offered:
            return self._begin(packet, datagram, one) or one
        opened = None if one is None else one.open(packet, datagram.data, sender)
        if one is None or opened is None:
            return self._begin(packet, datagram, found) or found
        one.read_initial(packet, opened, datagram)
        self._learn(one, packet, sender)
        return one

    def _begin(self, packet: LongPacket, datagram: Datagram, found: QuicConnection | None) -> QuicConnection | None:
        """Begin a connection, or go on with one, if a packet has the keys of its own Destination Connection ID."""
        sender, header = datagram.sender, packet.header
        if found is not None and sender != found.client:
            return None
        opened = open_initial(packet, datagram.data, header.destination_connection_id, False, 0)
        if opened is None:
            return None
        if found is not None and header.version in found.offered:
            found.begin_again(packet)
        elif found is not None and packet.token and not (found.answered or found.retry):
            # The capture lacks the Retry that told the client to use another ID.
            found.retry = True
            found.key_id = header.destination_connection_id
        elif len(self._connections) >= MAX_CONNECTIONS:
            detail = f"more than {MAX_CONNECTIONS} QUIC connections between the same endpoints: others are not read"
            self._connections[-1].sides[sender].report("limit", detail, datagram.frame)
            return None
        else:
            counts = self._counts(None) if not self._connections else Counts(self._flow)
            found = QuicConnection(counts, sender, packet, self._budget)
            found.version_negotiation = self._refused == sender
            self._refused = None
            self._connections.append(found)
        self._add_id(found, sender, header.destination_connection_id)
        self._add_id(found, 1 - sender, header.source_connection_id)
        found.read_initial(packet, opened, datagram)
        self._replay()
        return found

    def _read_retry(self, packet: LongPacket, datagram: Datagram, found: QuicConnection) -> None:
        if found.read_retry(packet, datagram.data):
            self._add_id(found, found.client, packet.header.source_connection_id)

    def _learn(self, connection: QuicConnection, packet: LongPacket, sender: int) -> None:
        """Learn the connection ID of the server from an opened packet."""
        header = packet.header
        if sender != connection.client:
            if connection.sides[sender].id == header.source_connection_id:
                self._add_id(connection, connection.client, header.source_connection_id)
        elif (sender, header.destination_connection_id) not in self._ids:
            connection.sides[1 - sender].id = header.destination_connection_id
            self._add_id(connection, sender, header.destination_connection_id)

    def _add_id(self, connection: QuicConnection, sender: int, destination: bytes) -> None:
        if destination:
            self._ids[sender, destination] = connection
            self._lengths[sender].add(len(destination))

    def _latest(self) -> QuicConnection | None:
        return self._connections[-1] if self._connections else None

    def _refuser(self, datagram: Datagram) -> int | None:
        """Return the side whose version a datagram refuses, if it answers a packet that is held."""
        for packet in datagram.packets:
            if packet.kind is PacketType.VERSION_NEGOTIATION:
                offered = versions_offered(packet, datagram.data)
                for held in self._held:
                    header = held.packets[0].header
                    if (
                        held.sender != datagram.sender
                        and header.source_connection_id == packet.header.destination_connection_id
                        and header.destination_connection_id == packet.header.source_connection_id
                        and header.version not in offered
                    ):
                        return held.sender
        return None

    def _hold(self, datagram: Datagram) -> None:
        """Hold a datagram of no known connection."""
        self._held.append(datagram)
        self._budget.used += len(datagram.data) + DATAGRAM_BYTES
        if len(self._held) > MAX_HELD_DATAGRAMS:
            self._budget.used -= len(self._held.pop(0).data) + DATAGRAM_BYTES

    def _replay(self) -> None:
        """Read the datagrams that are held, since a connection began."""
        for datagram in self._release_held():
            if self._read_long(datagram) is None:
                self._hold(datagram)

    def _release_held(self) -> list[Datagram]:
        """Return the datagrams that are held, and their bytes to the budget."""
        held, self._held = self._held, []
        self._budget.used -= sum(len(one.data) + DATAGRAM_BYTES for one in held)
        return held
