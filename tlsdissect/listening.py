"""Connections from an interface, each told when its handshake is decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.pipeline import Place, Reading
from tlsdissect.streams.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.sessions import Session
    from tlsdissect.trust.judge import Judge

IDLE = 10.0
"""Seconds after which a silent handshake is told as it is."""


class Listening(Reading):
    """A reading that ends with its capture, when it is stopped, or with `count` connections."""

    def __init__(
        self,
        capture: LiveCapture,
        *,
        idle: float = IDLE,
        count: int | None = None,
        limits: Limits | None = None,
        judge: Judge | None = None,
        keep: bool = False,
    ) -> None:
        super().__init__([capture.interface], idle=idle, limits=limits or Limits(), judge=judge, keep=keep)
        self._capture_live = capture
        self._left = count

    def placed(self) -> Iterator[tuple[Place, Connection | Session]]:
        """Yield each connection with its place."""
        yield from self._told(0, self._capture_live.interface, self._capture_live)

    def __iter__(self) -> Iterator[Connection]:
        """Yield each connection when its handshake is decided; at the end, those that are not."""
        for told in super().__iter__():
            if self._left is not None:
                if not self._left:
                    return
                self._left -= 1
                if not self._left:
                    self.stop()
            yield told

    def progress(self) -> tuple[int, int | None]:
        """Bytes received."""
        return self._capture_live.position, None

    def stop(self) -> None:
        """Listen no more."""
        super().stop()
        self._capture_live.stop()
