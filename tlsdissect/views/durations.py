"""How durations are written, with the digits that a reader can use, and when something began and ended."""

from tlsdissect.model.dates import FIRST_DATE

_THREE_DIGITS, _TWO_DIGITS, _ONE_DIGIT = 99.95, 9.995, 0.9995
"""Milliseconds from which so many digits come before the decimal point, once rounded."""
LONG_MS = 10_000
"""Milliseconds from which a time is written in seconds."""


def short_ms(ms: float) -> str:
    """Format milliseconds with three significant digits, no finer than microseconds.

    >>> short_ms(163.727), short_ms(83.98), short_ms(2.598), short_ms(0.0352), short_ms(-0.0001)
    ('164', '84.0', '2.60', '0.035', '0')
    """
    return fixed_ms(ms, decimals(abs(ms)))


def decimals(span_ms: float) -> int:
    """Return how many decimals the times of a span are written with, so that its length has three digits.

    >>> decimals(811), decimals(84.2), decimals(3.35), decimals(0.2)
    (0, 1, 2, 3)
    """
    return sum(span_ms < one for one in (_THREE_DIGITS, _TWO_DIGITS, _ONE_DIGIT))


def fixed_ms(ms: float, digits: int) -> str:
    """Format milliseconds with so many decimals; zero has none, and no sign.

    >>> fixed_ms(163.727, 0), fixed_ms(-0.393, 0), fixed_ms(-0.574, 0), fixed_ms(0.5, 2)
    ('164', '0', '-1', '0.50')
    """
    text = f"{ms:,.{digits}f}"
    return text if text.strip("-0.,") else "0"


def in_ms(ms: float) -> str:
    """Format a time with its unit: milliseconds, or seconds from ten on.

    >>> in_ms(0.2504), in_ms(1250.4), in_ms(12_345)
    ('0.250 ms', '1,250 ms', '12.3 s')
    """
    return f"{short_ms(ms)} ms" if abs(ms) < LONG_MS else f"{short_ms(ms / 1000)} s"


def period(start: str | None, end: str | None) -> str:
    """Say when connections began and ended; nothing if that is not known.

    >>> period("2026-11-29T01:40:48.5Z", "2026-11-29T01:40:49Z"), period("2026-11-29T01:40:48Z", None)
    ('from 2026-11-29 01:40:48 to 01:40:49 UTC', 'at 2026-11-29 01:40:48 UTC')
    >>> period("1970-01-01T00:00:42Z", "2026-11-29T01:40:48Z"), period("1970-01-01T00:00:42Z", "1970-01-01T00:00:43Z")
    ('until 2026-11-29 01:40:48 UTC, the first without a date', 'without a date')
    """
    if start is None:
        return ""
    begin, over = (time[:19].replace("T", " ") for time in (start, end or start))
    if over < FIRST_DATE:
        return "without a date"
    if begin < FIRST_DATE:
        return f"until {over} UTC, the first without a date"
    day = begin[: begin.index(" ") + 1]
    return f"at {begin} UTC" if begin == over else f"from {begin} to {over.removeprefix(day)} UTC"
