"""`tlsdissect report`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import judging, options
from tlsdissect.cli.gathering import Gathering
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file
from tlsdissect.cli.summary import left_out, refusals
from tlsdissect.corpus.query import Query
from tlsdissect.transcript.facts.evidence import Evidence
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from tlsdissect.cli.interrupts import Interrupts
    from tlsdissect.cli.sink import Sink
    from tlsdissect.views.report.page import Report

EXAMPLES = """\b
Examples:
  tlsdissect report capture.pcap -o report.html
  tlsdissect report --tls 1.2 captures/ -o old.html
  tlsdissect report --system-ca --fail-on high captures/ -o report.html
"""
_SUFFIXES = {".html": "page", ".htm": "page", "": "page"}


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
    help="Connections, and certificates, whose details are in the page; of more, the tables have the facts.",
)
@judging.judged
@options.limited
@options.how
def command(captures: tuple[str, ...], output: str, detailed: int, **given: Any) -> int:
    """Write one page about captures: a summary, findings, TLS 1.2 beside TLS 1.3, figures, certificates, connections.

    The tables of certificates and connections sort and filter, and a click opens a handshake: its ladder, and all of
    its records, messages and fields. The page holds everything that it shows: it loads nothing from anywhere, and can
    be mailed or archived. Trust is checked against the authorities that --ca-file, --ca-path or --system-ca name, as of
    the time of the capture; without any it is not checked.
    """
    from tlsdissect.views.report.page import Report  # noqa: PLC0415 (not needed for --help)

    options.reproducible()
    if output != "-":
        options.refuse_to_overwrite(captures, output)
        options.form(output, _SUFFIXES, otherwise="")
    judge, evidence = judging.certain(given), Evidence()
    report = Report(captures, judge, evidence, detailed)
    selected, limits = options.selection(given), options.limits(given)
    query = Query(
        captures, Options(limits=limits, keep=True), selected, Gathering(report), judge=judge, evidence=evidence
    )
    run = ReportRun(query, report, given)
    status = run.to(standard_output() if output == "-" else whole_file(output))
    run.account(quiet=given["quiet"], below=False)
    return status


class ReportRun(Run):
    """A run whose page is written when all was read."""

    def __init__(self, query: Query, report: Report, given: dict[str, Any]) -> None:
        super().__init__(query, 1, debug=given["debug"], gate=judging.gate(given["fail_on"]))
        self._report = report

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        super()._print(sink, interrupts)
        notes = [f"{note[0].upper()}{note[1:]}." for note in left_out(self._rows.summary)]
        notes += [f"{refusal}." for refusal in refusals(self._rows.summary)]
        with self._below.aside():
            for piece in self._report.pieces(notes):
                sink.write(piece)
        # What only many certificates together show is in no connection.
        if self._tally.findings is not None:
            alone = [one for one in self._report.found if not one.connections]
            self._tally.findings.update({f"{one.rule.severity} {one.rule.code}": one.certificates for one in alone})
