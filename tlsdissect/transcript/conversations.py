# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The TCP flows of a capture: trackers while something may be learnt, facts while they wait to be returned.

`advance` is the loop that every packet of a capture goes through. Packets that say nothing (bulk application data, and
flows that are no TLS) are counted and left behind in compiled code; the others are shown to the tracker of their flow.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import cython
from msgspec.structs import replace

from tlsdissect.capture.packet import TCP, UDP, UNTIMED, Packet
from tlsdissect.flows.flow import FIN, NEVER, RST, SYN, Interest
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.transcript.connection import Problem
from tlsdissect.transcript.early_emission import Decision, EarlyEmission
from tlsdissect.transcript.facts.whole import connection, endpoints, with_totals
from tlsdissect.transcript.keeping import KeepingTracker
from tlsdissect.transcript.sessions import Session, established, identities
from tlsdissect.transcript.tracking import not_tls
from tlsdissect.transcript.tracking.cursor import RecordCursor, starts_with_hello
from tlsdissect.transcript.tracking.lookups import Heard, Lookup, LookupTracker
from tlsdissect.transcript.tracking.tracker import Tracker
from tlsdissect.transcript.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.capture.errors import Damage
    from tlsdissect.capture.reader import PacketReader
    from tlsdissect.flows.datagrams import Datagrams
    from tlsdissect.flows.flow import Flow
    from tlsdissect.flows.limits import Budget
    from tlsdissect.flows.table import Ended, FlowTable
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.options import Options

    Result = Connection | Session | Heard
    Due = tuple[int, int, Result]
    """A result, the clock at which it is due, and the frame that decided or showed it; NEVER: time alone did."""

_NO_ROOM = Problem("limit", "there was no room for it to wait for its end: it is told as it was by then")
_SIGNALS = SYN | FIN | RST
_TCP = TCP
_UDP = UDP
_RECORDS = Interest.RECORDS
_HELLOS = Interest.HELLOS
_NOTHING = Interest.NOTHING


@cython.cclass
class Conversations:
    """What is known of each flow that may be TLS; of others there remains what the flow counts."""

    waiting: cython.bint
    """Packets are being waited for: a signal's handler may raise StopReading now."""
    given_up: cython.longlong
    """Flows that were given up because too many went on, or all together held too much."""
    untimely: cython.longlong
    """Connections that were returned before their flow was over, because no more could wait."""
    not_tls: Counter[str]
    """Flows that are over and were no TLS, by what they were."""
    _source: str
    _flows: FlowTable
    _datagrams: Datagrams
    _budget: Budget
    _damage: Sequence[Damage]
    _raw: cython.bint
    _tracker: Callable[..., Tracker]
    _evidence: Evidence | None
    _linked: cython.bint
    _keeps: cython.bint
    _early: EarlyEmission | None
    _trackers: dict[int, Tracker]
    """By stream, those that were followed for longest first."""
    _cursors: dict[int, tuple[RecordCursor, RecordCursor]]
    """Of flows of which only records are of interest."""
    _told: Waiting
    _due: list[Due]
    _packet: Packet
    _datagram_time: cython.longlong
    """The latest time of a UDP packet, which does not move the flow table's clock; UNTIMED: there was none."""

    def __init__(
        self,
        source: str,
        flows: FlowTable,
        datagrams: Datagrams,
        budget: Budget,
        options: Options,
        damage: Sequence[Damage],
        evidence: Evidence | None = None,
    ) -> None:
        """`damage` grows with what of the capture could not be read.

        With `evidence`, lookups about certificates are listened to, and what verdicts rest on is kept there.
        """
        listens = evidence is not None
        keeping = partial(KeepingTracker, listens=listens)
        self.waiting = False
        self.given_up = 0
        self.untimely = 0
        self.not_tls = Counter()
        self._source = source
        self._flows = flows
        self._datagrams = datagrams
        self._budget = budget
        self._damage = damage
        self._raw = options.raw_fingerprints
        self._tracker = keeping if options.keep else LookupTracker if listens else Tracker
        self._evidence = evidence
        self._linked = options.linked
        self._keeps = options.keep
        self._early = None if options.idle is None else EarlyEmission(nanoseconds(options.idle))
        self._trackers = {}
        self._cursors = {}
        self._told = Waiting()
        self._due = []
        self._packet = Packet()
        self._datagram_time = UNTIMED

    @property
    def undecided(self) -> int:
        """Handshakes that go on."""
        return len(self._trackers) if self._early is None else len(self._early)

    @property
    def trouble(self) -> str | None:
        """Why the temporary file in which connections wait could not be written; None: it could."""
        return self._told.trouble

    @cython.ccall
    def advance(self, reader: PacketReader, most: cython.longlong) -> cython.bint:
        """Take packets until something is due, at most so many; False where the reader has no more for now."""
        packet: Packet = self._packet
        flow: Flow | None
        for _ in range(most):
            self.waiting = True
            more = reader.next(packet)
            self.waiting = False
            if not more:
                # A reused packet would keep the bytes that it points into.
                packet.data = b""
                return False
            if packet.protocol != _TCP:
                if packet.protocol == _UDP:
                    self._datagrams.feed(packet)
                    self._datagram_time = max(self._datagram_time, packet.time)
                else:
                    self._datagrams.feed_eapol(packet)
                continue
            self._flows.tick(packet.time)
            if self._early is not None:
                self._decide_silent(self._early)
            flow = self._flows.find(packet)
            if flow is not None and flow.interest != _NOTHING:
                self._look(flow, packet, self._flows.sender)
            if self._flows.is_any_over():
                self._collect()
            if self._due:
                return True
        return True

    def pass_time(self, time: cython.longlong) -> None:
        """Let time go on where no packet tells it: nanoseconds since 1970-01-01T00:00:00Z."""
        self._flows.pass_time(time)
        if self._early is not None:
            self._decide_silent(self._early)
        if self._flows.is_any_over():
            self._collect()

    def results(self) -> list[Due]:
        """Return what is due, in the order of clock, frame and stream."""
        due, self._due = self._due, []
        if len(due) > 1:
            due.sort(key=_order)
        return due

    def finish(self) -> Iterator[Due]:
        """Return the connections of all flows that are left: the input has ended."""
        for ended in self._flows.finish():
            yield from self._over(ended)

    def close(self) -> None:
        """Let go of what is held outside of memory."""
        self._told.close()

    def _collect(self) -> None:
        """Note the connections of the flows that are over."""
        for ended in self._flows.over():
            self._due += self._over(ended)

    def _over(self, ended: Ended) -> Iterator[Due]:
        """Return the connection of a flow that nothing can change any more, if it is TLS and was not returned."""
        flow = ended.flow
        if self._early is not None:
            self._early.forget(flow.stream)
        tracker = self._trackers.get(flow.stream)
        told: Connection | None = None
        if tracker is not None:
            tracker.limited = tracker.limited or ended.evicted
            told = self._conclude(tracker, min(ended.due, self._flows.clock))
        elif flow.stream in self._told:
            told = with_totals(self._told.pop(flow.stream), flow)
        if told is not None:
            yield ended.due, NEVER, told
        elif self._flows.has(flow) and flow.packets:
            self._count_other(flow)

    def _count_other(self, flow: Flow) -> None:
        """Count a flow that is over by what it was; one that went on after silence is counted anew."""
        if flow.counted is not None:
            self.not_tls[flow.counted] -= 1
            flow.counted = None
        if flow.spoken != not_tls.TLS:
            flow.counted = not_tls.kind(flow)
            self.not_tls[flow.counted] += 1

    @cython.cfunc
    def _look(self, flow: Flow, packet: Packet, sender: cython.longlong) -> cython.bint:
        """Show a packet to its flow's tracker, if it matters; keep the tracker if it learnt something."""
        cursor: RecordCursor
        if flow.interest == _RECORDS:
            cursors = self._cursors[flow.stream]
            cursor = cursors[1] if sender else cursors[0]
            if not packet.flags & _SIGNALS and (packet.length == 0 or cursor.passes(packet)):
                return False
            self._trackers[flow.stream].catch_up(cursors)
        elif flow.interest == _HELLOS and not starts_with_hello(packet.captured_payload()):
            return False
        tracker = self._trackers.get(flow.stream)
        if tracker is None:
            # Without payload there is nothing to learn, unless both sides end without any.
            if packet.length == 0 and not self._keeps and (flow.one.fin is None or flow.other.fin is None):
                return False
            tracker = self._tracker(self._budget, flow)
        self._show(tracker, packet, sender)
        budget, trackers = self._budget, self._trackers
        while trackers and (len(trackers) > budget.limits.followed or budget.spent):
            self._give_up(next(iter(trackers.values())))
        return True

    def _show(self, tracker: Tracker, packet: Packet, sender: cython.longlong) -> None:
        flow, heard, settled = tracker.flow, tracker.heard, tracker.settled
        state = tracker.feed(packet, sender)
        decision = None if self._early is None else self._early.after(tracker, packet, self._flows.clock)
        if tracker.heard is not None and tracker.heard != heard and self._linked:
            self._note_session(flow, tracker.heard, identities(tracker.script))
        if settled is None and tracker.settled is not None and self._linked:
            self._note_session(flow, tracker.settled, established(tracker.script, tracker.settled))
        if isinstance(tracker, LookupTracker) and tracker.found:
            self._note_lookups(tracker)
        if decision is not None:
            self._emit(tracker, decision)
            return
        if self._early is not None and state == Interest.RECORDS:
            # Only packets that are all looked at decide.
            state = Interest.PACKETS
        flow.interest = state
        if tracker.silent:
            tracker.release()
            self._trackers.pop(flow.stream, None)
            return
        self._trackers[flow.stream] = tracker
        if state == Interest.RECORDS:
            self._cursors[flow.stream] = tracker.expect()
        elif state == Interest.NOTHING:
            self._wait(tracker)

    def _note_session(self, flow: Flow, frame: cython.longlong, keys: tuple[bytes, ...]) -> None:
        """Note what a frame showed of sessions."""
        if keys:
            self._due.append((self._flows.clock, frame, Session(self._source, flow.stream, frame, keys)))

    def _note_lookups(self, tracker: LookupTracker) -> None:
        """Note what a flow asked about certificates."""
        ends = endpoints(tracker.flow.endpoints)
        for exchange, body in tracker.found:
            heard = Heard(Lookup(self._source, tracker.flow.stream, *ends, exchange), body)
            self._due.append((self._flows.clock, heard.frame, heard))
        tracker.found.clear()

    def _conclude(
        self, tracker: Tracker, clock: cython.longlong, seen: Sequence[Damage] | None = None
    ) -> Connection | None:
        """Return what is known of a flow, and forget its tracker; None: it is no TLS.

        Until `clock` the capture would have shown more of it.
        `seen` is what of the capture could not be read until the handshake was decided.
        """
        flow = tracker.flow
        self._trackers.pop(flow.stream, None)
        cursors = self._cursors.pop(flow.stream, None)
        if cursors is not None:
            tracker.catch_up(cursors)
        damage = self._damage if seen is None else seen
        touched = _touched(tracker, damage) if damage else ()
        until = self._flows.time(clock)
        if clock == self._flows.clock:
            until = max(until, self._datagram_time)
        told = connection(self._source, tracker, touched, until=until, raw=self._raw, evidence=self._evidence)
        flow.spoken = not_tls.TLS if told is not None else flow.spoken or tracker.spoken()
        tracker.release()
        return tracker.kept(told) if told is not None and isinstance(tracker, KeepingTracker) else told

    def _wait(self, tracker: Tracker) -> None:
        """Let the connection of a flow that says nothing more wait for the flow's end, with its totals."""
        told = self._conclude(tracker, self._flows.clock)
        if told is None or self._told.put(tracker.flow.stream, told, tracker.script.held_bytes):
            return
        self.untimely += 1
        goes_on = tracker.closing_frame is None
        told = replace(told, problems=(*told.problems, _NO_ROOM), open=goes_on)
        self._due.append((self._flows.clock, NEVER, told))

    def _emit(self, tracker: Tracker, decision: Decision) -> None:
        """Return the connection of a handshake that is decided; nothing of its flow matters any more."""
        tracker.flow.interest = Interest.NOTHING
        goes_on = tracker.closing_frame is None
        told = self._conclude(
            tracker, decision.clock, [hurt for hurt in self._damage if hurt.frame <= decision.last_frame]
        )
        if told is not None:
            self._due.append((decision.clock, decision.frame, replace(told, open=goes_on)))

    def _decide_silent(self, early: EarlyEmission) -> None:
        """Return the handshakes that have been silent for too long."""
        for tracker, decision in early.silent(self._flows.clock):
            self._emit(tracker, decision)

    def _give_up(self, tracker: Tracker) -> None:
        """Follow a flow no further: what is known of it is returned, or a hello of it may still be found."""
        self.given_up += 1
        tracker.limited = True
        last_frame = None if self._early is None else self._early.forget(tracker.flow.stream)
        if last_frame is not None:
            self._emit(tracker, Decision(self._flows.clock, NEVER, last_frame))
            return
        found = tracker.script.client is not None
        tracker.flow.interest = Interest.NOTHING if found else Interest.HELLOS
        self._wait(tracker)


def _order(due: Due) -> tuple[int, int, int]:
    return due[0], due[1], due[2].stream


def _touched(tracker: Tracker, damage: Sequence[Damage]) -> list[Damage]:
    """The damage that lies within a flow."""
    first, closed = tracker.flow.first_frame, tracker.closing_frame
    return [hurt for hurt in damage if hurt.frame > first and (closed is None or closed >= hurt.frame)]
