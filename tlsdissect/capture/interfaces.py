# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Interface description blocks of pcapng: link types, snap lengths and clocks."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import cython

from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from collections.abc import Iterator

END, RESOLUTION, OFFSET = 0, 9, 14
"""Option codes (draft-ietf-opsawg-pcapng section 4.2)."""
NO_LINK_TYPE = -1
"""The link type of an interface that no block describes."""
_SECOND = 1_000_000_000
_POWERS = tuple(10**exponent for exponent in range(10))
EARLIEST, LATEST = -(1 << 61), 1 << 62
"""Nanoseconds since 1970: from 1896 to 2116. A packet with a time outside counts as one without a time.

The difference of two times within, plus `flows.limits.FOREVER`, fits in 64 bits. A classic pcap has no other times.
"""


@cython.cclass
class Interface:
    """An interface, to which packet blocks refer by number."""

    __slots__ = ("_binary", "_exponent", "_max_ticks", "_offset", "_tick", "digits", "link", "snap")

    link: cython.longlong
    """Link type."""
    snap: cython.longlong
    """Snap length: the most bytes that are captured of a packet; 0 if there is no limit."""
    digits: cython.longlong
    """Decimal places of a second that the clock resolves, at most 9."""
    _tick: cython.longlong
    """Nanoseconds per clock tick, for times of at most `_max_ticks`."""
    _max_ticks: cython.longlong
    """Times of at most this many ticks are computed as `ticks * _tick`; -1 if none is."""
    _binary: cython.bint
    """Whether a tick is a negative power of 2 seconds, not of 10."""
    _exponent: cython.longlong
    """The negative of that power."""
    _offset: cython.longlong
    """Seconds to add to each time."""

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
        self._offset = offset
        self._tick = 1
        self._max_ticks = -1
        if not binary and exponent <= 9 and offset == 0:
            self._tick = _POWERS[9 - exponent]
            self._max_ticks = LATEST // self._tick

    def ticks(self, time: Any) -> int:
        """Convert nanoseconds since 1970 to clock ticks, rounded down."""
        return _to_ticks(time, self._binary, self._exponent, self._offset)

    @cython.ccall
    def nanoseconds(self, high: cython.longlong, low: cython.longlong) -> cython.longlong:
        """Convert the two halves of a time stamp to nanoseconds since 1970; UNTIMED if that is no plausible time."""
        if high < 0x4000_0000:
            ticks: cython.longlong = high << 32 | low
            if ticks <= self._max_ticks:
                return ticks * self._tick
        return _any_clock(high, low, self._binary, self._exponent, self._offset)


def _digits(binary: cython.bint, exponent: cython.longlong) -> int:
    if not binary:
        return min(exponent, 9)
    # As in Wireshark: the finest decimal unit that a tick is not coarser than.
    for digits, bits in ((9, 30), (6, 20), (3, 10), (2, 7), (1, 4)):
        if exponent >= bits:
            return digits
    return 0


def _any_clock(high: Any, low: Any, binary: cython.bint, exponent: Any, offset: Any) -> int:
    """Compute the time of any clock with Python's integers, which do not overflow."""
    ticks = (high << 32) | low
    if binary:
        time = ticks * _SECOND >> exponent
    elif exponent <= 9:
        time = ticks * 10 ** (9 - exponent)
    else:
        time = ticks // 10 ** (exponent - 9)
    time += offset * _SECOND
    return time if EARLIEST <= time <= LATEST else UNTIMED


def _to_ticks(time: Any, binary: cython.bint, exponent: Any, offset: Any) -> int:
    """The inverse of `_any_clock`."""
    counted = time - offset * _SECOND
    return int((counted << exponent if binary else counted * 10**exponent) // _SECOND)


def read_interface(order: str, body: bytes) -> Interface:
    """Read the body of an interface description block."""
    if len(body) < 8:
        return Interface(NO_LINK_TYPE)
    link, _, snap = struct.unpack_from(order + "HHI", body)
    binary, exponent, offset = False, 6, 0
    for code, value in read_options(order, body[8:]):
        if code == RESOLUTION and value:
            binary, exponent = value[0] >= 0x80, value[0] & 0x7F
        elif code == OFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
    return Interface(link, snap, binary, exponent, offset)


def read_options(order: str, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the code and value of each option; ignore one that is cut."""
    here = 0
    while here + 4 <= len(body):
        code, size = struct.unpack_from(order + "HH", body, here)
        here += 4
        if code == END or here + size > len(body):
            return
        yield code, body[here : here + size]
        here += size + -size % 4
