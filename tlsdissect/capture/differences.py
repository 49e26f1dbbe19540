"""Where copies of the same bytes differ."""

from __future__ import annotations

MAX_COPY = 64
"""Maximum bytes reported of each copy of conflicting data."""


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
