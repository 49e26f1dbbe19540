"""Headers of conversations in which nobody has said anything yet, looked at by column: most of a flood is these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tlsdissect.streams.segments import ACK, FIN, RST, SYN
from tlsdissect.streams.threeway import UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Indexes = NDArray[np.int64]

MOST = 16
"""Rows of one conversation that are looked at in turn, each turn all conversations at once."""
_SYN_AT, _SYNACK_AT, _ACK_AT, _OPENER, _FIRST, _ACKED, _FLAGS, _FINS, _RESETS = 0, 1, 2, 3, 4, 6, 8, 9, 13
_SPOKE, _PASSED = 1, 8


class Headers(NamedTuple):
    """Rows of packets without payload, those of a conversation together and in order."""

    owner: Indexes
    sender: Indexes
    frame: Indexes
    flags: NDArray[np.integer[Any]]
    time: Indexes
    sequence: Indexes
    acknowledgement: Indexes

    def take(self, at: NDArray[np.int64] | NDArray[np.bool_]) -> Headers:
        """Some of the rows."""
        return Headers(*(column[at] for column in self))  # type: ignore[arg-type]


def look(way: NDArray[np.int64], rows: Headers) -> Indexes:
    """Note what headers tell in the column of `ThreeWay`; return the conversations to look at one by one.

    Those are the ones that have too many rows, and those in which both sides ended: they may be closed.
    """
    starts = np.flatnonzero(np.diff(rows.owner, prepend=-1))
    # Once TCP's own handshake is known, it takes no turns to note the rest.
    turns = (way[rows.owner, _ACK_AT] == UNKNOWN) | (rows.flags & SYN != 0)
    alone = np.add.reduceat(turns, starts, dtype=np.int64) > MOST
    alone |= np.logical_and(*(_ended(way, rows, starts, side) for side in (0, 1)))
    many = rows.owner[starts[alone]]
    here = ~np.repeat(alone, np.diff(starts, append=len(rows.owner)))
    rows, turns = rows.take(here), turns[here]
    np.bitwise_or.at(way[:, _FLAGS], rows.owner, _SPOKE << rows.sender)
    in_turn = rows.take(turns)
    starts = np.flatnonzero(np.diff(in_turn.owner, prepend=-1))
    counts = np.diff(starts, append=len(in_turn.owner))
    for turn in range(int(counts.max(initial=0))):
        _see(way, in_turn.take(starts[counts > turn] + turn))
    # Of a conversation's rows, numpy lets the last one count.
    ack = rows.take(rows.flags & ACK != 0)
    way[ack.owner, _ACKED + 1 - ack.sender] = ack.acknowledgement
    _note_first(way, rows.take(rows.flags & FIN != 0), _FINS)
    _note_first(way, rows.take(rows.flags & RST != 0), _RESETS)
    return many


def note_speakers(way: NDArray[np.int64], owners: Indexes, speakers: Indexes) -> None:
    """Note which sides of conversations were seen: bit 0 is who sent the first packet, bit 1 the other side."""
    way[owners, _FLAGS] |= speakers * _SPOKE


def await_acknowledgement(way: NDArray[np.int64], owners: Indexes, speakers: Indexes) -> NDArray[np.bool_]:
    """Tell the conversations whose SYN-ACK is not acknowledged yet as far as is known, and whose opener speaks."""
    known = way[owners]
    awaits = (known[:, _SYNACK_AT] != UNKNOWN) & (known[:, _ACK_AT] == UNKNOWN) & (known[:, _FLAGS] & _PASSED == 0)
    speaks: NDArray[np.bool_] = awaits & (speakers >> np.where(awaits, known[:, _OPENER], 0) & 1 != 0)
    return speaks


def _ended(way: NDArray[np.int64], rows: Headers, starts: Indexes, side: int) -> NDArray[np.bool_]:
    """In which conversations this side has sent a FIN."""
    fin = (rows.flags & FIN != 0) & (rows.sender == side)
    known = way[rows.owner[starts], _FINS + side] != UNKNOWN
    ended: NDArray[np.bool_] = np.logical_or.reduceat(fin, starts) | known
    return ended


def _note_first(way: NDArray[np.int64], rows: Headers, place: int) -> None:
    """Note each side's first FIN, or RST, where none is known."""
    rows = rows.take(way[rows.owner, place + rows.sender] == UNKNOWN)
    _, first = np.unique(rows.owner * 2 + rows.sender, return_index=True)
    rows = rows.take(first)
    way[rows.owner, place + rows.sender] = rows.frame
    way[rows.owner, place + 2 + rows.sender] = rows.sequence + (rows.flags & SYN != 0) & 0xFFFFFFFF


def _see(way: NDArray[np.int64], rows: Headers) -> None:
    """Look at one row each of some conversations, as `ThreeWay.see` does."""
    rows = rows.take((way[rows.owner, _ACK_AT] == UNKNOWN) | (rows.flags & SYN != 0))
    known = way[rows.owner]
    sender, at = rows.sender, np.arange(len(rows.owner))
    syn, ack = rows.flags & SYN != 0, rows.flags & ACK != 0
    first = syn & ((known[at, _FIRST + sender] == UNKNOWN) | (known[at, _ACKED + sender] == UNKNOWN))
    known[at[first], _FIRST + sender[first]] = rows.sequence[first] + 1 & 0xFFFFFFFF
    opens = syn & ~ack & (known[:, _SYNACK_AT] == UNKNOWN)
    known[opens, _SYN_AT], known[opens, _OPENER] = rows.time[opens], sender[opens]
    answers = syn & ack & (known[:, _ACK_AT] == UNKNOWN) & (sender != known[:, _OPENER])
    known[answers, _SYNACK_AT], known[answers, _OPENER] = rows.time[answers], 1 - sender[answers]
    known[at[ack], _ACKED + 1 - sender[ack]] = rows.acknowledgement[ack]
    plain = ack & (rows.flags & (SYN | RST) == 0) & (sender == known[:, _OPENER])
    done = plain & (known[:, _ACK_AT] == UNKNOWN) & (known[:, _SYNACK_AT] != UNKNOWN)
    in_turn = (rows.acknowledgement == known[at, _FIRST + 1 - sender]) & (known[:, _FLAGS] & _PASSED == 0)
    known[done & in_turn, _ACK_AT] = rows.time[done & in_turn]
    known[done & ~in_turn, _FLAGS] |= _PASSED
    way[rows.owner] = known
