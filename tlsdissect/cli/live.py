"""`tlsdissect live`."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import completion, exit_status, options, privileges, read
from tlsdissect.cli.arranging import as_they_come
from tlsdissect.cli.run import Run
from tlsdissect.cli.sink import destination
from tlsdissect.cli.status_line import LiveStatus
from tlsdissect.corpus.confinement import confine
from tlsdissect.corpus.query import Query
from tlsdissect.flows.limits import MOST
from tlsdissect.handshake.options import Options
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.capture.saving import Rotation
    from tlsdissect.cli.arranging import Arrange
    from tlsdissect.corpus.query import View

EXAMPLES = """\b
Examples:
  sudo tlsdissect live
  sudo tlsdissect live -i eth0 -p 443 -p 8443
  sudo tlsdissect live -i any --filter 'net 192.0.2.0/24' --duration 60
  sudo tlsdissect live -i eth0 -p 443 --failed
  sudo tlsdissect live -i eth0 -w seen.pcapng.gz --rotate 1h
  sudo tlsdissect live --format json | jq '{sni, version, round_trips}'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table"}
_ENDED = frozenset((130, 143))
"""Exit statuses of Ctrl-C and SIGTERM, which are the usual end of a live capture, unless a second one comes."""
_UNITS = {"k": 10**3, "M": 10**6, "G": 10**9, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class RotationType(click.ParamType["Rotation"]):
    """The type of a size such as 100M or a time such as 1h."""

    name = "rotation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rotation:
        """Parse a number of bytes or seconds; the unit decides which."""
        from tlsdissect.capture.saving import Rotation  # noqa: PLC0415 (start-up time of --help)

        if isinstance(value, Rotation):
            return value
        match = re.fullmatch(r"([0-9]{1,12})(?:([kMG])B?|([smhd]))", value)
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is neither a size (100k, 100M, 1G) nor a time (60s, 10m, 1h, 1d)", param, ctx)
        amount = float(int(match[1]) * _UNITS[match[2] or match[3]])
        return Rotation(size=amount) if match[2] else Rotation(seconds=amount)


@click.command(cls=options.GroupedCommand, epilog=EXAMPLES)
@click.option(
    "-i",
    "--interface",
    default="lo",
    show_default=True,
    metavar="NAME",
    help="Interface to capture from; 'any' captures from all.",
)
@click.option(
    "-p",
    "--port",
    type=click.IntRange(1, 65535),
    multiple=True,
    metavar="N",
    help="Only these ports of TCP and UDP; 8443 if neither this nor --filter is given.",
)
@click.option("--filter", "expression", metavar="BPF", help="Only packets that match this pcap-filter(7) expression.")
@click.option("--list", "listing", is_flag=True, help="List the interfaces with their state and addresses, and exit.")
@click.option("--duration", type=options.Seconds(0, min_open=True), metavar="S", help="Stop after this many seconds.")
@click.option(
    "--count", type=click.IntRange(1, MOST), metavar="N", help="Stop after this many connections, selected or not."
)
@options.keylog_option
@options.live_selection
@options.emit_options("decided")
@click.option(
    "-w",
    "save",
    type=completion.FILE,
    metavar="FILE",
    help="Save the packets as pcapng, compressed if FILE ends with .gz.",
)
@click.option(
    "--rotate",
    "rotation",
    type=RotationType(),
    metavar="N",
    help="With -w: start a new file at this size (100M) or after this time (1h); a sequence number and the time "
    "are added to the file name.",
)
@click.option("-v", "--verbose", is_flag=True, help="Print each handshake as a tree, as `show` does.")
@click.option("--stats", is_flag=True, help="Print statistics on standard error every second.")
@click.option("--user", metavar="NAME", help="Switch to this user before decoding packets.")
@options.result_options("table", "json", "csv")
@options.run_options
def command(interface: str, listing: bool, form: str | None, output: str | None, **given: Any) -> int:
    """List the TLS connections of an interface, each as soon as its handshake is decided.

    A handshake is decided when it has succeeded, failed, or been idle for --idle seconds; the key `open` is true if the
    connection continues. Ctrl-C stops the capture and prints the remaining handshakes as incomplete. The command
    needs root or CAP_NET_RAW, and libpcap (Debian: libpcap0.8) to compile the filter. Before it decodes the first
    packet, it gives up root and switches to the user that called sudo or, without sudo, to the user nobody. It keeps
    root if it has to create files later.
    """
    if listing:
        return _list()
    if given["rotation"] and not given["save"]:
        raise click.UsageError("--rotate requires -w FILE")
    if given["save"] == "-":
        raise click.UsageError("-w -: packets can be saved to files only; write ./- for a file named -")
    if given["verbose"] and (form or output) not in (None, "table", "-"):
        raise click.UsageError("--verbose cannot be combined with --format json or csv, or with -o FILE")
    result = options.result(output, form, _SUFFIXES, "table")
    from tlsdissect.listening import expression  # noqa: PLC0415 (start-up time of --help)

    taken = expression(given["port"], given["expression"])
    user = privileges.target_user(given["user"])
    with _opened(interface, taken, given) as capture:
        if user is not None:
            privileges.become(user)
        _start(capture)
        if not given["quiet"]:
            exit_status.print_stderr(f"listening on {interface}: {taken} (Ctrl-C to stop)")
        return _print(capture, result, given)


def _print(capture: LiveCapture, result: options.Result, given: dict[str, Any]) -> int:
    """Print connections until the capture ends."""
    from tlsdissect.listening import Listening  # noqa: PLC0415 (not needed for --help)

    limits, verbose, judge = options.limits(given), given["verbose"], options.judge(given)
    view: View
    arrange: Arrange = iter
    if verbose:
        view = _tree(given["color"], seen=result.seen)
    else:
        view = read.view(result) or (shown := read.table(result, given["color"], judged=judge is not None))
        arrange = iter if result.form != "table" else partial(as_they_come, table=shown, several=False)
    # Ports are part of the filter already.
    chosen = options.selection({**given, "port": ()})
    reading = Options(
        idle=options.idle(given),
        limits=limits,
        keep=verbose,
        # The files may grow while the capture goes on.
        keylog=options.keylog(given["keylogs"], follows=True),
        raw_fingerprints=chosen.needs_raw_fingerprints,
    )
    listening = Listening(capture, reading, count=given["count"], judge=judge)
    query = Query((capture.interface,), reading, chosen, view)
    confine(_folders(given["keylogs"]), _written(result.file, given), stays=given["user"] is not None)
    live_status = LiveStatus(capture, listening, printed=given["stats"])
    run = Run(query, given, live=(listening, live_status), arrange=arrange)
    status = run.print_all(destination(result.file), on_terminal=result.seen)
    usual = status in _ENDED and not run.aborted
    return _report_losses(capture, 0 if usual else status, quiet=given["quiet"])


def _written(file: str | None, given: dict[str, Any]) -> list[str]:
    """Return the folders of files that are made later: of the result, and of a rotation after its first."""
    return _folders([*([] if file is None else [file]), *([given["save"]] if given["rotation"] else [])])


def _folders(files: Iterable[str]) -> list[str]:
    return [os.path.dirname(os.path.realpath(file)) for file in files]  # noqa: PTH120 (paths are text here)


def _report_losses(capture: LiveCapture, status: int, *, quiet: bool) -> int:
    """Report the packets that the kernel dropped or that could not be saved; return the exit status."""
    dropped, (unsaved, why) = capture.drops.dropped, capture.unsaved
    if dropped or not quiet:
        exit_status.print_stderr(f"{capture.frames:,} packets, {dropped:,} dropped by the kernel")
    if why is not None:
        exit_status.warn(f"-w: {why}: {unsaved:,} packets not saved")
        return status or exit_status.NOT_WRITTEN
    return status


def _opened(interface: str, expression: str, given: dict[str, Any]) -> LiveCapture:
    from tlsdissect.capture import CaptureError  # noqa: PLC0415 (start-up time of --help)
    from tlsdissect.capture.live import LiveCapture  # noqa: PLC0415

    asked = {name: given[name] for name in ("duration", "save", "rotation")}
    try:
        return LiveCapture(interface, expression, notify=exit_status.warn, **asked)
    except PermissionError:
        raise privileges.missing_capability() from None
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


def _tree(color: str, *, seen: bool) -> View:
    from tlsdissect.views import tree  # noqa: PLC0415 (not needed for other forms)

    return tree.text(**options.text_style(color, seen=seen))
