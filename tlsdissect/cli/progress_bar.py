"""Progress bars on standard error, shown from one second on."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from tlsdissect.cli.status_line import StatusLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, ProgressColumn, TaskID
    from rich.table import Column


class _Bar(StatusLine):
    """Base of the bars, which differ in their columns."""

    delay = 1.0

    def __init__(self, description: str, position: Callable[[], tuple[float, float | None]]) -> None:
        """`position` returns what is done, and the total; None if it is unknown."""
        super().__init__()
        self._description = description
        self._position = position
        self._bar: Progress
        self._task: TaskID

    @abstractmethod
    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the columns before the remaining time."""

    def create(self) -> Progress:
        """Create the bar."""
        from rich import progress  # noqa: PLC0415 (a tenth of a second that short runs save)
        from rich.console import Console  # noqa: PLC0415

        self._bar = progress.Progress(
            *self.columns(),
            progress.TimeRemainingColumn(table_column=_cell()),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._bar.add_task(self._description, total=None)
        return self._bar

    def update(self) -> None:
        """Update the bar."""
        done, total = self._position()
        self._bar.update(self._task, completed=done, total=total)


class ProgressBar(_Bar):
    """Bytes read, of the bytes of all captures."""

    def __init__(self, position: Callable[[], tuple[int, int | None]]) -> None:
        super().__init__("", position)

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the bar, the bytes and the speed."""
        from rich import progress  # noqa: PLC0415 (as above)

        return (
            progress.BarColumn(bar_width=30, table_column=_cell()),
            progress.DownloadColumn(binary_units=False, table_column=_cell()),
            progress.TransferSpeedColumn(table_column=_cell()),
        )


class FractionBar(_Bar):
    """Completed fraction of a slow step, from 0 to 1."""

    def __init__(self, description: str, fraction: Callable[[], float]) -> None:
        super().__init__(description, lambda: (fraction(), 1.0))

    def columns(self) -> tuple[ProgressColumn, ...]:
        """Return the description, the bar and the percentage."""
        from rich import progress  # noqa: PLC0415 (as above)

        return (
            progress.TextColumn("{task.description}", table_column=_cell()),
            progress.BarColumn(bar_width=30, table_column=_cell()),
            progress.TaskProgressColumn(table_column=_cell()),
        )


def _cell() -> Column:
    from rich.table import Column  # noqa: PLC0415 (as above)

    # Never more than one line: rich would erase rows of the result when it redraws several.
    return Column(no_wrap=True, overflow="ellipsis")
