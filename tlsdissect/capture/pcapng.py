# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""pcapng files (draft-ietf-opsawg-pcapng): blocks of any number of sections, interfaces and byte orders."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import cython

from tlsdissect.capture.blocks import (
    APPLICATION,
    END_TIME,
    ENHANCED_PACKET,
    EXTRACT,
    INTERFACE,
    OLD_PACKET,
    SECRETS,
    SECTION,
    SIMPLE_PACKET,
    STATISTICS,
    TLS_KEY_LOG,
    SecretsBlock,
)
from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.frames import MAX_CAPTURED, MAX_DAMAGED, MAX_DISTANCE, FileReader
from tlsdissect.capture.interfaces import NO_LINK_TYPE, Interface, read_interface, read_options
from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.capture.frames import FrameReader
    from tlsdissect.capture.source import Source
    from tlsdissect.capture.window import Window

MAGIC = b"\x0a\x0d\x0d\x0a"
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

SHORTEST = 12
"""Length of a block without a body."""
SHORTEST_PACKET, SHORTEST_SIMPLE_PACKET = 32, 16
"""Length of a block with an empty packet."""
SHORTEST_SECTION = 28
MAX_SECTION_HEADER = 65_536
"""Bytes of a section header whose options are read."""

MAX_BLOCK = 16 << 20
"""Length of a block that must be read as a whole; a longer one counts as damage. Other blocks are skipped whatever
their length."""
MAX_SECRETS = 64 << 20
"""Bytes of decryption secrets that are kept of one capture, SECRET_BYTES included; more count as damage."""
SECRET_BYTES = 64
"""Bytes counted for each block of secrets besides its own: an empty one takes memory too."""
MAX_LAST_BLOCKS = 65_536
"""Blocks after the last packet of a file in which secrets are looked for before its packets are read; that takes a few
tenths of a second at most. Secrets further from the end are found where they are."""
MAX_INTERFACES = 65_536
"""Interfaces of one section that are kept, as many as an obsolete packet block can refer to. Real sections have dozens.
Packets of further ones count as packets of an interface that is not described, and the first such interface is reported
as damage."""
_SECRETS_HEADER = 16
"""Bytes of a block of secrets before them."""
_PACKETS = (ENHANCED_PACKET, SIMPLE_PACKET, OLD_PACKET)
_NOT_DESCRIBED = Interface(NO_LINK_TYPE)


@cython.cclass
class Pcapng(FileReader):
    """The packets in the blocks of a pcapng file."""

    interfaces: list[Interface]
    """The interfaces of this section, by number."""
    too_many_interfaces: cython.bint
    """Whether a section with more than MAX_INTERFACES was reported."""
    returns_blocks: cython.bint
    """Whether `next_frame` also returns at section headers, interfaces and secrets; `kind` tells what it has found."""
    kind: cython.longlong
    """Type of the block that was found last."""
    block: cython.Py_ssize_t
    """Where this block begins in `data`."""
    block_size: cython.longlong
    """Its length, of which a section header may have fewer bytes in `data`."""
    last_secrets: set[int]
    """File offsets of the blocks that `find_last_secrets` has already kept."""
    extracted: cython.bint
    """Whether this section was written by `tlsdissect extract`."""

    def __init__(self, window: Window) -> None:
        super().__init__(window)
        self.interfaces = []
        self.too_many_interfaces = False
        self.returns_blocks = False
        self.kind = 0
        self.block = 0
        self.block_size = 0
        self.last_secrets = set()
        self.extracted = False
        if not window.need(SHORTEST_SECTION) or window.data[8:12] not in _ORDERS:
            raise CaptureError(window.problem or "is cut short or damaged in the first section header of pcapng")

    def find_last_secrets(self) -> None:
        """Keep the secrets in the blocks after the last packet: some programs write them when the capture ends.

        A block ends with its length, so these blocks can be read from the end of a file. To find secrets elsewhere in
        advance, a pass over all blocks would be needed, which takes a fifth of the time of reading their packets.
        """
        source = self.window.source
        end: cython.longlong = source.size or 0
        found: list[SecretsBlock] = []
        for _ in range(MAX_LAST_BLOCKS):
            order, size, head = _block_before(source, end)
            if not size or struct.unpack_from(order + "I", head)[0] in _PACKETS:
                break
            end -= size
            kind, _, of, length = struct.unpack(order + "4I", head.ljust(_SECRETS_HEADER, b"\0"))
            if kind != SECRETS or of != TLS_KEY_LOG or not _SECRETS_HEADER + 4 <= size <= MAX_BLOCK:
                continue
            counted = size - SHORTEST + SECRET_BYTES
            if not self._has_room(counted):
                break
            self.secret_bytes += counted
            self.last_secrets.add(end)
            lines = source.read_at(end + _SECRETS_HEADER, min(length, size - _SECRETS_HEADER - 4))
            found.append(SecretsBlock(lines, False))
        self.secrets += reversed(found)

    def resume(self, earlier: FrameReader, name: str) -> None:
        """Continue after an earlier capture, with the secrets of both."""
        found, counted = self.secrets, self.secret_bytes
        FileReader.resume(self, earlier, name)
        if self._has_room(counted):
            self.secrets += found
            self.secret_bytes += counted
        else:
            # Those that still fit are kept when they are read, and the others reported.
            self.last_secrets = set()

    @cython.ccall
    def next_frame(self) -> cython.bint:
        """Find the next packet; False if none is available now."""
        window: Window = self.window
        here: cython.Py_ssize_t
        kind: cython.longlong
        size: cython.longlong
        shortest: cython.longlong
        while not self.ended:
            here = window.start
            if here + SHORTEST > window.end:
                if window.pauses():
                    return False
                if not window.need(SHORTEST):
                    self._end(False)
                continue
            kind = self._u32(window.data, here)
            if kind == SECTION:
                if self._begin_section() and self.returns_blocks:
                    return True
                continue
            # Some writers leave the padding out of the length.
            size = (self._u32(window.data, here + 4) + 3) // 4 * 4
            shortest = SHORTEST
            if kind in (ENHANCED_PACKET, OLD_PACKET):
                shortest = SHORTEST_PACKET
            elif kind == SIMPLE_PACKET:
                shortest = SHORTEST_SIMPLE_PACKET
            if size < shortest:
                self._resume(f"a block of {size} bytes is shorter than its kind allows")
            elif here + size <= window.end:
                window.start = here + size
                self._at(kind, here, size)
                if kind in (ENHANCED_PACKET, OLD_PACKET):
                    self._packet(window.data, here, size, kind == OLD_PACKET)
                    return True
                if kind == SIMPLE_PACKET:
                    self._simple_packet(window.data, here, size)
                    return True
                if kind == INTERFACE:
                    self._describe(here, size)
                elif kind == SECRETS:
                    self._secrets(here, size)
                elif kind == STATISTICS and self.extracted:
                    self._read_end(here, size)
                if self.returns_blocks and kind in (INTERFACE, SECRETS):
                    self.data = window.data
                    return True
            elif shortest == SHORTEST and kind not in (INTERFACE, SECRETS, STATISTICS):
                if not window.skip(size):
                    self._end(True)
            elif size > MAX_BLOCK:
                self._resume(f"a block of {size} bytes is longer than any may be")
            elif window.pauses():
                return False
            elif not window.need(size):
                self._end(True)
        return False

    @cython.cfunc
    def _at(self, kind: cython.longlong, here: cython.Py_ssize_t, size: cython.longlong) -> cython.bint:
        self.kind = kind
        self.block = here
        self.block_size = size
        return True

    @cython.cfunc
    def _packet(self, data: bytes, here: cython.Py_ssize_t, size: cython.longlong, old: cython.bint) -> cython.bint:
        """Read an enhanced packet block (section 4.3) or an obsolete packet block (appendix A)."""
        number: cython.longlong = self._u16(data, here + 8) if old else self._u32(data, here + 8)
        interface: Interface = self._interface(number)
        captured: cython.longlong = min(self._u32(data, here + 20), size - SHORTEST_PACKET)
        self._found(data, here + 28, captured, self._u32(data, here + 24), interface)
        self.interface = number
        self.time = interface.nanoseconds(self._u32(data, here + 12), self._u32(data, here + 16))
        return True

    @cython.cfunc
    def _simple_packet(self, data: bytes, here: cython.Py_ssize_t, size: cython.longlong) -> cython.bint:
        """Read a simple packet block, whose packet has no time and belongs to the first interface (section 4.4)."""
        carried: cython.longlong = self._u32(data, here + 8)
        interface: Interface = self._interface(0)
        captured: cython.longlong = min(carried, size - SHORTEST_SIMPLE_PACKET)
        if interface.snap > 0:
            captured = min(captured, interface.snap)
        self._found(data, here + 12, captured, carried, interface)
        self.interface = 0
        self.time = UNTIMED
        return True

    @cython.cfunc
    def _interface(self, number: cython.longlong) -> Interface:
        """Return the interface of a packet, without a link type if no block described it."""
        return self.interfaces[number] if number < len(self.interfaces) else _NOT_DESCRIBED

    @cython.cfunc
    def _found(
        self,
        data: bytes,
        start: cython.Py_ssize_t,
        captured: cython.longlong,
        carried: cython.longlong,
        interface: Interface,
    ) -> cython.bint:
        self.frames += 1
        self.data = data
        self.start = start
        self.captured = min(captured, MAX_CAPTURED)
        self.carried = carried
        self.link = interface.link
        self.digits = interface.digits
        return True

    @cython.cfunc
    def _describe(self, here: cython.Py_ssize_t, size: cython.longlong) -> cython.bint:
        """Read an interface description block."""
        if len(self.interfaces) >= MAX_INTERFACES:
            if not self.too_many_interfaces:
                self.too_many_interfaces = True
                detail = f"a section with more than {MAX_INTERFACES:,} interfaces: packets of the others are not read"
                self._report(detail, here)
            return False
        interface: Interface = read_interface(">" if self.big else "<", self.window.data[here + 8 : here + size - 4])
        self.interfaces.append(interface)
        self.links.add(interface.link)
        return True

    @cython.cfunc
    def _begin_section(self) -> cython.bint:
        """Begin a section, which has its own interfaces and byte order."""
        window: Window = self.window
        order = _ORDERS.get(window.data[window.start + 8 : window.start + 12])
        size: cython.longlong
        if order is None:
            self._resume("a section header without its byte-order magic")
            return False
        self.big = order == ">"
        self.interfaces = []
        size = self._u32(window.data, window.start + 4)
        if size < SHORTEST_SECTION:
            self._resume(f"a section header of {size} bytes")
            return False
        size = (size + 3) // 4 * 4
        window.need(min(size, MAX_SECTION_HEADER))
        self.data = window.data
        self._at(SECTION, window.start, size)
        self.extracted = is_extract(order or "<", self.data[window.start + 24 : window.start + size - 4])
        return window.skip(size) or self._end(False)

    @cython.cfunc
    def _read_end(self, here: cython.Py_ssize_t, size: cython.longlong) -> cython.bint:
        """Read when the capture ended from an interface statistics block (section 4.6)."""
        body: bytes = self.window.data[here + 8 : here + size - 4]
        order: str = ">" if self.big else "<"
        if len(body) < 12:
            return False
        interface: Interface = self._interface(self._u32(body, 0))
        for code, value in read_options(order, body[12:]):
            if code == END_TIME and len(value) == 8:
                self.until = max(self.until, interface.nanoseconds(self._u32(value, 0), self._u32(value, 4)))
        return True

    @cython.cfunc
    def _secrets(self, here: cython.Py_ssize_t, block: cython.longlong) -> cython.bint:
        """Keep the key log in a decryption secrets block, whose body begins with the type and length of its secrets."""
        body: bytes = self.window.data[here + 8 : here + block - 4]
        if len(body) < 8 or self._u32(body, 0) != TLS_KEY_LOG or self.window.offset + here in self.last_secrets:
            return False
        if self._has_room(len(body) + SECRET_BYTES):
            self.secrets.append(SecretsBlock(body[8 : 8 + self._u32(body, 4)], self.frames > self.before))
        elif self._has_room(0):
            self._report("more decryption secrets than are kept", here)
        # Those that are not kept count, too, so that they are reported once.
        self.secret_bytes += len(body) + SECRET_BYTES
        return True

    def _has_room(self, size: cython.longlong) -> bool:
        """Return whether MAX_SECRETS allows so many more bytes of secrets."""
        return self.secret_bytes + size <= MAX_SECRETS

    @cython.cfunc
    def _end(self, in_block: cython.bint) -> cython.bint:
        """End the capture; report an incomplete block at its end."""
        window: Window = self.window
        left: cython.longlong = window.end - window.start
        if left > 0 or in_block or window.problem:
            why = f"the file ends in the middle of a block, {left} bytes of which are there"
            self._report(window.problem or why, window.start)
        self.ended = True
        return False

    @cython.cfunc
    def _resume(self, detail: str) -> cython.bint:
        """Give up a damaged block; continue at the next enhanced packet block whose two length fields agree."""
        window: Window = self.window
        self._report(detail, window.start)
        if self.damaged > MAX_DAMAGED:
            self.ended = True
            return False
        # Read enough bytes that the result does not depend on how many come at a time.
        window.need(MAX_DISTANCE + MAX_CAPTURED + 2 * SHORTEST_PACKET)
        data: bytes = window.data
        end: cython.Py_ssize_t = min(window.start + MAX_DISTANCE, window.end)
        mark: bytes = struct.pack(">I" if self.big else "<I", ENHANCED_PACKET)
        place: cython.Py_ssize_t = window.start
        size: cython.longlong
        while True:
            place = data.find(mark, place + 1, end)
            if place < 0 or place + SHORTEST_PACKET > end:
                break
            size = self._u32(data, place + 4)
            # Blocks are aligned to four bytes.
            if (place - window.start) % 4 != 0 or size % 4 != 0 or not SHORTEST_PACKET <= size <= window.end - place:
                continue
            if self._u32(data, place + size - 4) == size:
                window.start = place
                return True
        window.start = window.end
        self.ended = True
        return False


def _block_before(source: Source, end: cython.longlong) -> tuple[str, int, bytes]:
    """Return byte order, length and first bytes of the block that ends at a place; length 0 if there is none."""
    trailer = source.read_at(end - 4, 4)
    if len(trailer) == 4:
        for order in "<>":
            size: cython.longlong = struct.unpack(order + "I", trailer)[0]
            head = source.read_at(end - size, min(size, _SECRETS_HEADER)) if size >= SHORTEST else b""
            if len(head) >= SHORTEST and struct.unpack_from(order + "I", head, 4)[0] == size:
                return order, size, head
    return "<", 0, b""


def is_extract(order: str, options: bytes) -> bool:
    """Return whether the options of a section header name `tlsdissect extract`."""
    return any(code == APPLICATION and value == EXTRACT for code, value in read_options(order, options))
