"""Finds all fields and errors of a message for `show`; the byte ranges of the fields cover every byte.

Where a decoder stops at the first error, the walk over the declaration of a struct goes on: it skips the rest of the
block that the error makes unreadable, and continues after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from msgspec import Struct

from tlsdissect.tls.layout import (
    BYTES,
    Absent,
    Conditional,
    Counted,
    Delimited,
    Form,
    Items,
    Leaf,
    Length,
    Nested,
    Numbers,
    Select,
    WireStruct,
    delimited,
    evaluate,
    layout,
)
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tlsdissect.tls.codepoints import Registry

T = TypeVar("T", bound=WireStruct)


class Field(Struct, frozen=True):
    """One field of a Struct, or one item of a list, with its byte range including its length prefix."""

    name: str
    value: object
    """None if the bytes could not be read."""
    registry: Registry | None
    start: int
    end: int
    parts: tuple[Field, ...] = ()


class Survey(NamedTuple, Generic[T]):
    """A message that may be malformed, as far as it could be read."""

    value: T | None
    """None if nothing could be read."""
    fields: tuple[Field, ...]
    """The fields, which cover every byte."""
    errors: tuple[WireError, ...]


def survey(struct: type[T], data: bytes, start: int = 0, end: int | None = None, **given: object) -> Survey[T]:
    """Read a message, or an extension body within it, despite any errors; `given` is what the struct depends on."""
    walk, block = _Walk(), _Block(Reader(data, start, end))
    try:
        value, fields = walk.struct(struct, block, given)
        fields += walk.left_over(block)
    except WireError as error:
        walk.note(error)
        value, fields = None, (Field("unread", None, None, start, len(data) if end is None else end),)
    return Survey(value, fields, tuple(walk.errors))


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

    def struct(self, struct: type[T], block: _Block, given: Mapping[str, object]) -> tuple[T, tuple[Field, ...]]:
        """Read a struct; return it and its fields."""
        known: dict[str, Any] = {**given, "r": block.reader}
        values: dict[str, Any] = {}
        found: list[Field] = []
        for name, one in layout(struct).items():
            values[name], fields = self._field(name, one, block, known)
            known[name] = values[name]
            found += fields
        return struct(**values), tuple(found)

    def note(self, error: WireError) -> None:
        """Keep an error."""
        # A traceback would keep the walk and its bytes alive as long as the error.
        self.errors.append(error.with_traceback(None))

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
                return self._counted(name, one, block, known)
            case Nested():
                value, parts = self.struct(one.struct, block, {})
                return value, _around(name, value, parts)
            case Absent():
                return None, ()
            case Select():
                return self._field(name, one.form(known), block, known)
            case Delimited():
                return self._delimited(name, one, block, known)
            case Conditional():
                return self._field(name, one.inner, block, known) if one.when.holds(known) else (None, ())

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
            numbers = tuple(one.read(block.reader))
        except WireError as error:
            if block.offset <= first:
                length_missing = block.offset == start
                self._lose(error, block)
                if length_missing:
                    return (), (Field(name, None, None, start, block.offset),)
            else:
                # The length is odd: the list cannot be read, but what follows it can.
                self.note(error)
            parts = _unread(first, block.offset)
        else:
            parts = tuple(
                Field(f"[{n}]", number, one.item.registry, first + n * one.size, first + (n + 1) * one.size)
                for n, number in enumerate(numbers)
            )
        return numbers, (Field(name, numbers, None, start, block.offset, parts),)

    def _counted(
        self, name: str, one: Counted, block: _Block, known: Mapping[str, Any]
    ) -> tuple[Any, tuple[Field, ...]]:
        items: list[Any] = []
        parts: list[Field] = []
        # The count is the sender's: it may be far more than the bytes have room for.
        for n in range(evaluate(one.count, known)):
            if block.lost:
                break
            value, fields = self._field(f"[{n}]", one.item, block, {"r": block.reader})
            items.append(value)
            parts += fields
        return tuple(items), _around(name, tuple(items), tuple(parts))

    def _items(self, name: str, one: Items, block: _Block) -> tuple[Any, tuple[Field, ...]]:
        if block.lost:
            return (), ()
        start = block.offset
        items: list[Any] = []
        parts: list[Field] = []
        while block.reader:
            before = block.offset
            try:
                value, fields = self._field(f"[{len(items)}]", one.item, block, {"r": block.reader})
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
        inner = one.inner.form(known) if isinstance(one.inner, Select) else one.inner
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
            self.note(error)
            block.lost = True
            rest = block.reader.part(len(block.reader))
            return _Block(rest, lost=not rest)

    def _lose(self, error: WireError, block: _Block) -> None:
        self.note(error)
        block.give_up()


def _nothing(_: Reader) -> None:
    """Read nothing."""


def _around(name: str, value: object, parts: tuple[Field, ...]) -> tuple[Field, ...]:
    return (Field(name, value, None, parts[0].start, parts[-1].end, parts),) if parts else ()


def _unread(start: int, end: int) -> tuple[Field, ...]:
    return (Field("unread", None, None, start, end),) if start < end else ()
