"""Handshakes of a report that took much longer than their round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.views.durations import in_ms
from tlsdissect.views.explain import explain
from tlsdissect.views.report.summary import Servers

if TYPE_CHECKING:
    from tlsdissect.model.connection import Connection

_LATE_MS = 100.0
"""Milliseconds beyond the round trips: about what a lost packet, or a server that waits for another one, takes."""
_CAUSES = (
    "sent_again", "late_segment", "initial_window", "delayed_ack", "ocsp_lookup", "crl_download", "slow_server",
    "split_path",
)  # fmt: skip
"""Codes of the sentences that say what took so long, the most certain first."""


class Delay(Struct, frozen=True):
    """How many handshakes were late, and what is known about the slowest of them."""

    connections: int
    text: str
    """What they have in common, to be read after their number."""
    where: str
    """Their servers."""
    cause: str
    """What made the slowest one late, if that can be said."""
    slowest: int
    """The number of the slowest one in the page's table."""


class Delays:
    """Counts late handshakes, and keeps what explains the slowest one."""

    def __init__(self) -> None:
        self._rows = self._many = self._slowest = 0
        self._late = 0.0
        self._cause = ""
        self._servers = Servers()

    def add(self, c: Connection) -> None:
        """Add a connection that was read with its transcript."""
        late = _late(c)
        if late is not None and late >= _LATE_MS:
            self._many += 1
            self._servers.add(c)
            if late > self._late:
                self._slowest, self._late, self._cause = self._rows, late, _cause(c)
        self._rows += 1

    def result(self) -> Delay | None:
        """Return what was found; None if no handshake was late."""
        if not self._many:
            return None
        who, whose, which = ("handshake", "its", "") if self._many == 1 else ("handshakes", "their", "the slowest ")
        text = f"{who} took {in_ms(_LATE_MS)} or more beyond {whose} round trips, {which}{in_ms(self._late)}"
        return Delay(self._many, text, self._servers.named(), self._cause, self._slowest)


def _late(c: Connection) -> float | None:
    """Return the milliseconds of a handshake beyond its round trips of TCP."""
    took, trips, rtt = c.timing.handshake_ms, c.round_trips, c.timing.tcp_ms
    return None if took is None or trips is None or rtt is None else took - trips * rtt


def _cause(c: Connection) -> str:
    said = {one.code: one.without_frames for one in reversed(explain(c).about("time"))}
    return next((said[code] for code in _CAUSES if code in said), "")
