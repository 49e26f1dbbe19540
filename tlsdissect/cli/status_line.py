"""A status line below the result on a terminal, hidden while the result is written.

A thread redraws it, because a capture without TLS may print nothing for a long time.
"""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.live import Live
    from rich.progress import Progress

_PERIOD = 0.1


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
        """Create the renderable; the thread calls this once."""

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

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide it during this context."""
        with self._lock:
            self._hide()
            yield

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
