"""What is noted of certificates before it is known which packet showed them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

_SECOND = len("2026-01-01T00:00:00")


class Note(NamedTuple):
    """A finding without the frame, which is another in each connection."""

    code: str
    detail: str
    certificate: str | None = None


def second(time: str) -> str:
    """Cut a time by RFC 3339 to its second: as text it then stands before all that are later."""
    return time[:_SECOND]


def moment(time: str | None) -> datetime | None:
    """Read a time by RFC 3339 in UTC, to the second; None without one, and for a year that no calendar has."""
    try:
        return datetime.fromisoformat(second(time or "")).replace(tzinfo=UTC)
    except ValueError:
        return None


def written(time: datetime) -> str:
    """Write a time as `second` cuts it."""
    return time.astimezone(UTC).isoformat()[:_SECOND]


def lifetime(not_before: str | None, not_after: str | None) -> timedelta | None:
    """Tell for how long a certificate is valid, both ends included (RFC 5280 section 4.1.2.5)."""
    begin, end = moment(not_before or ""), moment(not_after or "")
    return None if begin is None or end is None else end - begin + timedelta(seconds=1)
