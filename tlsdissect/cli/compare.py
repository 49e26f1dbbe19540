"""`tlsdissect compare`."""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import endings, options
from tlsdissect.cli.gathering import Gathering
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file
from tlsdissect.corpus.query import Query
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.views.comparison.model import Group

EXAMPLES = """\b
Examples:
  tlsdissect compare capture.pcap
  tlsdissect compare --by server captures/
  tlsdissect compare --format json capture.pcap | jq '.sides[] | {version, mean_round_trips}'
  tlsdissect compare --by sni capture.pcap -o comparison.csv
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "text"}


@click.command(epilog=EXAMPLES)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.which
@click.option(
    "--by",
    type=click.Choice(["server", "sni", "client", "capture"]),
    help="Compare also the connections of each server, name, client or capture.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "csv"]),
    help="How to print; text unless the suffix of -o FILE says otherwise.",
)
@options.output
@options.limited
@options.how
def command(captures: tuple[str, ...], by: Any, form: str | None, output: str | None, **given: Any) -> int:
    """Set TLS 1.2 beside TLS 1.3: round trips, times, cipher suites, and what anyone on the path could read.

    Times are those of the client, wherever packets were captured: where a message of the server ends what is timed, the
    way between the capture point and the client is added, as the TCP handshake measured it. A difference is told with
    a 95 % interval, over connections of the same client to the same server in both versions, and only if the interval
    leaves out zero.
    """
    file = None if output in (None, "-") else output
    if file is not None:
        form = form or options.form(file, _SUFFIXES)
        options.refuse_to_overwrite(captures, file)
    seen = form in (None, "text") and file is None and options.seen(None)
    from tlsdissect.views.comparison.builder import ComparisonBuilder  # noqa: PLC0415 (not needed for --help)

    comparison, write = ComparisonBuilder(by), _writer(form or "text", file, given["color"], seen=seen)
    limits, selection = options.limits(given), options.selection(given)
    query = Query(captures, Options(limits=limits), selection, Gathering(comparison))
    run = Run(query, 1, debug=given["debug"], end=lambda: write(comparison.groups()))
    status = run.to(standard_output() if file is None else whole_file(file))
    run.account(quiet=given["quiet"], below=seen)
    if comparison.left_out:
        endings.warn(f"{comparison.left_out:,} connections count only in the whole: too many groups to tell apart")
    return status


def _writer(form: str, file: str | None, color: str, *, seen: bool) -> Callable[[Sequence[Group]], Iterator[bytes]]:
    """Make what writes a form."""
    from tlsdissect.views.comparison import rows, text  # noqa: PLC0415 (not needed for --help)

    if form == "json":
        return rows.lines
    if form == "csv":
        return partial(rows.rows, seen=options.seen(file))
    width = shutil.get_terminal_size().columns if seen else None
    coding = sys.stdout.encoding if seen else "utf-8"
    return text.Text(width, coloured=options.coloured(color, seen=seen), encoding=coding).written
