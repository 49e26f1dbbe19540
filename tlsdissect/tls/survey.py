"""Lenient decoding of messages that may be malformed: the fields that can be read, and all errors."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec import Struct

from tlsdissect.tls.trace import Field, Leaf, TracingReader, fields
from tlsdissect.tls.wire import Reader, WireError

T = TypeVar("T")


class PatientReader(TracingReader):
    """A TracingReader that survives errors: it skips the rest of the enclosing block and continues after it.

    `errors` collects all errors. Bytes that could not be read become unread leaves. Fields without any bytes become
    missing leaves, with the value 0 or b"".
    """

    __slots__ = ("_lost", "errors")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        super().__init__(data, start, end)
        self.errors: list[WireError] = []
        self._lost = False

    def u8(self) -> int:
        """Read a uint8."""
        return self._patiently(super().u8, 0)

    def u16(self) -> int:
        """Read a uint16."""
        return self._patiently(super().u16, 0)

    def uint(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        return self._patiently(lambda: super(PatientReader, self).uint(size), 0)

    def varint(self) -> int:
        """Read a variable-length integer."""
        return self._patiently(super().varint, 0)

    def opaque(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        return self._patiently(lambda: super(PatientReader, self).opaque(size), b"")

    def sized(self, prefix: int) -> bytes:
        """Read opaque bytes with a length prefix; if the length is too large, only the prefix is read."""
        return self._patiently(lambda: super(PatientReader, self).sized(prefix), b"")

    def u16s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint16; one of odd size stays unread."""
        try:
            return super().u16s(prefix)
        except WireError as error:
            self.errors.append(error.with_traceback(None))
            self.leaves[-1] = self.leaves[-1]._replace(kind="unread")
            return ()

    def part(self, size: int) -> Reader:
        """Return a reader for the next `size` bytes, or for fewer at the end."""
        if self._lost:
            self.leaves.append(Leaf(self._end, self._end, "missing"))
        return super().part(self._at_most(size))

    def block(self, prefix: int) -> Reader:
        """Return a reader for a block with a length prefix, or for as much of it as there is."""
        start = self._next
        size = self.uint(prefix)
        if self._lost:
            return self._child(self._end, self._end)
        child = super().part(self._at_most(size))
        self.leaves[-1] = Leaf(start, start + prefix, "length", self._next)
        return child

    def items(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read items up to the end; a malformed one and all after it stay unread."""
        items = []
        while self._next < self._end:
            start, noted = self._next, len(self.leaves)
            try:
                items.append(item(self))
            except WireError as error:
                del self.leaves[noted:]
                self._give_up(error, start)
        return tuple(items)

    def items_until_error(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read items up to the end."""
        return self.items(item)

    def vector_until_error(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector."""
        return self.vector(prefix, item)

    def whole(self, item: Callable[[Reader], T]) -> T:
        """Read one item; bytes after it stay unread."""
        value = item(self)
        error = self._left_over()
        if error is not None:
            self._give_up(error, self._next)
        return value

    def _patiently(self, read: Callable[[], T], nothing: T) -> T:
        if self._lost:
            self.leaves.append(Leaf(self._end, self._end, "missing"))
            return nothing
        start = self._next
        try:
            return read()
        except WireError as error:
            # The length prefix was read, but its bytes are not there.
            if self._next > start:
                self.leaves.append(Leaf(start, self._next, "length", self._end))
            self._give_up(error, self._next)
            return nothing

    def _at_most(self, size: int) -> int:
        if size > len(self):
            self.errors.append(self._short(size))
            self._lost = True
        return min(size, len(self))

    def _give_up(self, error: WireError, start: int) -> None:
        """Stop reading this block: all bytes from `start` on stay unread."""
        self.errors.append(error.with_traceback(None))
        self.leaves.append(Leaf(start, self._end, "unread"))
        self._next, self._lost = self._end, True

    def _child(self, start: int, end: int) -> Reader:
        child = PatientReader(self._data, start, end)
        child.leaves, child.errors, child._lost = self.leaves, self.errors, self._lost and start == end
        return child


class Survey(NamedTuple):
    """A message that may be malformed, as far as it could be read."""

    value: Struct | None
    """None if nothing could be read."""
    fields: tuple[Field, ...]
    """The fields, which cover every byte."""
    errors: tuple[WireError, ...]


def survey(item: Callable[[Reader], Struct], data: bytes, start: int = 0, end: int | None = None) -> Survey:
    """Read a message, or an extension body within it, despite any errors."""
    r = PatientReader(data, start, end)
    try:
        value = r.whole(item)
    except WireError as error:
        unread = Field("unread", None, None, start, len(data) if end is None else end)
        return Survey(None, (unread,), (*r.errors, error.with_traceback(None)))
    return Survey(value, fields(value, r.leaves), tuple(r.errors))
