"""Explains bytes that were sent twice with different values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.trust.conflicts import conflicts, described
from tlsdissect.views.explain.model import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection


def conflicting(c: Connection) -> Iterator[Sentence]:
    """Yield a sentence for each place at which copies differ."""
    for problem in conflicts(c):
        copies = problem.copies or ()
        text = described(problem)
        limits = {one.hop_limit for one in copies} - {None}
        # A packet that expires on the way was never received (RFC 791 section 3.2); the distance is not visible.
        doubt = ", nor whether one of them expired on the way" if len(limits) > 1 else ""
        frames = tuple(sorted({one.frame for one in copies if one.frame is not None}))
        yield Sentence(
            "observer",
            "conflicting_data",
            f"{text[:1].upper()}{text[1:]}. Which of them the receiver read is not visible{doubt}.",
            frames,
        )
