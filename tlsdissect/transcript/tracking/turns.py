"""A handshake shown packet by packet, until it is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.streams.columns import NEVER
from tlsdissect.streams.following import CLOSED, FOLLOW, RECORDS
from tlsdissect.transcript.tracking.shapes import shape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tlsdissect.streams.following import Next
    from tlsdissect.streams.segments import Segment
    from tlsdissect.transcript.tracking.tracker import Tracker

REPLY_NS = 250_000_000
"""How long a server may take to answer a client's flight of TLS 1.3: many answer nothing, and none need."""


class Latest(NamedTuple):
    """The latest packet of a handshake that is not decided, and the clock behind which silence decides it."""

    frame: int
    time: int
    deadline: int


class Turns:
    """Shows a tracker its packets one by one, none behind the one that decides the handshake.

    In TLS 1.3 what follows the client's flight decides; a record of an alert's length does together with what comes
    after it, for only then is it known whether the client was refused.
    """

    __slots__ = ("_clocks", "_idle", "_tracker", "decided", "latest", "unseen")

    def __init__(
        self, tracker: Tracker, clocks: Callable[[Sequence[int]], list[int]], idle: int, latest: Latest | None
    ) -> None:
        """`clocks` tells those of frames, `idle` is in nanoseconds."""
        self._tracker, self._clocks, self._idle = tracker, clocks, idle
        self.latest = latest
        self.decided: tuple[int, int] | None = None
        """The clock, and the frame that decided; NEVER: silence did."""
        self.unseen: Sequence[Segment] = ()
        """Packets that came after that."""

    def feed(self, data: memoryview, segments: Sequence[Segment]) -> int:
        """Look at packets, in order; return what matters from now on."""
        tracker, state = self._tracker, FOLLOW
        clocks = self._clocks([segment[0] for segment in segments])
        for n, (clock, segment) in enumerate(zip(clocks, segments, strict=True)):
            if self.latest is not None and clock > self.latest.deadline:
                return self._end(self.latest.deadline, NEVER, segments[n:])
            state = tracker.feed(data, segments[n : n + 1])
            if tracker.script.client is not None:
                refused = tracker.settled is not None and _may_be_refused(tracker)
                patience = REPLY_NS if refused or _awaits_reply(tracker) else self._idle
                self.latest = Latest(segment[0], segment[1], clock + patience)
                if state == CLOSED or (tracker.settled is not None and not refused) or _is_cut_off(tracker):
                    return self._end(clock, segment[0], segments[n + 1 :])
            elif state == CLOSED:
                break
        # Only packets that are all shown, and in order, decide at the same moment however many come together.
        return FOLLOW if state == RECORDS else state

    def next_record(self, sender: int) -> Next | None:
        """As a tracker's."""
        return self._tracker.next_record(sender)

    def skip_to(self, sender: int, position: int, header: int) -> None:
        """As a tracker's."""
        self._tracker.skip_to(sender, position, header)

    def _end(self, clock: int, frame: int, unseen: Sequence[Segment]) -> int:
        self.decided, self.unseen = (clock, frame), unseen
        return CLOSED


def _awaits_reply(tracker: Tracker) -> bool:
    """Whether both sides have sent what TLS 1.3 encrypts."""
    script = tracker.script
    return script.tls13 and min(script.protected) > 0


def _is_cut_off(tracker: Tracker) -> bool:
    """Whether a RST ended it, or the server's FIN where only its answer to the client's flight was missing."""
    if any(half.rst is not None for half in tracker.halves):
        return True
    script = tracker.script
    if script.client is None or not _awaits_reply(tracker):
        return False
    server = tracker.halves[1 - script.client]
    return server.fin is not None and server.assembler.position >= server.assembler.offset(server.fin.end)


def _may_be_refused(tracker: Tracker) -> bool:
    """Whether all that answered the client's flight of TLS 1.3 so far has an alert's length: what comes next tells."""
    seen = shape(tracker.script)
    if seen is None or seen.reply is None or seen.reply.size != seen.sizes.alert:
        return False
    server = tracker.halves[seen.reply.sender]
    return server.fin is None and server.assembler.position == seen.reply.end
