"""Progress bars on standard error, shown from one second on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.cli.status_line import StatusLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID
    from rich.table import Column


class ProgressBar(StatusLine):
    """Bytes read, of the bytes of all captures."""

    delay = 1.0

    def __init__(self, position: Callable[[], tuple[int, int | None]]) -> None:
        super().__init__()
        self._position = position
        self._bar: Progress
        self._task: TaskID

    def create(self) -> Progress:
        """Create the bar."""
        from rich import progress  # noqa: PLC0415 (a tenth of a second that short runs save)
        from rich.console import Console  # noqa: PLC0415

        self._bar = progress.Progress(
            progress.BarColumn(bar_width=30, table_column=_cell()),
            progress.DownloadColumn(binary_units=False, table_column=_cell()),
            progress.TransferSpeedColumn(table_column=_cell()),
            progress.TimeRemainingColumn(table_column=_cell()),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task("", total=None)
        return self._bar

    def update(self) -> None:
        """Update the bar."""
        done, total = self._position()
        self._bar.update(self._task, completed=done, total=total)


class FractionBar(StatusLine):
    """Completed fraction of a slow step, from 0 to 1."""

    delay = 1.0

    def __init__(self, what: str, share: Callable[[], float]) -> None:
        super().__init__()
        self._what = what
        self._share = share
        self._bar: Progress
        self._task: TaskID

    def create(self) -> Progress:
        """Create the bar."""
        from rich import progress  # noqa: PLC0415 (as above)
        from rich.console import Console  # noqa: PLC0415

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}", table_column=_cell()),
            progress.BarColumn(bar_width=30, table_column=_cell()),
            progress.TaskProgressColumn(table_column=_cell()),
            progress.TimeRemainingColumn(table_column=_cell()),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(self._what, total=1.0)
        return self._bar

    def update(self) -> None:
        """Update the bar."""
        self._bar.update(self._task, completed=self._share())


def _cell() -> Column:
    from rich.table import Column  # noqa: PLC0415 (as above)

    # Never more than one line: rich would erase rows of the result when it redraws several.
    return Column(no_wrap=True, overflow="ellipsis")
