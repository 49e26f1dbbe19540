"""`tlsdissect live`."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import endings, options, rights
from tlsdissect.cli.board import Board
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import standard_output, whole_file
from tlsdissect.corpus.query import Query
from tlsdissect.corpus.selection import Selection
from tlsdissect.transcript.options import Options
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.capture.saving import Rotation
    from tlsdissect.corpus.query import View

EXAMPLES = """\b
Examples:
  sudo tlsdissect live
  sudo tlsdissect live -i eth0 -p 443 -p 8443
  sudo tlsdissect live -i any --filter 'tcp and net 192.0.2.0/24' --duration 60
  sudo tlsdissect live -i eth0 -w seen.pcapng.gz --rotate 1h
  sudo tlsdissect live --format json | jq '{sni, version, round_trips}'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table"}
_ENDED = frozenset((130, 143))
"""Statuses of Ctrl-C and SIGTERM: how a live capture usually ends."""
_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class RotationType(click.ParamType["Rotation"]):
    """`100M`, `1h`."""

    name = "rotation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rotation:
        """Tell bytes from seconds by the unit."""
        from tlsdissect.capture.saving import Rotation  # noqa: PLC0415 (start-up time of --help)

        if isinstance(value, Rotation):
            return value
        told = re.fullmatch(r"([0-9]{1,12})(?:([kMG])B?|([smhd]))", value)
        if told is None or not int(told[1]):
            self.fail(f"{value!r} is no size (100k, 100M, 1G) and no time (60s, 10m, 1h, 1d)", param, ctx)
        many = float(int(told[1]) * _UNITS[told[2] or told[3]])
        return Rotation(size=many) if told[2] else Rotation(seconds=many)


@click.command(epilog=EXAMPLES)
@click.option("-i", "--interface", default="lo", show_default=True, metavar="NAME", help="Where to listen; any: all.")
@click.option(
    "-p",
    "--port",
    "ports",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="N",
    help="Only these ports; 8443 without this and --filter.",
)
@click.option("--filter", "expression", metavar="BPF", help="Only what this filter of pcap-filter(7) takes.")
@click.option("--list", "listing", is_flag=True, help="Show the interfaces, their addresses and state.")
@click.option("--duration", type=options.Seconds(0, min_open=True), metavar="S", help="End after so many seconds.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End with so many connections.")
@options.emitted("decided")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="How to print; a table unless -o tells otherwise.",
)
@click.option("-w", "save", metavar="FILE", help="Save the packets as pcapng, compressed if the name ends with .gz.")
@click.option(
    "--rotate",
    "rotation",
    type=RotationType(),
    metavar="N",
    help="With -w: begin a new file at a size (100M) or after a time (1h); their names get a number and the time.",
)
@click.option("-v", "--verbose", is_flag=True, help="Show each handshake whole, as `show` does.")
@click.option("--stats", is_flag=True, help="Every second a line of figures on standard error.")
@click.option("--user", metavar="NAME", help="Become this user before the first packet is looked at.")
@options.output
@options.limited
@options.how
def command(interface: str, listing: bool, form: str | None, output: str | None, **given: Any) -> int:
    """Print the TLS connections of an interface, each as soon as its handshake is decided.

    What is told of each is as of that moment: `open` says whether it goes on. Ctrl-C ends it; what is not decided by
    then is told as incomplete. Needs root or CAP_NET_RAW, and libpcap (Debian: libpcap0.8) to compile the filter.
    Started by sudo, it becomes the user who called it before it looks at the first packet.
    """
    if listing:
        return _list()
    if given["rotation"] and not given["save"]:
        raise click.UsageError("--rotate goes with -w FILE")
    if given["save"] == "-":
        raise click.UsageError("-w -: packets are saved in files only; their names may be ./-")
    if given["verbose"] and (form or output) not in (None, "table", "-"):
        raise click.UsageError("--verbose is a way to print on a terminal: no --format json or csv, no -o FILE")
    file = None if output in (None, "-") else output
    if file is not None:
        form = form or options.form(file, _SUFFIXES)
    from tlsdissect.listening import expression  # noqa: PLC0415 (start-up time of --help)

    taken = expression(given["ports"], given["expression"])
    successor = rights.successor(given["user"])
    with _opened(interface, taken, given) as capture:
        if successor is not None:
            rights.give_up(successor)
        _start(capture)
        if not given["quiet"]:
            endings.say(f"listening on {interface}: {taken} (Ctrl-C ends)")
        return _told(capture, form or "table", file, given)


def _told(capture: LiveCapture, form: str, file: str | None, given: dict[str, Any]) -> int:
    """Print what comes, until the end."""
    from tlsdissect.listening import Listening  # noqa: PLC0415 (not needed for --help)

    seen = form == "table" and file is None and options.seen(None)
    limits, verbose = options.limits(given), given["verbose"]
    view = _tree(given["color"], seen=seen) if verbose else _view(form, file, given["color"], seen=seen)
    listening = Listening(capture, idle=options.idle(given), count=given["count"], limits=limits, keep=verbose)
    query = Query((capture.interface,), Options(limits=limits), Selection(), view)
    board = Board(capture, listening, said=given["stats"])
    run = Run(query, 1, debug=given["debug"], live=(listening, board))
    status = run.to(standard_output() if file is None else whole_file(file))
    run.account(quiet=given["quiet"], below=seen)
    return _counted(capture, 0 if status in _ENDED else status, quiet=given["quiet"])


def _counted(capture: LiveCapture, status: int, *, quiet: bool) -> int:
    """Tell what the kernel dropped and what could not be saved."""
    dropped, (unsaved, why) = capture.drops.dropped, capture.unsaved
    if dropped or not quiet:
        endings.say(f"{capture.frames:,} packets, {dropped:,} dropped by the kernel")
    if why is not None:
        endings.warn(f"-w: {why}: {unsaved:,} packets not saved")
        return status or endings.NOT_WRITTEN
    return status


def _opened(interface: str, expression: str, given: dict[str, Any]) -> LiveCapture:
    from tlsdissect.capture import CaptureError  # noqa: PLC0415 (start-up time of --help)
    from tlsdissect.capture.live import LiveCapture  # noqa: PLC0415

    asked = {name: given[name] for name in ("duration", "save", "rotation")}
    try:
        return LiveCapture(interface, expression, notify=endings.warn, **asked)
    except PermissionError:
        raise rights.missing() from None
    except CaptureError as error:
        raise click.ClickException(f"{interface}: {error}") from None


def _start(capture: LiveCapture) -> None:
    from tlsdissect.capture import CaptureError  # noqa: PLC0415

    try:
        capture.start()
    except CaptureError as error:
        raise click.ClickException(f"-w {error}") from None


def _list() -> int:
    from tlsdissect.capture.live import interfaces  # noqa: PLC0415 (start-up time)

    for one in interfaces():
        click.echo(f"{printable(one.name):<16} {one.state:<5} {' '.join(one.addresses)}".rstrip())
    return 0


def _view(form: str, file: str | None, color: str, *, seen: bool) -> View:
    """Make what writes a form; only the one that is asked for is loaded."""
    if form == "json":
        from tlsdissect.views.ndjson import Ndjson  # noqa: PLC0415

        return Ndjson()
    if form == "csv":
        from tlsdissect.views.cells import Csv  # noqa: PLC0415

        return Csv(seen=options.seen(file))
    from tlsdissect.views.table import Table  # noqa: PLC0415

    coloured = options.coloured(color, seen=seen)
    if not seen:
        return Table(coloured=coloured)
    return Table(shutil.get_terminal_size().columns, coloured=coloured, encoding=sys.stdout.encoding)


def _tree(color: str, *, seen: bool) -> View:
    from tlsdissect.views.tree.text import Text  # noqa: PLC0415 (not needed for other forms)

    coloured = options.coloured(color, seen=seen)
    if not seen:
        return Text(coloured=coloured)
    return Text(shutil.get_terminal_size().columns, coloured=coloured, encoding=sys.stdout.encoding)
