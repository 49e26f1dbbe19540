# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Lists of code points without GREASE (RFC 8701).

Attacks send lists of 30,000 numbers, each of which is looked at here: compiled, that takes a tenth of the time.
"""

from __future__ import annotations

import cython

from tlsdissect.tls.codepoints import LONG_LIST

_LARGEST = 0xFFFF
_LONG = LONG_LIST
"""Length from which a list is sorted by counting each of 65,536 numbers."""


@cython.cfunc
@cython.exceptval(-1)
def _is_grease(number: cython.longlong) -> cython.bint:
    """Return whether a number is GREASE: both octets are equal and end in hexadecimal A (RFC 8701 section 2)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 0xFF


@cython.ccall
def without_grease(numbers: tuple) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the numbers that are not GREASE, in their order."""
    n: cython.Py_ssize_t
    for n in range(len(numbers)):
        if _is_grease(numbers[n]):
            return tuple([number for number in numbers if not _is_grease(number)])
    return numbers


@cython.ccall
def sorted_octets(numbers: tuple) -> bytes:  # type: ignore[type-arg]  # as above
    """Return the numbers that are not GREASE, sorted, in two octets each; OverflowError if one needs more."""
    number: cython.longlong
    if _LONG <= len(numbers) <= _LARGEST:
        return _counted(numbers)
    octets = bytearray()
    for number in sorted(numbers):
        if not 0 <= number <= _LARGEST:
            raise OverflowError(number)
        if not _is_grease(number):
            octets.append(number >> 8)
            octets.append(number & 0xFF)
    return bytes(octets)


@cython.cfunc
def _counted(numbers: tuple) -> bytes:  # type: ignore[type-arg]  # as above
    """Sort a list of at most 65,535 numbers by counting how often each is in it."""
    n: cython.Py_ssize_t
    number: cython.longlong
    many: cython.longlong
    at: cython.Py_ssize_t = 0
    # Counts in two octets each: a list would make an object of most counts.
    high, low = bytearray(_LARGEST + 1), bytearray(_LARGEST + 1)
    octets = bytearray(2 * len(numbers))
    for n in range(len(numbers)):
        number = numbers[n]
        if not 0 <= number <= _LARGEST:
            raise OverflowError(number)
        if low[number] == 0xFF:
            high[number] += 1
            low[number] = 0
        else:
            low[number] += 1
    for number in range(_LARGEST + 1):
        many = high[number] << 8 | low[number]
        if many > 0 and not _is_grease(number):
            while many > 0:
                octets[at] = number >> 8
                octets[at + 1] = number & 0xFF
                at += 2
                many -= 1
    return bytes(octets[:at])
