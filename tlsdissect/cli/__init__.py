"""The command line: arguments in, exit status out; one module a command."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


GARBAGE = 200_000
"""New objects after which Python looks for cycles among them."""


def main(args: Sequence[str] | None = None, *, standalone_mode: bool = True) -> int:
    """Run a command line, `sys.argv` unless others are given, and return its exit status.

    Without `standalone_mode`, what goes wrong is raised, as click does it.
    """
    # numpy's linear algebra is not used: threads for it would only cost start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # A figure is drawn into a file: no matter which window system notebooks of this user draw on.
    os.environ.pop("MPLBACKEND", None)
    # Facts hold no cycles; looking for some among those of many connections takes a quarter of the time.
    gc.set_threshold(GARBAGE)
    # Until a run begins, Ctrl-C ends the process: as an exception it is lost within the callbacks of Python's imports.
    if standalone_mode and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tlsdissect.cli.commands import invoke  # noqa: PLC0415
    from tlsdissect.cli.endings import status  # noqa: PLC0415

    given = sys.argv[1:] if args is None else list(args)
    if not standalone_mode:
        return invoke(given)
    return status(lambda: invoke(given), debug="--debug" in given)
