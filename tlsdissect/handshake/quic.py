"""QUIC connections of a UDP flow: Initial packets opened, their CRYPTO frames joined to handshake messages.

Initial packets of both sides are opened with the keys that anyone can derive (`quic_keys`). Handshake packets are only
measured, and kept if secrets may open them (`quic_decryption`); packets of 0-RTT and 1-RTT are only counted. A packet
belongs to the connection that has its connection IDs; only an Initial packet that opens begins a connection, so that
nothing else on UDP is taken for one. What comes before the Initial that explains it is held for a while: datagrams may
change places on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.datagrams import QUIC
from tlsdissect.flows.totals import Totals
from tlsdissect.handshake.logged import LoggedQuic
from tlsdissect.handshake.quic_handshake import Datagram, QuicHandshake
from tlsdissect.handshake.quic_keys import OpenedPacket, initial_key, is_genuine_retry, version_keys
from tlsdissect.handshake.quic_recording import QuicRecorder
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.quic import (
    FIXED_BIT,
    ConnectionClose,
    Crypto,
    LongPacket,
    NegotiationFields,
    PacketType,
    read_frames,
)
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.udp import UdpFlow
    from tlsdissect.handshake.keys import CaptureKeys
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.options import Options
    from tlsdissect.handshake.quic_handshake import Place

MAX_CONNECTIONS = 256
"""Maximum QUIC connections followed of one UDP flow; the datagrams of further ones count for the last."""
MAX_UNANSWERED = 8
"""Latest unanswered QUIC connections of one UDP flow with whose keys a server's Initial packet is tried."""
MAX_HELD_DATAGRAMS = 8
"""Maximum datagrams held of one UDP flow because the Initial that explains them may come; the oldest is dropped."""
CONNECTION_BYTES = 4096
"""Estimated bytes that a QUIC connection takes besides its messages."""
DATAGRAM_BYTES = 512
"""Estimated bytes that a held datagram takes besides its own."""
_OTHER_KEYS = "an Initial packet has other keys than its connection"


class Counts:
    """The datagrams of a connection in numbers."""

    __slots__ = ("seen", "totals")

    def __init__(self, flow: UdpFlow) -> None:
        self.totals = Totals(flow.endpoints, flow.stream)
        self.seen = 0
        """The sides that sent any: 1 for side 0, plus 2 for side 1."""

    def add(self, packet: Packet, sender: int) -> None:
        """Count a datagram."""
        if not self.seen:
            self.totals.begin(packet)
        self.totals.add(packet)
        self.seen |= 1 << sender


class QuicConnection:
    """A connection that a client's Initial packet began; of each pair, the first belongs to side 0 of the flow."""

    __slots__ = (
        "_budget",
        "_expected",
        "_first_one_rtt",
        "_handshake",
        "_has_identities",
        "_initial_packets",
        "_key_id",
        "_keys",
        "_logged",
        "_original_id",
        "_second",
        "_sent",
        "answered",
        "client",
        "close",
        "counts",
        "ids",
        "offered",
        "recorder",
        "retry",
        "returned",
        "version",
        "version_negotiation",
    )

    def __init__(
        self, counts: Counts, client: int, packet: LongPacket, budget: Budget, keys: CaptureKeys | None
    ) -> None:
        """`packet` is the Initial; `counts` has the datagrams before it, if they may belong to the connection."""
        self.counts = counts
        self.client = client
        self.ids: list[bytes | None] = [None, None]
        """The connection IDs that the sides chose: the Source Connection IDs of their first Initial packets."""
        self.ids[client] = packet.header.source_connection_id
        self.version = packet.header.version
        """Of the server's first Initial, or else of the client's latest."""
        self.answered = False
        """Whether an Initial of the server was opened."""
        self.offered: tuple[int, ...] = ()
        """The versions in a Version Negotiation packet that the client did not follow yet."""
        self.version_negotiation: bool | None = False
        """Whether the client began again after one; None if that is not known."""
        self.retry: bool | None = False
        """Whether a server sent a Retry; None if the capture may lack it."""
        self.close: tuple[int, ConnectionClose, int] | None = None
        """The first CONNECTION_CLOSE: who sent it, the frame of QUIC, and the number of the capture's frame."""
        self.returned = False
        """Whether its handshake was returned when it was decided."""
        self.recorder: QuicRecorder | None = None
        """Keeps the datagrams, if they are to be kept."""
        self._original_id = packet.header.destination_connection_id
        self._key_id = self._original_id
        """The connection ID from which the keys are derived: the original one, or that of a Retry."""
        self._initial_packets = [0, 0]
        self._expected = [0, 0]
        """One more than the highest number of each side's Initial packets."""
        self._first_one_rtt: list[PacketRef | None] = [None, None]
        """The client's first 1-RTT packet, and the server's first after it."""
        self._has_identities = False
        """Whether the identities in its ClientHello were taken."""
        self._sent = [0, 0]
        """Bytes of the datagrams of each side that were read."""
        self._budget = budget
        self._keys = keys
        self._handshake: QuicHandshake | None = QuicHandshake(budget, keys)
        """None once the handshake is over."""
        self._second: QuicHandshake | None = None
        """What a client sends after a Retry, until the server answers: it may be another ClientHello."""
        self._logged: tuple[LoggedHandshake | None, int] = (None, 0)
        """A handshake that is over, and the bytes that it holds."""

    def is_noted(self, sender: int) -> bool:
        """Return whether further 1-RTT packets of a side add nothing."""
        return self._first_one_rtt[sender] is not None

    @property
    def is_decided(self) -> bool:
        """Whether the handshake has succeeded, or failed for a reason that can be read."""
        return self._handshake is None or self.close is not None

    @property
    def lacks_first(self) -> bool:
        """Whether the client's Initial before the Retry was not captured so far."""
        return self.retry is not False and self._original_id == self._key_id

    def hello(self) -> HandshakeLog | None:
        """Return the log if it has a ClientHello, once."""
        if self._handshake is None or self._has_identities or self._handshake.log.client_hello is None:
            return None
        self._has_identities = True
        return self._handshake.log

    def report(self, sender: int, code: str, detail: str, frame: int) -> None:
        """Report a problem of a side, unless it was reported before or the handshake is over."""
        if self._handshake is not None:
            self._handshake.report(sender, code, detail, frame)

    def open(self, packet: LongPacket, data: bytes, sender: int) -> OpenedPacket | None:
        """Open an Initial packet of a side; None if it has other keys or missing bytes."""
        connection_id = self._original_id if self._precedes_retry(packet, sender) else self._key_id
        return open_initial(packet, data, connection_id, sender != self.client, self._expected[sender])

    def _precedes_retry(self, packet: LongPacket, sender: int) -> bool:
        """Return whether a client sent an Initial packet before it received the Retry that the capture has."""
        original = sender == self.client and packet.header.destination_connection_id == self._original_id
        return original and self._original_id != self._key_id

    def begin_again(self, packet: LongPacket) -> None:
        """Continue with the Initial that a client sends after a Version Negotiation: it has a new handshake."""
        self._go_on_with(QuicHandshake(self._budget, self._keys))
        self._expected = [0, 0]
        self.offered = ()
        self.version = packet.header.version
        self.ids[self.client] = packet.header.source_connection_id
        self._original_id = self._key_id = packet.header.destination_connection_id

    def _go_on_with(self, handshake: QuicHandshake) -> None:
        """Continue with another handshake, whose ClientHello counts."""
        if self._handshake is not None:
            self._handshake.finish(self.client)
        self._handshake = handshake
        self._has_identities = False

    def _drop_second(self) -> None:
        if self._second is not None:
            self._second.finish(self.client)
            self._second = None

    def _add_crypto(self, frame: Crypto, place: Place, *, after_retry: bool) -> bool:
        """Add a CRYPTO frame, which may show that the ClientHello after a Retry is another one.

        Return whether all of its bytes were known, after a Retry from frames after it.

        RFC 9000 section 17.2.5.3 forbids that, but aioquic does it, and servers answer.
        """
        if self._handshake is None:
            return True
        conflicted = self._handshake.conflicts(place.sender)
        known = self._handshake.add_crypto(frame, place)
        second = self._second
        if second is None or not after_retry:
            return known
        # The hello that a Retry demands is not one that was lost.
        known = second.add_crypto(frame, place)
        if self._handshake.conflicts(place.sender) and not conflicted:
            detail = "the ClientHello after the Retry is not the one before it: the one after it counts"
            second.report(place.sender, "conflicting_data", detail, place.frame)
            self._second = None
            self._go_on_with(second)
            return False
        return known

    def read_initial(self, packet: LongPacket, opened: OpenedPacket, place: Place) -> OpenedPacket:
        """Read an opened Initial packet; return it with whether it was sent again."""
        sender = place.sender
        self._initial_packets[sender] += 1
        self._expected[sender] = max(self._expected[sender], opened.number + 1)
        if sender != self.client and not self.answered:
            self.answered = True
            if self.offered and packet.header.version not in self.offered:
                # The client had dropped the Version Negotiation, which may be a forged one, and not begun again.
                self.version_negotiation = False
            self.offered = ()
            self.version = packet.header.version
            self.ids[sender] = packet.header.source_connection_id
            self._drop_second()
        if self._handshake is None:
            return opened
        known = list[bool]()
        after_retry = sender == self.client and not self._precedes_retry(packet, sender)
        frames, error = read_frames(opened.payload)
        for frame in frames:
            if isinstance(frame, Crypto):
                known.append(self._add_crypto(frame, place, after_retry=after_retry))
            elif isinstance(frame, ConnectionClose) and self.close is None:
                self.close = (sender, frame, place.frame)
                if frame.alert is not None:
                    self._handshake.add_alert(frame.alert, place)
        if error is not None:
            self.report(sender, "malformed_message", f"an Initial packet: {error}", place.frame)
        self._settle_if_over()
        return opened._replace(repeated=all(known)) if known else opened

    def read_handshake(self, packets: Sequence[LongPacket], datagram: Datagram) -> None:
        """Measure the Handshake packets of a datagram, and keep them if keys may open them."""
        sender = datagram.place.sender
        if self._handshake is None or self.is_noted(sender):
            return
        self._handshake.add_encrypted(sum(packet.end - packet.protected for packet in packets), datagram.place)
        for packet in packets:
            self._handshake.seal(packet, datagram, self._sent[sender])

    def pass_by(self, datagram: Datagram, opened: dict[int, OpenedPacket]) -> None:
        """Count a datagram that was read, and keep it if they are to be kept."""
        sender = datagram.place.sender
        if self.recorder is not None:
            self.recorder.add(datagram, opened, self._sent[sender])
        self._sent[sender] += datagram.length

    def read_one_rtt(self, place: Place) -> bool:
        """Note the first 1-RTT packet of each side, of the server the first after the client's; return if it is one."""
        sender = place.sender
        if self.is_noted(sender) or not (sender == self.client or self.is_noted(self.client)):
            return False
        self._first_one_rtt[sender] = PacketRef(place.frame, time_or_none(place.time), None)
        self._settle_if_over()
        return True

    def _settle_if_over(self) -> None:
        """Settle a handshake whose end and both hellos were seen."""
        if None not in self._first_one_rtt and self._handshake is not None and self._handshake.has_hellos:
            self._settle()

    def _settle(self) -> None:
        """Keep no more of a handshake that is over than its log."""
        self._drop_second()
        if self._handshake is not None:
            held_bytes = self._handshake.held_bytes
            self._logged = self._handshake.finish(self.client, self._first_one_rtt), held_bytes
            self._budget.used += held_bytes
            self._handshake = None

    def read_retry(self, packet: LongPacket, data: bytes) -> bool:
        """Return whether a client accepts a Retry: then its keys change (RFC 9000 section 17.2.5.2)."""
        if self.retry is None and packet.header.source_connection_id == self._key_id:
            self.retry = True
        if self.answered or self.retry or not is_genuine_retry(packet.header.version, data, self._original_id):
            return False
        self.follow_retry(packet.header.source_connection_id)
        return True

    def precede(self, original_id: bytes) -> None:
        """Note that an Initial with this Destination Connection ID came before the Retry."""
        self.retry = True
        self._original_id = original_id

    def follow_retry(self, connection_id: bytes) -> None:
        """Continue with the keys of the connection ID that the server chose in a Retry (RFC 9001 section 5.2)."""
        self.retry = True
        self._key_id = connection_id
        if self._handshake is not None:
            self._second = QuicHandshake(self._budget, self._keys)

    def read_negotiation(self, packet: LongPacket, data: bytes) -> None:
        """Note a Version Negotiation that a client accepts (RFC 9000 section 6.2)."""
        offered = versions_offered(packet, data)
        echoed = packet.header.source_connection_id == self._original_id
        if echoed and not (self.answered or self.retry) and self.version not in offered:
            self.version_negotiation = True
            self.offered = offered

    def finish(self, until: int, damage: Sequence[Damage], *, limited: bool) -> LoggedHandshake | None:
        """Return the handshake; None if there was no hello. The arguments are as for `LoggedHandshake`."""
        self._settle()
        logged, held_bytes = self._logged
        self._budget.used -= held_bytes + CONNECTION_BYTES
        recorder, self.recorder = self.recorder, None
        recording = None if recorder is None else recorder.recording(self.client)
        if logged is None:
            return None
        first_frame = self.counts.totals.first_frame
        client, server = self.client, 1 - self.client
        logged.two_sided = self.counts.seen == 3
        logged.given_up = limited
        logged.until = until
        logged.recording = recording
        logged.limited |= {self.client} if recorder is not None and recorder.full else set()
        logged.damage = tuple([hurt for hurt in damage if hurt.frame > first_frame])
        logged.quic = LoggedQuic(
            version=self.version,
            version_negotiation=self.version_negotiation,
            refused=bool(self.offered),
            retry=self.retry,
            original_id=self._original_id,
            ids=(self.ids[client], self.ids[server]),
            initial_packets=(self._initial_packets[client], self._initial_packets[server]),
            first_one_rtt=(self._first_one_rtt[client], self._first_one_rtt[server]),
            close=self.close,
        )
        return logged


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

    protocol = QUIC

    def __init__(self, flow: UdpFlow, budget: Budget, options: Options, keys: CaptureKeys | None = None) -> None:
        self.limited = False
        self.changed: list[tuple[int, HandshakeLog]] = []
        self.ready = False
        self._early = options.idle is not None
        self._flow = flow
        self._budget = budget
        self._keeps = options.keep
        self._keys = keys
        self._connections: list[QuicConnection] = []
        self._ids: dict[tuple[int, bytes], QuicConnection] = {}
        """By sender and Destination Connection ID, unless that is empty."""
        self._lengths: list[tuple[int, ...]] = [(), ()]
        """By sender, the lengths of these."""
        self._unclaimed: Counts | None = None
        """What comes before the first connection, which counts it as its own."""
        self._held: list[Datagram] = []
        self._refused: int | None = None
        """The side whose Initial packets, which cannot be opened, have a version that the other side does not know."""

    def feed(self, packet: Packet, sender: int) -> None:
        """Read a datagram."""
        datagram = Datagram.of(packet, sender)
        if not datagram.packets:
            found = self._of_short(datagram.data, sender)
            if found is not None and found.read_one_rtt(datagram.place):
                found.pass_by(datagram, {})
        else:
            found = self._read_long(datagram)
            if found is None:
                self._hold(datagram)
        hello = None if found is None else found.hello()
        if hello is not None:
            self.changed.append((packet.frame, hello))
        counts = self._counts(found)
        counts.add(packet, sender)
        self._let_pass(counts)
        self.ready = self._early and found is not None and found.is_decided and not found.returned

    def _let_pass(self, counts: Counts) -> None:
        """Let the table count the 1-RTT packets that add nothing, while all belong to one connection."""
        flow, latest = self._flow, self._latest()
        if len(self._connections) > 1:
            flow.totals, flow.passing = None, 0
            return
        noted = 3 if latest is None else latest.is_noted(0) | latest.is_noted(1) << 1
        flow.totals, flow.passing = counts.totals, noted & counts.seen

    def finish(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections of the flow in the order of their first frames."""
        for datagram in self._release_held():
            sender, frame, _ = datagram.place
            found = self._find(datagram.packets[0], sender)
            if found is not None:
                found.report(sender, "malformed_record", _OTHER_KEYS, frame)
        yield from self._returned([one for one in self._connections if not one.returned], until, damage)

    def decided(self, until: int, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections whose handshake the latest datagram decided; `finish` does not yield them again."""
        self.ready = False
        decided = [one for one in self._connections if one.is_decided and not one.returned]
        yield from self._returned(decided, until, damage)

    def _returned(
        self, connections: Sequence[QuicConnection], until: int, damage: Sequence[Damage]
    ) -> Iterator[tuple[Totals, LoggedHandshake]]:
        for one in connections:
            one.returned = True
            logged = one.finish(until, damage, limited=self.limited)
            if logged is not None:
                yield one.counts.totals, logged

    def _counts(self, connection: QuicConnection | None) -> Counts:
        """Return where a datagram counts: in a stray case, for the latest connection."""
        if connection is not None:
            return connection.counts
        if self._connections:
            return self._connections[-1].counts
        self._unclaimed = self._unclaimed or Counts(self._flow)
        return self._unclaimed

    def _of_short(self, data: bytes, sender: int) -> QuicConnection | None:
        """Return the connection whose ID a short header has, which does not say how long the ID is."""
        if not data or not data[0] & FIXED_BIT:
            return None
        for size in self._lengths[sender]:
            found = self._ids.get((sender, data[1 : 1 + size]))
            if found is not None:
                return found
        latest = self._latest()
        return latest if latest is not None and latest.ids[1 - sender] == b"" else None

    def _read_long(self, datagram: Datagram) -> QuicConnection | None:
        """Read a datagram that begins with a long header; return its connection, if that is known."""
        found: QuicConnection | None = None
        handshake, sender = list[LongPacket](), datagram.place.sender
        opened: dict[int, OpenedPacket] = {}
        for packet in datagram.packets:
            found = found or self._find(packet, sender)
            if packet.kind is PacketType.INITIAL:
                reader = self._read_initial(packet, datagram, found, opened)
                if reader is None and found is not None and self._may_open_later(packet, datagram, found):
                    self._hold(datagram)
                    return found
                found = reader or found
            elif found is None:
                continue
            elif packet.kind is PacketType.HANDSHAKE:
                handshake.append(packet)
            elif packet.kind is PacketType.RETRY and sender != found.client:
                self._read_retry(packet, datagram, found)
            elif packet.kind is PacketType.VERSION_NEGOTIATION and sender != found.client:
                found.read_negotiation(packet, datagram.data)
        if found is None:
            self._refused = self._refuser(datagram) if self._refused is None else self._refused
            return None
        if handshake:
            found.read_handshake(handshake, datagram)
        rest = datagram.data[datagram.packets[-1].end :]
        if rest and self._of_short(rest, sender) is found:
            found.read_one_rtt(datagram.place)
        found.pass_by(datagram, opened)
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
            known = latest.ids[sender] == source == b"" and packet.kind is not PacketType.INITIAL
        else:
            known = latest.ids[1 - sender] == destination == b"" and not latest.answered
        return latest if known else None

    def _read_initial(
        self,
        packet: LongPacket,
        datagram: Datagram,
        found: QuicConnection | None,
        openings: dict[int, OpenedPacket],
    ) -> QuicConnection | None:
        """Read an Initial packet, which may begin a connection; return its connection if it could be opened.

        What is opened is added to `openings`, by where it begins.
        """
        sender = datagram.place.sender
        for one in self._candidates(packet, sender, found):
            if sender == one.client and packet.header.version in one.offered:
                return self._begin(packet, datagram, one, openings)
            opened = one.open(packet, datagram.data, sender)
            if opened is not None:
                openings[packet.start] = one.read_initial(packet, opened, datagram.place)
                self._learn(one, packet, sender)
                return one
        return self._begin(packet, datagram, found, openings)

    def _candidates(self, packet: LongPacket, sender: int, found: QuicConnection | None) -> Iterator[QuicConnection]:
        """Yield the connections to which an Initial packet may belong.

        A client without a connection ID of its own is known by the keys alone, which follow from the ID that it chose
        for the server (RFC 9001 section 5.2).
        """
        first = found or self._latest()
        if first is None:
            return
        yield first
        if sender != first.client and not packet.header.destination_connection_id:
            for one in reversed(self._connections[-MAX_UNANSWERED:]):
                if one is not first and one.client != sender and not one.answered and not one.ids[one.client]:
                    yield one

    def _may_open_later(self, packet: LongPacket, datagram: Datagram, found: QuicConnection) -> bool:
        """Return whether an Initial packet may have keys that only a later datagram reveals; report it if not."""
        sender, frame, _ = datagram.place
        if packet.end > len(datagram.data):
            found.report(sender, "truncated_packet", "an Initial packet was not captured whole", frame)
        elif sender != found.client and not found.answered:
            return True
        else:
            found.report(sender, "malformed_record", _OTHER_KEYS, frame)
        return False

    def _begin(
        self,
        packet: LongPacket,
        datagram: Datagram,
        found: QuicConnection | None,
        openings: dict[int, OpenedPacket],
    ) -> QuicConnection | None:
        """Begin a connection, or go on with one, if a packet has the keys of its own Destination Connection ID."""
        sender, header = datagram.place.sender, packet.header
        if found is not None and sender != found.client:
            return None
        opened = open_initial(packet, datagram.data, header.destination_connection_id, False, 0)
        if opened is None:
            return None
        begins = False
        if found is not None and header.version in found.offered and not found.returned:
            found.begin_again(packet)
        elif found is not None and found.lacks_first and not packet.token:
            # The capture has the client's first Initial after the one that follows the Retry.
            found.precede(header.destination_connection_id)
        elif found is not None and packet.token and not (found.answered or found.retry):
            # The capture lacks the Retry that told the client to use another ID.
            found.follow_retry(header.destination_connection_id)
        elif len(self._connections) >= MAX_CONNECTIONS:
            detail = f"more than {MAX_CONNECTIONS} QUIC connections between the same endpoints: others are not read"
            self._connections[-1].report(sender, "limit", detail, datagram.place.frame)
            return None
        else:
            begins = True
            counts = self._counts(None) if not self._connections else Counts(self._flow)
            found = QuicConnection(counts, sender, packet, self._budget, self._keys)
            found.recorder = QuicRecorder(self._budget) if self._keeps else None
            if packet.token and opened.number > 0:
                # The token is of a Retry, after which numbers go on (RFC 9000 section 17.2.5.3), or of a client that
                # was here before and does not begin with 0.
                found.retry = None
            found.version_negotiation = self._refused == sender or self._may_follow_negotiation(packet, sender)
            if found.version_negotiation is None:
                detail = "the capture lacks the Initial packet that a Version Negotiation answers"
                found.report(1 - sender, "gap", detail, datagram.place.frame)
            self._refused = None
        self._add_id(found, sender, header.destination_connection_id)
        self._add_id(found, 1 - sender, header.source_connection_id)
        openings[packet.start] = found.read_initial(packet, opened, datagram.place)
        if begins:
            self._connections.append(found)
            # Counted after its first message, for which there was room: so it is returned, even if given up at once.
            self._budget.used += CONNECTION_BYTES
        self._replay()
        return found

    def _read_retry(self, packet: LongPacket, datagram: Datagram, found: QuicConnection) -> None:
        if found.read_retry(packet, datagram.data):
            self._add_id(found, found.client, packet.header.source_connection_id)
            self._replay()

    def _learn(self, connection: QuicConnection, packet: LongPacket, sender: int) -> None:
        """Learn the connection ID of the server from an opened packet."""
        header = packet.header
        if sender != connection.client:
            if connection.ids[sender] == header.source_connection_id:
                self._add_id(connection, connection.client, header.source_connection_id)
        elif (sender, header.destination_connection_id) not in self._ids:
            connection.ids[1 - sender] = header.destination_connection_id
            self._add_id(connection, sender, header.destination_connection_id)

    def _add_id(self, connection: QuicConnection, sender: int, destination: bytes) -> None:
        if destination:
            self._ids[sender, destination] = connection
            if len(destination) not in self._lengths[sender]:
                self._lengths[sender] += (len(destination),)

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
                        held.place.sender != datagram.place.sender
                        and header.source_connection_id == packet.header.destination_connection_id
                        and header.destination_connection_id == packet.header.source_connection_id
                        and header.version not in offered
                    ):
                        return held.place.sender
        return None

    def _may_follow_negotiation(self, packet: LongPacket, sender: int) -> bool | None:
        """Return whether a Version Negotiation came before a client's first Initial packet; None if that is not known.

        A client may choose other IDs when it begins again (RFC 9000 section 6.2).
        """
        for held in self._held:
            if held.place.sender == sender:
                break
            for one in held.packets:
                if one.kind is PacketType.VERSION_NEGOTIATION:
                    client_id = packet.header.source_connection_id
                    same = client_id != b"" and one.header.destination_connection_id == client_id
                    return True if same and packet.header.version in versions_offered(one, held.data) else None
        return False

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
