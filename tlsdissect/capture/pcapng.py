"""pcapng files (draft-ietf-opsawg-pcapng): blocks, of several sections, interfaces and byte orders."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

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
_HEADS = {order: struct.Struct(order + "2I") for order in "<>"}
"""Type and length, with which a block begins."""

MAX_BLOCK = 16 << 20
"""A block that is needed whole may have this many bytes; others are stepped over whatever their length."""
MAX_SECRETS = 64 << 20
"""Bytes of decryption secrets that are kept of one capture, SECRET_BYTES included; more are damage."""
SECRET_BYTES = 64
"""Bytes that a block of secrets counts beside its own: an empty one takes memory, too."""
REACH = 1 << 20
"""Bytes that are searched after a senseless block."""

_FIXED = {OLD_PACKET: 20, SIMPLE_PACKET: 4, ENHANCED_PACKET: 20}
"""Bytes of a packet block's body in front of the packet."""
_READ = frozenset({INTERFACE, SECRETS})


class Scope(NamedTuple):
    """What counts for the packets of a walk from one of them on."""

    first: int
    """Packets of the walk before."""
    order: str
    """The section's byte order."""
    base: int
    described: int
    """The section's interfaces: where they begin, and how many were described by then."""


class Walk(msgspec.Struct):
    """The packet blocks of one batch: kinds and places, in order."""

    kinds: list[int]
    heads: list[int]
    sizes: list[int]
    scopes: list[Scope]


class Pcapng:
    """The packet blocks of a pcapng file.

    A batch goes on through section headers: a file may consist of sections of one packet each, and a batch has its
    price, however small it is.
    """

    def __init__(self, window: Window, damage: list[Damage]) -> None:
        self.secrets: list[bytes] = []
        self.frames = 0
        self.links: set[int] = set()
        self._window = window
        self._damage = damage
        self._order = "<"
        self._table = interfaces.Interfaces()
        self._wanted = _READ
        """Blocks to be read beside packets: without interfaces where the section has too many."""
        self._told_of_interfaces = False
        self._secrets_size = 0
        window.advance()
        if window.end < 28 or bytes(window.data[8:12]) not in _ORDERS:
            raise CaptureError(window.trouble or "is cut short or damaged in the first section header of pcapng")

    def batches(self, limit: int) -> Iterator[Records]:
        """Walk the file; a batch is valid until the next is asked for."""
        while True:
            walk = Walk([], [], [], [])
            wanted = self._walk(walk, limit)
            if walk.heads:
                yield self._columns(walk)
            elif not self._go_on(wanted):
                return

    def _walk(self, walk: Walk, limit: int) -> int:
        """Note packet blocks, up to a senseless block, or one that the window does not hold whole.

        Gives the bytes of that block, if its header is there.
        """
        window, wanted = self._window, self._wanted
        self._table.forget()
        self._mark(walk)
        read = _HEADS[self._order].unpack_from
        data, end, here = window.data, window.end, window.start
        kinds, heads, sizes = walk.kinds, walk.heads, walk.sizes
        size = 12
        while here + 12 <= end and len(heads) < limit:
            kind, size = read(data, here)
            if kind == SECTION:
                size = self._section_inside(walk, here)
                if not size:
                    break
                read, wanted = _HEADS[self._order].unpack_from, self._wanted
                here += size
                continue
            # Some writers don't count the padding.
            size += -size % 4
            if size < _FIXED.get(kind, 0) + 12 or here + size > end:
                break
            if kind in _FIXED:
                kinds.append(kind)
                heads.append(here)
                sizes.append(size)
            elif kind in wanted:
                self._learn(walk, kind, here, size)
                wanted = self._wanted
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

    def _learn(self, walk: Walk, kind: int, here: int, size: int) -> None:
        """Read a block that is no packet but tells something."""
        body = bytes(self._window.data[here + 8 : here + size - 4])
        if kind == SECRETS:
            self._keep(walk, here, body)
        elif self._table.count < interfaces.MAX_INTERFACES:
            self.links.add(self._table.add(self._order, body))
            self._mark(walk)
        else:
            self._wanted = _READ - {INTERFACE}
            if not self._told_of_interfaces:
                self._told_of_interfaces = True
                detail = f"a section with more than {interfaces.MAX_INTERFACES:,} interfaces"
                self._note(f"{detail}: packets of the others are not read", len(walk.heads), here)

    def _mark(self, walk: Walk) -> None:
        """Note what counts for the packets of a walk from here on."""
        first = len(walk.heads)
        if walk.scopes and walk.scopes[-1].first == first:
            walk.scopes.pop()
        walk.scopes.append(Scope(first, self._order, self._table.base, self._table.count))

    def _section_inside(self, walk: Walk, here: int) -> int:
        """Begin a section whose header the window holds whole; give the header's bytes, or 0 if it is none."""
        window = self._window
        order = _ORDERS.get(bytes(window.data[here + 8 : here + 12]))
        if order is None:
            return 0
        size = int(_HEADS[order].unpack_from(window.data, here)[1])
        size += -size % 4
        if size < 28 or here + size > window.end:
            return 0
        self._begin_section(order)
        self._mark(walk)
        return size

    def _section(self, head: bytes) -> bool:
        """Begin a section whose header is senseless, or which the window does not hold whole."""
        order = _ORDERS.get(head[8:])
        if order is None:
            return self._resume("a section header without its byte-order magic")
        self._begin_section(order)
        size = int(struct.unpack(order + "I", head[4:8])[0])
        if size < 28:
            return self._resume(f"a section header of {size} bytes")
        return self._window.skip(size + -size % 4) or self._cut()

    def _begin_section(self, order: str) -> None:
        """Number interfaces anew; bytes may be ordered the other way."""
        self._order = order
        self._table.begin_section()
        self._wanted = _READ

    def _keep(self, walk: Walk, here: int, body: bytes) -> None:
        """Keep the secrets of a block: their length is its second field, behind their kind."""
        if len(body) < 8:
            return
        size = int(struct.unpack_from(self._order + "I", body, 4)[0])
        before, self._secrets_size = self._secrets_size, self._secrets_size + len(body) + SECRET_BYTES
        if self._secrets_size <= MAX_SECRETS:
            self.secrets.append(body[8 : 8 + size])
        elif before <= MAX_SECRETS:
            self._note("more decryption secrets than are kept", len(walk.heads), here)

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

    def _note(self, detail: str, walked: int = 0, here: int | None = None) -> None:
        """Note damage at a byte of the window, its start or `here`, behind so many packets of the walk."""
        window = self._window
        at = window.start if here is None else here
        self._damage.append(Damage(detail, self.frames + walked + 1, window.offset + at))

    def _columns(self, walk: Walk) -> Records:
        heads, kinds = np.array(walk.heads), np.array(walk.kinds)
        sizes = np.array(walk.sizes)
        begins, orders, bases, described = zip(*walk.scopes, strict=True)
        lasting = np.diff([*begins, len(heads)])
        u16, u32 = (_Gather(self._window.data, kind, orders, lasting) for kind in ("u2", "u4"))
        simple, old = kinds == SIMPLE_PACKET, kinds == OLD_PACKET
        interface = np.where(simple, 0, np.where(old, u16[heads + 8], u32[heads + 8])).astype(np.int64)
        known = self._table.rows(interface, np.repeat(bases, lasting), np.repeat(described, lasting))
        stamp = np.where(simple, heads, heads + 12)
        ticks = u32[stamp].astype(np.uint64) << np.uint64(32) | u32[stamp + 4].astype(np.uint64)
        carried = np.where(simple, u32[heads + 8], u32[np.where(simple, heads, heads + 24)]).astype(np.int64)
        start = heads + np.where(simple, 12, 28)
        room = heads + sizes - 4 - start
        # How much of a simple packet block's packet is there, its interface says, the first (section 4.4).
        snapped = np.where(known.snap > 0, np.minimum(carried, known.snap), carried)
        captured = np.where(simple, snapped, u32[np.where(simple, heads, heads + 20)])
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


class _Gather:
    """Numbers of packet blocks, one of each, in the byte order of the block's section."""

    def __init__(self, data: bytearray, kind: str, orders: tuple[str, ...], lasting: NDArray[np.int64]) -> None:
        self._numbers = numbers(data, orders[0] + kind)
        others = np.repeat([order != orders[0] for order in orders], lasting)
        self._others = others if others.any() else None

    def __getitem__(self, at: NDArray[np.int64]) -> NDArray[np.unsignedinteger[Any]]:
        value: NDArray[np.unsignedinteger[Any]] = self._numbers[at]
        return value if self._others is None else np.where(self._others, value.byteswap(), value)


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
