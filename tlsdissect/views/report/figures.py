"""The figures of a report, drawn from the few columns that they need."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from matplotlib import rc_context
from matplotlib.figure import Figure
from msgspec import Struct

from tlsdissect.views.dataframes import Tables, frame
from tlsdissect.views.plots import PLOTS, picture
from tlsdissect.views.report.drawing import inline
from tlsdissect.views.tables import TABLES, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from markupsafe import Markup

    from tlsdissect.model.connection import Connection

_KEPT = {
    "connections": (
        "source", "stream", "start", "version", "cipher_suite", "group", "resumption", "round_trips",
        "timing_handshake_ms", "timing_tcp_ms", "timing_synack_ack_ms", "client_hello_cipher_suites",
    ),
    "certificates": (
        "source", "stream", "sender", "sha256", "bytes", "subject", "dns_names", "not_before", "not_after",
    ),
}  # fmt: skip


MAX_LISTED = 256
"""Cipher suites of a ClientHello, and names of a certificate, that figures count; the rest are ignored."""


class Drawn(Struct, frozen=True):
    """A figure in the page."""

    title: str
    svg: Markup


class Figures:
    """Collects the data of the figures, a few hundred bytes per connection."""

    def __init__(self) -> None:
        self._kept = {table.name: _Kept(table) for table in TABLES if table.name in _KEPT}

    def add(self, connection: Connection) -> None:
        """Add a connection."""
        for kept in self._kept.values():
            kept.add(connection)

    def drawn(self) -> Iterator[Drawn]:
        """Yield every figure that has data."""
        tables = _Few(self._kept)
        for kind, plot in PLOTS.items():
            # Without data, a plot switches its Axes off.
            if not plot.draw(tables, Figure().add_subplot()).axison:
                continue
            with rc_context({"svg.fonttype": "none"}):
                svg = picture(tables, kind, "svg")
            yield Drawn(plot.title, inline(svg, kind, plot.title))


class _Kept:
    """A table of which only some columns are kept."""

    def __init__(self, table: Table) -> None:
        names = _KEPT[table.name]
        self._table = table
        self._places = [at for at, column in enumerate(table.columns) if column.name in names]
        self._rows: list[list[Any]] = []
        self._same: dict[Any, Any] = {}

    def add(self, connection: Connection) -> None:
        for row in self._table.rows(connection):
            self._rows.append([self._one(row[at]) for at in self._places])

    def _one(self, value: Any) -> Any:
        """Keep equal values once: few are distinct."""
        if isinstance(value, tuple | list) and len(value) > MAX_LISTED:
            value = value[:MAX_LISTED]
        if isinstance(value, str | tuple):
            return self._same.setdefault(value, value)
        return value

    def frame(self) -> pd.DataFrame:
        columns = tuple([self._table.columns[at] for at in self._places])
        as_they_are = Table(self._table.name, columns, lambda row: iter([cast("list[Any]", row)]))
        return frame(as_they_are, cast("list[Connection]", self._rows))


class _Few(Tables):
    """Tables with the kept columns."""

    def __init__(self, kept: dict[str, _Kept]) -> None:
        super().__init__(tuple)
        self._kept = kept

    @cached_property
    def connections(self) -> pd.DataFrame:
        return self._kept["connections"].frame()

    @cached_property
    def certificates(self) -> pd.DataFrame:
        return self._kept["certificates"].frame()
