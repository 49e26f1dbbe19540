"""The cursor that every TLS decoder reads by."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class WireError(Exception):
    """Bytes that do not have the shape which the RFC gives them.

    `problem` says what was expected and what stands there, `offset` where, counted from the first byte of the
    data that the outermost reader was given.
    """

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem, offset)
        self.problem = problem
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.problem} at byte {self.offset}"


@lru_cache(maxsize=1024)
def _u16s(count: int) -> struct.Struct:
    return struct.Struct(f">{count}H")


class Reader:
    """A cursor over one bounded run of bytes; no read can leave its bounds.

    Numbers are big-endian and lengths stand in front of what they count (RFC 8446 section 3).
    """

    __slots__ = ("_data", "_end", "_next")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._next = start
        self._end = len(data) if end is None else end

    def __len__(self) -> int:
        return self._end - self._next

    @property
    def offset(self) -> int:
        """Where the next byte stands in the outermost data."""
        return self._next

    def u8(self) -> int:
        """Read a uint8."""
        start = self._claim(1)
        return self._data[start]

    def u16(self) -> int:
        """Read a uint16."""
        return self.uint(2)

    def u24(self) -> int:
        """Read a uint24."""
        return self.uint(3)

    def u32(self) -> int:
        """Read a uint32."""
        return self.uint(4)

    def uint(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        start = self._claim(size)
        return int.from_bytes(self._data[start : self._next], "big")

    def opaque(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        start = self._claim(size)
        return self._data[start : self._next]

    def rest(self) -> bytes:
        """Read what is left."""
        return self.opaque(self._end - self._next)

    def block(self, prefix: int) -> Reader:
        """Enter a block whose length stands in its first `prefix` bytes."""
        start = self._claim(self.uint(prefix))
        return type(self)(self._data, start, self._next)

    def vector(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items whose length in bytes stands in front of it, to its last byte."""
        block = self.block(prefix)
        items = []
        while block._next < block._end:
            items.append(item(block))
        return tuple(items)

    def u16s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint16, in one go."""
        block = self.block(prefix)
        size = block._end - block._next
        if size % 2:
            raise WireError(f"a list of 2-byte numbers is {size} bytes long", block._next)
        return _u16s(size // 2).unpack_from(block._data, block._next)

    def whole(self, item: Callable[[Reader], T]) -> T:
        """Read one item that must use up every byte left."""
        value = item(self)
        if self._next != self._end:
            raise WireError(f"{self._end - self._next} bytes left over", self._next)
        return value

    def _claim(self, size: int) -> int:
        """Step over `size` bytes and return where they begin."""
        start = self._next
        if size > self._end - start:
            raise WireError(f"{size} bytes wanted, {self._end - start} left", start)
        self._next = start + size
        return start
