"""Findings about bytes that were sent twice with different values, and both values in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.trust.rules import finding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, DataCopy, Finding, Problem


def conflict_findings(connection: Connection) -> Iterator[Finding]:
    """Report each place at which copies of the same bytes differ, with the copies."""
    for problem in conflicts(connection):
        with_keys = problem not in connection.problems
        yield finding("conflicting_data", described(problem), problem.frame, with_keys=with_keys)


def conflicts(connection: Connection) -> Iterator[Problem]:
    """Yield the problems that give the copies of conflicting data."""
    problems = connection.problems if connection.hidden is None else connection.problems + connection.hidden.problems
    for problem in problems:
        if problem.copies is not None:
            yield problem


_SHOWN = 32
"""Hexadecimal digits of a copy in a sentence: the first two of them differ, and the key `copies` has more."""


def described(problem: Problem) -> str:
    """Describe the copies of conflicting data: their bytes, where they are, and which of them counts."""
    sender = "bytes" if problem.sender is None else f"bytes of the {problem.sender}"
    place = "" if problem.offset is None else f" at offset {problem.offset:,}"
    copies = problem.copies or ()
    limits = {one.hop_limit for one in copies}
    shown = " and ".join([_copy(one, len(limits) > 1) for one in copies])
    return f"{sender}{place} differ: {shown.removesuffix(',')}"


def _copy(one: DataCopy, limited: bool) -> str:
    where = "in a frame that is not known" if one.frame is None else f"in frame {one.frame}"
    limit = f" with hop limit {one.hop_limit}" if limited and one.hop_limit is not None else ""
    data = one.bytes or "nothing"
    if len(data) > _SHOWN:
        data = f"{data[:_SHOWN]}…"
    return f"{data} {where}{limit}{', which counts,' if one.used else ''}"
