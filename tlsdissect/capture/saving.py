"""Save the packets of an interface as pcapng, in one file or a rotation; each is valid at any moment."""

from __future__ import annotations

import contextlib
import gzip
import os
import struct
import time
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.capture import blocks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.capture.ring import Drops

_NAME, _RESOLUTION, _FILTER = 2, 9, 11
_ACCEPTED, _DROPPED, _DELIVERED = 6, 7, 8
_NANOSECONDS = b"\x09"
_LIBPCAP_TEXT = b"\x00"
"""The first byte of a filter in the syntax of pcap-filter(7)."""
_SOON = 0.5
"""Seconds for which packets are gathered before they are compressed."""
_ENOUGH = 1 << 20
"""Bytes that are compressed together."""


class Rotation(NamedTuple):
    """When to begin a new file: after this many bytes (before compression) or seconds."""

    size: float = float("inf")
    seconds: float = float("inf")


class Saved(NamedTuple):
    """What is saved, where, and the metadata of the files."""

    path: str
    interface: str
    link: int
    """Link type of the packets."""
    expression: str
    rotation: Rotation | None = None
    """None: one file with this name; otherwise the name of each file gets its number and start time."""


class Saver:
    """Writes packets; raises OSError if the first file cannot be opened.

    The folder is opened at once, but the first file only by `start`, by which time the process may have switched to
    another user, who then owns the file. Packets that arrive while the disk is full are lost and counted.
    """

    def __init__(self, saved: Saved, drops: Callable[[], Drops]) -> None:
        """`drops` returns what the kernel counted since the first file was begun."""
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
        """Bytes written up to the end of a block, and bytes given to the file before compression."""
        self._pending: list[bytes] = []
        self._gathered = self._waiting = 0
        """Bytes and packets that were not written yet."""
        self.unsaved = 0
        """Packets that could not be written."""
        self.problem: str | None = None
        """Why the last of them could not."""
        self._compressed = saved.path.lower().endswith(".gz")

    def start(self) -> None:
        """Open the first file, or the next one of a rotation."""
        # The user named the one file, also if it is a link; the names of a rotation are made here, and can be foreseen.
        how = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if self._saved.rotation is None else os.O_EXCL)
        self._file = os.open(self._file_name(), how, 0o666, dir_fd=self._folder)
        self._number += 1
        self._whole = self._size = 0
        self._began = time.monotonic()
        self._put(_beginning(self._saved), 0)
        self._flush()

    def add(self, frame: bytes, carried: int, time: int) -> None:
        """Save a packet, given its length on the wire and its time."""
        if self._file < 0:
            return
        block = blocks.packet(frame, carried, time)
        if self._size + self._gathered + len(block) > self._limits.size and self._size:
            self._next()
        self._put(block, 1)

    def tick(self) -> None:
        """Write what has waited long enough, and begin a new file when it is time."""
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
        """End the last file and close the folder."""
        self.finish()
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def _put(self, blocks: bytes, packets: int) -> None:
        self._pending.append(blocks)
        self._gathered += len(blocks)
        self._waiting += packets

    def _next(self) -> None:
        """Begin a new file, or continue in the old one if that fails."""
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
        """Write all pending blocks, compressed as one gzip member, or none of them."""
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
            # Only regular files can be truncated.
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
    """Return the blocks that begin a section, which name this program and the interface."""
    section = blocks.section(
        [(blocks.COMMENT, f"tlsdissect live -i {saved.interface}".encode()), (blocks.APPLICATION, b"tlsdissect")]
    )
    interface = struct.pack("<HHI", saved.link, 0, 0) + blocks.encoded(
        [
            (_NAME, saved.interface.encode()),
            (_RESOLUTION, _NANOSECONDS),
            (_FILTER, _LIBPCAP_TEXT + saved.expression.encode()),
        ]
    )
    return section + blocks.block(blocks.INTERFACE, interface)


def _statistics(drops: Drops) -> bytes:
    """Return a statistics block with what the kernel counted so far."""
    received, dropped = drops
    counts = ((_ACCEPTED, received + dropped), (_DROPPED, dropped), (_DELIVERED, received))
    high, low = divmod(time.time_ns(), 1 << 32)
    options = [(code, struct.pack("<Q", count)) for code, count in counts]
    return blocks.block(blocks.STATISTICS, struct.pack("<3I", 0, high, low) + blocks.encoded(options))
