# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Lists of two-byte code points: with their names, and without GREASE (RFC 8701) for fingerprints.

Attacks send lists of 30,000 numbers. Here they are processed as the octets of the wire, compiled: an object for each
number would take more time and memory than all else that is done with them.
"""

from __future__ import annotations

from struct import pack, unpack
from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.octets import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LONG_LIST = 256
"""Length from which a list is kept as octets, is not cached, and is sorted by counting."""
_LARGEST = 0xFFFF
_MOST_CHARACTERS = 6
"""Of a number in decimal, with the hyphen after it."""
_LONG_BYTES = 2 * LONG_LIST
_ZERO, _HYPHEN = 0x30, 0x2D


@cython.cclass
class LongList:
    """A list of two-byte numbers that is kept as octets."""

    octets: bytes

    def __init__(self, octets: bytes) -> None:
        """`octets` are those of the wire, an even number."""
        self.octets = octets

    def __len__(self) -> int:
        return len(self.octets) // 2

    def __getitem__(self, n: cython.Py_ssize_t) -> int:
        if not 0 <= n < len(self.octets) // 2:
            raise IndexError(n)
        return self.octets[2 * n] << 8 | self.octets[2 * n + 1]

    def __iter__(self) -> Iterator[int]:
        return iter(unpack(f">{len(self)}H", self.octets))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LongList) and self.octets == other.octets

    def __hash__(self) -> int:
        return hash(self.octets)

    def __repr__(self) -> str:
        return f"LongList({self.octets!r})"


def octets_of(numbers: Sequence[int] | LongList) -> bytes:
    """Return the numbers of a list in two octets each."""
    return numbers.octets if isinstance(numbers, LongList) else pack(f">{len(numbers)}H", *numbers)


@cython.ccall
def named(names: list, octets: bytes) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the name of each number; `names` has those of all 65,536."""
    n: cython.Py_ssize_t
    found: list[str] = []
    for n in range(0, len(octets) - 1, 2):
        found.append(names[octets[n] << 8 | octets[n + 1]])  # noqa: PERF401  # `n` would be no C integer
    return tuple(found)


@cython.cfunc
@cython.exceptval(-1)
def _is_grease(number: cython.longlong) -> cython.bint:
    """Return whether a number is GREASE: both octets are equal and end in hexadecimal A (RFC 8701 section 2)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


@cython.ccall
def without_grease(octets: bytes) -> bytes:
    """Return the numbers that are not GREASE, in their order."""
    n: cython.Py_ssize_t
    begin: cython.Py_ssize_t = 0
    parts: list[bytes] = []
    for n in range(0, len(octets) - 1, 2):
        if octets[n] == octets[n + 1] and octets[n] & 0x0F == 0x0A:
            parts.append(cut(octets, begin, n))
            begin = n + 2
    return b"".join([*parts, cut(octets, begin, len(octets))]) if parts else octets


@cython.ccall
def decimals(octets: bytes) -> str:
    """Join the numbers that are not GREASE with hyphens, in decimal."""
    n: cython.Py_ssize_t
    number: cython.longlong
    at: cython.Py_ssize_t = 0
    text = bytearray(_MOST_CHARACTERS * (len(octets) // 2))
    for n in range(0, len(octets) - 1, 2):
        number = octets[n] << 8 | octets[n + 1]
        if _is_grease(number):
            continue
        # A loop would divide by a variable, which takes ten times as long as by a constant.
        if number >= 10000:
            text[at] = _ZERO + number // 10000
            at += 1
        if number >= 1000:
            text[at] = _ZERO + number // 1000 % 10
            at += 1
        if number >= 100:
            text[at] = _ZERO + number // 100 % 10
            at += 1
        if number >= 10:
            text[at] = _ZERO + number // 10 % 10
            at += 1
        text[at] = _ZERO + number % 10
        text[at + 1] = _HYPHEN
        at += 2
    return text[: at - 1].decode("ascii") if at > 0 else ""


@cython.ccall
def in_order(octets: bytes) -> bytes:
    """Return the numbers that are not GREASE, sorted."""
    if len(octets) >= _LONG_BYTES:
        return _counted(octets)
    kept: bytes = without_grease(octets)
    return b"".join(sorted([kept[n : n + 2] for n in range(0, len(kept) - 1, 2)]))


@cython.cfunc
def _counted(octets: bytes) -> bytes:
    """Return the numbers of a list that are not GREASE, sorted by counting how often each is in it."""
    n: cython.Py_ssize_t
    number: cython.longlong
    many: cython.longlong
    at: cython.Py_ssize_t = 0
    # Counts in two octets each: a list would make an object of most counts.
    high, low = bytearray(_LARGEST + 1), bytearray(_LARGEST + 1)
    ordered = bytearray(len(octets))
    for n in range(0, len(octets) - 1, 2):
        number = octets[n] << 8 | octets[n + 1]
        if low[number] == 0xFF:
            high[number] += 1
            low[number] = 0
        else:
            low[number] += 1
    for number in range(_LARGEST + 1):
        many = high[number] << 8 | low[number]
        if many > 0 and not _is_grease(number):
            while many > 0:
                ordered[at] = number >> 8
                ordered[at + 1] = number & 0xFF
                at += 2
                many -= 1
    return bytes(ordered[:at])
