"""`tlsdissect compare`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import exit_status, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.views.comparison.model import Group

EXAMPLES = """\b
Examples:
  tlsdissect compare capture.pcap
  tlsdissect compare --by server captures/
  tlsdissect compare --all capture.pcap
  tlsdissect compare --format json a.pcap | jq '.sides[].mean_round_trips'
  tlsdissect compare --by sni capture.pcap -o comparison.csv
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "text"}


@options.capture_command(EXAMPLES)
@click.option(
    "--by",
    type=click.Choice(["server", "sni", "client", "capture"]),
    help="Also compare the connections of each server, server name, client or capture.",
)
@click.option("--all", "whole", is_flag=True, help="Print all sections; with --by, all sections of each group.")
@options.result_options("text", "json", "csv")
@options.run_options
def command(captures: tuple[str, ...], by: Any, form: str | None, output: str | None, whole: bool, **given: Any) -> int:
    """Compare TLS 1.2 and TLS 1.3: round trips, times, cipher suites, and what anyone on the path could read.

    Times are as the client saw them, wherever the packets were captured. If an interval ends with a message of the
    server, the round-trip time between capture point and client, measured in the TCP handshake, is added. Differences
    are computed over connections of the same client to the same server in both versions, with a 95 % interval; a
    difference is significant if the interval excludes zero.
    """
    file, form, seen = options.result(output, form, _SUFFIXES, "text", captures)
    from tlsdissect.views.comparison.builder import ComparisonBuilder  # noqa: PLC0415 (not needed for --help)

    comparison, write = ComparisonBuilder(by), _writer(form, file, given["color"], seen=seen, whole=whole)
    query = options.query(captures, given, Collector(comparison.add), judge=options.judge(given))
    status = Run(query, given, end=lambda: write(comparison.groups())).print_all(destination(file), on_terminal=seen)
    if comparison.left_out:
        exit_status.warn(f"{comparison.left_out:,} connections count only in the total: there are too many groups")
    return status


def _writer(
    form: str, file: str | None, color: str, *, seen: bool, whole: bool
) -> Callable[[Sequence[Group]], Iterator[bytes]]:
    """Return the function that formats the groups."""
    from tlsdissect.views.comparison import formats  # noqa: PLC0415 (not needed for --help)

    if form == "json":
        return formats.json_lines
    if form == "csv":
        return partial(formats.csv_rows, seen=options.is_terminal(file))
    return formats.Text(**options.text_style(color, seen=seen), whole=whole).written
