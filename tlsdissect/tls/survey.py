"""What can be told of a message that may be malformed: each field that stands where it should, and what is wrong."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from msgspec import Struct

from tlsdissect.tls.trace import Field, Leaf, TracingReader, fields
from tlsdissect.tls.wire import Reader, WireError

T = TypeVar("T")


class PatientReader(TracingReader):
    """A TracingReader for what may be malformed: it reads nothing more of what it stands in, and goes on behind that.

    `flaws` are what was wrong. Bytes that could not be read are unread leaves, and fields that found no bytes at all
    missing ones: such a field has the value of nothing, 0 or b"".
    """

    __slots__ = ("_lost", "flaws")

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        super().__init__(data, start, end)
        self.flaws: list[WireError] = []
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
        """Read a number whose first two bits tell its size."""
        return self._patiently(super().varint, 0)

    def opaque(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        return self._patiently(lambda: super(PatientReader, self).opaque(size), b"")

    def sized(self, prefix: int) -> bytes:
        """Read bytes whose length stands in front of them; a length that is too great is read itself."""
        return self._patiently(lambda: super(PatientReader, self).sized(prefix), b"")

    def u16s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint16; one of an odd size is unread."""
        try:
            return super().u16s(prefix)
        except WireError as error:
            self.flaws.append(error.with_traceback(None))
            self.leaves[-1] = self.leaves[-1]._replace(kind="unread")
            return ()

    def part(self, size: int) -> Reader:
        """Enter a block of `size` bytes, or of those that there are."""
        if self._lost:
            self.leaves.append(Leaf(self._end, self._end, "missing"))
        return super().part(self._at_most(size))

    def block(self, prefix: int) -> Reader:
        """Enter a block whose length stands in front of it, as far as there is one."""
        start = self._next
        size = self.uint(prefix)
        if self._lost:
            return self._child(self._end, self._end)
        child = super().part(self._at_most(size))
        self.leaves[-1] = Leaf(start, start + prefix, "length", self._next)
        return child

    def items(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items; one that cannot be is unread, with all behind it."""
        items = []
        while self._next < self._end:
            start, noted = self._next, len(self.leaves)
            try:
                items.append(item(self))
            except WireError as error:
                del self.leaves[noted:]
                self._give_up(error, start)
        return tuple(items)

    def items_so_far(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a run of items."""
        return self.items(item)

    def vector_so_far(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector."""
        return self.vector(prefix, item)

    def whole(self, item: Callable[[Reader], T]) -> T:
        """Read one item; what stands behind it is unread."""
        value = item(self)
        flaw = self._left_over()
        if flaw is not None:
            self._give_up(flaw, self._next)
        return value

    def _patiently(self, read: Callable[[], T], nothing: T) -> T:
        if self._lost:
            self.leaves.append(Leaf(self._end, self._end, "missing"))
            return nothing
        start = self._next
        try:
            return read()
        except WireError as error:
            # The length in front was read, but what it counts is not there.
            if self._next > start:
                self.leaves.append(Leaf(start, self._next, "length", self._end))
            self._give_up(error, self._next)
            return nothing

    def _at_most(self, size: int) -> int:
        if size > len(self):
            self.flaws.append(self._short(size))
            self._lost = True
        return min(size, len(self))

    def _give_up(self, error: WireError, start: int) -> None:
        """Read no more here: all from `start` on is unread."""
        self.flaws.append(error.with_traceback(None))
        self.leaves.append(Leaf(start, self._end, "unread"))
        self._next, self._lost = self._end, True

    def _child(self, start: int, end: int) -> Reader:
        child = PatientReader(self._data, start, end)
        child.leaves, child.flaws, child._lost = self.leaves, self.flaws, self._lost and start == end
        return child


class Survey(NamedTuple):
    """A message, sound or not, as far as it could be read."""

    value: Struct | None
    """None: not even its shape is known."""
    fields: tuple[Field, ...]
    """They cover every byte."""
    flaws: tuple[WireError, ...]


def survey(item: Callable[[Reader], Struct], data: bytes, start: int = 0, end: int | None = None) -> Survey:
    """Read a message, or an extension's body within it, whatever is wrong with it."""
    r = PatientReader(data, start, end)
    try:
        value = r.whole(item)
    except WireError as error:
        unread = Field("unread", None, None, start, len(data) if end is None else end)
        return Survey(None, (unread,), (*r.flaws, error.with_traceback(None)))
    return Survey(value, fields(value, r.leaves), tuple(r.flaws))
