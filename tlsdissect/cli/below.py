"""What stands on a terminal below the result, and is taken off it while a piece of the result is written."""

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


class Below(ABC):
    """Kept up to date by a thread: a capture without TLS gives no other occasion."""

    patience = 0.0
    """Seconds before it appears."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._shown: Live | Progress | None = None

    @abstractmethod
    def made(self) -> Live | Progress:
        """Make what is shown; called once, by the thread."""

    @abstractmethod
    def update(self) -> None:
        """Give what is shown its newest figures."""

    def __enter__(self) -> Self:
        # A dumb terminal cannot take it off again.
        if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._hide()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Keep it away from the terminal."""
        with self._lock:
            self._hide()
            yield

    def _keep(self) -> None:
        if self._over.wait(self.patience):
            return
        drawn = self.made()
        while not self._over.wait(_PERIOD):
            # A capture that vanishes while it is measured ends this, not the run.
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
