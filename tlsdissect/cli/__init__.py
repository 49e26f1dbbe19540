"""The command line: one module per command."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


GARBAGE = 1_000_000
"""New objects between two runs of Python's cycle collector: about 100 MB."""


def main(args: Sequence[str] | None = None, *, standalone_mode: bool = True) -> int:
    """Run a command line, by default `sys.argv`, and return its exit status.

    If the command line is that of `sys.argv`, a command that reads captures confines the process. Without
    `standalone_mode` exceptions propagate, as in click.
    """
    # numpy's linear algebra is not used; its thread pool would only cost start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Figures are only written to files; a user's setting for notebooks must not load a window system.
    os.environ.pop("MPLBACKEND", None)
    # Connections contain no reference cycles, and collecting often would take a quarter of the run time.
    gc.set_threshold(GARBAGE)
    # Until a run begins, Ctrl-C ends the process: an exception could be lost in the callbacks of Python's imports.
    if standalone_mode and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from tlsdissect.cli.exit_status import replace_closed_standard_output, run_command  # noqa: PLC0415

    given = sys.argv[1:] if args is None else list(args)
    if not standalone_mode:
        return _invoke(given, confines=False)
    replace_closed_standard_output()
    # Python collects cycles once more when it exits, which would go through all connections for nothing.
    atexit.register(gc.freeze)
    return run_command(lambda: _invoke(given, confines=args is None), debug="--debug" in given)


def _invoke(given: list[str], *, confines: bool) -> int:
    """Run a command line; what cannot be imported fails here."""
    from tlsdissect.cli.commands import invoke  # noqa: PLC0415

    return invoke(given, confines=confines)
