# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The interfaces that a pcapng file describes: their link types, snap lengths and clocks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cython

if TYPE_CHECKING:
    from collections.abc import Iterator

END, RESOLUTION, OFFSET = 0, 9, 14
"""Option codes (draft-ietf-opsawg-pcapng section 4.2)."""
NO_LINK_TYPE = -1
"""The link type of an interface that no block described."""
_SECOND = 1_000_000_000
_POWERS = tuple(10**exponent for exponent in range(10))
_LATEST = 2**63 - 1
"""The latest time that 64 bits hold, in nanoseconds."""
_MAX_OFFSET = 1 << 33
"""Seconds: a clock's offset beyond this is absurd, and would not fit as nanoseconds."""


@cython.cclass
class Interface:
    """What a packet block refers to by number."""

    __slots__ = ("_binary", "_exponent", "_max_ticks", "_offset", "_tick", "digits", "link", "snap")

    link: cython.longlong
    """Link type."""
    snap: cython.longlong
    """Bytes of a packet that are captured; 0 where there is no limit."""
    digits: cython.longlong
    """Digits of a second that the clock tells, nanoseconds at most."""
    _tick: cython.longlong
    """Nanoseconds of a tick."""
    _max_ticks: cython.longlong
    """Up to so many ticks, the time is just their number times `_tick`."""
    _binary: cython.bint
    """Ticks are a negative power of 2, not of 10."""
    _exponent: cython.longlong
    _offset: cython.longlong
    """Seconds to be added to each time."""

    def __init__(
        self,
        link: cython.longlong,
        snap: cython.longlong = 0,
        binary: cython.bint = False,
        exponent: cython.longlong = 6,
        offset: cython.longlong = 0,
    ) -> None:
        self.link = link
        self.snap = snap
        self.digits = _digits(binary, exponent)
        self._binary = binary
        self._exponent = exponent
        self._offset = max(min(offset, _MAX_OFFSET), -_MAX_OFFSET)
        self._tick = 1
        self._max_ticks = -1
        if not binary and exponent <= 9 and offset == 0:
            self._tick = _POWERS[9 - exponent]
            self._max_ticks = _LATEST // self._tick

    @cython.ccall
    def nanoseconds(self, high: cython.longlong, low: cython.longlong) -> cython.longlong:
        """Turn the two halves of a time stamp into nanoseconds since 1970."""
        if high < 0x4000_0000:
            ticks: cython.longlong = high << 32 | low
            if ticks <= self._max_ticks:
                return ticks * self._tick
        return _wrapped(high, low, self._binary, self._exponent, self._offset)


def _digits(binary: cython.bint, exponent: cython.longlong) -> int:
    if not binary:
        return min(exponent, 9)
    # As Wireshark counts: the unit that the ticks are not coarser than.
    for digits, bits in ((9, 30), (6, 20), (3, 10), (2, 7), (1, 4)):
        if exponent >= bits:
            return digits
    return 0


def _wrapped(high: Any, low: Any, binary: cython.bint, exponent: Any, offset: Any) -> int:
    """Compute a time in Python's integers, which do not overflow; absurd ones wrap round into 64 bits."""
    ticks = (high << 32) | low
    if binary:
        time = ticks * _SECOND >> exponent
    elif exponent <= 9:
        time = ticks * 10 ** (9 - exponent)
    else:
        time = ticks // 10 ** (exponent - 9)
    return int((time + offset * _SECOND + 2**63) % 2**64 - 2**63)


def read_interface(order: str, body: bytes) -> Interface:
    """Read the body of an interface description block."""
    if len(body) < 8:
        return Interface(NO_LINK_TYPE)
    link, _, snap = struct.unpack_from(order + "HHI", body)
    binary, exponent, offset = False, 6, 0
    for code, value in _options(order, body[8:]):
        if code == RESOLUTION and value:
            binary, exponent = value[0] >= 0x80, value[0] & 0x7F
        elif code == OFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
    return Interface(link, snap, binary, exponent, offset)


def _options(order: str, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Split options; what is cut is left out."""
    here = 0
    while here + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, here)
        here += 4
        if code == END or here + size > len(body):
            return
        yield code, body[here : here + size]
        here += size + -size % 4
