"""The clock of a capture, by which conversations become over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture.packets import UNTIMED
from tlsdissect.streams.columns import OVER

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNDATED = 0
"""Where the clock stands as long as no packet has told a time."""


class Clock:
    """The latest capture time seen, in nanoseconds: it never goes back, though packets may.

    It stands still at a packet without a time. Where a capture begins with such packets, it begins at 0 and counts from
    the first time that is told: it is not known how much earlier those packets were, and they are not to seem old.
    """

    def __init__(self) -> None:
        self.now = OVER
        self._from: int | None = 0
        """The time that it counts from; None: none was told yet."""

    def at(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """What it shows at each of the next packets; it goes there when `now` is set."""
        if self.now == OVER and len(times) and times[0] == UNTIMED:
            self.now, self._from = _UNDATED, None
        if self._from is None:
            first = times[times != UNTIMED][:1]
            self._from = int(first[0]) if len(first) else None
        if self._from:
            times = np.where(times == UNTIMED, UNTIMED, times - self._from)
        reached: NDArray[np.int64] = np.maximum.accumulate(np.maximum(times, self.now))
        return reached

    def pass_time(self, time: int) -> None:
        """Let time go on where no packet tells it: nanoseconds since 1970-01-01T00:00:00Z."""
        if self._from is not None:
            self.now = max(self.now, time - self._from)
