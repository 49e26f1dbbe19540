"""`tlsdissect ladder`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, options
from tlsdissect.cli.run import Collector, Run
from tlsdissect.cli.sink import destination

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.corpus.query import View
    from tlsdissect.corpus.selection import Stream
    from tlsdissect.model.connection import Connection

EXAMPLES = """\b
Examples:
  tlsdissect ladder capture.pcap
  tlsdissect ladder --stream 3 capture.pcap -o handshake.svg
  tlsdissect ladder --stream 3 --stream 7 capture.pcap
  tlsdissect ladder --stream 0 old.pcap new.pcap -o both.png
"""
_SUFFIXES = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".txt": "text"}
_PAIR = 2


class _Pair:
    """The connections of a picture, or of two ladders side by side."""

    def __init__(self, streams: Sequence[Stream]) -> None:
        self._streams = streams
        self.connections: list[Connection] = []
        self.more = 0
        """Connections beyond the second, which are only counted."""

    def add(self, connection: Connection) -> None:
        """Add a connection."""
        if len(self.connections) < _PAIR:
            self.connections.append(connection)
        else:
            self.more += 1

    def as_asked(self) -> list[Connection]:
        """Return the connections in the order in which their streams were asked for, not in that of their ends."""
        return sorted(self.connections, key=self._place)

    def _place(self, connection: Connection) -> int:
        streams = enumerate(self._streams)
        return next((number for number, stream in streams if stream.matches(connection)), len(self._streams))


@options.capture_command(EXAMPLES, draws=True)
@click.option(
    "-o",
    "--output",
    type=completion.FILE,
    metavar="FILE",
    help="Write to FILE: a picture (.svg, .png, .pdf) or text (.txt).",
)
@click.option("--dark", is_flag=True, help="Draw for a dark background.")
@options.run_options
def command(captures: tuple[str, ...], output: str | None, dark: bool, **given: Any) -> int:
    """Draw handshakes as ladder diagrams, to scale, in milliseconds and in round trips.

    Each arrow is a flight: the messages, with their sizes, that one side sent before the other answered. Encrypted
    messages and application data are drawn with distinct arrows; the cause of a failure is drawn in red. A long pause
    is shortened and labelled with its length. Round trips are measured in the TCP handshake, and shown if they take at
    least 1 ms. Two connections selected by --stream are drawn side by side, in the order of the options, on a common
    time axis that starts at each ClientHello. The two views of a connection that was captured at both ends of a path
    are drawn side by side, too, with the packets that were lost between them.
    """
    file = None if output in (None, "-") else output
    form = "text" if file is None else options.format_of(file, _SUFFIXES, otherwise="")
    if dark and form == "text":
        raise click.UsageError("--dark requires -o FILE.svg, .png or .pdf")
    if file is not None:
        options.refuse_to_overwrite(captures, file)
        options.check_source_date_epoch()
    seen = file is None and options.is_terminal(None)
    view, end = _view(form, given["stream"], seen=seen, dark=dark, color=given["color"])
    query = options.query(captures, given, view, judge=options.judge(given), joins_views=True, keep=True)
    return Run(query, given, end=end).print_all(destination(file), on_terminal=seen)


def _view(form: str, streams: Sequence[Stream], *, seen: bool, dark: bool, color: str) -> tuple[View, Any]:
    """Return the view, and the function that yields the output after the last connection."""
    from tlsdissect.views.ladder.text import Text  # noqa: PLC0415 (not needed for --help)

    text = Text(**options.text_style(color, seen=seen))
    if form == "text" and len(streams) != _PAIR:
        return text, tuple
    collected = _Pair(streams)

    def end() -> Iterator[bytes]:
        chosen = collected.as_asked()
        if form != "text":
            yield _picture(collected, form, dark=dark)
        elif len(chosen) == _PAIR and not collected.more:
            yield text.beside(*chosen)
        else:
            yield from map(text.row, chosen)

    return Collector(collected.add), end


def _picture(collected: _Pair, form: str, *, dark: bool) -> bytes:
    from tlsdissect.views.ladder.model import drawn, views  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ladder.plot import picture  # noqa: PLC0415 (matplotlib is slow to load)

    if collected.more or not collected.connections:
        count = len(collected.connections) + collected.more or "no"
        raise click.UsageError(f"{count} connections: a picture shows one or two; select them with --stream")
    chosen = collected.as_asked()
    ladders = views(chosen[0]) if len(chosen) == 1 else [drawn(one) for one in chosen]
    return picture(ladders, form, dark=dark)
