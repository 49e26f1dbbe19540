"""`tlsdissect plot`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import whole_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection

EXAMPLES = """\b
Examples:
  tlsdissect plot handshake-round-trips captures/ -o times.svg
  tlsdissect plot cipher-suites --sni '*.example.com' a.pcap -o suites.png
  tlsdissect plot lifetimes --dark capture.pcap -o lifetimes.pdf
  tlsdissect plot timeline --stream 3 capture.pcap -o handshake.svg
"""
_SUFFIXES = {".png": "png", ".svg": "svg", ".pdf": "pdf"}
_KINDS = (
    "handshake-times",
    "handshake-round-trips",
    "server-bytes",
    "round-trips",
    "failures",
    "cipher-suites",
    "groups",
    "certificate-bytes",
    "versions",
    "version-shares",
    "post-quantum",
    "lifetimes",
    "offered-and-chosen",
    "timeline",
)
_SINGLE = "timeline"


@options.capture_command(EXAMPLES, click.argument("kind", type=click.Choice(_KINDS), metavar="KIND"), draws=True)
@click.option(
    "-o",
    "--output",
    type=completion.FILE,
    required=True,
    metavar="FILE",
    help="Write the picture to FILE: .png, .svg or .pdf.",
)
@click.option("--dark", is_flag=True, help="Draw for a dark background.")
@options.run_options
def command(kind: str, captures: tuple[str, ...], output: str, dark: bool, **given: Any) -> int:
    """Draw a figure of the connections.

    KIND is handshake-times, handshake-round-trips, server-bytes, round-trips, failures, cipher-suites, groups,
    certificate-bytes, versions, version-shares, post-quantum, lifetimes, offered-and-chosen, or timeline. A timeline is
    the ladder of a single connection, drawn to scale. All connections are kept in memory until the figure is drawn.
    """
    form = options.format_of(output, _SUFFIXES, otherwise="")
    options.refuse_to_overwrite(captures, output)
    options.check_source_date_epoch()
    connections: list[Connection] = []

    def end() -> Iterator[bytes]:
        from tlsdissect.views.dataframes import Tables  # noqa: PLC0415 (pandas and matplotlib are slow to load)
        from tlsdissect.views.plots import picture  # noqa: PLC0415

        if kind == _SINGLE and len(connections) != 1:
            count = f"{len(connections):,}" if connections else "no"
            raise click.UsageError(f"{count} connections: a {kind} shows a single one; select it with --stream")
        yield picture(Tables(lambda: connections), kind, form, dark=dark)

    query = options.query(captures, given, Collector(connections.append), judge=options.judge(given))
    return Run(query, given, end=end).print_all(whole_file(output))
