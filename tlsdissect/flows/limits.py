"""How much is kept, and for how long: each limit has a name, and what reaches it is told."""

from __future__ import annotations

from math import isnan
from numbers import Integral, Real
from typing import Any

from msgspec import Struct


class Limits(Struct, frozen=True):
    """How much is kept of conversations, and for how long: `tlsdissect.read(capture, limits=Limits(followed=1000))`.

    Where a limit is reached, the connection says so by a problem `limit`, or the summary of the reading counts it. Time
    is that of the capture, as its packets tell it. A limit of a wrong kind raises TypeError; one that is too small, or
    not a number, ValueError.

    closed_after: 60 seconds
        Time for which a closed conversation may still get packets. Then its connection is told; packets that come later
        are left out, and the summary counts them as late.
    silent_after: 3600 seconds
        Time without packets after which a conversation is taken as over, as one that was closed is.
    known: 250,000 conversations
        Conversations of which something is in memory at the same time. Of more, those that are over are forgotten, then
        those in which nothing was said, as far as they are more than half, then those that are silent for longest.
        Packets of a forgotten one count as a new conversation; the summary counts as displaced those that were
        forgotten before their end.
    followed: 100,000 conversations
        Conversations that are followed at the same time, because a handshake goes on in them. Of more, those that began
        first are given up: the connection has the problem `limit`, and the summary counts it as given up.
    held_bytes: 1,048,576 bytes
        Bytes that one side of a conversation may hold behind a hole, where a segment is missing so far. With more, the
        hole is taken as lost: the connection has the problems `limit` and `gap`.
    message_bytes: 4,194,304 bytes
        Bytes of handshake messages that are kept of one conversation. Messages beyond are left out, and facts that rest
        on them are None: the connection has the problem `limit`.
    total_bytes: 268,435,456 bytes
        Bytes that all conversations of a process together hold and keep, with an estimate of what each message takes
        besides. While they have more, each holds and keeps nothing more, and those that began first are given up: the
        connection has the problem `limit`, and the summary counts it as given up. Which these are depends on what was
        in memory together: on the batch, and on the number of processes.
    max_sessions: 100,000 sessions
        Sessions, and pairs of client and server of which a handshake failed, that are remembered to link later
        connections to. Of more, those not seen for longest are forgotten, which the summary counts as forgotten.
    """

    closed_after: float = 60.0
    silent_after: float = 3600.0
    known: int = 250_000
    followed: int = 100_000
    held_bytes: int = 1 << 20
    message_bytes: int = 4 << 20
    total_bytes: int = 256 << 20
    max_sessions: int = 100_000

    def __post_init__(self) -> None:
        """Refuse what is no limit, by its name."""
        for name in self.__struct_fields__:
            if name in ("closed_after", "silent_after"):
                seconds(name, getattr(self, name))
            else:
                whole(name, getattr(self, name), LEAST[name])


LEAST = {"known": 1, "followed": 1, "held_bytes": 0, "message_bytes": 0, "total_bytes": 0, "max_sessions": 0}
"""The least that each number may be: a reading that may know or follow no conversation would tell of none."""


def seconds(name: str, given: Any) -> None:
    """Refuse what is no span of time, by its name; an infinite one is."""
    if isinstance(given, bool) or not isinstance(given, Real):
        raise TypeError(f"{name} is a number of seconds, not {type(given).__name__}")
    if isnan(given) or given < 0:
        raise ValueError(f"{name} is a number of seconds, at least 0, not {given}")


def whole(name: str, given: Any, least: int) -> None:
    """Refuse what is no whole number or less than `least`, by its name."""
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise TypeError(f"{name} is a whole number, not {type(given).__name__}")
    if int(given) < least:
        raise ValueError(f"{name} is a whole number, at least {least}, not {given}")


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
