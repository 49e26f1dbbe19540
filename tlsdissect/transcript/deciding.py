"""Conversations that are told as soon as their handshake is decided, and not when they are over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from tlsdissect.streams.columns import CLOSED
from tlsdissect.transcript.conversations import Conversations
from tlsdissect.transcript.facts import with_totals
from tlsdissect.transcript.shapes import shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.capture.packets import Damage
    from tlsdissect.streams.visits import Visit
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.tracker import Tracker

_REPLY_NS = 250_000_000
"""How long a server may take to answer a client's flight of TLS 1.3: many answer nothing, and none need."""


class DecidingConversations(Conversations):
    """Tells a handshake that succeeded, that failed, or that has been silent for a while.

    In TLS 1.3 what follows the client's flight decides; a record of an alert's length does together with what comes
    after it, for only then is it known whether the client was refused.
    """

    def __init__(self, *given: Any, idle_ns: int, **named: Any) -> None:
        super().__init__(*given, **named)
        self._idle = idle_ns
        self._latest: dict[int, int] = {}
        """Clock of the latest packet of handshakes that are not decided, the longest silent first."""
        self._awaiting: dict[int, int] = {}
        """The same, of those that lack no more than what a server need not say."""
        self._ready: list[tuple[int, bool]] = []
        """Conversations to be told, and whether they go on."""

    def look(self, visits: Sequence[Visit], damage: Sequence[Damage]) -> None:
        """Show packets to their conversations, or none where only time has passed."""
        super().look(visits, damage)
        for visit in visits:
            self._see(visit.index, damage)
        self._wait(damage)

    def early(self) -> Iterator[tuple[int, Connection]]:
        """The connections that were decided by now."""
        ready, self._ready = [one for one in self._ready if one[0] in self._told], []
        totals = self._flows.columns.totals([index for index, _ in ready])
        for (index, goes_on), last in zip(ready, totals, strict=True):
            yield self._flows.clock, replace(with_totals(self._told.pop(index), last), open=goes_on)

    @property
    def undecided(self) -> int:
        """Handshakes that began with a ClientHello and go on."""
        return len(self._latest) + len(self._awaiting)

    def over(self, ended: Sequence[tuple[int, int]], damage: Sequence[Damage]) -> Iterator[tuple[int, Connection]]:
        """Tell those that nothing can change any more and that were not told before, each with its clock."""
        for _, index in ended:
            self._forget(index)
        return super().over(ended, damage)

    def _forget(self, index: int) -> None:
        self._latest.pop(index, None)
        self._awaiting.pop(index, None)

    def _see(self, index: int, damage: Sequence[Damage]) -> None:
        self._forget(index)
        tracker = self._trackers.get(index)
        if tracker is None:
            if index in self._told:
                self._ready.append((index, False))
        elif tracker.script.client is not None:
            refused = tracker.settled is not None and _may_be_refused(tracker)
            (self._awaiting if refused or _awaits_reply(tracker) else self._latest)[index] = self._flows.clock
            if (tracker.settled is not None and not refused) or any(half.rst for half in tracker.halves):
                self._decide(index, damage)

    def _wait(self, damage: Sequence[Damage]) -> None:
        """Decide the handshakes in which nothing was said for too long."""
        for waiting, time in ((self._latest, self._idle), (self._awaiting, _REPLY_NS)):
            while waiting:
                index, latest = next(iter(waiting.items()))
                if self._flows.clock - latest <= time:
                    break
                self._decide(index, damage)

    def _decide(self, index: int, damage: Sequence[Damage]) -> None:
        self._forget(index)
        self._flows.columns.state[index] = CLOSED
        self._conclude([index], damage)
        if index in self._told:
            self._ready.append((index, True))

    def _give_up(self, index: int, damage: Sequence[Damage]) -> None:
        super()._give_up(index, damage)
        self._forget(index)
        if index in self._told:
            self._ready.append((index, True))


def _awaits_reply(tracker: Tracker) -> bool:
    """Whether both sides have sent what TLS 1.3 encrypts, the client last."""
    script = tracker.script
    return script.tls13 and min(script.protected) > 0


def _may_be_refused(tracker: Tracker) -> bool:
    """Whether all that answered the client's flight of TLS 1.3 so far has an alert's length: what comes next tells."""
    seen = shape(tracker.script)
    if seen is None or seen.reply is None or seen.reply.size != seen.sizes.alert:
        return False
    server = tracker.halves[seen.reply.sender]
    return server.fin is None and server.assembler.position == seen.reply.end
