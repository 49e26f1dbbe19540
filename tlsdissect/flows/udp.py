# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The UDP flows of a capture, numbered as Wireshark numbers `udp.stream`.

UDP has no connections: a flow is all datagrams between two endpoints, for as long as the table knows it, and may
contain several TLS connections. A flow without one is only its totals. While it has one, it ends after a time without
datagrams, and the table finds those flows as `FlowTable` does.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.capture.packet import opposite
from tlsdissect.flows.budget import Budget
from tlsdissect.flows.flow import NEVER, UNKNOWN
from tlsdissect.flows.limits import nanoseconds
from tlsdissect.flows.table import DEFAULTS, WHOLE, Shard
from tlsdissect.flows.totals import Totals

if TYPE_CHECKING:
    from tlsdissect.capture.packet import Packet
    from tlsdissect.flows.limits import Limits

UDP_FLOW_BYTES = 500
"""Estimated bytes of a UDP flow in the table, with both keys."""

_NEVER = NEVER
_UDP_FLOW_BYTES = UDP_FLOW_BYTES
_SPARE = 8
"""A full table evicts this fraction of its flows."""


@cython.cclass
class UdpFlow(Totals):
    """The datagrams between two endpoints: side 0 sent the first one."""

    follower: Any
    """What follows the TLS connections of the flow; None while there are none."""
    two_sided: cython.bint
    """Whether both sides sent datagrams."""
    latest: cython.longlong
    """The clock at the latest datagram."""
    queued: cython.longlong
    """The clock of the flow's valid entry in the table's heap; NEVER if it has none."""
    totals: Totals | None
    """Where datagrams count that the follower does not need to see: those of `passing` sides with a first byte below
    0x80, which are QUIC's packets with application data. None if it needs to see all."""
    passing: cython.longlong
    """The sides that have such datagrams: 1 for side 0, plus 2 for side 1."""
    first_flow: UdpFlow | None
    """The flow in which the connection began whose client moved here (RFC 9000 section 9); None if there is none."""
    first_follower: Any
    """What followed that flow then: if something else does, the connection is over."""
    client: cython.longlong
    """The side of this flow that is that client."""
    turned: cython.bint
    """Whether side 0 of this flow is side 1 of that one."""

    def __init__(self, endpoints: bytes, stream: cython.longlong) -> None:
        Totals.__init__(self, endpoints, stream)
        self.follower = None
        self.two_sided = False
        self.latest = 0
        self.queued = NEVER
        self.totals = None
        self.passing = 0
        self.first_flow = self.first_follower = None
        self.client = 0
        self.turned = False

    @cython.ccall
    def continues_connection(self) -> cython.bint:
        """Return whether the connection that migrated to this flow is still followed (RFC 9000 section 9)."""
        first: UdpFlow | None = self.first_flow
        return first is not None and first.follower is not None and first.follower is self.first_follower

    def conclude(self) -> None:
        """Stop following the flow; its next datagram begins new totals."""
        self.follower = self.totals = None
        self.packets = self.payload_bytes = 0


@cython.cclass
class UdpTable:
    """The UDP flows of a capture. All are numbered; only those of the table's shard are decoded."""

    sender: cython.longlong
    """The side that sent the latest datagram given to `find`."""
    stream: cython.longlong
    """The number of the flow of the latest datagram that was found or counted."""
    evicted: cython.longlong
    """Flows with a TLS connection that were evicted before their end."""
    _flows: dict[bytes, UdpFlow]
    _heap: list[tuple[int, int, UdpFlow]]
    _expires: cython.longlong
    _streams: cython.longlong
    _silent_after: cython.longlong
    _limit: cython.longlong
    _known: cython.longlong
    _number: cython.longlong
    _of: cython.longlong
    _budget: Budget

    def __init__(
        self,
        shard: Shard = WHOLE,
        limits: Limits = DEFAULTS,
        idle: cython.longlong = NEVER,
        budget: Budget | None = None,
    ) -> None:
        """`idle` is the silence, in nanoseconds, after which a flow is over if that is shorter than the limit.

        The `budget` is shared with other tables.
        """
        self.sender = self.evicted = 0
        self.stream = UNKNOWN
        self._flows = {}
        self._heap = []
        self._expires = NEVER
        self._streams = self._known = 0
        self._silent_after = min(idle, nanoseconds(limits.udp_silent_after))
        self._limit = limits.udp_known
        self._number, self._of = shard
        self._budget = Budget(limits) if budget is None else budget

    @cython.ccall
    def find(self, packet: Packet, clock: cython.longlong) -> UdpFlow:
        """Return the flow of a datagram."""
        endpoints: bytes = packet.endpoints
        flow: UdpFlow | None = self._flows.get(endpoints)
        if flow is None:
            flow = self._flows.get(opposite(endpoints))
            if flow is None:
                flow = UdpFlow(endpoints, self._streams)
                self._streams += 1
                self._add_known(1)
            self._flows[endpoints] = flow
        self.sender = 0 if endpoints == flow.endpoints else 1
        self.stream = flow.stream
        flow.two_sided = flow.two_sided or self.sender == 1
        flow.latest = clock
        return flow

    @cython.ccall
    def count(self, packet: Packet, clock: cython.longlong) -> cython.bint:
        """Count a datagram that no follower needs to see; return whether it is one.

        Where a client of QUIC moved, what lacks QUIC's fixed bit (RFC 9000 section 17.3.1) may be another protocol.
        """
        flow: UdpFlow | None = self._flows.get(packet.endpoints)
        counting: UdpFlow
        totals: Totals
        side: cython.longlong
        if flow is None:
            return False
        moved: cython.bint = flow.continues_connection()
        first_flow: UdpFlow | None = flow.first_flow
        counting = first_flow if moved and first_flow is not None else flow
        if counting.totals is None or packet.captured == 0 or packet.quoted or self.is_any_over(clock):
            return False
        side = 1 if (packet.endpoints == flow.endpoints) != flow.turned else 2
        first: cython.longlong = packet.data[packet.payload]
        if not counting.passing & side or first >= 0x80 or (moved and first < 0x40):
            return False
        totals = counting.totals
        totals.add(packet)
        flow.latest = counting.latest = clock
        self.stream = counting.stream
        return True

    @cython.ccall
    def join(self, flow: UdpFlow, first_flow: UdpFlow, client: cython.longlong) -> None:
        """Note the flow in which a connection began, for the flow to which its client has migrated.

        `client` is the side of the first flow that sent the latest datagram of this flow.
        """
        flow.first_flow = first_flow
        flow.first_follower = first_flow.follower
        flow.client = self.sender
        flow.turned = self.sender != client

    @cython.ccall
    def count_in_first(self, flow: UdpFlow, first_flow: UdpFlow, clock: cython.longlong) -> cython.longlong:
        """Count the latest datagram of a flow as one of its first flow, too; return which side of that sent it."""
        first_flow.latest = clock
        self.stream = first_flow.stream
        return 1 - self.sender if flow.turned else self.sender

    @cython.ccall
    def has(self, flow: UdpFlow) -> cython.bint:
        """Return whether a flow belongs to this table's shard."""
        return flow.stream % self._of == self._number

    @cython.ccall
    def follow(self, flow: UdpFlow, follower: object) -> None:
        """Begin to follow a flow: it ends after a time without datagrams."""
        flow.follower = follower
        self._queue(flow)

    @cython.ccall
    @cython.exceptval(-1)
    def is_any_over(self, clock: cython.longlong) -> cython.bint:
        """Return whether `over` has flows to return."""
        return self._expires < clock or self._is_full()

    @cython.cfunc
    @cython.exceptval(-1)
    def _is_full(self) -> cython.bint:
        """Return whether there are more flows than the table may have."""
        return self._known > self._limit or self._budget.is_too_large(self._known * _UDP_FLOW_BYTES)

    @cython.cfunc
    def _add_known(self, number: cython.longlong) -> None:
        """Count flows that enter the table, or with a negative number leave it."""
        self._known += number
        self._budget.flow_bytes += number * _UDP_FLOW_BYTES

    def over(self, clock: cython.longlong) -> list[tuple[int, UdpFlow]]:
        """Return the followed flows that are over, each with the clock of its end, in the order of these.

        A full table evicts flows: first those without TLS, then those that have been silent for longest.
        """
        flow: UdpFlow
        ended: list[tuple[int, UdpFlow]] = []
        while self._heap and self._heap[0][0] < clock:
            queued, _, flow = heappop(self._heap)
            if flow.queued != queued:
                continue
            flow.queued = NEVER
            if flow.follower is None:
                continue
            if flow.latest + self._silent_after > queued:
                self._queue(flow)
            else:
                ended.append((queued, flow))
        self._expires = self._heap[0][0] if self._heap else NEVER
        if self._is_full():
            ended += [(clock, one) for one in self._evict() if one.follower is not None]
        return ended

    def finish(self) -> list[UdpFlow]:
        """Return the followed flows in the order of their numbers, at the end of the input."""
        return sorted([one for one in self._all() if one.follower is not None], key=_stream)

    @cython.cfunc
    def _queue(self, flow: UdpFlow) -> None:
        """Queue a followed flow for its end, if it is not queued."""
        if flow.queued == _NEVER:
            flow.queued = flow.latest + self._silent_after
            heappush(self._heap, (flow.queued, flow.stream, flow))
            self._expires = min(self._expires, flow.queued)

    def _all(self) -> list[UdpFlow]:
        """Return every flow in memory, each once."""
        return [flow for key, flow in self._flows.items() if key == flow.endpoints]

    def _evict(self) -> list[UdpFlow]:
        """Evict flows until the table is one eighth below its limit; return them in the order of their numbers."""
        flow: UdpFlow
        known = self._all()
        # Sorting three times takes less memory than a tuple for each flow.
        known.sort(key=_stream)
        known.sort(key=_latest)
        known.sort(key=_is_followed)
        limit = min(self._limit, len(known))
        leaving = known[: len(known) - limit + limit // _SPARE]
        for flow in leaving:
            self._flows.pop(flow.endpoints, None)
            self._flows.pop(opposite(flow.endpoints), None)
            flow.queued = NEVER
            self.evicted += flow.follower is not None
        # The heap would keep an evicted flow in memory until it timed out.
        self._heap = [entry for entry in self._heap if entry[0] == entry[2].queued]
        heapify(self._heap)
        self._add_known(-len(leaving))
        return sorted(leaving, key=_stream)


def _stream(flow: UdpFlow) -> int:
    return flow.stream


def _latest(flow: UdpFlow) -> int:
    return flow.latest


def _is_followed(flow: UdpFlow) -> bool:
    return flow.follower is not None
