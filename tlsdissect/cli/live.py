"""`tlsdissect live`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from tlsdissect.cli import endings, options
from tlsdissect.cli.rows import Question
from tlsdissect.cli.run import Run
from tlsdissect.cli.selection import Selection
from tlsdissect.cli.sink import standard_output, whole_file

if TYPE_CHECKING:
    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.cli.rows import View

EXAMPLES = """\b
Examples:
  sudo tlsdissect live
  sudo tlsdissect live -i eth0 -p 443 -p 8443
  sudo tlsdissect live -i any --filter 'tcp and net 192.0.2.0/24' --duration 60
  sudo tlsdissect live --format json | jq '{sni, version, round_trips}'
"""
_SUFFIXES = {".json": "json", ".ndjson": "json", ".csv": "csv", ".txt": "table"}
_USUAL = 8443
_RIGHTS = (
    "listening needs CAP_NET_RAW: run it by sudo, or once, for this Python and all who may run it: "
    "sudo setcap cap_net_raw+ep {python}"
)
_ENDED = frozenset((130, 143))
"""Statuses of Ctrl-C and SIGTERM: how a live capture usually ends."""


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
@click.option("--duration", type=click.FloatRange(0, min_open=True), metavar="S", help="End after so many seconds.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End with so many connections.")
@click.option(
    "--idle",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds after which a silent handshake is told as it is.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "csv"]),
    help="How to print; a table unless -o tells otherwise.",
)
@options.output
@options.limited
@options.how
def command(
    interface: str, ports: tuple[int, ...], listing: bool, form: str | None, output: str | None, **given: Any
) -> int:
    """Print the TLS connections of an interface, each as soon as its handshake is decided.

    What is told of each is as of that moment: `open` says whether it goes on. Ctrl-C ends it; what is not decided by
    then is told as incomplete. Needs root or CAP_NET_RAW, and libpcap (Debian: libpcap0.8) to compile the filter.
    Started by sudo, it becomes the user who called it before it looks at the first packet.
    """
    if listing:
        return _list()
    file = None if output in (None, "-") else output
    if file is not None:
        form = form or options.form(file, _SUFFIXES)
    expression = _expression(ports, given.pop("expression"))
    capture = _opened(interface, expression, given.pop("duration"))
    from tlsdissect.listening import Listening  # noqa: PLC0415 (not needed for --help)

    seen = form in (None, "table") and file is None and sys.stdout is not None and sys.stdout.isatty()
    limits = options.limits(given)
    with capture:
        _drop_rights()
        listening = Listening(capture, idle=given["idle"], count=given["count"], limits=limits)
        question = Question(
            (interface,), 0, False, limits, Selection(), _view(form or "table", given["color"], seen=seen)
        )
        run = Run(question, 1, debug=given["debug"], live=listening)
        if not given["quiet"]:
            endings.say(f"listening on {interface}: {expression} (Ctrl-C ends)")
        status = run.to(standard_output() if file is None else whole_file(file))
        received, dropped = capture.drops
    run.account(quiet=given["quiet"], below=seen)
    if dropped or not given["quiet"]:
        endings.say(f"{received:,} packets, {dropped:,} dropped by the kernel")
    return 0 if status in _ENDED else status


def _expression(ports: tuple[int, ...], expression: str | None) -> str:
    """Make one filter of ports and a filter."""
    if expression is None:
        return " or ".join(f"tcp port {port}" for port in ports or (_USUAL,))
    if not ports:
        return expression
    return f"({expression}) and ({_expression(ports, None)})"


def _opened(interface: str, expression: str, duration: float | None) -> LiveCapture:
    from tlsdissect.capture import CaptureError  # noqa: PLC0415 (start-up time of --help)
    from tlsdissect.capture.live import LiveCapture  # noqa: PLC0415

    try:
        return LiveCapture(interface, expression, duration=duration)
    except PermissionError:
        raise click.ClickException(_RIGHTS.format(python=os.path.realpath(sys.executable))) from None
    except CaptureError as error:
        raise click.ClickException(f"{interface}: {error}") from None


def _drop_rights() -> None:
    """Become the user who called sudo: the socket is open, and nothing else needs a right."""
    user, group = os.environ.get("SUDO_UID"), os.environ.get("SUDO_GID")
    if os.geteuid() == 0 and user and group and user.isdigit() and group.isdigit():
        os.setgroups([int(group)])
        os.setgid(int(group))
        os.setuid(int(user))


def _list() -> int:
    from tlsdissect.capture.live import interfaces  # noqa: PLC0415 (start-up time)

    for one in interfaces():
        click.echo(f"{one.name:<16} {one.state:<5} {' '.join(one.addresses)}".rstrip())
    return 0


def _view(form: str, color: str, *, seen: bool) -> View:
    """Make what writes a form; only the one that is asked for is loaded."""
    if form == "json":
        from tlsdissect.views.ndjson import Ndjson  # noqa: PLC0415

        return Ndjson()
    if form == "csv":
        from tlsdissect.views.cells import Csv  # noqa: PLC0415

        return Csv()
    from tlsdissect.views.table import Table  # noqa: PLC0415

    coloured = options.coloured(color, seen=seen)
    if not seen:
        return Table(coloured=coloured)
    return Table(shutil.get_terminal_size().columns, coloured=coloured, encoding=sys.stdout.encoding)
