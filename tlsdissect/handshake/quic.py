# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""QUIC connections of a UDP flow: Initial packets opened, their CRYPTO frames joined to handshake messages.

Initial packets of both sides are opened with the keys that anyone can derive (`quic_keys`). Handshake packets are only
measured, and kept if secrets may open them (`quic_decryption`); packets of 0-RTT and 1-RTT are only counted. A packet
belongs to the connection that has its connection IDs; only an Initial packet that opens begins a connection, so that
nothing else on UDP is taken for one: most often the client's, or else the server's, opened with keys that follow from
the header of a client's packet of which the capture has no more. What comes before the Initial that explains it is held
for a while: datagrams may change places on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.capture.packet import time_or_none
from tlsdissect.flows.flow import UNKNOWN
from tlsdissect.flows.totals import Totals
from tlsdissect.flows.udp_protocols import QUIC, google_version
from tlsdissect.handshake.copies import NumberedCopies
from tlsdissect.handshake.logged import LoggedQuic
from tlsdissect.handshake.quic_handshake import Datagram, QuicHandshake, new_datagram
from tlsdissect.handshake.quic_keys import (
    InitialKeys,
    OpenedPacket,
    PacketKey,
    initial_keys,
    is_genuine_retry,
    version_keys,
)
from tlsdissect.handshake.quic_migration import LEAST_ID
from tlsdissect.handshake.quic_recording import QuicRecorder
from tlsdissect.model.transcript import PacketRef
from tlsdissect.tls.quic import (
    FIXED_BIT,
    LONG_HEADER,
    LONGEST_ID,
    ConnectionClose,
    Crypto,
    NegotiationFields,
    read_frames,
)
from tlsdissect.tls.quic_packets import (
    HANDSHAKE,
    INITIAL,
    RETRY,
    VERSION_NEGOTIATION,
    ZERO_RTT,
    CryptoFrame,
    LongPacket,
    crypto_frames,
)
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.udp import UdpFlow
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.options import Options

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
_NO_ID = (b"", 0, 0)


# C integers, by the .pxd.
_INITIAL, _ZERO_RTT, _HANDSHAKE, _RETRY, _VERSION_NEGOTIATION = INITIAL, ZERO_RTT, HANDSHAKE, RETRY, VERSION_NEGOTIATION
_FIXED_BIT, _LONG_HEADER, _DATAGRAM_BYTES, _UNKNOWN, _LEAST_ID = (
    FIXED_BIT,
    LONG_HEADER,
    DATAGRAM_BYTES,
    UNKNOWN,
    LEAST_ID,
)


@cython.cclass
class Counts:
    """The datagrams of a connection in numbers."""

    totals: Totals
    seen: cython.longlong
    """The sides that sent any: 1 for side 0, plus 2 for side 1."""

    def __init__(self, flow: UdpFlow) -> None:
        self.totals = Totals(flow.endpoints, flow.stream)
        self.seen = 0

    @cython.ccall
    def add(self, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Count a datagram."""
        if self.seen == 0:
            self.totals.begin(packet)
        self.totals.add(packet)
        self.seen |= 1 << sender
        return True


@cython.cclass
class QuicConnection:
    """A connection that a client's Initial packet began; of each pair, the first belongs to side 0 of the flow."""

    counts: Counts
    client: cython.longlong
    ids: list[bytes | None]
    """The connection IDs that the sides chose: the Source Connection IDs of their first Initial packets."""
    version: cython.longlong
    """Of the server's first Initial, or else of the client's latest."""
    answered: cython.bint
    """Whether an Initial of the server was opened."""
    offered: tuple[int, ...]
    """The versions in a Version Negotiation packet that the client did not follow yet."""
    version_negotiation: Any
    """Whether the client began again after one; None if that is not known."""
    retry: Any
    """Whether a server sent a Retry; None if the capture may lack it."""
    close: tuple[int, ConnectionClose, int] | None
    """The first CONNECTION_CLOSE: who sent it, the frame of QUIC, and the number of the capture's frame."""
    returned: cython.bint
    """Whether its handshake was returned when it was decided."""
    recorder: QuicRecorder | None
    """Keeps the datagrams, if they are to be kept."""
    _original_id: bytes
    _key_id: bytes
    """The connection ID from which the keys are derived: the original one, or that of a Retry."""
    _initial_packets: list[int]
    _expected: list[int]
    """One more than the highest number of each side's Initial packets."""
    _first_one_rtt: list[PacketRef | None]
    """The client's first 1-RTT packet, and the server's first after it."""
    _has_identities: cython.bint
    """Whether the identities in its ClientHello were taken."""
    _sent: list[int]
    """Bytes of the datagrams of each side that were read."""
    _budget: Budget
    _keys: CaptureKeys | None
    _handshake: QuicHandshake | None
    """None once the handshake is over."""
    _second: QuicHandshake | None
    """What a client sends after a Retry, until the server answers: it may be another ClientHello."""
    _sealing: QuicHandshake | None
    """The handshake, once it is over, if keys may still decrypt later Handshake packets."""
    _logged: LoggedHandshake | None
    """A handshake that is over."""
    _logged_bytes: cython.longlong
    """The bytes that it holds."""

    def __init__(
        self, counts: Counts, client: cython.longlong, packet: LongPacket, budget: Budget, keys: CaptureKeys | None
    ) -> None:
        """`packet` is the Initial; `counts` has the datagrams before it, if they may belong to the connection."""
        self.counts = counts
        self.client = client
        self.ids = [None, None]
        self.ids[client] = packet.source_id
        self.version = packet.version
        self.answered = False
        self.offered = ()
        self.version_negotiation = False
        self.retry = False
        self.close = None
        self.returned = False
        self.recorder = None
        self._original_id = packet.destination_id
        self._key_id = self._original_id
        self._initial_packets = [0, 0]
        self._expected = [0, 0]
        self._first_one_rtt = [None, None]
        self._has_identities = False
        self._sent = [0, 0]
        self._budget = budget
        self._keys = keys
        self._handshake = QuicHandshake(budget, keys)
        self._second = None
        self._sealing = None
        self._logged = None
        self._logged_bytes = 0

    @cython.ccall
    def is_noted(self, sender: cython.longlong) -> cython.bint:
        """Return whether further 1-RTT packets of a side add nothing."""
        return self._first_one_rtt[sender] is not None

    @cython.ccall
    def is_decided(self) -> cython.bint:
        """Return whether the handshake has succeeded, or failed for a reason that can be read."""
        return self._handshake is None or self.close is not None

    @cython.ccall
    def lacks_first(self) -> cython.bint:
        """Return whether the client's Initial before the Retry was not captured so far."""
        return self.retry is not False and self._original_id == self._key_id

    @cython.ccall
    def hello(self) -> HandshakeLog | None:
        """Return the log if it has a ClientHello, once."""
        if self._handshake is None or self._has_identities or self._handshake.log.client_hello is None:
            return None
        self._has_identities = True
        return self._handshake.log

    @cython.ccall
    def report(self, sender: cython.longlong, code: str, detail: str, frame: cython.longlong) -> cython.bint:
        """Report a problem of a side; return whether it was not reported before, and the handshake is not over."""
        return self._handshake is not None and self._handshake.report(sender, code, detail, frame)

    def report_fragments(self, sender: cython.longlong, frame: cython.longlong, conflict: FragmentConflict) -> None:
        """Report that the IP fragments of a datagram of a side differ, if the handshake is not over."""
        if self._handshake is not None:
            self._handshake.report_fragments(sender, frame, conflict)

    @cython.ccall
    def key_id(self) -> bytes:
        """Return the connection ID that the client chose for the server, or that a Retry gave it."""
        return self._key_id

    @cython.ccall
    def open(self, packet: LongPacket, data: bytes, sender: cython.longlong) -> OpenedPacket | None:
        """Open an Initial packet of a side; None if it has other keys or missing bytes."""
        connection_id = self._original_id if self._precedes_retry(packet, sender) else self._key_id
        return open_initial(packet, data, connection_id, sender != self.client, self._expected[sender])

    @cython.cfunc
    def _precedes_retry(self, packet: LongPacket, sender: cython.longlong) -> cython.bint:
        """Return whether a client sent an Initial packet before it received the Retry that the capture has."""
        if self._original_id == self._key_id or sender != self.client:
            return False
        return packet.destination_id == self._original_id

    @cython.ccall
    def begin_again(self, packet: LongPacket) -> cython.bint:
        """Continue with the Initial that a client sends after a Version Negotiation: it has a new handshake."""
        self._go_on_with(QuicHandshake(self._budget, self._keys))
        self._expected = [0, 0]
        self.offered = ()
        self.version = packet.version
        self.ids[self.client] = packet.source_id
        self._original_id = self._key_id = packet.destination_id
        return True

    @cython.cfunc
    def _go_on_with(self, handshake: QuicHandshake) -> cython.bint:
        """Continue with another handshake, whose ClientHello counts."""
        if self._handshake is not None:
            self._handshake.finish(self.client)
        self._handshake = handshake
        self._has_identities = False
        return True

    @cython.cfunc
    def _drop_second(self) -> cython.bint:
        if self._second is not None:
            self._second.finish(self.client)
            self._second = None
        return True

    @cython.cfunc
    def _add_crypto(
        self, offset: cython.longlong, data: bytes, datagram: Datagram, after_retry: cython.bint
    ) -> cython.bint:
        """Add a CRYPTO frame, which may show that the ClientHello after a Retry is another one.

        Return whether all of its bytes were known, after a Retry from frames after it.

        RFC 9000 section 17.2.5.3 forbids that, but aioquic does it, and servers answer.
        """
        sender: cython.longlong = datagram.sender
        second: QuicHandshake | None = self._second
        if self._handshake is None:
            return True
        conflicted: cython.bint = self._handshake.conflicts(sender)
        known: cython.bint = self._handshake.add_crypto(offset, data, datagram)
        if second is None or not after_retry:
            return known
        # The hello that a Retry demands is not one that was lost.
        known = second.add_crypto(offset, data, datagram)
        if self._handshake.conflicts(sender) and not conflicted:
            detail = "the ClientHello after the Retry is not the one before it: the one after it counts"
            second.report(sender, "conflicting_data", detail, datagram.frame)
            self._second = None
            self._go_on_with(second)
            return False
        return known

    @cython.ccall
    def read_initial(self, packet: LongPacket, opened: OpenedPacket, datagram: Datagram) -> OpenedPacket:
        """Read an opened Initial packet and return it; if packets are recorded, with whether it was sent again."""
        sender: cython.longlong = datagram.sender
        frame: CryptoFrame
        self._initial_packets[sender] += 1
        self._expected[sender] = max(self._expected[sender], opened.number + 1)
        if sender != self.client and not self.answered:
            self.answered = True
            if self.offered and packet.version not in self.offered:
                # The client had dropped the Version Negotiation, which may be a forged one, and not begun again.
                self.version_negotiation = False
            self.offered = ()
            self.version = packet.version
            self.ids[sender] = packet.source_id
            self._drop_second()
        if self._handshake is None:
            return opened
        known: list[bool] = []
        after_retry: cython.bint = sender == self.client and not self._precedes_retry(packet, sender)
        frames = crypto_frames(opened.payload, packet.version)
        if frames is None:
            known = self._read_frames(opened.payload, datagram, after_retry)
        else:
            for frame in frames:
                known.append(self._add_crypto(frame.offset, frame.data, datagram, after_retry))
        self._settle_if_over()
        return opened if not known or self.recorder is None else opened._replace(repeated=all(known))

    @cython.cfunc
    def _read_frames(self, payload: bytes, datagram: Datagram, after_retry: cython.bint) -> list[bool]:
        """Read all frames; return of each CRYPTO frame whether all of its bytes were known."""
        known: list[bool] = []
        read, error = read_frames(payload)
        for frame in read:
            if isinstance(frame, Crypto):
                known.append(self._add_crypto(frame.offset, frame.crypto_data, datagram, after_retry))
            elif isinstance(frame, ConnectionClose) and self.close is None:
                self.close = (datagram.sender, frame, datagram.frame)
                if frame.alert is not None and self._handshake is not None:
                    self._handshake.add_alert(frame.alert, datagram)
        if error is not None:
            self.report(datagram.sender, "malformed_message", f"an Initial packet: {error}", datagram.frame)
        return known

    @cython.ccall
    def read_handshake(self, packets: list[LongPacket], datagram: Datagram) -> cython.bint:
        """Measure the Handshake packets of a datagram, and keep them if keys may open them.

        Behind a side's first 1-RTT packet they are not measured, since the end of the handshake may have been seen, but
        they may have changed places with that packet on the way: keys show what is in them.
        """
        packet: LongPacket
        size: cython.longlong = 0
        sealing: QuicHandshake | None = self._handshake
        if sealing is None:
            sealing = self._sealing
        if self._handshake is not None and not self.is_noted(datagram.sender):
            for packet in packets:
                size += packet.end - packet.protected
            self._handshake.add_encrypted(size, datagram)
        if sealing is not None:
            for packet in packets:
                sealing.seal(packet, datagram, self._sent[datagram.sender])
        return True

    @cython.ccall
    def pass_by(self, datagram: Datagram, opened: Mapping[int, OpenedPacket]) -> cython.bint:
        """Count a datagram that was read, and keep it if they are to be kept."""
        if self.recorder is not None:
            self.recorder.add(datagram, opened, self._sent[datagram.sender])
        self._sent[datagram.sender] += datagram.length
        return True

    @cython.ccall
    def read_one_rtt(self, sender: cython.longlong, frame: cython.longlong, time: cython.longlong) -> cython.bint:
        """Note the first 1-RTT packet of each side, of the server the first after the client's; return if it is one."""
        of_client = self._first_one_rtt[self.client]
        if self.is_noted(sender) or not (sender == self.client or (of_client is not None and of_client.frame < frame)):
            return False
        self._first_one_rtt[sender] = PacketRef(frame, time_or_none(time), None)
        self._settle_if_over()
        return True

    @cython.cfunc
    def _settle_if_over(self) -> cython.bint:
        """Settle a handshake whose end and both hellos were seen."""
        if self._handshake is not None and self.is_noted(0) and self.is_noted(1) and self._handshake.has_hellos():
            self._settle()
        return True

    @cython.cfunc
    def _settle(self) -> cython.bint:
        """Keep no more of a handshake that is over than its log."""
        self._drop_second()
        if self._handshake is not None:
            self._logged_bytes = self._handshake.log.held_bytes
            self._logged = self._handshake.finish(self.client, self._first_one_rtt)
            self._budget.used += self._logged_bytes
            if self._logged is not None and self._handshake.log.opens:
                self._sealing = self._handshake
            self._handshake = None
        return True

    @cython.ccall
    def read_retry(self, packet: LongPacket, data: bytes) -> cython.bint:
        """Return whether a client accepts a Retry: then its keys change (RFC 9000 section 17.2.5.2)."""
        if self.retry is None and packet.source_id == self._key_id:
            self.retry = True
        if self.answered or self.retry or not is_genuine_retry(packet.version, data, self._original_id):
            return False
        self.follow_retry(packet.source_id)
        return True

    @cython.ccall
    def precede(self, original_id: bytes) -> cython.bint:
        """Note that an Initial with this Destination Connection ID came before the Retry."""
        self.retry = True
        self._original_id = original_id
        return True

    @cython.ccall
    def follow_retry(self, connection_id: bytes) -> cython.bint:
        """Continue with the keys of the connection ID that the server chose in a Retry (RFC 9001 section 5.2)."""
        self.retry = True
        self._key_id = connection_id
        if self._handshake is not None:
            self._second = QuicHandshake(self._budget, self._keys)
        return True

    @cython.ccall
    def read_negotiation(self, packet: LongPacket, data: bytes) -> cython.bint:
        """Note a Version Negotiation that a client accepts (RFC 9000 section 6.2)."""
        offered = versions_offered(packet, data)
        echoed = packet.source_id == self._original_id
        if echoed and not (self.answered or self.retry) and self.version not in offered:
            self.version_negotiation = True
            self.offered = offered
            return True
        return False

    def finish(
        self, until: cython.longlong, damage: Sequence[Damage], *, limited: cython.bint
    ) -> LoggedHandshake | None:
        """Return the handshake; None if there was no hello. The arguments are as for `LoggedHandshake`."""
        self._settle()
        logged: LoggedHandshake | None = self._logged
        self._budget.used -= self._logged_bytes + CONNECTION_BYTES
        recorder, self.recorder = self.recorder, None
        recording = None if recorder is None else recorder.recording(self.client)
        if logged is None:
            return None
        if self._sealing is not None:
            self._sealing.take_sealed(logged)
        client: cython.longlong = self.client
        server: cython.longlong = 1 - client
        logged.two_sided = self.counts.seen == 3
        logged.given_up = limited
        logged.until = until
        logged.recording = recording
        if recorder is not None and recorder.full:
            logged.limited |= {client}
        if damage:
            first_frame = self.counts.totals.first_frame
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
    packet: LongPacket, data: bytes, connection_id: bytes, server: cython.bint, expected: cython.longlong
) -> OpenedPacket | None:
    """Open an Initial packet with the keys of a side that follow from a connection ID; None if it has others."""
    derived: InitialKeys
    key: PacketKey
    opened: OpenedPacket | None
    for keys in version_keys(packet.version):
        derived = initial_keys(keys, connection_id)
        key = derived.of(server)
        opened = key.open(data, packet.start, packet.protected, packet.end, expected)
        if opened is not None:
            return opened
    return None


@cython.cfunc
def _is_answer(packet: LongPacket, data: bytes, connection_id: bytes) -> cython.bint:
    """Return whether a packet shows that its sender knows the Destination Connection ID of a client's first packet."""
    if packet.kind == _RETRY:
        return is_genuine_retry(packet.version, data, connection_id)
    return packet.kind == _INITIAL and open_initial(packet, data, connection_id, True, 0) is not None


def versions_offered(packet: LongPacket, data: bytes) -> tuple[int, ...]:
    """Return the versions that a Version Negotiation packet lists; none if it is malformed."""
    size = 7 + len(packet.destination_id) + len(packet.source_id)
    try:
        return NegotiationFields.read(Reader(data, packet.start + size)).supported_versions
    except WireError:
        return ()


@cython.cclass
class _Reading:
    """A datagram with long headers while it is read."""

    datagram: Datagram
    found: QuicConnection | None
    """Its connection, once that is known."""
    handshake: list[LongPacket]
    """Its Handshake packets."""
    opened: dict[int, OpenedPacket]
    """Its packets that were opened, by where they begin."""
    held: cython.bint
    """Whether the rest is read later."""

    def __init__(self, datagram: Datagram) -> None:
        self.datagram = datagram
        self.found = None
        self.handshake = []
        self.opened = {}
        self.held = False


@cython.cclass
class QuicFollower:
    """The QUIC connections of a UDP flow."""

    protocol: str
    limited: cython.bint
    changed: list[tuple[int, HandshakeLog]]
    ready: cython.bint
    google_version: str | None
    """The version of Google QUIC from before TLS, which is not decoded, if there is one: that which the server states,
    or else the latest of the client, which goes on with another if the server refuses the first."""
    _google_client: cython.longlong
    """The side that stated a version of Google QUIC first, or UNKNOWN."""
    _is_google_answered: cython.bint
    """Whether the server stated `google_version`."""
    _server_ids: list[tuple[int, bytes]]
    """Connection IDs by which servers know connections, each with the side of the server, until they are taken."""
    _early: cython.bint
    _flow: UdpFlow
    _budget: Budget
    _keeps: cython.bint
    _keys: CaptureKeys | None
    _connections: list[QuicConnection]
    _ids: dict[tuple[int, bytes], QuicConnection]
    """By sender and Destination Connection ID, unless that is empty."""
    _lengths: list[tuple[int, ...]]
    """By sender, the lengths of these."""
    _unknown: list[tuple[bytes, int, int]]
    """By sender, where an unknown ID would be in its latest short header that has one, with the frame and time."""
    _unclaimed: Counts | None
    """What comes before the first connection, which counts it as its own."""
    _copies: NumberedCopies
    """Those datagrams of handshakes that were captured twice."""
    _held: list[Datagram]
    _explains: cython.bint
    """Whether a packet was read that may explain those."""
    _refused: cython.longlong
    """The side whose Initial packets, which cannot be opened, have a version that the other side does not know, or
    UNKNOWN."""

    def __init__(self, flow: UdpFlow, budget: Budget, options: Options, keys: CaptureKeys | None = None) -> None:
        self.protocol = QUIC
        self.limited = False
        self.changed = []
        self.ready = False
        self._early = options.idle is not None
        self._flow = flow
        self._budget = budget
        self._keeps = options.keep
        self._keys = keys
        self._connections = []
        self._ids = {}
        self._lengths = [(), ()]
        self._unknown = [_NO_ID, _NO_ID]
        self._unclaimed = None
        self._copies = NumberedCopies()
        self._held = []
        self._explains = False
        self.google_version = None
        self._google_client = UNKNOWN
        self._is_google_answered = False
        self._server_ids = []
        self._refused = UNKNOWN

    @cython.ccall
    def feed(self, packet: Packet, sender: cython.longlong) -> None:
        """Read a datagram."""
        datagram: Datagram = new_datagram(packet, sender)
        found: QuicConnection | None
        hello: HandshakeLog | None = None
        if not datagram.packets:
            found = self._of_short(datagram.data, sender)
            if found is None and not self._copies.has(datagram.data, datagram.frame):
                found = self._of_new_id(datagram)
            if found is not None and found.read_one_rtt(sender, datagram.frame, datagram.time):
                found.pass_by(datagram, {})
        # A Version Negotiation has no number: a server may send equal ones (RFC 9000 section 17.2.1).
        elif datagram.packets[0].kind != _VERSION_NEGOTIATION and self._copies.has(datagram.data, datagram.frame):
            found = self._find(datagram.packets[0], sender)
            if found is not None and found.recorder is not None:
                found.recorder.add_copy(self._copies.first, datagram.frame)
        else:
            found = self._read_long(datagram)
            if found is None:
                self._hold(datagram)
            if self._held and self._held[len(self._held) - 1] is datagram and self._begin_answered(datagram):
                found = self._latest()
        if found is None:
            self._note_google(google_version(packet), sender)
        if found is not None:
            hello = found.hello()
        if hello is not None:
            self.changed.append((packet.frame, hello))
        counts: Counts = self._counts(found)
        counts.add(packet, sender)
        self._let_pass(counts)
        self.ready = self._early and found is not None and found.is_decided() and not found.returned

    @cython.cfunc
    def _note_google(self, version: Any, sender: cython.longlong) -> cython.bint:
        """Note the version of Google QUIC that a packet states, if it states one."""
        if version is None:
            return False
        if self._google_client == _UNKNOWN:
            self._google_client = sender
        answers: cython.bint = sender != self._google_client
        if answers or not self._is_google_answered:
            self.google_version = version
            self._is_google_answered = answers
        return True

    @cython.ccall
    def take_server_ids(self) -> Any:
        """Return the connection IDs by which servers know connections and that were not taken before.

        Each comes with the side of the server.
        """
        taken: list[tuple[int, bytes]] = self._server_ids
        if taken:
            self._server_ids = []
        return taken

    def add_fragments(self, sender: cython.longlong, frame: cython.longlong, conflict: FragmentConflict) -> None:
        """Report that the IP fragments of the latest datagram differ."""
        latest: QuicConnection | None = self._latest()
        if latest is not None:
            latest.report_fragments(sender, frame, conflict)

    @cython.ccall
    def goes_on(self, packet: Packet, client: cython.longlong) -> cython.bint:
        """Return whether a datagram that a client sends from another address belongs to one of the connections.

        An Initial packet belongs to a connection whose handshake is undecided and whose keys and connection IDs it
        has. With any other Initial packet, a server may begin another connection.
        """
        datagram: Datagram = new_datagram(packet, client)
        if not datagram.packets:
            return datagram.data[0] & _LONG_HEADER == 0
        first: LongPacket = datagram.packets[0]
        found: QuicConnection | None = self._ids.get((client, first.destination_id))
        if found is None or first.kind != _INITIAL:
            return found is not None
        same: cython.bint = not found.is_decided() and found.ids[client] == first.source_id
        return same and found.open(first, datagram.data, client) is not None

    @cython.cfunc
    def _let_pass(self, counts: Counts) -> cython.bint:
        """Let the table count the 1-RTT packets that add nothing, while all belong to one connection."""
        flow: UdpFlow = self._flow
        latest: QuicConnection | None = self._latest()
        noted: cython.longlong = 3
        # A client of Google QUIC may fall back to a version whose packets look like these, until the server answers.
        falls_back: cython.bint = self._google_client != _UNKNOWN and not self._is_google_answered
        if len(self._connections) > 1 or (latest is None and falls_back):
            flow.totals = None
            flow.passing = 0
            return False
        if latest is not None:
            noted = latest.is_noted(0) | latest.is_noted(1) << 1
        flow.totals = counts.totals
        flow.passing = noted & counts.seen
        return True

    def finish(self, until: cython.longlong, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections of the flow in the order of their first frames."""
        datagram: Datagram
        found: QuicConnection | None
        for datagram in self._release_held():
            found = self._find(datagram.packets[0], datagram.sender)
            if found is not None:
                found.report(datagram.sender, "malformed_record", _OTHER_KEYS, datagram.frame)
        return self._returned([one for one in self._connections if not one.returned], until, damage)

    def decided(self, until: cython.longlong, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections whose handshake the latest datagram decided; `finish` does not yield them again."""
        self.ready = False
        decided = [one for one in self._connections if one.is_decided() and not one.returned]
        return self._returned(decided, until, damage)

    def _returned(
        self, connections: Sequence[QuicConnection], until: cython.longlong, damage: Sequence[Damage]
    ) -> Iterator[tuple[Totals, LoggedHandshake]]:
        one: QuicConnection
        for one in connections:
            one.returned = True
            logged = one.finish(until, damage, limited=self.limited)
            if logged is not None:
                yield one.counts.totals, logged

    @cython.cfunc
    def _counts(self, connection: QuicConnection | None) -> Counts:
        """Return where a datagram counts: in a stray case, for the latest connection."""
        if connection is None:
            connection = self._latest()
        if connection is not None:
            return connection.counts
        if self._unclaimed is None:
            self._unclaimed = Counts(self._flow)
        return self._unclaimed

    @cython.cfunc
    def _of_short(self, data: bytes, sender: cython.longlong) -> QuicConnection | None:
        """Return the connection whose ID a short header has, which does not say how long the ID is."""
        found: QuicConnection | None
        size: cython.Py_ssize_t
        if len(data) == 0 or not data[0] & _FIXED_BIT:
            return None
        for size in self._lengths[sender]:
            found = self._ids.get((sender, cut(data, 1, 1 + size)))
            if found is not None:
                return found
        latest: QuicConnection | None = self._latest()
        return latest if latest is not None and latest.ids[1 - sender] == b"" else None

    @cython.cfunc
    def _of_new_id(self, datagram: Datagram) -> QuicConnection | None:
        """Return the only connection of the flow if a short header has an unknown ID for the second time in a row.

        An endpoint may use another ID that was sent to it encrypted (RFC 9000 section 5.1.1), as long as the first one.
        An unknown ID that comes once may be random bytes: those of a Stateless Reset (section 10.3).
        """
        sender: cython.longlong = datagram.sender
        size: cython.Py_ssize_t
        if len(self._connections) != 1 or len(datagram.data) == 0 or not datagram.data[0] & _FIXED_BIT:
            return None
        only: QuicConnection = self._connections[0]
        if only.is_noted(sender):
            return None
        before, frame, time = self._unknown[sender]
        now: bytes = cut(datagram.data, 1, 1 + LONGEST_ID)
        self._unknown[sender] = now, datagram.frame, datagram.time
        for size in self._lengths[sender]:
            known: bytes = cut(now, 0, size)
            if size >= _LEAST_ID and len(known) == size and cut(before, 0, size) == known:
                only.read_one_rtt(sender, frame, time)
                return only
        return None

    @cython.cfunc
    def _read_long(self, datagram: Datagram) -> QuicConnection | None:
        """Read a datagram that begins with a long header; return its connection, if that is known."""
        reading: _Reading = _Reading(datagram)
        packet: LongPacket
        for packet in datagram.packets:
            self._read_packet(packet, reading)
            if self._explains:
                self._replay()
        return self._end(reading)

    @cython.cfunc
    def _replay(self) -> cython.bint:
        """Read the datagrams that are held, since a packet may explain them."""
        datagram: Datagram
        packet: LongPacket
        while self._explains:
            self._explains = False
            for datagram in self._release_held():
                reading: _Reading = _Reading(datagram)
                for packet in datagram.packets:
                    self._read_packet(packet, reading)
                if self._end(reading) is None:
                    self._hold(datagram)
        return True

    @cython.cfunc
    def _read_packet(self, packet: LongPacket, reading: _Reading) -> cython.bint:
        """Read a packet with a long header."""
        sender: cython.longlong = reading.datagram.sender
        found: QuicConnection | None = reading.found
        reader: QuicConnection | None
        if reading.held:
            return False
        if found is None:
            found = self._find(packet, sender)
            reading.found = found
        if packet.kind == _INITIAL:
            reader = self._read_initial(packet, reading)
            if reader is not None:
                reading.found = reader
            elif found is not None and self._may_open_later(packet, reading.datagram, found):
                self._hold(reading.datagram)
                reading.held = True
        elif found is None:
            return False
        elif packet.kind == _HANDSHAKE:
            reading.handshake.append(packet)
        elif packet.kind == _RETRY and sender != found.client:
            if found.read_retry(packet, reading.datagram.data):
                self._add_id(found, found.client, packet.source_id)
                self._explains = True
        elif packet.kind == _VERSION_NEGOTIATION and sender != found.client:
            found.read_negotiation(packet, reading.datagram.data)
        return True

    @cython.cfunc
    def _end(self, reading: _Reading) -> QuicConnection | None:
        """Read what a datagram has besides its packets that may be opened; return its connection, if that is known."""
        datagram: Datagram = reading.datagram
        found: QuicConnection | None = reading.found
        if found is None:
            if self._refused == _UNKNOWN:
                self._refused = self._refuser(datagram)
            return None
        if reading.held:
            return found
        if reading.handshake:
            found.read_handshake(reading.handshake, datagram)
        last: LongPacket = datagram.packets[len(datagram.packets) - 1]
        if last.end < len(datagram.data):
            rest: bytes = cut(datagram.data, last.end, len(datagram.data))
            if self._of_short(rest, datagram.sender) is found:
                found.read_one_rtt(datagram.sender, datagram.frame, datagram.time)
        found.pass_by(datagram, reading.opened)
        return found

    @cython.cfunc
    def _find(self, packet: LongPacket, sender: cython.longlong) -> QuicConnection | None:
        """Return the connection of a packet by its connection IDs."""
        source: bytes = packet.source_id
        destination: bytes = packet.destination_id
        found: QuicConnection | None = self._ids.get((sender, destination))
        if found is None:
            found = self._ids.get((1 - sender, source))
        latest: QuicConnection | None = self._latest()
        if found is not None or latest is None:
            return found
        if sender == latest.client:
            # The server's ID may be missing in the capture.
            known = latest.ids[sender] == source == b"" and packet.kind != _INITIAL
        else:
            known = latest.ids[1 - sender] == destination == b"" and not latest.answered
        return latest if known else None

    @cython.cfunc
    def _read_initial(self, packet: LongPacket, reading: _Reading) -> QuicConnection | None:
        """Read an Initial packet, which may begin a connection; return its connection if it could be opened."""
        datagram: Datagram = reading.datagram
        sender: cython.longlong = datagram.sender
        one: QuicConnection
        for one in self._candidates(packet, sender, reading.found):
            if sender == one.client and packet.version in one.offered:
                return self._begin(packet, reading, one)
            opened = one.open(packet, datagram.data, sender)
            if opened is not None:
                reading.opened[packet.start] = one.read_initial(packet, opened, datagram)
                self._learn(one, packet, sender)
                return one
        return self._begin(packet, reading, reading.found)

    @cython.cfunc
    def _candidates(
        self, packet: LongPacket, sender: cython.longlong, found: QuicConnection | None
    ) -> list[QuicConnection]:
        """Return the connections to which an Initial packet may belong.

        A client without a connection ID of its own is known by the keys alone, which follow from the ID that it chose
        for the server (RFC 9001 section 5.2).
        """
        candidates: list[QuicConnection] = []
        first: QuicConnection | None = self._latest() if found is None else found
        if first is None:
            return candidates
        candidates.append(first)
        if sender != first.client and len(packet.destination_id) == 0:
            latest: list[QuicConnection] = self._connections[max(0, len(self._connections) - MAX_UNANSWERED) :]
            candidates += [
                one
                for one in reversed(latest)
                if one is not first and one.client != sender and not one.answered and not one.ids[one.client]
            ]
        return candidates

    @cython.cfunc
    def _may_open_later(self, packet: LongPacket, datagram: Datagram, found: QuicConnection) -> cython.bint:
        """Return whether an Initial packet may have keys that only a later datagram reveals; report it if not."""
        sender: cython.longlong = datagram.sender
        if packet.end > len(datagram.data):
            detail = "an Initial packet was not captured whole"
            found.report(sender, "truncated_packet", detail, datagram.frame)
        elif sender != found.client and not found.answered:
            return True
        else:
            found.report(sender, "malformed_record", _OTHER_KEYS, datagram.frame)
        return False

    @cython.cfunc
    def _begin(self, packet: LongPacket, reading: _Reading, found: QuicConnection | None) -> QuicConnection | None:
        """Begin a connection, or go on with one, if a packet has the keys of its own Destination Connection ID."""
        datagram: Datagram = reading.datagram
        sender: cython.longlong = datagram.sender
        begins: cython.bint = False
        if found is not None and sender != found.client:
            return None
        opened = open_initial(packet, datagram.data, packet.destination_id, False, 0)
        if opened is None:
            return None
        if found is not None and packet.version in found.offered and not found.returned:
            found.begin_again(packet)
        elif found is not None and found.lacks_first() and not packet.token:
            # The capture has the client's first Initial after the one that follows the Retry.
            found.precede(packet.destination_id)
        elif found is not None and packet.token and not (found.answered or found.retry):
            # The capture lacks the Retry that told the client to use another ID.
            found.follow_retry(packet.destination_id)
        elif self._has_too_many(datagram):
            return None
        else:
            begins = True
            found = self._new_connection(packet, datagram, opened.number)
        self._add_id(found, sender, packet.destination_id)
        self._add_id(found, 1 - sender, packet.source_id)
        reading.opened[packet.start] = found.read_initial(packet, opened, datagram)
        if begins:
            self._connections.append(found)
            # Counted after its first message, for which there was room: so it is returned, even if given up at once.
            self._budget.used += CONNECTION_BYTES
        self._explains = True
        return found

    @cython.cfunc
    def _has_too_many(self, datagram: Datagram) -> cython.bint:
        """Return whether the flow may have no more connections; report that of a datagram that would begin one."""
        if len(self._connections) < MAX_CONNECTIONS:
            return False
        detail = f"more than {MAX_CONNECTIONS} QUIC connections between the same endpoints: others are not read"
        latest: QuicConnection = self._connections[len(self._connections) - 1]
        latest.report(datagram.sender, "limit", detail, datagram.frame)
        return True

    @cython.cfunc
    def _new_connection(self, packet: LongPacket, datagram: Datagram, number: cython.longlong) -> QuicConnection:
        """Return the connection that a client's packet begins; `number` is its packet number, or UNKNOWN."""
        sender: cython.longlong = datagram.sender
        counts: Counts = Counts(self._flow) if self._connections else self._counts(None)
        begun: QuicConnection = QuicConnection(counts, sender, packet, self._budget, self._keys)
        begun.recorder = QuicRecorder(self._budget) if self._keeps else None
        if packet.kind == _ZERO_RTT or (packet.token and number != 0):
            # The token is of a Retry, after which numbers go on (RFC 9000 section 17.2.5.3), or of a client that
            # was here before and does not begin with 0. A 0-RTT packet after a Retry has none.
            begun.retry = None
        begun.version_negotiation = self._refused == sender or self._may_follow_negotiation(packet, sender)
        if begun.version_negotiation is None:
            detail = "the capture lacks the Initial packet that a Version Negotiation answers"
            begun.report(1 - sender, "gap", detail, datagram.frame)
        self._refused = _UNKNOWN
        return begun

    @cython.cfunc
    def _begin_answered(self, datagram: Datagram) -> cython.bint:
        """Begin a connection if a datagram and another one that is held are a client's packet and its answer.

        The snap length may have cut the client's Initial packet, or the capture has only 0-RTT packets sent with it. No
        key opens such a packet, but the keys of the server follow from the Destination Connection ID in its header
        (RFC 9001 section 5.2), and a server sends its first packets to the Source Connection ID (RFC 9000 section 7.2).
        """
        one: Datagram
        begun: cython.bint = False
        for one in self._held:
            if one.sender != datagram.sender:
                begun = self._begin_if_answer(one, datagram) or self._begin_if_answer(datagram, one)
            if begun:
                break
        if begun:
            self._explains = True
            self._replay()
        return begun

    @cython.cfunc
    def _begin_if_answer(self, asked: Datagram, datagram: Datagram) -> cython.bint:
        """Begin the connection of a client's packet if a datagram has a packet of the server that answers it."""
        first: LongPacket = asked.packets[0]
        packet: LongPacket
        answers: cython.bint = False
        if first.kind not in (_INITIAL, _ZERO_RTT):
            return False
        for packet in datagram.packets:
            if packet.destination_id == first.source_id:
                answers = answers or _is_answer(packet, datagram.data, first.destination_id)
        answers = answers and not self._has_too_many(datagram)
        if answers:
            begun: QuicConnection = self._new_connection(first, asked, _UNKNOWN)
            self._add_id(begun, asked.sender, first.destination_id)
            self._add_id(begun, datagram.sender, first.source_id)
            self._connections.append(begun)
            self._budget.used += CONNECTION_BYTES
        return answers

    @cython.cfunc
    def _learn(self, connection: QuicConnection, packet: LongPacket, sender: cython.longlong) -> cython.bint:
        """Learn the connection ID of the server from an opened packet."""
        if sender != connection.client:
            if connection.ids[sender] == packet.source_id:
                if (connection.client, packet.source_id) not in self._ids:
                    self._server_ids += [(sender, packet.source_id), (sender, connection.key_id())]
                self._add_id(connection, connection.client, packet.source_id)
        elif (sender, packet.destination_id) not in self._ids:
            connection.ids[1 - sender] = packet.destination_id
            self._add_id(connection, sender, packet.destination_id)
        return True

    @cython.cfunc
    def _add_id(self, connection: QuicConnection, sender: cython.longlong, destination: bytes) -> cython.bint:
        if len(destination) > 0:
            self._ids[sender, destination] = connection
            if len(destination) not in self._lengths[sender]:
                self._lengths[sender] += (len(destination),)
        return True

    @cython.cfunc
    def _latest(self) -> QuicConnection | None:
        return self._connections[len(self._connections) - 1] if self._connections else None

    def _refuser(self, datagram: Datagram) -> int:
        """Return the side whose version a datagram refuses, if it answers a packet that is held, or UNKNOWN."""
        for packet in datagram.packets:
            if packet.kind == VERSION_NEGOTIATION:
                offered = versions_offered(packet, datagram.data)
                for held in self._held:
                    refused = held.packets[0]
                    if (
                        held.sender != datagram.sender
                        and refused.source_id == packet.destination_id
                        and refused.destination_id == packet.source_id
                        and refused.version not in offered
                    ):
                        return held.sender
        return UNKNOWN

    def _may_follow_negotiation(self, packet: LongPacket, sender: cython.longlong) -> bool | None:
        """Return whether a Version Negotiation came before a client's first Initial packet; None if that is not known.

        A client may choose other IDs when it begins again (RFC 9000 section 6.2).
        """
        for held in self._held:
            if held.sender == sender:
                break
            for one in held.packets:
                if one.kind == VERSION_NEGOTIATION:
                    client_id = packet.source_id
                    same = client_id != b"" and one.destination_id == client_id
                    return True if same and packet.version in versions_offered(one, held.data) else None
        return False

    @cython.cfunc
    def _hold(self, datagram: Datagram) -> cython.bint:
        """Hold a datagram of no known connection."""
        self._held.append(datagram)
        self._budget.used += len(datagram.data) + _DATAGRAM_BYTES
        if len(self._held) > MAX_HELD_DATAGRAMS:
            oldest: Datagram = self._held.pop(0)
            self._budget.used -= len(oldest.data) + _DATAGRAM_BYTES
        return True

    @cython.cfunc
    def _release_held(self) -> list[Datagram]:
        """Return the datagrams that are held, and their bytes to the budget."""
        held: list[Datagram] = self._held
        one: Datagram
        self._held = []
        for one in held:
            self._budget.used -= len(one.data) + _DATAGRAM_BYTES
        return held
