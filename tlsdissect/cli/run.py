"""One run: connections from captures to where the result goes, and what is said around it."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click

from tlsdissect.cli import endings
from tlsdissect.cli.interrupts import Interrupts, Stopped
from tlsdissect.cli.progress import Bar
from tlsdissect.cli.summary import Tally, complain, fitted, sentences
from tlsdissect.corpus.output_rows import OutputRows, ParallelOutputRows
from tlsdissect.corpus.workers import WorkerLostError
from tlsdissect.pipeline import StopReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from tlsdissect.cli.below import Below
    from tlsdissect.cli.sink import Sink
    from tlsdissect.corpus.query import Query
    from tlsdissect.corpus.row_transport import RowTransport
    from tlsdissect.pipeline import Reading


class _NothingReadError(Exception):
    """None of the inputs could be read: there is no result, not even an empty one."""


class Run:
    """The answer to a query, printed; `end` makes what comes behind the last connection, piece by piece."""

    def __init__(
        self,
        query: Query,
        jobs: int,
        *,
        debug: bool,
        end: Callable[[], Iterable[bytes]] = tuple,
        gate: frozenset[str] = frozenset(),
        live: tuple[Reading, Below] | None = None,
        prompt: bool = False,
        transport: RowTransport | None = None,
    ) -> None:
        """`gate` are the severities of findings that give an exit status of their own.

        `transport` brings rows from several processes, unless they are written there as they are printed. `live` reads
        what is only coming, with what stands below the rows; then, and if it is to be prompt, each is written at
        once.
        """
        self._view = query.view
        self._selection = query.selection
        self._rows = (
            OutputRows(query, live[0] if live else None) if jobs == 1 else ParallelOutputRows(query, jobs, transport)
        )
        self._live = live is not None
        self._prompt = prompt or self._live
        self._below = live[1] if live else Bar(self._rows.progress)
        self._debug = debug
        self._end = end
        self._gate = gate
        self._tally = Tally()
        self._broken_off = False

    def to(self, place: AbstractContextManager[Sink]) -> int:
        """Print the connections; return the exit status, and leave what else there is to say to `account`.

        Raises BrokenPipeError where nobody reads the result any more, NotWrittenError where it cannot be written, and
        ClickException where what was read cannot be put as it was asked for.
        """
        interrupts = Interrupts(self._rows.stop, self._rows.is_waiting)
        try:
            with interrupts, closing(self._rows), place as sink, self._below:
                self._print(sink, interrupts)
        except (Stopped, StopReading):
            self._broken_off = True
            return interrupts.status
        except _NothingReadError:
            return endings.REFUSED
        except (BrokenPipeError, endings.NotWrittenError, click.ClickException):
            raise
        except WorkerLostError as error:
            self._broken_off = True
            endings.warn(f"{self._where}{error}")
            return endings.LOST
        except MemoryError:
            self._broken_off = True
            if self._debug:
                endings.trace()
            endings.warn(f"{self._where}out of memory after {self._rows.summary.frames:,} frames")
            return endings.LOST
        except Exception as error:  # noqa: BLE001 (no capture may end in a traceback, whatever is in it)
            self._broken_off = True
            return self._confess(error)
        summary = self._rows.summary
        unwritten = endings.NOT_WRITTEN if summary.unspilled else 0
        refused = endings.REFUSED if summary.refused else 0
        return interrupts.status or unwritten or refused or (endings.FOUND if self._tally.reaches(self._gate) else 0)

    def account(self, *, quiet: bool, below: bool) -> None:
        """Complain of what could not be read, and sum up: below the result, or on standard error."""
        summary = self._rows.summary
        complain(summary)
        if summary.connections and not self._tally.connections:
            for told in self._selection.missing_streams():
                endings.warn(f"--stream {told}: no TLS connection has this number; tlsdissect read lists them")
        if quiet:
            return
        said = sentences(self._tally, summary, selected=bool(self._selection))
        if self._broken_off:
            # What was not told until then may be anything.
            said = ["broken off", *said] if self._tally.connections else ["broken off"]
        if below and sys.stdout is not None:
            gap = [""] if self._tally.connections else []
            print(*gap, *fitted(said, sys.stdout), sep="\n", flush=True)  # noqa: T201 (this is a command)
        elif sys.stderr is not None and sys.stderr.isatty():
            for line in fitted(said, sys.stderr):
                endings.say(line)
        else:
            endings.say("; ".join(said))

    def _print(self, sink: Sink, interrupts: Interrupts) -> None:
        head = self._view.head
        if self._live:
            sink.write(head)
            sink.flush()
            head = b""
        for row in self._rows:
            with interrupts.held(), self._below.aside():
                sink.write(head + self._view.section(row.source) + row.text)
                self._tally.add(row)
                if self._prompt:
                    sink.flush()
            head = b""
        if self._rows.summary.refused and not self._rows.summary.captures:
            raise _NothingReadError
        sink.write(head)
        for piece in self._end():
            with self._below.aside():
                sink.write(piece)

    @property
    def _where(self) -> str:
        return f"{self._tally.source}: " if self._tally.source else ""

    def _confess(self, error: Exception) -> int:
        """Tell an error, and whose it is; return the exit status."""
        if self._debug:
            endings.trace()
        theirs = endings.of_the_system(error)
        if theirs is not None:
            endings.warn(f"{self._where}{theirs[0]}")
            return theirs[1]
        frames = self._rows.summary.frames
        endings.warn(f"{self._where}internal error after {frames:,} frames: {endings.described(error)}")
        return endings.BUG
