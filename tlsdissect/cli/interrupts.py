"""Signals that end a run: the first stops reading and prints what was read, the second ends the run at once."""

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
"""Seconds for which a pipe may still deliver data: the process at its other end received Ctrl-C, too."""


class Stopped(KeyboardInterrupt):
    """The second signal: end the run at once."""


class Interrupts:
    """In this context the first signal calls `stop`, and the second raises Stopped.

    A reading that still waits for packets after PATIENCE seconds is interrupted. Inside a `held` block, Stopped is
    deferred to the end of the block.
    """

    def __init__(self, stop: Callable[[], None], is_waiting: Callable[[], bool]) -> None:
        self._stop, self._is_waiting = stop, is_waiting
        self._holding = self._again = False
        self._before: dict[int, object] = {}
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
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Defer Stopped to the end of this block."""
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

    def _interrupt_waiting(self, _: int, __: FrameType | None) -> None:
        if self._is_waiting():
            raise StopReading
