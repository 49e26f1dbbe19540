"""Options that commands share, under one name everywhere."""

from __future__ import annotations

import math
import os
import re
import stat
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tlsdissect.corpus.selection import Selection, Stream
from tlsdissect.flows.limits import LEAST, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class StreamType(click.ParamType[Stream]):
    """`[SOURCE:]N`."""

    name = "stream"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Stream:
        """Take the source, which may hold colons itself, off the number."""
        if isinstance(value, Stream):
            return value
        told = re.fullmatch(r"(?:(.*):)?([0-9]{1,18})", value, re.DOTALL)
        if told is None:
            self.fail(f"{value!r} is no stream number, nor SOURCE:NUMBER", param, ctx)
        return Stream(told[1] or None, int(told[2]))


class Seconds(click.FloatRange):
    """A span of time: no NaN, which is neither less nor more than any bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what is no number."""
        given: float = super().convert(value, param, ctx)
        if math.isnan(given):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return given


_WHICH: tuple[Decorator, ...] = (
    click.option(
        "--stream",
        "streams",
        type=StreamType(),
        multiple=True,
        metavar="[SOURCE:]N",
        help="Only the connection with this number, as Wireshark's tcp.stream; of one capture, or of each.",
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
        help="Only connections that ask for a host name like this: '*.example.com'.",
    ),
    click.option(
        "--tls",
        "versions",
        type=click.Choice(["1.2", "1.3", "older"]),
        multiple=True,
        help="Only connections that agreed on this version.",
    ),
)
_HOW: tuple[Decorator, ...] = (
    click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        show_default=True,
        help="Colours in tables; auto: on a terminal, unless NO_COLOR is set.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="No summary; errors and warnings all the same."),
    click.option("--debug", is_flag=True, help="Show the traceback of an internal error."),
)
_LIMITS = {
    "closed_after": "Seconds of capture time that a closed conversation may still get packets.",
    "silent_after": "Seconds of capture time after which a silent conversation is over.",
    "known": "Conversations that are known at the same time.",
    "followed": "Conversations that are followed at the same time.",
    "held_bytes": "Bytes that a side of a conversation may hold behind a hole.",
    "message_bytes": "Bytes of handshake messages kept of a conversation.",
    "total_bytes": "Bytes that all conversations together hold and keep.",
    "max_sessions": "Sessions, and failures, that are remembered to link later connections to.",
}


def which(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that select connections; `selection` makes one value of theirs."""
    return _added(command, _WHICH)


def how(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for what is shown around a result."""
    return _added(command, _HOW)


def limited(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options for how much is kept, and for how long; `limits` makes one value of theirs."""
    options = [_limit(name, getattr(Limits(), name), said) for name, said in _LIMITS.items()]
    return _added(command, tuple(options))


def emitted(default: str) -> Decorator:
    """Add the options for when a connection is printed; `idle` makes one value of theirs."""
    options = (
        click.option(
            "--emit",
            type=click.Choice(["decided", "over"]),
            default=default,
            show_default=True,
            help="When to print a connection: as its handshake is decided, or when nothing can change any more.",
        ),
        click.option(
            "--idle",
            type=Seconds(0),
            default=10.0,
            show_default=True,
            metavar="S",
            help="Seconds after which a silent handshake is taken as decided.",
        ),
    )
    return lambda command: _added(command, options)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for how many processes share the work."""
    said = "Processes to use; one a core, if the captures are large."
    return click.option("--jobs", type=click.IntRange(1, 256), metavar="N", help=said)(command)


def output(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option for where one result goes."""
    said = "Write to FILE, in the form that its suffix tells, unless --format."
    return click.option("-o", "--output", metavar="FILE", help=said)(command)


def form(output: str, suffixes: Mapping[str, str], *, otherwise: str = "; give --format") -> str:
    """Tell the form of a file by its suffix; `otherwise` says what else would tell it."""
    suffix = os.path.splitext(output)[1].lower()  # noqa: PTH122 (paths are text here)
    if suffix not in suffixes:
        told = ", ".join(filter(None, suffixes))
        raise click.UsageError(f"-o {output}: the suffix tells no form ({told}){otherwise}")
    return suffixes[suffix]


def reproducible() -> None:
    """Refuse a SOURCE_DATE_EPOCH that is no time: a picture would be given it."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is None:
        return
    try:
        datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise click.UsageError(f"SOURCE_DATE_EPOCH={given!r}: this is no number of seconds since 1970") from None


def refuse_to_overwrite(captures: tuple[str, ...], output: str) -> None:
    """Refuse to write over one of the captures."""
    for capture in captures:
        if os.path.exists(output) and os.path.exists(capture) and os.path.samefile(capture, output):  # noqa: PTH110, PTH121
            raise click.UsageError(f"-o {output}: this is one of the captures")


def seen(file: str | None) -> bool:
    """Tell whether a result that goes to this file, or to standard output, is seen on a terminal."""
    if file is None:
        return sys.stdout is not None and sys.stdout.isatty()
    try:
        # To open something else for this, as a named pipe, would be noticed at its other end.
        if not stat.S_ISCHR(os.stat(file).st_mode):  # noqa: PTH116 (paths are text here)
            return False
        number = os.open(file, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        return os.isatty(number)
    finally:
        os.close(number)


def coloured(color: str, *, seen: bool) -> bool:
    """Tell whether `--color` asks for colours where a result is, or is not, seen on a terminal."""
    fit = seen and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return color == "always" or (color == "auto" and bool(fit))


def limits(options: dict[str, Any]) -> Limits:
    """Take the options of `limited` out of a command's."""
    return Limits(**{name: options.pop(name) for name in _LIMITS})


def idle(options: dict[str, Any]) -> float | None:
    """Take the options of `emitted` out of a command's: seconds, or None where connections are printed when over."""
    emit, seconds = options.pop("emit"), options.pop("idle")
    if emit != "decided" and is_given("idle"):
        raise click.UsageError("--idle goes with --emit decided")
    return seconds if emit == "decided" else None


def is_given(name: str) -> bool:
    """Tell whether the command line has an option, and not only its default."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def selection(options: dict[str, Any]) -> Selection:
    """Take the options of `which` out of a command's."""
    return Selection(**{name: options.pop(name) for name in Selection.__struct_fields__})


def _added(command: Callable[..., Any], options: tuple[Decorator, ...]) -> Callable[..., Any]:
    # A decorator adds its option in front.
    for option in reversed(options):
        command = option(command)
    return command


def _limit(name: str, default: float, said: str) -> Decorator:
    kind = Seconds(0) if isinstance(default, float) else click.IntRange(LEAST[name])
    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, name, type=kind, default=default, show_default=True, metavar="N", help=said)
