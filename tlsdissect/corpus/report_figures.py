"""The figures of a report, drawn by other processes.

Importing what draws them takes as long as drawing half of them. So one process imports it while this one reads; then it
starts as many processes as may run, each of which draws a part of the figures.
"""

from __future__ import annotations

import pickle
from contextlib import suppress
from functools import partial
from mmap import mmap
from typing import TYPE_CHECKING

from tlsdissect.corpus.workers import forked, send_result

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

    from tlsdissect.views.report.figure_rows import Drawn, FigureRows


class ParallelFigures:
    """As `Figures`, in several processes."""

    def __init__(self, jobs: int) -> None:
        # Shared with all of them: the figures that each has drawn, and how many there are.
        self._counts = memoryview(mmap(-1, 8 * (jobs + 1))).cast("Q")
        self._worker = forked(partial(_draw_shares, self._counts), duplex=True, forks=True)

    def begin(self, rows: FigureRows) -> None:
        """Begin to draw figures of all rows."""
        # If the process has ended, `finish` finds out why.
        with suppress(OSError):
            self._worker.pipe.send_bytes(pickle.dumps(rows, pickle.HIGHEST_PROTOCOL))

    def written(self) -> float:
        """Return the fraction of the figures that are drawn."""
        return sum(self._counts[1:]) / (self._counts[0] or 1)

    def finish(self) -> list[Drawn]:
        """Return every figure that has data."""
        return [one for one in self._worker.result() if one is not None]

    def close(self) -> None:
        """Kill the processes."""
        self._worker.stop()


def _draw_shares(counts: memoryview[int], theirs: Pipe, pipe: Pipe) -> None:
    """Draw all figures, in a process that starts others for a part of them."""
    theirs.close()

    def drawn() -> list[Drawn | None]:
        from tlsdissect.views.report import figures  # noqa: PLC0415  # what this process is for

        counts[0] = figures.FIGURES
        rows = pickle.loads(pipe.recv_bytes())  # noqa: S301  # from our own process
        shares = range(len(counts) - 1)
        others = [forked(partial(_send_share, rows, one, counts), duplex=False) for one in shares[1:]]
        parts = [_share(rows, 0, counts), *[one.result() for one in others]]
        return [parts[at % len(parts)][at // len(parts)] for at in range(counts[0])]

    send_result(pipe, drawn)


def _send_share(rows: FigureRows, share: int, counts: memoryview[int], theirs: Pipe, pipe: Pipe) -> None:
    """Draw a part of the figures, in a process of its own."""
    theirs.close()
    send_result(pipe, lambda: _share(rows, share, counts))


def _share(rows: FigureRows, share: int, counts: memoryview[int]) -> list[Drawn | None]:
    """Draw every so many-th figure."""
    from tlsdissect.views.report import figures  # noqa: PLC0415  # as above

    drawn = []
    for one in figures.drawn(rows, share, len(counts) - 1):
        drawn.append(one)
        counts[1 + share] += 1
    return drawn
