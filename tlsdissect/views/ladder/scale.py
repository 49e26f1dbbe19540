"""The time axis of a ladder: to scale, except that pauses which would hide all else are cut."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.views.durations import LONG_MS, decimals, fixed_ms, in_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

_ROUND_TRIPS, _AT_LEAST_MS, _WITHOUT_PATH_MS = 4, 20.0, 1000.0
"""What waits for the path, or for a computation, is no pause: it lasts this long at most."""
_TIMES = 3
"""A pause is cut if it is longer than so many times all that is shorter than it."""
_SHARE = 0.08
"""What is left of a cut pause, of the length of all the rest."""


class Pause(NamedTuple):
    """A time in which nothing happened, and which is drawn shorter than it was."""

    begin: float
    end: float

    @property
    def words(self) -> str:
        """How long it was."""
        return f"{in_ms(self.end - self.begin)} later"


class Scale:
    """Places moments, in milliseconds, on an axis from 0 to `length`, in milliseconds of what is not cut."""

    def __init__(self, moments: Iterable[float], rtt_ms: float | None) -> None:
        ordered = sorted({*moments, 0.0})
        steps = list(pairwise(ordered))
        waits = [later - earlier for earlier, later in steps]
        cut = _shortest_cut(waits, rtt_ms)
        self.pauses: list[Pause] = []
        self._lengths = waits
        if cut < inf:
            kept = _SHARE * sum(wait for wait in waits if wait < cut)
            self.pauses = [Pause(*step) for step, wait in zip(steps, waits, strict=True) if wait >= cut]
            self._lengths = [min(wait, kept) if wait >= cut else wait for wait in waits]
        self._steps = steps
        self._begins = [begin for begin, _ in steps]
        self._places = [0.0, *accumulate(self._lengths)]
        self._known = dict(zip(ordered, self._places, strict=True))
        """The places of the moments."""
        self.length = self._places[-1]
        self._decimals = decimals(self.length)

    def at(self, ms: float) -> float:
        """Return the place of a moment."""
        if not self._steps:
            return 0.0
        step = max(bisect_right(self._begins, ms) - 1, 0)
        begin, end = self._steps[step]
        return self._places[step] + (ms - begin) / (end - begin) * self._lengths[step]

    def clock(self, ms: float) -> str:
        """Write a moment in milliseconds, all with the same decimals."""
        return fixed_ms(ms, self._decimals)

    def in_ms(self, ms: float) -> str:
        """Write a moment with its unit."""
        return f"{self.clock(ms)} ms" if abs(ms) < LONG_MS else in_ms(ms)

    def thousandths(self, moments: Iterable[float]) -> list[int]:
        """Return the places of moments in thousandths of the axis."""
        known, whole = self._known, self.length or 1.0
        return [round(1000 * (known[ms] if ms in known else self.at(ms)) / whole) for ms in moments]


def _shortest_cut(waits: list[float], rtt_ms: float | None) -> float:
    """Return the length of the shortest pause that is cut; infinity if none is."""
    patience = _WITHOUT_PATH_MS if rtt_ms is None else max(_ROUND_TRIPS * rtt_ms, _AT_LEAST_MS)
    if max(waits, default=0.0) <= patience:
        return inf
    ordered = sorted(waits)
    shorter = accumulate(ordered, initial=0.0)
    found = (one for one, rest in zip(ordered, shorter, strict=False) if rest and one > max(patience, _TIMES * rest))
    return next(found, inf)
