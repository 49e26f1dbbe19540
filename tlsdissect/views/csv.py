"""CSV (RFC 4180), safe in a spreadsheet: connections, and rows of tables."""

from __future__ import annotations

import re
from types import NoneType
from typing import TYPE_CHECKING, Any

from msgspec import UnsetType

from tlsdissect.views.columns import COLUMNS
from tlsdissect.views.printable import json_text, printable, without_surrogates

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.columns import Column
    from tlsdissect.views.tables import Table, Write

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
"""Characters that start a formula in a spreadsheet, and the quote that prevents this."""
_SPECIAL = re.compile(r'[",\r\n]').search


class Csv:
    """Formats connections as CSV, with the same columns for every capture."""

    def __init__(self, *, raw_fingerprints: bool = False, seen: bool = False, asked: Sequence[Column] = ()) -> None:
        """`seen`: the output is a terminal, for which control characters are escaped. `asked`: only these columns."""
        chosen = asked or [column for column in COLUMNS if raw_fingerprints or not column.raw]
        self._values = [column.value for column in chosen]
        self._seen = seen
        self.head = line([column.name for column in chosen])

    def section(self, _: str) -> bytes:
        """Return no heading: each row names its capture."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Format a connection as one row."""
        return line([cell(value(connection)) for value in self._values], seen=self._seen)


def cell(value: object) -> str:
    """Format a value as a cell; text that a spreadsheet would evaluate as a formula is prefixed with a quote."""
    return _WRITTEN.get(type(value), json_text)(value)


def line(cells: list[str], *, seen: bool = False) -> bytes:
    """Format cells as one record. The csv module takes ten times as long, because it examines each character.

    CSV cannot escape control characters. Files and pipes get them unchanged, so that they can be read back; for a
    terminal (`seen`) they are escaped.
    """
    cells = [printable(text) for text in cells] if seen else cells
    return without_surrogates(f"{','.join([_quoted(text) for text in cells])}\r\n").encode()


def _quoted(text: str) -> str:
    if _SPECIAL(text) is None:
        return text
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _guarded(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


_WRITTEN: dict[type, Callable[[Any], str]] = {
    str: _guarded,
    int: str,
    float: str,
    bool: {False: "false", True: "true"}.__getitem__,
    NoneType: lambda _: "",
    UnsetType: lambda _: "",
}


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
