"""The memory budget of a comparison: beyond a limit it samples values, or reports what it left out.

A comparison runs over any number of connections in bounded memory, and exact percentiles would need every value. A
uniform random sample needs no more than a counter besides its values, and its error is easy to state.
"""

from __future__ import annotations

from array import array
from random import Random
from sys import getsizeof
from typing import TYPE_CHECKING

from tlsdissect.views.comparison.model import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_VALUES = 32_768
"""Values of one measure of one version that are kept; beyond the limit, a random sample of this size."""
MAX_HELD = 4_000_000
"""Values that all measures together keep, 8 bytes each; beyond it, no measure's sample grows any more."""
FEWEST = 64
"""Values that a measure may keep even then."""
MAX_NAMES = 100_000
"""Distinct certificates, names and addresses that are counted."""
MAX_NAME_BYTES = 32 << 20
"""Estimated memory of these, in bytes."""
MAX_COUNTED = 200_000
"""Distinct suites, groups and the like over all versions and groups of a comparison; the rest count as `others`."""
MAX_PAIRS = 50_000
"""Pairs of client and server that are compared."""
MAX_PAIRED = 500_000
"""Connections in these pairs, 32 bytes each."""
_ENTRY_BYTES = 96
"""Bytes that an entry of a set takes, besides the name."""
_SEED = 20180810


class Budget:
    """What is left of each limit; shared by all counters of a comparison."""

    def __init__(self) -> None:
        self.values = MAX_HELD
        self.names = MAX_NAMES
        self.name_bytes = MAX_NAME_BYTES
        self.counted = MAX_COUNTED
        self.pairs = MAX_PAIRS
        self.paired = MAX_PAIRED
        self.random = Random(_SEED)  # noqa: S311  # which values are kept is no secret


class Sample:
    """Values of one measure: all of them, or beyond the limit a uniform random sample.

    This is reservoir sampling (J. S. Vitter, Random Sampling with a Reservoir, 1985, algorithm R). In a sample of
    32,768 values, the 99th percentile is a value below which 98.9 to 99.1 % of all values lie.
    """

    __slots__ = ("_budget", "_kept", "seen")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._kept: array[float] = array("d")
        self.seen = 0

    def add(self, value: float) -> None:
        """Add a value."""
        kept, budget = self._kept, self._budget
        self.seen += 1
        if self.seen == len(kept) + 1 and len(kept) < (MAX_VALUES if budget.values > 0 else FEWEST):
            kept.append(value)
            budget.values -= 1
            return
        at = int(budget.random.random() * self.seen)
        if at < len(kept):
            kept[at] = value

    def spread(self) -> Spread | None:
        """Return the percentiles; None without values."""
        return Spread.of(self._kept, self.seen)


class Names:
    """A set of names that stops growing when the budget is used up."""

    __slots__ = ("_budget", "_kept", "cut")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._kept: set[str] = set()
        self.cut = False
        """Whether names were left out."""

    def add(self, name: str) -> bool:
        """Add a name; return whether it is new."""
        if name in self._kept:
            return False
        size = getsizeof(name) + _ENTRY_BYTES
        if self._budget.names <= 0 or self._budget.name_bytes < size:
            self.cut = True
            return False
        self._budget.names -= 1
        self._budget.name_bytes -= size
        self._kept.add(name)
        return True

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)
