"""The status of a live capture: a line below its rows on a terminal, or a line every second on standard error."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tlsdissect.cli import exit_status
from tlsdissect.cli.status_line import StatusLine
from tlsdissect.cli.summary import count

if TYPE_CHECKING:
    from rich.live import Live

    from tlsdissect.capture.live import LiveCapture
    from tlsdissect.listening import Listening

_PERIOD = 1.0
_PAGE = 4096


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
                f"{count(summary.undecided, 'handshake')} open",
                count(self._capture.frames, "packet"),
                f"{dropped:,} dropped",
                f"{_resident() >> 20:,} MB",
            )
        )

    def _print(self) -> None:
        while not self._stopped.wait(_PERIOD):
            with self._lock:
                exit_status.print_stderr(self.figures())


def _resident() -> int:
    """Return the resident memory of this process in bytes (proc_pid_statm(5))."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
