"""Where a damaged classic pcap file makes sense again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture.records import MAX_CAPTURED, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tlsdissect.capture.window import Window

REACH = 1 << 20
"""Bytes that are searched after a senseless record header."""
IN_A_ROW = 4
"""Record headers that must make sense one after the other: packet data may look like one, not like a chain of them."""

TOGETHER = 65_536
"""Places that are looked at together."""


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
    places = here[sensible]
    for start in range(0, len(places), TOGETHER):
        part = places[start : start + TOGETHER]
        chains = part[_are_chains(window, scales, part)]
        if len(chains):
            return int(chains[0])
    return None


def _are_chains(window: Window, scales: Scales, places: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Tell from which places record headers follow each other, in about the same time.

    All places are looked at together: damage may consist of nothing but what looks like record headers.
    """
    u32 = numbers(window.data, scales.order + "u4")
    good = np.ones(len(places), np.bool_)
    at, first = places.copy(), u32[places].astype(np.int64)
    left = np.arange(len(places))
    for _ in range(IN_A_ROW):
        ended = at[left] + scales.header > window.end
        good[left[ended]] = at[left[ended]] == window.end
        left = left[~ended]
        here = at[left]
        second, fraction, captured, carried = (u32[here + 4 * number].astype(np.int64) for number in range(4))
        # A day is far more than lies between packets that stand side by side.
        sane = (np.abs(second - first[left]) <= 86_400) & (fraction < scales.unit)
        sane &= (captured <= carried) & (carried <= MAX_CAPTURED)
        good[left[~sane]] = False
        left = left[sane]
        at[left] += scales.header + captured[sane]
    good[left] = (at[left] <= window.end) | (not window.ended)
    return good
