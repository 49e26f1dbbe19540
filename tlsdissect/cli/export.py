"""`tlsdissect export`."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import standard_output, whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.cli.sink import Sink
    from tlsdissect.model.connection import Connection
    from tlsdissect.views.tables import Table, TableWriter

EXAMPLES = """\b
Examples:
  tlsdissect export capture.pcap --to tables
  tlsdissect export --names zeek --format json capture.pcap --to logs
  tlsdissect export --format parquet --sni '*.example.com' a.pcap --to tables
"""
_SUFFIXES = {"csv": ".csv", "json": ".json", "parquet": ".parquet"}


class Exporter:
    """Writes the rows of each connection to tables; `place` opens their files."""

    def __init__(self, folder: str, form: str, names: str | None) -> None:
        from tlsdissect.views.comparison.builder import ComparisonBuilder  # noqa: PLC0415 (not needed for --help)

        self._folder = folder
        self._suffix = _SUFFIXES[form]
        self._writer = _writer(form)
        self._kinds = _tables(names)
        self._has_comparison = names is None
        self._tables: list[tuple[Table, TableWriter]] = []
        self._comparison: TableWriter | None = None
        self._builder = ComparisonBuilder()

    @contextmanager
    def place(self) -> Iterator[Sink]:
        """Open a file for each table: all of them appear at the end, or none on failure."""
        paths = [os.path.join(self._folder, table.name + self._suffix) for table in self._kinds]  # noqa: PTH118
        there = [path for path in paths if os.path.lexists(path)]
        if there:
            raise click.UsageError(f"--to {self._folder}: {there[0]} already exists")
        with ExitStack() as files:
            sinks = [files.enter_context(whole_file(path, new=True)) for path in paths]
            self._tables = [
                (table, self._writer(table, sink.write)) for table, sink in zip(self._kinds, sinks, strict=True)
            ]
            self._comparison = self._tables.pop()[1] if self._has_comparison else None
            yield files.enter_context(standard_output())
            # A full disk is noticed before the first file appears.
            for sink in sinks:
                sink.flush()

    def add(self, connection: Connection) -> None:
        """Write the rows of a connection."""
        if self._comparison is not None:
            self._builder.add(connection)
        for table, writer in self._tables:
            for row in table.rows(connection):
                writer.add(row)

    def end(self) -> Iterator[bytes]:
        """Write the comparison and finish the files; nothing goes to standard output."""
        if self._comparison is not None:
            self._compare(self._comparison)
        for _, writer in self._tables:
            writer.end()
        yield from ()

    def _compare(self, writer: TableWriter) -> None:
        from tlsdissect.views.comparison.formats import numbers  # noqa: PLC0415

        for group in self._builder.groups():
            for version, measure, value in numbers(group):
                writer.add([group.key, version, measure, None if value is None else str(value)])
        writer.end()


@options.capture_command(EXAMPLES)
@click.option(
    "--to",
    "folder",
    type=completion.FOLDER,
    required=True,
    metavar="DIR",
    help="Folder for the tables; never overwrites one.",
)
@click.option(
    "--format", "form", type=click.Choice(list(_SUFFIXES)), default="csv", show_default=True, help="File format."
)
@click.option(
    "--names",
    "vocabulary",
    type=click.Choice(["zeek", "ecs", "tshark"]),
    help="Use the names and values of Zeek's ssl.log and x509.log, the Elastic Common Schema, or tshark's fields.",
)
@options.run_options
def command(captures: tuple[str, ...], folder: str, form: str, vocabulary: str | None, **given: Any) -> int:
    """Export captures as tables: connections, certificates, messages, extensions, alerts, findings, comparison.

    Join the tables by `source`, `transport` and `stream`; `position` counts from 0 in wire order. `comparison` has the
    figures of `tlsdissect compare`. Each table is a file that appears only when it is complete. `tlsdissect.load_csv`
    reads the values of a CSV file back with their types.
    """
    if vocabulary in (None, "ecs"):
        given["findings"] = True
    judge, exporter = options.judge(given), Exporter(folder, form, vocabulary)
    query = options.query(captures, given, Collector(exporter.add), judge=judge)
    return Run(query, given, end=exporter.end).print_all(exporter.place())


def _tables(names: str | None) -> tuple[Table, ...]:
    """Return the tables of a vocabulary, or tlsdissect's own, of which the comparison is the last."""
    if names is None:
        from tlsdissect.views.tables import COMPARISON, TABLES  # noqa: PLC0415 (not needed for --help)

        return (*TABLES, COMPARISON)
    from tlsdissect.views.names import VOCABULARIES  # noqa: PLC0415

    return VOCABULARIES[names]()


def _writer(form: str) -> type[Any]:
    from tlsdissect.views.csv import CsvRows  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ndjson import JsonRows  # noqa: PLC0415

    if form != "parquet":
        return CsvRows if form == "csv" else JsonRows
    try:
        from tlsdissect.views.parquet import ParquetRows  # noqa: PLC0415 (an extra)
    except ImportError:
        raise click.UsageError("--format parquet needs pyarrow: pip install 'tlsdissect[parquet]'") from None
    return ParquetRows
