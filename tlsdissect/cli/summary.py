"""`tlsdissect summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.cli import options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.left_out import notes

if TYPE_CHECKING:
    from tlsdissect.cli.options import TextStyle
    from tlsdissect.cli.run import Interrupts
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query
    from tlsdissect.views.summary import SummaryBuilder

EXAMPLES = """\b
Examples:
  tlsdissect summary capture.pcap
  tlsdissect capture.pcap
  tlsdissect summary --since 5m --server 192.0.2.0/24 captures/
  tlsdissect summary --since 2026-11-01 dataset/
  tlsdissect summary --format json capture.pcap | jq '.failures[0]'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".txt": "text"}


@options.capture_command(EXAMPLES)
@options.result_options("text", "json")
@options.run_options
def command(captures: tuple[str, ...], output: str | None, form: str | None, **given: Any) -> int:
    """Summarize captures on one screen.

    It shows failures by reason, with the clients and servers that had most of them; versions; what is old or weak; the
    servers' own certificates that expire within 30 days; resumption; and the slowest handshakes. Traffic that was not
    TLS or not decoded is always counted, whatever is selected. `tlsdissect FILE` does the same.
    """
    file, form, seen = options.result(output, form, _SUFFIXES, "text", captures)
    from tlsdissect.views.summary import SummaryBuilder  # noqa: PLC0415 (not needed for --help)

    builder = SummaryBuilder()
    query = options.query(captures, given, Collector(builder.add), judge=options.judge(given))
    style = None if form == "json" else options.text_style(given["color"], seen=seen)
    if style is not None and style["width"] is None:
        style["width"] = options.columns_of_surroundings()
    # The text has what the summary of a run says.
    quiet = given["quiet"] or form == "text"
    return SummaryRun(query, builder, style, {**given, "quiet": quiet}).print_all(destination(file))


class SummaryRun(Run):
    """A run that prints the summary after all captures were read."""

    def __init__(self, query: Query, builder: SummaryBuilder, style: TextStyle | None, given: dict[str, Any]) -> None:
        """Without a style, the summary is JSON."""
        super().__init__(query, given)
        self._builder = builder
        self._style = style

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        from tlsdissect.views.ndjson import json_line  # noqa: PLC0415 (not needed for --help)
        from tlsdissect.views.summary import text  # noqa: PLC0415

        super()._print(sink, interrupts)
        totals = self._rows.summary
        found = self._builder.summary(
            totals.connections, totals.not_tls, notes(totals), selected=self._selects, frames=totals.frames
        )
        with self._aside(sink):
            for piece in [json_line(found)] if self._style is None else text(found, **self._style):
                sink.write(piece)
