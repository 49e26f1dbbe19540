"""The names of captures, by the numbers of their frames: several may be read as one."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class CaptureNames:
    """A capture, or several that are read as one, with frames numbered on from each to the next."""

    def __init__(self, name: str | None = None) -> None:
        """With a name, this is one capture."""
        self._names: list[str] = []
        self._before: list[int] = []
        """Frames before those of each capture."""
        if name is not None:
            self.add(name, 0)

    def __len__(self) -> int:
        """Return the number of captures."""
        return len(self._names)

    def add(self, name: str, before: int) -> None:
        """Add the next capture, with this number of frames before its own."""
        self._names.append(name)
        self._before.append(before)

    def of(self, frame: int) -> str:
        """Return the name of the capture with this frame."""
        return self._names[0] if len(self._names) == 1 else self.locate(frame)[0]

    def locate(self, frame: int) -> tuple[str, int]:
        """Return the capture with this frame, and the number of frames before those of this capture."""
        # A capture without frames has as many before it as the next one.
        at = max(bisect_right(self._before, frame - 1) - 1, 0)
        return self._names[at], self._before[at]

    def locate_all(self, frames: Iterable[int]) -> list[tuple[str, int]]:
        """Locate frames; each capture is returned once, in the order of their frames."""
        return sorted({self.locate(frame) for frame in frames}, key=lambda place: place[1])
