"""`tlsdissect extract`."""

from __future__ import annotations

import os
import shlex
import zlib
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.capture.inputs import find_inputs
from tlsdissect.cli import options
from tlsdissect.cli.run import Collector, Run, Stopped
from tlsdissect.cli.sink import destination
from tlsdissect.cli.status_line import FractionBar
from tlsdissect.corpus.extraction import Extraction, check_readable_twice
from tlsdissect.views.phrases import counted
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.cli.run import Interrupts
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query

EXAMPLES = """\b
Examples:
  tlsdissect extract --failed capture.pcap -o failed.pcapng
  tlsdissect extract --stream 12 --stream udp:3 a.pcapng.gz -o two.pcapng
  tlsdissect extract --where 'round_trips > 2' captures/ -o slow.pcapng.gz
  tlsdissect extract --keylog keys.txt capture.pcap -o - | wireshark -k -i -
  tlsdissect extract --filter --stream 12 capture.pcap
"""
_NAME = "extract.pcapng"
"""The file in the commands of --filter, unless -o names one."""


@options.capture_command(EXAMPLES)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="Write pcapng to FILE, compressed if its name ends with .gz; - for standard output. No file is written if no "
    "connection is selected.",
)
@click.option(
    "--filter",
    "filtering",
    is_flag=True,
    help="Instead of writing packets, print a Wireshark display filter for each capture, and a tshark command.",
)
@options.run_options
def command(captures: tuple[str, ...], output: str | None, filtering: bool, **given: Any) -> int:
    """Write only the packets of the selected connections, to a pcapng file.

    All packets of their flows are written, in both directions and from the first to the last, including IP fragments,
    packets in tunnels, retransmissions, RSTs that TCP drops, and ICMP errors about the flow, with their original bytes,
    lengths, times, interfaces and comments. The file also contains every secret of the capture or of --keylog that
    decrypts these packets: consider this before you share the file. Each capture becomes a section of the file; with
    --joined, only captures that have packets of the selected connections. The captures are read twice, so they must be
    files.

    A UDP flow is written whole if one of its connections is selected. For EAP, the packets of the conversation are
    written, without EAPOL-Key frames.
    """
    try:
        check_readable_twice(captures)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if filtering and given["joined"]:
        raise click.UsageError("--filter cannot be combined with --joined: a display filter is for one file")
    judge = options.judge(given)
    if filtering:
        return _print_filters(captures, output, given, judge)
    if output is None:
        raise click.UsageError("-o FILE or --filter is required")
    file = None if output == "-" else output
    if options.is_terminal(file):
        raise click.UsageError(f"-o {output}: packets are not written to a terminal")
    if file is not None:
        options.refuse_to_overwrite(tuple(one.path for one in find_inputs(captures).files), file)
    run = ExtractionRun(options.query(captures, given, Collector(_nowhere), judge=judge), given, output)
    return run.print_all(destination(file, empty=False))


class ExtractionRun(Run):
    """A run that writes the packets after all captures were read."""

    def __init__(self, query: Query, given: dict[str, Any], output: str) -> None:
        self._extraction = Extraction(query.captures, query.options)
        super().__init__(query._replace(view=Collector(self._extraction.add)), given)
        self._output = output

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        super()._print(sink, interrupts)
        pack = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if self._output.lower().endswith(".gz") else None
        pieces = self._extraction.pieces(lambda: bool(interrupts.status))
        with self._status_line.hidden(), FractionBar("extracting", self._extraction.progress):
            for piece in pieces:
                sink.write(piece if pack is None else pack.compress(piece))
        if interrupts.status:
            raise Stopped
        if self._extraction.packets:
            sink.write(b"" if pack is None else pack.flush())
            self._tally.lines.append(f"{counted(self._extraction.packets, 'packet')} written to {self._output}")


def _print_filters(captures: tuple[str, ...], output: str | None, given: dict[str, Any], judge: Any) -> int:
    query = options.query(captures, given, Collector(_nowhere), judge=judge)
    extraction = Extraction(captures, query.options)
    run = Run(query._replace(view=Collector(extraction.add)), given, end=lambda: _filters(extraction, output or _NAME))
    return run.print_all(destination(None), on_terminal=options.is_terminal(None))


def _filters(extraction: Extraction, output: str) -> Iterator[bytes]:
    """Yield, for each capture, its name, the filter, and the command that applies it."""
    found = list(extraction.filters())
    for number, (path, text) in enumerate(found, 1):
        stem, suffix = os.path.splitext(output)  # noqa: PTH122 (paths are text here)
        place = output if len(found) == 1 else f"{stem}-{number}{suffix}"
        # With two passes, tshark writes the fragments of a packet too.
        words = ("tshark", "-2", "-r", path, "-Y", text, "-w", place)
        command = " ".join(map(_quoted, words))
        yield f"{printable(path)}\n  {text}\n  {command}\n".encode()


def _quoted(word: str) -> str:
    """Quote a word for a shell; what `printable` escapes needs the quotes in which bash, ksh and zsh read it."""
    if printable(word) == word:
        return shlex.quote(word)
    return "$'{}'".format(printable(word.replace("\\", "\\\\").replace("'", "\\'")))


def _nowhere(_: object) -> None:
    """Drop a connection."""
