"""Options that several commands share, with the same name in each."""

from __future__ import annotations

import math
import os
import re
import stat
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

import click
from click.core import ParameterSource

from tlsdissect.cli.help_groups import help_all
from tlsdissect.corpus.selection import Selection, Stream
from tlsdissect.flows.limits import LEAST, MOST, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class StreamType(click.ParamType[Stream]):
    """`[SOURCE:]N`."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Stream:
        """Split the number from the source, which may contain colons itself."""
        if isinstance(value, Stream):
            return value
        match = re.fullmatch(r"(?:(.*):)?([0-9]{1,18})", value, re.DOTALL)
        if match is None:
            self.fail(f"{value!r} is neither a stream number nor SOURCE:NUMBER", param, ctx)
        return Stream(match[1] or None, int(match[2]))


class Seconds(click.FloatRange):
    """A duration. NaN is refused here, because it passes the comparisons of FloatRange."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse NaN."""
        given: float = super().convert(value, param, ctx)
        if math.isnan(given):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return given


_SELECTION: tuple[Decorator, ...] = (
    click.option(
        "--stream",
        "streams",
        type=StreamType(),
        multiple=True,
        metavar="[SOURCE:]N",
        help="Only the connection with this number (Wireshark's tcp.stream), in SOURCE or in every capture.",
    ),
    click.option(
        "-p",
        "--port",
        "ports",
        type=click.IntRange(0, 65_535),
        multiple=True,
        metavar="N",
        help="Only connections from or to this port.",
    ),
    click.option(
        "--sni",
        "names",
        multiple=True,
        metavar="GLOB",
        help="Only connections whose server name matches this pattern, for example '*.example.com'.",
    ),
    click.option(
        "--tls",
        "versions",
        type=click.Choice(["1.2", "1.3", "older"]),
        multiple=True,
        help="Only connections that negotiated this version.",
    ),
)
_DISPLAY: tuple[Decorator, ...] = (
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colour the output; auto: on a terminal, unless NO_COLOR is set.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print no summary, only errors and warnings."),
    click.option("--debug", is_flag=True, help="Show the traceback of an internal error."),
)
_LIMITS = {
    "closed_after": "Seconds of capture time for which a closed connection still accepts packets.",
    "silent_after": "Seconds of capture time without a packet after which a connection ends.",
    "known": "TCP connections in the flow table.",
    "followed": "TCP connections whose payload is reassembled.",
    "held_bytes": "Bytes buffered after a gap, per direction of a connection.",
    "message_bytes": "Bytes of handshake messages kept per connection.",
    "total_bytes": "Bytes buffered and kept for all connections together.",
    "max_sessions": "Sessions and failures remembered to link later connections.",
}
"""Help of each field of `Limits`."""


def selection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select connections; `selection` reads them."""
    return _added(command, _SELECTION)


def display_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for colours, the summary and debugging."""
    return _added(command, _DISPLAY)


def limit_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for memory and time limits, and --help-all, which lists them; `limits` reads them."""
    options = [help_all, *[_limit(name, getattr(Limits(), name), text) for name, text in _LIMITS.items()]]
    return _added(command, tuple(options))


def emit_options(default: str) -> Decorator:
    """Add the options for when a connection is printed; `idle` reads them."""
    options = (
        click.option(
            "--emit",
            type=click.Choice(["decided", "over"]),
            default=default,
            show_default=True,
            help="When to print a connection: once its handshake is decided, or once the connection is over.",
        ),
        click.option(
            "--idle",
            type=Seconds(0),
            default=10.0,
            show_default=True,
            metavar="S",
            help="Seconds without a packet after which a handshake counts as decided.",
        ),
    )
    return lambda command: _added(command, options)


def jobs_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for how many processes share the work."""
    text = "Processes to use; by default one per core for large captures."
    return click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help=text)(command)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for where one result goes."""
    text = "Write to FILE; its suffix selects the format, unless --format is given."
    return click.option("-o", "--output", metavar="FILE", help=text)(command)


def file_and_format(
    output: str | None, form: str | None, suffixes: Mapping[str, str], default: str, captures: tuple[str, ...] = ()
) -> tuple[str | None, str]:
    """Return the file of -o and the format: that of --format, or of the file's suffix, or the default.

    The file is None for standard output. Refuses to overwrite one of the captures.
    """
    if output in (None, "-"):
        return None, form or default
    form = form or format_of(output, suffixes)
    refuse_to_overwrite(captures, output)
    return output, form


def format_of(output: str, suffixes: Mapping[str, str], *, otherwise: str = "; give --format") -> str:
    """Return the format for a file's suffix; `otherwise` is the end of the error message."""
    suffix = os.path.splitext(output)[1].lower()  # noqa: PTH122 (paths are text here)
    if suffix not in suffixes:
        known = ", ".join(filter(None, suffixes))
        raise click.UsageError(f"-o {output}: unknown suffix (known: {known}){otherwise}")
    return suffixes[suffix]


def check_source_date_epoch() -> None:
    """Refuse an invalid SOURCE_DATE_EPOCH, which matplotlib would use for pictures."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return
    try:
        datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(f"SOURCE_DATE_EPOCH={given!r}: this is not a number of seconds since 1970") from None


def refuse_to_overwrite(captures: tuple[str, ...], output: str) -> None:
    """Refuse to overwrite one of the captures."""
    for capture in captures:
        if os.path.exists(output) and os.path.exists(capture) and os.path.samefile(capture, output):  # noqa: PTH110, PTH121
            raise click.UsageError(f"-o {output}: this is one of the captures")


def is_terminal(file: str | None) -> bool:
    """Return whether this file, by default standard output, is a terminal."""
    if file is None:
        return sys.stdout.isatty()
    try:
        # Only character devices are opened: the other end of a named pipe would notice it.
        if not stat.S_ISCHR(os.stat(file).st_mode):  # noqa: PTH116 (paths are text here)
            return False
        number = os.open(file, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(number)
    finally:
        os.close(number)


class TextStyle(TypedDict):
    """The width in columns (None if it is not limited), whether to use colours, and the encoding."""

    width: int | None
    coloured: bool
    encoding: str


def text_style(color: str, *, seen: bool) -> TextStyle:
    """Return how to format text for this value of `--color`; `seen` if the output is a terminal."""
    if not seen:
        return {"width": None, "coloured": color == "always", "encoding": "utf-8"}
    import shutil  # noqa: PLC0415 (start-up time)

    capable = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    coloured = color == "always" or (color == "auto" and capable)
    return {"width": shutil.get_terminal_size().columns, "coloured": coloured, "encoding": sys.stdout.encoding}


def limits(options: dict[str, Any]) -> Limits:
    """Remove the options of `limit_options` from a command's options and return them."""
    return Limits(**{name: options.pop(name) for name in _LIMITS})


def idle(options: dict[str, Any]) -> float | None:
    """Remove the options of `emit_options`; return the idle seconds, or None if connections are printed when over."""
    emit, seconds = options.pop("emit"), options.pop("idle")
    if emit != "decided" and is_given("idle"):
        raise click.UsageError("--idle requires --emit decided")
    return seconds if emit == "decided" else None


def is_given(name: str) -> bool:
    """Return whether the command line contains an option, so that its value is not the default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def selection(options: dict[str, Any]) -> Selection:
    """Remove the options of `selection_options` from a command's options and return them."""
    return Selection(**{name: options.pop(name) for name in Selection.__struct_fields__})


def _added(command: Callable[..., Any], options: tuple[Decorator, ...]) -> Callable[..., Any]:
    # Each decorator adds its option before the others.
    for option in reversed(options):
        command = option(command)
    return command


def _limit(name: str, default: float, text: str) -> Decorator:
    kind = Seconds(0) if isinstance(default, float) else click.IntRange(LEAST[name], MOST)
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, type=kind, default=default, show_default=True, metavar="N", help=text)
