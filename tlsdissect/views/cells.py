"""Connections as CSV (RFC 4180): one flat row each, for `read --format csv`, exports and tables."""

from __future__ import annotations

import re
from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, json, structs

from tlsdissect.transcript.connection import Connection
from tlsdissect.views.printable import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Value = str | int | float | bool | list[Any] | None
"""What a cell holds; lists as `read --format json` has them."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet takes for the start of a formula, and the quote that keeps it from doing so."""


class Column(Struct, frozen=True):
    """One column: its name, how to reach its value, and how a cell becomes a value again."""

    name: str
    kind: type
    """str, int, float or bool; list for what a cell holds as JSON."""
    value: Callable[[Any], Any]
    raw: bool = False
    """Whether it is there only with raw fingerprints."""

    def restored(self, text: str) -> Value:
        """Turn a cell that is not empty into its value again."""
        return _RESTORED[self.kind](text)


class Csv:
    """The CSV writer of a run; all captures have the same columns."""

    def __init__(self, *, raw_fingerprints: bool = False, seen: bool = False) -> None:
        """`seen`: the rows go to a terminal, which would obey what stands in them."""
        chosen = [column for column in COLUMNS if raw_fingerprints or not column.raw]
        self._values = [column.value for column in chosen]
        self._seen = seen
        self.head = line([column.name for column in chosen])

    def section(self, _: str) -> bytes:
        """Write nothing: each connection names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Write a connection as one row."""
        return line([cell(value(connection)) for value in self._values], seen=self._seen)


def cell(value: object) -> str:
    """Write a value as a cell; text that a spreadsheet would run as a formula gets a quote in front."""
    return _WRITTEN.get(type(value), _list)(value)


def line(cells: list[str], *, seen: bool = False) -> bytes:
    """Write cells as one record. The csv module takes ten times as long: it looks at each character.

    CSV has no way to write a control character, and a file or a pipe gets what it is: so that it is read back as it
    was. Where a record is `seen` on a terminal, it is escaped.
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
    """Take off the quote that keeps a spreadsheet from running a cell."""
    return text.removeprefix("'")


_RESTORED: dict[type, Callable[[str], Value]] = {
    str: unguarded,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    list: json.decode,
}


def columns(kind: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Column]:
    """List the columns of a struct, nested ones joined by `_`."""
    for field in structs.fields(kind):
        here = (*path, field.name)
        (of, *_) = plain = _plain(field.type)
        if len(plain) == 1 and isinstance(of, type) and issubclass(of, Struct):
            yield from columns(of, here)
        else:
            # A Literal is of the kind of its values, and a tuple a list.
            held: type = str if isinstance(of, str) else of if of in _RESTORED else list
            yield Column("_".join(here), held, _reach(here), raw=field.default is UNSET)


def _plain(annotation: Any) -> list[Any]:
    """Take None and "not asked for" off a field's type, and a Literal apart."""
    if isinstance(annotation, type) or not hasattr(annotation, "__args__"):
        return [annotation]
    if getattr(annotation, "__origin__", None) is tuple:
        return [tuple]
    return [one for one in _flat(annotation.__args__) if one not in (type(None), UnsetType)]


def _flat(arguments: Iterable[Any]) -> Iterator[Any]:
    for argument in arguments:
        yield from _plain(argument)


def _reach(path: tuple[str, ...]) -> Callable[[Any], Any]:
    """Make a function that follows attributes until one is None."""
    if len(path) == 1:
        return attrgetter(path[0])
    outer, inner = attrgetter(path[0]), _reach(path[1:])

    def value(of: Any) -> Any:
        within = outer(of)
        return None if within is None else inner(within)

    return value


COLUMNS: tuple[Column, ...] = tuple(columns(Connection))
"""Every column, in the order of the JSON output's keys."""
