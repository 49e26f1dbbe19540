# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""The bounds-checked reader that all TLS decoders use."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import cython

from tlsdissect.capture.octets import cut
from tlsdissect.tls.code_point_lists import LONG_LIST, LongList

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SHORT = 7
"""Bytes of the longest number that is certain to be a C integer."""


class WireError(Exception):
    """Bytes that do not have the structure that the RFC defines.

    `problem` says what was expected and what was found. `offset` counts from the first byte of the outermost reader's
    data.
    """

    def __init__(self, problem: str, offset: cython.longlong) -> None:
        super().__init__(problem, offset)
        self.problem = problem
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.problem} at byte {self.offset}"


class TooManyItemsError(WireError):
    """A list has more items than its limit."""


@lru_cache(maxsize=1024)
def _u16s(count: cython.longlong) -> struct.Struct:
    return struct.Struct(f">{count}H")


@cython.cclass
class Reader:
    """A cursor over a bounded range of bytes; no read can leave its bounds.

    Numbers are big-endian and vectors have length prefixes (RFC 8446 section 3).
    """

    # The methods do not call each other: the extra calls would double the time to decode a hello.
    error: WireError | None
    """What stopped a method `..._until_error`, or None."""
    most_items: cython.longlong
    """Items of a list that are read, also by readers of its parts; a list with more is an error. -1: any number."""
    _data: bytes
    _next: cython.Py_ssize_t
    _end: cython.Py_ssize_t

    def __init__(self, data: bytes, start: cython.Py_ssize_t = 0, end: Any = None) -> None:
        self.error = None
        self.most_items = -1
        self._data = data
        self._next = start
        self._end = len(data) if end is None else end

    def __len__(self) -> int:
        return self._end - self._next

    @property
    def offset(self) -> int:
        """Offset of the next byte in the outermost data."""
        return self._next

    def u8(self) -> int:
        """Read a uint8."""
        start: cython.Py_ssize_t = self._next
        if start >= self._end:
            raise self._short(1)
        self._next = start + 1
        return self._data[start]

    def u16(self) -> int:
        """Read a uint16."""
        start: cython.Py_ssize_t = self._next
        if start + 2 > self._end:
            raise self._short(2)
        self._next = start + 2
        return self._data[start] << 8 | self._data[start + 1]

    def u32(self) -> int:
        """Read a uint32."""
        return self.uint(4)

    def uint(self, size: cython.Py_ssize_t) -> int:
        """Read an unsigned number of `size` bytes."""
        start: cython.Py_ssize_t = self._claim(size)
        if size <= _SHORT:
            return self._number(start, self._next)
        return int.from_bytes(self._data[start : self._next], "big")

    def varint(self) -> int:
        """Read a variable-length integer (RFC 9000 section 16)."""
        start: cython.Py_ssize_t = self._claim(1)
        size = 1 << (self._data[start] >> 6)
        self._claim(size - 1)
        return int.from_bytes(self._data[start : self._next], "big") & (1 << 8 * size - 2) - 1

    def opaque(self, size: cython.Py_ssize_t) -> bytes:
        """Read exactly `size` bytes."""
        start: cython.Py_ssize_t = self._next
        end: cython.Py_ssize_t = start + size
        if end > self._end:
            raise self._short(size)
        self._next = end
        return cut(self._data, start, end)

    def rest(self) -> bytes:
        """Read all remaining bytes."""
        return self.opaque(self._end - self._next)

    def sized(self, prefix: cython.Py_ssize_t) -> bytes:
        """Read opaque bytes with a length prefix of `prefix` bytes."""
        start: cython.Py_ssize_t = self._next + prefix
        if start > self._end:
            raise self._short(prefix)
        end: cython.Py_ssize_t = start + self._number(self._next, start)
        self._next = start
        if end > self._end:
            raise self._short(end - start)
        self._next = end
        return cut(self._data, start, end)

    def peek(self, size: cython.Py_ssize_t) -> bytes:
        """Return the next `size` bytes, or fewer at the end, without consuming them."""
        return self._data[self._next : min(self._next + size, self._end)]

    def part(self, size: cython.Py_ssize_t) -> Reader:
        """Return a reader for the next `size` bytes."""
        start: cython.Py_ssize_t = self._claim(size)
        return self._child(start, self._next)

    def block(self, prefix: cython.Py_ssize_t) -> Reader:
        """Return a reader for a block with a length prefix of `prefix` bytes."""
        start: cython.Py_ssize_t = self._claim(prefix)
        start = self._claim(self._number(start, self._next))
        return self._child(start, self._next)

    def items(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read items up to the end; `u8s` and `u16s` are faster for numbers of one or two bytes."""
        items: list[T] = []
        while self._next < self._end:
            self._check_room(len(items))
            items.append(item(self))
        return tuple(items)

    def vector(self, prefix: cython.Py_ssize_t, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector of items with a length prefix of `prefix` bytes."""
        return self.block(prefix).items(item)

    def items_until_error(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read items up to the first malformed one, whose error is kept in `error`; return those before it."""
        items: list[T] = []
        start: cython.Py_ssize_t = self._next
        try:
            while (start := self._next) < self._end:
                self._check_room(len(items))
                items.append(item(self))
        except WireError as error:
            # A traceback would keep the reader and its bytes alive as long as the error.
            self.error = error.with_traceback(None)
            self._next = start
        return tuple(items)

    def vector_until_error(self, prefix: cython.Py_ssize_t, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector like `items_until_error`; a truncated vector is an error, too."""
        size = self.attempt(lambda: self.uint(prefix))
        if size is None:
            return ()
        error = self._short(size) if size > len(self) else None
        block = self.part(min(size, len(self)))
        items = block.items_until_error(item)
        self.error = error or block.error
        return items

    def tagged(self, item: Callable[[int, bytes], T]) -> tuple[T, ...] | None:
        """Read a vector of items of a uint16 type and opaque data in one loop; None if malformed, consuming nothing.

        Its length and theirs take two bytes.
        """
        data: bytes = self._data
        at: cython.Py_ssize_t = self._next + 2
        body: cython.Py_ssize_t
        number: cython.longlong
        size: cython.Py_ssize_t
        end: cython.Py_ssize_t
        if at > self._end:
            return None
        end = at + self._number(self._next, at)
        if end > self._end:
            return None
        items = []
        while at < end - 3:
            number = data[at] << 8 | data[at + 1]
            size = data[at + 2] << 8 | data[at + 3]
            body = at + 4
            at = body + size
            items.append(item(number, cut(data, body, at)))
        if at != end:
            return None
        self._next = end
        return tuple(items)

    def attempt(self, read: Callable[[], T]) -> T | None:
        """Call `read`; if it fails, set `error` and skip to the end, since nothing after it can be located."""
        try:
            return read()
        except WireError as error:
            # Drop the traceback: its frames refer to this reader, which would be a reference cycle.
            self.error = error.with_traceback(None)
            self._next = self._end
            return None

    def u8s(self, prefix: cython.Py_ssize_t) -> tuple[int, ...]:
        """Read a vector of uint8."""
        return tuple(self.sized(prefix))

    def u16s(self, prefix: cython.Py_ssize_t) -> tuple[int, ...] | LongList:
        """Read a vector of uint16: a tuple, or a LongList if there are many."""
        data = self.sized(prefix)
        if len(data) % 2:
            raise WireError(f"a list of 2-byte numbers is {len(data)} bytes long", self._next - len(data))
        if len(data) < 2 * LONG_LIST:
            return _u16s(len(data) // 2).unpack(data)
        return LongList(data)

    def whole(self, item: Callable[[Reader], T]) -> T:
        """Read one item that must be well-formed and consume every remaining byte."""
        value = item(self)
        error = self.error or self._left_over()
        if error:
            raise error
        return value

    @cython.ccall
    def _left_over(self) -> WireError | None:
        size: cython.Py_ssize_t = self._end - self._next
        return WireError(f"{size} bytes left over", self._next) if size else None

    @cython.cfunc
    def _short(self, size: cython.Py_ssize_t) -> WireError:
        return WireError(f"{size} bytes wanted, {self._end - self._next} left", self._next)

    @cython.cfunc
    def _number(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.longlong:
        """Return the number in a few bytes that were claimed."""
        data: bytes = self._data
        number: cython.longlong = 0
        for at in range(start, end):
            number = number << 8 | data[at]
        return number

    @cython.cfunc
    def _claim(self, size: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Skip `size` bytes and return their offset."""
        start: cython.Py_ssize_t = self._next
        if size > self._end - start:
            raise self._short(size)
        self._next = start + size
        return start

    @cython.cfunc
    def _check_room(self, number: cython.Py_ssize_t) -> cython.bint:
        """Raise an error if a list that has another item has so many already that no more are read."""
        if number == self.most_items:
            raise TooManyItemsError(f"more than {self.most_items:,} items", self._next)
        return True

    @cython.cfunc
    def _child(self, start: cython.Py_ssize_t, end: cython.Py_ssize_t) -> Reader:
        child: Reader = Reader(self._data, start, end)
        child.most_items = self.most_items
        return child


def decode_partially(item: Callable[[Reader], T], data: bytes) -> tuple[T, WireError | None]:
    """Read a message, and return it with an error in its last list or after its end; other errors are raised."""
    r = Reader(data)
    value = item(r)
    return value, r.error or r._left_over()  # noqa: SLF001  # the reader's own module
