"""A Linux packet socket that delivers frames in blocks of a shared ring (packet(7), TPACKET_V3 of if_packet.h)."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
import threading
import time
from typing import NamedTuple

from tlsdissect.capture.ring_frames import Block

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 1, 5, 6, 10
PACKET_IGNORE_OUTGOING = 23
TPACKET_V3 = 2
PACKET_MR_PROMISC = 1
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3

BLOCK = 1 << 18
"""Bytes of a block: more than any frame has, including segments of 64 KiB on `lo`."""
RETIRE_MS = 10
"""Milliseconds after which the kernel delivers a block that is not full."""
GATHERED = 64
"""Maximum number of blocks in a batch."""
ENOUGH = 16
"""Number of blocks from which on `gather` does not wait for more."""
_MOMENT = 0.002
"""Seconds between two checks of whether there are enough."""
_FRAME = 2048
"""The frame size, which the kernel requires but does not use in this version of the ring."""
_BLOCK_HEADER = struct.Struct("=8x4I")
"""After version and offset: status, number of packets, offset of the first, bytes used."""
_STATUS = struct.Struct("=I")
_USER = 1
_STATISTICS = struct.Struct("=3I")


class Drops(NamedTuple):
    """What the kernel counted."""

    received: int
    dropped: int


class Ring:
    """A packet socket, which receives nothing before `start`. Raises OSError if the kernel refuses."""

    def __init__(self, *, cooked: bool, size: int) -> None:
        kind = socket.SOCK_DGRAM if cooked else socket.SOCK_RAW
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        self.blocks = max(size // BLOCK, 2)
        self._next = 0
        self._drops = Drops(0, 0)
        self._asking = threading.Lock()
        self._poll = select.poll()
        try:
            self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
            total = self.blocks * BLOCK
            wanted = struct.pack("=7I", BLOCK, self.blocks, _FRAME, total // _FRAME, RETIRE_MS, 0, 0)
            self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, wanted)
            self._map = mmap.mmap(self._socket.fileno(), total)
        except OSError:
            self._socket.close()
            raise
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)

    def filter(self, program: bytes) -> None:
        """Attach a filter: a `struct sock_fprog`."""
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def ignore_outgoing(self) -> None:
        """Ignore what this machine sends: on `lo`, it is captured again as received."""
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)

    def promiscuous(self, index: int) -> None:
        """Put an interface into promiscuous mode until the socket is closed."""
        request = struct.pack("=iHH8x", index, PACKET_MR_PROMISC, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)

    def start(self, index: int) -> None:
        """Begin to receive from the interface with this index, or from all for 0, which Python cannot bind."""
        address = struct.pack("=H", socket.AF_PACKET) + struct.pack(">H", ETH_P_ALL) + struct.pack("=i12x", index)
        if ctypes.CDLL(None, use_errno=True).bind(self._socket.fileno(), address, len(address)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def wait(self, seconds: float) -> bool:
        """Wait for a block; True if there is one. raises OSError if the interface went down or disappeared."""
        if self._is_ready(self._next):
            return True
        self._poll.poll(seconds * 1000)
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "")
        return self._is_ready(self._next)

    def gather(self, seconds: float) -> None:
        """Wait a while for more blocks, or until there are enough."""
        end = time.monotonic() + seconds
        enough = min(ENOUGH, self.blocks // 4)
        while time.monotonic() < end and not self._is_ready((self._next + enough) % self.blocks):
            time.sleep(_MOMENT)

    def take(self) -> list[Block]:
        """Copy the blocks that are ready, and return them to the kernel."""
        blocks: list[Block] = []
        while len(blocks) < GATHERED and self._is_ready(self._next):
            begin = self._next * BLOCK
            _, frames, first, used = _BLOCK_HEADER.unpack_from(self._map, begin)
            blocks.append(Block(self._map[begin : begin + used], first, frames))
            _STATUS.pack_into(self._map, begin + 8, 0)
            self._next = (self._next + 1) % self.blocks
        return blocks

    @property
    def drops(self) -> Drops:
        """Frames received so far, and frames dropped for lack of room."""
        # Reading the statistics resets them.
        with self._asking:
            if self._socket.fileno() < 0:
                return self._drops
            statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
            received, dropped, _ = _STATISTICS.unpack(statistics)
            self._drops = Drops(self._drops.received + received - dropped, self._drops.dropped + dropped)
            return self._drops

    @property
    def closed(self) -> bool:
        """Whether the socket is closed."""
        return self._map.closed

    def close(self) -> None:
        """Close socket and ring; `drops` stays available."""
        if self.closed:
            return
        _ = self.drops
        self._map.close()
        self._socket.close()

    def _is_ready(self, block: int) -> bool:
        return bool(_STATUS.unpack_from(self._map, block * BLOCK + 8)[0] & _USER)
