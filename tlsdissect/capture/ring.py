"""A packet socket of Linux whose frames come in blocks of a ring in memory (packet(7), TPACKET_V3 of if_packet.h)."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tlsdissect.capture.device import LOOPBACK
from tlsdissect.capture.records import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SOL_PACKET = 263
PACKET_ADD_MEMBERSHIP, PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION = 1, 5, 6, 10
PACKET_IGNORE_OUTGOING = 23
TPACKET_V3 = 2
PACKET_MR_PROMISC = 1
SO_ATTACH_FILTER = 26
ETH_P_ALL = 3

BLOCK = 1 << 18
"""Bytes of a block: more than any frame has, also where `lo` carries segments of 64 KiB."""
RETIRE_MS = 10
"""Milliseconds after which a block that is not full is handed over."""
GATHERED = 64
"""Blocks that become one batch where so many are ready."""
ENOUGH = 16
"""Blocks that are worth a batch: more are not waited for."""
_MOMENT = 0.002
"""Seconds after which it is looked again whether there are enough."""
_FRAME = 2048
"""The kernel wants to know a frame's size, and in this version of the ring makes nothing of it."""
_GAP = 16
"""Bytes between blocks that were gathered: the end of a frame that is recorded may need some."""
_BLOCK_HEADER = struct.Struct("=8x4I")
"""Behind version and offset: status, number of packets, offset of the first, bytes used."""
_STATUS = struct.Struct("=I")
_USER = 1
_STATISTICS = struct.Struct("=3I")
_PACKET = 48
"""Bytes of a packet's header; its sockaddr_ll stands behind."""
_SLL2 = 20
"""Bytes of a sockaddr_ll, and of the header that is made of it."""
_STATUS_AT, _TCI_AT, _TPID_AT = 20, 32, 36
"""Where in a packet's header its status and the VLAN tag stand that was taken out."""
_VLAN_VALID, _VLAN_TPID_VALID = 1 << 4, 1 << 6
_ADDRESSES, _TAG, _8021Q = 12, 4, 0x8100
"""Bytes of Ethernet's addresses, behind which a tag stands, and of the tag; the usual kind."""
_OUTGOING = 4
"""PACKET_OUTGOING of if_packet.h."""


class Frames(NamedTuple):
    """Frames in the order of their coming, and the bytes they stand in, valid until more are asked for."""

    data: bytearray
    head: NDArray[np.int64]
    """Where each frame's header of the ring begins."""
    start: NDArray[np.int64]
    captured: NDArray[np.int64]
    carried: NDArray[np.int64]
    time: NDArray[np.int64]
    """Nanoseconds since 1970-01-01T00:00:00Z."""

    def only(self, mask: NDArray[np.bool_]) -> Frames:
        """Keep the frames that `mask` tells."""
        return Frames(self.data, *(column[mask] for column in self[1:]))


class Drops(NamedTuple):
    """What the kernel counted."""

    received: int
    dropped: int


class Ring:
    """A packet socket: nothing comes before `start`. OSError where the kernel refuses."""

    def __init__(self, *, cooked: bool, size: int) -> None:
        kind = socket.SOCK_DGRAM if cooked else socket.SOCK_RAW
        self._socket = socket.socket(socket.AF_PACKET, kind, 0)
        self.blocks = max(size // BLOCK, 2)
        self._next = 0
        self._data = bytearray(GATHERED * (BLOCK + _GAP))
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
        """Leave out what this machine sends: on `lo` it comes again, as received."""
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)

    def promiscuous(self, index: int) -> None:
        """Let an interface hear also what is not sent to it; this ends with the socket."""
        request = struct.pack("=iHH8x", index, PACKET_MR_PROMISC, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, request)

    def start(self, index: int) -> None:
        """Begin to receive from the interface of this number; from all of them if it is 0, which Python cannot bind."""
        address = struct.pack("=H", socket.AF_PACKET) + struct.pack(">H", ETH_P_ALL) + struct.pack("=i12x", index)
        if ctypes.CDLL(None, use_errno=True).bind(self._socket.fileno(), address, len(address)):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def wait(self, seconds: float) -> bool:
        """Wait for a block; True if there is one. OSError tells what has become of the interface."""
        if self._is_ready(self._next):
            return True
        self._poll.poll(seconds * 1000)
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "")
        return self._is_ready(self._next)

    def gather(self, seconds: float) -> None:
        """Let blocks come in for a while, or until there are enough."""
        end = time.monotonic() + seconds
        enough = min(ENOUGH, self.blocks // 4)
        while time.monotonic() < end and not self._is_ready((self._next + enough) % self.blocks):
            time.sleep(_MOMENT)

    def take(self) -> Frames:
        """Copy the blocks that are ready, and give them back to the kernel."""
        heads: list[int] = []
        at = 0
        for _ in range(GATHERED):
            if not self._is_ready(self._next):
                break
            at += self._take(at, heads)
        return _frames(self._data, np.array(heads, np.int64))

    @property
    def drops(self) -> Drops:
        """Frames that passed the filter so far, and those of them for which there was no room."""
        # The kernel counts anew from each time that it is asked.
        with self._asking:
            if self._socket.fileno() < 0:
                return self._drops
            told = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
            received, dropped, _ = _STATISTICS.unpack(told)
            self._drops = Drops(self._drops.received + received - dropped, self._drops.dropped + dropped)
            return self._drops

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._map.closed

    def close(self) -> None:
        """Let go of socket and ring; what the kernel counted is still known."""
        if self.closed:
            return
        _ = self.drops
        self._map.close()
        self._socket.close()

    def _is_ready(self, block: int) -> bool:
        return bool(_STATUS.unpack_from(self._map, block * BLOCK + 8)[0] & _USER)

    def _take(self, at: int, heads: list[int]) -> int:
        """Copy a block to `at`, note where its packets' headers are, and tell how much room it took."""
        begin = self._next * BLOCK
        _, count, first, used = _BLOCK_HEADER.unpack_from(self._map, begin)
        self._data[at : at + used] = memoryview(self._map)[begin : begin + used]
        _STATUS.pack_into(self._map, begin + 8, 0)
        self._next = (self._next + 1) % self.blocks
        read, here = _STATUS.unpack_from, at + first
        for _ in range(count):
            heads.append(here)
            here += read(self._data, here)[0]
        return int(used) + _GAP


def _frames(data: bytearray, head: NDArray[np.int64]) -> Frames:
    """Read the headers of packets (struct tpacket3_hdr)."""
    u16, u32 = numbers(data, "=u2"), numbers(data, "=u4")
    return Frames(
        data=data,
        head=head,
        start=head + u16[head + 24],
        captured=u32[head + 12].astype(np.int64),
        carried=u32[head + 16].astype(np.int64),
        time=u32[head + 4].astype(np.int64) * 1_000_000_000 + u32[head + 8],
    )


def tagged(frames: Frames) -> Frames:
    """Put VLAN tags back that the kernel took out of Ethernet frames, in the room that it leaves before them.

    It tells a tag beside the frame (TP_STATUS_VLAN_VALID), and its kind (TP_STATUS_VLAN_TPID_VALID) or means 802.1Q.
    """
    u16, u32 = numbers(frames.data, "=u2"), numbers(frames.data, "=u4")
    status = u32[frames.head + _STATUS_AT]
    taken = np.flatnonzero(status & _VLAN_VALID)
    if not len(taken):
        return frames
    head, start = frames.head[taken, None], frames.start[taken, None]
    data = np.frombuffer(frames.data, np.uint8)
    addresses = data[start + np.arange(_ADDRESSES)]
    kind = np.where(status[taken, None] & _VLAN_TPID_VALID, u16[head + _TPID_AT], _8021Q)
    tag = np.concatenate((kind, u32[head + _TCI_AT]), axis=1).astype(">u2").view(np.uint8)
    data[start - _TAG + np.arange(_ADDRESSES + _TAG)] = np.concatenate((addresses, tag), axis=1)
    more = np.zeros_like(frames.start)
    more[taken] = _TAG
    return frames._replace(start=frames.start - more, captured=frames.captured + more, carried=frames.carried + more)


def cooked(frames: Frames) -> Frames:
    """Put the header of LINKTYPE_LINUX_SLL2 before frames without one, in the room that the kernel leaves there.

    What this machine sends over `lo` comes again, as received: this is the one that stays.
    """
    address = np.frombuffer(frames.data, np.uint8)[frames.head[:, None] + (_PACKET + np.arange(_SLL2))]
    family, protocol, index, hardware, kind, rest = np.split(address, (2, 4, 8, 10, 11), axis=1)
    numbered = index.copy().view(np.int32).astype(">i4").view(np.uint8)
    hardware_type = hardware.copy().view(np.uint16)
    parts = (protocol, np.zeros_like(family), numbered, hardware_type.astype(">u2").view(np.uint8), kind, rest)
    header = np.concatenate(parts, axis=1)
    np.frombuffer(frames.data, np.uint8)[frames.start[:, None] - _SLL2 + np.arange(_SLL2)] = header
    whole = frames._replace(
        start=frames.start - _SLL2, captured=frames.captured + _SLL2, carried=frames.carried + _SLL2
    )
    return whole.only((kind[:, 0] != _OUTGOING) | (hardware_type[:, 0] != LOOPBACK))
