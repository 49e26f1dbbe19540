"""Byte ranges of decoded fields: the normal decoders, run with a reader that records every read."""

from collections.abc import Callable
from functools import cache
from typing import Literal, NamedTuple, TypeVar, get_args, get_type_hints

from msgspec import Struct

from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.wire import Reader

T = TypeVar("T")


class Leaf(NamedTuple):
    """One recorded read: a number, opaque bytes or a length prefix; or bytes that could not be read."""

    start: int
    end: int
    kind: Literal["value", "length", "unread", "missing"] = "value"
    reach: int = 0
    """For a length prefix, the end of the bytes that it counts."""


class Field(Struct, frozen=True):
    """One field of a Struct, or one item of a list, with its byte range including its length prefix."""

    name: str
    value: object
    registry: Registry | None
    start: int
    end: int
    parts: tuple["Field", ...] = ()


class TracingReader(Reader):
    """A Reader that records each leaf it reads, in wire order."""

    __slots__ = ("leaves",)

    def __init__(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        super().__init__(data, start, end)
        self.leaves: list[Leaf] = []

    def u8(self) -> int:
        """Read a uint8."""
        value = super().u8()
        self.leaves.append(Leaf(self._next - 1, self._next))
        return value

    def u16(self) -> int:
        """Read a uint16."""
        value = super().u16()
        self.leaves.append(Leaf(self._next - 2, self._next))
        return value

    def uint(self, size: int) -> int:
        """Read an unsigned number of `size` bytes."""
        value = super().uint(size)
        self.leaves.append(Leaf(self._next - size, self._next))
        return value

    def varint(self) -> int:
        """Read a variable-length integer."""
        start = self._next
        value = super().varint()
        self.leaves.append(Leaf(start, self._next))
        return value

    def opaque(self, size: int) -> bytes:
        """Read exactly `size` bytes."""
        value = super().opaque(size)
        self.leaves.append(Leaf(self._next - size, self._next))
        return value

    def sized(self, prefix: int) -> bytes:
        """Read opaque bytes with a length prefix."""
        start = self._next
        value = super().sized(prefix)
        self.leaves += (Leaf(start, start + prefix, "length", self._next), Leaf(start + prefix, self._next))
        return value

    def u8s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint8."""
        return self._numbers(super().u8s(prefix), 1)

    def u16s(self, prefix: int) -> tuple[int, ...]:
        """Read a vector of uint16."""
        # `sized` recorded the numbers as one leaf: replace it by one leaf per number.
        return self._numbers(super().u16s(prefix), 2)

    def block(self, prefix: int) -> Reader:
        """Return a reader for a block with a length prefix."""
        start = self._next
        child = super().block(prefix)
        self.leaves[-1] = Leaf(start, start + prefix, "length", self._next)
        return child

    def items_until_error(self, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read items up to the first malformed one; it and all bytes after it become one unread leaf."""
        items = super().items_until_error(item)
        if self.error:
            while self.leaves and self._next <= self.leaves[-1].start < self.leaves[-1].end:
                self.leaves.pop()
            self.leaves.append(Leaf(self._next, self._end, "unread"))
        return items

    def vector_until_error(self, prefix: int, item: Callable[[Reader], T]) -> tuple[T, ...]:
        """Read a vector up to its first malformed item."""
        start, noted = self._next, len(self.leaves)
        items = super().vector_until_error(prefix, item)
        if self.leaves[noted:]:
            self.leaves[noted] = Leaf(start, start + prefix, "length", self._next)
        elif start < self._end:
            self.leaves.append(Leaf(start, self._end, "unread"))
        return items

    def tagged(self, item: Callable[[int, bytes], T]) -> None:
        """Return None, so that the caller reads item by item and every read is recorded."""

    def _numbers(self, values: tuple[int, ...], size: int) -> tuple[int, ...]:
        # The base class reads the vector by `sized`, which recorded two leaves: the length and the bytes.
        if self.leaves[-1].kind != "value":
            return values
        whole = self.leaves.pop()
        self.leaves += (Leaf(start, start + size) for start in range(whole.start, whole.end, size))
        return values

    def _child(self, start: int, end: int) -> Reader:
        child = TracingReader(self._data, start, end)
        child.leaves = self.leaves
        return child


def trace(item: Callable[[Reader], T], data: bytes, start: int = 0, end: int | None = None) -> tuple[T, list[Leaf]]:
    """Read a message, or an extension body within it, with its leaves.

    The leaves cover every byte; bytes after the message are one unread leaf.
    """
    r = TracingReader(data, start, end)
    value = item(r)
    if r:
        r.leaves.append(Leaf(r.offset, r.offset + len(r), "unread"))
    return value, r.leaves


def fields(value: Struct, leaves: list[Leaf]) -> tuple[Field, ...]:
    """Return the fields of a traced Struct with their byte ranges."""
    pairing = _Pairing(leaves)
    return pairing.struct(value) + pairing.unread()


@cache
def _registries(struct: type[Struct]) -> dict[str, Registry | None]:
    hints = get_type_hints(struct, include_extras=True)
    return {name: _registry(hints[name]) for name in struct.__struct_fields__}


def _registry(hint: object) -> Registry | None:
    """Find the registry in `Annotated[int, registry]`, also inside a tuple or union."""
    if isinstance(hint, Registry):
        return hint
    return next((found for part in get_args(hint) if (found := _registry(part))), None)


class _Pairing:
    """Walks a value and its leaves in parallel: a number or bytes takes one leaf, None takes none."""

    def __init__(self, leaves: list[Leaf]) -> None:
        self._leaves = leaves
        self._index = 0
        self._here = leaves[0].start if leaves else 0
        self._lengths: list[Leaf] = []

    def struct(self, value: Struct) -> tuple[Field, ...]:
        registries = _registries(type(value))
        found = (
            self._field(name, getattr(value, name), registries[name])
            for name in value.__struct_fields__
            if getattr(value, name) is not None
        )
        return tuple(field for field in found if field is not None)

    def unread(self) -> tuple[Field, ...]:
        """Consume the next leaf if it is unread."""
        if self._peek() != "unread":
            return ()
        start = self._take()
        return (Field("unread", None, None, start, self._here),)

    def _unread_items(self) -> tuple[Field, ...]:
        """Consume the unread rest of a list, within its length."""
        if not self._lengths or self._peek() != "unread":
            return ()
        leaf, reach = self._leaves[self._index], self._lengths[-1].reach
        return self.unread() if leaf.start < reach == leaf.end else ()

    def _field(self, name: str, value: object, registry: Registry | None, *, item: bool = False) -> Field | None:
        """Return a field with its leaves; None if it has no bytes."""
        parts: tuple[Field, ...] = ()
        if isinstance(value, tuple):
            if not value and not self._take_lengths(until_empty=True) and self._peek() in ("unread", "missing"):
                return self._unreadable(name)
            found = (self._field(f"[{n}]", part, registry, item=True) for n, part in enumerate(value))
            parts = tuple(field for field in found if field is not None)
            parts += self._unread_items()
        elif isinstance(value, Struct):
            parts = self.struct(value)
            if not parts and value.__struct_fields__:
                return self._unreadable_struct(name)
        else:
            self._take_lengths()
            if self._peek() in ("unread", "missing"):
                return self._unreadable(name)
            return self._bare(name, value, registry, self._take())
        start = parts[0].start if parts else self._here
        # The length prefix of a list of Structs belongs to the list, not to its first item.
        if not (item and isinstance(value, Struct)):
            start = self._length_before(start)
        return Field(name, value, None, start, self._here, parts)

    def _unreadable(self, name: str) -> Field | None:
        """Consume the unread bytes in the place of a field; None if it is missing."""
        missing = self._peek() == "missing"
        start = self._take()
        return None if missing else Field(name, None, None, self._length_before(start), self._here)

    def _unreadable_struct(self, name: str) -> Field | None:
        """Consume the length prefix of a struct without content; None if it has none."""
        start = self._length_before(self._here)
        return Field(name, None, None, start, self._here) if start < self._here else None

    def _bare(self, name: str, value: object, registry: Registry | None, start: int) -> Field:
        # A number has no length prefix; one in front of it belongs to a list whose first item it is.
        if isinstance(value, int):
            return Field(name, value, registry, start, self._here)
        return Field(name, value, None, self._length_before(start), self._here)

    def _take_lengths(self, *, until_empty: bool = False) -> bool:
        """Consume the length prefixes at this position; return whether there was one."""
        index = self._index
        while self._peek() == "length":
            length = self._leaves[self._index]
            self._lengths.append(length)
            self._take()
            if until_empty and length.reach == length.end:
                break
        return self._index > index

    def _length_before(self, start: int) -> int:
        """Consume the length prefix that counts exactly the bytes from `start` to here, and return the new start."""
        if self._lengths and self._lengths[-1].end == start and self._lengths[-1].reach == self._here:
            return self._lengths.pop().start
        return start

    def _peek(self) -> str | None:
        return self._leaves[self._index].kind if self._index < len(self._leaves) else None

    def _take(self) -> int:
        leaf = self._leaves[self._index]
        self._index += 1
        self._here = leaf.end
        return leaf.start
