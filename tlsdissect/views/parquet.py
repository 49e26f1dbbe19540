"""A table as Parquet, by pyarrow (the extra `parquet`): numbers and truth values as such, lists as JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from msgspec import json
from pyarrow import parquet

from tlsdissect.views.printable import printable_json, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.views.tables import Table

_GROUP = 10_000
"""Rows that are written together, and kept until then."""
_GROUP_BYTES = 16 << 20
"""Bytes of text in rows that are written together: fewer rows where they are long."""
_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), list: pa.string()}


class _File:
    """What pyarrow takes for a file."""

    closed = False

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._at = 0

    def write(self, data: bytes) -> int:
        self._write(bytes(data))
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Wait for the end."""

    def close(self) -> None:
        self.closed = True


class ParquetRows:
    """Writes the rows of a table."""

    def __init__(self, table: Table, write: Callable[[bytes], object]) -> None:
        self._schema = pa.schema([(column.name, _TYPES[column.kind]) for column in table.columns])
        self._lists = [at for at, column in enumerate(table.columns) if column.kind is list]
        self._writer = parquet.ParquetWriter(pa.PythonFile(_File(write), mode="w"), self._schema)
        self._rows: list[list[Any]] = []
        self._held = 0

    def add(self, row: list[Any]) -> None:
        """Take a row."""
        for at in self._lists:
            row[at] = None if row[at] is None else printable_json(json.encode(row[at])).decode()
        texts = [without_surrogates(value) if type(value) is str else value for value in row]
        self._rows.append(texts)
        self._held += sum([len(value) for value in texts if type(value) is str])
        if len(self._rows) >= _GROUP or self._held >= _GROUP_BYTES:
            self._flush()

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            named = [dict(zip(self._schema.names, row, strict=True)) for row in self._rows]
            self._writer.write_table(pa.Table.from_pylist(named, schema=self._schema))
            self._rows.clear()
            self._held = 0
