"""Frames in, batches of TCP and UDP headers out: the same for a file's window and for what comes from an interface."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from tlsdissect.capture import columns, headers
from tlsdissect.capture.fragments import Fragments
from tlsdissect.capture.interfaces import NO_INTERFACE
from tlsdissect.capture.rows import INTERNAL, LINK_TYPE, Peeling, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tlsdissect.capture.packets import Packets
    from tlsdissect.capture.records import Records
    from tlsdissect.capture.rows import Mask

MAX_NESTED = 8
"""Fragments within joined fragments: so many levels are read."""
MAX_PEELED = 8 << 20
"""Captured bytes of which the headers are found at a time. A packet inside a packet takes several times its bytes until
its headers are read, and a window may grow to many times its size for one block of pcapng."""
READABLE = frozenset(kind - LINK_TYPE for kind in headers.PEELS if LINK_TYPE <= kind < INTERNAL)


class Batches:
    """Turns records into packets; what cannot be read is counted in `skipped`."""

    def __init__(self, skipped: Counter[str]) -> None:
        self.skipped = skipped
        self._fragments = Fragments(skipped)

    def finish(self) -> None:
        """Count the fragments that still wait for others."""
        self._fragments.finish()

    def packets(self, records: Records) -> Packets:
        """Find the headers of frames; what is joined from fragments stands with the frame that completes it."""
        view = Peeling(records.data, self.skipped)
        kinds, rows = self._kinds(records.link), _rows(records)
        for part in _slices(records):
            headers.peel(view, [(kinds[part], rows.where(part))])
        parts = _found(view, 0)
        annexes: list[bytearray] = []
        base = len(records.data)
        # A packet joined from fragments may be a tunnel that holds fragments.
        while view.fragments and len(annexes) < MAX_NESTED:
            joined = self._fragments.join(view)
            view = Peeling(joined.data, self.skipped)
            headers.peel(view, [(joined.kinds, joined.rows)])
            parts += _found(view, base)
            annexes.append(joined.data)
            base += len(joined.data)
        lost = sum(map(len, view.fragments))
        if lost:
            self.skipped["IP fragments nested too deep"] += lost
        data = b"".join((records.data, *annexes)) if annexes else records.data
        return columns.packets(records, parts, memoryview(data))

    def _kinds(self, link: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn link types into kinds of headers; packets without one are counted."""
        lost = int(np.count_nonzero(link == NO_INTERFACE))
        if not lost:
            return link + LINK_TYPE
        self.skipped["packets of an interface that is not described"] += lost
        return np.where(link == NO_INTERFACE, 0, link + LINK_TYPE)


def _slices(records: Records) -> Iterator[Mask]:
    """Part the frames so that each part has about MAX_PEELED bytes captured, or one frame."""
    number = np.cumsum(records.captured) // MAX_PEELED
    for one in np.unique(number):
        yield number == one


def _rows(records: Records) -> Rows:
    at = records.start
    return Rows(
        record=np.arange(len(records)),
        at=at,
        end=at + records.captured,
        limit=at + np.maximum(records.carried, records.captured),
        ip=np.full(len(records), -1),
    )


def _found(view: Peeling, base: int) -> list[columns.Found]:
    """Gather the headers noted in `view`, and those in the packets that it saw quoted."""
    parts = columns.found(view, base=base)
    if view.quotes:
        # What a quotation lacks is no loss, and so counted nowhere.
        quoted = Peeling(view.data, Counter(), quoted=True)
        headers.peel(quoted, view.quotes)
        parts += columns.found(quoted, base=base, quoted=True)
    return parts
