"""Ctrl-C, and being asked to end: what was read is still told; asked again, the run ends at once."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from tlsdissect.pipeline import StopReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PATIENCE = 1.0
"""Seconds for which a pipe may still bring what its other end had: that end got Ctrl-C too."""


class Stopped(KeyboardInterrupt):
    """A second signal has ended the run."""


class Interrupts:
    """While this context is entered, the first signal that ends a process calls `stop`; another one raises Stopped.

    A reading that `waits` for packets is let go after a moment. Within `held` blocks Stopped waits for their end.
    """

    def __init__(self, stop: Callable[[], None], waits: Callable[[], bool]) -> None:
        self._stop, self._waits = stop, waits
        self._holding = self._again = False
        self._before: dict[int, object] = {}
        self.status = 0
        """What the process should exit with: 0, or 128 and the number of the first signal."""

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers; a nohup'ed process goes on ignoring SIGHUP.
        if threading.current_thread() is threading.main_thread():
            kept = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: old for number, old in kept.items() if old != signal.SIG_IGN}
            for number in self._before:
                signal.signal(number, self._arrived)
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._let_go)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let the end of the run wait for the end of this block."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._again:
            raise Stopped

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if not self.status:
            self.status = 128 + number
            self._stop()
            signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
        elif self._holding and not self._again:
            self._again = True
        else:
            raise Stopped

    def _let_go(self, _: int, __: FrameType | None) -> None:
        if self._waits():
            raise StopReading
