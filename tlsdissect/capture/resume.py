"""Where a damaged classic pcap file makes sense again."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture.records import MAX_CAPTURED, numbers

if TYPE_CHECKING:
    from tlsdissect.capture.window import Window

REACH = 1 << 20
"""Bytes that are searched after a senseless record header."""
IN_A_ROW = 4
"""Record headers that must make sense one after the other: packet data may look like one, not like a chain of them."""


class Scales(msgspec.Struct, frozen=True):
    """What a record header's numbers are measured in."""

    order: str
    header: int
    unit: int
    """Ticks of a second."""


def find(window: Window, scales: Scales) -> int | None:
    """Find the next place in the window where several record headers in a row make sense."""
    first, end = window.start + 1, min(window.start + REACH, window.end)
    if end - first < scales.header:
        return None
    here = np.arange(first, end - scales.header + 1)
    u32 = numbers(window.data, scales.order + "u4")
    captured, carried = u32[here + 8], u32[here + 12]
    sensible = (u32[here + 4] < scales.unit) & (captured <= MAX_CAPTURED) & (captured <= carried) & (captured > 0)
    sensible &= carried <= MAX_CAPTURED
    places: list[int] = here[sensible].tolist()
    return next((place for place in places if _is_chain(window, scales, place)), None)


def _is_chain(window: Window, scales: Scales, place: int) -> bool:
    """Tell whether record headers follow each other from `place`, in about the same time."""
    read = struct.Struct(scales.order + "4I").unpack_from
    first: int = read(window.data, place)[0]
    for _ in range(IN_A_ROW):
        if place + scales.header > window.end:
            return place == window.end
        second, fraction, captured, carried = read(window.data, place)
        # A day is far more than lies between packets that stand side by side.
        if abs(second - first) > 86_400 or fraction >= scales.unit or not captured <= carried <= MAX_CAPTURED:
            return False
        place += scales.header + captured
    return place <= window.end or not window.ended
