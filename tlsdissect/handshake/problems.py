"""The problems of one side of a connection, in bounded number."""

from __future__ import annotations

from tlsdissect.model.connection import DataCopy, Problem

MAX_PROBLEMS = 64
"""Maximum problems reported of one direction."""
MAX_COPY = 64
"""Maximum bytes reported of each copy of conflicting data."""


class ProblemList(list[Problem]):
    """Problems in the order in which they were found; those beyond MAX_PROBLEMS are not kept."""

    def report(
        self, code: str, detail: str, frame: int, offset: int | None, copies: tuple[DataCopy, ...] | None = None
    ) -> None:
        """Add a problem at a stream offset; the frame is 0 if it is unknown."""
        if len(self) < MAX_PROBLEMS:
            self.append(Problem(code, detail, frame or None, offset, None, copies))


def differing(one: bytes, other: bytes) -> tuple[int, int] | None:
    """Return where two runs of bytes that begin at the same place differ, up to the end of the shorter one.

    The range reaches from the first byte that differs to the last, as far as MAX_COPY bytes; None if they agree.
    """
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return None
    first = next(at for at in range(size) if one[at] != other[at])
    last = next(at for at in range(size - 1, -1, -1) if one[at] != other[at])
    return first, min(last + 1, first + MAX_COPY)
