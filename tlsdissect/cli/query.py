"""`tlsdissect query`."""

from __future__ import annotations

import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.run import Collector, Run, Stopped
from tlsdissect.cli.sink import destination
from tlsdissect.flows.limits import MOST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from tlsdissect.cli.run import Interrupts
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query
    from tlsdissect.corpus.sql import Database

EXAMPLES = """\b
Examples:
  tlsdissect query --tables
  tlsdissect query 'SELECT ja4, count(*) FROM connections GROUP BY 1' a.pcap
  tlsdissect query --failed 'SELECT sni, outcome FROM connections' captures/
  tlsdissect query 'FROM certificates WHERE key_bits < 2048' a.pcap -o rsa.csv
  tlsdissect query 'SELECT code, detail FROM findings' --format json a.pcap
  tlsdissect query 'SELECT DISTINCT ja3 FROM connections' dataset/
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".parquet": "parquet", ".txt": "table"}
_MEMORY = 512 << 20
"""Bytes of memory that a query may use by default."""
UNCOUNTED_BYTES = 512 << 20
"""Bytes that the process of a query may take beyond twice --sql-bytes: DuckDB counts the memory of rows and of what it
sorts and groups, but not that of single values such as repeat('x', 1000000000), nor what its allocator wastes."""


def _list_tables(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        width = options.text_style("never", seen=options.is_terminal(None))["width"] or options.PIPED
        with destination(None) as sink:
            for line in _library().described(width):
                sink.write(f"{line}\n".encode())
        ctx.exit()


@options.capture_command(EXAMPLES, click.argument("sql", metavar="SQL"))
@options.result_options("table", "json", "csv", "parquet")
@click.option(
    "--tables",
    "listed",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_tables,
    help="List the tables with their columns, types and meaning.",
)
@click.option(
    "--sql-bytes",
    type=click.IntRange(1, MOST),
    default=_MEMORY,
    show_default=True,
    metavar="N",
    help="Bytes of memory for the tables and the query; beyond it, rows move to a temporary file.",
)
@options.run_options
def command(sql: str, captures: tuple[str, ...], form: str | None, output: str | None, **given: Any) -> int:
    """Run an SQL query over the tables connections, certificates, messages, extensions, alerts and findings.

    SQL is one SELECT of DuckDB's dialect. The tables contain the rows of the connections that the other options select.
    Join them on `source`, `transport` and `stream`. A query cannot access files or networks. Findings are computed if
    the query names them.
    """
    library = _library()
    result = options.result(output, form, _SUFFIXES, "table", captures)
    if result.form == "parquet" and result.file is None:
        raise click.UsageError("--format parquet requires -o FILE")
    if os.path.isfile(sql):  # noqa: PTH113 (text that is no path is none)
        raise click.UsageError(f"SQL comes before the captures, and {sql} is a file")
    try:
        with _bounded(given["sql_bytes"]):
            statement = library.Statement(sql)
    except library.SqlError as error:
        raise click.UsageError(f"SQL: {error}") from None
    given["findings"] = given["findings"] or statement.needs_findings
    database = library.Database(statement, given["sql_bytes"])
    query = options.query(captures, given, Collector(database.add), judge=options.judge(given))
    return QueryRun(query, database, result, given).run()


@contextmanager
def _bounded(counted: int) -> Iterator[None]:
    """Bound the memory of the process while a statement runs that may use `counted` bytes; then allocation fails.

    DuckDB reports that as its own limit, and goes on. Only what is written to counts, no address space that allocators
    reserve (RLIMIT_DATA). The bound is on the process, so only the command sets it, and not `tlsdissect.query`.
    """
    soft, hard = limits = resource.getrlimit(resource.RLIMIT_DATA)
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    most = data + 2 * counted + UNCOUNTED_BYTES
    if most < (sys.maxsize if soft == resource.RLIM_INFINITY else soft):
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def _library() -> ModuleType:
    try:
        from tlsdissect.corpus import sql  # noqa: PLC0415 (an extra)
    except ImportError as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing not in ("duckdb", "pyarrow"):
            raise
        raise click.UsageError(f"query needs {missing}: pip install 'tlsdissect[query]'") from None
    return sql


class QueryRun(Run):
    """A run that fills a database, and then prints the answer to a statement."""

    def __init__(self, query: Query, database: Database, result: options.Result, given: dict[str, Any]) -> None:
        super().__init__(query, given)
        self._database = database
        self._memory = given["sql_bytes"]
        self._result = result
        self._color = given["color"]

    def run(self) -> int:
        """Print the answer and the summary; return the exit status."""
        return self.print_all(self._place(), on_terminal=self._result.seen)

    @contextmanager
    def _place(self) -> Iterator[Sink]:
        """Open the database and the destination."""
        with self._database, destination(self._result.file) as sink:
            yield sink

    def _stop(self) -> None:
        super()._stop()
        self._database.interrupt()

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        from tlsdissect.corpus.sql import SqlError, SqlInterruptedError  # noqa: PLC0415 (an extra)

        super()._print(sink, interrupts)
        try:
            with _bounded(self._memory):
                self._print_answer(sink)
        except SqlError as error:
            raise click.UsageError(f"SQL: {error}") from None
        except SqlInterruptedError:
            raise Stopped from None

    def _print_answer(self, sink: Sink) -> None:
        from tlsdissect.views import query_result  # noqa: PLC0415 (an extra)

        answer = self._database.answer()
        if self._result.form == "parquet":
            try:
                query_result.parquet(answer, sink.write)
            except query_result.NoSuchTypeError as error:
                raise click.UsageError(f"Parquet: {error}") from None
            return
        if self._result.form == "csv":
            lines = query_result.csv_lines(answer, seen=options.is_terminal(self._result.file))
        elif self._result.form == "json":
            lines = query_result.json_lines(answer)
        else:
            style = options.text_style(self._color, seen=self._result.seen)
            width = style["width"] or options.columns_of_surroundings() or options.PIPED
            lines = query_result.table_lines(answer, width, coloured=style["coloured"], encoding=style["encoding"])
        for line in lines:
            with self._aside(sink):
                sink.write(line)
