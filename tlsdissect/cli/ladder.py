"""`tlsdissect ladder`."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import options
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file
from tlsdissect.corpus.query import Query
from tlsdissect.transcript.options import Options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.corpus.query import View
    from tlsdissect.transcript.connection import Connection

EXAMPLES = """\b
Examples:
  tlsdissect ladder capture.pcap
  tlsdissect ladder --stream 3 capture.pcap -o handshake.svg
  tlsdissect ladder --stream 3 --stream 7 capture.pcap
  tlsdissect ladder --stream old.pcap:0 --stream new.pcap:0 old.pcap new.pcap -o both.png
"""
_SUFFIXES = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".txt": "text"}
_PAIR = 2


class Gathered:
    """A view that writes at the end what it was given: a picture, or two ladders side by side."""

    head = b""

    def __init__(self) -> None:
        self.connections: list[Connection] = []
        self.more = 0
        """Connections that are not held, for no picture has room for them."""

    def section(self, _: str) -> bytes:
        """Write nothing."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Hold a connection."""
        if len(self.connections) < _PAIR:
            self.connections.append(connection)
        else:
            self.more += 1
        return b""


@click.command(epilog=EXAMPLES)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@options.which
@click.option("-o", "--output", metavar="FILE", help="Draw a picture: .svg, .png or .pdf; .txt is the text.")
@click.option("--dark", is_flag=True, help="Draw the picture for a dark background.")
@options.limited
@options.how
def command(captures: tuple[str, ...], output: str | None, dark: bool, **given: Any) -> int:
    """Draw handshakes as ladders: who said what when, in milliseconds and in round trips.

    An arrow is what one side sent before the other said something: its messages with their bytes. Encrypted ones and
    application data are drawn as such. Two connections that are chosen by --stream stand side by side, on one axis of
    time that begins at the ClientHello of each.
    """
    file = None if output in (None, "-") else output
    form = "text" if file is None else options.form(file, _SUFFIXES, otherwise="")
    if dark and form == "text":
        raise click.UsageError("--dark goes with -o FILE.svg, .png or .pdf")
    if file is not None:
        options.refuse_to_overwrite(captures, file)
        options.reproducible()
    streams = given["streams"]
    selection, limits = options.selection(given), options.limits(given)
    seen = file is None and options.seen(None)
    view, end = _view(form, pair=len(streams) == _PAIR, seen=seen, dark=dark, color=given["color"])
    query = Query(captures, Options(limits=limits, keep=True), selection, view)
    run = Run(query, 1, debug=given["debug"], end=end)
    status = run.to(standard_output() if file is None else whole_file(file))
    run.account(quiet=given["quiet"], below=False)
    return status


def _view(form: str, *, pair: bool, seen: bool, dark: bool, color: str) -> tuple[View, Any]:
    """What takes the connections, and what writes behind the last."""
    from tlsdissect.views.ladder.text import Text  # noqa: PLC0415 (not needed for --help)

    coloured = options.coloured(color, seen=seen)
    text = Text(coloured=coloured)
    if seen:
        text = Text(shutil.get_terminal_size().columns, coloured=coloured, encoding=sys.stdout.encoding)
    if form == "text" and not pair:
        return text, tuple
    gathered = Gathered()

    def end() -> Iterator[bytes]:
        chosen = gathered.connections
        if form != "text":
            yield _picture(gathered, form, dark=dark)
        elif len(chosen) == _PAIR and not gathered.more:
            yield text.beside(*chosen)
        else:
            yield from _each(text, chosen)

    return gathered, end


def _each(text: View, connections: Iterable[Connection]) -> Iterator[bytes]:
    for connection in connections:
        yield text.row(connection)


def _picture(gathered: Gathered, form: str, *, dark: bool) -> bytes:
    from tlsdissect.views.ladder.model import drawn  # noqa: PLC0415 (not needed for --help)
    from tlsdissect.views.ladder.plot import picture  # noqa: PLC0415 (matplotlib is slow to load)

    if gathered.more or not gathered.connections:
        count = len(gathered.connections) + gathered.more or "no"
        raise click.UsageError(f"{count} connections: a picture has room for one or two; choose them with --stream")
    return picture([drawn(one) for one in gathered.connections], form, dark=dark)
