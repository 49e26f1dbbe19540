"""Exit statuses, and one line on standard error instead of a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

import click

from tlsdissect.corpus.suggestion import suggestion
from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NOTHING_SELECTED = 1
"""With --exit-status, no connection was selected."""
BAD_INPUT = 2
"""Invalid command line, or an input that is not a capture."""
FINDINGS = 3
"""A finding of the --fail-on severity or higher."""
INTERNAL_ERROR = 70
"""EX_SOFTWARE of sysexits.h: an internal error."""
OUT_OF_RESOURCES = 71
"""EX_OSERR of sysexits.h: out of memory, file descriptors or processes, or a worker process was killed."""
NOT_WRITTEN = 74
"""EX_IOERR of sysexits.h: the result or a temporary file could not be written or read."""
_SCARCE = frozenset((errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE))
"""Error numbers of the system for a resource that is used up."""


_ORDER = (INTERNAL_ERROR, OUT_OF_RESOURCES, NOT_WRITTEN, BAD_INPUT, FINDINGS, NOTHING_SELECTED, 0)
"""The statuses without those of signals, the gravest first."""


class NotWrittenError(Exception):
    """The result could not be written to its destination."""


def gravest(statuses: Iterable[int]) -> int:
    """Return the status of several runs in one: that of a signal before all others."""
    return min(statuses, key=lambda status: _ORDER.index(status) if status in _ORDER else -1)


def print_stderr(line: str) -> None:
    """Print a line on standard error; ignore failures, because there is nowhere else to report them."""
    # print(file=None) would print to standard output.
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            # In one piece, so that no output of another program of a pipeline stands between a line and its end.
            print(f"{printable(line)}\n", end="", file=sys.stderr, flush=True)  # noqa: T201


def warn(line: str) -> None:
    """Print a warning with the program's name."""
    print_stderr(f"tlsdissect: {line}")


def describe(error: BaseException) -> str:
    """Describe an internal error, and how to get its traceback."""
    return f"{type(error).__name__}: {error} (--debug shows where)"


def system_error(error: Exception) -> tuple[str, int] | None:
    """Return message and exit status of an error of the system; None for an internal error."""
    if isinstance(error, MemoryError):
        return "out of memory", OUT_OF_RESOURCES
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{name}{reason}", OUT_OF_RESOURCES if error.errno in _SCARCE else NOT_WRITTEN
    # An installed library that could not be loaded, for example because memory is short.
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return str(error), OUT_OF_RESOURCES
    return None


def print_traceback() -> None:
    """Print the traceback of the current exception."""
    import traceback  # noqa: PLC0415 (for --debug only)

    for line in traceback.format_exc().splitlines():
        print_stderr(line)


def replace_closed_standard_output() -> None:
    """Replace a standard output that was closed when the process started by one to which writing fails.

    Python sets `sys.stdout` to None if it is closed, and `print` and click would silently print nothing. gnulib's
    stdopen does the same.
    """
    if sys.stdout is None:
        sys.stdout = open(os.open(os.devnull, os.O_RDONLY), "w", encoding="utf-8")  # noqa: PTH123, SIM115


def abandon_standard_output() -> None:
    """Redirect standard output to /dev/null, so that Python's flush at exit cannot fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def run_command(run: Callable[[], int], *, debug: bool) -> int:
    """Run a command and return its exit status; an exception becomes one line on standard error."""
    try:
        return run()
    except click.ClickException as error:
        warn(_usage_message(error))
        return BAD_INPUT
    except BrokenPipeError:
        abandon_standard_output()
        return 0
    except NotWrittenError as error:
        warn(str(error))
        return NOT_WRITTEN
    except MemoryError:
        if debug:
            print_traceback()
        warn("out of memory")
        return OUT_OF_RESOURCES
    except Exception as error:  # noqa: BLE001 (no command line may end in a traceback)
        if debug:
            print_traceback()
        known = system_error(error)
        if known is None:
            warn(f"internal error: {describe(error)}")
            return INTERNAL_ERROR
        abandon_standard_output()
        warn(known[0])
        return known[1]


def _usage_message(error: click.ClickException) -> str:
    """Return what is wrong with a command line, and which --help to read."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    message = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and context:
        options = [name for one in context.command.get_params(context) for name in one.opts]
        if context.parent is not None and context.info_name == "summary":
            # A command line that begins with an option is read as that of `summary`: the program may have been meant.
            program = [name for one in context.parent.command.get_params(context.parent) for name in one.opts]
            options += [name for name in program if name != error.option_name]
        near = suggestion(error.option_name, options)
        message = f"No such option {error.option_name!r}{_commands_with(error.option_name, context) or near}"
    return f"{message} (see {context.command_path} --help)" if context else message


def _commands_with(option: str, context: click.Context) -> str:
    """Say which other commands have an option; nothing if none has it."""
    group = None if context.parent is None else context.parent.command
    if not isinstance(group, click.Group):
        return ""
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    found = [name for name, one in commands.items() if one and any(option in it.opts for it in one.params)]
    return f": it is an option of tlsdissect {', '.join(found)}" if found else ""
