"""The problems of one side of a connection, in bounded number."""

from __future__ import annotations

from tlsdissect.model.connection import Problem

MAX_PROBLEMS = 64
"""Maximum problems reported of one direction."""


class ProblemList(list[Problem]):
    """Problems in the order in which they were found; those beyond MAX_PROBLEMS are not kept."""

    def report(self, code: str, detail: str, frame: int, offset: int | None) -> None:
        """Add a problem at a stream offset; the frame is 0 if it is unknown."""
        if len(self) < MAX_PROBLEMS:
            self.append(Problem(code, detail, frame or None, offset))
