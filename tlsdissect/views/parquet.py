"""A table as Parquet, by pyarrow (the extra `parquet`), with the types of `arrow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from tlsdissect.views.arrow import RowBatches, fields_of

if TYPE_CHECKING:
    from tlsdissect.views.tables import Table, Write


class _File:
    """What pyarrow takes for a file."""

    closed = False

    def __init__(self, write: Write) -> None:
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

    def __init__(self, table: Table, write: Write) -> None:
        self._file = ParquetFile(fields_of(table).schema, write)
        self._batches = RowBatches(table, self._file.add)

    def add(self, row: list[Any]) -> None:
        """Take a row."""
        self._batches.add(row)

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._batches.flush()
        self._file.end()


class ParquetFile:
    """Writes Arrow tables or record batches of one schema."""

    def __init__(self, schema: Any, write: Write) -> None:
        self._writer = parquet.ParquetWriter(pa.PythonFile(_File(write), mode="w"), schema)

    def __del__(self) -> None:
        """Abandon a file that has no end: pyarrow would write one, to a destination that is closed."""
        if hasattr(self, "_writer"):
            self._writer.is_open = False

    def add(self, rows: Any) -> None:
        """Write rows."""
        self._writer.write(rows)

    def end(self) -> None:
        """Write what a Parquet file ends with."""
        self._writer.close()


class ParquetGroups:
    """Writes rows, given as dicts, in groups of so many rows or estimated bytes, and keeps no more in memory."""

    def __init__(self, schema: Any, write: Write, rows: int, group_bytes: int) -> None:
        self._file = ParquetFile(schema, write)
        self._schema = schema
        self._most, self._most_bytes = rows, group_bytes
        self._rows: list[dict[str, Any]] = []
        self._held = 0

    def add(self, row: dict[str, Any], size: int) -> None:
        """Take a row of an estimated size."""
        self._rows.append(row)
        self._held += size
        if len(self._rows) >= self._most or self._held >= self._most_bytes:
            self._flush()

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._flush()
        self._file.end()

    def _flush(self) -> None:
        if self._rows:
            self._file.add(pa.Table.from_pylist(self._rows, self._schema))
            self._rows, self._held = [], 0
