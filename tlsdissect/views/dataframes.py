"""The tables and the comparison as typed pandas DataFrames, for Python and notebooks."""

from __future__ import annotations

from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import pandas as pd
from msgspec import structs

from tlsdissect.views.comparison.builder import By, compared
from tlsdissect.views.comparison.formats import HEAD, Text, caveats, conclusions, filled_sections, numbers
from tlsdissect.views.comparison.model import Difference
from tlsdissect.views.printable import printable, without_surrogates
from tlsdissect.views.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matplotlib.axes import Axes

    from tlsdissect.model.connection import Connection
    from tlsdissect.views.comparison.model import Group
    from tlsdissect.views.tables import Column, Table

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
_DTYPES = {int: "Int64", float: "float64", bool: "boolean", list: "object"}


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
        """One row per extension of a ClientHello or ServerHello, its decoded `fields` as a dict."""
        return self._frame("extensions")

    @cached_property
    def alerts(self) -> pd.DataFrame:
        """One row per alert."""
        return self._frame("alerts")

    @cached_property
    def findings(self) -> pd.DataFrame:
        """One row per finding; empty without a judge."""
        return self._frame("findings")

    @cached_property
    def comparison(self) -> pd.DataFrame:
        """One row per number of the comparison of versions; differences between versions have no version."""
        (whole,) = compared(self.read())
        return pd.DataFrame([(whole.key, *row) for row in numbers(whole)], columns=list(HEAD))

    def __repr__(self) -> str:
        names = ", ".join([*(table.name for table in TABLES), "comparison"])
        return f"<Tables: {names}>"

    def read(self) -> list[Connection]:
        """Return the connections; they are read once."""
        return self._connections

    @cached_property
    def _connections(self) -> list[Connection]:
        return list(self._source())

    def _frame(self, name: str) -> pd.DataFrame:
        (table,) = (table for table in TABLES if table.name == name)
        return frame(table, self.read())


def frame(table: Table, connections: Iterable[Connection]) -> pd.DataFrame:
    """Make the DataFrame of a table."""
    rows = [row for one in connections for row in table.rows(one)]
    by_column: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * len(table.columns)
    return pd.DataFrame(
        {column.name: _series(column, values) for column, values in zip(table.columns, by_column, strict=True)}
    )


def _series(column: Column, values: Sequence[Any]) -> pd.Series[Any]:
    if column.name in _TIMES:
        plain: pd.Series[Any] = pd.Series([one and one.removesuffix("Z") for one in values], dtype=_TIMES[column.name])
        return cast("pd.Series[Any]", plain.dt.tz_localize("UTC"))
    if column.kind is str:
        texts = [None if value is None else without_surrogates(value) for value in values]
        return pd.Series(texts, dtype="category" if column.name in _CATEGORIES else "string")
    return pd.Series(values, dtype=_DTYPES[column.kind])


class Comparison:
    """Comparison of TLS 1.2 and TLS 1.3 over some captures, which are read on first use of a table or figure.

    `print` shows the text of `tlsdissect compare`, a notebook a table.
    """

    def __init__(self, tables: Tables, by: By | None = None) -> None:
        if by is not None and by not in get_args(By):
            raise ValueError(f"by is one of {', '.join(get_args(By))}, not {by!r}")
        self.tables = tables
        """The compared connections, as DataFrames."""
        self._by = by

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The comparison of all connections, then those of the groups of `by`."""
        return compared(self.tables.read(), self._by)

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The text of the command as a table: a row per measure, a column per version."""
        return _summary(self.groups[0])

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """All numbers: a row per measure, a column per version."""
        numbers = self.tables.comparison.dropna(subset=["version"])
        return numbers.pivot_table("value", "measure", "version", aggfunc="first", sort=False)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """TLS 1.2 minus TLS 1.3 for the same clients and servers, with 95 % intervals; empty with too few of them."""
        rows = [{**structs.asdict(one), "differs": one.differs} for one in self.groups[0].differences or ()]
        return pd.DataFrame(rows, columns=[*Difference.__struct_fields__, "differs"])

    def plot(self, kind: str, ax: Axes | None = None) -> Axes:
        """Draw a figure of `tlsdissect plot` on `ax`, by default pyplot's current Axes; ValueError for another kind."""
        from tlsdissect.views.plots import KINDS  # noqa: PLC0415 (matplotlib is slow to load)

        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
        if ax is None:
            from matplotlib import pyplot as plt  # noqa: PLC0415

            ax = plt.gca()
        return KINDS[kind].draw(self.tables, ax)

    def __str__(self) -> str:
        return b"".join(Text().written(self.groups)).decode().rstrip("\n")

    def _repr_html_(self) -> str:
        parts: list[str] = []
        for group in self.groups:
            if group.key is not None:
                parts.append(f"<h4>{escape(printable(group.key))}</h4>")
            parts.append(_summary(group).to_html(escape=True, border=0))
            sentences = (*conclusions(group.differences), *caveats(group))
            parts += [f"<p>{escape(sentence)}</p>" for sentence in sentences]
        return "".join(parts)


def _summary(group: Group) -> pd.DataFrame:
    rows = [
        (section.heading, printable(label), *cells)
        for section in filled_sections(group.sides)
        for label, cells in section.rows
    ]
    names = ["section", "measure", *(side.version for side in group.sides)]
    return pd.DataFrame(rows, columns=names).set_index(["section", "measure"])
