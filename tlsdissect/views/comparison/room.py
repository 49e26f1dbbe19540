"""How much a comparison holds of any number of connections: past a limit it samples, or says what it left out."""

from __future__ import annotations

from array import array
from random import Random
from sys import getsizeof
from typing import TYPE_CHECKING

from tlsdissect.views.comparison.model import Spread

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_VALUES = 32_768
"""Values of one measure of one version that are kept; of more, as many are chosen at random."""
MAX_HELD = 4_000_000
"""Values that all measures together keep, 8 bytes each; then each goes on with those that it has."""
FEWEST = 64
"""Values that a measure may keep all the same."""
MAX_NAMES = 100_000
"""Different certificates, names or addresses that are told apart."""
MAX_NAME_BYTES = 32 << 20
"""Bytes that these take, by estimate."""
MAX_COUNTED = 200_000
"""Different suites, groups and the like of all versions and groups of a comparison; more are `others`."""
MAX_PAIRS = 50_000
"""Pairs of client and server that are told apart."""
MAX_PAIRED = 500_000
"""Connections of pairs that are kept, 32 bytes each."""
_ENTRY_BYTES = 96
"""Bytes that a name takes in a set."""
_SEED = 20180810


class Room:
    """What is left of the limits, for all who share them."""

    def __init__(self) -> None:
        self.values = MAX_HELD
        self.names = MAX_NAMES
        self.name_bytes = MAX_NAME_BYTES
        self.counted = MAX_COUNTED
        self.pairs = MAX_PAIRS
        self.paired = MAX_PAIRED
        self.random = Random(_SEED)  # noqa: S311  # which values are kept is no secret


class Sample:
    """Values of one measure: all of them, or, where there is no room for more, some chosen with equal chance.

    The choice is a reservoir's (J. S. Vitter, Random Sampling with a Reservoir, 1985, algorithm R): of 32,768 values,
    the 99th percentile stands where 98.9 to 99.1 % of all lie below.
    """

    __slots__ = ("_kept", "_room", "seen")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: array[float] = array("d")
        self.seen = 0

    def add(self, value: float) -> None:
        """Take a value."""
        kept, room = self._kept, self._room
        self.seen += 1
        if self.seen == len(kept) + 1 and len(kept) < (MAX_VALUES if room.values > 0 else FEWEST):
            kept.append(value)
            room.values -= 1
            return
        at = int(room.random.random() * self.seen)
        if at < len(kept):
            kept[at] = value

    def spread(self) -> Spread | None:
        """Sum up."""
        return Spread.of(self._kept, self.seen)


class Names:
    """Different names, as many as there is room for."""

    __slots__ = ("_kept", "_room", "cut")

    def __init__(self, room: Room) -> None:
        self._room = room
        self._kept: set[str] = set()
        self.cut = False
        """There were more than were told apart."""

    def add(self, name: str) -> bool:
        """Take a name; tell whether it is new."""
        if name in self._kept:
            return False
        size = getsizeof(name) + _ENTRY_BYTES
        if self._room.names <= 0 or self._room.name_bytes < size:
            self.cut = True
            return False
        self._room.names -= 1
        self._room.name_bytes -= size
        self._kept.add(name)
        return True

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)
