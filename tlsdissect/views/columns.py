"""Facts as flat columns: nested names are joined, for CSV, tables, exports and DataFrames."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, structs, to_builtins

from tlsdissect.model.connection import Connection, Extension

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PLAIN = (str, int, float, bool)
"""Types of values that a cell contains as they are."""


class Column(Struct, frozen=True):
    """A column: its name, its type, and how to get its value from an object."""

    name: str
    kind: type
    """str, int, float or bool; list for a value that a cell contains as JSON."""
    value: Callable[[Any], Any]
    """Returns None for a missing value."""
    raw: bool = False
    """Whether it exists with --raw-fingerprints only."""
    annotation: Any = None
    """The type of the field, for formats that have lists and structs."""
    key: str = ""
    """Struct and JSON key of the field."""
    meaning: str = ""
    """What it is, if it is no field of a struct."""


def columns(kind: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Column]:
    """Yield the columns of a struct; names of nested fields are joined by `_`."""
    for field in structs.fields(kind):
        here = (*path, field.name)
        (of, *_) = plain = _plain(field.type)
        if len(plain) == 1 and isinstance(of, type) and issubclass(of, Struct):
            yield from columns(of, here)
        else:
            # A Literal has the type of its values, and a tuple becomes a list.
            held: type = str if isinstance(of, str) else of if of in _PLAIN else list
            raw, key = field.default is UNSET, f"{kind.__name__}.{field.encode_name}"
            yield Column("_".join(here), held, _reach(here), raw=raw, annotation=field.type, key=key)


def _plain(annotation: Any) -> list[Any]:
    """Return the alternatives of a field's type without None and Unset; a Literal yields its values."""
    if isinstance(annotation, type) or not hasattr(annotation, "__args__"):
        return [annotation]
    origin = getattr(annotation, "__origin__", None)
    if origin in (tuple, dict):
        return [origin]
    return [one for one in _flat(annotation.__args__) if one not in (type(None), UnsetType)]


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    for argument in arguments:
        yield from _plain(argument)


def _reach(path: tuple[str, ...]) -> Callable[[Any], Any]:
    """Return a function that follows attributes and stops at None."""
    if len(path) == 1:
        return attrgetter(path[0])
    outer, inner = attrgetter(path[0]), _reach(path[1:])

    def value(of: Any) -> Any:
        within = outer(of)
        return None if within is None else inner(within)

    return value


def flat_extension(extension: Any) -> dict[str, Any]:
    """Return the keys that every extension has, and as `fields` those of its type; None without any."""
    fields = to_builtins(extension)
    common = {name: fields.pop(name) for name in Extension.__struct_fields__}
    return {**common, "fields": fields or None}


COLUMNS: tuple[Column, ...] = tuple(columns(Connection))
"""All columns of a connection, in the order of the JSON keys."""


def rows(columns: Iterable[Column], items: Callable[[Any], Iterable[Any]]) -> Callable[[Any], Iterator[list[Any]]]:
    """Make the function that yields a row for each item of a connection."""
    values = [one.value for one in columns]

    def of(connection: Any) -> Iterator[list[Any]]:
        for item in items(connection):
            yield [value(item) for value in values]

    return of
