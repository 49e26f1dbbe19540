# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Classic pcap files (draft-ietf-opsawg-pcap): both byte orders, micro- and nanoseconds, the "modified" format."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.frames import MAX_CAPTURED, MAX_DAMAGED, MAX_DISTANCE, FileReader

if TYPE_CHECKING:
    from tlsdissect.capture.window import Window

FILE_HEADER = 24
FCS_AND_FLAGS = 0xFC00_0000
"""Upper bits of the link type field, which give the length of the frame check sequence (section 4)."""

IN_A_ROW = 4
"""Consecutive record headers that must be plausible after a damaged place: packet data may look like one header, but
not like a chain of them."""
DAY = 86_400
"""Seconds: far more than pass between two adjacent frames."""
_LENGTHS = (
    re.compile(rb"(?s)(?=.{8}(?!\0{3})..[\0-\4]\0..[\0-\4]\0)"),
    re.compile(rb"(?s)(?=.{8}(?!\0{4})\0[\0-\4]..\0[\0-\4]..)"),
)
"""Find, in either byte order, where a record header has two lengths of less than 2**19 bytes, the first of them not 0.
Only these few places are examined further, because examining every byte of a damaged file takes seconds uncompiled."""


class Variant(NamedTuple):
    """The record format that a magic number selects: byte order, header size, and decimal places of a second."""

    order: str
    header: int
    digits: int


# The "modified" variants (Alexey Kuznetsov's patch) have eight more bytes in each record header.
_VARIANTS = {0xA1B2C3D4: (16, 6), 0xA1B23C4D: (16, 9), 0xA1B2CD34: (24, 6), 0xA1B23CD4: (24, 9)}
MAGICS = {
    struct.pack(order + "I", magic): Variant(order, header, digits)
    for magic, (header, digits) in _VARIANTS.items()
    for order in "<>"
}


@cython.cclass
class Pcap(FileReader):
    """The frames of a classic pcap file."""

    header: cython.longlong
    """Bytes of a record header."""
    ticks: cython.longlong
    """Clock ticks per second."""
    tick: cython.longlong
    """Nanoseconds per clock tick."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        if not window.need(FILE_HEADER):
            raise CaptureError("is cut short in the file header")
        variant = MAGICS[window.data[:4]]
        self.big = variant.order == ">"
        self.header = variant.header
        self.digits = variant.digits
        self.ticks = 10**variant.digits
        self.tick = 10 ** (9 - variant.digits)
        self.link = struct.unpack_from(variant.order + "I", window.data, 20)[0] & ~FCS_AND_FLAGS
        self.links = {self.link}
        window.start = FILE_HEADER

    @cython.ccall
    def next_frame(self) -> cython.bint:
        """Find the next frame; False if none is available now."""
        window: Window = self.window
        header: cython.longlong = self.header
        captured: cython.longlong = 0
        here: cython.Py_ssize_t
        data: bytes
        while not self.ended:
            here = window.start
            if here + header <= window.end:
                data = window.data
                captured = self._u32(data, here + 8)
                if captured > MAX_CAPTURED:
                    self._resume(captured)
                    continue
                if here + header + captured <= window.end:
                    self._found(data, here, captured)
                    window.start = here + header + captured
                    return True
            else:
                captured = 0
            if window.pauses():
                return False
            if not window.need(header + captured):
                self._end()
        return False

    @cython.cfunc
    @cython.exceptval(-1)
    def _found(self, data: bytes, here: cython.Py_ssize_t, captured: cython.longlong) -> cython.bint:
        self.frames += 1
        self.data = data
        self.start = here + self.header
        self.captured = captured
        self.carried = self._u32(data, here + 12)
        self.time = self._u32(data, here) * 1_000_000_000 + self._u32(data, here + 4) * self.tick
        return True

    @cython.cfunc
    def _end(self) -> cython.bint:
        """End the capture; report an incomplete record at its end."""
        window: Window = self.window
        left: cython.longlong = window.end - window.start
        if left > 0 or window.problem:
            why = f"the file ends in the middle of a packet, {left} bytes of which are there"
            self._report(window.problem or why, window.start)
        self.ended = True
        return True

    @cython.cfunc
    def _resume(self, captured: cython.longlong) -> cython.bint:
        """Give up a record of impossible length; continue where several plausible record headers follow one another."""
        window: Window = self.window
        self._report(f"a packet of {captured} captured bytes is longer than any may be", window.start)
        if self.damaged > MAX_DAMAGED:
            self.ended = True
            return False
        # Read enough bytes that the result does not depend on how many come at a time.
        window.need(MAX_DISTANCE + IN_A_ROW * (MAX_CAPTURED + self.header))
        end: cython.Py_ssize_t = min(window.start + MAX_DISTANCE, window.end)
        place: cython.Py_ssize_t
        for found in _LENGTHS[self.big].finditer(window.data, window.start + 1, end):
            place = found.start()
            if place + self.header <= end and self._is_chain(place):
                window.start = place
                return True
        window.start = window.end
        self.ended = True
        return False

    @cython.cfunc
    def _is_chain(self, place: cython.Py_ssize_t) -> cython.bint:
        """Return whether plausible record headers follow one another from `place` on, with times close together."""
        window: Window = self.window
        data: bytes = window.data
        captured: cython.longlong = self._u32(data, place + 8)
        first: cython.longlong = self._u32(data, place)
        if captured == 0:
            return False
        for _ in range(IN_A_ROW):
            if place + self.header > window.end:
                return place == window.end
            captured = self._u32(data, place + 8)
            if captured > MAX_CAPTURED or not captured <= self._u32(data, place + 12) <= MAX_CAPTURED:
                return False
            if self._u32(data, place + 4) >= self.ticks or not -DAY <= self._u32(data, place) - first <= DAY:
                return False
            place += self.header + captured
        return place <= window.end or not window.ended
