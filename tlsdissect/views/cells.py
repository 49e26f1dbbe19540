"""Connections as CSV (RFC 4180): one flat row each, for `read --format csv`, exports and tables."""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, json, structs

from tlsdissect.model.connection import Connection
from tlsdissect.views.printable import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Value = str | int | float | bool | list[Any] | None
"""The value of a cell; a list has the form that it has in `read --format json`."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Characters that start a formula in a spreadsheet, and the quote that prevents this."""


class Column(Struct, frozen=True):
    """A column: its name, its type, and how to get its value from an object."""

    name: str
    kind: type
    """str, int, float or bool; list for a value that a cell contains as JSON."""
    value: Callable[[Any], Any]
    """Returns None for a missing value."""
    raw: bool = False
    """Whether it exists with --raw-fingerprints only."""

    def restored(self, text: str) -> Value:
        """Parse a cell that is not empty."""
        return _RESTORED[self.kind](text)


class Csv:
    """Formats connections as CSV, with the same columns for every capture."""

    def __init__(self, *, raw_fingerprints: bool = False, seen: bool = False) -> None:
        """`seen`: the output is a terminal, for which control characters are escaped."""
        chosen = [column for column in COLUMNS if raw_fingerprints or not column.raw]
        self._values = [column.value for column in chosen]
        self._seen = seen
        self.head = line([column.name for column in chosen])

    def section(self, _: str) -> bytes:
        """Return nothing: each row names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one row."""
        return line([cell(value(connection)) for value in self._values], seen=self._seen)


def cell(value: object) -> str:
    """Format a value as a cell; text that a spreadsheet would evaluate as a formula is prefixed with a quote."""
    return _WRITTEN.get(type(value), _list)(value)


def line(cells: list[str], *, seen: bool = False) -> bytes:
    """Format cells as one record. The csv module takes ten times as long, because it examines each character.

    CSV cannot escape control characters. Files and pipes get them unchanged, so that they can be read back; for a
    terminal (`seen`) they are escaped.
    """
    cells = [printable(text) for text in cells] if seen else cells
    return f"{','.join([_quoted(text) for text in cells])}\r\n".encode("utf-8", "backslashreplace")


def _quoted(text: str) -> str:
    if _SPECIAL(text) is None:
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _list(value: object) -> str:
    return printable_json(json.encode(value)).decode()


_SPECIAL = re.compile(r'[",\r\n]').search
_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _guarded,
    int: str,
    float: str,
    bool: {False: "false", True: "true"}.__getitem__,
    NoneType: lambda _: "",
    UnsetType: lambda _: "",
}


def unguarded(text: str) -> str:
    """Remove the quote that prevents a spreadsheet from evaluating a cell."""
    return text.removeprefix("'")


_RESTORED: dict[type, Callable[[str], Value]] = {
    str: unguarded,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    list: json.decode,
}


def columns(kind: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Column]:
    """Yield the columns of a struct; names of nested fields are joined by `_`."""
    for field in structs.fields(kind):
        here = (*path, field.name)
        (of, *_) = plain = _plain(field.type)
        if len(plain) == 1 and isinstance(of, type) and issubclass(of, Struct):
            yield from columns(of, here)
        else:
            # A Literal has the type of its values, and a tuple becomes a list.
            held: type = str if isinstance(of, str) else of if of in _RESTORED else list
            yield Column("_".join(here), held, _reach(here), raw=field.default is UNSET)


def _plain(annotation: Any) -> list[Any]:
    """Return the alternatives of a field's type without None and Unset; a Literal yields its values."""
    if isinstance(annotation, type) or not hasattr(annotation, "__args__"):
        return [annotation]
    if getattr(annotation, "__origin__", None) is tuple:
        return [tuple]
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


COLUMNS: tuple[Column, ...] = tuple(columns(Connection))
"""All columns, in the order of the JSON keys."""
