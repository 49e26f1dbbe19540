"""Explains bytes that were sent twice with different values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tlsdissect.trust.conflicts import conflicts, described
from tlsdissect.views.explain.model import Sentence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Problem

_LEFT_OUT = re.compile(r", and ([^:]+): this segment is left out$")
_DROPS = {
    "a wrong TCP checksum": "9293 section 3.1",
    "a wrong checksum of the IP header": "1122 section 3.2.1.2",
    "no ACK flag": "9293 section 3.10.7.4",
    "an acknowledgement of bytes that were not sent": "9293 section 3.10.7.4",
    "a timestamp before that of its SYN": "7323 section 5.3",
}
"""What a segment has that every receiver drops, and the section that says so."""
_NOT_TAKEN = {
    "a FIN in whose place other bytes were acknowledged",
    "data of a SYN that the SYN-ACK does not acknowledge",
}
"""What acknowledgements show that the receiver did not take."""


def conflicting(c: Connection) -> Iterator[Sentence]:
    """Yield a sentence for each place at which copies differ."""
    for problem in conflicts(c):
        copies = problem.copies or ()
        text = described(problem)
        frames = tuple(sorted({one.frame for one in copies if one.frame is not None}))
        yield Sentence(
            "observer", "conflicting_data", f"{text[:1].upper()}{text[1:]}. {_which_was_read(problem)}", frames
        )


def _which_was_read(problem: Problem) -> str:
    """Say which of the copies the receiver dropped, or that it is not visible."""
    found = _LEFT_OUT.search(problem.detail)
    why = "" if found is None else found[1]
    if why in _DROPS:
        return f"The segment in frame {problem.frame} has {why}: its receiver dropped it (RFC {_DROPS[why]})."
    if why in _NOT_TAKEN:
        return f"The receiver did not take the segment in frame {problem.frame}: {why}."
    limits = {one.hop_limit for one in problem.copies or ()} - {None}
    # A packet that expires on the way was never received (RFC 791 section 3.2); the distance is not visible.
    doubt = ", nor whether one of them expired on the way" if len(limits) > 1 else ""
    return f"Which of them the receiver read is not visible{doubt}."
