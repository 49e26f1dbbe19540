"""Lenient decoding of messages that may be malformed: the fields that can be read, and all errors."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from msgspec import Struct

from tlsdissect.tls.layout import (
    BYTES,
    Absent,
    Chosen,
    Conditional,
    Counted,
    Delimited,
    Form,
    Items,
    Leaf,
    Length,
    Nested,
    Numbers,
    WireStruct,
    delimited,
    evaluate,
    layout,
)
from tlsdissect.tls.trace import Field, TracingReader, fields
from tlsdissect.tls.trace import Leaf as Recorded
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
            self.leaves.append(Recorded(self._end, self._end, "missing"))
        return super().part(self._at_most(size))

    def block(self, prefix: int) -> Reader:
        """Return a reader for a block with a length prefix, or for as much of it as there is."""
        start = self._next
        size = self.uint(prefix)
        if self._lost:
            return self._child(self._end, self._end)
        child = super().part(self._at_most(size))
        self.leaves[-1] = Recorded(start, start + prefix, "length", self._next)
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
            self.leaves.append(Recorded(self._end, self._end, "missing"))
            return nothing
        start = self._next
        try:
            return read()
        except WireError as error:
            # The length prefix was read, but its bytes are not there.
            if self._next > start:
                self.leaves.append(Recorded(start, self._next, "length", self._end))
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
        self.leaves.append(Recorded(start, self._end, "unread"))
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


def survey(
    item: type[WireStruct] | Callable[[Reader], Struct],
    data: bytes,
    start: int = 0,
    end: int | None = None,
    **given: object,
) -> Survey:
    """Read a message, or an extension body within it, despite any errors."""
    if isinstance(item, type):
        walk, block = _Walk(), _Block(Reader(data, start, end))
        try:
            struct, found = walk.struct(item, block, given)
            found += walk.left_over(block)
        except WireError as error:
            unread = Field("unread", None, None, start, len(data) if end is None else end)
            return Survey(None, (unread,), (*walk.errors, error.with_traceback(None)))
        return Survey(struct, found, tuple(walk.errors))
    r = PatientReader(data, start, end)
    try:
        value = r.whole(item)
    except WireError as error:
        unread = Field("unread", None, None, start, len(data) if end is None else end)
        return Survey(None, (unread,), (*r.errors, error.with_traceback(None)))
    return Survey(value, fields(value, r.leaves), tuple(r.errors))


class _Block:
    """Bytes that enclose fields; `lost` is set once an error leaves no way to find the fields after it."""

    __slots__ = ("lost", "reader")

    def __init__(self, reader: Reader, *, lost: bool = False) -> None:
        self.reader = reader
        self.lost = lost

    @property
    def offset(self) -> int:
        """Offset of the next byte."""
        return self.reader.offset

    def give_up(self) -> None:
        """Skip the bytes that are left."""
        self.reader.rest()
        self.lost = True


class _Walk:
    """A walk over the declaration of a struct, which collects its fields and all errors.

    Most methods return a value and its fields: one, none if it has no bytes, or two if bytes are left over after it.
    """

    def __init__(self) -> None:
        self.errors: list[WireError] = []

    def struct(
        self, struct: type[WireStruct], block: _Block, given: Mapping[str, object]
    ) -> tuple[WireStruct, tuple[Field, ...]]:
        """Read a struct; return it and its fields."""
        known: dict[str, Any] = {**given, "r": block.reader}
        values: dict[str, Any] = {}
        found: list[Field] = []
        for name, one in layout(struct).items():
            values[name], fields = self._field(name, one, block, known)
            known[name] = values[name]
            found += fields
        return struct(**values), tuple(found)

    def left_over(self, block: _Block) -> tuple[Field, ...]:
        """Return the bytes after the last field, which are an error, as a field."""
        start = block.offset
        try:
            block.reader.whole(_nothing)
        except WireError as error:
            self._lose(error, block)
        return _unread(start, block.offset)

    def _field(self, name: str, one: Form, block: _Block, known: Mapping[str, Any]) -> tuple[Any, tuple[Field, ...]]:
        match one:
            case Leaf():
                return self._leaf(name, one, block, known)
            case Numbers():
                return self._numbers(name, one, block)
            case Items():
                return self._items(name, one, block)
            case Counted():
                read = [self._field(f"[{n}]", one.item, block, {}) for n in range(evaluate(one.count, known))]
                items = tuple([value for value, _ in read])
                return items, _around(name, items, tuple([field for _, fields in read for field in fields]))
            case Nested():
                value, parts = self.struct(one.struct, block, {})
                return value, _around(name, value, parts)
            case Absent():
                return None, ()
            case Chosen():
                return self._field(name, one.form(known), block, known)
            case Delimited():
                return self._delimited(name, one, block, known)
            case Conditional():
                return self._field(name, one.inner, block, known) if evaluate(one.condition, known) else (None, ())

    def _leaf(self, name: str, one: Leaf, block: _Block, known: Mapping[str, Any]) -> tuple[Any, tuple[Field, ...]]:
        start = block.offset
        value: Any = one.missing
        found: tuple[Field, ...] = ()
        if not block.lost:
            try:
                value = one.read(block.reader, known)
            except WireError as error:
                self._lose(error, block)
                found = (Field(name, None, None, start, block.offset),)
            else:
                found = (Field(name, value, one.registry, start, block.offset),)
        if one.known:
            one.known.check(value, start)
        return value, found

    def _numbers(self, name: str, one: Numbers, block: _Block) -> tuple[Any, tuple[Field, ...]]:
        if block.lost:
            return (), ()
        start = block.offset
        first = start + one.prefix
        numbers: tuple[int, ...] = ()
        try:
            numbers = one.read(block.reader)
        except WireError as error:
            if block.offset <= first:
                length_missing = block.offset == start
                self._lose(error, block)
                if length_missing:
                    return (), (Field(name, None, None, start, block.offset),)
            else:
                # The length is odd: the list cannot be read, but what follows it can.
                self._note(error)
            parts = _unread(first, block.offset)
        else:
            parts = tuple(
                Field(f"[{n}]", number, one.item.registry, first + n * one.size, first + (n + 1) * one.size)
                for n, number in enumerate(numbers)
            )
        return numbers, (Field(name, numbers, None, start, block.offset, parts),)

    def _items(self, name: str, one: Items, block: _Block) -> tuple[Any, tuple[Field, ...]]:
        if block.lost:
            return (), ()
        start = block.offset
        items: list[Any] = []
        parts: list[Field] = []
        while block.reader:
            before = block.offset
            try:
                value, fields = self._field(f"[{len(items)}]", one.item, block, {})
            except WireError as error:
                self._lose(error, block)
                fields = _unread(before, block.offset)
            else:
                items.append(value)
            parts += fields
        return tuple(items), (Field(name, tuple(items), None, start, block.offset, tuple(parts)),)

    def _delimited(
        self, name: str, one: Delimited, block: _Block, known: Mapping[str, Any]
    ) -> tuple[Any, tuple[Field, ...]]:
        inner = one.inner.form(known) if isinstance(one.inner, Chosen) else one.inner
        if inner == BYTES and isinstance(one.by, Length):
            return self._field(name, delimited(inner, one.by), block, known)
        start = block.offset
        part = _Block(block.reader, lost=True)
        if not block.lost:
            try:
                size = block.reader.uint(one.by.size) if isinstance(one.by, Length) else evaluate(one.by.of, known)
            except WireError as error:
                self._lose(error, block)
                value, _ = self._field(name, inner, part, known)
                return value, (Field(name, None, None, start, block.offset),)
            part = self._part(block, size)
        value, fields = self._field(name, inner, part, known)
        left_over = self.left_over(part)
        if isinstance(inner, Leaf):
            return value, fields + left_over
        parts = fields[0].parts + left_over if fields else left_over
        shown = value if parts or isinstance(inner, Items) else None
        return value, (Field(name, shown, None, start, block.offset, parts),) if block.offset > start else ()

    def _part(self, block: _Block, size: int) -> _Block:
        """Return the next `size` bytes, or as many as there are."""
        try:
            return _Block(block.reader.part(size))
        except WireError as error:
            self._note(error)
            block.lost = True
            rest = block.reader.part(len(block.reader))
            return _Block(rest, lost=not rest)

    def _note(self, error: WireError) -> None:
        # A traceback would keep the walk and its bytes alive as long as the error.
        self.errors.append(error.with_traceback(None))

    def _lose(self, error: WireError, block: _Block) -> None:
        self._note(error)
        block.give_up()


def _nothing(_: Reader) -> None:
    """Read nothing."""


def _around(name: str, value: object, parts: tuple[Field, ...]) -> tuple[Field, ...]:
    return (Field(name, value, None, parts[0].start, parts[-1].end, parts),) if parts else ()


def _unread(start: int, end: int) -> tuple[Field, ...]:
    return (Field("unread", None, None, start, end),) if start < end else ()
