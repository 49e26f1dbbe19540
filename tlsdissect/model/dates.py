"""Dates of captures, without those of clocks that were never set."""

from __future__ import annotations

FIRST_DATE = "1995-01-01"
"""Before SSL 2.0, the oldest version: an earlier date is that of a clock which was never set, or counts from zero."""


def dated(time: str | None) -> str | None:
    """Return an RFC 3339 time; None for that of a clock which was never set."""
    return None if time is None or time < FIRST_DATE else time
