"""`tlsdissect explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tlsdissect.corpus.query import View

EXAMPLES = """\b
Examples:
  tlsdissect explain capture.pcap --stream 4
  tlsdissect explain --stream old.pcap:0 old.pcap new.pcap
  tlsdissect explain --all capture.pcap
  tlsdissect explain --all --sni '*.example.com' capture.pcap
  tlsdissect explain --format json a.pcap | jq -r '.sentences[].text'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".txt": "text"}


@options.capture_command(EXAMPLES)
@click.option("--all", "whole", is_flag=True, help="Explain each connection, in the order of the captures.")
@options.result_options("text", "json")
@options.run_options
def command(captures: tuple[str, ...], output: str | None, form: str | None, **given: Any) -> int:
    """Explain handshakes in sentences, each with the frames it is based on.

    The sentences say what the client offered and what the server chose, what each round trip was for, what anyone on
    the path could read, and who ended a failed handshake and why. Inferences are marked as guesses. A
    connection that was captured at both ends of a path is explained once, with what was lost and where time went
    between the two.

    The text begins with a verdict. Connections whose sentences differ only in times, sizes, names, addresses and frames
    are counted, and only the first of them is explained; failures come first.
    """
    file, form, seen = options.result(output, form, _SUFFIXES, "text", captures)
    view, end = _view(form, given["color"], seen=seen, whole=given["whole"])
    # The judge also matches revocation lookups to the handshakes that waited for them.
    judge, asked = options.required_judge(given), options.wants_findings(given)
    # Connections of datasets have no packets, and so no transcripts.
    kept = not options.reads_datasets(captures)
    query = options.query(captures, given, view, judge=judge, reports_findings=asked, joins_views=True, keep=kept)
    return Run(query, given, end=end).print_all(destination(file), on_terminal=seen)


def _view(form: str, color: str, *, seen: bool, whole: bool) -> tuple[View, Callable[[], Iterable[bytes]]]:
    """Make the view of a format, and what yields the output after the last connection."""
    from tlsdissect.views import explain  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ndjson import JsonLines  # noqa: PLC0415

    if form == "json":
        return JsonLines(explain.explain), tuple
    style = options.text_style(color, seen=seen)
    if whole:
        return explain.text(**style), tuple
    stories = explain.grouped(**style)
    return stories, stories.end
