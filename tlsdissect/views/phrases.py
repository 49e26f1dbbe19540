"""Numbers and lists as they stand in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence


def counted(number: int, what: str, more: str | None = None) -> str:
    """Format a number with the noun that it counts.

    >>> counted(1, "round trip"), counted(2, "round trip")
    ('1 round trip', '2 round trips')
    """
    return f"{number:,} {what if number == 1 else more or what + 's'}"


def listed(words: Sequence[str], most: int = 6) -> str:
    """Format words as a list in a sentence: of many, the first, and how many more.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    if len(words) > most:
        return f"{', '.join(words[: most - 1])} and {len(words) - most + 1} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def ordinal(number: int) -> str:
    """Format an ordinal number: 1st, 2nd, 3rd, 4th."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def listed_counts(counts: Counter[str]) -> str:
    """Format counts with what they count, the highest first.

    >>> from collections import Counter
    >>> listed_counts(Counter(IPv4=3, ARP=1200))
    '1,200 ARP, 3 IPv4'
    """
    return ", ".join(f"{many:,} {what}" for what, many in counts.most_common())
