"""All headers of a batch: one header of all rows is peeled a round, until none is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture import link, network, tunnels, unusual
from tlsdissect.capture.rows import INTERNAL, KINDS, LINK_TYPE, together

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.rows import Int64s, Mask, Peel, Peeling, Rows

MAX_DEPTH = 128
"""Headers of one packet. Honest ones have a dozen; the rest of a packet that has more is given up."""

PEELS: dict[int, Peel] = {**link.PEELS, **network.PEELS, **tunnels.PEELS, **unusual.PEELS}
_KNOWN = np.zeros(KINDS, np.bool_)
_KNOWN[list(PEELS)] = True


def peel(view: Peeling, starts: list[tuple[Int64s | int, Rows]]) -> None:
    """Follow the rows to their innermost headers; what is found is noted in `view`, outer headers first.

    A round peels one header of all rows, those of the same kind together, whatever headers led to it: else packets
    that each have another sequence of headers would be read one by one, and a header of four bytes cost what numpy
    takes for a call. Kinds are taken in order, so that the rows of a frame that holds several packets stand in the
    same order in any batch.
    """
    rows = starts
    for _ in range(MAX_DEPTH + 1):
        groups: dict[int, list[Rows]] = {}
        for kinds, part in rows:
            for kind, same in _split(view, kinds, part):
                groups.setdefault(kind, []).append(same)
        rows = [inner for kind in sorted(groups) for inner in PEELS[kind](view, together(groups[kind]))]
        rows = [inner for inner in rows if len(inner[1])]
        if not rows:
            return
    view.skipped["packets of too many headers"] += sum(len(part) for _, part in rows)


def _split(view: Peeling, kinds: Int64s | int, rows: Rows) -> Iterator[tuple[int, Rows]]:
    """Part the rows by what stands at their places; what is unknown here holds no TCP or UDP, and is left out."""
    if not len(rows):
        return
    column = np.full(1, kinds) if isinstance(kinds, int) else kinds
    if (column != column[0]).any():
        known = _KNOWN[column]
        _count(view, column[~known])
        column, rows = column[known], rows.where(known)
    while len(column):
        kind = int(column[0])
        same: Mask = column == kind
        if same.all():
            if _KNOWN[kind]:
                yield kind, rows
            else:
                _count(view, np.full(len(rows), kind))
            return
        yield kind, rows.where(same)
        column, rows = column[~same], rows.where(~same)


def _count(view: Peeling, unknown: Int64s) -> None:
    """Count packets of link types that are not read: unlike what else is unknown, they may hold anything."""
    links = unknown[(unknown >= LINK_TYPE) & (unknown < INTERNAL)] - LINK_TYPE
    for number, count in zip(*np.unique(links, return_counts=True), strict=True):
        view.skipped[f"link type {number} packets"] += int(count)
