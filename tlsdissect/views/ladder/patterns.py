"""The patterns of ladders, for a page with those of many connections.

Nearly all connections of a capture have packets, records and messages of the same kinds and lengths, in the same order,
as one before them. So the arrows of a ladder are drawn once, and for each further connection of the pattern only their
frames and times are filled in.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from tlsdissect.handshake.facts.timing import since
from tlsdissect.model.renumbering import is_reordered
from tlsdissect.model.transcript import kept
from tlsdissect.views.ladder.model import Arrow, drawn, paused, with_arrows

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import KeptConnection, Packet, PacketRef, WireRecord
    from tlsdissect.views.ladder.model import Ladder

MAX_PATTERNS: Final = 512
"""Patterns of ladders that a report remembers; beyond it, all are drawn again."""
MAX_PARTS: Final = 64
"""Packets, and records, of a connection whose pattern is remembered."""


class _Place(NamedTuple):
    """An arrow of a pattern, and what its frames and its time are from."""

    arrow: Arrow
    first: int
    """The number of its first frame."""
    last: int
    timed_by: int | None
    """The number of the packet, record or first application data with its time."""


class LadderPatterns:
    """Draws ladders, those of a known pattern by filling it in."""

    def __init__(self) -> None:
        self._known: dict[Hashable, list[_Place]] = {}

    def drawn(self, connection: Connection) -> Ladder:
        """Draw the ladder of a connection that was read with `keep=True`."""
        c = kept(connection)
        frames = _frames(c)
        ranks = {frame: number for number, frame in enumerate(frames)}
        key = _key(c, ranks)
        if key is None:
            return drawn(c)
        places = self._known.get(key)
        if places is not None:
            return with_arrows(c, _filled(c, places, frames))
        ladder = drawn(c)
        if len(self._known) >= MAX_PATTERNS:
            self._known.clear()
        self._known[key] = [_place(c, arrow, ranks) for arrow in ladder.arrows]
        return ladder


def _frames(c: KeptConnection) -> list[int]:
    """Return the frames of a connection's packets, and of its first application data, in order."""
    seen = c.transcript
    if is_reordered(c):
        return []
    if c.quic is not None or c.dtls is not None or c.hidden is not None:
        return []
    if len(seen.packets) > MAX_PARTS or len(seen.records) > MAX_PARTS:
        return []
    frames = {packet.frame for packet in seen.packets}
    frames.update([one.frame for one in seen.first_data if one is not None])
    return sorted(frames)


def _key(c: KeptConnection, ranks: dict[int, int]) -> Hashable | None:
    """Return all that arrows depend on, but frames and times; None if one has a frame without a packet.

    Of times, only pauses within flights count: they split an arrow.
    """
    seen, hello = c.transcript, c.client_hello
    try:
        return (
            tuple(
                [(one.sender, one.flags, one.offset, one.length, len(one.payload), one.name) for one in seen.packets]
            ),
            tuple([(one.sender, ranks[one.frame], one.start, one.length, one.content_type) for one in seen.records]),
            tuple([(one.sender, ranks[one.frame], one.type, one.bytes) for one in c.messages]),
            tuple([paused(c.timing, one, after) for one, after in pairwise(c.messages)]),
            tuple([(one.sender, ranks[one.frame], one.level, one.description) for one in c.alerts]),
            tuple([None if one is None else ranks[one.frame] for one in seen.first_data]),
            None if hello is None else ranks[hello.frame],
            (c.outcome, c.failed_by, c.is_tls13, seen.framing),
        )
    except KeyError:
        return None


def _place(c: KeptConnection, arrow: Arrow, ranks: dict[int, int]) -> _Place:
    """Take an arrow of a connection for the pattern."""
    first, last = ranks[arrow.frames[0]], ranks[arrow.frames[-1]]
    packets = [number for number, one in enumerate(c.transcript.packets) if one.frame == arrow.frames[-1]]
    if arrow.kind in ("clear", "encrypted"):
        numbers = [number for number, one in enumerate(c.transcript.records) if one.frame == arrow.frames[-1]]
        return _Place(arrow, first, last, numbers[-1] if numbers else None)
    return _Place(arrow, first, last, ("client", "server").index(arrow.sender) if arrow.kind == "data" else packets[-1])


def _filled(c: KeptConnection, places: list[_Place], numbered: list[int]) -> list[Arrow]:
    """Return the arrows of a pattern with the times and the numbered frames of a connection."""
    seen, hello, rtt = c.transcript, c.client_hello, c.timing.path_ms
    packets, records = seen.packets, seen.records
    zero = packets[0] if packets else None
    if hello is not None:
        zero = next((one for one in packets if one.frame == hello.frame), zero)
    arrows = []
    for arrow, first, last, number in places:
        timed: Sequence[Packet | WireRecord | PacketRef | None] = packets
        if arrow.kind in ("clear", "encrypted"):
            timed = records
        elif arrow.kind == "data":
            timed = seen.first_data
        by = None if number is None else timed[number]
        frame = numbered[last]
        frames = (frame,) if len(arrow.frames) == 1 else (numbered[first], frame)
        ms = None if by is None else since(zero, frame, by.time)
        trips = ms / rtt if rtt and ms is not None else None
        arrows.append(
            Arrow(
                arrow.sender, arrow.kind, arrow.labels, frames, ms, trips, arrow.bytes, arrow.sealed, arrow.failed,
                arrow.arrives,
            )
        )  # fmt: skip
    return arrows
