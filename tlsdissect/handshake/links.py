"""Connections that belong together: one resumes another's session, shares its ticket, or tries again after it.

A connection is linked when it is told, to what was told or shown before: in the order of output, so that the links are
the same however the reading was shared.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tlsdissect.handshake.retries import Peers, Retries, Retry, failed, peers
from tlsdissect.handshake.sessions import Named, Session, named
from tlsdissect.model.connection import Connection, Origin, Problem

if TYPE_CHECKING:
    from collections.abc import Callable


class Trace(NamedTuple):
    """What of a connection may link it to others."""

    frame: int
    """That of its hello."""
    named: Named
    peers: tuple[Peers, ...]
    failed: bool

    @classmethod
    def of(cls, connection: Connection) -> Trace:
        """Take what links from a connection's facts."""
        hello = connection.client_hello
        frame = connection.first_frame if hello is None else hello.frame
        return cls(frame, named(connection), peers(connection), failed(connection))


class Links(NamedTuple):
    """Earlier connections, as far as any is known."""

    resumes: Origin | None = None
    same_ticket_as: Origin | None = None
    retry: Retry | None = None


NONE = Links()


class _FirstSeen(NamedTuple):
    """Where a session was shown first."""

    capture: int
    frame: int
    origin: Origin


class Linker:
    """The sessions and failures of a run: as many as its limit, those not named for longest evicted first."""

    def __init__(self, max_sessions: int) -> None:
        self._limit = max_sessions
        self._sessions: OrderedDict[bytes, _FirstSeen] = OrderedDict()
        self._retries = Retries(max_sessions)
        self._evicted = 0

    @property
    def evicted(self) -> int:
        """Sessions and failures that were evicted for want of room."""
        return self._evicted + self._retries.evicted

    def learn(self, capture: int, session: Session) -> None:
        """Remember who showed a session first; `capture` is the number of its capture."""
        shown = _FirstSeen(capture, session.frame, Origin(session.source, session.stream))
        for key in session.keys:
            self._sessions.setdefault(key, shown)
            self._sessions.move_to_end(key)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
            self._evicted += 1

    def link(self, capture: int, connection: Connection) -> Connection:
        """Give a connection its links."""
        return linked(connection, self.links(capture, Trace.of(connection), lambda: connection))

    def links(self, capture: int, trace: Trace, facts: Callable[[], Connection]) -> Links:
        """Tell the links of a connection; `facts` are asked for only where a failure may be involved."""
        resumed, offered = trace.named
        resumes = self._earlier(capture, trace, resumed) if resumed else None
        same = next((one for key in offered if (one := self._earlier(capture, trace, key))), None)
        retry = self._retries.find(facts()) if self._retries.has_failed(trace.peers) else None
        if trace.failed:
            self._retries.learn(facts())
        return Links(resumes, same, retry) if resumes or same or retry else NONE

    def _earlier(self, capture: int, trace: Trace, key: bytes) -> Origin | None:
        shown = self._sessions.get(key)
        if shown is None:
            return None
        self._sessions.move_to_end(key)
        return shown.origin if (shown.capture, shown.frame) < (capture, trace.frame) else None


def linked(connection: Connection, links: Links) -> Connection:
    """The same connection with its links."""
    if links is NONE:
        return connection
    resumes, same, retry = links
    problems, retry_of = connection.problems, None
    if retry is not None:
        retry_of = Origin(retry.source, retry.stream)
        if retry.guessed:
            problems = (*problems, Problem("inferred", "a retry is told by its time and by what it offers no more"))
    return replace(connection, resumes=resumes, same_ticket_as=same, retry_of=retry_of, problems=problems)
