"""`tlsdissect read`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.workers import job_count
from tlsdissect.flows.limits import MOST

if TYPE_CHECKING:
    from tlsdissect.corpus.query import View

EXAMPLES = """\b
Examples:
  tlsdissect read capture.pcap
  tlsdissect read --tls older captures/ -o older.csv
  tlsdissect read --sni '*.example.com' --format json capture.pcapng.gz
  tcpdump -i eth0 -w - port 443 | tlsdissect read -

\b
Exit status:
  0    success, or the reader of the output closed the pipe
  2    invalid command line, or an input is not a capture; the others were read
  3    a finding of the --fail-on severity or higher
  70   internal error
  71   out of memory, files or processes, or a process of --jobs was killed
  74   the result or a temporary file could not be written
  130  interrupted, after printing what was read; 143 on SIGTERM, 129 on SIGHUP
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table"}


@options.capture_command(EXAMPLES)
@options.result_options("table", "json", "csv")
@options.emit_options("over")
@click.option("--raw-fingerprints", is_flag=True, help="Add the strings that JA3 and JA4 are computed from.")
@options.jobs_option
@click.option("--batch", type=click.IntRange(1, MOST), default=65_536, hidden=True)
@options.run_options
def command(captures: tuple[str, ...], form: str | None, output: str | None, **given: Any) -> int:
    """List the TLS connections of captures.

    CAPTURE is a pcap or pcapng file, optionally compressed with gzip or zstd, a directory of such files, or - for
    standard input. A connection is printed when it is over; with --emit decided, as soon as its handshake has succeeded
    or failed, and `open` is true if the connection continues.

    In the table, RT is the number of round trips the client waited for, ms is the duration of the handshake, - is
    something that did not occur or that the capture does not show, and * marks what only the keys of --keylog show.
    """
    result = options.result(output, form, _SUFFIXES, "table", captures)
    if given["raw_fingerprints"] and result.form == "table":
        raise click.UsageError("--raw-fingerprints requires --format json or csv")
    judge = options.judge(given)
    raw = given["raw_fingerprints"]
    shown = view(result, raw_fingerprints=raw)
    shown = shown or _table(captures, given["color"], seen=result.seen, judged=judge is not None)
    idle = options.idle(given)
    query = options.query(captures, given, shown, judge=judge, batch=given["batch"], raw_fingerprints=raw, idle=idle)
    # A judge needs a single process: chains and revocation lookups that one worker saw are unknown to the others.
    jobs = job_count(list(captures), given["jobs"]) if judge is None else 1
    run = Run(query, given, jobs=jobs, prompt=idle is not None)
    return run.print_all(destination(result.file), on_terminal=result.seen)


def view(result: options.Result, *, raw_fingerprints: bool = False) -> View | None:
    """Make the view of a machine-readable format; only the requested one is imported. None for a table."""
    if result.form == "json":
        from tlsdissect.views.ndjson import Ndjson  # noqa: PLC0415

        return Ndjson()
    if result.form == "csv":
        from tlsdissect.views.csv import Csv  # noqa: PLC0415

        return Csv(raw_fingerprints=raw_fingerprints, seen=options.is_terminal(result.file))
    return None


def _table(captures: tuple[str, ...], color: str, *, seen: bool, judged: bool) -> View:
    """Make the table: as wide as the terminal, or with all columns if there is none."""
    from tlsdissect.views.table import Table  # noqa: PLC0415 (not needed for other forms)

    sections = seen and (len(captures) > 1 or os.path.isdir(captures[0]))  # noqa: PTH112 (paths are text here)
    return Table(**options.text_style(color, seen=seen), sections=sections, judged=judged, waits=True)
