"""Limits on memory and time that options set. Each has a name, and reaching it is reported.

`budget.py` counts the bytes that all flows and handshakes take. docs/limits.md lists these limits and all others.
"""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

from msgspec import Struct


class Limits(Struct, frozen=True):
    """Limits on memory and time, for example `tlsdissect.read(capture, limits=Limits(followed=1000))`.

    A connection that reaches a limit has a problem `limit`, or the summary counts it. Times are capture times. A limit
    of a wrong type raises TypeError; one that is too small, too large or not a number raises ValueError.

    closed_after: 60 seconds
        Time for which a closed TCP connection still accepts packets. Then it is returned. Later packets are ignored,
        and the summary counts them as late.
    silent_after: 3600 seconds
        Time without packets after which a TCP connection is treated as closed.
    udp_silent_after: 600 seconds
        Time without datagrams after which the TLS connections of a UDP flow are treated as closed.
    known: 200,000 TCP connections
        TCP connections in the flow table. Beyond it, finished connections are evicted first, then connections without
        payload if they fill more than half of the table, then those idle for longest. Later packets of an evicted
        connection begin a new one. The summary counts connections evicted before their end.
    udp_known: 250,000 UDP flows
        UDP flows in memory. Beyond it, those without TLS that have been idle for longest are evicted first. Later
        datagrams of an evicted flow begin a new one. The summary counts flows with TLS evicted before their end.
    followed: 100,000 connections
        Connections whose payload is reassembled because a handshake is in progress. Beyond it, the oldest are
        given up: the connection has the problem `limit`, and the summary counts it as given up.
    held_bytes: 1,048,576 bytes
        Bytes buffered after a gap, per direction of a connection. Beyond it, the missing bytes count as lost: the
        connection has the problems `limit` and `gap`.
    message_bytes: 4,194,304 bytes
        Bytes of handshake messages kept per connection. Further messages are left out, and facts that depend on them
        are None: the connection has the problem `limit`.
    total_bytes: 268,435,456 bytes
        Bytes that a process takes for all flows in its tables and for all handshakes, in progress or waiting for the
        end of their connection, with an estimate of the overhead. While there are more, nothing more is buffered or
        kept, and the oldest connections are given up: the connection has the problem `limit`, and the summary counts
        it as given up. Which connections these are depends on the number of processes. Flows leave at least 3/8 of
        these bytes to handshakes.
    max_sessions: 100,000 sessions
        Sessions remembered to link later connections to, and pairs of client and server remembered because a handshake
        failed. Beyond it, those seen least recently are evicted, and the summary counts them.
    """

    closed_after: float = 60.0
    silent_after: float = 3600.0
    udp_silent_after: float = 600.0
    known: int = 200_000
    udp_known: int = 250_000
    followed: int = 100_000
    held_bytes: int = 1 << 20
    message_bytes: int = 4 << 20
    total_bytes: int = 256 << 20
    max_sessions: int = 100_000

    def __post_init__(self) -> None:
        """Validate each limit."""
        for name in self.__struct_fields__:
            if name.endswith("_after"):
                seconds(name, getattr(self, name))
            else:
                whole(name, getattr(self, name), LEAST[name])


LEAST = {
    "known": 1,
    "udp_known": 1,
    "followed": 1,
    "held_bytes": 0,
    "message_bytes": 0,
    "total_bytes": 0,
    "max_sessions": 0,
}
"""The minimum of each integer: with no flow known or followed, no connection could be returned."""
MOST = 2**63 - 1
"""The maximum of each integer, which compiled modules can represent."""


def seconds(name: str, given: Any) -> None:
    """Raise TypeError or ValueError if `given` is not a duration in seconds; infinity is one."""
    if isinstance(given, bool) or not isinstance(given, Real):
        raise TypeError(f"{name} must be a number of seconds, not {type(given).__name__}")
    if not given >= 0:  # type: ignore[operator]  # False for NaN; typeshed's Real lacks >=
        raise ValueError(f"{name} must be a number of seconds of at least 0, not {given}")


def whole(name: str, given: Any, least: int) -> None:
    """Raise TypeError or ValueError if `given` is not an integer from `least` to MOST."""
    if isinstance(given, bool) or not isinstance(given, Integral):
        raise TypeError(f"{name} must be a whole number, not {type(given).__name__}")
    if abs(int(given)) > MOST:
        raise ValueError(f"{name} must be a whole number of at least {least} and at most {MOST}")
    if int(given) < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {given}")


FOREVER = 2.0**31
"""Seconds in 68 years: longer and infinite durations are cut to this."""


def nanoseconds(seconds: float) -> int:
    """Convert a duration from seconds to nanoseconds."""
    return int(min(FOREVER, seconds) * 1e9)
