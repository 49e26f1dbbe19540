"""Caches with a limit in bytes, because the sender of the traffic decides the number and the size of the keys.

`functools.lru_cache` counts entries, and 4,096 lists of 30,000 cipher suites take 19 GB. These caches estimate the size
of each entry when it is added, erring on the high side, and evict the least recently used entries. A result that takes
more than 1/16 of the limit is not cached but computed each time.

The limits of all caches that `cached` makes, and of the cached hellos, add up to at most `TOTAL_BYTES`; a test checks
the sum.
"""

from __future__ import annotations

from sys import getsizeof
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast

from msgspec import Struct
from msgspec.structs import astuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sized

P = ParamSpec("P")
T = TypeVar("T")

TOTAL_BYTES: Final = 48 << 20
"""Bytes of all caches that the readings of a process share."""
ENTRY_BYTES: Final = 256
"""Estimated bytes of an entry besides its key and its value."""
_WITHOUT_PARTS: Final = frozenset((str, bytes, int, bool, type(None)))
_COLLECTIONS: Final = (tuple, list, frozenset, set)
SHARE: Final = 16
"""An entry is cached only if it takes at most the limit divided by this."""


def footprint(*values: object, enough: int) -> int:
    """Estimate the bytes of values and everything they contain; parts shared with other values count in full.

    Counting stops once the total exceeds `enough`, so that measuring a large value costs no more than a small one.
    """
    total, unmeasured = 0, list(values)
    while unmeasured and total <= enough:
        one = unmeasured.pop()
        total += getsizeof(one)
        if type(one) in _WITHOUT_PARTS or total > enough:
            continue
        if isinstance(one, _COLLECTIONS):
            unmeasured.extend(one)
        elif isinstance(one, dict):
            unmeasured.extend(one.keys())
            unmeasured.extend(one.values())
        elif isinstance(one, Struct):
            unmeasured.extend(astuple(one))
        elif isinstance(one, BaseException):
            unmeasured.extend(one.args)
    return total


class ByteCache(Generic[T]):
    """A cache of at most `limit` bytes that evicts the least recently used entries.

    Entries are in two generations. New entries go into the young one, and so does an old entry when it is looked up.
    When the young generation is about to exceed half of the limit, it becomes the old one, and the previous old one is
    evicted as a whole. This approximates the order of last use. Most hits take one lookup in a dict; the exact order
    would have to be updated on every hit. Making room for a large entry takes no search.

    Threads may share a cache. Bytes are counted under a lock; two threads may compute the same value.
    """

    __slots__ = ("_changing", "_old", "_used", "_young", "largest", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Maximum bytes of all entries."""
        self.largest = limit // SHARE
        """Bytes of the largest entry that is cached."""
        self._young: dict[Hashable, tuple[T, int]] = {}
        self._old: dict[Hashable, tuple[T, int]] = {}
        self._used = 0
        """Estimated bytes of the young generation; at most half of the limit."""
        self._changing = Lock()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    @property
    def used(self) -> int:
        """Estimated bytes of all entries."""
        return sum(size for kept in (self._young, self._old) for _, size in kept.values())

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the cached value of a key, or call `make` and cache its result."""
        known = self._young.get(key) or self.promote(key)
        if known is not None:
            return known[0]
        value = make()
        self.put(key, value, footprint(key, value, enough=self.largest))
        return value

    def promote(self, key: Hashable) -> tuple[T, int] | None:
        """Return a value of the old generation with its size, and copy it into the young one; None if there is none."""
        known = self._old.get(key)
        if known is not None:
            self._add(key, *known)
        return known

    def put(self, key: Hashable, value: T, size: int) -> None:
        """Cache a value that takes `size` bytes with its key, unless it is too large."""
        size += ENTRY_BYTES
        if size <= self.largest:
            self._add(key, value, size)

    def clear(self) -> None:
        """Remove all entries."""
        with self._changing:
            self._young, self._old, self._used = {}, {}, 0

    def _add(self, key: Hashable, value: T, size: int) -> None:
        with self._changing:
            if key in self._young:
                return
            if self._used + size > self.limit // 2:
                self._young, self._old, self._used = {}, self._young, 0
            self._young[key] = value, size
            self._used += size


SHARED: Final[list[ByteCache[Any]]] = []
"""The caches that `cached` makes, which all readings of a process share."""


def cached(
    limit: int, size: Callable[..., int] | None = None, *, longest: int | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache the results of a function, which must be called with positional arguments, in at most `limit` bytes.

    `size` estimates the bytes of its parameters: the arguments and the result. The default is `footprint`; a formula is
    faster. If the first argument has more than `longest` items, the cache is bypassed, because hashing a tuple of
    30,000 numbers takes 0.2 ms each time.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        cache: ByteCache[T] = ByteCache(limit)
        SHARED.append(cache)
        looked_up = _looked_up(function, cache, size)
        return cast("Callable[P, T]", looked_up if longest is None else _bypassing(function, looked_up, longest))

    return decorate


def _looked_up(function: Callable[..., T], cache: ByteCache[T], size: Callable[..., int] | None) -> Callable[..., T]:
    largest = cache.largest

    def look_up(*key: Hashable) -> T:
        known = cache._young.get(key) or cache.promote(key)  # noqa: SLF001  # saves a call on every hit
        if known is not None:
            return known[0]
        value = function(*key)
        cache.put(key, value, footprint(key, value, enough=largest) if size is None else size(*key, value))
        return value

    look_up.cache = cache  # type: ignore[attr-defined]
    return look_up


def _bypassing(function: Callable[..., T], looked_up: Callable[..., T], longest: int) -> Callable[..., T]:
    def choose(first: Sized, *others: Hashable) -> T:
        return looked_up(first, *others) if len(first) <= longest else function(first, *others)

    return choose
