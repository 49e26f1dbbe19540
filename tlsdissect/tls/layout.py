"""How the fields of a struct lie on the wire: annotations in its declaration, and the decoder built from them.

    class ServerName(WireStruct, frozen=True):
        name_type: NameType
        host_name: Annotated[bytes, Length(2)]

A number takes as many bytes as its registry or `Uint` says. `Length` or `Size` delimits bytes, a list or a struct;
without either, bytes and lists extend to the end of what encloses them. Where a field depends on other facts, its
annotation has a function whose parameters name them: earlier fields, `r` (the reader, in front of the field), or what
the caller of `read` adds because the message itself does not say it.

The decoder of a struct is a generated function, as fast as one written by hand, since every hello is read by one.
`survey.py` walks over the same declarations to find the byte range of each field.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeAlias, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

from tlsdissect.tls.codepoints import Registry
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from tlsdissect.tls.code_point_lists import LongList

Argument: TypeAlias = int | str | Callable[..., Any]
"""A number, the name of an earlier field or of another fact, or a function whose parameters are such names."""

T = TypeVar("T", bound="WireStruct")


class Length(Struct, frozen=True):
    """A number of `size` bytes in front of the value is the value's length in bytes."""

    size: int


class Size(Struct, frozen=True):
    """The value takes this number of bytes."""

    of: Argument


class Count(Struct, frozen=True):
    """The list has this number of items."""

    of: Argument


class Uint(Struct, frozen=True):
    """An unsigned number of `size` bytes, of which the upper bits are not part of the number if `bits` are fewer."""

    size: int
    bits: int = 64


class Varint(Struct, frozen=True):
    """A variable-length integer (RFC 9000 section 16)."""


class When(Struct, frozen=True):
    """The field is present if the argument is one of the values, or true if there are no values; else it is None."""

    argument: Argument
    values: tuple[int, ...] | None = None

    def holds(self, known: Mapping[str, Any]) -> bool:
        """Return whether the field is present where these names are known."""
        found = evaluate(self.argument, known)
        return bool(found) if self.values is None else found in self.values


IF_BYTES_LEFT = When("r")
"""The field is present if any bytes are left."""


class Select(Struct, frozen=True, eq=False):
    """The type of the field is the case for a number, or bytes if there is none.

    Without cases the argument is the type itself, annotated like that of a field; None if the field is absent.
    """

    argument: Argument
    cases: Mapping[int, Any] | None = None

    def form(self, known: Mapping[str, Any]) -> Form:
        """Return the form that is selected where these names are known."""
        found = evaluate(self.argument, known)
        return form(found if self.cases is None else self.cases.get(found, bytes))


class Known(Struct, frozen=True):
    """The fields that follow this one-byte number can be decoded only if it has one of these values."""

    what: str
    values: tuple[int, ...]

    def check(self, value: int, start: int) -> int:
        """Return the value; raise WireError if it is unknown."""
        if value not in self.values:
            raise WireError(f"unknown {self.what} {value}", start)
        return value


class UntilError(Struct, frozen=True):
    """A malformed item ends the list with a length prefix; the items before it count, and `Reader.error` is set."""


class Leaf(Struct, frozen=True):
    """A number, or bytes: one call of a method of Reader."""

    method: str
    argument: Argument | None = None
    mask: int | None = None
    known: Known | None = None
    registry: Registry | None = None

    @property
    def missing(self) -> int | bytes:
        """The value of a field that could not be read."""
        return b"" if self.method in ("rest", "sized", "opaque") else 0

    def read(self, r: Reader, known: Mapping[str, Any]) -> Any:
        """Read the value, whether it is a known one or not."""
        arguments = () if self.argument is None else (evaluate(self.argument, known),)
        value = getattr(r, self.method)(*arguments)
        return value if self.mask is None else value & self.mask


class Numbers(Struct, frozen=True):
    """A list of numbers of one or two bytes with a length prefix; a long one is a LongList instead of a tuple."""

    item: Leaf
    size: int
    prefix: int

    def read(self, r: Reader) -> tuple[int, ...] | LongList:
        """Read the list."""
        return r.u8s(self.prefix) if self.size == 1 else r.u16s(self.prefix)


class Items(Struct, frozen=True):
    """Items up to the end of what encloses them."""

    item: Form
    until_error: bool = False


class Counted(Struct, frozen=True):
    """A number of items."""

    item: Form
    count: Argument


class Nested(Struct, frozen=True):
    """A struct."""

    struct: type[WireStruct]


class Absent(Struct, frozen=True):
    """No bytes."""


class Delimited(Struct, frozen=True):
    """A form within a number of bytes."""

    inner: Form
    by: Length | Size


class Conditional(Struct, frozen=True):
    """A form that may be absent."""

    inner: Form
    when: When


Form: TypeAlias = Leaf | Numbers | Items | Counted | Nested | Absent | Select | Delimited | Conditional
"""How a field is read."""

BYTES = Leaf("rest")

Uint8 = Annotated[int, Uint(1)]
Uint16 = Annotated[int, Uint(2)]
Uint24 = Annotated[int, Uint(3)]
Uint32 = Annotated[int, Uint(4)]
Uint64 = Annotated[int, Uint(8)]
Opaque8 = Annotated[bytes, Length(1)]
Opaque16 = Annotated[bytes, Length(2)]
Opaque24 = Annotated[bytes, Length(3)]
"""Bytes with a length of so many bits in front."""


class WireStruct(Struct, frozen=True):
    """A struct whose fields are read as they are declared; no subclass has subclasses."""

    @classmethod
    def read(cls, r: Reader, **given: Any) -> Self:
        """Read the struct; `given` is what its fields depend on and the message itself does not say."""
        struct: Self = reader(cls)(r, **given)
        return struct


@cache
def _hints(struct: type[WireStruct]) -> Mapping[str, Any]:
    hints = get_type_hints(struct, include_extras=True)
    return {name: hints[name] for name in struct.__struct_fields__}


@cache
def layout(struct: type[WireStruct]) -> Mapping[str, Form]:
    """Return the form of each field."""
    return {name: form(hint) for name, hint in _hints(struct).items()}


@cache
def form(hint: Any) -> Form:
    """Return the form of an annotated type."""
    if hint is None:
        return Absent()
    kind, notes = _present(hint)
    found: Form
    if Select in notes:
        found = notes[Select]
    elif kind is int:
        found = _number(notes)
    elif kind is bytes:
        found = BYTES
    elif get_origin(kind) is tuple:
        item = form(get_args(kind)[0])
        found = Counted(item, notes[Count].of) if Count in notes else Items(item, UntilError in notes)
    else:
        found = Nested(kind)
    for note in (Length, Size):
        if note in notes:
            found = delimited(found, notes[note])
    return Conditional(found, notes[When]) if When in notes else found


def delimited(inner: Form, by: Length | Size) -> Form:
    """Return the form of a delimited value; Reader has methods for bytes and for lists of short numbers."""
    if inner == BYTES:
        return Leaf("sized", by.size) if isinstance(by, Length) else Leaf("opaque", by.of)
    if isinstance(inner, Items) and isinstance(inner.item, Leaf) and isinstance(by, Length):
        size = {"u8": 1, "u16": 2}.get(inner.item.method)
        if size:
            return Numbers(inner.item, size, by.size)
    return Delimited(inner, by)


def annotated(hint: Any) -> tuple[Any, dict[Any, Any]]:
    """Return the type in a hint, and its annotations by their types."""
    notes: dict[Any, Any] = {}
    while get_origin(hint) is Annotated:
        notes |= {type(note): note for note in hint.__metadata__}
        hint = hint.__origin__
    return hint, notes


def _present(hint: Any) -> tuple[Any, dict[Any, Any]]:
    """Return the type of a field when it is present, and all annotations."""
    kind, notes = annotated(hint)
    if type(None) not in get_args(kind):
        return kind, notes
    # A field of several types is a selected one: which of them comes first has no meaning.
    kind, inner = annotated(get_args(kind)[0])
    return kind, notes | inner


def _number(notes: dict[Any, Any]) -> Leaf:
    registry, known = notes.get(Registry), notes.get(Known)
    if Varint in notes:
        return Leaf("varint", registry=registry)
    uint = notes[Uint] if Uint in notes else Uint(notes[Registry].size)
    size, mask = uint.size, (1 << uint.bits) - 1 if uint.bits < 8 * uint.size else None
    if size in (1, 2):
        return Leaf(f"u{8 * size}", None, mask, known, registry)
    return Leaf("uint", size, mask, known, registry)


@cache
def reader(hint: Any) -> Callable[..., Any]:
    """Return the function that reads a struct, or a value of an annotated type that depends on nothing before it."""
    if not (isinstance(hint, type) and issubclass(hint, WireStruct)):
        return _Source().value(form(hint))
    read = _Source().struct(hint)
    # A short struct takes a fifth longer to read through the method of the base class.
    type.__setattr__(hint, "read", staticmethod(read))
    return read


def read_beginning(struct: type[T], r: Reader) -> T:
    """Read a malformed struct up to the first field that cannot be read; that and those after it are None.

    WireError if one of them may not be None.
    """
    values: dict[str, Any] = {}
    for name, hint in _hints(struct).items():
        read = partial(reader(hint), r)
        if type(None) not in get_args(annotated(hint)[0]):
            values[name] = read()
        else:
            values[name] = None if r.error else r.attempt(read)
    return struct(**values)


def evaluate(argument: Argument, known: Mapping[str, Any]) -> Any:
    """Return the value of an argument, which may be a name in these values."""
    if callable(argument):
        return argument(*[known[name] for name in parameters(argument)])
    return known[argument] if isinstance(argument, str) else argument


def parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names that a function of an annotation depends on."""
    return tuple(inspect.signature(function).parameters)


class _Source:
    """The source of one decoder, and the values that it refers to by names."""

    def __init__(self) -> None:
        self._names: dict[str, Any] = {}
        self._used: dict[str, None] = {}
        """The names of fields, and of what is given, that functions depend on."""

    def struct(self, struct: type[WireStruct]) -> Callable[..., Any]:
        """Return the function that reads a struct: a statement for each field."""
        fields = layout(struct)
        lines = [f"{name} = {self._expression(one)}" for name, one in fields.items()]
        lines.append(f"return {self._name(struct)}({', '.join(fields)})")
        given = [name for name in self._used if name not in fields and name != "r"]
        return self._compiled(["r", *given], lines)

    def value(self, one: Form) -> Callable[[Reader], Any]:
        """Return the function that reads one value."""
        return self._compiled(["r"], [f"return {self._expression(one)}"])

    def _compiled(self, arguments: list[str], lines: list[str]) -> Callable[..., Any]:
        source = "\n    ".join([f"def read({', '.join(arguments)}):", *lines])
        exec(source, self._names)  # noqa: S102  # as dataclasses and attrs do; made of declarations, never of input
        read: Callable[..., Any] = self._names["read"]
        return read

    def _expression(self, one: Form) -> str:
        match one:
            case Leaf():
                return self._leaf(one)
            case Numbers():
                return f"r.u{8 * one.size}s({one.prefix})"
            case Items():
                return f"r.items({self._function(one.item)})"
            case Counted():
                return f"tuple([{self._expression(one.item)} for _ in range({self._argument(one.count)})])"
            case Nested():
                return f"{self._function(one)}(r)"
            case Absent():
                return "None"
            case Select():
                return f"{self._selected(one)}(r)"
            case Delimited():
                return self._delimited(one.inner, one.by)
            case Conditional():
                known = "" if one.when.values is None else f" in {self._name(one.when.values)}"
                return f"({self._expression(one.inner)}) if {self._argument(one.when.argument)}{known} else None"

    def _leaf(self, one: Leaf) -> str:
        read = f"r.{one.method}({'' if one.argument is None else self._argument(one.argument)})"
        if one.mask is not None:
            read += f" & {one.mask}"
        # The check is made after the byte was read.
        return f"{self._name(one.known.check)}({read}, r.offset - 1)" if one.known else read

    def _delimited(self, inner: Form, by: Length | Size) -> str:
        bounds = f"r.block({by.size})" if isinstance(by, Length) else f"r.part({self._argument(by.of)})"
        if not isinstance(inner, Items):
            function = self._selected(inner) if isinstance(inner, Select) else self._function(inner)
            return f"{bounds}.whole({function})"
        item = self._function(inner.item)
        if isinstance(by, Size):
            return f"{bounds}.items({item})"
        if not inner.until_error:
            return f"r.vector({by.size}, {item})"
        vector = f"r.vector_until_error({by.size}, {item})"
        if not (by.size == 2 and isinstance(inner.item, Nested) and _is_tagged(inner.item.struct)):
            return vector
        return f"{vector} if (tagged := r.tagged({self._name(inner.item.struct)})) is None else tagged"

    def _selected(self, one: Select) -> str:
        found = self._argument(one.argument)
        if one.cases is not None:
            found = f"{self._name(one.cases.get)}({found}, {self._name(bytes)})"
        return f"{self._name(reader)}({found})"

    def _function(self, one: Form) -> str:
        return self._name(reader(one.struct) if isinstance(one, Nested) else _Source().value(one))

    def _argument(self, argument: Argument) -> str:
        if not callable(argument):
            self._used |= {argument: None} if isinstance(argument, str) else {}
            return str(argument)
        names = parameters(argument)
        self._used |= dict.fromkeys(names)
        return f"{self._name(argument)}({', '.join(names)})"

    def _name(self, value: object) -> str:
        name = f"_{len(self._names)}"
        self._names[name] = value
        return name


def _is_tagged(struct: type[WireStruct]) -> bool:
    """Return whether a struct is a uint16 and bytes with a 2-byte length: `Reader.tagged` reads lists of them."""
    first, *rest = layout(struct).values()
    return isinstance(first, Leaf) and first.method == "u16" and rest == [Leaf("sized", 2)]
