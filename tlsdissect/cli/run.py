"""A run of a command: writes the rows of a query to the sink, then prints warnings and the summary.

The first signal that ends a run stops reading and prints what was read, the second ends the run at once.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING, Any, Self

import click

from tlsdissect.cli import exit_status
from tlsdissect.cli.options import gate
from tlsdissect.cli.status_line import ProgressBar
from tlsdissect.cli.totals import Tally, complain, fitted, sentences
from tlsdissect.corpus.left_out import opened_nothing, unused_keys
from tlsdissect.corpus.query import OutputRows
from tlsdissect.corpus.workers import WorkerLostError
from tlsdissect.pipeline import StopReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager
    from types import FrameType

    from tlsdissect.cli.sink import Sink
    from tlsdissect.cli.status_line import StatusLine
    from tlsdissect.corpus.parallel import ParallelOutputRows, RowTransport
    from tlsdissect.corpus.query import OutputRow, Query
    from tlsdissect.model.connection import Connection
    from tlsdissect.pipeline import Reading


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 1.0
"""Seconds for which a pipe may still deliver data: the process at its other end received Ctrl-C, too."""
_AGAIN = 0.001
"""Seconds after which an exception is raised again that Python dropped."""


class Stopped(KeyboardInterrupt):
    """The second signal: end the run at once."""


class Hold:
    """In this context, Stopped is deferred to the end of the block. It is entered for each row, so it is made once."""

    def __init__(self) -> None:
        self.is_on = False
        self.stopped = False
        """Whether Stopped is due."""

    def __enter__(self) -> None:
        self.is_on = True

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.is_on = False
        if self.stopped and kind is None:
            raise Stopped


class Interrupts:
    """In this context the first signal calls `stop`, and the second raises Stopped; inside `held`, when that ends.

    A reading that still waits for packets after PATIENCE seconds is interrupted. Python drops an exception that a
    signal's handler raises while a finalizer runs, so Stopped is then raised again.
    """

    def __init__(self, stop: Callable[[], None], is_waiting: Callable[[], bool]) -> None:
        self._stop, self._is_waiting = stop, is_waiting
        self.held = Hold()
        self._before: dict[int, object] = {}
        self._hook = sys.unraisablehook
        self._dropped = False
        """Whether Python dropped a Stopped, which is due."""
        self.status = 0
        """Exit status of the process: 0, or 128 plus the number of the first signal."""

    def __enter__(self) -> Self:
        # Only the main thread may set handlers; a process started by nohup keeps ignoring SIGHUP.
        if threading.current_thread() is threading.main_thread():
            kept = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: old for number, old in kept.items() if old != signal.SIG_IGN}
            for number in self._before:
                signal.signal(number, self._arrived)
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._interrupt_waiting)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._drop
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if not self.status:
            self.status = 128 + number
            self._stop()
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        else:
            self._end()

    def _end(self) -> None:
        if self.held.is_on and not self.held.stopped:
            self.held.stopped = True
        else:
            raise Stopped

    def _drop(self, dropped: sys.UnraisableHookArgs) -> None:
        """Take an exception that cannot propagate; here, nothing may be raised either."""
        if not isinstance(dropped.exc_value, Stopped | StopReading):
            self._hook(dropped)
        elif isinstance(dropped.exc_value, Stopped):
            self._dropped = True
            signal.setitimer(signal.ITIMER_REAL, _AGAIN, PATIENCE)

    def _interrupt_waiting(self, _: int, __: FrameType | None) -> None:
        if self._dropped:
            self._dropped = False
            self._end()
        elif self._is_waiting():
            raise StopReading


class Collector:
    """Passes each connection to a function and prints nothing."""

    head = b""

    def __init__(self, add: Callable[[Connection], object]) -> None:
        self._add = add

    def section(self, _: str) -> bytes:
        """Print nothing."""
        return b""

    def row(self, connection: Connection) -> bytes:
        """Pass the connection to the function."""
        self._add(connection)
        return b""


class _NothingReadError(Exception):
    """None of the inputs could be read, so there is no result, not even an empty one."""


class Run:
    """Prints the rows of a query; `end` yields the output after the last row."""

    def __init__(
        self,
        query: Query,
        given: dict[str, Any],
        *,
        jobs: int = 1,
        end: Callable[[], Iterable[bytes]] = tuple,
        live: tuple[Reading, StatusLine] | None = None,
        prompt: bool = False,
        transport: RowTransport | None = None,
        arrange: Callable[[Iterable[OutputRow]], Iterable[OutputRow]] = iter,
        keeps: Callable[[OutputRow], bool] | None = None,
        counts_unused_keys: bool = True,
    ) -> None:
        """`given` are the command's options: those of every run, and --fail-on if the command has it.

        `transport` carries rows from worker processes, by default as they are printed. `live` is the reading of a live
        capture, and its status line. With `live` or `prompt`, each row is flushed. `arrange` orders the rows and
        returns those to print, with their final text; all count. A row that `keeps` refuses is not selected. With
        `counts_unused_keys`, the summary says how many connections have secrets that opened nothing.
        """
        self._view = query.view
        self._selection = query.selection
        self._rows = _rows(query, jobs, transport) if live is None else OutputRows(query, live[0])
        self._live = live is not None
        self._prompt = prompt or self._live
        self._status_line = live[1] if live else ProgressBar(self._rows.progress, self._rows.finishing)
        self._debug = given["debug"]
        self._quiet = given["quiet"]
        self._end = end
        self._gate = gate(given.get("fail_on"))
        self._tells_matches = bool(given.get("tells_matches"))
        self._tally = Tally()
        self._arrange = arrange
        self._keeps = keeps
        self._selects = keeps is not None or bool(query.selection)
        self._counts_unused_keys = counts_unused_keys
        self.aborted = False
        """Whether the run ended before its result was complete."""

    def print_all(self, place: AbstractContextManager[Sink], *, on_terminal: bool = False) -> int:
        """Do `print_to`, then `print_summary`; return the exit status."""
        status = self.print_to(place)
        self.print_summary(on_terminal=on_terminal)
        return status

    def print_to(self, place: AbstractContextManager[Sink]) -> int:
        """Print the rows and return the exit status; `print_summary` comes after it.

        Raises BrokenPipeError if the reader of the result has closed the pipe, NotWrittenError if the result cannot be
        written, and ClickException if it cannot be presented as requested.
        """
        interrupts = Interrupts(self._stop, self._rows.is_waiting)
        try:
            with interrupts, closing(self._rows), place as sink, self._status_line:
                self._print(sink, interrupts)
        except (Stopped, StopReading):
            self.aborted = True
            return interrupts.status
        except _NothingReadError:
            return exit_status.BAD_INPUT
        except (BrokenPipeError, exit_status.NotWrittenError, click.ClickException):
            raise
        except WorkerLostError as error:
            self.aborted = True
            exit_status.warn(f"{self._where}{error}")
            return exit_status.OUT_OF_RESOURCES
        except MemoryError:
            self.aborted = True
            if self._debug:
                exit_status.print_traceback()
            exit_status.warn(f"{self._where}out of memory after {self._rows.summary.frames:,} frames")
            return exit_status.OUT_OF_RESOURCES
        except Exception as error:  # noqa: BLE001 (no capture may end in a traceback, whatever is in it)
            self.aborted = True
            return self._report_error(error)
        summary = self._rows.summary
        unwritten = exit_status.NOT_WRITTEN if summary.spill_error else 0
        refused = exit_status.BAD_INPUT if summary.refused else 0
        found = exit_status.FINDINGS if self._tally.reaches(self._gate) else 0
        nothing = exit_status.NOTHING_SELECTED if self._tells_matches and self._selected_nothing() else 0
        return interrupts.status or unwritten or refused or found or nothing

    def _selected_nothing(self) -> bool:
        return not self._tally.connections

    def print_summary(self, *, on_terminal: bool) -> None:
        """Print warnings about the inputs, and the summary: below the result on a terminal, or on standard error."""
        summary = self._rows.summary
        complain(summary)
        if summary.connections and not self._tally.connections:
            for stream in self._selection.missing_streams():
                exit_status.warn(f"--stream {stream}: no TLS connection has this number; tlsdissect read lists them")
        if self._quiet:
            return
        lines = sentences(self._tally, summary, selected=self._selects)
        lines += opened_nothing(unused_keys(summary)) if self._counts_unused_keys else []
        if self.aborted:
            # Before the first row, the counts say nothing about the captures.
            lines = ["aborted", *lines] if self._tally.printed else ["aborted"]
        if on_terminal:
            gap = [""] if self._tally.printed else []
            print(*gap, *fitted(lines, sys.stdout), sep="\n", flush=True)  # noqa: T201 (this is a command)
        elif sys.stderr is not None and sys.stderr.isatty():
            for line in fitted(lines, sys.stderr):
                exit_status.print_stderr(line)
        else:
            exit_status.print_stderr("; ".join(lines))

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        head = self._view.head
        aside = self._aside(sink)
        if self._live:
            sink.write(head)
            sink.flush()
            head = b""
        for row in self._arrange(self._counted()):
            with interrupts.held, aside:
                before = head + self._view.section(row.source)
                if before:
                    sink.write(before)
                sink.write(row.text)
                self._tally.printed += 1
                if self._prompt:
                    sink.flush()
            head = b""
        if self._rows.summary.refused and not self._rows.summary.captures:
            raise _NothingReadError
        sink.write(head)
        for piece in self._end():
            with aside:
                sink.write(piece)

    def _aside(self, sink: Sink) -> AbstractContextManager[None]:
        """Return a context in which the status line is hidden, unless the result goes to a file."""
        return nullcontext() if sink.is_file else self._status_line.hidden()

    def _stop(self) -> None:
        """Stop reading, after the first signal."""
        self._rows.stop()

    def _counted(self) -> Iterator[OutputRow]:
        """Count the selected connections, also those that are not printed."""
        for row in self._rows:
            if self._keeps is None or self._keeps(row):
                self._tally.add(row)
                yield row

    @property
    def _where(self) -> str:
        return f"{self._tally.source}: " if self._tally.source else ""

    def _report_error(self, error: Exception) -> int:
        """Report an error of the system or an internal error; return the exit status."""
        if self._debug:
            exit_status.print_traceback()
        known = exit_status.system_error(error)
        if known is not None:
            exit_status.warn(f"{self._where}{known[0]}")
            return known[1]
        frames = self._rows.summary.frames
        exit_status.warn(f"{self._where}internal error after {frames:,} frames: {exit_status.describe(error)}")
        return exit_status.INTERNAL_ERROR


def _rows(query: Query, jobs: int, transport: RowTransport | None) -> OutputRows | ParallelOutputRows:
    if query.joins_views:
        from tlsdissect.corpus.both_ends import BothEndsRows, can_join  # noqa: PLC0415 (start-up time)

        if can_join(query):
            return BothEndsRows(query)
    elif jobs > 1 and not query.reads_datasets:
        from tlsdissect.corpus.parallel import ParallelOutputRows  # noqa: PLC0415 (start-up time)

        return ParallelOutputRows(query, jobs, transport)
    return OutputRows(query, query.reading())
