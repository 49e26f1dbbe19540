"""Suggestions for misspelt names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NEAR = 0.65
"""Similarity from which on a word is suggested, from 0 to 1 (difflib)."""


def suggestion(word: str, words: Iterable[str]) -> str:
    """Return a "did you mean" suffix if one of `words` is similar, otherwise an empty string."""
    from difflib import get_close_matches  # noqa: PLC0415 (for mistakes only)

    bare = {one.lstrip("-"): one for one in words}
    near = get_close_matches(word.lstrip("-"), bare, n=1, cutoff=_NEAR)
    return f": did you mean {bare[near[0]]!r}?" if near else ""
