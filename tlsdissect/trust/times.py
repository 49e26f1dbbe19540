"""RFC 3339 times at a resolution of one second, and lifetimes of certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_SECOND = len("2026-01-01T00:00:00")


def to_second(time: str) -> str:
    """Truncate an RFC 3339 time to the second; the results sort as text in the order of time."""
    return time[:_SECOND]


def parse_time(time: str | None) -> datetime | None:
    """Parse an RFC 3339 time in UTC, to the second; None for None and for a year outside the calendar."""
    try:
        return datetime.fromisoformat(to_second(time or "")).replace(tzinfo=UTC)
    except ValueError:
        return None


def format_time(time: datetime) -> str:
    """Format a time as `to_second` truncates it."""
    return time.astimezone(UTC).isoformat()[:_SECOND]


def lifetime(not_before: str | None, not_after: str | None) -> timedelta | None:
    """Return the validity period, both ends included (RFC 5280 section 4.1.2.5)."""
    begin, end = parse_time(not_before), parse_time(not_after)
    return None if begin is None or end is None else end - begin + timedelta(seconds=1)
