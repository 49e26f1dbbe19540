"""CSV of `read` and `export` read back, with the types of its columns."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from msgspec import json

from tlsdissect.corpus import json_keys
from tlsdissect.views.columns import COLUMNS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

Value = str | int | float | bool | list[Any] | None
"""The value of a cell; a list has the form that it has in `read --format json`."""
_LIMIT = 2**31 - 1
"""Maximum size of a cell that is read back, in bytes: lists of messages exceed the default of the csv module."""


def load_csv(path: str | os.PathLike[str]) -> list[dict[str, Value]]:
    """Read a CSV file written by `read --format csv` or `export` into a dict per row, with the original values.

    Numbers, booleans and lists are restored, an empty cell becomes None, and the quote that keeps a spreadsheet from
    evaluating a cell as a formula is removed. Columns from elsewhere remain text.

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


def _unguarded(text: str) -> str:
    """Remove the quote that prevents a spreadsheet from evaluating a cell."""
    return text.removeprefix("'")


_RESTORED: dict[type, Callable[[str], Value]] = {
    str: _unguarded,
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    list: json.decode,
}


def _restored(rows: Iterator[list[str]]) -> Iterator[dict[str, Value]]:
    names = next(rows, [])
    restore = [_RESTORED[kind] for kind in _kinds(names)]
    for cells in rows:
        named = zip(names, restore, cells, strict=False)
        yield {name: value(text) if text else None for name, value, text in named}


def _kinds(names: list[str]) -> list[type]:
    """Return the types of the columns: those of the table with exactly these names, because they differ between tables.

    Otherwise, the columns are those of connections, or keys as `read --columns` takes them, or of another origin.
    """
    from tlsdissect.views.names import VOCABULARIES  # noqa: PLC0415 (not needed to import the package)
    from tlsdissect.views.tables import TABLES  # noqa: PLC0415

    for table in (*TABLES, *(table for made in VOCABULARIES.values() for table in made())):
        if names == [column.name for column in table.columns]:
            return [column.kind for column in table.columns]
    flat = {column.name: column.kind for column in COLUMNS}
    return [flat.get(name) or _kind_of_key(name) for name in names]


def _kind_of_key(name: str) -> type:
    try:
        return json_keys.column(name).kind
    except ValueError:
        return str
