"""Emits connections when their handshake is decided, not when they are over.

A handshake is decided when it has succeeded, failed, or been silent for a while. In TLS 1.3, the records after the
client's flight decide. A record with the length of an alert does not decide by itself: only what follows it shows
whether the server refused the client.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.flows.flow import NEVER, UNKNOWN, Interest
from tlsdissect.handshake.encrypted_flight import encrypted_flight

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.packet import Packet
    from tlsdissect.handshake.tracker import Tracker


class Timeouts:
    """Deadlines by stream number, in a heap.

    Postponing a deadline does not touch the heap: the entry is queued again when the old deadline pops. So a stream has
    one entry in the heap, however often its deadline is postponed.
    """

    __slots__ = ("_due", "_heap", "_queued")

    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._queued: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def set(self, stream: int, clock: int) -> None:
        """Set the deadline of a stream."""
        self._due[stream] = clock
        if clock < self._queued.get(stream, NEVER):
            self._queued[stream] = clock
            heappush(self._heap, (clock, stream))

    def forget(self, stream: int) -> None:
        """Remove the deadline of a stream."""
        self._due.pop(stream, None)

    def expired(self, clock: int) -> Iterator[int]:
        """Yield and remove the streams whose deadline is before this clock."""
        while self._heap and self._heap[0][0] < clock:
            queued, stream = heappop(self._heap)
            if self._queued.get(stream) != queued:
                continue
            del self._queued[stream]
            due = self._due.get(stream, NEVER)
            if due < clock:
                del self._due[stream]
                yield stream
            elif due < NEVER:
                self.set(stream, due)


REPLY_NS = 250_000_000
"""Nanoseconds to wait for a reply to the client's TLS 1.3 flight. A server need not reply, and many do not. After
a RST or FINs, a connection that goes on within this time was not closed."""


class Decision(NamedTuple):
    """The time and the frame at which a handshake was decided."""

    clock: int
    frame: int
    """The frame that decided it; NEVER if a timeout or a limit did."""
    last_frame: int
    """The last frame of the flow at that time."""


class _Latest(NamedTuple):
    """The latest packet of an undecided handshake, and the clock after which silence decides it."""

    frame: int
    deadline: int
    tracker: Tracker


class EarlyEmission:
    """The undecided handshakes and their timeouts."""

    def __init__(self, idle_ns: int) -> None:
        """`idle_ns` is the silence, in nanoseconds, that decides a handshake."""
        self._idle = idle_ns
        self._open: dict[int, _Latest] = {}
        self._deadlines = Timeouts()

    def __len__(self) -> int:
        return len(self._open)

    def decide(self, tracker: Tracker, packet: Packet, clock: int) -> Decision | None:
        """Return the decision if the latest packet of a tracker decided its handshake, else None."""
        stream = tracker.flow.stream
        if tracker.log.client == UNKNOWN:
            return None
        refused = tracker.decided_frame != UNKNOWN and _may_be_refused(tracker)
        if (
            tracker.state == Interest.NOTHING
            or (tracker.decided_frame != UNKNOWN and not refused)
            or _is_cut_off(tracker)
        ):
            self.forget(stream)
            return Decision(clock, packet.frame, packet.frame)
        brief = refused or _awaits_reply(tracker) or _is_closed(tracker)
        timeout = REPLY_NS if brief else self._idle
        self._open[stream] = _Latest(packet.frame, clock + timeout, tracker)
        self._deadlines.set(stream, clock + timeout)
        return None

    def silent(self, clock: int) -> Iterator[tuple[Tracker, Decision]]:
        """Yield the handshakes that silence decided before this clock, except those whose flow was over earlier."""
        for stream in self._deadlines.expired(clock):
            latest = self._open.pop(stream)
            if latest.deadline < latest.tracker.flow.due:
                yield latest.tracker, Decision(latest.deadline, NEVER, latest.frame)

    def forget(self, stream: int) -> int | None:
        """Remove a flow; return the last frame of its handshake if that was undecided, else None."""
        self._deadlines.forget(stream)
        latest = self._open.pop(stream, None)
        return None if latest is None else latest.frame


def _awaits_reply(tracker: Tracker) -> bool:
    """Return whether both sides have sent protected records of TLS 1.3."""
    log = tracker.log
    return log.tls13 and min(log.protected) > 0


def _is_closed(tracker: Tracker) -> bool:
    """Return whether a RST or the FINs of both sides close the connection: they were dropped if it goes on."""
    return tracker.closed_clock() != NEVER or any(direction.tcp.rst is not None for direction in tracker.directions)


def _is_cut_off(tracker: Tracker) -> bool:
    """Return whether the server's FIN came instead of a reply to the client's flight."""
    log = tracker.log
    if log.client == UNKNOWN or not _awaits_reply(tracker):
        return False
    server = tracker.directions[1 - log.client]
    return server.fin is not None and server.assembler.position >= server.assembler.offset(server.fin.end)


def _may_be_refused(tracker: Tracker) -> bool:
    """Return whether the only reply to the client's flight so far is a record or two with the length of an alert."""
    seen = encrypted_flight(tracker.log)
    if seen is None or seen.reply is None:
        return False
    server = tracker.directions[seen.reply.sender]
    last = None if server.last is None else (server.last.start, server.last.length)
    return server.fin is None and seen.only_alerts(server.assembler.position, last)
