"""The result of an SQL query, which comes in Arrow, as a table, CSV, JSON, Parquet or DataFrame."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from msgspec import json
from pyarrow import compute

from tlsdissect.views.csv import cell, line
from tlsdissect.views.ndjson import json_line
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import columns as measured
from tlsdissect.views.printable import encoded, printable, shortened, styled
from tlsdissect.views.table import FAINT, HEADING, Column, Table, written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd

    from tlsdissect.views.table import Texts
    from tlsdissect.views.tables import Write

_FIRST = 10_000
"""Rows that decide how wide the columns of a table are."""
_READABLE = 6
"""Least characters of a readable column, unless its name is longer: names are never cut."""
_GAP = "  "
"""Between the name of a column and its value, where each has a line."""
_SLICE = 256
"""Rows that are objects of Python at a time."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_DAY, _DATE = 86_400, len("2026-01-01")
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_INTEGERS = (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32())
_WHOLE = range(-(2**63), 2**64)
"""Whole numbers that JSON is written with."""


class NoSuchTypeError(ValueError):
    """A format has no type for a column."""


class Answer(NamedTuple):
    """The result of a query, in Arrow; no two columns have the same name."""

    schema: Any
    batches: Iterator[Any]


def rows(batches: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the rows of batches, with values as JSON has them."""
    for batch in batches:
        for start in range(0, batch.num_rows, _SLICE):
            part = batch.slice(start, _SLICE)
            yield from map(list, zip(*map(values, part.columns), strict=True))


def values(array: Any) -> list[Any]:
    """Return the values of an array as JSON has them: times by RFC 3339, bytes in hexadecimal digits."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return values(array.dictionary_decode())
    if pa.types.is_map(kind):
        entries = values(array.cast(pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))))
        return [None if one is None else {_key(it["key"]): it["value"] for it in one} for one in entries]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        items = iter(values(array.flatten()))
        lengths = compute.list_value_length(array).to_pylist()
        return [None if length is None else list(islice(items, length)) for length in lengths]
    if pa.types.is_struct(kind):
        names = [field.name for field in kind]
        columns = zip(*map(values, array.flatten()), strict=True)
        valid = array.is_valid().to_pylist()
        return [dict(zip(names, row, strict=True)) if it else None for it, row in zip(valid, columns, strict=True)]
    if pa.types.is_timestamp(kind):
        zone = "" if kind.tz is None else "Z"
        return [_time(number, _DIGITS[kind.unit], zone) for number in array.cast(pa.int64()).to_pylist()]
    if pa.types.is_date32(kind):
        times = [_time(days and days * _DAY, 0) for days in array.cast(pa.int32()).to_pylist()]
        return [time and time[:_DATE] for time in times]
    if pa.types.is_time(kind):
        return array.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    return [_plain(one) for one in array.to_pylist()]


def _key(value: object) -> str:
    return value if isinstance(value, str) else json.encode(value).decode()


def _time(number: int | None, digits: int, zone: str = "") -> str | None:
    """Write a time since 1970, whose fraction has so many digits, by RFC 3339; None for one outside the calendar."""
    if number is None:
        return None
    seconds, fraction = divmod(number, 10**digits)
    try:
        second = (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return None
    return f"{second.removesuffix('+00:00')}{f'.{fraction:0{digits}d}' if fraction else ''}{zone}"


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, pa.MonthDayNano):
        return _interval(value)
    if isinstance(value, Decimal):
        value = int(value) if value.as_tuple().exponent == 0 else float(value)
    return str(value) if isinstance(value, int) and value not in _WHOLE else value


def _interval(value: Any) -> str:
    """Write an interval by ISO 8601."""
    seconds = f"{value.nanoseconds / 10**9:.6f}".rstrip("0").rstrip(".")
    return f"P{value.months}M{value.days}DT{seconds}S"


def csv_lines(answer: Answer, *, seen: bool = False) -> Iterator[bytes]:
    """Format as CSV; `seen`: the output is a terminal."""
    yield line([cell(name) for name in answer.schema.names], seen=seen)
    for row in rows(answer.batches):
        yield line([cell(value) for value in row], seen=seen)


def json_lines(answer: Answer) -> Iterator[bytes]:
    """Format as an object per line."""
    names = answer.schema.names
    for row in rows(answer.batches):
        yield json_line(dict(zip(names, row, strict=True)))


def table_lines(answer: Answer, width: int, *, coloured: bool = False, encoding: str = "utf-8") -> Iterator[bytes]:
    """Format as a table of this width; the first rows decide how wide its columns are.

    Where not even the names of the columns fit beside each other, each row is a block with a line per column.
    """
    columns = tuple(
        Column(printable(field.name), partial(_texts, number, width), right=_is_number(field.type))
        for number, field in enumerate(answer.schema)
    )
    least = sum(max(measured(column.title), _READABLE) + 1 for column in columns) - 1
    if least > width and len(columns) > 1:
        yield from _blocks(answer, width, coloured=coloured, encoding=encoding)
        return
    table = Table(width, coloured=coloured, encoding=encoding, asked=columns)
    found: Iterator[Any] = rows(answer.batches)
    lines = map(table.row, found)
    first = list(islice(lines, _FIRST))
    nothing: Any = [None] * len(columns)
    yield table.lay_out([("", one) for one in first or [table.row(nothing)]])
    for one in chain(first, lines):
        yield table.line("", one)


def _blocks(answer: Answer, width: int, *, coloured: bool, encoding: str) -> Iterator[bytes]:
    """Format each row as a heading with its number, and a line for each column."""
    names = [printable(name) for name in answer.schema.names]
    label = min(max(map(measured, names)), width * 3 // 5)
    shown = [shortened(name, label) for name in names]
    padded = [f"{name}{' ' * (label - measured(name))}" for name in shown]
    room = max(width - label - len(_GAP), 1)

    def look(text: str, style: str) -> str:
        return styled(text, style) if coloured else text

    number = 0
    for number, row in enumerate(rows(answer.batches), 1):
        yield encoded(f"{look(f'row {number:,}', HEADING)}\n", encoding)
        for name, value in zip(padded, row, strict=True):
            if value is None:
                yield encoded(f"{look(f'{name}{_GAP}-', FAINT)}\n", encoding)
            else:
                # What is longer than a line is cut anyway.
                text = shortened(printable(written(value)[: width + 1]), room)
                yield encoded(f"{look(name, FAINT)}{_GAP}{text}".rstrip() + "\n", encoding)
    if not number:
        yield encoded(f"no rows of {counted(len(names), 'column')}\n", encoding)


def _texts(number: int, width: int, row: Any) -> Texts:
    value = row[number]
    # What is wider than the table is cut anyway.
    return () if value is None else (written(value)[: width + 1],)


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def parquet(answer: Answer, write: Write) -> None:
    """Write a Parquet file; NoSuchTypeError if Parquet lacks the type of a column."""
    from tlsdissect.views.parquet import ParquetFile  # noqa: PLC0415 (not needed for other forms)

    try:
        file = ParquetFile(answer.schema, write)
    except pa.ArrowNotImplementedError as error:
        raise NoSuchTypeError(f"{error}; cast the column to another type, such as x::VARCHAR") from None
    for batch in answer.batches:
        file.add(batch)
    file.end()


def frame(answer: Answer) -> pd.DataFrame:
    """Make a DataFrame typed as those of `tlsdissect.tables`: lists are lists, and structs dicts."""
    import pandas as pd  # noqa: PLC0415 (takes half a second)

    whole = pa.Table.from_batches(answer.batches, answer.schema)
    for number, field in enumerate(whole.schema):
        if pa.types.is_decimal(field.type) and field.type.scale == 0:  # HUGEINT, the type of sums
            with suppress(pa.ArrowInvalid):
                whole = whole.set_column(number, field.name, whole.column(number).cast(pa.int64()))
    dtypes = {pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()} | dict.fromkeys(_INTEGERS, pd.Int64Dtype())
    made: pd.DataFrame = whole.to_pandas(types_mapper=dtypes.get)
    for field, column in zip(whole.schema, whole.columns, strict=True):
        if pa.types.is_nested(field.type):
            made[field.name] = pd.Series([one for chunk in column.chunks for one in values(chunk)], dtype="object")
    return made
