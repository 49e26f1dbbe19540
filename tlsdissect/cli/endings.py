"""How a run ends: exit statuses, and one line on standard error in place of a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import TYPE_CHECKING

import click

from tlsdissect.views.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REFUSED = 2
"""A wrong command line, or an input that is no capture."""
FOUND = 3
"""A finding that is as grave as --fail-on has it."""
BUG = 70
"""EX_SOFTWARE of sysexits.h: an error that is ours."""
LOST = 71
"""EX_OSERR of sysexits.h: the system had no memory, file or process to give, or ended one that shares the work."""
NOT_WRITTEN = 74
"""EX_IOERR of sysexits.h: the result could not be written, or something on the way to it read or written."""
_SCARCE = frozenset((errno.ENOMEM, errno.EAGAIN, errno.EMFILE, errno.ENFILE))
"""What the system says where it has no more to give."""

_NEAR = 0.65
"""How alike two words are of which one may be meant by the other, from 0 to 1."""


class NotWrittenError(Exception):
    """The result could not be written where it was to go."""


def say(line: str) -> None:
    """Print a line on standard error; what cannot be said there has nowhere else to go."""
    # print(file=None) would print on standard output.
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(printable(line), file=sys.stderr, flush=True)  # noqa: T201


def warn(line: str) -> None:
    """Say what is wrong, and whose words these are."""
    say(f"tlsdissect: {line}")


def described(error: BaseException) -> str:
    """Name an internal error, and how to learn more of it."""
    return f"{type(error).__name__}: {error} (--debug shows where)"


def of_the_system(error: Exception) -> tuple[str, int] | None:
    """Say what the system could not do, and the exit status for it; None where an error is the program's own."""
    if isinstance(error, MemoryError):
        return "out of memory", LOST
    if isinstance(error, OSError):
        said = error.strerror or str(error)
        name = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        return f"{name}{said}", LOST if error.errno in _SCARCE else NOT_WRITTEN
    # A library that is there and could not be loaded, as where memory is short.
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return str(error), LOST
    return None


def trace() -> None:
    """Print the traceback of the error that is being handled."""
    import traceback  # noqa: PLC0415 (for --debug only)

    for line in traceback.format_exc().splitlines():
        say(line)


def meant(word: str, words: Iterable[str]) -> str:
    """Ask whether one of `words` was meant, where one is near."""
    from difflib import get_close_matches  # noqa: PLC0415 (for mistakes only)

    bare = {one.lstrip("-"): one for one in words}
    near = get_close_matches(word.lstrip("-"), bare, n=1, cutoff=_NEAR)
    return f": did you mean {bare[near[0]]!r}?" if near else ""


def abandon_standard_output() -> None:
    """Let Python's own flush at exit, after a closed pipe, find a place for what is left."""
    if sys.stdout is not None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def status(run: Callable[[], int], *, debug: bool) -> int:
    """Run a command and return its exit status; what it raises becomes one line on standard error."""
    try:
        return run()
    except click.ClickException as error:
        warn(_complaint(error))
        return REFUSED
    except BrokenPipeError:
        abandon_standard_output()
        return 0
    except NotWrittenError as error:
        warn(str(error))
        return NOT_WRITTEN
    except MemoryError:
        if debug:
            trace()
        warn("out of memory")
        return LOST
    except Exception as error:  # noqa: BLE001 (no command line may end in a traceback)
        if debug:
            trace()
        theirs = of_the_system(error)
        if theirs is None:
            warn(f"internal error: {described(error)}")
            return BUG
        abandon_standard_output()
        warn(theirs[0])
        return theirs[1]


def _complaint(error: click.ClickException) -> str:
    """Say what is wrong with a command line, and where to read how it should be."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    said = error.format_message().rstrip(".")
    if isinstance(error, click.NoSuchOption) and context:
        options = [name for one in context.command.get_params(context) for name in one.opts]
        said = f"No such option {error.option_name!r}{meant(error.option_name, options)}"
    return f"{said} (see {context.command_path} --help)" if context else said
