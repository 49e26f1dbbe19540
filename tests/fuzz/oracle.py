"""What must hold of each input of a target: nothing is raised, and it costs little more than a benign one of its size.

Time is that of the processor. An input that takes too long is run again, since a garbage collection or a cache that is
filled may be what took long. Memory is measured only of inputs that raise the peak of the process, as tracing it takes
time.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from fuzz import seeds

if TYPE_CHECKING:
    from collections.abc import Callable

    from fuzz.targets import Target

FACTOR = 20
"""How much more than a benign input of its size an input may take."""
SEEDS = 12
"""Benign inputs that are measured."""
LEAST_SECONDS = 0.002
LEAST_BYTES = 256 << 10
"""What a benign input may take of any target: less cannot be told from what Python does besides."""
AGAIN = 3
"""Times that an input which takes too long is run again."""
STEP = 4 << 10
"""KiB by which the memory of the process grows before the memory of an input is measured."""


class Rate(NamedTuple):
    """What a benign input takes: so much whatever its size, or so much for each of its bytes."""

    least: float
    per_byte: float

    def benign(self, size: int) -> float:
        return max(self.least, self.per_byte * size)


class CostError(AssertionError):
    """An input takes more than it may."""


class Oracle:
    """Checks inputs of a target."""

    def __init__(self, target: Target) -> None:
        self._run, self._size = target.run, target.size
        self._benign = list(target.seeds(seeds.SAMPLES))[:SEEDS]
        for one in self._benign:
            self._run(one)  # fills caches
        self.seconds = self._rate(self._seconds, LEAST_SECONDS)
        self.bytes = self._rate(self._bytes, LEAST_BYTES)
        self._peak = peak()

    def check(self, data: bytes) -> None:
        """Run an input; raise CostError if it takes too much."""
        if self._exceeds(self._seconds(data), self.seconds, data):
            least = min(self._seconds(data) for _ in range(AGAIN))
            if self._exceeds(least, self.seconds, data):
                usual = self.seconds.benign(self._size(data))
                raise CostError(f"{least:.3f} s, a benign input of its size {usual:.3f} s")
        if peak() > self._peak + STEP:
            used = self._bytes(data)
            self._peak = peak()
            if self._exceeds(used, self.bytes, data):
                usual = self.bytes.benign(self._size(data))
                raise CostError(f"{used:,} bytes, a benign input of its size {usual:,.0f} bytes")

    def _exceeds(self, cost: float, rate: Rate, data: bytes) -> bool:
        """Whether an input costs more than it may; its size is not asked for if it may cost that whatever its size."""
        return cost > FACTOR * rate.least and cost > FACTOR * rate.benign(self._size(data))

    def _rate(self, measure: Callable[[bytes], float], least: float) -> Rate:
        costs = [(measure(one), self._size(one)) for one in self._benign]
        return Rate(max(least, median(cost for cost, _ in costs)), median(cost / size for cost, size in costs))

    def _seconds(self, data: bytes) -> float:
        begin = time.process_time()
        self._run(data)
        return time.process_time() - begin

    def _bytes(self, data: bytes) -> float:
        tracemalloc.start()
        try:
            self._run(data)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def peak() -> int:
    """The peak of the process's memory so far, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
