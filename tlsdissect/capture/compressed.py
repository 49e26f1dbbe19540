"""Decompress captures in gzip (RFC 1952) or Zstandard (RFC 8878), with one or many members or frames."""

from __future__ import annotations

import re
import zlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlsdissect.capture.source import Source

CHUNK = 1 << 17
"""Compressed bytes read at a time."""
MAX_PIECE = 1 << 18
"""Maximum number of bytes that one read decompresses. Larger buffers are slower: each needs a new memory mapping."""
MAX_SLICE = 1 << 10
"""Bytes of Zstandard input that are decompressed at a time. A block of four bytes expands to at most 128 KiB (RFC 8878
section 3.1.1.2), so this much input expands to at most 32 MiB."""
_OUT_OF_MEMORY = re.compile(r"Error -4 |Allocation error", re.IGNORECASE)
"""What zlib (Z_MEM_ERROR) and Zstandard say when an allocation failed; neither raises MemoryError."""


class _Compressed(ABC):
    """Common part of both formats: compressed bytes are read in chunks, after `head`, which was read already."""

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

    def _has_input(self) -> bool:
        return bool(self._left or self._head)

    def _inflate(self, limit: int) -> bytes | None:
        self._left = self._left or self._chunk()
        if not self._left:
            self.problem = self.problem or (None if self._member.eof else "the gzip data are cut short")
            return None
        if self._member.eof and not self._next_member():
            return b""
        try:
            part = self._member.decompress(self._left, limit)
        except zlib.error as error:
            self._damaged("gzip", error)
            return None
        self._left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
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
