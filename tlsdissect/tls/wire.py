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


_TAG = struct.Struct(">HH")


class Reader:
    """A cursor over one bounded run of bytes; no read can leave its bounds.

    Numbers are big-endian and lengths stand in front of what they count (RFC 8446 section 3). `flaw` is what
    stopped a reading `so_far`, and None while all is well.
    """

    # Each method that reads does so by itself: calls between them would double what a hello costs.
    __slots__ = ("_data", "_end", "_next", "flaw")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        self._data = data
        self._next = start
        self._end = len(data) if end is None else end
        self.flaw: WireError | None = None

    def __len__(self) -> int:
        return self._end - self._next

    @property
    def offset(self) -> int:
        """Where the next byte stands in the outermost data."""
        return self._next

    def u8(self) -> int:
        """Read a uint8."""
        start = self._next
        if start >= self._end:
            raise self._short(1)
        self._next = start + 1
        return self._data[start]

    def u16(self) -> int:
        """Read a uint16."""
        start = self._next
        if start + 2 > self._end:
            raise self._short(2)
        self._next = start + 2
        return self._data[start] << 8 | self._data[start + 1]

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

    def varint(self) -> int:
        """Read a number whose first two bits tell its size (RFC 9000 section 16)."""
        start = self._claim(1)
        size = 1 << (self._data[start] >> 6)
        self._claim(size - 1)
        return int.from_bytes(self._data[start : self._next], "big") & (1 << 8 * size - 2) - 1

    def opaque(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        start = self._next
        end = start + size
        if end > self._end:
            raise self._short(size)
        self._next = end
        return self._data[start:end]

    def rest(self) -> bytes:
        """Read what is left."""
        return self.opaque(self._end - self._next)

    def sized(self, prefix: int) -> bytes:
        """Read bytes whose length stands in the `prefix` bytes in front of them."""
        start = self._next + prefix
        if start > self._end:
            raise self._short(prefix)
        end = start + int.from_bytes(self._data[self._next : start], "big")
        self._next = start
        if end > self._end:
            raise self._short(end - start)
        self._next = end
        return self._data[start:end]

    def peek(self, size: int) -> bytes:
        """Look at the next `size` bytes, or at those that there are."""
        return self._data[self._next : min(self._next + size, self._end)]

    def part(self, size: int) -> Reader:
        """Enter a block of `size` bytes."""
        start = self._claim(size)
        return self._child(start, self._next)

    def block(self, prefix: int) -> Reader:
        """Enter a block whose length stands in its first `prefix` bytes."""
        start = self._claim(self.uint(prefix))
        return self._child(start, self._next)

    def items(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items, to the last byte.

        Where these are plain numbers of one or two bytes, `u8s` and `u16s` are faster, and `Reader.u8` as the item
        would pass by what a subclass notes.
        """
        items = []
        while self._next < self._end:
            items.append(item(self))
        return tuple(items)

    def vector(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items whose length in bytes stands in front of it, to its last byte."""
        return self.block(prefix).items(item)

    def items_so_far(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items up to the first malformed one, which becomes `flaw`: those before it are still told."""
        items = []
        start = self._next
        try:
            while (start := self._next) < self._end:
                items.append(item(self))
        except WireError as error:
            # A traceback would keep the reader and its bytes alive as long as the flaw is.
            self.flaw = error.with_traceback(None)
            self._next = start
        return tuple(items)

    def vector_so_far(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector as `items_so_far`; that it is cut short is a `flaw` too."""
        size = self.attempt(lambda: self.uint(prefix))
        if size is None:
            return ()
        flaw = self._short(size) if size > len(self) else None
        block = self.part(min(size, len(self)))
        items = block.items_so_far(item)
        self.flaw = flaw or block.flaw
        return items

    def tagged(self, item: Callable[[int, bytes], T]) -> tuple[T, ...] | None:
        """Read a vector of items, each a uint16 and a vector of bytes, in one go; None: it is not read, or malformed.

        Its length and theirs take two bytes.
        """
        data, at = self._data, self._next + 2
        end = at + int.from_bytes(data[self._next : at], "big")
        if at > self._end or end > self._end:
            return None
        items = []
        while at < end - 3:
            number, size = _TAG.unpack_from(data, at)
            body = at + 4
            at = body + size
            items.append(item(number, data[body:at]))
        if at != end:
            return None
        self._next = end
        return tuple(items)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """Read, and where that fails note the `flaw` and step to the end: nothing behind it can be placed."""
        try:
            return read()
        except WireError as error:
            # Without its frames, which hold this reader: a cycle for each malformed message.
            self.flaw = error.with_traceback(None)
            self._next = self._end
            return None

    def u8s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint8, in one go."""
        return tuple(self.sized(prefix))

    def u16s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint16, in one go."""
        data = self.sized(prefix)
        if len(data) % 2:
            raise WireError(f"a list of 2-byte numbers is {len(data)} bytes long", self._next - len(data))
        return _u16s(len(data) // 2).unpack(data)

    def whole(self, item: Callable[[Reader], T]) -> T:
        """Read one item that must be without flaw and use up every byte left."""
        value = item(self)
        flaw = self.flaw or self._left_over()
        if flaw:
            raise flaw
        return value

    def _left_over(self) -> WireError | None:
        size = self._end - self._next
        return WireError(f"{size} bytes left over", self._next) if size else None

    def _short(self, size: int) -> WireError:
        return WireError(f"{size} bytes wanted, {self._end - self._next} left", self._next)

    def _claim(self, size: int) -> int:
        """Step over `size` bytes and return where they begin."""
        start = self._next
        if size > self._end - start:
            raise self._short(size)
        self._next = start + size
        return start

    def _child(self, start: int, end: int) -> Reader:
        return Reader(self._data, start, end)


def salvage(item: Callable[[Reader], T], data: bytes) -> tuple[T, WireError | None]:
    """Read a whole message, and tell what is wrong with its last list or after it; all else wrong is raised."""
    r = Reader(data)
    value = item(r)
    return value, r.flaw or r._left_over()  # noqa: SLF001  # the reader's own module
