# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The frames in blocks of a packet socket's ring (packet(7), `struct tpacket3_hdr` of if_packet.h)."""

from __future__ import annotations

import sys
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

import cython

from tlsdissect.capture.device import LOOPBACK
from tlsdissect.capture.frames import FrameReader
from tlsdissect.capture.octets import u16, u16_little, u32, u32_little
from tlsdissect.capture.protocols import VLAN

if TYPE_CHECKING:
    from collections.abc import Iterable

ETHERNET, LINUX_SLL2 = 1, 276
"""Link types of the frames: LINKTYPE_ETHERNET, LINKTYPE_LINUX_SLL2."""

PACKET_OUTGOING = 4
"""The packet type of frames that this machine sends (if_packet.h)."""
VLAN_VALID, VLAN_TPID_VALID = 1 << 4, 1 << 6
"""Status bits of a header: the kernel removed a VLAN tag, and recorded its TPID, too."""
SOCKADDR = 48
"""Offset of the sockaddr_ll from the beginning of a packet's header."""


class Block(NamedTuple):
    """A block of the ring, copied."""

    data: bytes
    first: int
    """Where the first header begins."""
    frames: int
    """Number of frames."""


class Recorder(Protocol):
    """Receives each frame as it arrives, to save it."""

    def add(self, frame: bytes, carried: cython.longlong, time: cython.longlong) -> object:
        """Save a frame, given its length on the wire and its time."""
        ...


@cython.cclass
class RingFrames(FrameReader):
    """The frames of the blocks that were loaded."""

    cooked: cython.bint
    """Whether frames come without a link-layer header, and get one of LINKTYPE_LINUX_SLL2."""
    recorder: Recorder | None
    _little: cython.bint
    """Whether this machine, and so the headers, are little-endian."""
    _blocks: deque[Block]
    """Blocks after the one that is being read."""
    _block: bytes
    _next: cython.Py_ssize_t
    """Where the next header begins in `_block`."""
    _left: cython.longlong
    """Frames of `_block` that were not read yet."""
    _bytes: cython.longlong
    """Bytes of all frames so far."""

    def __init__(self, *, cooked: cython.bint) -> None:
        super().__init__()
        self.link = LINUX_SLL2 if cooked else ETHERNET
        self.digits = 9
        self.links = {self.link}
        self.cooked = cooked
        self.recorder = None
        self._little = sys.byteorder == "little"
        self._blocks = deque()
        self._block = b""
        self._next = 0
        self._left = 0
        self._bytes = 0

    @property
    def position(self) -> int:
        """Bytes received."""
        return self._bytes

    def load(self, blocks: Iterable[Block]) -> None:
        """Append blocks to those that were loaded before."""
        self._blocks.extend(blocks)

    def end(self) -> None:
        """End the capture after the blocks that were loaded."""
        self.ended = True

    def close(self) -> None:
        """Do nothing: the socket belongs to the caller of `load`."""

    @cython.ccall
    def next_frame(self) -> cython.bint:
        """Find the next frame; False if no block is left."""
        here: cython.Py_ssize_t
        while True:
            if self._left == 0:
                if not self._blocks:
                    return False
                block = self._blocks.popleft()
                self._block = block.data
                self._next = block.first
                self._left = block.frames
                continue
            here = self._next
            self._next += self._u32(here)
            self._left -= 1
            if self._found(here):
                return True

    @cython.cfunc
    def _found(self, here: cython.Py_ssize_t) -> cython.bint:
        """Read the frame whose header is at `here`; False for the first of two copies."""
        self.data = self._block
        self.start = here + self._u16(here + 24)
        self.captured = self._u32(here + 12)
        self.carried = self._u32(here + 16)
        self.time = self._u32(here + 4) * 1_000_000_000 + self._u32(here + 8)
        if self.cooked:
            # What this machine sends over `lo` is captured again as received; only that copy is used.
            if self.data[here + SOCKADDR + 10] == PACKET_OUTGOING and self._u16(here + SOCKADDR + 8) == LOOPBACK:
                return False
            self._replace(self._sll2(here + SOCKADDR), self.start)
        elif self._u32(here + 20) & VLAN_VALID:
            self._replace(self.data[self.start : self.start + 12] + self._vlan_tag(here), self.start + 12)
        self.frames += 1
        self._bytes += self.captured
        if self.recorder is not None:
            self.recorder.add(self.data[self.start : self.start + self.captured], self.carried, self.time)
        return True

    @cython.cfunc
    def _replace(self, head: bytes, rest: cython.Py_ssize_t) -> cython.bint:
        """Replace the bytes of the frame before `rest` with `head`."""
        more: cython.longlong = len(head) - (rest - self.start)
        end: cython.Py_ssize_t = self.start + self.captured
        self.data = head + self.data[rest:end]
        self.start = 0
        self.captured += more
        self.carried += more
        return True

    @cython.cfunc
    def _vlan_tag(self, here: cython.Py_ssize_t) -> bytes:
        """Return the VLAN tag that the kernel moved from the frame to its header."""
        kind: cython.longlong = VLAN
        if self._u32(here + 20) & VLAN_TPID_VALID:
            kind = self._u16(here + 36)
        tag: cython.longlong = kind << 16 | self._u32(here + 32) & 0xFFFF
        return tag.to_bytes(4, "big")

    @cython.cfunc
    def _sll2(self, address: cython.Py_ssize_t) -> bytes:
        """Return the header of LINKTYPE_LINUX_SLL2 for a sockaddr_ll."""
        data: bytes = self._block
        protocol: bytes = data[address + 2 : address + 4]
        rest: bytes = data[address + 10 : address + 20]
        index: cython.longlong = self._u32(address + 4)
        hardware: cython.longlong = self._u16(address + 8)
        return protocol + bytes(2) + index.to_bytes(4, "big") + hardware.to_bytes(2, "big") + rest

    @cython.cfunc
    def _u16(self, at: cython.Py_ssize_t) -> cython.longlong:
        return u16_little(self._block, at) if self._little else u16(self._block, at)

    @cython.cfunc
    def _u32(self, at: cython.Py_ssize_t) -> cython.longlong:
        return u32_little(self._block, at) if self._little else u32(self._block, at)
