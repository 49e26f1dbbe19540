"""pcapng files (draft-ietf-opsawg-pcapng): blocks, of several sections, interfaces and byte orders."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from tlsdissect.capture import interfaces
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.packets import UNTIMED, Damage
from tlsdissect.capture.records import MAX_CAPTURED, MAX_TROUBLES, Records, numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tlsdissect.capture.window import Window

MAGIC = b"\x0a\x0d\x0d\x0a"
SECTION, INTERFACE, OLD_PACKET, SIMPLE_PACKET, ENHANCED_PACKET = 0x0A0D0D0A, 1, 2, 3, 6
SECRETS = 10
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

MAX_BLOCK = 16 << 20
"""A block that is needed whole may have this many bytes; others are stepped over whatever their length."""
MAX_SECRETS = 64 << 20
"""Bytes of decryption secrets that are kept of one capture."""
REACH = 1 << 20
"""Bytes that are searched after a senseless block."""

_FIXED = {OLD_PACKET: 20, SIMPLE_PACKET: 4, ENHANCED_PACKET: 20}
"""Bytes of a packet block's body in front of the packet."""
_READ = {INTERFACE, SECRETS}


class Walk(msgspec.Struct):
    """The packet blocks of one batch: kinds and places, in order."""

    kinds: list[int]
    heads: list[int]
    sizes: list[int]


class Pcapng:
    """The packet blocks of a pcapng file, all of one byte order in a batch."""

    def __init__(self, window: Window, damage: list[Damage]) -> None:
        self.secrets: list[bytes] = []
        self.frames = 0
        self.links: set[int] = set()
        self._window = window
        self._damage = damage
        self._order = "<"
        self._table = interfaces.Interfaces()
        self._secrets_size = 0
        window.advance()
        if window.end < 28 or bytes(window.data[8:12]) not in _ORDERS:
            raise CaptureError(window.trouble or "is cut short or damaged in the first section header of pcapng")

    def batches(self, limit: int) -> Iterator[Records]:
        """Walk the file; a batch is valid until the next is asked for."""
        while True:
            walk = Walk([], [], [])
            wanted = self._walk(walk, limit)
            if walk.heads:
                yield self._columns(walk)
            elif not self._go_on(wanted):
                return

    def _walk(self, walk: Walk, limit: int) -> int:
        """Note packet blocks, up to a section header, a senseless block, or one that the window does not hold whole.

        Gives the bytes of that block, if its header is there.
        """
        window = self._window
        read = struct.Struct(self._order + "2I").unpack_from
        data, end, here = window.data, window.end, window.start
        kinds, heads, sizes = walk.kinds, walk.heads, walk.sizes
        size = 12
        while here + 12 <= end and len(heads) < limit:
            kind, size = read(data, here)
            # Some writers don't count the padding.
            size += -size % 4
            if kind == SECTION or size < _FIXED.get(kind, 0) + 12 or here + size > end:
                break
            if kind in _FIXED:
                kinds.append(kind)
                heads.append(here)
                sizes.append(size)
            elif kind in _READ:
                self._learn(kind, bytes(data[here + 8 : here + size - 4]))
            here += size
        window.start = here
        return size

    def _go_on(self, size: int) -> bool:
        """Deal with what the walk stopped at; False at the end."""
        window = self._window
        if window.end - window.start < 12:
            return window.advance(12) or self._cut()
        head = bytes(window.data[window.start : window.start + 12])
        if head.startswith(MAGIC):
            return self._section(head)
        kind = int(struct.unpack(self._order + "I", head[:4])[0])
        if size < _FIXED.get(kind, 0) + 12:
            return self._resume(f"a block of {size} bytes is shorter than its kind allows")
        if kind not in _FIXED and kind not in _READ:
            return window.skip(size) or self._cut(size)
        if size > MAX_BLOCK:
            return self._resume(f"a block of {size} bytes is longer than any may be")
        return window.advance(size) or self._cut()

    def _learn(self, kind: int, body: bytes) -> None:
        """Read a block that is no packet but tells something."""
        if kind == INTERFACE:
            self.links.add(self._table.add(self._order, body))
        else:
            self._keep(body)

    def _section(self, head: bytes) -> bool:
        """Begin a section: interfaces are numbered anew, and bytes may be ordered the other way."""
        order = _ORDERS.get(head[8:])
        if order is None:
            return self._resume("a section header without its byte-order magic")
        self._order = order
        self._table = interfaces.Interfaces()
        size = int(struct.unpack(order + "I", head[4:8])[0])
        if size < 28:
            return self._resume(f"a section header of {size} bytes")
        return self._window.skip(size + -size % 4) or self._cut()

    def _keep(self, body: bytes) -> None:
        """Keep the secrets of a block: their length is its second field, behind their kind."""
        if len(body) < 8:
            return
        size = int(struct.unpack_from(self._order + "I", body, 4)[0])
        before, self._secrets_size = self._secrets_size, self._secrets_size + len(body)
        if self._secrets_size <= MAX_SECRETS:
            self.secrets.append(body[8 : 8 + size])
        elif before <= MAX_SECRETS:
            self._note("more decryption secrets than are kept")

    def _cut(self, wanted: int = 0) -> bool:
        window = self._window
        left = window.end - window.start
        if left or wanted or window.trouble:
            self._note(window.trouble or f"the file ends in the middle of a block, {left} bytes of which are there")
        return False

    def _resume(self, detail: str) -> bool:
        """Leave a senseless block; go on at the next packet whose length stands on both its ends."""
        window = self._window
        self._note(detail)
        if len(self._damage) > MAX_TROUBLES:
            return False
        window.advance(min(REACH, len(window.data)))
        found = _find(window, self._order)
        window.start = window.end if found is None else found
        return found is not None

    def _note(self, detail: str) -> None:
        window = self._window
        self._damage.append(Damage(detail, self.frames + 1, window.offset + window.start))

    def _columns(self, walk: Walk) -> Records:
        heads, kinds = np.array(walk.heads), np.array(walk.kinds)
        sizes = np.array(walk.sizes)
        u16, u32 = (numbers(self._window.data, self._order + kind) for kind in ("u2", "u4"))
        simple, old = kinds == SIMPLE_PACKET, kinds == OLD_PACKET
        interface = np.where(simple, 0, np.where(old, u16[heads + 8], u32[heads + 8])).astype(np.int64)
        known = self._table.rows(interface)
        stamp = np.where(simple, heads, heads + 12)
        ticks = u32[stamp].astype(np.uint64) << np.uint64(32) | u32[stamp + 4].astype(np.uint64)
        carried = np.where(simple, u32[heads + 8], u32[np.where(simple, heads, heads + 24)]).astype(np.int64)
        start = heads + np.where(simple, 12, 28)
        room = heads + sizes - 4 - start
        captured = np.where(simple, self._snapped(carried), u32[np.where(simple, heads, heads + 20)])
        first = self.frames + 1
        self.frames += len(heads)
        return Records(
            data=self._window.data,
            frame=first,
            start=start,
            captured=np.minimum(np.minimum(captured, room), MAX_CAPTURED),
            carried=carried,
            link=known.link,
            # A simple packet block has no time (section 4.4).
            time=np.where(simple, UNTIMED, known.nanoseconds(ticks)),
            digits=known.digits,
        )

    def _snapped(self, carried: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tell how much of a simple packet block's packet is there: its interface, the first, says (section 4.4)."""
        snap = self._table.snap
        return np.minimum(carried, snap) if snap else carried


def _find(window: Window, order: str) -> int | None:
    """Find the next enhanced packet block in the window: places are multiples of four from here."""
    first, end = window.start + 4, min(window.start + REACH, window.end)
    here = np.arange(first, end - 32 + 1, 4)
    u32 = numbers(window.data, order + "u4")
    if not len(here):
        return None
    size = u32[here + 4].astype(np.int64)
    here = here[(u32[here] == ENHANCED_PACKET) & (size >= 32) & (size % 4 == 0) & (here + size <= window.end)]
    here = here[u32[here + 4] == u32[here + u32[here + 4] - 4]]
    return int(here[0]) if len(here) else None
