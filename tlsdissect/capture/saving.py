"""What an interface brings, saved as pcapng: a file that can be read at every moment, or a row of them."""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tlsdissect.capture.ring import Drops

_SECTION, _INTERFACE, _STATISTICS, _PACKET = 0x0A0D0D0A, 1, 5, 6
"""Types of blocks (draft-ietf-opsawg-pcapng, section 4)."""
_COMMENT, _APPLICATION = 1, 4
_NAME, _RESOLUTION, _FILTER = 2, 9, 11
_ACCEPTED, _DROPPED, _DELIVERED = 6, 7, 8
_NANOSECONDS = b"\x09"
_LIBPCAP_TEXT = b"\x00"
"""A filter's first byte: what follows is in the words of pcap-filter(7)."""
_HEADER = 28
"""Bytes of an Enhanced Packet Block before the packet."""
_SOON = 0.5
"""Seconds for which packets are gathered before they are compressed."""
_ENOUGH = 1 << 20
"""Bytes that are compressed together."""


class Rotation(NamedTuple):
    """When a file is full: at so many bytes (before compression), or so many seconds after its start."""

    size: float = float("inf")
    seconds: float = float("inf")


class Saved(NamedTuple):
    """What is saved, where, and what the files tell of themselves."""

    path: str
    interface: str
    link: int
    """Link type of the packets."""
    expression: str
    rotation: Rotation | None = None
    """None: one file of just this name; else each has a number and the time of its start in its name."""


class Saver:
    """Writes packets; raises OSError where the first file cannot be opened.

    The folder is opened at once, and the files in it when `start` is called: by then the process may be another
    user's, whose files they are. A disk that is full costs the packets that come meanwhile, which are counted.
    """

    def __init__(self, saved: Saved, drops: Callable[[], Drops]) -> None:
        """`drops` asks what the kernel counted since the first file was begun."""
        self._saved = saved
        self.path = saved.path
        self._drops = drops
        self._limits = saved.rotation or Rotation()
        folder, self._name = os.path.split(saved.path)
        self._folder = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        self._file = -1
        self._number = 0
        self._began = self._written = 0.0
        self._whole = self._size = 0
        """Bytes of the file up to the end of a block, and of what was put into it."""
        self._pending: list[bytes] = []
        self._gathered = self._waiting = 0
        """Bytes and packets that are gathered."""
        self.unsaved = 0
        """Packets that could not be written."""
        self.problem: str | None = None
        """Why the latest could not."""
        self._compressed = saved.path.lower().endswith(".gz")

    def start(self) -> None:
        """Open the first file, or the next one of a rotation."""
        how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._file = os.open(self._file_name(), how, 0o666, dir_fd=self._folder)
        self._number += 1
        self._whole = self._size = 0
        self._began = time.monotonic()
        self._put(_beginning(self._saved), 0)
        self._flush()

    def add(self, frame: bytes, carried: int, time: int) -> None:
        """Save a packet: its bytes, how many it had on the wire, and when it was captured."""
        if self._file < 0:
            return
        block = _packet(frame, carried, time)
        if self._size + self._gathered + len(block) > self._limits.size and self._size:
            self._next()
        self._put(block, 1)

    def tick(self) -> None:
        """Let time pass: write what has waited long enough, and open a new file when it is time."""
        now = time.monotonic()
        if not self._compressed or self._gathered > _ENOUGH or now - self._written > _SOON:
            self._flush()
        if now - self._began > self._limits.seconds:
            self._next()

    def finish(self) -> None:
        """End the last file."""
        if self._file < 0:
            return
        self._put(_statistics(self._drops()), 0)
        self._flush()
        os.close(self._file)
        self._file = -1

    def close(self) -> None:
        """End the last file, and let go of the folder."""
        self.finish()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _put(self, blocks: bytes, packets: int) -> None:
        self._pending.append(blocks)
        self._gathered += len(blocks)
        self._waiting += packets

    def _next(self) -> None:
        """Go on in a new file; the old one is kept open where that cannot be had."""
        self._put(_statistics(self._drops()), 0)
        self._flush()
        before = self._file
        try:
            self.start()
        except OSError as error:
            self.problem = error.strerror
            self._began, self._size = time.monotonic(), 0
            return
        os.close(before)

    def _file_name(self) -> str:
        if self._saved.rotation is None:
            return self._name
        stem, dot, suffixes = self._name.partition(".")
        return f"{stem}_{self._number + 1:05}_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}{dot}{suffixes}"

    def _flush(self) -> None:
        """Write whole blocks, compressed as a member of their own, or none of them."""
        if not self._pending:
            return
        data, packets = b"".join(self._pending), self._waiting
        self._pending.clear()
        self._size += len(data)
        self._gathered = self._waiting = 0
        self._written = time.monotonic()
        if self._compressed:
            data = gzip.compress(data, 1)
        try:
            self._write(data)
        except OSError as error:
            self.problem = error.strerror
            self.unsaved += packets
            # What is no regular file cannot be cut.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._whole)
                os.lseek(self._file, self._whole, os.SEEK_SET)

    def _write(self, data: bytes) -> None:
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                at += os.write(self._file, view[at:])
        self._whole += len(data)


def _beginning(saved: Saved) -> bytes:
    """Begin a section: what made the file, and the interface."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + _options(
        [(_COMMENT, f"tlsdissect live -i {saved.interface}".encode()), (_APPLICATION, b"tlsdissect")]
    )
    interface = struct.pack("<HHI", saved.link, 0, 0) + _options(
        [
            (_NAME, saved.interface.encode()),
            (_RESOLUTION, _NANOSECONDS),
            (_FILTER, _LIBPCAP_TEXT + saved.expression.encode()),
        ]
    )
    return _block(_SECTION, section) + _block(_INTERFACE, interface)


def _statistics(drops: Drops) -> bytes:
    """Tell what the kernel counted so far."""
    received, dropped = drops
    told = ((_ACCEPTED, received + dropped), (_DROPPED, dropped), (_DELIVERED, received))
    high, low = divmod(time.time_ns(), 1 << 32)
    options = [(code, struct.pack("<Q", count)) for code, count in told]
    return _block(_STATISTICS, struct.pack("<3I", 0, high, low) + _options(options))


def _packet(frame: bytes, carried: int, time: int) -> bytes:
    """Write an Enhanced Packet Block."""
    high, low = divmod(time, 1 << 32)
    padding = -len(frame) % 4
    length = _HEADER + len(frame) + padding + 4
    head = struct.pack("<7I", _PACKET, length, 0, high, low, len(frame), carried)
    return b"".join((head, frame, bytes(padding), length.to_bytes(4, "little")))


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def _options(options: Iterable[tuple[int, bytes]]) -> bytes:
    """Write options, each padded to 32 bits, and the one that ends them."""
    written = [struct.pack("<HH", code, len(value)) + value + bytes(-len(value) % 4) for code, value in options]
    return b"".join(written) + bytes(4)
