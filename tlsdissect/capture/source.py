"""Where the bytes of a capture come from: a file, a pipe, standard input, a file object."""

from __future__ import annotations

import os
import select
import stat
from typing import BinaryIO, Protocol

from tlsdissect.capture.errors import CaptureError

PAUSE = 50
"""Milliseconds that a pipe may stay silent before what it has sent is passed on."""


class Source(Protocol):
    """A stream of bytes, compressed or not."""

    trouble: str | None
    """What is wrong with the end of the bytes, once they have ended; None if nothing is."""

    @property
    def position(self) -> int:
        """Bytes read so far, as they lie on disk."""
        ...

    @property
    def size(self) -> int | None:
        """All bytes, as they lie on disk, if that can be known."""
        ...

    def read(self, limit: int) -> bytes:
        """Read up to `limit` bytes; none at the end."""
        ...

    def unread(self, count: int) -> bool:
        """Step back, so that the next read gives the last `count` bytes again; False if that is not possible."""
        ...

    def is_ready(self) -> bool:
        """Tell whether a read would return soon."""
        ...

    def close(self) -> None:
        """Close what this source opened."""
        ...


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

    def read(self, limit: int) -> bytes:
        """Read what is there, up to `limit` bytes; none at the end."""
        try:
            data = os.read(self._number, limit)
        except OSError as error:
            self.trouble = f"reading failed: {error.strerror}"
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

    def is_ready(self) -> bool:
        """Tell whether the next bytes are there, or come within PAUSE."""
        if self.size is not None:
            return True
        poll = select.poll()
        poll.register(self._number, select.POLLIN)
        return bool(poll.poll(PAUSE))

    def close(self) -> None:
        """Close the descriptor if it was opened here."""
        if self._owned:
            os.close(self._number)
            self._owned = False


class FileObject:
    """An open binary file object, which may have no descriptor of its own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.position = 0
        self.size: int | None = None
        self.trouble: str | None = None

    def read(self, limit: int) -> bytes:
        """Read up to `limit` bytes; none at the end."""
        try:
            # An unbuffered stream without data returns None.
            data = bytes(self._stream.read(limit) or b"")
        except (OSError, EOFError, ValueError) as error:
            self.trouble = f"reading failed: {error}"
            return b""
        self.position += len(data)
        return data

    def unread(self, count: int) -> bool:  # noqa: ARG002 (what others do with it)
        """Return False: a stream is never assumed to be seekable."""
        return False

    def is_ready(self) -> bool:
        """Assume that it is: a file object cannot be asked."""
        return True

    def close(self) -> None:
        """Leave the stream to its owner."""
