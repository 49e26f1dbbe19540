"""`tlsdissect explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.query import Query
from tlsdissect.handshake.options import Options

if TYPE_CHECKING:
    from tlsdissect.corpus.query import View

EXAMPLES = """\b
Examples:
  tlsdissect explain capture.pcap --stream 4
  tlsdissect explain --sni '*.example.com' capture.pcap
  tlsdissect explain --format json capture.pcap | jq '.sentences[] | select(.topic == "end") | .text'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".txt": "text"}


@click.command(cls=options.GroupedCommand, epilog=EXAMPLES)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.selection_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    help="Output format; by default the suffix of -o FILE, or text.",
)
@options.output_option
@options.limit_options
@options.display_options
def command(captures: tuple[str, ...], output: str | None, form: str | None, **given: Any) -> int:
    """Explain handshakes in sentences, each with the frames it is based on.

    The sentences say what the client offered and what the server chose, what each round trip was spent on, what anyone
    on the path could read, and who ended a failed handshake and why. Conclusions that were not read from the packets
    are marked as guesses.
    """
    file, form = options.file_and_format(output, form, _SUFFIXES, "text", captures)
    seen = form == "text" and file is None and options.is_terminal(None)
    view = _view(form, given["color"], seen=seen)
    # The judge is needed only to match revocation lookups to the handshakes that waited for them.
    from tlsdissect.trust.judge import Judge  # noqa: PLC0415 (start-up time)

    limits, selection = options.limits(given), options.selection(given)
    query = Query(captures, Options(limits=limits, keep=True), selection, view, judge=Judge(), reports_findings=False)
    run = Run(query, 1, debug=given["debug"])
    status = run.print_to(destination(file))
    run.print_summary(quiet=given["quiet"], on_terminal=False)
    return status


def _view(form: str, color: str, *, seen: bool) -> View:
    """Make the view of a format."""
    from tlsdissect.views import explain  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ndjson import JsonLines  # noqa: PLC0415

    return JsonLines(explain.explain) if form == "json" else explain.text(**options.text_style(color, seen=seen))
