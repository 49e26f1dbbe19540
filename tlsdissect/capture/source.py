"""Sources of a capture's bytes: a file, a pipe, standard input, a file object."""

from __future__ import annotations

import os
import select
import stat
from typing import BinaryIO, Protocol

from tlsdissect.capture.errors import CaptureError

PAUSE = 50
"""Milliseconds to wait for more bytes of a pipe before processing those that have come."""

MAGIC_GZIP = b"\x1f\x8b"  # RFC 1952 section 2.3.1
MAGIC_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878 section 3.1.1
MAGIC_XZ = b"\xfd7zXZ\0"  # section 2.1.1.1 of the .xz file format
MAGICS_BZIP2 = tuple(f"BZh{level}".encode() for level in range(1, 10))
MAGICS_SKIPPABLE = tuple(bytes([0x50 + number]) + b"\x2a\x4d\x18" for number in range(16))
"""Magic numbers of skippable Zstandard frames (section 3.1.2), with which files of pzstd begin."""
COMPRESSED = (MAGIC_GZIP, MAGIC_ZSTD, *MAGICS_SKIPPABLE, MAGIC_XZ, *MAGICS_BZIP2)


class Source(Protocol):
    """A stream of bytes, compressed or not."""

    problem: str | None
    """Why the bytes ended too early, once they have ended; None if they are complete."""

    @property
    def position(self) -> int:
        """Bytes read so far, counted before decompression."""
        ...

    @property
    def size(self) -> int | None:
        """Total number of bytes on disk; None if unknown."""
        ...

    def read(self, limit: int) -> bytes:
        """Read up to `limit` bytes; empty at the end."""
        ...

    def unread(self, count: int) -> bool:
        """Step back, so that the next read returns the last `count` bytes again; False if that is impossible."""
        ...

    def is_ready(self) -> bool:
        """Return whether a read would return soon."""
        ...

    def read_at(self, place: int, count: int) -> bytes:
        """Read up to `count` bytes at a place in the file without moving; empty if that is impossible."""
        ...

    def close(self) -> None:
        """Close the file, if this source opened it."""
        ...


class Descriptor:
    """A file, pipe or socket, by its file descriptor."""

    def __init__(self, number: int, *, owned: bool) -> None:
        self._number = number
        self._owned = owned
        status = os.fstat(number)
        if stat.S_ISDIR(status.st_mode):
            self.close()
            raise CaptureError("is a directory")
        self.position = 0
        self.size = status.st_size if stat.S_ISREG(status.st_mode) else None
        self.problem: str | None = None

    def read(self, limit: int) -> bytes:
        """Read what is available, up to `limit` bytes; empty at the end."""
        try:
            data = os.read(self._number, limit)
        except OSError as error:
            self.problem = f"reading failed: {error.strerror}"
            return b""
        self.position += len(data)
        return data

    def unread(self, count: int) -> bool:
        """Step back in a regular file."""
        if self.size is None:
            return False
        try:
            os.lseek(self._number, -count, os.SEEK_CUR)
        except OSError:
            return False
        self.position -= count
        return True

    def read_at(self, place: int, count: int) -> bytes:
        """Read up to `count` bytes at a place in a regular file, unless another program may have read its beginning."""
        if self.size is None or not self._owned or place < 0:
            return b""
        try:
            return os.pread(self._number, count, place)
        except OSError:
            return b""

    def is_ready(self) -> bool:
        """Return whether the next bytes are available, or come within PAUSE."""
        if self.size is not None:
            return True
        poll = select.poll()
        poll.register(self._number, select.POLLIN)
        return bool(poll.poll(PAUSE))

    def close(self) -> None:
        """Close the descriptor, if this source owns it."""
        if self._owned:
            os.close(self._number)
            self._owned = False


class FileObject:
    """An open binary file object, which may have no descriptor of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.size: int | None = None
        self.problem: str | None = None

    def read(self, limit: int) -> bytes:
        """Read up to `limit` bytes; empty at the end."""
        try:
            # An unbuffered stream without data returns None.
            data = bytes(self._stream.read(limit) or b"")
        except (OSError, EOFError, ValueError) as error:
            self.problem = f"reading failed: {error}"
            return b""
        self.position += len(data)
        return data

    def unread(self, count: int) -> bool:  # noqa: ARG002 (the signature of Source)
        """Return False: a stream is never assumed to be seekable."""
        return False

    def read_at(self, place: int, count: int) -> bytes:  # noqa: ARG002 (the signature of Source)
        """Return nothing: a stream is never assumed to be seekable."""
        return b""

    def is_ready(self) -> bool:
        """Return True: a file object has no way to find out."""
        return True

    def close(self) -> None:
        """Leave the stream to its owner."""
