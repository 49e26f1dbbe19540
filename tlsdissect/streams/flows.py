"""Which packets belong together and which of them still matter.

Rows of a batch are sorted by conversation; what concerns a conversation that nobody follows any more is done for
all of them at once, by column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.packets import TCP
from tlsdissect.streams.clock import Clock
from tlsdissect.streams.columns import FREE, NEVER, OVER, Columns
from tlsdissect.streams.directory import WHOLE, Directory, Run, Share
from tlsdissect.streams.following import FOLLOW, WATCH
from tlsdissect.streams.headers import Headers, look
from tlsdissect.streams.limits import Limits, nanoseconds
from tlsdissect.streams.segments import FIN, RST, SYN, Segments
from tlsdissect.streams.visits import Visit, visits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Packets

    Indexes = NDArray[np.int64]


_SPARE = 8
"""A full table is emptied by one in so many."""
DEFAULTS = Limits()


class FlowTable:
    """The TCP conversations of a capture, from their first packet until nothing about them can change.

    All are numbered and counted; those of other shares are not looked at.
    """

    def __init__(self, share: Share = WHOLE, limits: Limits = DEFAULTS, *, mute: bool = True) -> None:
        """With `mute`, conversations in which nobody has said anything are looked at one by one, and not by column."""
        self._all = mute
        self._closed_after = nanoseconds(limits.closed_after)
        self._silent_after = nanoseconds(limits.silent_after)
        self._room = max(1, limits.known)
        self.columns = Columns()
        self._clock = Clock()
        self.late = 0
        """Packets that came after their conversation, one of this share, was taken as over."""
        self.cut_short: frozenset[int] = frozenset()
        """Of the conversations that `over` told last, those that might have gone on, but there was no room."""
        self.displaced = 0
        """Conversations that might have gone on, but there was no room."""
        self._leaving = np.empty(0, np.int64)
        """Conversations to be forgotten with the next step: those of this one may still be asked for."""
        self._share = share
        self._directory = Directory(self.columns, share)
        self._frames = self._clocks = np.empty(0, np.int64)

    def steps(self, packets: Packets) -> Iterator[list[Visit]]:
        """Take a batch and yield, for each short stretch of time, the conversations to look at.

        The caller sets `columns.state` of each before it asks for the next stretch.
        """
        rows = np.flatnonzero(packets.protocol == TCP)
        clock = self._clock.at(packets.time[rows])
        # Within a stretch so short, no conversation can both begin to wait for its end and reach it.
        span = max(1, min(self._closed_after, self._silent_after))
        at = 0
        while at < len(rows):
            end = int(np.searchsorted(clock, clock[at] + span))
            self._clock.now = int(clock[end - 1])
            self._frames, self._clocks = packets.frame[rows[at:end]], clock[at:end]
            self._directory.forget(self._leaving)
            self._leaving = self._leaving[:0]
            yield self._step(packets, Run.of(packets, rows[at:end], clock[at:end]))
            at = end

    @property
    def clock(self) -> int:
        """What the capture's clock shows."""
        return self._clock.now

    def pass_time(self, time: int) -> None:
        """Let time go on where no packet tells it: nanoseconds since 1970-01-01T00:00:00Z."""
        self._clock.pass_time(time)

    def clocks(self, frames: Sequence[int]) -> list[int]:
        """The clock at each of these frames of the stretch that was looked at last."""
        found: list[int] = self._clocks[np.searchsorted(self._frames, frames)].tolist()
        return found

    def over(self, *, everything: bool = False) -> list[tuple[int, int]]:
        """Conversations that nothing can change any more, in the order in which they became so, each with its clock.

        Where more are known than there may be, the first in line are among them, as of now. With `everything`, all
        that are left: the input has ended, and their clock is NEVER.
        """
        columns = self.columns
        due = columns.due[: columns.size]
        ready = np.flatnonzero((due < self.clock) & (due > OVER))
        ready = ready[np.lexsort((columns.stream[ready], due[ready]))]
        ended: list[tuple[int, int]] = list(zip(due[ready].tolist(), ready.tolist(), strict=True))
        due[ready] = OVER
        self._leaving, self.cut_short = self._surplus(), frozenset()
        if len(self._leaving):
            early = self._leaving[due[self._leaving] > OVER]
            self.cut_short = frozenset(early.tolist())
            self.displaced += len(early)
            ended += [(self.clock, index) for index in early[np.argsort(columns.stream[early])].tolist()]
            due[early] = OVER
        if everything:
            left = np.flatnonzero(due > OVER)
            ended += [(NEVER, index) for index in left[np.argsort(columns.stream[left])].tolist()]
            due[left] = OVER
        return ended

    def _surplus(self) -> Indexes:
        """The conversations to forget: enough that it is not soon asked again.

        Those in which nothing was said keep at most half of the room, and never take it from one another's newest.
        """
        columns = self.columns
        if columns.known <= self._room:
            return np.empty(0, np.int64)
        held = np.flatnonzero(columns.stream[: columns.size] != FREE)
        held = held[np.lexsort((columns.stream[held], columns.due[held]))]
        mute = np.flatnonzero((columns.bytes[held] == 0) & (columns.due[held] > OVER))
        later = columns.due[held] > OVER
        later[mute[: max(0, len(mute) - self._room // 2)]] = False
        order = np.argsort(later, kind="stable")
        return held[order[: len(held) - self._room + self._room // _SPARE]]

    def _step(self, packets: Packets, run: Run) -> list[Visit]:
        starts, owners, replaced = self._directory.stretches(packets, run)
        owner = np.repeat(owners, np.diff(starts, append=len(run.rows)))
        if (self.columns.base[owners] < 0).any():
            self._learn_bases(packets, run, owner)
        in_time = run.clock <= self.columns.due[owner]
        # Where nothing has closed a conversation yet, its first row puts off the end for the others.
        first_in_time = in_time[starts] & (self._closed(owners) == NEVER)
        in_time |= np.repeat(first_in_time, np.diff(starts, append=len(run.rows)))
        if not in_time.all():
            in_time |= self._goes_on(owner)
            late = self.columns.stream[owner[~in_time]]
            self.late += int(np.count_nonzero(late % self._share.of == self._share.number))
        matters = in_time & ~packets.quoted[run.rows]
        self._count(packets, run, owner, matters)
        for index, clock in replaced:
            self.columns.due[index] = min(int(self.columns.due[index]), clock)
        sender = run.side ^ self.columns.forward[owner]
        if not self._all:
            matters &= ~self._mute(packets, run, owner, sender, matters)
        table = Segments(packets, run.rows[matters], sender[matters], run.order[matters])
        kept = np.add.reduceat(matters, starts, dtype=np.int64)
        return visits(table, owners[kept > 0], kept[kept > 0], self.columns)

    def _mute(
        self, packets: Packets, run: Run, owner: Indexes, sender: Indexes, matters: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Look at the headers of conversations in which nobody has said anything, and tell which rows these are."""
        columns = self.columns
        mute: NDArray[np.bool_] = matters & (columns.bytes[owner] == 0) & (columns.state[owner] == FOLLOW)
        if not mute.any():
            return mute
        rows = run.rows[mute]
        found = Headers(
            owner[mute],
            sender[mute],
            packets.frame[rows],
            packets.flags[rows],
            packets.time[rows],
            packets.sequence[rows].astype(np.int64),
            packets.acknowledgement[rows].astype(np.int64),
        )
        many = look(columns.way, found)
        mute[np.isin(owner, many)] = False
        return mute

    def _learn_bases(self, packets: Packets, run: Run, owner: Indexes) -> None:
        """Note the initial sequence number of a side that had not spoken before."""
        columns = self.columns
        unknown = np.flatnonzero(columns.base[owner, run.side] < 0)
        _, first = np.unique(owner[unknown] * 2 + run.side[unknown], return_index=True)
        at = unknown[first]
        sequence = packets.sequence[run.rows[at]].astype(np.int64)
        syn = (packets.flags[run.rows[at]] & SYN) != 0
        columns.base[owner[at], run.side[at]] = np.where(syn, sequence, (sequence - 1) & 0xFFFFFFFF)

    def _count(self, packets: Packets, run: Run, owner: Indexes, matters: NDArray[np.bool_]) -> None:
        """Add rows to the totals of their conversations, and see which of these they close."""
        columns, owner, rows, clock = self.columns, owner[matters], run.rows[matters], run.clock[matters]
        if not len(owner):
            return
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        who, last = owner[starts], np.append(starts[1:], len(owner)) - 1
        columns.packets[who] += last - starts + 1
        columns.bytes[who] += np.add.reduceat(packets.length[rows], starts)
        columns.end[who] = packets.time[rows[last]]
        flags = packets.flags[rows]
        fin, rst = np.flatnonzero(flags & FIN), np.flatnonzero(flags & RST)
        np.minimum.at(columns.closing, (owner[fin], run.side[matters][fin]), clock[fin])
        np.minimum.at(columns.closing[:, 2], owner[rst], clock[rst])
        closed = self._closed(who)
        ended = closed < NEVER
        columns.due[who] = np.where(ended, closed + self._closed_after * ended, clock[last] + self._silent_after)

    def _closed(self, indexes: Indexes) -> Indexes:
        """The clock at which both sides had ended each conversation, or one had reset it; NEVER: it is open."""
        lower, higher, reset = self.columns.closing[indexes].T
        closed: Indexes = np.minimum(reset, np.maximum(lower, higher))
        return closed

    def _goes_on(self, indexes: Indexes) -> NDArray[np.bool_]:
        """Tell which conversations no silence ends: those that are open and of which there is nothing to tell yet."""
        columns = self.columns
        nothing = (columns.bytes[indexes] == 0) | (columns.state[indexes] == WATCH)
        goes_on: NDArray[np.bool_] = nothing & (self._closed(indexes) == NEVER)
        return goes_on
