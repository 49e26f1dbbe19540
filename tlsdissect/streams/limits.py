"""How much is kept, and for how long: each limit has a name, and what reaches it is told."""

from __future__ import annotations

from msgspec import Struct


class Limits(Struct, frozen=True):
    """The limits of a reading."""

    closed_after: float = 60.0
    """Seconds of capture time for which a closed conversation may still get packets."""
    silent_after: float = 3600.0
    """Seconds of capture time after which a silent conversation is taken as over."""
    known: int = 250_000
    """Conversations that are known at the same time. Of more, those that are over are forgotten, then those in which
    nothing was said, as far as they are more than half, then those that are silent for longest."""
    followed: int = 100_000
    """Conversations that are followed at the same time; of more, those that began first are given up."""
    held_bytes: int = 1 << 20
    """Bytes that one side of a conversation may hold behind a hole before the hole is taken as lost."""
    message_bytes: int = 4 << 20
    """Bytes of handshake messages that are kept of one conversation."""
    total_bytes: int = 256 << 20
    """Bytes that all conversations together may hold and keep."""
    max_sessions: int = 100_000
    """Sessions, and failures, that are remembered to link later connections to; of more, the oldest are forgotten."""


FOREVER = 2.0**31
"""Seconds, 68 years, that no capture lasts: a longer time, or an infinite one, is as long."""


def nanoseconds(seconds: float) -> int:
    """A span of capture time, which is counted in nanoseconds."""
    return int(min(FOREVER, seconds) * 1e9)


class Budget:
    """What all conversations of a reading hold and keep together."""

    __slots__ = ("limits", "used")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.used = 0

    @property
    def spent(self) -> bool:
        """Whether nothing more may be held or kept."""
        return self.used > self.limits.total_bytes
