"""The tables as typed pandas DataFrames, for Python and notebooks."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import pandas as pd
from msgspec import json

from tlsdissect.model.connection import Extension
from tlsdissect.trust.times import to_second
from tlsdissect.views.columns import flat_extension
from tlsdissect.views.comparison.builder import compared
from tlsdissect.views.comparison.formats import HEAD, numbers
from tlsdissect.views.printable import json_text, without_surrogates
from tlsdissect.views.table import failure_reasons
from tlsdissect.views.tables import COMPARISON, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.columns import Column
    from tlsdissect.views.tables import Table

_NANOSECONDS: Literal["datetime64[ns]"] = "datetime64[ns]"
_SECONDS: Literal["datetime64[s]"] = "datetime64[s]"
_TIMES = {
    "start": _NANOSECONDS,
    "end": _NANOSECONDS,
    "not_before": _SECONDS,
    "not_after": _SECONDS,
    "ocsp_staple_this_update": _SECONDS,
    "ocsp_staple_next_update": _SECONDS,
    "ocsp_staple_produced_at": _SECONDS,
    "ocsp_staple_revocation_time": _SECONDS,
}
"""Columns that contain times, and their unit: nanoseconds cannot represent the year 9999, in which certificates end."""
_CATEGORIES = frozenset(
    (
        "source", "transport", "upgrade", "outcome", "failed_by", "closure_client", "closure_server", "version",
        "cipher_suite", "group", "signature_scheme", "alpn", "resumption", "early_data", "ech", "sender", "type",
        "message", "level", "description", "severity", "key_type", "curve", "signature_algorithm",
    )
)  # fmt: skip
"""Columns with few distinct values, stored as categories."""
_DTYPES = {int: "Int64", float: "float64", bool: "boolean"}


class Tables:
    """DataFrames of connections, each made on first use; the first use also reads the captures.

    Integers and booleans are nullable (`Int64`, `boolean`), times are in UTC, lists are lists. `source` and `stream`
    join the tables; `position` counts from 0 in wire order.
    """

    def __init__(self, source: Callable[[], Iterable[Connection]]) -> None:
        self._source = source

    @cached_property
    def connections(self) -> pd.DataFrame:
        """One row per connection: the columns of `read --format csv`."""
        return self._frame("connections")

    @cached_property
    def certificates(self) -> pd.DataFrame:
        """One row per certificate of a connection, with its `sender`."""
        return self._frame("certificates")

    @cached_property
    def messages(self) -> pd.DataFrame:
        """One row per handshake message, ChangeCipherSpec or alert."""
        return self._frame("messages")

    @cached_property
    def extensions(self) -> pd.DataFrame:
        """One row per extension of a ClientHello or ServerHello, its decoded `fields` as JSON."""
        return self._frame("extensions")

    @cached_property
    def alerts(self) -> pd.DataFrame:
        """One row per alert."""
        return self._frame("alerts")

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per finding; empty without a judge."""
        return self._frame("findings")

    @property
    def failure_reasons(self) -> list[str]:
        """Why each failed handshake failed, as tables say it: what only keys show is marked."""
        return failure_reasons(self.read())

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """One row per number of the comparison of versions; differences between versions have no version."""
        return pd.DataFrame(self._compared(), columns=list(HEAD))

    def arrow(self, name: str) -> Any:
        """Return a table as a `pyarrow.Table` (the extra `parquet`), which polars, DuckDB and others take as it is.

        Times are timestamps in UTC, lists and structs are such. `name` is that of a DataFrame.
        """
        from tlsdissect.views.arrow import Fields, arrow_table  # noqa: PLC0415 (an extra)

        if name == COMPARISON.name:
            texts = [(*row[:-1], None if row[-1] is None else str(row[-1])) for row in self._compared()]
            return Fields(COMPARISON).table(texts)
        return arrow_table(_named(name), self.read())

    def __repr__(self) -> str:
        names = ", ".join([*(table.name for table in TABLES), "comparison"])
        return f"<Tables: {names}>"

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><td>{table.name}</td><td>{len(table.columns)}</td></tr>" for table in TABLES)
        return f"<table><thead><tr><th>table</th><th>columns</th></tr></thead><tbody>{rows}</tbody></table>"

    def read(self) -> list[Connection]:
        """Return the connections; they are read once."""
        return self._connections

    @cached_property
    def _connections(self) -> list[Connection]:
        return list(self._source())

    def _compared(self) -> list[tuple[Any, ...]]:
        (whole,) = compared(self.read())
        return [(whole.key, *row) for row in numbers(whole)]

    def _frame(self, name: str) -> pd.DataFrame:
        return frame(_named(name), self.read())


def _named(name: str) -> Table:
    for table in TABLES:
        if table.name == name:
            return table
    names = ", ".join(table.name for table in (*TABLES, COMPARISON))
    raise ValueError(f"no table is called {name!r}; there are {names}")


def frame(table: Table, connections: Iterable[Connection]) -> pd.DataFrame:
    """Make the DataFrame of a table."""
    rows = [row for one in connections for row in table.rows(one)]
    by_column: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
    return pd.DataFrame(
        {column.name: _series(column, values) for column, values in zip(table.columns, by_column, strict=True)}
    )


def _series(column: Column, values: Sequence[Any]) -> pd.Series[Any]:
    if column.name in _TIMES:
        unit = _TIMES[column.name]
        # A certificate may name a fraction of a second, which pandas would not drop by itself.
        digits = [one and (to_second(one) if unit == _SECONDS else one.removesuffix("Z")) for one in values]
        plain: pd.Series[Any] = pd.Series(digits, dtype=unit)
        return cast("pd.Series[Any]", plain.dt.tz_localize("UTC"))
    if column.kind is str:
        texts = [None if value is None else without_surrogates(value) for value in values]
        return pd.Series(texts, dtype="category" if column.name in _CATEGORIES else "string")
    if column.kind is list:
        return pd.Series([None if value is None else _plain(value) for value in values], dtype="object")
    return pd.Series(values, dtype=_DTYPES[column.kind])


def _plain(value: Any) -> Any:
    """Return lists and dicts for tuples and structs, which pandas and its users do not support.

    What depends on the connection, as the fields of an extension do, is JSON text, as in Arrow.
    """
    if isinstance(value, dict):
        return json_text(value)
    if isinstance(value, tuple) and value and isinstance(value[0], Extension):
        return [{name: _plain(part) for name, part in flat_extension(one).items()} for one in value]
    return json.decode(json.encode(value))
