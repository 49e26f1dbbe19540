"""A table as Parquet, by pyarrow (the extra `parquet`), with the types of `arrow`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from tlsdissect.views.arrow import Fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.views.tables import Table

_GROUP = 10_000
"""Rows that are written together, and kept until then."""
_GROUP_BYTES = 16 << 20
"""Estimated bytes of text and lists in rows that are written together: fewer rows where they are long."""
_ITEM_BYTES = 256
"""Estimated bytes of an item of a list."""


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
        self._fields = Fields(table)
        self._writer = parquet.ParquetWriter(pa.PythonFile(_File(write), mode="w"), self._fields.schema)
        self._rows: list[list[Any]] = []
        self._held = 0

    def add(self, row: list[Any]) -> None:
        """Take a row."""
        self._rows.append(row)
        self._held += sum([_size(value) for value in row])
        if len(self._rows) >= _GROUP or self._held >= _GROUP_BYTES:
            self._flush()

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(self._fields.table(self._rows))
            self._rows.clear()
            self._held = 0


def _size(value: object) -> int:
    """Estimate the bytes of a value, which matter if it is text or a list."""
    if isinstance(value, str):
        return len(value)
    return _ITEM_BYTES * len(value) if isinstance(value, tuple | list | dict) else 0
