# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The TCP flows of a capture, numbered as Wireshark numbers `tcp.stream`.

Goal: find the flow of each packet and the flows that are over, at a constant cost per packet in bounded memory. A
packet costs one dictionary lookup, because both directions of a flow are keys; only the first packet of a direction
costs more. One key of sorted endpoints was rejected: sorting them would cost time for every packet, a second key
costs memory once per flow.

A flow that is over stays in the table until room is needed, so that its late packets do not begin a new flow. A full
table evicts an eighth of its flows at once: sorting n flows takes O(n log n), but only once per n/8 new flows.

Expiry times are in a heap, which costs O(log n) per timeout and not per packet (see `Flow`). Two FIFO queues, one for
each timeout, were rejected: a flow that is queued again would have to be inserted in order.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.capture.packet import UNTIMED, opposite
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.flow import ACK, NEAR, NEVER, PAST, RST, SYN, UNKNOWN, Flow, Interest, TcpSide
from tlsdissect.flows.limits import Limits, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packet import Packet

_SYN = SYN
_ACK = ACK
_RST = RST
_MASK = 0xFFFFFFFF
_NEVER = NEVER
_PAST = PAST
_UNKNOWN = UNKNOWN
_UNTIMED = UNTIMED
_HELLOS = Interest.HELLOS
_NOTHING = Interest.NOTHING

FLOW_BYTES = 1000
"""Estimated bytes of a TCP flow in the table, with both keys and its entry in the heap."""

_FLOW_BYTES = FLOW_BYTES
_FAR = 2 * NEAR
_SPARE = 8
"""Divisor of the table's limit: a full table evicts one flow in eight at a time."""
MAX_FORMER = 64
"""Flows with the endpoints of a newer one that may still continue. Beyond it, the latest of them is given up if it was
not answered, else the oldest without payload, else the oldest, and counted as evicted. Payload that is far from the
numbers of all others then begins a new flow."""
_MAX_FORMER = MAX_FORMER
DEFAULTS = Limits()

_due = attrgetter("due")
_stream = attrgetter("stream")


class Shard(NamedTuple):
    """The part of a capture's flows whose stream number modulo `of` is `number`."""

    number: int
    of: int


WHOLE = Shard(0, 1)


class Ended(NamedTuple):
    """A flow that is over."""

    due: int
    """The clock at which it was over; NEVER if the input ended before."""
    flow: Flow
    evicted: bool
    """It was evicted for lack of room, and might have continued."""

    @property
    def transport(self) -> str:
        """As results of the reading have it."""
        return "tcp"

    @property
    def stream(self) -> int:
        """The number of the flow."""
        return self.flow.stream


@cython.cclass
class FlowTable:
    """The flows of a capture, from their first packet until no packet can change them.

    All flows are numbered and counted; only those of the table's shard are decoded.
    """

    clock: cython.longlong
    """The latest capture time seen, in nanoseconds. It never decreases, even if the times of packets do.

    A packet without a time does not advance it. If a capture begins with such packets, the clock is 0 until the first
    packet with a time, and counts from that time.
    """
    begin: cython.longlong
    """The time of the first packet that has one, in nanoseconds since 1970-01-01T00:00:00Z; UNTIMED until then."""
    late: cython.longlong
    """Packets of this shard that were captured after their flow was over."""
    evicted: cython.longlong
    """Flows that were evicted before their end."""
    known: cython.longlong
    """Flows in memory; the budget has `FLOW_BYTES` for each."""
    sender: cython.longlong
    """The side that sent the latest packet given to `find`."""
    stream: cython.longlong
    """The number of the flow of that packet, also if the packet is late, dropped or quoted."""
    _flows: dict[bytes, Flow]
    _replaced: dict[int, Flow]
    _heap: list[tuple[int, int, Flow]]
    _expires: cython.longlong
    _origin: cython.longlong
    _timed: cython.bint
    _streams: cython.longlong
    _closed_after: cython.longlong
    _silent_after: cython.longlong
    _limit: cython.longlong
    _number: cython.longlong
    _of: cython.longlong
    _budget: Budget

    def __init__(self, shard: Shard = WHOLE, limits: Limits = DEFAULTS, budget: Budget | None = None) -> None:
        """A `budget` that is given is shared with other tables."""
        self.clock = PAST
        self.begin = UNTIMED
        self.late = self.evicted = self.known = self.sender = 0
        self.stream = UNKNOWN
        self._flows = {}
        self._replaced = {}
        self._heap = []
        self._expires = NEVER
        self._origin = 0
        self._timed = True
        self._streams = 0
        self._closed_after = nanoseconds(limits.closed_after)
        self._silent_after = nanoseconds(limits.silent_after)
        self._limit = max(1, limits.known)
        self._number, self._of = shard
        self._budget = Budget(limits) if budget is None else budget

    @cython.ccall
    def tick(self, time: cython.longlong) -> None:
        """Advance the clock to a packet's time."""
        if time == _UNTIMED:
            if self.clock == _PAST:
                self.clock = 0
                self._timed = False
            return
        if self.begin == _UNTIMED:
            self.begin = time
        if not self._timed:
            self._timed = True
            self._origin = time
        self.clock = max(self.clock, time - self._origin)

    @cython.ccall
    def pass_time(self, time: cython.longlong) -> None:
        """Advance the clock without a packet to a time in nanoseconds since 1970-01-01T00:00:00Z."""
        if self._timed and time - self._origin > self.clock:
            self.clock = time - self._origin

    def time(self, clock: cython.longlong) -> int:
        """Convert a clock value to nanoseconds since 1970-01-01T00:00:00Z; UNTIMED if no packet had a time."""
        return clock + self._origin if self._timed else UNTIMED

    @cython.ccall
    def find(self, packet: Packet) -> Flow | None:
        """Count a packet in its flow, after `tick`; return the flow, or None if the packet is late, dropped or quoted.

        A SYN with another initial sequence number than that of its side begins a new flow with the same endpoints.
        While the old one is established, it gets the endpoints only once it is answered: else it may have been forged,
        and its receiver dropped it (RFC 5961 section 4). The answer may have been forged, too: packets with the numbers
        of the old flow belong to it until that is over.
        """
        clock: cython.longlong = self.clock
        flags: cython.longlong = packet.flags
        endpoints: bytes = packet.endpoints
        flow: Flow | None = self._flows.get(endpoints)
        if flow is None:
            flow = self._reverse(endpoints)
        if flow is None:
            flow = self._add(packet)
        elif flow.rival is not None or flow.former is not None:
            flow = self._chosen(flow, packet)
        sender: cython.longlong = 0 if endpoints == flow.endpoints else 1
        me: TcpSide = flow.other if sender else flow.one
        if me.isn == _UNKNOWN:
            me.isn = packet.sequence if flags & _SYN else (packet.sequence - 1) & _MASK
        elif flags & (_SYN | _ACK) == _SYN and me.isn != packet.sequence:
            flow = self._begin_again(flow, packet)
            sender = 0
        self.sender = sender
        self.stream = flow.stream
        if clock > flow.due and not self._has_no_timeout(flow):
            if packet.length > 0 and not flow.replaced and (flow.payload_bytes == 0 or flow.interest == _HELLOS):
                flow.continue_after_end()
            else:
                self.late += flow.stream % self._of == self._number
                return None
        elif flow.unfinished and packet.length > 0 and clock - self._closed_after > flow.closed():
            flow.continue_after_end()
        if packet.quoted:
            return None
        counts: cython.bint = flow.count(packet, clock, sender)
        closed: cython.longlong = _NEVER if flow.unfinished else flow.closed()
        self._schedule(flow, clock + self._silent_after if closed == _NEVER else closed + self._closed_after)
        return flow if counts else None

    def over(self) -> list[Ended]:
        """Return the flows that are over, in the order of their ends.

        A full table evicts flows: first those that are over, then those without payload if they are more than half,
        then those that have been silent for longest.
        """
        ended = self._expired()
        if self._is_full():
            ended += self._evict()
        return ended

    @cython.ccall
    def has(self, flow: Flow) -> cython.bint:
        """Return whether a flow belongs to this table's shard."""
        return flow.stream % self._of == self._number

    @cython.ccall
    @cython.exceptval(-1)
    def is_any_over(self) -> cython.bint:
        """Return whether `over` has flows to return."""
        return self._expires < self.clock or self._is_full()

    @cython.cfunc
    @cython.exceptval(-1)
    def _is_full(self) -> cython.bint:
        """Return whether there are more flows than the table may have."""
        return self.known > self._limit or self._budget.is_too_large(self.known * _FLOW_BYTES)

    @cython.cfunc
    def _add_known(self, number: cython.longlong) -> None:
        """Count flows that enter the table, or with a negative number leave it."""
        self.known += number
        self._budget.flow_bytes += number * _FLOW_BYTES

    def finish(self) -> Iterator[Ended]:
        """Yield all remaining flows in the order of their numbers, at the end of the input."""
        flow: Flow
        left = sorted((one for one in self._all() if one.due > PAST), key=_stream)
        for flow in left:
            flow.due = PAST
            yield Ended(NEVER, flow, False)

    @cython.cfunc
    def _reverse(self, endpoints: bytes) -> Flow | None:
        """Find a flow by the key of its other direction, and add this direction as a key."""
        flow: Flow | None = self._flows.get(opposite(endpoints))
        if flow is not None:
            self._flows[endpoints] = flow
        return flow

    @cython.cfunc
    def _add(self, packet: Packet) -> Flow:
        """Add a flow that begins with this packet."""
        flow: Flow = self._new(packet)
        self._flows[packet.endpoints] = flow
        return flow

    @cython.cfunc
    def _begin_again(self, flow: Flow, packet: Packet) -> Flow:
        """Begin a new flow with the endpoints of another one."""
        rival: Flow
        if not flow.is_established() or (self.clock > flow.due and not self._has_no_timeout(flow)):
            self._replace(flow)
            rival = self._add(packet)
            self._succeed(rival, flow)
        else:
            rival = self._new(packet)
            rival.replaced = rival.claims = True
            self._replaced[rival.stream] = rival
        one: Flow | None = flow
        while one is not None:
            if one.closed() == _NEVER:
                one.contest(rival)
            one = one.former
        return rival

    @cython.cfunc
    def _chosen(self, flow: Flow, packet: Packet) -> Flow:
        """Return the flow to which a packet belongs, of those with its endpoints.

        The other side's SYN-ACK, or its acknowledgement of bytes of the rival alone, hands the endpoints over; so do
        bytes of the side with the SYN if nothing of the other one is captured.
        """
        flags: cython.longlong = packet.flags
        rival: Flow | None = flow.rival
        former: Flow | None = None if flow.former is None else self._former(flow, packet)
        if former is not None:
            return former
        if rival is None or rival.due == _PAST:
            return flow
        opens: cython.bint = packet.endpoints == rival.endpoints
        peer: TcpSide = flow.other if rival.endpoints == flow.endpoints else flow.one
        first: cython.longlong = rival.one.first
        if opens and flags & (_SYN | _ACK) == _SYN:
            return rival if packet.sequence == rival.one.isn else flow
        answers: cython.bint = flags & (_SYN | _ACK) == _SYN | _ACK and packet.acknowledgement == first
        if (opens or not answers) and flow.has_number(packet, rival):
            return flow
        if flags & _RST:
            return rival
        if opens:
            answers = packet.length > 0 and not peer.seen
        elif not answers:
            answers = first != _UNKNOWN and 0 <= rival.one.offset(packet.acknowledgement) <= rival.one.sent
        if answers:
            flow.rival = None
            self._replace(flow)
            self._replaced.pop(rival.stream, None)
            rival.replaced = rival.claims = False
            self._flows[rival.endpoints] = rival
            self._succeed(rival, flow)
        return rival

    @cython.cfunc
    def _former(self, flow: Flow, packet: Packet) -> Flow | None:
        """Return the former flow of these endpoints to which a packet belongs; None if it belongs to none.

        A SYN has the initial number of its flow, and a SYN-ACK acknowledges that. Of flows that are near by both
        numbers the oldest one counts, unless it was closed and the latest was answered; otherwise the nearest one.
        Where former flows were given up, payload that is far from all others may continue one of them: it begins a new
        flow, so that a hello in it is read.
        """
        flags: cython.longlong = packet.flags & (_SYN | _ACK)
        rival: Flow | None = flow.rival
        least: cython.longlong = flow.distance(packet)
        if rival is not None and rival.due != _PAST:
            least = min(least, rival.distance(packet))
        found: Flow | None = None
        after: Flow = flow
        newer: Flow = flow
        known: cython.longlong = 0
        fits: cython.bint = flow.has_both_numbers(packet)
        if flags == _SYN | _ACK and packet.acknowledgement == flow.one.first:
            return None
        while newer.former is not None:
            one: Flow = newer.former
            if one.due == _PAST:
                newer.former = one.former
                continue
            known += 1
            if flags & _SYN:
                opener: cython.bint = packet.endpoints == one.endpoints
                if opener and flags == _SYN and packet.sequence == one.one.isn:
                    return one
                if not opener and flags != _SYN and packet.acknowledgement == one.one.first:
                    return one
            away: cython.longlong = one.distance(packet)
            both: cython.bint = one.has_both_numbers(packet) and not (flow.other.seen and one.has_both_fins())
            if both or (not fits and away <= least):
                least, found, after, fits = away, one, newer, both
            newer = one
        if known >= _MAX_FORMER and least > _FAR and packet.length > 0 and not flags & _SYN:
            return self._continue_given_up(flow, packet)
        if flags == _SYN or found is None:
            return None
        if packet.length > 0:
            found.outlived = True
            if found.rival is None:
                found.rival = after
        return found

    @cython.cfunc
    def _continue_given_up(self, latest: Flow, packet: Packet) -> Flow:
        """Begin a flow with a packet of one that was given up; it takes the endpoints of the latest one."""
        self._replace(latest)
        flow: Flow = self._add(packet)
        flow.gave_up = True
        self._succeed(flow, latest)
        return flow

    @cython.cfunc
    def _succeed(self, flow: Flow, former: Flow) -> None:
        """Remember the flow that had the endpoints before, as long as it may continue."""
        flow.former = former.former if former.due == _PAST else former
        known: list[Flow] = []
        one: Flow | None = flow.former
        while one is not None:
            known.append(one)
            one = one.former
        if len(known) > _MAX_FORMER:
            leaving: Flow = known[0]
            if leaving.other.seen:
                idle: list[Flow] = [one for one in known if one.payload_bytes == 0]
                leaving = idle[len(idle) - 1] if idle else known[len(known) - 1]
            at = known.index(leaving)
            newer: Flow = known[at - 1] if at else flow
            newer.former = leaving.former
            leaving.gave_up = True
            self._schedule(leaving, min(leaving.due, self.clock))
            self.evicted += 1

    @cython.cfunc
    def _new(self, packet: Packet) -> Flow:
        """Make a flow that begins with this packet."""
        flow: Flow = Flow(packet.endpoints, self._streams)
        flow.begin(packet)
        flow.one.isn = packet.sequence if packet.flags & _SYN else (packet.sequence - 1) & _MASK
        if packet.flags & _ACK:
            flow.other.isn = (packet.acknowledgement - 1) & _MASK
        if self._streams % self._of != self._number:
            flow.interest = _NOTHING
        self._streams += 1
        self._add_known(1)
        return flow

    @cython.cfunc
    def _replace(self, flow: Flow) -> None:
        """Take the endpoints from a flow, because a new one takes them over."""
        flow.replaced = True
        self._unlink(flow)
        if flow.due == _PAST:
            self._add_known(-1)
        else:
            self._replaced[flow.stream] = flow

    @cython.cfunc
    def _hand_back(self, flow: Flow) -> None:
        """Give the endpoints of a flow that leaves to the one that had them before, if it may continue."""
        former: Flow | None = flow.former
        while former is not None and former.due == _PAST:
            former = former.former
        if former is not None:
            self._replaced.pop(former.stream, None)
            former.replaced = False
            self._flows[former.endpoints] = former

    @cython.cfunc
    def _unlink(self, flow: Flow) -> None:
        """Remove both directions of a flow from the keys."""
        self._flows.pop(flow.endpoints, None)
        self._flows.pop(opposite(flow.endpoints), None)

    @cython.cfunc
    def _has_no_timeout(self, flow: Flow) -> cython.bint:
        """Return whether a flow never times out: it is open, and has no payload or none that is TLS."""
        return (flow.payload_bytes == 0 or flow.interest == _HELLOS) and flow.closed() == _NEVER

    @cython.cfunc
    def _schedule(self, flow: Flow, due: cython.longlong) -> None:
        """Set the clock after which a flow is over."""
        flow.due = due
        if due < flow.queued:
            flow.queued = due
            heappush(self._heap, (due, flow.stream, flow))
            self._expires = min(self._expires, due)

    def _expired(self) -> list[Ended]:
        """Return the flows that have timed out, or were closed for long enough."""
        flow: Flow
        ended: list[Ended] = []
        heap, clock = self._heap, self.clock
        while heap and heap[0][0] < clock:
            queued, _, flow = heappop(heap)
            if flow.queued != queued:
                continue
            flow.queued = NEVER
            if flow.due == PAST:
                continue
            if flow.due > queued:
                self._schedule(flow, flow.due)
                continue
            ended.append(Ended(flow.due, flow, flow.gave_up))
            flow.due = PAST
            self._release(flow)
        self._expires = heap[0][0] if heap else NEVER
        return ended

    def _release(self, flow: Flow) -> None:
        """Remove a replaced flow that is over: no packet can find it."""
        if flow.replaced:
            self._replaced.pop(flow.stream, None)
            self._add_known(-1)

    def _all(self) -> list[Flow]:
        """Return every flow in memory, each once."""
        return [flow for key, flow in self._flows.items() if key == flow.endpoints] + list(self._replaced.values())

    def _evict(self) -> list[Ended]:
        """Evict flows until the table is one eighth below its limit, so that evictions are rare."""
        flow: Flow
        known = self._all()
        # Sorting twice takes less memory than a tuple for each flow.
        known.sort(key=_stream)
        known.sort(key=_due)
        limit = min(self._limit, len(known))
        without_payload = [one for one in known if one.payload_bytes == 0 and one.due > PAST]
        early = set(without_payload[: max(0, len(without_payload) - limit // 2)])
        known.sort(key=lambda one: one.due > PAST and one not in early)
        leaving = known[: len(known) - limit + limit // _SPARE]
        ended = sorted((one for one in leaving if one.due > PAST), key=_stream)
        for flow in leaving:
            flow.due = PAST
            if not flow.replaced:
                self._unlink(flow)
                self._hand_back(flow)
            # Flows that refer to each other would wait for the garbage collection.
            flow.former = None
            self._replaced.pop(flow.stream, None)
            flow.queued = NEVER
        # A dictionary from which keys were removed would take twice the memory once it is full.
        self._flows = {key: flow for key, flow in self._flows.items()}  # noqa: C416  # a copy would keep its gaps
        # The heap would keep an evicted flow in memory until it timed out.
        self._heap = [entry for entry in self._heap if entry[0] == entry[2].queued]
        heapify(self._heap)
        self._add_known(-len(leaving))
        self.evicted += len(ended)
        return [Ended(self.clock, one, True) for one in ended]
