"""Tables in Arrow, by pyarrow (the extra `parquet`): times as timestamps in UTC, lists and structs as such.

One schema for DataFrames of other libraries, for databases and for Parquet. What depends on the connection, as the
fields of an extension do, is JSON text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from msgspec import Struct, UnsetType, structs

from tlsdissect.model.connection import Extension
from tlsdissect.views.columns import flat_extension
from tlsdissect.views.printable import json_text, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.columns import Column
    from tlsdissect.views.tables import Table

    Convert = Callable[[Any], Any]

_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
_NANOSECONDS, _SECONDS = pa.timestamp("ns", "UTC"), pa.timestamp("s", "UTC")
_TIMES = {
    "start": _NANOSECONDS,
    "end": _NANOSECONDS,
    "not_before": _SECONDS,
    "not_after": _SECONDS,
    "this_update": _SECONDS,
    "next_update": _SECONDS,
    "produced_at": _SECONDS,
    "revocation_time": _SECONDS,
}
"""Fields that contain times: nanoseconds cannot represent the year 9999, in which certificates end."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_SECOND = len("2026-01-01T00:00:00")
_GROUP = 10_000
"""Rows that are passed on together, and kept until then."""
_GROUP_BYTES = 16 << 20
"""Estimated bytes of text and lists in rows that are passed on together: fewer rows where they are long."""
_ITEM_BYTES = 256
"""Estimated bytes of an item of a list."""


class Fields:
    """The Arrow types of a table's columns, and the functions that convert their values."""

    def __init__(self, table: Table) -> None:
        made = [_field(column) for column in table.columns]
        self.schema = pa.schema([(column.name, kind) for column, (kind, _) in zip(table.columns, made, strict=True)])
        self._converts = [convert for _, convert in made]

    def table(self, rows: Sequence[Sequence[Any]]) -> Any:
        """Return rows as a `pyarrow.Table`."""
        columns = zip(*rows, strict=True) if rows else [()] * len(self._converts)
        arrays = [
            pa.array([convert(value) for value in values], field.type)
            for values, convert, field in zip(columns, self._converts, self.schema, strict=True)
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


@cache
def fields_of(table: Table) -> Fields:
    """Return the types and conversions of a table, which take ten times as long to find as a row to convert."""
    return Fields(table)


class RowBatches:
    """Takes the rows of a table one by one, and passes them on as `pyarrow.Table`s of limited size."""

    def __init__(self, table: Table, take: Callable[[Any], object]) -> None:
        self._fields = fields_of(table)
        self._take = take
        self._rows: list[list[Any]] = []
        self._held = 0

    def add(self, row: list[Any]) -> None:
        """Take a row."""
        self._rows.append(row)
        self._held += sum([_size(value) for value in row])
        if len(self._rows) >= _GROUP or self._held >= _GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Pass on the rows that are left."""
        if self._rows:
            self._take(self._fields.table(self._rows))
            self._rows.clear()
            self._held = 0


def _size(value: object) -> int:
    """Estimate the bytes of a value, which matter if it is text or a list."""
    if isinstance(value, str):
        return len(value)
    return _ITEM_BYTES * len(value) if isinstance(value, tuple | list | dict) else 0


def arrow_table(table: Table, connections: Iterable[Connection]) -> Any:
    """Return the rows of connections in a table as a `pyarrow.Table`."""
    return fields_of(table).table([row for one in connections for row in table.rows(one)])


def _field(column: Column) -> tuple[Any, Convert]:
    """Return the type of a column, and the function that converts its values."""
    if column.annotation is not None:
        name = next((time for time in _TIMES if column.name == time or column.name.endswith(f"_{time}")), column.name)
        return _typed(name, column.annotation)
    return (pa.string(), _as_json) if column.kind is list else (_PLAIN[column.kind], _TEXTS.get(column.kind, _same))


def _typed(name: str, annotation: Any) -> tuple[Any, Convert]:
    """Return the type of a field, and the function that converts its values."""
    if isinstance(annotation, str):
        return pa.string(), _text  # a value of a Literal
    if annotation in _PLAIN:
        if annotation is str and name in _TIMES:
            return _TIMES[name], _nanoseconds if _TIMES[name] == _NANOSECONDS else _seconds
        return _PLAIN[annotation], _TEXTS.get(annotation, _same)
    if isinstance(annotation, type) and issubclass(annotation, Extension):
        return _EXTENSION, _extension
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return _struct(annotation)
    arguments = [one for one in getattr(annotation, "__args__", ()) if one not in (type(None), UnsetType, ...)]
    origin = getattr(annotation, "__origin__", None)
    if origin is tuple:
        kind, convert = _typed(name, arguments[0])
        return pa.list_(kind), lambda values: None if values is None else [convert(one) for one in values]
    made = [_typed(name, one) for one in arguments] if origin is not dict else []
    same = made and all(kind == made[0][0] for kind, _ in made)
    return made[0] if same else (pa.string(), _as_json)


def _struct(of: type[Struct]) -> tuple[Any, Convert]:
    fields = [(field.encode_name, field.name, *_typed(field.name, field.type)) for field in structs.fields(of)]

    def convert(value: Any) -> Any:
        if value is None:
            return None
        return {key: inner(getattr(value, attribute)) for key, attribute, _, inner in fields}

    return pa.struct([(key, kind) for key, _, kind, _ in fields]), convert


_EXTENSION = pa.struct([("type", pa.string()), ("code", pa.int64()), ("bytes", pa.int64()), ("fields", pa.string())])


def _extension(value: Any) -> Any:
    flat = flat_extension(value)
    return {**flat, "fields": _as_json(flat["fields"])}


def _same(value: Any) -> Any:
    return None if isinstance(value, UnsetType) else value


def _text(value: Any) -> Any:
    return without_surrogates(value) if isinstance(value, str) else None


_TEXTS: dict[type, Convert] = {str: _text}


def _as_json(value: Any) -> Any:
    return None if value is None else json_text(value)


def _seconds(text: str | None) -> int | None:
    """Return the seconds since 1970 of a time; None for one outside the calendar."""
    try:
        return (
            None if text is None else int((datetime.fromisoformat(f"{text[:_SECOND]}+00:00") - _EPOCH).total_seconds())
        )
    except ValueError:
        return None


def _nanoseconds(text: str | None) -> int | None:
    seconds = _seconds(text)
    if text is None or seconds is None:
        return None
    return seconds * 10**9 + int(text[_SECOND:].strip(".Z").ljust(9, "0") or 0)
