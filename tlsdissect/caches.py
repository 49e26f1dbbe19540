"""Caches that are bounded in bytes: who sends captures decides how large keys and values are, and how many there are.

`functools.lru_cache` counts entries, and 4,096 lists of 30,000 cipher suites take 19 GB. Here the bytes of each entry
are estimated when it is made, rather too many than too few, and the entries not used for longest are evicted first.
What takes more than a share of the limit is computed each time and not kept.

All caches of a process together hold at most `TOTAL_BYTES`, which is the sum of their limits: a test adds them up.
"""

from __future__ import annotations

from sys import getsizeof
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sized

P = ParamSpec("P")
T = TypeVar("T")

TOTAL_BYTES: Final = 32 << 20
"""Bytes that the caches which all readings of a process share hold at most, all together."""
ENTRY_BYTES: Final = 256
"""Bytes that an entry takes besides its key and its value, by estimate."""
SHARE: Final = 16
"""Entries of the largest size that a cache keeps at least: what takes more than this part of its limit is not kept."""


def footprint(*values: object, enough: int) -> int:
    """Bytes that values take with all that they hold; what they share with others counts in full.

    Counting stops where there is `enough`, so that a large value costs no more than a small one.
    """
    total, waiting = 0, list(values)
    while waiting and total <= enough:
        one = waiting.pop()
        total += getsizeof(one)
        if isinstance(one, str | bytes | int) or total > enough:
            continue
        if isinstance(one, Struct):
            waiting.extend([getattr(one, name) for name in one.__struct_fields__])
        elif isinstance(one, tuple | list | frozenset | set):
            waiting.extend(one)
        elif isinstance(one, dict):
            waiting.extend(one.keys())
            waiting.extend(one.values())
        elif isinstance(one, BaseException):
            waiting.extend(one.args)
    return total


class ByteCache(Generic[T]):
    """Values by key, at most so many bytes of them; those not asked for longest are let go first.

    Entries are in two generations. New ones, and old ones that are asked for, go into the younger; when that holds half
    of the limit it becomes the older one, whose entries are let go together. So a hit is one lookup in a dict, where an
    order by use would be changed at each, and letting go of many small entries for a large one is no search.

    Threads may share one: a value may then be made twice, and bytes are counted under a lock.
    """

    __slots__ = ("_changing", "_old", "_used", "_young", "largest", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        """Bytes that are kept at most."""
        self.largest = limit // SHARE
        """Bytes of the largest entry that is kept."""
        self._young: dict[Hashable, tuple[T, int]] = {}
        self._old: dict[Hashable, tuple[T, int]] = {}
        self._used = 0
        """Bytes of the younger generation, by estimate: never more than half of the limit."""
        self._changing = Lock()

    def __len__(self) -> int:
        return len(self._young.keys() | self._old.keys())

    @property
    def used(self) -> int:
        """Bytes that are kept, by estimate."""
        return sum(size for kept in (self._young, self._old) for _, size in kept.values())

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Give what is kept of a key, or make it."""
        known = self._young.get(key) or self.renew(key)
        if known is not None:
            return known[0]
        value = make()
        self.keep(key, value, footprint(key, value, enough=self.largest))
        return value

    def renew(self, key: Hashable) -> tuple[T, int] | None:
        """Give a value of the older generation with its size, and count it among the younger from now on."""
        known = self._old.get(key)
        if known is not None:
            self._add(key, *known)
        return known

    def keep(self, key: Hashable, value: T, size: int) -> None:
        """Keep a value that takes so many bytes with its key, unless it is too large."""
        size += ENTRY_BYTES
        if size <= self.largest:
            self._add(key, value, size)

    def clear(self) -> None:
        """Let go of everything."""
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
"""The caches that all readings of a process share."""


def cached(
    limit: int, size: Callable[..., int] | None = None, *, longest: int | None = None
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Remember what a function returns, within a limit of bytes; its arguments are given by position.

    `size` estimates the bytes of the arguments and the result, which are given to it in this order: where a formula
    does, it is faster than to walk through what they hold. A first argument of more than `longest` items is not looked
    up: a tuple of 30,000 numbers takes 0.2 ms to hash, each time.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        cache: ByteCache[T] = ByteCache(limit)
        SHARED.append(cache)
        remembered = _remembering(function, cache, size)
        return cast("Callable[P, T]", remembered if longest is None else _of_short(function, remembered, longest))

    return decorate


def _remembering(function: Callable[..., T], cache: ByteCache[T], size: Callable[..., int] | None) -> Callable[..., T]:
    largest = cache.largest

    def remembered(*key: Hashable) -> T:
        known = cache._young.get(key) or cache.renew(key)  # noqa: SLF001  # one call less: hits are many
        if known is not None:
            return known[0]
        value = function(*key)
        cache.keep(key, value, footprint(key, value, enough=largest) if size is None else size(*key, value))
        return value

    remembered.cache = cache  # type: ignore[attr-defined]
    return remembered


def _of_short(function: Callable[..., T], remembered: Callable[..., T], longest: int) -> Callable[..., T]:
    def chosen(first: Sized, *others: Hashable) -> T:
        return remembered(first, *others) if len(first) <= longest else function(first, *others)

    return chosen
