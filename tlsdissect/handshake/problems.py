"""The problems of one side of a connection, in bounded number."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.model.connection import DataCopy, Problem

if TYPE_CHECKING:
    from tlsdissect.capture.fragments import Fragment, FragmentConflict

MAX_PROBLEMS = 64
"""Maximum problems reported of one direction."""


class ProblemList(list[Problem]):
    """Problems in the order in which they were found; those beyond MAX_PROBLEMS are not kept."""

    def report(
        self, code: str, detail: str, frame: int, offset: int | None, copies: tuple[DataCopy, ...] | None = None
    ) -> None:
        """Add a problem at a stream offset; the frame is 0 if it is unknown."""
        if len(self) < MAX_PROBLEMS:
            self.append(Problem(code, detail, frame or None, offset, None, copies))

    def report_fragments(self, frame: int, conflict: FragmentConflict) -> None:
        """Add that IP fragments of the packet in a frame differ."""
        self.report("conflicting_data", fragment_detail(conflict), frame, None, fragment_copies(conflict))


def two_copies(known: bytes, frame: int, other: bytes, later: int) -> tuple[DataCopy, DataCopy]:
    """Return both copies of bytes that came in these frames; those that came first count."""
    return DataCopy(frame or None, known.hex(), True, None), DataCopy(later, other.hex(), False, None)


def fragment_detail(conflict: FragmentConflict) -> str:
    """Say where IP fragments differ."""
    late = f", which was complete in frame {conflict.before}" if conflict.before else ""
    return f"IP fragments differ at byte {conflict.start} of their packet{late}"


def fragment_copies(conflict: FragmentConflict) -> tuple[DataCopy, DataCopy]:
    """Return both copies of bytes in which IP fragments differ."""
    late = conflict.before > 0
    return (
        _fragment_copy(conflict, conflict.used, None if late else True),
        _fragment_copy(conflict, conflict.other, None if late else False),
    )


def _fragment_copy(conflict: FragmentConflict, one: Fragment, used: bool | None) -> DataCopy:
    hops = one.header[8] if one.header[0] >> 4 == 4 else one.header[7]
    data = one.body[conflict.start - one.offset : conflict.end - one.offset]
    return DataCopy(one.frames[-1], data.hex(), used, hops)


class CryptoConflict(NamedTuple):
    """Different bytes at the same offset."""

    offset: int
    known: bytes
    other: bytes
    is_latest: bool
    """Whether the frame that was added last has the other bytes, and not one that waited."""

    def copies(self, position: int, frame: int) -> tuple[DataCopy, DataCopy]:
        """Return both copies; `position` is that of the stream, and `frame` has the frame that was added last."""
        used = self.offset < position
        return (
            DataCopy(None, self.known.hex(), True if used else None, None),
            DataCopy(frame if self.is_latest else None, self.other.hex(), False if used else None, None),
        )
