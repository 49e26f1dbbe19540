"""Tables written row by row, as CSV or JSON, to wherever their bytes go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tlsdissect.views.cells import cell, line

if TYPE_CHECKING:
    from collections.abc import Callable

    from tlsdissect.views.tables import Table

    Write = Callable[[bytes], object]


class TableWriter(Protocol):
    """Writes the rows of one table."""

    def add(self, row: list[Any], /) -> None:
        """Take a row."""
        ...

    def end(self) -> None:
        """Write what comes after the last."""
        ...


class CsvRows:
    """RFC 4180, safe in a spreadsheet."""

    def __init__(self, table: Table, write: Write) -> None:
        self._write = write
        write(line([column.name for column in table.columns]))

    def add(self, row: list[Any]) -> None:
        """Write a row."""
        self._write(line([cell(value) for value in row]))

    def end(self) -> None:
        """Nothing comes after the last row."""
