"""A progress bar on standard error, for runs that a person waits for."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress, TaskID

_PATIENCE = 1.0
"""Seconds before a bar appears."""
_PERIOD = 0.1


class Bar:
    """A bar that a thread keeps up to date: a capture without TLS gives no other occasion.

    `aside` takes it off the terminal while a piece of the result is written there.
    """

    def __init__(self, position: Callable[[], tuple[int, int | None]]) -> None:
        self._position = position
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._shown = False

    def __enter__(self) -> Self:
        if sys.stderr is not None and sys.stderr.isatty():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._hide()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep the bar away from the terminal."""
        with self._lock:
            self._hide()
            yield

    def _keep(self) -> None:
        if self._over.wait(_PATIENCE):
            return
        self._bar = _bar()
        self._task = self._bar.add_task("", total=None)
        while not self._over.wait(_PERIOD):
            # A capture that vanishes while it is measured ends its bar, not the run.
            with self._lock, suppress(OSError):
                self._show(self._bar, self._task)

    def _show(self, bar: Progress, task: TaskID) -> None:
        done, total = self._position()
        bar.update(task, completed=done, total=total)
        if not self._shown:
            bar.start()
            self._shown = True
        bar.refresh()

    def _hide(self) -> None:
        if self._bar is not None and self._shown:
            self._bar.stop()
            self._shown = False


def _bar() -> Progress:
    from rich import progress  # noqa: PLC0415 (a tenth of a second that short runs save)
    from rich.console import Console  # noqa: PLC0415

    return progress.Progress(
        progress.BarColumn(bar_width=30),
        progress.DownloadColumn(binary_units=False),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
