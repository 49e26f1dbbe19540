"""A progress bar on standard error, for runs that a person waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.cli.below import Below

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress, TaskID
    from rich.table import Column


class Bar(Below):
    """How much was read of how much, in bytes."""

    patience = 1.0

    def __init__(self, position: Callable[[], tuple[int, int | None]]) -> None:
        super().__init__()
        self._position = position
        self._bar: Progress
        self._task: TaskID

    def made(self) -> Progress:
        """Make the bar."""
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
        """Ask how far it is."""
        done, total = self._position()
        self._bar.update(self._task, completed=done, total=total)


class ShareBar(Below):
    """The share that is done of something that takes long, from 0 to 1."""

    patience = 1.0

    def __init__(self, what: str, share: Callable[[], float]) -> None:
        super().__init__()
        self._what = what
        self._share = share
        self._bar: Progress
        self._task: TaskID

    def made(self) -> Progress:
        """Make the bar."""
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
        """Ask how far it is."""
        self._bar.update(self._task, completed=self._share())


def _cell() -> Column:
    from rich.table import Column  # noqa: PLC0415 (as above)

    # One line, however narrow: of more, rich would wipe rows of the result when it shows them again.
    return Column(no_wrap=True, overflow="ellipsis")
