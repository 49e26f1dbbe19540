"""A progress bar or a live status on a terminal, hidden while rows of the result are written there.

A thread redraws it, because a capture without TLS may print nothing for a long time.
"""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import nullcontext, suppress
from datetime import timedelta
from math import ceil
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Self

from tlsdissect.cli.exit_status import print_stderr
from tlsdissect.views.phrases import counted

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from rich.live import Live
    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Column

    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.listening import Listening

_PERIOD = 0.1
_PRINT_PERIOD = 1.0
_PAGE_BYTES = 4096
_FINISHING = "finishing"
"""The phase after the last byte."""


class Hidden:
    """A context that hides a status line."""

    def __init__(self, lock: threading.Lock, hide: Callable[[], None]) -> None:
        self._lock = lock
        self._hide = hide

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._hide()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class StatusLine(ABC):
    """Base of the progress bars and of the live status."""

    delay = 0.0
    """Seconds before it appears."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._redraw, daemon=True)
        self._shown: Live | Progress | None = None

    @abstractmethod
    def create(self) -> Live | Progress:
        """Return what rich draws; the refresh thread calls this once."""

    @abstractmethod
    def update(self) -> None:
        """Update the figures."""

    def __enter__(self) -> Self:
        # A dumb terminal cannot erase it.
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self._hide()

    def hidden(self) -> AbstractContextManager[None]:
        """Return a context, to be entered any number of times, in which it is hidden."""
        return Hidden(self._lock, self._hide) if self._thread.is_alive() else nullcontext()

    def _redraw(self) -> None:
        if self._stopped.wait(self.delay):
            return
        drawn = self.create()
        while not self._stopped.wait(_PERIOD):
            # If a capture is removed while its size is read, the run goes on without an update.
            with self._lock, suppress(OSError):
                self.update()
                if self._shown is None:
                    drawn.start()
                    self._shown = drawn
                drawn.refresh()

    def _hide(self) -> None:
        if self._shown is not None:
            self._shown.stop()
            self._shown = None


class _Bar(StatusLine):
    """Base of the bars, which differ in their columns."""

    delay = 1.0
    width: int | None = 30
    """Columns of the bar; None: those that the rest of the line leaves."""

    def __init__(self, description: str, position: Callable[[], tuple[float, float | None]]) -> None:
        """`position` returns what is done, and the total; None if it is unknown."""
        super().__init__()
        self._description = description
        self._position = position
        self._bar: Progress
        self._task: TaskID

    @abstractmethod
    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the columns before the remaining time."""

    def remaining(self) -> ProgressColumn:
        """Return the column of the remaining time, by the rate of what is counted."""
        from rich.progress import TimeRemainingColumn  # noqa: PLC0415 (as in `create`)

        return TimeRemainingColumn(table_column=_cell())

    def create(self) -> Progress:
        """Create the bar."""
        from rich import progress  # noqa: PLC0415 (a tenth of a second that short runs save)
        from rich.console import Console  # noqa: PLC0415

        self._bar = progress.Progress(
            *self.columns(),
            self.remaining(),
            console=Console(stderr=True),
            expand=self.width is None,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(self._description, total=None, remaining="-:--:--")
        return self._bar

    def update(self) -> None:
        """Update the bar."""
        done, total = self._position()
        self._bar.update(self._task, completed=done, total=total)


class ProgressBar(_Bar):
    """Bytes read, of the bytes of all captures; after the last byte, connections of those that were left then.

    Most connections of a short capture are left: they may go on until it ends.
    """

    def __init__(
        self,
        position: Callable[[], tuple[int, int | None]],
        finishing: Callable[[], tuple[int, int]] = lambda: (0, 0),
    ) -> None:
        """`finishing` returns the connections that were finished after the last byte, and all of them."""
        super().__init__("reading", position)
        self._finishing = finishing
        self._finishes = False

    def update(self) -> None:
        """Update the bar."""
        done, total = self._position()
        finished, pending = self._finishing()
        if not pending or total is None or done < total:
            super().update()
            return
        if not self._finishes:
            # The rate is that of connections from here on.
            self._finishes = True
            self._bar.reset(self._task, total=pending, description=_FINISHING)
        self._bar.update(self._task, completed=finished, total=pending)

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the description, the bar, the bytes and the speed."""
        from rich import progress  # noqa: PLC0415 (as above)
        from rich.text import Text  # noqa: PLC0415

        class Amount(progress.DownloadColumn):
            def render(self, task: progress.Task) -> Text:
                if task.description != _FINISHING:
                    return super().render(task)
                return Text(f"{task.completed:,.0f}/{task.total or 0:,.0f} connections", "progress.download")

        class Speed(progress.TransferSpeedColumn):
            def render(self, task: progress.Task) -> Text:
                if task.speed is None:  # rich writes a question mark
                    return Text()
                if task.description != _FINISHING:
                    return super().render(task)
                return Text(f"{task.speed:,.0f}/s", "progress.data.speed")

        return (
            progress.TextColumn("{task.description}", table_column=_cell()),
            progress.BarColumn(bar_width=self.width, table_column=_cell(ratio=1 if self.width is None else None)),
            Amount(binary_units=False, table_column=_cell()),
            Speed(table_column=_cell()),
        )


class RemainingTime:
    """Estimates how many seconds a scan still needs, from the time that each byte and each file has taken so far.

    Large captures come first: by the rate of bytes alone, hundreds of small ones at the end would seem to take no time.
    So each byte and each file has a cost, fitted to the times so far by least squares.
    """

    def __init__(self) -> None:
        self._begun: float | None = None
        self._seen = (0, 0)
        # Sums over the observations: bytes and files, each times itself, times the other, and times seconds.
        self._bytes2 = self._files2 = self._both = self._bytes_time = self._files_time = 0.0

    def observe(self, now: float, size: int, files: int) -> None:
        """Take note of the bytes and the files that are done at a time in seconds; the first call begins it."""
        if self._begun is None:
            self._begun = now
        if (size, files) == self._seen:
            return
        self._seen, took = (size, files), now - self._begun
        self._bytes2 += size * size
        self._files2 += files * files
        self._both += size * files
        self._bytes_time += size * took
        self._files_time += files * took

    def costs(self) -> tuple[float, float] | None:
        """Return the seconds that a byte and a file take; None before the first file is done."""
        if not self._files2:
            return None
        square = self._bytes2 * self._files2 - self._both**2
        # Files of equal size do not show which part of the time is per byte: then all of it is.
        if square > 1e-9 * self._bytes2 * self._files2:
            a_byte = (self._bytes_time * self._files2 - self._files_time * self._both) / square
            a_file = (self._files_time * self._bytes2 - self._bytes_time * self._both) / square
            if a_byte >= 0 and a_file >= 0:
                return a_byte, a_file
            if a_byte < 0:
                return 0.0, self._files_time / self._files2
        if self._bytes2:
            return self._bytes_time / self._bytes2, 0.0
        return 0.0, self._files_time / self._files2

    def seconds(self, size: int, files: int) -> float | None:
        """Return the seconds for so many more bytes and files; None if not known yet."""
        known = self.costs()
        return None if known is None else known[0] * size + known[1] * files


class ScanBar(ProgressBar):
    """The same of a scan, with the captures that are done."""

    width = None

    def __init__(
        self, position: Callable[[], tuple[int, int]], files: Callable[[], tuple[int, int]], captures: Callable[[], str]
    ) -> None:
        """`position` and `files` return the bytes and the files that are done, and all; `captures` says it in words."""
        super().__init__(position)
        self._bytes, self._files, self._captures = position, files, captures
        self._time = RemainingTime()

    def update(self) -> None:
        """Update the bar, its description, and the remaining time."""
        (size, all_bytes), (files, all_files) = self._bytes(), self._files()
        self._time.observe(monotonic(), size, files)
        left = self._time.seconds(all_bytes - size, all_files - files)
        self._bar.update(self._task, description=self._captures())
        if left is not None:
            self._bar.update(self._task, remaining=str(timedelta(seconds=ceil(left))))
        super().update()

    def remaining(self) -> ProgressColumn:
        """Return the column of the remaining time, by bytes and files."""
        from rich.progress import TextColumn  # noqa: PLC0415 (as in `create`)

        return TextColumn("{task.fields[remaining]}", style="progress.remaining", table_column=_cell())


class FractionBar(_Bar):
    """Completed fraction of a slow step, from 0 to 1."""

    def __init__(self, description: str, fraction: Callable[[], float]) -> None:
        super().__init__(description, lambda: (fraction(), 1.0))

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the description, the bar and the percentage."""
        from rich import progress  # noqa: PLC0415 (as above)

        return (
            progress.TextColumn("{task.description}", table_column=_cell()),
            progress.BarColumn(bar_width=self.width, table_column=_cell(ratio=1 if self.width is None else None)),
            progress.TaskProgressColumn(table_column=_cell()),
        )


def _cell(ratio: int | None = None) -> Column:
    from rich.table import Column  # noqa: PLC0415 (as above)

    # Never more than one line: rich would erase rows of the result when it redraws several.
    return Column(no_wrap=True, overflow="ellipsis", ratio=ratio)


class LiveStatus(StatusLine):
    """Connections by version, packets, drops, open handshakes and memory."""

    def __init__(self, capture: LiveCapture, listening: Listening, *, printed: bool) -> None:
        """With `printed`, print the figures every second on standard error instead, terminal or not."""
        super().__init__()
        self._capture, self._listening = capture, listening
        self._printer = threading.Thread(target=self._print, daemon=True) if printed else None
        self._live: Live

    def __enter__(self) -> Self:
        if self._printer is None:
            return super().__enter__()
        self._printer.start()
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        if self._printer is not None:
            self._printer.join()

    def create(self) -> Live:
        """Create a line of text, cut to the terminal's width."""
        from rich.console import Console  # noqa: PLC0415 (a tenth of a second)
        from rich.live import Live  # noqa: PLC0415

        self._live = Live(
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        return self._live

    def update(self) -> None:
        """Update the figures."""
        from rich.text import Text  # noqa: PLC0415

        self._live.update(Text(self.figures(), style="dim", overflow="ellipsis", no_wrap=True))

    def figures(self) -> str:
        """Return a line with the figures so far."""
        summary, dropped = self._listening.summary, self._capture.drops.dropped
        versions = ", ".join(f"{many:,} {version or 'unknown'}" for version, many in summary.versions.most_common())
        return " | ".join(
            (
                versions or "no connections yet",
                f"{counted(summary.undecided, 'handshake')} open",
                counted(self._capture.frames, "packet"),
                f"{dropped:,} dropped",
                f"{_resident() >> 20:,} MB",
            )
        )

    def _print(self) -> None:
        while not self._stopped.wait(_PRINT_PERIOD):
            with self._lock:
                print_stderr(self.figures())


def _resident() -> int:
    """Return how many bytes of memory this process uses (its resident set, proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
