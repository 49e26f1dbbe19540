"""`tlsdissect read`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import judging, options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file
from tlsdissect.corpus.query import Query
from tlsdissect.corpus.workers import job_count
from tlsdissect.transcript.options import Options

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
  0    all was read, or the reader of the output wanted no more
  2    a wrong command line, or an input that is no capture; the others were read
  3    a finding as grave as --fail-on has it
  70   an error of the program itself
  71   too little memory, files or processes, or one of --jobs was ended by somebody else
  74   the result could not be written, or a temporary file
  130  interrupted, after printing what was read; 143 on SIGTERM, 129 on SIGHUP
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table"}


@click.command(epilog=EXAMPLES)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.which
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="How to print; a table unless the suffix of -o FILE says otherwise.",
)
@options.output
@options.emitted("over")
@click.option("--raw-fingerprints", is_flag=True, help="Print also what the fingerprints JA3 and JA4 are made of.")
@options.shared
@click.option("--batch", type=click.IntRange(1), default=65_536, hidden=True)
@judging.judged
@options.limited
@options.how
def command(captures: tuple[str, ...], form: str | None, output: str | None, **given: Any) -> int:
    """Print the TLS connections that captures hold, one by one.

    CAPTURE is a pcap or pcapng file, also compressed with gzip or zstd, a directory of such files, or - for standard
    input. A connection is printed when nothing about it can change any more; with --emit decided, as of the packet
    that decided its handshake, and then `open` says whether it goes on.

    In the table RT are the round trips that the client had to wait for, ms is the time until its handshake was over,
    and a - is what the capture does not show, or what there was not.
    """
    file = None if output == "-" else output
    if file is not None:
        form = form or options.form(file, _SUFFIXES)
        options.refuse_to_overwrite(captures, file)
    if given["raw_fingerprints"] and form in (None, "table"):
        raise click.UsageError("--raw-fingerprints goes with --format json or csv")
    judge = judging.judge(given)
    seen = form in (None, "table") and file is None and options.seen(None)
    raw = given["raw_fingerprints"]
    view = _view(form or "table", raw, file) or _table(captures, given["color"], seen=seen, judged=judge is not None)
    limits, selection = options.limits(given), options.selection(given)
    idle = options.idle(given)
    asked = Options(batch=given["batch"], raw_fingerprints=raw, limits=limits, idle=idle)
    query = Query(captures, asked, selection, view, judge=judge)
    # One process judges alone: what it knows of a chain, or of a lookup, the others would not.
    jobs = job_count(list(captures), given["jobs"]) if judge is None else 1
    run = Run(query, jobs, debug=given["debug"], gate=judging.gate(given["fail_on"]), prompt=idle is not None)
    status = run.to(standard_output() if file is None else whole_file(file))
    run.account(quiet=given["quiet"], below=seen)
    return status


def _view(form: str, raw_fingerprints: bool, file: str | None) -> View | None:
    """Make what writes a form for other programs; only the one that is asked for is loaded."""
    if form == "json":
        from tlsdissect.views.ndjson import Ndjson  # noqa: PLC0415

        return Ndjson()
    if form == "csv":
        from tlsdissect.views.cells import Csv  # noqa: PLC0415

        return Csv(raw_fingerprints=raw_fingerprints, seen=options.seen(file))
    return None


def _table(captures: tuple[str, ...], color: str, *, seen: bool, judged: bool) -> View:
    """Make the table: as wide as the terminal, with room for everything where there is none."""
    import shutil  # noqa: PLC0415 (not needed for other forms)

    from tlsdissect.views.table import Table  # noqa: PLC0415

    coloured = options.coloured(color, seen=seen)
    if not seen:
        return Table(coloured=coloured, judged=judged, waits=True)
    return Table(
        shutil.get_terminal_size().columns,
        coloured=coloured,
        sections=len(captures) > 1 or os.path.isdir(captures[0]),  # noqa: PTH112 (paths are text here)
        encoding=sys.stdout.encoding,
        judged=judged,
        waits=True,
    )
