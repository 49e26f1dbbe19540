"""Conversations that are told as soon as their handshake is decided, and not when they are over."""

from __future__ import annotations

import heapq
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from tlsdissect.streams.columns import NEVER
from tlsdissect.streams.following import CLOSED
from tlsdissect.transcript.conversations import Conversations
from tlsdissect.transcript.deadlines import Deadlines
from tlsdissect.transcript.tracking.turns import Latest, Turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.packets import Damage
    from tlsdissect.streams.columns import Totals
    from tlsdissect.streams.visits import Visit
    from tlsdissect.transcript.conversations import Due
    from tlsdissect.transcript.tracking.tracker import Tracker


class _Decision(NamedTuple):
    """When a handshake was decided, and what of the conversation came before."""

    clock: int
    frame: int
    """The frame that decided; NEVER: silence did."""
    latest: Latest
    """The conversation's last packet until then."""
    later: tuple[int, int]
    """Packets and bytes that are counted already, and came after it."""
    goes_on: bool


class DecidingConversations(Conversations):
    """Tells a handshake that succeeded, that failed, or that has been silent for a while.

    What is told is as of the packet that decided, or of the last one before the silence: the same however many packets
    are looked at together.
    """

    def __init__(self, *given: Any, idle_ns: int) -> None:
        super().__init__(*given)
        self._idle = idle_ns
        self._waiting: dict[int, Latest] = {}
        """Handshakes that are not decided."""
        self._deadlines = Deadlines()
        self._decisions: dict[int, _Decision] = {}
        """Those of handshakes that are to be told."""

    def look(self, visits: Sequence[Visit], damage: Sequence[Damage]) -> None:
        """Show packets to their conversations, or none where only time has passed."""
        super().look(visits, damage)
        columns = self._flows.columns
        for index in self._deadlines.passed(self._flows.clock):
            latest = self._waiting.pop(index)
            # One that is over before that is told when it is over.
            if latest.deadline < columns.due[index]:
                columns.state[index] = CLOSED
                self._decide(index, latest.deadline, latest)
                self._conclude([index], damage)

    def early(self) -> Iterator[Due]:
        """The connections that were decided by now, in the order in which they were."""
        return heapq.merge(self._decided(), super().early(), key=lambda due: (due[0], due[1], due[2].stream))

    def _decided(self) -> Iterator[Due]:
        decisions, self._decisions = self._decisions, {}
        stream = self._flows.columns.stream
        told = [(one.clock, one.frame, int(stream[index]), index) for index, one in decisions.items()]
        for clock, frame, _, index in sorted(told, key=itemgetter(0, 1, 2)):
            here, _ = self._crowded.pop(index, (None, False))
            if here is not None or index in self._told:
                yield clock, frame, replace(here or self._told.pop(index), open=decisions[index].goes_on)

    @property
    def undecided(self) -> int:
        """Handshakes that began with a ClientHello and go on."""
        return len(self._waiting)

    def over(self, ended: Sequence[tuple[int, int]], damage: Sequence[Damage]) -> Iterator[Due]:
        """Tell those that nothing can change any more and that were not told before, each with its clock."""
        for _, index in ended:
            self._forget(index)
        return super().over([one for one in ended if one[1] not in self._decisions], damage)

    def _forget(self, index: int) -> Latest | None:
        self._deadlines.forget(index)
        return self._waiting.pop(index, None)

    def _lead(self, visit: Visit, tracker: Tracker, state: int) -> int:
        turns = Turns(tracker, self._flows.clocks, self._idle, self._forget(visit.index))
        state = visit.lead(turns, state)
        if turns.latest is None:
            return state
        if turns.decided is not None:
            packets, octets = visit.left
            later = packets + len(turns.unseen), octets + sum(row[6] for row in turns.unseen)
            goes_on = tracker.closing_frame is None
            self._decisions[visit.index] = _Decision(*turns.decided, turns.latest, later, goes_on)
        else:
            self._waiting[visit.index] = turns.latest
            self._deadlines.set(visit.index, turns.latest.deadline)
        return state

    def _totals(self, ended: Sequence[int]) -> list[Totals]:
        return [self._as_of(index, totals) for index, totals in zip(ended, super()._totals(ended), strict=True)]

    def _as_of(self, index: int, totals: Totals) -> Totals:
        """What the columns would hold if they had been read when the handshake was decided."""
        decision = self._decisions.get(index)
        if decision is None:
            return totals
        packets, octets = decision.later
        return totals._replace(end=decision.latest.time, packets=totals.packets - packets, bytes=totals.bytes - octets)

    def _damage(self, index: int, damage: Sequence[Damage]) -> Sequence[Damage]:
        decision = self._decisions.get(index)
        return damage if decision is None else [hurt for hurt in damage if hurt.frame <= decision.latest.frame]

    def _decide(self, index: int, clock: int, latest: Latest) -> None:
        """Note that silence, or a limit, decided a handshake."""
        goes_on = self._trackers[index].closing_frame is None
        self._decisions[index] = _Decision(clock, NEVER, latest, (0, 0), goes_on)

    def _give_up(self, index: int, damage: Sequence[Damage]) -> None:
        latest = self._forget(index)
        if latest is not None:
            self._decide(index, self._flows.clock, latest)
        super()._give_up(index, damage)
