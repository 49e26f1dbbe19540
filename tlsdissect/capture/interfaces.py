"""The interfaces of pcapng sections: link types and clocks, looked up for many packets at once."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

END, RESOLUTION, OFFSET = 0, 9, 14
"""Option codes (draft-ietf-opsawg-pcapng section 4.2)."""
NO_INTERFACE = -1
"""The link type of a packet whose interface was never described."""
MAX_INTERFACES = 65_536
"""Interfaces of one section that are kept, as many as an obsolete packet block can name. Honest sections have dozens;
packets of further ones count as packets of an interface that is not described, and the first place is damage."""
_SECOND = 1_000_000_000


class Interface(msgspec.Struct, frozen=True):
    """What a packet block refers to by number."""

    link: int
    snap: int = 0
    binary: bool = False
    """The clock's ticks are a negative power of 2, not of 10."""
    exponent: int = 6
    offset: int = 0
    """Seconds to be added to each time."""

    @property
    def digits(self) -> int:
        """Digits of a second that the clock tells, nanoseconds at most."""
        if not self.binary:
            return min(self.exponent, 9)
        # As Wireshark counts: the unit that the ticks are not coarser than.
        ticks = 2 ** min(self.exponent, 30)
        return next((digits for digits in (9, 6, 3, 2, 1) if ticks >= 10**digits), 0)


class Clocks(msgspec.Struct, frozen=True, gc=False):
    """Properties of each packet's interface, one row a packet."""

    link: NDArray[np.int64]
    digits: NDArray[np.uint8]
    binary: NDArray[np.bool_]
    exponent: NDArray[np.int64]
    offset: NDArray[np.int64]
    snap: NDArray[np.int64]
    """Snap length, bytes; 0 where there is no limit."""

    def nanoseconds(self, ticks: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Turn ticks into nanoseconds since 1970; absurd ones wrap round, and raise nothing."""
        result = np.zeros(len(ticks), np.int64)
        for binary, exponent in sorted(set(zip(self.binary.tolist(), self.exponent.tolist(), strict=True))):
            same = (self.binary == binary) & (self.exponent == exponent)
            result[same] = (_binary if binary else _decimal)(ticks[same], exponent).astype(np.int64)
        return result + self.offset * _SECOND


def _decimal(ticks: NDArray[np.uint64], exponent: int) -> NDArray[np.uint64]:
    if exponent <= 9:
        return ticks * np.uint64(10 ** (9 - exponent))
    # 10**20 is more than 64 bits hold: nothing is left of such ticks.
    return ticks // np.uint64(10 ** (exponent - 9)) if exponent < 29 else ticks * np.uint64(0)


def _binary(ticks: NDArray[np.uint64], exponent: int) -> NDArray[np.uint64]:
    if exponent > 63:
        return ticks * np.uint64(0)
    shift = np.uint64(exponent)
    fraction = ticks & ((np.uint64(1) << shift) - np.uint64(1))
    # A fraction of 34 bits times a second's nanoseconds still fits into 64.
    extra = max(exponent - 34, 0)
    nanoseconds = (fraction >> np.uint64(extra)) * np.uint64(_SECOND) >> np.uint64(exponent - extra)
    return (ticks >> shift) * np.uint64(_SECOND) + nanoseconds


class Interfaces:
    """The interfaces of the sections that a batch of packets lies in, in the order of their blocks.

    One row of numbers an interface, because a file may describe many: `base` is the row of the section's first one.
    """

    def __init__(self) -> None:
        self.base = 0
        self._links, self._offsets, self._snaps = array("q"), array("q"), array("q")
        self._digits, self._binary, self._exponents = array("B"), array("B"), array("B")

    @property
    def count(self) -> int:
        """Interfaces of the section so far."""
        return len(self._links) - self.base

    def begin_section(self) -> None:
        """Number interfaces anew; those before can still be looked up."""
        self.base = len(self._links)

    def forget(self) -> None:
        """Forget the interfaces of the sections before this one."""
        for column in (self._links, self._offsets, self._snaps, self._digits, self._binary, self._exponents):
            del column[: self.base]
        self.base = 0

    def add(self, order: str, body: bytes) -> int:
        """Add the interface of a block; give its link type."""
        interface = _read(order, body)
        self._links.append(interface.link)
        self._offsets.append(interface.offset)
        self._snaps.append(interface.snap)
        self._digits.append(interface.digits)
        self._binary.append(interface.binary)
        self._exponents.append(interface.exponent)
        return interface.link

    def rows(self, number: NDArray[np.int64], base: NDArray[np.int64], count: NDArray[np.int64]) -> Clocks:
        """Look up the interfaces of packets by number, in sections that begin at `base` and had so many then."""
        # The last row stands for numbers that no block described.
        row = np.where(number < count, base + number, len(self._links))
        unknown = Interface(NO_INTERFACE)
        return Clocks(
            link=np.append(np.array(self._links, np.int64), unknown.link)[row],
            digits=np.append(np.array(self._digits, np.uint8), np.uint8(unknown.digits))[row],
            binary=np.append(np.array(self._binary, np.bool_), unknown.binary)[row],
            exponent=np.append(np.array(self._exponents, np.int64), unknown.exponent)[row],
            offset=np.append(np.array(self._offsets, np.int64), unknown.offset)[row],
            snap=np.append(np.array(self._snaps, np.int64), unknown.snap)[row],
        )


def _read(order: str, body: bytes) -> Interface:
    """Read an interface description block's body."""
    if len(body) < 8:
        return Interface(NO_INTERFACE)
    link, _, snap = struct.unpack_from(order + "HHI", body)
    binary, exponent, offset = False, 6, 0
    for code, value in _options(order, body[8:]):
        if code == RESOLUTION and value:
            binary, exponent = value[0] >= 0x80, value[0] & 0x7F
        elif code == OFFSET and len(value) == 8:
            offset = struct.unpack(order + "q", value)[0]
    # Seconds beyond this are absurd, and would not fit as nanoseconds.
    return Interface(link, snap, binary, exponent, max(min(offset, 2**33), -(2**33)))


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
