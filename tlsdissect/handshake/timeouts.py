"""Until when each of many conversations is waited for."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from tlsdissect.flows.flow import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator


class Timeouts:
    """Clocks by conversation, of which those that have passed are found without looking at the others.

    A conversation whose deadline is put off stands where it stood until that comes up: once, however often it is.
    """

    __slots__ = ("_due", "_line", "_queued")

    def __init__(self) -> None:
        self._due: dict[int, int] = {}
        self._queued: dict[int, int] = {}
        self._line: list[tuple[int, int]] = []

    def set(self, index: int, clock: int) -> None:
        """Wait for a conversation until the clock has passed this."""
        self._due[index] = clock
        if clock < self._queued.get(index, NEVER):
            self._queued[index] = clock
            heappush(self._line, (clock, index))

    def forget(self, index: int) -> None:
        """Wait for a conversation no more."""
        self._due.pop(index, None)

    def passed(self, clock: int) -> Iterator[int]:
        """The conversations whose deadline is before this; they are forgotten."""
        while self._line and self._line[0][0] < clock:
            queued, index = heappop(self._line)
            if self._queued.get(index) != queued:
                continue
            del self._queued[index]
            due = self._due.get(index, NEVER)
            if due < clock:
                del self._due[index]
                yield index
            elif due < NEVER:
                self.set(index, due)
