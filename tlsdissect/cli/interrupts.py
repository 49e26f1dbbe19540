"""Ctrl-C, and being asked to end: at once, but never within a line of the result."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """A signal has ended the run."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


class Interrupts:
    """While this context is entered, signals that end a process raise Stopped, outside of `held` blocks."""

    def __init__(self) -> None:
        self._holding = False
        self._waiting: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        # Python lets only the main thread set handlers; a nohup'ed process goes on ignoring SIGHUP.
        if threading.current_thread() is threading.main_thread():
            kept = {number: signal.getsignal(number) for number in _SIGNALS}
            self._before = {number: old for number, old in kept.items() if old != signal.SIG_IGN}
            for number in self._before:
                signal.signal(number, self._arrived)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait for the end of this block; a second one does not."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._waiting is not None:
            raise Stopped(self._waiting)

    def _arrived(self, number: int, _: FrameType | None) -> None:
        if self._holding and self._waiting is None:
            self._waiting = number
            return
        raise Stopped(number)
