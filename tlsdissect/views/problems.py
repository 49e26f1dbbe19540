"""Problems in words: what a sentence says of the connections that have them, and not their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.views.table import KEYED

if TYPE_CHECKING:
    from collections.abc import Mapping

IN_WORDS = {
    "inferred": "with inferred facts",
    "gap": "with missing bytes",
    "capture_end": "cut off by the end of the capture",
    "midstream": "begun before the capture",
    "truncated_packet": "with truncated packets",
    "damaged_capture": "with damage in the capture",
    "conflicting_data": "with conflicting data",
    "out_of_order": "with packets out of order",
    "malformed_record": "with malformed records",
    "malformed_message": "with malformed messages",
    "reset_text": "with a RST that carries text",
    "dropped_segment": "with segments that the receiver dropped",
    "urgent_data": "with urgent data",
    "limit": "read only in part, because a limit was reached",
    "not_opened": "with records that the keys do not open",
}
"""What follows the number of connections with a problem."""


def counted_problems(counts: Mapping[str, int]) -> list[str]:
    """Write how many connections have each problem, in the order of the counts; a mark stays that only keys show it."""
    return [f"{many:,} {_in_words(code)}" for code, many in counts.items()]


def _in_words(code: str) -> str:
    bare = code.removesuffix(KEYED)
    # A dataset may have been written by a later version, with problems that this one does not know.
    return f"{IN_WORDS.get(bare, f'with the problem {bare}')}{code[len(bare) :]}"
