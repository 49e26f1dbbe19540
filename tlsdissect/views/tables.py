"""Connections as flat tables that are joined by `source` and `stream`, for exports and DataFrames."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import to_builtins

from tlsdissect.model.connection import Alert, Certificate, Connection, Finding, Message
from tlsdissect.views.cells import COLUMNS, Column, Value, columns, unguarded

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    Rows = Callable[[Connection], Iterator[list[Any]]]

_LIMIT = 2**31 - 1
"""Maximum size of a cell that is read back, in bytes: lists of messages exceed the default of the csv module."""


class Table(NamedTuple):
    """A table: its name, its columns, and a function that yields a connection's rows, with one value per column."""

    name: str
    columns: tuple[Column, ...]
    rows: Rows


def _key(name: str, kind: type) -> Column:
    return Column(name, kind, lambda _: None)


_KEYS = (_key("source", str), _key("stream", int))
_PLACE = (*_KEYS, _key("position", int))
_BODY = tuple(column for column in COLUMNS if not column.raw)
_EXTENSION = (("sender", str), ("message", str), ("position", int), ("type", str), ("code", int), ("bytes", int))


def _connections(c: Connection) -> Iterator[list[Any]]:
    yield [column.value(c) for column in _BODY]


def _certificates(c: Connection) -> Iterator[list[Any]]:
    for sender, chain in (("server", c.certificates), ("client", c.client_certificates)):
        for position, one in enumerate(chain or ()):
            yield [c.source, c.stream, sender, position, *(column.value(one) for column in _CERTIFICATE)]


def _extensions(c: Connection) -> Iterator[list[Any]]:
    for sender, message, hello in (
        ("client", "client_hello", c.client_hello),
        ("server", "server_hello", c.server_hello),
    ):
        for position, one in enumerate((hello.extensions if hello else None) or ()):
            fields = to_builtins(one)
            common = [fields.pop(name) for name in ("type", "code", "bytes")]
            yield [c.source, c.stream, sender, message, position, *common, fields or None]


def _listed(items: Callable[[Connection], Iterable[Any] | None], kind: tuple[Column, ...]) -> Rows:
    """Return a function that yields a row for each item of a list, with its position."""

    def rows(c: Connection) -> Iterator[list[Any]]:
        for position, one in enumerate(items(c) or ()):
            yield [c.source, c.stream, position, *(column.value(one) for column in kind)]

    return rows


_CERTIFICATE = tuple(columns(Certificate))
_MESSAGE, _ALERT, _FINDING = tuple(columns(Message)), tuple(columns(Alert)), tuple(columns(Finding))
TABLES: tuple[Table, ...] = (
    Table("connections", _BODY, _connections),
    Table("certificates", (*_KEYS, _key("sender", str), _key("position", int), *_CERTIFICATE), _certificates),
    Table("messages", (*_PLACE, *_MESSAGE), _listed(lambda c: c.messages, _MESSAGE)),
    Table(
        "extensions",
        (*_KEYS, *(_key(name, kind) for name, kind in _EXTENSION), _key("fields", list)),
        _extensions,
    ),
    Table("alerts", (*_PLACE, *_ALERT), _listed(lambda c: c.alerts, _ALERT)),
    Table("findings", (*_PLACE, *_FINDING), _listed(lambda c: c.findings, _FINDING)),
)
"""All tables except the comparison. `position` counts from 0 in wire order."""
COMPARISON = Table(
    "comparison", tuple(_key(name, str) for name in ("key", "version", "measure", "value")), lambda _: iter(())
)
"""The numbers of a comparison; no single connection has rows in it."""


def load_csv(path: str | os.PathLike[str]) -> list[dict[str, Value]]:
    """Read a CSV file of `read --format csv` or `export` into a dict per row, with the original values.

    Numbers, booleans and lists are restored, an empty cell becomes None, and the quote that prevents a spreadsheet
    from running a cell is taken off. A column of another origin is text.

        >>> rows = tlsdissect.load_csv("connections.csv")
        >>> rows[0]["version"], rows[0]["round_trips"], rows[0]["certificates"][0]["dns_names"]
        ('TLS 1.2', 2, ['localhost'])
    """
    before = csv.field_size_limit(_LIMIT)
    try:
        # Excel writes a byte order mark before UTF-8.
        with open(path, encoding="utf-8-sig", newline="") as file:  # noqa: PTH123 (a str is welcome)
            return list(_restored(csv.reader(file)))
    finally:
        csv.field_size_limit(before)


def _restored(rows: Iterator[list[str]]) -> Iterator[dict[str, Value]]:
    names = next(rows, [])
    kinds = {column.name: column.restored for column in _columns(names)}
    for cells in rows:
        named = zip(names, cells, strict=False)
        yield {name: kinds.get(name, unguarded)(text) if text else None for name, text in named}


def _columns(names: list[str]) -> tuple[Column, ...]:
    """Return the columns of the table with exactly these names: types of the same name differ between tables."""
    from tlsdissect.views.names import VOCABULARIES  # noqa: PLC0415 (they are made of these tables' parts)

    for table in (*TABLES, *(table for made in VOCABULARIES.values() for table in made())):
        if names == [column.name for column in table.columns]:
            return table.columns
    return COLUMNS
