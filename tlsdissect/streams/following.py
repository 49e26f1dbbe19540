"""What of a conversation still matters, and who looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tlsdissect.streams.segments import Segment

FOLLOW, RECORDS, WATCH, CLOSED = 0, 1, 2, 3
"""What of a conversation still matters: every packet; those in which a record begins, and how it ends; those that
begin with a hello; nothing."""


class Next(NamedTuple):
    """Where a side of a conversation stands, of which only records and its end still matter."""

    position: int
    """Sequence number of the next byte."""
    header: int
    """Sequence number of the next record header."""
    telling: int
    """Length of application data that may say something; EVERY: of any length; NONE."""


NONE, EVERY = -1, -2
UNKNOWN = Next(-1, -1, EVERY)
"""Stands for a side that is out of step, or whose follower has seen all."""


class Follower(Protocol):
    """Who looks at a conversation's packets."""

    def feed(self, data: memoryview, segments: Sequence[Segment]) -> int:
        """Look at packets; return what matters from now on."""

    def next_record(self, sender: int) -> Next | None:
        """Where a side stands; None: out of step."""

    def skip_to(self, sender: int, position: int, header: int) -> None:
        """Step over bytes, seen in order; sequence numbers of the next byte, and of the next record header."""
