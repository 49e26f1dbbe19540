"""Any source of bytes as one reused buffer: file, pipe, standard input, .gz, .zst."""

from __future__ import annotations

import os
import select
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO

from tlsdissect.capture.errors import CaptureError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.capture.source import Source

SIZE = 4 << 20
"""Bytes of a window. What numpy reads after the record walk is then still in the processor's cache."""
MAX_SIZE = 256 << 20
"""The window grows to hold a single record or block, never beyond this."""
PATIENCE = 0.05
"""Seconds that a slow pipe may stay silent before what it has sent is passed on."""

HEAD = 24
"""Bytes that tell the kind of a capture: as many as the header of a classic one has."""

MAGIC_GZIP = b"\x1f\x8b"  # RFC 1952 section 2.3.1
MAGIC_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878 section 3.1.1
MAGICS_SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
"""Of Zstandard's frames that hold none of its data (section 3.1.2): pzstd begins with one."""


class Descriptor:
    """A file, pipe or socket, by its number."""

    def __init__(self, number: int, *, owned: bool) -> None:
        self._number = number
        self._owned = owned
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            self.close()
            raise CaptureError("is a directory")
        self.position = 0
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.trouble: str | None = None

    def read_into(self, room: memoryview) -> int:
        """Fill `room`; less of it at the end, and when a pipe pauses."""
        count = self._read(room)
        filled = count
        while count and filled < len(room) and self._more_is_near():
            count = self._read(room[filled:])
            filled += count
        return filled

    def close(self) -> None:
        """Close the descriptor if it was opened here."""
        if self._owned:
            os.close(self._number)
            self._owned = False

    def _read(self, room: memoryview) -> int:
        try:
            count = os.readv(self._number, [room])
        except OSError as error:
            self.trouble = f"reading failed: {error.strerror}"
            return 0
        self.position += count
        return count

    def _more_is_near(self) -> bool:
        if self.size is not None:
            return True
        return bool(select.select([self._number], [], [], PATIENCE)[0])


class FileObject:
    """An open binary file object, which may have no descriptor of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._readinto: Callable[[memoryview], int | None] | None = getattr(stream, "readinto", None)
        self.position = 0
        self.size: int | None = None
        self.trouble: str | None = None

    def read_into(self, room: memoryview) -> int:
        """Fill `room`; less of it at the end."""
        filled = 0
        while filled < len(room) and (count := self._read(room[filled:])):
            filled += count
        self.position += filled
        return filled

    def close(self) -> None:
        """Leave the stream to its owner."""

    def _read(self, room: memoryview) -> int:
        try:
            if self._readinto is not None:
                return self._readinto(room) or 0
            part = self._stream.read(len(room))
        except (OSError, EOFError, ValueError) as error:
            self.trouble = f"reading failed: {error}"
            return 0
        room[: len(part)] = part
        return len(part)


class Window:
    """A buffer that moves over a source: `data[start:end]` are the bytes not yet used.

    `offset` is the place of `data[0]` in the (uncompressed) capture.
    """

    def __init__(self, source: Source) -> None:
        self.data = bytearray(SIZE)
        self.start = 0
        self.end = 0
        self.offset = 0
        self.ended = False
        self._source = source
        self._begin()
        self._unpack()

    @property
    def position(self) -> int:
        """Bytes of the source used so far, as they lie on disk."""
        return self._source.position

    @property
    def size(self) -> int | None:
        """Bytes of the source on disk, if it can be known."""
        return self._source.size

    @property
    def trouble(self) -> str | None:
        """What is wrong with the end of the source; None if nothing is."""
        return self._source.trouble

    def advance(self, wanted: int = 0) -> bool:
        """Move what is left to the front and read on; True if there are `wanted` bytes then.

        Whoever still looks at the old bytes sees the new ones afterwards.
        """
        wanted = max(wanted, self.end - self.start + 1)
        self._move(wanted)
        while not self.ended and self.end < min(wanted, len(self.data)):
            self._read_more(len(self.data))
        return self.end >= wanted

    def skip(self, count: int) -> bool:
        """Step over `count` bytes, most of which may not have been read yet; False if they are not there."""
        while count > self.end - self.start:
            count -= self.end - self.start
            self.start = self.end
            if not self.advance():
                return False
        self.start += count
        return True

    def close(self) -> None:
        """Close what was opened here."""
        self._source.close()

    def _move(self, wanted: int) -> None:
        rest = self.end - self.start
        self.offset += self.start
        old = self.data
        if wanted > len(old) and len(old) < MAX_SIZE:
            # A view of the old buffer may be alive, so that it cannot be resized.
            self.data = bytearray(min(max(wanted, 2 * len(old)), MAX_SIZE))
        self.data[:rest] = memoryview(old)[self.start : self.end]
        self.start, self.end = 0, rest

    def _begin(self) -> None:
        """Read enough to tell what this is."""
        while not self.ended and self.end < HEAD:
            self._read_more(HEAD)

    def _read_more(self, until: int) -> None:
        if self.ended:
            return
        count = self._source.read_into(memoryview(self.data)[self.end : until])
        self.end += count
        self.ended = not count

    def _unpack(self) -> None:
        """Put a decompressor between, if the first bytes ask for one; names are not looked at."""
        head = bytes(self.data[: self.end])
        if not head.startswith((MAGIC_GZIP, MAGIC_ZSTD, *MAGICS_SKIPPABLE)):
            return
        from tlsdissect.capture import compressed  # noqa: PLC0415  # start-up time: most captures need none

        kind = compressed.Gzip if head.startswith(MAGIC_GZIP) else compressed.Zstandard
        self._source = kind(self._source, head)
        self.end = 0
        self.ended = False
        self._begin()


def open_window(source: str | os.PathLike[str] | BinaryIO) -> Window:
    """Open a path, standard input ("-") or a binary file object."""
    if not isinstance(source, str | os.PathLike):
        return Window(FileObject(source))
    if source == "-":
        if sys.stdin is None:
            raise CaptureError("is closed")
        return Window(Descriptor(sys.stdin.fileno(), owned=False))
    try:
        number = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise CaptureError(getattr(error, "strerror", None) or str(error)) from error
    return Window(Descriptor(number, owned=True))
