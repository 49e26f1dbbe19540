"""Classic pcap files (draft-ietf-opsawg-pcap): both byte orders, microseconds, nanoseconds, the "modified" kind."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture import resume
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.packets import Damage
from tlsdissect.capture.records import MAX_CAPTURED, MAX_TROUBLES, Records, fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tlsdissect.capture.window import Window

FILE_HEADER = 24
FCS_AND_FLAGS = 0xFC00_0000
"""The link type's field has the length of the frame check sequence in its upper bits (section 4)."""


class Kind(msgspec.Struct, frozen=True):
    """What a magic number tells of the records: their header's size, and digits of a second."""

    order: str
    header: int
    digits: int


# The "modified" kinds (Alexey Kuznetsov's patch) have eight bytes more in each record header.
_KINDS = {0xA1B2C3D4: (16, 6), 0xA1B23C4D: (16, 9), 0xA1B2CD34: (24, 6), 0xA1B23CD4: (24, 9)}
MAGICS = {
    struct.pack(order + "I", magic): Kind(order, header, digits)
    for magic, (header, digits) in _KINDS.items()
    for order in "<>"
}


class Pcap:
    """The records of a classic pcap file."""

    def __init__(self, window: Window, damage: list[Damage]) -> None:
        self.secrets: list[bytes] = []
        self.frames = 0
        self._window = window
        self._damage = damage
        if window.end < FILE_HEADER:
            raise CaptureError("is cut short in the file header")
        self._kind = MAGICS[bytes(window.data[:4])]
        link: int = struct.unpack_from(self._kind.order + "I", window.data, 20)[0]
        self.link = link & ~FCS_AND_FLAGS
        self._scales = resume.Scales(self._kind.order, self._kind.header, 10**self._kind.digits)
        window.start = FILE_HEADER

    @property
    def links(self) -> set[int]:
        """Link types of all interfaces seen so far."""
        return {self.link}

    def batches(self, limit: int) -> Iterator[Records]:
        """Walk the file; a batch is valid until the next is asked for."""
        window = self._window
        window.advance()
        wanted = 0
        while True:
            heads, wanted = self._walk(limit)
            if heads:
                yield self._columns(np.array(heads, np.int64))
            elif not self._go_on(wanted):
                return

    def _walk(self, limit: int) -> tuple[list[int], int]:
        """Find the record headers of the next `limit` records that the window holds whole.

        The second value is what the record after them needs, its header included.
        """
        window, header = self._window, self._kind.header
        read = struct.Struct(self._kind.order + "8xI").unpack_from
        data, end, here = window.data, window.end, window.start
        heads: list[int] = []
        note = heads.append
        last, most = end - header, header + MAX_CAPTURED
        size = header
        for _ in range(limit):
            if here > last:
                break
            size = header + read(data, here)[0]
            after = here + size
            if after > end or size > most:
                break
            note(here)
            here = after
        window.start = here
        return heads, size

    def _go_on(self, wanted: int) -> bool:
        """Get more bytes for the record at hand, or past it if it cannot be one; False at the end."""
        window, header = self._window, self._kind.header
        if window.end - window.start < header:
            return window.advance(header) or self._cut()
        if wanted <= MAX_CAPTURED + header:
            return window.advance(wanted) or self._cut()
        return self._resume(wanted - header)

    def _cut(self) -> bool:
        window = self._window
        left = window.end - window.start
        if left or window.trouble:
            why = window.trouble or f"the file ends in the middle of a packet, {left} bytes of which are there"
            self._note(why)
        return False

    def _resume(self, captured: int) -> bool:
        """Leave a record of senseless length; go on where several records in a row make sense."""
        window = self._window
        self._note(f"a packet of {captured} captured bytes is longer than any may be")
        if len(self._damage) > MAX_TROUBLES:
            return False
        window.advance(min(resume.REACH, len(window.data)))
        found = resume.find(window, self._scales)
        window.start = window.end if found is None else found
        return found is not None

    def _note(self, detail: str) -> None:
        window = self._window
        self._damage.append(Damage(detail, self.frames + 1, window.offset + window.start))

    def _columns(self, heads: NDArray[np.int64]) -> Records:
        window, kind = self._window, self._kind
        names = ("second", "fraction", "captured", "carried")
        read = fields(window.data, heads, np.dtype([(name, kind.order + "u4") for name in names]))
        second, fraction, captured, carried = (read[name].astype(np.int64) for name in names)
        first = self.frames + 1
        self.frames += len(heads)
        return Records(
            data=window.data,
            frame=first,
            start=heads + kind.header,
            captured=captured,
            carried=carried,
            link=np.full(len(heads), self.link),
            time=second * 1_000_000_000 + fraction * 10 ** (9 - kind.digits),
            digits=np.full(len(heads), kind.digits, np.uint8),
        )
