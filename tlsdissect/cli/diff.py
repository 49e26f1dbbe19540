"""`tlsdissect diff`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import exit_status, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination
from tlsdissect.corpus.left_out import notes, unused_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.views.diff.builder import Given
    from tlsdissect.views.diff.model import CaptureDiff

EXAMPLES = """\b
Examples:
  tlsdissect diff before.pcap after.pcap
  tlsdissect diff --client 192.0.2.0/24 --by address before.pcap captures/
  tlsdissect diff --exit-status before.pcap after.pcap || echo broken
  tlsdissect diff --format json before.pcap after.pcap | jq '.broke[].server'
"""
_SUFFIXES = {".json": "json", ".txt": "table"}
_WENT_ON = frozenset((0, exit_status.NOTHING_SELECTED, exit_status.BAD_INPUT, exit_status.FINDINGS))
"""Statuses of a reading that was neither interrupted nor aborted."""
_EXIT_STATUS = click.option(
    "--exit-status",
    "tells_matches",
    is_flag=True,
    help="Exit with status 3 if something that worked before fails now, or 1 if a side has no selected connections.",
)


@options.capture_command(
    EXAMPLES,
    captures=(click.argument("before", metavar="BEFORE"), click.argument("after", metavar="AFTER")),
    exit_status=_EXIT_STATUS,
)
@click.option(
    "--by",
    type=click.Choice(["name", "address"]),
    default="name",
    show_default=True,
    help="How servers are identified: by requested name and port (by address and port where no name was requested), or "
    "always by address and port.",
)
@options.result_options("table", "json")
@options.run_options
def command(before: str, after: str, by: Any, form: str | None, output: str | None, **given: Any) -> int:
    """Show what changed between two captures or folders.

    The first section shows which clients worked with a server before and fail now, and why. It is followed by changes
    of versions, suites, groups, ALPN, certificates, JA4 fingerprints and times; then by the servers and clients that
    only one of the captures has, and by how much stayed the same. Connections are compared by client and server: those
    in AFTER with those of the same client and server in BEFORE. Options that select connections apply to both captures.
    """
    if before == after == "-":
        raise click.UsageError("only one of BEFORE and AFTER can be standard input")
    file, form, seen = options.result(output, form, _SUFFIXES, "table", (before, after))
    from tlsdissect.views.diff.builder import DiffBuilder  # noqa: PLC0415 (not needed for --help)

    builder, write = DiffBuilder(by), _writer(form, given["color"], seen=seen)
    results: list[CaptureDiff] = []

    def end() -> Iterator[bytes]:
        results.append(builder.result(first.given, second.given))
        yield from write(results[0])

    # The text says what the summary of a run says.
    given = {**given, "quiet": given["quiet"] or form == "table"}
    first = _Side(before, builder.add_before, given)
    statuses = [first.print_all(destination(os.devnull))]
    if statuses[0] in _WENT_ON and first.was_read:
        second = _Side(after, builder.add_after, given, end)
        statuses.append(second.print_all(destination(file)))
    if given["tells_matches"] and any(result.broke for result in results):
        statuses.append(exit_status.FINDINGS)
    return exit_status.gravest(statuses)


class _Side(Run):
    """The reading of one side."""

    def __init__(
        self,
        capture: str,
        add: Callable[..., object],
        given: dict[str, Any],
        end: Callable[[], Iterator[bytes]] | Callable[[], tuple[bytes, ...]] = tuple,
    ) -> None:
        query = options.query((capture,), given, Collector(add), judge=options.judge(given))
        # A key log applies to both sides: the result counts the secrets that opened nothing on either.
        super().__init__(query, given, end=end, counts_unused_keys=False)
        self._capture = capture

    @property
    def was_read(self) -> bool:
        """Whether there was a capture."""
        return self._rows.summary.captures > 0

    @property
    def given(self) -> Given:
        """What the result says of this side besides its connections."""
        from tlsdissect.views.diff.builder import Given  # noqa: PLC0415 (not needed for --help)

        summary = self._rows.summary
        seen = notes(summary, counts_unused_keys=False)
        return Given((self._capture,), summary.connections, seen, unused_keys(summary))


def _writer(form: str, color: str, *, seen: bool) -> Callable[[CaptureDiff], Iterator[bytes]]:
    """Return the function that formats the result."""
    from tlsdissect.views.diff.text import text  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ndjson import json_line  # noqa: PLC0415

    if form == "json":
        return lambda found: iter([json_line(found)])
    style = options.text_style(color, seen=seen)
    return lambda found: text(found, **style)
