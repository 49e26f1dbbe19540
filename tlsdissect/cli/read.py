"""`tlsdissect read`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tlsdissect.cli import completion, exit_status, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.workers import job_count
from tlsdissect.flows.limits import MOST
from tlsdissect.model.connection import RAW_FINGERPRINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tlsdissect.cli.arranging import Arrange
    from tlsdissect.corpus.query import OutputRow, Query, View
    from tlsdissect.model.connection import Connection
    from tlsdissect.views.columns import Column
    from tlsdissect.views.table import Table

EXAMPLES = """\b
Examples:
  tlsdissect read capture.pcap
  tlsdissect read --tls older captures/ -o older.csv
  tlsdissect read --tls 1.3 --since 5s --until 1m capture.pcap
  tlsdissect read --sort timing.handshake_ms:desc --top 10 capture.pcap
  tlsdissect read --columns sni,certificates.dns_names capture.pcap
  tlsdissect read --sni '*.example.com' --format json capture.pcapng.gz
  tlsdissect read --system-ca --fail-on high captures/ -o findings.sarif
  tcpdump -i eth0 -w - port 443 | tlsdissect read -

\b
Exit status:
  0    success, or the reader of the output closed the pipe
  1    with --exit-status, nothing is selected
  2    invalid command line, or an input is not a capture; others were read
  3    a finding of the --fail-on severity or higher
  70   internal error
  71   out of memory, files or processes, or a process of --jobs was killed
  74   the result or a temporary file could not be written
  130  interrupted: what was read is printed; 143 on SIGTERM, 129 on SIGHUP
"""
_SUFFIXES = {
    ".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table", ".sarif": "sarif", ".xml": "junit",
}  # fmt: skip


class Order(NamedTuple):
    """A key to sort by."""

    column: Column
    descending: bool


def _order(given: str) -> Order:
    """Read KEY[:desc]; ValueError says what is wrong."""
    from tlsdissect.corpus.json_keys import order  # noqa: PLC0415 (start-up time of --help)

    key, colon, direction = given.partition(":")
    if colon and direction not in ("asc", "desc"):
        raise ValueError(f"{given!r}: the order is asc or desc, not {direction!r}")
    return Order(order(key), direction == "desc")


def _columns(given: str) -> tuple[Column, ...]:
    """Read keys between commas; ValueError says which is wrong."""
    from tlsdissect.corpus.json_keys import column  # noqa: PLC0415 (start-up time of --help)

    return tuple(column(key.strip()) for key in given.split(","))


@options.capture_command(EXAMPLES)
@options.result_options("table", "json", "csv", "sarif", "junit")
@options.emit_options("over")
@click.option(
    "--columns",
    type=options.Parsed("keys", _columns, completion.columns),
    multiple=True,
    metavar="KEYS",
    help="Columns of the table or CSV: keys of the JSON output (`tlsdissect schema` lists them), for example "
    "sni,certificates.dns_names,timing.tcp_ms.",
)
@click.option(
    "--sort",
    "orders",
    type=options.Parsed("key", _order, completion.orders),
    multiple=True,
    metavar="KEY[:desc]",
    help="Sort by a key of the JSON output (`tlsdissect schema` lists them); null comes last. With "
    "several keys, the first takes precedence.",
)
@click.option("--top", type=click.IntRange(1, MOST), metavar="N", help="Print the first N only.")
@click.option("--raw-fingerprints", is_flag=True, help="Add the strings that JA3 and JA4 are computed from.")
@options.jobs_option
@click.option("--batch", type=click.IntRange(1, MOST), default=65_536, hidden=True)
@options.run_options
def command(captures: tuple[str, ...], form: str | None, output: str | None, **given: Any) -> int:
    """List the TLS connections of captures.

    CAPTURE is a pcap or pcapng file, optionally compressed with gzip, zstd, xz or bzip2, a directory of such files, a
    dataset of tlsdissect scan, or - for standard input. A connection is printed when it is over; with --emit decided,
    as soon as its handshake has succeeded or failed, and the key `open` is true if it continues.

    In the table, RT is the number of round trips the client waited for, ms is the duration of the handshake, - is
    something that did not occur or that the capture does not show, and * marks what only the keys of --keylog show.
    Rows are sorted by capture, then by time. If there are more than 10,000, they are in the order in which the
    connections ended; --top N prints the first N of them.

    SARIF and JUnit list findings instead, for use in a pipeline: each once per server, not once per connection. In
    JUnit, findings of the --fail-on severity or higher are failures; by default, all except info.
    """
    result = options.result(output, form, _SUFFIXES, "table", captures)
    if result.form in options.FINDING_FORMS:
        return _findings(captures, result, given)
    if given["raw_fingerprints"] and result.form == "table":
        raise click.UsageError("--raw-fingerprints requires --format json or csv")
    if given["columns"] and result.form == "json":
        raise click.UsageError("--columns requires a table or --format csv")
    asked = tuple(column for columns in given["columns"] for column in columns)
    orders, idle = given["orders"], options.idle(given)
    named = {column.name.partition(".")[0] for column in (*asked, *(order.column for order in orders))}
    judge = options.judge({**given, "findings": given["findings"] or "findings" in named})
    raw = given["raw_fingerprints"] or bool(named & RAW_FINGERPRINTS) or options.selection(given).needs_raw_fingerprints
    wanted, shown = view(result, raw_fingerprints=raw, asked=asked), None
    if wanted is None:
        wanted = shown = table(result, given["color"], judged=judge is not None, asked=asked)
    query = options.query(captures, given, wanted, judge=judge, batch=given["batch"], raw_fingerprints=raw, idle=idle)
    at_once = idle is not None or "-" in captures
    query, arrange = _arranged(query, shown, orders, given["top"], at_once=at_once)
    # A judge needs a single process: chains and revocation lookups that one worker saw are unknown to the others.
    jobs = job_count(list(captures), given["jobs"]) if judge is None else 1
    run = Run(query, given, jobs=jobs, prompt=idle is not None, arrange=arrange)
    return run.print_all(destination(result.file), on_terminal=result.seen)


def _findings(captures: tuple[str, ...], result: options.Result, given: dict[str, Any]) -> int:
    """Print the findings."""
    for name in ("columns", "orders", "top", "raw_fingerprints"):
        if given[name]:
            option = {"orders": "--sort"}.get(name, f"--{name.replace('_', '-')}")
            raise click.UsageError(f"{option} requires --format table, json or csv")
    from tlsdissect.views.findings.results import Results  # noqa: PLC0415 (not needed for other forms)

    found, write = Results(), options.finding_writer(result.form, given["fail_on"])
    judge, idle = options.required_judge(given), options.idle(given)
    query = options.query(captures, given, Collector(found.add), judge=judge, batch=given["batch"], idle=idle)
    status = Run(query, given, end=lambda: write(found.groups())).print_all(destination(result.file))
    if found.left_out:
        exit_status.warn(f"{found.left_out:,} findings are not in the result: memory limit reached")
    return status


def view(result: options.Result, *, raw_fingerprints: bool = False, asked: Sequence[Column] = ()) -> View | None:
    """Make the view of a machine-readable format; only the requested one is imported. None for a table."""
    if result.form == "json":
        from tlsdissect.views.ndjson import Ndjson  # noqa: PLC0415

        return Ndjson()
    if result.form == "csv":
        from tlsdissect.views.csv import Csv  # noqa: PLC0415

        return Csv(raw_fingerprints=raw_fingerprints, seen=options.is_terminal(result.file), asked=asked)
    return None


def table(result: options.Result, color: str, *, judged: bool = False, asked: Sequence[Column] = ()) -> Table:
    """Make the table: as wide as the terminal, or COLUMNS."""
    from tlsdissect.views.table import Table, of_key  # noqa: PLC0415 (not needed for other forms)

    style = options.text_style(color, seen=result.seen)
    width = style["width"] or options.columns_of_surroundings() or options.PIPED
    return Table(
        width,
        coloured=style["coloured"],
        encoding=style["encoding"],
        judged=judged,
        sections=result.seen,
        asked=tuple(of_key(one.name, one.value) for one in asked),
    )


def _arranged(
    query: Query, shown: Table | None, orders: tuple[Order, ...], top: int | None, *, at_once: bool
) -> tuple[Query, Arrange]:
    """Return the query with the keys to sort by, and the function that arranges its rows; `shown` is their table."""
    from tlsdissect.cli import arranging  # noqa: PLC0415 (start-up time of --help)

    several = len(query.captures) > 1 or os.path.isdir(query.captures[0])  # noqa: PTH112 (paths are text here)
    values = [order.column.value for order in orders]

    def key(connection: Connection) -> tuple[Any, ...]:
        return tuple([value(connection) for value in values])

    def arrange(rows: Iterable[OutputRow]) -> Iterable[OutputRow]:
        if orders:
            rows = arranging.in_order(rows, [order.descending for order in orders], top=top)
        elif shown is not None and not at_once:
            rows = arranging.by_time(rows)
        if not orders and top is not None:
            rows = arranging.first(rows, top)
        if shown is None:
            return rows
        if at_once and not orders:
            return arranging.as_they_come(rows, shown, several=several)
        return arranging.laid_out(rows, shown, several=several)

    return query._replace(key=key if orders else None if shown is None else _start), arrange


def _start(connection: Connection) -> str | None:
    return connection.start
