# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""A window over a source of bytes: the rest of the previous piece, and the piece that was read last.

Each piece is a new `bytes` object, so a packet may refer to it for any time; packets would have to be copied out of a
buffer that is reused. The incomplete frame at the end of a piece is read again with the next one if the source can step
back, which is cheaper than joining the two.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, BinaryIO

import cython

from tlsdissect.capture.errors import CaptureError
from tlsdissect.capture.source import COMPRESSED, Descriptor, FileObject

if TYPE_CHECKING:
    from tlsdissect.capture.source import Source

PIECE = 1 << 20
"""Bytes requested at a time: few enough to stay in the processor's cache while their headers are read."""
FIRST_PIECE = 1 << 16
"""Bytes requested at a time where only the first frame is read."""

HEAD = 24
"""Bytes needed to recognize the format: the length of a pcap file header."""


@cython.cclass
class Window:
    """`data[start:end]` are the bytes read but not yet consumed; the consumer advances `start`."""

    __slots__ = ("data", "end", "ended", "offset", "piece", "source", "start", "unreported")

    data: bytes
    start: cython.Py_ssize_t
    end: cython.Py_ssize_t
    """Always the length of `data`."""
    offset: cython.longlong
    """Offset of `data[0]` in the uncompressed capture."""
    ended: cython.bint
    """Whether the source has no more bytes."""
    unreported: cython.bint
    """Whether bytes were read since `pauses` last returned True."""
    source: Source
    piece: cython.longlong
    """Bytes requested at a time."""

    def __init__(self, source: Source, piece: cython.longlong = PIECE) -> None:
        self.piece = piece
        self.data = b""
        self.start = 0
        self.end = 0
        self.offset = 0
        self.ended = False
        self.unreported = False
        self.source = source
        self.need(HEAD)
        if self.data.startswith(COMPRESSED):
            self._decompress()

    @property
    def problem(self) -> str | None:
        """Why the source ended too early; None if it did not."""
        return self.source.problem

    @cython.ccall
    def need(self, size: cython.longlong) -> cython.bint:
        """Read until there are `size` bytes from `start` on; False if the source ends before."""
        while self.end - self.start < size and not self.ended:
            self._read(size)
        return self.end - self.start >= size

    @cython.ccall
    def skip(self, size: cython.longlong) -> cython.bint:
        """Skip `size` bytes, most of which may not have been read yet; False if the source ends before."""
        while size > self.end - self.start:
            size -= self.end - self.start
            self.start = self.end
            if not self.need(1):
                return False
        self.start += size
        return True

    @cython.ccall
    def pauses(self) -> cython.bint:
        """Return, once per pause, whether the next read would wait for a slow source."""
        if not self.unreported or self.ended or self.source.is_ready():
            return False
        self.unreported = False
        return True

    def close(self) -> None:
        """Close the source."""
        self.source.close()

    @cython.cfunc
    def _read(self, size: cython.longlong) -> cython.bint:
        """Read until there are `size` bytes or the source ends, and keep the bytes that were not used."""
        rest: bytes = self.data[self.start : self.end]
        data: bytes
        if rest and self.source.unread(len(rest)):
            data = self.source.read(max(size, self.piece))
            if len(data) <= len(rest):
                # The file was truncated meanwhile; it ends where it ended before.
                self.ended = True
                data = rest
        else:
            # Join all pieces of a pipe at once: joining them one by one would take quadratic time.
            pieces: list[bytes] = [rest]
            have: cython.longlong = len(rest)
            while have < size and not self.ended:
                data = self.source.read(max(size - have, self.piece))
                self.ended = not data
                pieces.append(data)
                have += len(data)
            data = b"".join(pieces)
        self.offset += self.start
        self.data = data
        self.start = 0
        self.end = len(data)
        self.unreported = True
        return True

    @cython.cfunc
    def _decompress(self) -> cython.bint:
        """Insert the decompressor that the first bytes require; file names do not matter."""
        from tlsdissect.capture.compressed import decompressed  # noqa: PLC0415  # start-up time: most captures need none

        self.source = decompressed(self.source, self.data)
        self.data = b""
        self.start = 0
        self.end = 0
        self.offset = 0
        self.ended = False
        return self.need(HEAD)


def open_window(source: str | os.PathLike[str] | BinaryIO, piece: cython.longlong = PIECE) -> Window:
    """Open a path, standard input ("-") or a binary file object."""
    if not isinstance(source, str | os.PathLike):
        return Window(FileObject(source), piece)
    if source == "-":
        if sys.stdin is None:
            raise CaptureError("is closed")
        return Window(Descriptor(sys.stdin.fileno(), owned=False), piece)
    try:
        number = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise CaptureError(getattr(error, "strerror", None) or str(error)) from error
    return Window(Descriptor(number, owned=True), piece)
