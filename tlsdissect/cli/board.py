"""The figures of a live capture: below its rows on a terminal, or said every second."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tlsdissect.cli import endings
from tlsdissect.cli.below import Below
from tlsdissect.cli.summary import count

if TYPE_CHECKING:
    from rich.live import Live

    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.listening import Listening

_PERIOD = 1.0
_PAGE = 4096


class Board(Below):
    """Connections by version, packets, drops, open handshakes and memory."""

    def __init__(self, capture: LiveCapture, listening: Listening, *, said: bool) -> None:
        """`said`: print the figures every second, also where there is no terminal."""
        super().__init__()
        self._capture, self._listening = capture, listening
        self._said = threading.Thread(target=self._say, daemon=True) if said else None
        self._live: Live

    def __enter__(self) -> Self:
        if self._said is None:
            return super().__enter__()
        self._said.start()
        return self

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        if self._said is not None:
            self._said.join()

    def made(self) -> Live:
        """Make a line of text, cut to the terminal's width."""
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
        """Count anew."""
        from rich.text import Text  # noqa: PLC0415

        self._live.update(Text(self.figures(), style="dim", overflow="ellipsis", no_wrap=True))

    def figures(self) -> str:
        """Sum up what was seen so far."""
        summary, dropped = self._listening.summary, self._capture.drops.dropped
        versions = ", ".join(f"{many:,} {version or 'unknown'}" for version, many in summary.versions.most_common())
        return " | ".join(
            (
                versions or "no connections yet",
                f"{count(summary.undecided, 'handshake')} open",
                count(self._capture.frames, "packet"),
                f"{dropped:,} dropped",
                f"{_resident() >> 20:,} MB",
            )
        )

    def _say(self) -> None:
        while not self._over.wait(_PERIOD):
            with self._lock:
                endings.say(self.figures())


def _resident() -> int:
    """Tell how much memory this process holds, in bytes (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
