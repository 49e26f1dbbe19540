"""`tlsdissect report`."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination
from tlsdissect.cli.status_line import FractionBar
from tlsdissect.corpus.left_out import report_notes
from tlsdissect.corpus.workers import job_count
from tlsdissect.flows.limits import MOST
from tlsdissect.handshake.facts.evidence import Evidence

if TYPE_CHECKING:
    from tlsdissect.cli.run import Interrupts
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query
    from tlsdissect.views.report.page import Report

EXAMPLES = """\b
Examples:
  tlsdissect report capture.pcap -o report.html
  tlsdissect report --tls 1.2 captures/ -o old.html
  tlsdissect report --system-ca --fail-on high captures/ -o report.html
"""
BYTES_A_JOB = 1 << 20
"""Bytes of captures for each process that is started by default: drawing figures takes as long as reading many."""
_SUFFIXES = {".html": "page", ".htm": "page", "": "page"}


@options.capture_command(EXAMPLES, draws=True)
@click.option(
    "-o",
    "--output",
    type=completion.FILE,
    metavar="FILE",
    required=True,
    help="Write the page to FILE; - is standard output.",
)
@click.option(
    "--detailed",
    type=click.IntRange(0, MOST),
    default=20_000,
    show_default=True,
    metavar="N",
    help="Include the details of at most N connections and N certificates; others appear only in the tables.",
)
@options.jobs_option
@options.run_options
def command(captures: tuple[str, ...], output: str, detailed: int, jobs: int | None, **given: Any) -> int:
    """Write an HTML report: failures, findings, connections, certificates, comparison of versions, and figures.

    The tables of certificates and connections can be sorted and filtered. Clicking a connection opens its ladder and
    all of its records, messages and fields. The page is self-contained, so that it can be mailed or
    archived. Trust is checked against the authorities given with --ca-file, --ca-path or --system-ca, as of the time of
    the capture; without any of these, it is not checked.
    """
    from tlsdissect.corpus.report_details import ParallelBlocks  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.corpus.report_figures import ParallelFigures  # noqa: PLC0415
    from tlsdissect.views.report.page import Report  # noqa: PLC0415

    options.check_source_date_epoch()
    if output != "-":
        options.refuse_to_overwrite(captures, output)
        options.format_of(output, _SUFFIXES, otherwise="")
    judge, evidence = options.required_judge(given), Evidence()
    many = job_count(list(captures), jobs, BYTES_A_JOB)
    with ExitStack() as others:
        # First, so that it imports what draws the figures while the rest goes on.
        artist = None if many == 1 else others.enter_context(closing(ParallelFigures(many)))
        blocks = None if many == 1 else others.enter_context(closing(ParallelBlocks(many)))
        report = Report(captures, judge, evidence, detailed, artist, blocks)
        view = Collector(report.add)
        # Connections of datasets have no packets, and so no transcripts.
        kept = not options.reads_datasets(captures)
        query = options.query(captures, given, view, judge=judge, evidence=evidence, keep=kept)
        return ReportRun(query, report, given).print_all(destination(None if output == "-" else output))


class ReportRun(Run):
    """A run that writes the page after all captures were read."""

    def __init__(self, query: Query, report: Report, given: dict[str, Any]) -> None:
        super().__init__(query, given)
        self._report = report

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        super()._print(sink, interrupts)
        with self._status_line.hidden(), FractionBar("writing the report", self._report.written):
            for piece in self._report.pieces(report_notes(self._rows.summary)):
                sink.write(piece)
        # Findings about several certificates, such as shared primes, belong to no connection.
        if self._tally.findings is not None:
            alone = [one for one in self._report.found if not one.connections]
            self._tally.findings.update({f"{one.rule.severity} {one.rule.code}": one.certificates for one in alone})
