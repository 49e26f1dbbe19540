"""`tlsdissect report`."""

from __future__ import annotations

from typing import Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.gathering import Gathering
from tlsdissect.cli.rows import Question
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file

EXAMPLES = """\b
Examples:
  tlsdissect report capture.pcap -o report.html
  tlsdissect report --tls 1.2 captures/ -o old.html
"""


@click.command(epilog=EXAMPLES)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.which
@click.option("-o", "--output", metavar="FILE", required=True, help="Write the page to FILE; - is standard output.")
@click.option(
    "--detailed",
    type=click.IntRange(0),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Connections whose details are in the page; of more, the table has the facts.",
)
@options.limited
@options.how
def command(captures: tuple[str, ...], output: str, detailed: int, **given: Any) -> int:
    """Write one page about the connections of captures: a summary, a table to search, and each handshake on a click.

    The page holds everything that it shows: it loads nothing from anywhere, and can be mailed or archived.
    """
    from tlsdissect.views.report.page import Report  # noqa: PLC0415 (not needed for --help)

    if output != "-":
        options.refuse_to_overwrite(captures, output)
    report = Report(captures, detailed)
    selected, limits = options.selection(given), options.limits(given)
    question = Question(captures, 65_536, False, limits, selected, Gathering(report), keep=True)
    run = Run(question, 1, debug=given["debug"], end=report.pieces)
    status = run.to(standard_output() if output == "-" else whole_file(output))
    run.account(quiet=given["quiet"], below=False)
    return status
