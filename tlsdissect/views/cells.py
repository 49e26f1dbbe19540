"""Connections as CSV (RFC 4180), and back: one flat row each, for `read --format csv`, exports and tables."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable  # noqa: TC003 (msgspec reads the annotations)
from operator import attrgetter
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Struct, UnsetType, json, structs

from tlsdissect.transcript.connection import Connection

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

Value = str | int | float | bool | list[Any] | None
"""What a cell holds; lists as `read --format json` has them."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""What a spreadsheet takes for the start of a formula, and the quote that keeps it from doing so."""
_LIMIT = 2**31 - 1
"""Bytes of a cell that are read back; lists of messages outgrow the csv module's own limit."""


class Column(Struct, frozen=True):
    """One column: its name, how to reach its value, and how a cell becomes a value again."""

    name: str
    value: Callable[[Any], Any]
    restored: Callable[[str], Value]
    raw: bool
    """Whether it is there only with raw fingerprints."""


class Csv:
    """The CSV writer of a run; all captures have the same columns."""

    def __init__(self, *, raw_fingerprints: bool = False) -> None:
        chosen = [column for column in COLUMNS if raw_fingerprints or not column.raw]
        self._values = [column.value for column in chosen]
        self.head = line([column.name for column in chosen])

    def section(self, _: str) -> bytes:
        """Write nothing: each connection names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Write a connection as one row."""
        return line([cell(value(connection)) for value in self._values])


def cell(value: object) -> str:
    """Write a value as a cell; text that a spreadsheet would run as a formula gets a quote in front."""
    return _WRITTEN.get(type(value), _list)(value)


def line(cells: list[str]) -> bytes:
    """Write cells as one record. The csv module takes ten times as long: it looks at each character."""
    return f"{','.join([_quoted(text) for text in cells])}\r\n".encode("utf-8", "backslashreplace")


def _quoted(text: str) -> str:
    if _SPECIAL(text) is None:
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _list(value: object) -> str:
    return json.encode(value).decode()


_SPECIAL = re.compile(r'[",\r\n]').search
_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _guarded,
    int: str,
    float: str,
    bool: {False: "false", True: "true"}.__getitem__,
    NoneType: lambda _: "",
    UnsetType: lambda _: "",
}


def load_csv(path: str | os.PathLike[str]) -> list[dict[str, Value]]:
    """Read what `tlsdissect read --format csv` wrote: a dict a connection, the values as they were.

    Numbers, true and false, and lists come back as such, an empty cell as None, and the quote that keeps a spreadsheet
    from running a cell is taken off. A column of another origin is text.

        >>> rows = tlsdissect.load_csv("connections.csv")
        >>> rows[0]["version"], rows[0]["round_trips"], rows[0]["certificates"][0]["dns_names"]
        ('TLS 1.2', 2, ['localhost'])
    """
    before = csv.field_size_limit(_LIMIT)
    try:
        # Excel puts a byte order mark in front of what it saves as UTF-8.
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 (a str is welcome)
            return list(_restored(csv.reader(file)))
    finally:
        csv.field_size_limit(before)


def _restored(rows: Iterator[list[str]]) -> Iterator[dict[str, Value]]:
    kinds = {column.name: column.restored for column in COLUMNS}
    names = next(rows, [])
    for cells in rows:
        yield {name: kinds.get(name, _text)(text) if text else None for name, text in zip(names, cells, strict=False)}


def _text(text: str) -> str:
    return text.removeprefix("'")


_RESTORED: dict[object, Callable[[str], Value]] = {
    str: _text,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
}


def columns(kind: type[Struct], path: tuple[str, ...] = ()) -> Iterator[Column]:
    """List the columns of a struct, nested ones joined by `_`."""
    for field in structs.fields(kind):
        here = (*path, field.name)
        (of, *_) = plain = _plain(field.type)
        if len(plain) == 1 and isinstance(of, type) and issubclass(of, Struct):
            yield from columns(of, here)
        else:
            # A Literal is of the kind of its values, a tuple's origin is no key here.
            restored = _RESTORED.get(type(of) if isinstance(of, str) else of, json.decode)
            yield Column("_".join(here), _reach(here), restored, raw=field.default is UNSET)


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
