"""The conversations of a capture: trackers while something may be learnt, facts while they wait to be told."""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.streams.columns import NEVER
from tlsdissect.streams.following import CLOSED, WATCH
from tlsdissect.streams.threeway import ThreeWay
from tlsdissect.transcript.connection import Problem
from tlsdissect.transcript.facts.whole import connection, endpoint, with_totals
from tlsdissect.transcript.keeping import KeepingTracker
from tlsdissect.transcript.sessions import Session, established, identities
from tlsdissect.transcript.tracking.lookups import Heard, Lookup, LookupTracker
from tlsdissect.transcript.tracking.tracker import Tracker
from tlsdissect.transcript.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.capture.packets import Damage
    from tlsdissect.streams.columns import Totals
    from tlsdissect.streams.flows import FlowTable
    from tlsdissect.streams.limits import Budget
    from tlsdissect.streams.visits import Visit
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.options import Options

    Due = tuple[int, int, Connection]
    """A connection, the clock at which it is told, and the frame that decided that; NEVER: none did."""

_NO_ROOM = Problem("limit", "there was no room for it to wait for its end: it is told as it was by then")
_TOGETHER = 64
"""Conversations concluded together."""


class Conversations:
    """What is known of each conversation that may be TLS.

    Of one without payload, or that is no TLS so far, there remains a row of columns.
    """

    def __init__(
        self,
        source: str,
        flows: FlowTable,
        budget: Budget,
        options: Options,
        evidence: Evidence | None = None,
    ) -> None:
        """With `evidence`, lookups about certificates are listened to, and what verdicts rest on is kept there."""
        self._source = source
        self._flows = flows
        self._budget = budget
        self._raw = options.raw_fingerprints
        listens = evidence is not None
        keeping = partial(KeepingTracker, listens=listens)
        self._tracker: Callable[..., Tracker] = keeping if options.keep else LookupTracker if listens else Tracker
        self._evidence = evidence
        self._linked = options.linked
        self._keeps = options.keep
        self._trackers: dict[int, Tracker] = {}
        self._told = Waiting()
        self._crowded: dict[int, tuple[Connection, bool]] = {}
        """Connections that cannot wait, and whether they go on: they are told at the end of this step."""
        self.untimely = 0
        """Connections that were told before they were over, because no more could wait."""
        self._asides: list[Session | Heard] = []
        self.given_up = 0
        """Conversations that were given up because too many went on, or all together held too much."""

    def look(self, visits: Sequence[Visit], damage: Sequence[Damage]) -> None:
        """Show packets to their conversations; `damage` is what of the capture could not be read so far."""
        closed = [visit.index for visit in visits if self._look(visit) == CLOSED]
        self._conclude(closed, damage)
        budget, trackers = self._budget, self._trackers
        while trackers and (len(trackers) > budget.limits.followed or budget.spent):
            self._give_up(next(iter(self._trackers)), damage)

    def early(self) -> Iterator[Due]:
        """The connections to be told before they are over: those that cannot wait, as of now."""
        crowded, self._crowded = self._crowded, {}
        columns, clock = self._flows.columns, self._flows.clock
        for index in sorted(crowded, key=lambda index: int(columns.stream[index])):
            self.untimely += 1
            told, goes_on = crowded[index]
            yield clock, NEVER, replace(told, problems=(*told.problems, _NO_ROOM), open=goes_on)

    @property
    def trouble(self) -> str | None:
        """Why the temporary file in which connections wait could not be written; None: it could."""
        return self._told.trouble

    @property
    def undecided(self) -> int:
        """Handshakes that go on."""
        return len(self._trackers)

    def asides(self) -> list[tuple[int, int, Session | Heard]]:
        """What the packets looked at last show of sessions, and of lookups, in order, each with its clock and frame."""
        shown, self._asides = sorted(self._asides, key=attrgetter("frame", "stream")), []
        frames = [one.frame for one in shown]
        return list(zip(self._flows.clocks(frames), frames, shown, strict=True)) if shown else []

    def over(self, ended: Sequence[tuple[int, int]], damage: Sequence[Damage]) -> Iterator[Due]:
        """The TLS connections among conversations that nothing can change any more, each with its clock."""
        for at in range(0, len(ended), _TOGETHER):
            some = ended[at : at + _TOGETHER]
            followed = [index for _, index in some if index in self._trackers]
            for index in self._flows.cut_short.intersection(followed):
                self._trackers[index].limited = True
            self._conclude(followed, damage)
            # What is over need not wait.
            here = {index: self._crowded.pop(index)[0] for _, index in some if index in self._crowded}
            told = [(due, index) for due, index in some if index in self._told or index in here]
            totals = self._flows.columns.totals([index for _, index in told])
            for (due, index), last in zip(told, totals, strict=True):
                yield due, NEVER, with_totals(here.pop(index) if index in here else self._told.pop(index), last)

    def close(self) -> None:
        """Let go of what the conversations hold outside of memory."""
        self._told.close()

    def _look(self, visit: Visit) -> int:
        """Show a conversation's packets to its tracker, and keep that if it learnt something; return the state."""
        columns, index = self._flows.columns, visit.index
        state = int(columns.state[index])
        tracker = self._trackers.get(index)
        if tracker is None:
            row = columns.way[index].tolist()
            headers = None if self._keeps else visit.headers
            if headers is not None:
                way = ThreeWay.unpacked(row)
                way.see_headers(headers)
                # Where both sides have ended, a tracker sees whether the conversation is closed.
                if None in way.fins:
                    columns.way[index] = way.packed()
                    return state
            tracker = self._tracker(self._budget, ThreeWay.unpacked(row), state)
        heard, settled = tracker.heard, tracker.settled
        state = columns.state[index] = self._lead(visit, tracker, state)
        if heard is None and tracker.heard is not None and self._linked:
            self._show(index, tracker.heard, identities(tracker.script))
        if settled is None and tracker.settled is not None and self._linked:
            self._show(index, tracker.settled, established(tracker.script, tracker.settled))
        if isinstance(tracker, LookupTracker) and tracker.found:
            self._note(index, tracker)
        if tracker.silent:
            tracker.release()
            columns.way[index] = tracker.at_rest()
            self._trackers.pop(index, None)
        else:
            self._trackers[index] = tracker
        return state

    def _lead(self, visit: Visit, tracker: Tracker, state: int) -> int:
        """Show a conversation's packets to its tracker; return the state."""
        return visit.lead(tracker, state)

    def _show(self, index: int, frame: int, keys: tuple[bytes, ...]) -> None:
        """Note what a frame showed of sessions."""
        if keys:
            self._asides.append(Session(self._source, int(self._flows.columns.stream[index]), frame, keys))

    def _note(self, index: int, tracker: LookupTracker) -> None:
        """Note what a conversation asked about certificates."""
        (totals,) = self._flows.columns.totals([index])
        ends = (endpoint(totals.family, totals.sender), endpoint(totals.family, totals.other))
        for exchange, body in tracker.found:
            self._asides.append(Heard(Lookup(self._source, totals.stream, *ends, exchange), body))
        tracker.found.clear()

    def _conclude(self, ended: Sequence[int], damage: Sequence[Damage]) -> None:
        """Put what is told of conversations in the place of their trackers; what is no TLS is forgotten."""
        for index, totals in zip(ended, self._totals(ended), strict=True):
            tracker = self._trackers.pop(index, None)
            if tracker is None:
                continue
            self._flows.columns.catch_up(index, tracker)
            touched = _touched(tracker, totals.first_frame, self._damage(index, damage)) if damage else ()
            told = connection(self._source, totals, tracker, touched, raw=self._raw, evidence=self._evidence)
            tracker.release()
            if told is None:
                self._flows.columns.way[index] = tracker.at_rest()
            else:
                told = tracker.kept(told) if isinstance(tracker, KeepingTracker) else told
                if not self._told.put(index, told, tracker.script.held_bytes):
                    self._crowded[index] = told, tracker.closing_frame is None

    def _totals(self, ended: Sequence[int]) -> list[Totals]:
        """What is counted of conversations when they are concluded."""
        return self._flows.columns.totals(ended)

    def _damage(self, index: int, damage: Sequence[Damage]) -> Sequence[Damage]:  # noqa: ARG002 (another may need it)
        """What of the capture may concern a conversation."""
        return damage

    def _give_up(self, index: int, damage: Sequence[Damage]) -> None:
        """Follow a conversation no further: what is known of it is told, or a hello of it may still be found."""
        self.given_up += 1
        tracker = self._trackers[index]
        tracker.limited = True
        found = tracker.script.client is not None
        self._flows.columns.state[index] = CLOSED if found else WATCH
        self._conclude([index], damage)


def _touched(tracker: Tracker, first_frame: int, damage: Sequence[Damage]) -> list[Damage]:
    """The damage that lies within a conversation."""
    closed = tracker.closing_frame
    return [hurt for hurt in damage if hurt.frame > first_frame and (closed is None or closed >= hurt.frame)]
