# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The TCP flows of a capture that may be TLS: each has a tracker during the handshake, then waits for its end.

`advance` is the loop over all packets of a capture. It counts packets of bulk application data and of flows that are
not TLS in compiled code alone, and hands all others to the tracker of their flow.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import cython
from msgspec.structs import replace

from tlsdissect.capture.packet import TCP, UDP, UNTIMED, Packet
from tlsdissect.flows.flow import FIN, NEVER, RST, SYN, UNKNOWN, Interest
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.flows.sequence import difference
from tlsdissect.flows.table import Ended
from tlsdissect.handshake import not_tls
from tlsdissect.handshake.early_emission import Decision, EarlyEmission
from tlsdissect.handshake.facts.connection import connection, endpoints, is_quoted
from tlsdissect.handshake.recording import TcpRecorder
from tlsdissect.handshake.revocation_lookups import CapturedLookup, LookupListener, RevocationLookup
from tlsdissect.handshake.segments import GivenUpSegment, Segment
from tlsdissect.handshake.sessions import Session, established, identities, opened_tickets
from tlsdissect.handshake.spill import WaitingHandshakes
from tlsdissect.handshake.tracker import Tracker, may_resume
from tlsdissect.model.connection import TRANSPORTS, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.names import CaptureNames
    from tlsdissect.capture.reader import PacketReader
    from tlsdissect.flows.budget import Budget
    from tlsdissect.flows.flow import Flow
    from tlsdissect.flows.observing import PacketObserver
    from tlsdissect.flows.table import FlowTable
    from tlsdissect.flows.udp import UdpTable
    from tlsdissect.handshake.datagrams import DatagramConnections
    from tlsdissect.handshake.events import SeenClientHello
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.key_logs import CaptureKeys
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.handshake.logged import LoggedHandshake
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection

    ReadingEvent = Connection | Session | CapturedLookup
    DueEvent = tuple[int, int, ReadingEvent]
    """The clock at which a result is due, the frame that caused it (NEVER if time alone did), and the result."""

_RETURNED_EARLY = Problem("limit", "no room to wait for its end: its facts are as of then")
_SIGNALS = SYN | FIN | RST
_TCP = TCP
_UDP = UDP
_UNTIMED = UNTIMED
_RECORDS = Interest.RECORDS
_HELLOS = Interest.HELLOS
_NOTHING = Interest.NOTHING
_UNKNOWN = UNKNOWN


@cython.cclass
class Connections:
    """The trackers and waiting handshakes of the flows that may be TLS. Of other flows, only totals are kept."""

    waiting: cython.bint
    """Whether the reader waits for packets: a signal handler may raise StopReading now."""
    given_up: cython.longlong
    """Flows that were given up because too many were followed, or all together held too many bytes."""
    returned_early: cython.longlong
    """Connections that were returned before their flow was over, for lack of room to wait."""
    not_tls: Counter[str]
    """Flows that are over and were not TLS, by `not_tls.kind`."""
    _names: CaptureNames
    _flows: FlowTable
    _datagrams: DatagramConnections
    _udp: UdpTable
    _eap_expires: cython.longlong
    """As `DatagramConnections.eap_expires`."""
    _budget: Budget
    _followed: cython.longlong
    """`Limits.followed`."""
    _damage: Sequence[Damage]
    _raw: cython.bint
    _evidence: Evidence | None
    _decodes_lookups: cython.bint
    """Whether trackers may find OCSP and CRL lookups."""
    _keys: CaptureKeys | None
    _linked: cython.bint
    _keeps: cython.bint
    _early: EarlyEmission | None
    _trackers: dict[int, Tracker]
    """By stream number, the flow that has been followed for longest first."""
    _waiting: WaitingHandshakes
    _due: list[tuple[int, int, ReadingEvent | Ended]]
    """Results, and ended flows whose connections are still to be made."""
    _packet: Packet
    _reader: PacketReader | None
    """The reader of the latest packet."""
    _observer: PacketObserver | None

    def __init__(
        self,
        names: CaptureNames,
        flows: FlowTable,
        datagrams: DatagramConnections,
        budget: Budget,
        options: Options,
        damage: Sequence[Damage],
        evidence: Evidence | None = None,
        keys: CaptureKeys | None = None,
        observer: PacketObserver | None = None,
    ) -> None:
        """`datagrams` follows what TCP does not carry; to the list `damage`, the reader adds what it cannot read.

        With `evidence`, OCSP and CRL lookups are decoded, and certificates are kept there for verdicts. With `keys`,
        what these open is added to the facts. The `observer` is told the flow of each packet.
        """
        decodes_lookups = evidence is not None
        self.waiting = False
        self.given_up = 0
        self.returned_early = 0
        self.not_tls = Counter()
        self._names = names
        self._flows = flows
        self._datagrams = datagrams
        self._udp = datagrams.udp
        self._eap_expires = NEVER
        self._budget = budget
        self._followed = budget.limits.followed
        self._damage = damage
        self._raw = options.raw_fingerprints
        self._evidence = evidence
        self._decodes_lookups = decodes_lookups
        self._keys = keys
        self._linked = options.linked
        self._keeps = options.keep
        self._early = None if options.idle is None else EarlyEmission(nanoseconds(options.idle))
        self._trackers = {}
        self._waiting = WaitingHandshakes(budget)
        self._due = []
        self._packet = Packet()
        self._reader = None
        self._observer = observer

    @property
    def undecided(self) -> int:
        """Number of handshakes in progress."""
        return len(self._trackers) if self._early is None else len(self._early)

    @property
    def pending(self) -> int:
        """Number of connections that are still to be returned, because their flows may continue."""
        return len(self._trackers) + len(self._waiting) + self._datagrams.pending

    @property
    def spill_error(self) -> str | None:
        """The reason why the temporary file of waiting handshakes could not be written; None if it could."""
        return self._waiting.error

    @cython.ccall
    def advance(self, reader: PacketReader, most: cython.longlong) -> cython.bint:
        """Read at most `most` packets, until a result is due; return False if the reader has no more for now."""
        packet: Packet = self._packet
        flow: Flow | None
        self._reader = reader
        for _ in range(most):
            self.waiting = True
            more = reader.next(packet)
            self.waiting = False
            if not more:
                # The packet is reused, and would keep its last bytes in memory.
                packet.data = b""
                return False
            self._flows.tick(packet.time)
            if reader.until != _UNTIMED:
                self._flows.pass_time(reader.until)
            if self._early is not None:
                self._decide_silent(self._early)
            if packet.protocol == _TCP:
                flow = self._flows.find(packet)
                if flow is not None and flow.interest != _NOTHING:
                    self._dispatch(flow, packet, self._flows.sender)
            elif not self._udp.count(packet, self._flows.clock):
                # A datagram does not belong to the connections that were over before it.
                if self._udp.is_any_over(self._flows.clock) or self._eap_expires < self._flows.clock:
                    self._collect()
                self._datagrams.feed(packet, reader.conflict if packet.place < 0 else None)
                if self._datagrams.found:
                    self._due += self._datagrams.found
                    self._datagrams.found.clear()
                if self._datagrams.is_any_over():
                    self._collect()
                self._eap_expires = self._datagrams.eap_expires()
            if self._observer is not None:
                self._observe(self._observer, packet, reader)
            if (
                self._flows.is_any_over()
                or self._udp.is_any_over(self._flows.clock)
                or self._eap_expires < self._flows.clock
            ):
                self._collect()
            if self._due:
                return True
        return True

    @cython.cfunc
    def _observe(self, observer: PacketObserver, packet: Packet, reader: PacketReader) -> cython.bint:
        """Tell the observer to which flows a packet belongs."""
        frames = reader.packet_frames
        if packet.protocol == _TCP:
            observer.saw("tcp", self._flows.stream, frames)
            return True
        if packet.protocol == _UDP:
            observer.saw("udp", self._udp.stream, frames)
        if self._datagrams.eap_stream != _UNKNOWN:
            observer.saw("eap", self._datagrams.eap_stream, frames)
            self._datagrams.eap_stream = _UNKNOWN
        return True

    def pass_time(self, time: cython.longlong) -> None:
        """Advance the clock without a packet to a time in nanoseconds since 1970-01-01T00:00:00Z."""
        self._flows.pass_time(time)
        if self._early is not None:
            self._decide_silent(self._early)
        if self._flows.is_any_over() or self._datagrams.is_any_over():
            self._collect()

    def results(self) -> Iterator[DueEvent]:
        """Yield the results that are due, in the order of clock, frame, transport and stream.

        The connection of a flow that is over is made when it is yielded: a jump of the clock, or a full table, ends
        hundreds of thousands at once.
        """
        due, self._due = self._due, []
        if len(due) > 1:
            due.sort(key=_order)
            due.reverse()
        while due:
            clock, frame, event = due.pop()
            if isinstance(event, Ended):
                yield from self._end_flow(event)
            else:
                yield clock, frame, event

    def finish(self) -> Iterator[DueEvent]:
        """Yield the connections of all remaining flows, at the end of the input."""
        for ended in self._flows.finish():
            yield from self._end_flow(ended)
        yield from self._datagrams.finish()

    def close(self) -> None:
        """Close the temporary file."""
        self._waiting.close()

    def _collect(self) -> None:
        """Add the connections of the flows that are over to the results."""
        for ended in self._flows.over():
            if ended.flow.follower is None and ended.flow.stream not in self._waiting:
                self._end_flow(ended)
            else:
                self._due.append((ended.due, NEVER, ended))
        self._due += self._datagrams.over()
        self._eap_expires = self._datagrams.eap_expires()

    def _end_flow(self, ended: Ended) -> list[DueEvent]:
        """Return the connection of a flow that is over, if it is TLS and was not returned before."""
        flow: Flow = ended.flow
        log: LoggedHandshake | None
        if self._early is not None:
            self._early.forget(flow.stream)
        tracker: Tracker | None = flow.follower
        if tracker is not None:
            tracker.limited = tracker.limited or ended.evicted
            log = self._conclude(tracker, min(ended.due, self._flows.clock, tracker.closed_clock()))
        else:
            log = self._waiting.take(flow.stream)
            if log is not None and flow.dropped + flow.unanswered() > log.dropped:
                _amend(log, flow)
        if log is not None:
            return self._results(ended.due, NEVER, self._connection(flow, log))
        if self._flows.has(flow) and flow.packets:
            self._count_other(flow)
        return []

    def _count_other(self, flow: Flow) -> None:
        """Count a flow that is over and not TLS by its kind; one that continued after a timeout is counted again."""
        if flow.counted is not None:
            self.not_tls[flow.counted] -= 1
            flow.counted = None
        if flow.protocol != not_tls.TLS:
            flow.counted = not_tls.kind(flow)
            self.not_tls[flow.counted] += 1

    @cython.cfunc
    @cython.exceptval(-1)
    def _dispatch(self, flow: Flow, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Pass a packet to the tracker of its flow unless it cannot matter; return whether it was passed."""
        known: Tracker | None
        tracker: Tracker
        if flow.interest == _HELLOS and not may_resume(flow, sender, packet.sequence, packet.captured_payload()):
            if flow.given_up_segment is not None:
                self._settle(flow)
            return False
        known = flow.follower
        if known is None:
            # A packet without payload needs no tracker.
            if packet.length == 0 and not self._keeps:
                return False
            tracker = Tracker(
                self._budget,
                flow,
                TcpRecorder() if self._keeps else None,
                LookupListener(self._budget, flow) if self._decodes_lookups else None,
                self._keys,
            )
            if self._budget.is_spent():
                # Without room, the first bytes of the flow would be lost, and with them its hello.
                self._give_up_oldest()
        else:
            tracker = known
            if flow.interest == _RECORDS:
                if not packet.flags & _SIGNALS and tracker.passes(packet, sender):
                    return False
                tracker.catch_up()
        self._feed(tracker, packet, sender)
        if len(self._trackers) > self._followed or self._budget.is_spent():
            self._give_up_oldest()
        return True

    def _settle(self, flow: Flow) -> None:
        """Note that the last segment of a flow that was given up was acknowledged."""
        if isinstance(flow.given_up_segment, GivenUpSegment) and not flow.given_up_segment.acknowledged:
            one: Segment = flow.given_up_segment.segment
            acknowledged: cython.longlong = flow.side(one.sender).acknowledged
            if acknowledged != _UNKNOWN and difference(acknowledged, one.sequence) > 0:
                flow.given_up_segment = flow.given_up_segment._replace(acknowledged=True)

    @cython.cfunc
    def _give_up_oldest(self) -> cython.bint:
        """Give up the flows that have been followed for longest until no limit is exceeded."""
        spent: cython.bint = self._budget.is_spent()
        while self._trackers and (len(self._trackers) > self._followed or (spent and not self._budget.has_spare())):
            self._give_up(next(iter(self._trackers.values())))
        return True

    @cython.cfunc
    @cython.exceptval(-1)
    def _feed(self, tracker: Tracker, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Let a tracker read a packet, and act on the result."""
        flow: Flow = tracker.flow
        hello_frame: cython.longlong = tracker.hello_frame
        decided_frame: cython.longlong = tracker.decided_frame
        if packet.place < 0 and self._reader is not None and self._reader.conflict is not None:
            tracker.add_fragments(packet, sender, self._reader.conflict)
        state: cython.longlong = tracker.feed(packet, sender)
        decision = None if self._early is None else self._early.decide(tracker, packet, self._flows.clock)
        if self._linked:
            log: HandshakeLog = tracker.log
            if tracker.hello_frame != _UNKNOWN and tracker.hello_frame != hello_frame:
                hello: SeenClientHello | None = log.client_hello
                if hello is not None and hello.pre_shared_keys is not None:
                    self._add_session(flow, tracker.hello_frame, identities(log))
            if decided_frame == _UNKNOWN and tracker.decided_frame != _UNKNOWN and not log.tls13:
                self._add_session(flow, tracker.decided_frame, established(log, tracker.decided_frame))
        if tracker.lookups is not None and tracker.lookups.found:
            self._add_lookups(flow, tracker.lookups)
        if decision is not None:
            self._emit(tracker, decision)
            return True
        if self._early is not None and state == _RECORDS:
            # Early emission needs to see every packet until the handshake is decided.
            state = Interest.PACKETS
        flow.interest = state
        flow.unfinished = tracker.awaits_hello()
        if tracker.is_silent():
            tracker.release()
            self._forget(flow)
            return False
        if flow.follower is None:
            flow.follower = tracker
            self._trackers[flow.stream] = tracker
        if state == _RECORDS:
            tracker.expect()
        elif state == _NOTHING:
            self._wait(tracker)
        return True

    @cython.cfunc
    def _forget(self, flow: Flow) -> cython.bint:
        """Remove a flow's tracker."""
        if flow.follower is not None:
            flow.follower = None
            del self._trackers[flow.stream]
        return True

    def _add_session(self, flow: Flow, frame: cython.longlong, keys: tuple[bytes, ...]) -> None:
        """Add the session keys in a frame to the results."""
        if keys:
            self._due.append(
                (self._flows.clock, frame, Session(self._names.of(flow.first_frame), "tcp", flow.stream, frame, keys))
            )

    def _add_lookups(self, flow: Flow, lookups: LookupListener) -> None:
        """Add the OCSP and CRL lookups of a flow to the results."""
        client, server = endpoints(flow.endpoints)
        source = self._names.of(flow.first_frame)
        for exchange, body in lookups.found:
            captured = CapturedLookup(RevocationLookup(source, flow.stream, client, server, exchange), body)
            self._due.append((self._flows.clock, captured.frame, captured))
        lookups.found.clear()

    @cython.cfunc
    def _conclude(
        self, tracker: Tracker, clock: cython.longlong, seen: Sequence[Damage] | None = None
    ) -> LoggedHandshake | None:
        """Remove a flow's tracker and return the log of its handshake, or None if the flow is not TLS.

        `clock` is the time up to which the capture would contain further packets of the flow. `seen` is the damage
        before the handshake was decided, all damage if None.
        """
        flow: Flow = tracker.flow
        log: LoggedHandshake | None = None
        self._forget(flow)
        tracker.catch_up()
        tracker.finish()
        if tracker.log.client != UNKNOWN:
            damage = self._damage if seen is None else seen
            log = tracker.logged(self._flows.time(clock), _touched(tracker, damage) if damage else ())
            if is_quoted(log):
                log = None
        flow.protocol = flow.protocol or tracker.protocol() if log is None else not_tls.TLS
        tracker.release()
        return log

    def _connection(self, flow: Flow, log: LoggedHandshake) -> Connection:
        """Return the connection of a flow with its current totals."""
        source = self._names.of(flow.first_frame)
        return connection(source, flow, log, raw=self._raw, evidence=self._evidence, keys=self._keys)

    @cython.cfunc
    def _results(self, due: cython.longlong, frame: cython.longlong, found: Connection) -> list[DueEvent]:
        """Return a connection after the tickets that keys opened in it, so that later ones can be linked to it."""
        results: list[DueEvent] = []
        if self._linked and found.hidden is not None:
            results += [(due, frame, session) for session in opened_tickets(found)]
        results.append((due, frame, found))
        return results

    def _wait(self, tracker: Tracker) -> None:
        """Keep a finished handshake until its flow has its final totals."""
        flow: Flow = tracker.flow
        size: cython.longlong = tracker.log.held_bytes
        log: LoggedHandshake | None = self._conclude(tracker, self._flows.clock)
        if log is None:
            return
        flow.interest = Interest.NOTHING
        if self._waiting.put(flow.stream, log, size):
            return
        self.returned_early += 1
        found = self._connection(flow, log)
        found = replace(found, problems=(*found.problems, _RETURNED_EARLY), open=tracker.closing_frame is None)
        self._due += self._results(self._flows.clock, NEVER, found)

    def _emit(self, tracker: Tracker, decision: Decision) -> None:
        """Add the connection of a decided handshake to the results, and ignore all further packets of its flow."""
        flow: Flow = tracker.flow
        flow.interest = Interest.NOTHING
        damage = [hurt for hurt in self._damage if hurt.frame <= decision.last_frame]
        log = self._conclude(tracker, decision.clock, damage)
        if log is not None:
            found = replace(self._connection(flow, log), open=tracker.closing_frame is None)
            self._due += self._results(decision.clock, decision.frame, found)

    def _decide_silent(self, early: EarlyEmission) -> None:
        """Emit the handshakes decided by a timeout."""
        for tracker, decision in early.silent(self._flows.clock):
            self._emit(tracker, decision)

    def _give_up(self, tracker: Tracker) -> None:
        """Stop following a flow: emit its connection or let it wait; without one, only a hello matters from now on."""
        if tracker.closed_clock() != NEVER:
            tracker.flow.interest = Interest.NOTHING
            self._wait(tracker)
            return
        self.given_up += 1
        tracker.limited = True
        last_frame = None if self._early is None else self._early.forget(tracker.flow.stream)
        if last_frame is not None:
            self._emit(tracker, Decision(self._flows.clock, NEVER, last_frame))
            return
        # If the segments held after a hole contain a hello, `_wait` ignores all further packets.
        tracker.flow.interest = Interest.HELLOS
        self._wait(tracker)


def _order(due: tuple[int, int, ReadingEvent | Ended]) -> tuple[int, int, int, int]:
    clock, frame, event = due
    return clock, frame, TRANSPORTS.index(event.transport), event.stream


def _amend(log: LoggedHandshake, flow: Flow) -> None:
    """Add to a log what was dropped after it, and remove what closed the connection if that was dropped."""
    log.dropped, log.first_dropped = flow.dropped + flow.unanswered(), flow.first_drop()
    for number, direction in enumerate(log.directions):
        side = flow.side(number)
        direction.fin = None if side.fin is None else direction.fin
        direction.rst = None if side.reset is None else direction.rst


def _touched(tracker: Tracker, damage: Sequence[Damage]) -> list[Damage]:
    """Return the damage between the first frame of a flow and its closing frame."""
    first, closed = tracker.flow.first_frame, tracker.closing_frame
    return [hurt for hurt in damage if hurt.frame > first and (closed is None or closed >= hurt.frame)]
