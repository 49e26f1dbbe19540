"""Decompress captures in gzip (RFC 1952), Zstandard (RFC 8878), xz or bzip2, of one or many members or frames."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from tlsdissect.capture.source import MAGIC_GZIP, MAGIC_XZ, MAGICS_BZIP2

if TYPE_CHECKING:
    from bz2 import BZ2Decompressor
    from collections.abc import Callable
    from lzma import LZMADecompressor

    from tlsdissect.capture.source import Source

CHUNK = 1 << 17
"""_Compressed bytes read at a time."""
MAX_PIECE = 1 << 18
"""Maximum number of bytes that one read decompresses. Larger buffers are slower: each needs a new memory mapping."""
MAX_SLICE = 1 << 10
"""Bytes of Zstandard, xz or bzip2 that are given to a decompressor at a time. Zstandard expands four bytes to at most
128 KiB (RFC 8878 section 3.1.1.2), so this much to at most 32 MiB."""
MAX_XZ_MEMORY = 128 << 20
"""Bytes of memory to decompress xz data, twice what those of `xz -9` need. Data that need more count as damaged."""
_OUT_OF_MEMORY = re.compile(r"Error -4 |Allocation error", re.IGNORECASE)
"""What zlib (Z_MEM_ERROR) and Zstandard say when an allocation failed; neither raises MemoryError."""


class _Compressed(ABC):
    """Common part of all formats: compressed bytes are read in chunks, after `head`, which was read already."""

    def __init__(self, source: Source, head: bytes) -> None:
        self._source = source
        self._head = head
        self.problem: str | None = None

    @property
    def position(self) -> int:
        return self._source.position

    @property
    def size(self) -> int | None:
        return self._source.size

    def close(self) -> None:
        self._source.close()

    def read_at(self, place: int, count: int) -> bytes:  # noqa: ARG002 (decompression only goes forward)
        return b""

    def unread(self, count: int) -> bool:  # noqa: ARG002 (decompression only goes forward)
        return False

    def is_ready(self) -> bool:
        return self._has_input() or self._source.is_ready()

    def read(self, limit: int) -> bytes:
        """Decompress at most `limit` or MAX_PIECE bytes, whichever is less; empty at the end."""
        limit = min(limit, MAX_PIECE)
        parts: list[bytes] = []
        size = 0
        # Return what is ready before reading from the source again, which may block.
        while size < limit and self.problem is None and (size == 0 or self._has_input()):
            part = self._inflate(limit - size)
            if part is None:
                break
            # A million members without a byte take no room.
            if part:
                parts.append(part)
                size += len(part)
        return b"".join(parts)

    @abstractmethod
    def _inflate(self, limit: int) -> bytes | None:
        """Return up to `limit` bytes, which may be none yet; None at the end."""

    @abstractmethod
    def _has_input(self) -> bool:
        """Return whether there is input that was read and not decompressed yet."""

    def _damaged(self, name: str, error: Exception) -> None:
        """Note that the data are damaged; raise MemoryError instead if memory ran out."""
        if _OUT_OF_MEMORY.search(str(error)):
            raise MemoryError from error
        self.problem = f"the {name} data are damaged ({error})"

    def _chunk(self) -> bytes:
        if self._head:
            head, self._head = self._head, b""
            return head
        data = self._source.read(CHUNK)
        if not data:
            self.problem = self._source.problem
        return data


class Gzip(_Compressed):
    """Decompressed bytes of a gzip file."""

    def __init__(self, source: Source, head: bytes) -> None:
        super().__init__(source, head)
        self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._left = b""
        self._step = CHUNK
        """Bytes that are decompressed at a time; half as many after each error, which loses what its call had made."""

    def _has_input(self) -> bool:
        return bool(self._left or self._head)

    def _inflate(self, limit: int) -> bytes | None:
        self._left = self._left or self._chunk()
        if not self._left:
            self.problem = self.problem or (None if self._member.eof else "the gzip data are cut short")
            return None
        if self._member.eof and not self._next_member():
            return b""
        before, step, rest = self._member.copy(), self._left[: self._step], self._left[self._step :]
        try:
            part = self._member.decompress(step, limit)
        except zlib.error as error:
            if len(step) == 1 or _OUT_OF_MEMORY.search(str(error)):
                self._damaged("gzip", error)
                return None
            # What comes before the error is decompressed again, so that it does not depend on the size of the pieces.
            self._member, self._step = before, len(step) // 2
            return b""
        self._left = (self._member.unused_data if self._member.eof else self._member.unconsumed_tail) + rest
        return part

    def _next_member(self) -> bool:
        """Begin the next member; False if only zero padding follows, which gzip ignores too."""
        self._left = self._left.lstrip(b"\0")
        if self._left:
            self._member = zlib.decompressobj(zlib.MAX_WBITS | 16)
        return bool(self._left)


class Zstandard(_Compressed):
    """Decompressed bytes of a Zstandard file."""

    def __init__(self, source: Source, head: bytes) -> None:
        super().__init__(source, head)
        import zstandard  # noqa: PLC0415  # start-up time: most captures do not need it

        self._error = zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor()
        self._frame = self._decompressor.decompressobj()
        self._left = memoryview(b"")
        self._ready = memoryview(b"")

    def _has_input(self) -> bool:
        return bool(self._ready or self._left or self._head)

    def _inflate(self, limit: int) -> bytes | None:
        if not self._ready and not self._decompress():
            return None
        part, self._ready = self._ready[:limit], self._ready[limit:]
        return bytes(part)

    def _decompress(self) -> bool:
        """Decompress the next slice completely, perhaps to no bytes; False at the end."""
        self._left = self._left or memoryview(self._chunk())
        if not self._left:
            self.problem = self.problem or (None if self._frame.eof else "the Zstandard data are cut short")
            return False
        if self._frame.eof:
            self._frame = self._decompressor.decompressobj()
        part = self._left[:MAX_SLICE]
        try:
            self._ready = memoryview(self._frame.decompress(part))
        except self._error as error:
            self._damaged("Zstandard", error)
            return False
        self._left = self._left[len(part) - len(self._frame.unused_data) :]
        return True


class _Streams(_Compressed):
    """Decompressed bytes of one or many streams, by the decompressors of xz and bzip2 in Python's standard library."""

    def __init__(
        self,
        source: Source,
        head: bytes,
        name: str,
        begin: Callable[[], BZ2Decompressor | LZMADecompressor],
        error: type[Exception],
    ) -> None:
        """`begin` makes a decompressor, which raises `error` if the data are damaged."""
        super().__init__(source, head)
        self._name = name
        self._begin = begin
        self._error = error
        self._stream = begin()
        self._data = memoryview(b"")
        self._next = 0
        """The place in `_data` of the first byte that no decompressor has."""

    def _has_input(self) -> bool:
        return bool(self._head) or self._next < len(self._data) or not (self._stream.eof or self._stream.needs_input)

    def _inflate(self, limit: int) -> bytes | None:
        part = memoryview(b"")
        if self._stream.eof or self._stream.needs_input:
            if self._next == len(self._data):
                self._data, self._next = memoryview(self._chunk()), 0
            # What follows a stream is copied when the stream ends: a whole chunk would be copied for each short one.
            part = self._data[self._next : self._next + MAX_SLICE]
            if not part:
                self.problem = self.problem or (None if self._stream.eof else f"the {self._name} data are cut short")
                return None
            if self._stream.eof and not self._next_stream(bytes(part)):
                return b""
            part = self._data[self._next : self._next + MAX_SLICE]
            self._next += len(part)
        try:
            found = self._stream.decompress(part, limit)
        except self._error as error:
            self._damaged(self._name, error)
            return None
        self._next -= len(self._stream.unused_data)
        return found

    def _next_stream(self, part: bytes) -> bool:
        """Begin the next stream after padding of zeros, which xz allows; False if only padding is left of `part`."""
        rest = part.lstrip(b"\0")
        self._next += len(part) - len(rest)
        if rest:
            self._stream = self._begin()
        return bool(rest)


class Xz(_Streams):
    """Decompressed bytes of an xz file."""

    def __init__(self, source: Source, head: bytes) -> None:
        import lzma  # noqa: PLC0415  # start-up time: most captures do not need it

        begin = partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, MAX_XZ_MEMORY)
        super().__init__(source, head, "xz", begin, lzma.LZMAError)


class Bzip2(_Streams):
    """Decompressed bytes of a bzip2 file."""

    def __init__(self, source: Source, head: bytes) -> None:
        import bz2  # noqa: PLC0415  # start-up time: most captures do not need it

        super().__init__(source, head, "bzip2", bz2.BZ2Decompressor, OSError)


def decompressed(source: Source, head: bytes) -> Source:
    """Return the decompressed bytes of a source whose first bytes, `head`, were read already; they show the format."""
    if head.startswith(MAGIC_GZIP):
        return Gzip(source, head)
    if head.startswith(MAGIC_XZ):
        return Xz(source, head)
    return Bzip2(source, head) if head.startswith(MAGICS_BZIP2) else Zstandard(source, head)
