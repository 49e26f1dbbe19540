# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The TLS connections of a capture that TCP does not carry: QUIC and DTLS over UDP, TLS inside EAP.

Each UDP flow and each EAP conversation with such a connection has a follower, which decodes its packets. A protocol is
recognised by the first bytes of a datagram, never by its port.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

import cython
from msgspec.structs import replace

from tlsdissect.capture.packet import UDP
from tlsdissect.flows.eap import METHODS
from tlsdissect.flows.flow import NEVER, UNKNOWN
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.flows.udp import UdpFlow
from tlsdissect.flows.udp_protocols import (
    DTLS,
    DTLS_DATA,
    GOOGLE_QUIC,
    QUIC,
    RADIUS,
    Datagrams,
    google_version,
    recognise,
)
from tlsdissect.handshake.dtls import DtlsFollower
from tlsdissect.handshake.eap import EapTracker
from tlsdissect.handshake.facts.connection import connection
from tlsdissect.handshake.quic import QuicFollower
from tlsdissect.handshake.quic_migration import MovedClients, client_of
from tlsdissect.handshake.recording import EapRecorder
from tlsdissect.handshake.sessions import Session, established, identities, opened_tickets
from tlsdissect.model.connection import TRANSPORTS
from tlsdissect.tls.quic import FIXED_BIT, LONG_HEADER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.fragments import FragmentConflict
    from tlsdissect.capture.names import CaptureNames
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.eap import EapConversation, EapTable
    from tlsdissect.flows.table import FlowTable
    from tlsdissect.flows.totals import Totals
    from tlsdissect.flows.udp import UdpTable
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection, Transport

    DueResult = tuple[int, int, Session | Connection]
    """The clock at which a session or a connection is due, the frame that made it due (NEVER if none), and which."""


FOLLOWER_BYTES = 2048
"""Estimated bytes that the follower of a UDP flow takes besides what it keeps."""
CONVERSATION_BYTES = 8192
"""Estimated bytes that the follower of an EAP conversation takes besides what it keeps."""


class Follower(Protocol):
    """Follows the TLS connections of one UDP flow."""

    protocol: str
    """As `flows.udp_protocols.recognise` names it."""
    limited: bool
    """Whether the flow is given up before its end, so that each connection has a problem `limit`."""
    changed: list[tuple[int, HandshakeLog]]
    """The frames in which a log got its ClientHello or was decided, with the log, until they are taken from here."""
    ready: bool
    """Whether `decided` has a connection to yield; always False if connections are returned at their end."""

    def feed(self, packet: Packet, sender: cython.longlong) -> None:
        """Decode a datagram; `sender` is 0 for the side that sent the first datagram of the flow, else 1."""
        ...

    def add_fragments(self, sender: cython.longlong, frame: cython.longlong, conflict: FragmentConflict) -> None:
        """Report that the IP fragments of the latest datagram differ."""
        ...

    def decided(self, until: cython.longlong, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections whose handshake is decided, which `finish` does not yield again."""
        ...

    def finish(self, until: cython.longlong, damage: Sequence[Damage]) -> Iterator[tuple[Totals, LoggedHandshake]]:
        """Yield the connections of the flow in the order of their first frames, and return their bytes to the budget.

        `until` is as for `LoggedHandshake`; `damage` is that of the whole capture so far.
        """
        ...


TRANSPORT: Mapping[str, Transport] = {DTLS: "udp", QUIC: "quic"}
_UDP, _NEVER = UDP, NEVER
_LONG_HEADER, _FIXED_BIT = LONG_HEADER, FIXED_BIT
EAP_CARRIERS = {"eapol": "802.1X", "radius": "RADIUS"}
"""Names of what carries EAP."""
FOLLOWERS: Mapping[str, Callable[[UdpFlow, Budget, Options, CaptureKeys | None], Follower]] = {
    DTLS: DtlsFollower,
    QUIC: QuicFollower,
}
"""By protocol, as `flows.udp_protocols.recognise` names it."""


@cython.cclass
class DatagramConnections:
    """The followers of the flows that may be TLS."""

    counted: Datagrams
    eap_not_decoded: Counter[tuple[str, str]]
    """EAP conversations without a hello whose method carries TLS, by method and carrier."""
    given_up: cython.longlong
    eap_stream: cython.longlong
    """The number of the EAP conversation of the latest packet given to `feed` that carries EAP."""
    found: list[DueResult]
    """Sessions, and connections whose handshake is decided, until they are taken from here."""
    udp: UdpTable
    _names: CaptureNames
    _flows: FlowTable
    _eap: EapTable
    _has_eap: cython.bint
    """Whether a packet carried EAP, before which that table need not be asked."""
    _budget: Budget
    _options: Options
    _damage: Sequence[Damage]
    _evidence: Evidence | None
    _keys: CaptureKeys | None
    _returned: set[int]
    """The followed flows with a connection that was returned when its handshake was decided."""
    _followed: OrderedDict[UdpFlow | EapConversation, int]
    """What each followed flow counts in the budget, the one that has been followed for longest first."""
    _moves: MovedClients
    _idle: Any
    """Nanoseconds of silence that decide a handshake, if connections are returned once that is decided, or None."""
    _undecided: OrderedDict[EapConversation, None]
    """Then, EAP conversations without a result; the one that has been silent for longest comes first."""

    def __init__(
        self,
        names: CaptureNames,
        flows: FlowTable,
        udp: UdpTable,
        eap: EapTable,
        budget: Budget,
        options: Options,
        damage: Sequence[Damage],
        evidence: Evidence | None = None,
        keys: CaptureKeys | None = None,
    ) -> None:
        """`flows` has the clock of the capture; the other arguments are as for `Connections`."""
        self.counted = Datagrams()
        self.eap_not_decoded = Counter()
        self.given_up = 0
        self.eap_stream = UNKNOWN
        self.found = []
        self.udp = udp
        self._names = names
        self._flows = flows
        self._eap = eap
        self._has_eap = False
        self._budget = budget
        self._options = options
        self._damage = damage
        self._evidence = evidence
        self._keys = keys
        self._returned = set()
        self._followed = OrderedDict()
        self._moves = MovedClients()
        self._idle = None if options.idle is None else nanoseconds(options.idle)
        self._undecided = OrderedDict()

    @cython.ccall
    def feed(self, packet: Packet, conflict: FragmentConflict | None) -> None:
        """Decode a datagram of a flow that is or may be TLS; the clock is at its time.

        `conflict` is where the IP fragments that it came in differ.
        """
        flow: UdpFlow
        if packet.protocol != _UDP:
            if not packet.quoted:
                self._feed_eap(packet, conflict)
            return
        flow = self.udp.find(packet, self._flows.clock)
        if packet.quoted:
            return
        if flow.packets == 0:
            flow.begin(packet)
        first_flow: UdpFlow | None = None
        if flow.follower is None and len(self._moves) > 0:
            first_flow = self._first_flow(flow, packet)
        if first_flow is not None:
            self._follow_up(first_flow, packet, self.udp.count_in_first(flow, first_flow, self._flows.clock), conflict)
        elif flow.follower is not None or self._recognise(flow, packet, conflict):
            self._follow_up(flow, packet, self.udp.sender, conflict)
        flow.add(packet)

    @cython.cfunc
    def _follow_up(
        self, flow: UdpFlow, packet: Packet, sender: cython.longlong, conflict: FragmentConflict | None
    ) -> cython.bint:
        """Let the follower of a flow decode a datagram of one of its sides."""
        follower: Follower = flow.follower
        follower.feed(packet, sender)
        if conflict is not None:
            follower.add_fragments(sender, packet.frame, conflict)
        if follower.changed:
            self._add_sessions(flow, follower)
        if follower.protocol == QUIC:
            quic: QuicFollower = flow.follower
            ids: list[tuple[int, bytes]] = quic.take_server_ids()
            if ids:
                self._moves.add(flow, ids)
        if follower.ready:
            self._add_decided(flow, follower, packet.frame)
        return True

    @cython.cfunc
    def _first_flow(self, flow: UdpFlow, packet: Packet) -> UdpFlow | None:
        """Return the flow in which the QUIC connection of a datagram began, if its client had another address then.

        What is no QUIC by its first byte may be another protocol between the same endpoints (RFC 9443).
        """
        known: UdpFlow | None = flow.first_flow if flow.continues_connection() else None
        found: UdpFlow | None
        if packet.captured == 0 or not packet.data[packet.payload] & _FIXED_BIT:
            return None
        if known is not None and self.udp.sender != flow.client:
            return known
        found = self._moves.find(packet)
        is_long: cython.bint = packet.data[packet.payload] >= _LONG_HEADER
        if found is None:
            # The client may use another connection ID by now: new ones are sent encrypted.
            return None if is_long else known
        client: cython.longlong = client_of(found, packet.endpoints)
        if not found.follower.goes_on(packet, client):
            return None
        if found is not known:
            self.udp.join(flow, found, client)
        if is_long and not self.udp.has(flow) and recognise(packet) == QUIC:
            self.counted.add_elsewhere(flow.endpoints)
        return found

    def _add_decided(self, flow: UdpFlow, follower: Follower, frame: cython.longlong) -> None:
        """Add the connections whose handshake a datagram decided."""
        until = self._flows.time(self._flows.clock)
        decided = follower.decided(until, self._damage)
        for found in self._connections(decided, self._flows.clock, frame, is_open=True):
            self._returned.add(flow.stream)
            self.found.append(found)

    def _add_sessions(self, flow: UdpFlow, follower: Follower) -> None:
        """Add the sessions that a datagram showed: those that a ClientHello offers, or that a handshake set up."""
        source = self._names.of(flow.first_frame)
        for frame, log in follower.changed:
            keys = established(log, frame) if all(log.has_finished) else identities(log)
            if self._options.linked and keys:
                session = Session(source, TRANSPORT[follower.protocol], flow.stream, frame, keys)
                self.found.append((self._flows.clock, frame, session))
        follower.changed.clear()

    @cython.cfunc
    def _recognise(self, flow: UdpFlow, packet: Packet, conflict: FragmentConflict | None) -> cython.bint:
        """Begin to follow a flow if this datagram is QUIC or DTLS; decode it if it is RADIUS."""
        protocol = recognise(packet)
        if protocol is None:
            return False
        if protocol == RADIUS:
            self._feed_eap(packet, conflict)
            return False
        if not self.udp.has(flow):
            return False
        if protocol == DTLS_DATA:
            self.counted.add_data(flow.endpoints)
            return False
        if protocol == GOOGLE_QUIC:
            self.counted.add_quic(flow.endpoints, google_version(packet))
            return False
        flow.first_flow = None
        self.udp.follow(flow, FOLLOWERS[protocol](flow, self._budget, self._options, self._keys))
        self._follow(flow, FOLLOWER_BYTES)
        return True

    def _follow(self, flow: UdpFlow | EapConversation, size: cython.longlong) -> None:
        """Make room for a flow and follow it."""
        self._budget.used += size
        # Without room, the first bytes of the flow would be lost, and with them its hello.
        self.found.extend(self._give_up())
        self._followed[flow] = size

    def _feed_eap(self, packet: Packet, conflict: FragmentConflict | None) -> None:
        """Decode an EAP packet, if this is one; a conversation is followed from its first packet with TLS."""
        conversation, eap = self._eap.find(packet, self._flows.clock), self._eap.packet
        self.eap_stream = self._eap.stream
        self._has_eap = self._has_eap or conversation is not None
        if conversation is None or eap is None or not self._eap.has(conversation):
            return
        begins_tls = eap.carries_tls and not eap.is_start
        if not conversation.is_followed and (begins_tls or self._options.keep):
            conversation.is_followed = True
            recorder = EapRecorder() if self._options.keep else None
            conversation.follower = EapTracker(conversation, self._budget, recorder, self._keys)
            self._follow(conversation, CONVERSATION_BYTES)
        if conversation.follower is not None:
            conversation.follower.feed(eap, packet, self._eap.spans)
            if conflict is not None:
                conversation.follower.add_fragments(eap.code, packet.frame, conflict)
            if conversation.follower.sessions and self._options.linked:
                keys = conversation.follower.sessions
                source = self._names.of(conversation.first_frame)
                session = Session(source, "eap", conversation.stream, packet.frame, keys)
                self.found.append((self._flows.clock, packet.frame, session))
            if self._idle is not None:
                self._decide(conversation, packet.frame)

    def _decide(self, conversation: EapConversation, frame: cython.longlong) -> None:
        """Return a conversation's connection if Success or Failure has decided it; else await silence."""
        self._undecided.pop(conversation, None)
        if not conversation.result:
            self._undecided[conversation] = None
            return
        for clock, _, found in self._end(conversation, self._flows.clock):
            self.found.append((clock, frame, found))

    def _decide_silent(self, idle: cython.longlong) -> Iterator[DueResult]:
        """Yield the connections of EAP conversations that silence decided."""
        while self._undecided:
            conversation = next(iter(self._undecided))
            if conversation.latest + idle >= self._flows.clock:
                return
            yield from self._end(conversation, conversation.latest + idle, is_open=True)

    @cython.ccall
    def eap_expires(self) -> cython.longlong:
        """Return the clock after which an EAP conversation is over, or decided by silence."""
        if not self._has_eap:
            return _NEVER
        expires: cython.longlong = self._eap.expires
        if self._undecided and self._idle is not None:
            expires = min(expires, next(iter(self._undecided)).latest + self._idle)
        return expires

    @property
    def pending(self) -> int:
        """Number of flows and conversations that are followed."""
        return len(self._followed)

    @cython.ccall
    def is_any_over(self) -> cython.bint:
        """Return whether `over` may have connections."""
        return (
            self.udp.is_any_over(self._flows.clock)
            or self.eap_expires() < self._flows.clock
            or (self._has_eap and self._eap.is_full)
            or len(self._followed) > self._budget.limits.followed
            or (len(self._followed) > 0 and self._budget.is_spent())
        )

    def over(self) -> Iterator[DueResult]:
        """Yield the connections of the flows that are over, and of those for which there is no room."""
        if self._idle is not None:
            yield from self._decide_silent(self._idle)
        for clock, udp_flow in self.udp.over(self._flows.clock):
            # Without a limit on silence, the flow would go on.
            yield from self._end(udp_flow, clock, is_open=self._idle is not None)
        for clock, conversation in self._eap.over(self._flows.clock):
            yield from self._end(conversation, clock)
            self._count_eap(conversation)
        yield from self._give_up()

    def _give_up(self) -> Iterator[DueResult]:
        """Yield the connections of the flows that have been followed for longest, until no limit is exceeded."""
        followed, spent = self._budget.limits.followed, self._budget.is_spent()
        while self._followed and (len(self._followed) > followed or (spent and not self._budget.has_spare())):
            flow = next(iter(self._followed))
            flow.follower.limited = True
            self.given_up += 1
            yield from self._end(flow, self._flows.clock)

    def finish(self) -> Iterator[DueResult]:
        """Yield the connections of all remaining flows, at the end of the input."""
        for flow in sorted(self.udp.finish(), key=_transport):
            yield from self._end(flow, NEVER)
        for conversation in self._eap.finish():
            yield from self._end(conversation, NEVER)
            self._count_eap(conversation)

    def _end(
        self, flow: UdpFlow | EapConversation, clock: cython.longlong, *, is_open: cython.bint = False
    ) -> Iterator[DueResult]:
        """Yield the connections of a flow that is over at this clock."""
        self._budget.used -= self._followed.pop(flow, 0)
        if isinstance(flow, UdpFlow):
            yield from self._end_udp(flow, clock, is_open=is_open)
            return
        self._undecided.pop(flow, None)
        follower, flow.follower = flow.follower, None
        if follower is not None:
            until = self._flows.time(min(clock, self._flows.clock))
            yield from self._connections(follower.finish(until, self._damage), clock, NEVER, is_open=is_open)

    def _end_udp(self, flow: UdpFlow, clock: cython.longlong, *, is_open: cython.bint) -> Iterator[DueResult]:
        follower = flow.follower
        flow.conclude()
        self._moves.forget(flow)
        until = self._flows.time(min(clock, self._flows.clock))
        decoded = flow.stream in self._returned
        self._returned.discard(flow.stream)
        for found in self._connections(follower.finish(until, self._damage), clock, NEVER, is_open=is_open):
            decoded = True
            yield found
        if follower.protocol == QUIC:
            if not decoded:
                self.counted.add_quic(flow.endpoints, follower.google_version)
        elif decoded:
            self.counted.decode(flow.endpoints)
        else:
            self.counted.add_dtls(flow.endpoints)

    def _connections(
        self,
        logged: Iterator[tuple[Totals, LoggedHandshake]],
        clock: cython.longlong,
        frame: cython.longlong,
        *,
        is_open: cython.bint,
    ) -> Iterator[DueResult]:
        """Yield the connections of logged handshakes, each after the tickets that keys opened in it."""
        raw, evidence, keys = self._options.raw_fingerprints, self._evidence, self._keys
        for totals, log in logged:
            source = self._names.of(totals.first_frame)
            found = connection(source, totals, log, raw=raw, evidence=evidence, keys=keys)
            for session in opened_tickets(found) if self._options.linked else ():
                yield clock, frame, session
            yield clock, frame, replace(found, open=True) if is_open else found

    def _count_eap(self, conversation: EapConversation) -> None:
        """Count an EAP conversation that is over if it has a method that carries TLS, but no connection."""
        if conversation.method and not conversation.is_decoded and self._eap.has(conversation):
            self.eap_not_decoded[METHODS[conversation.method], EAP_CARRIERS[conversation.carrier]] += 1


def _transport(flow: UdpFlow) -> int:
    return TRANSPORTS.index(TRANSPORT[flow.follower.protocol])
