"""Links between connections: one resumes the session of another, offers the same ticket, or retries after a failure.

A connection is linked when it is returned, to connections and sessions that come before it in the order of the output.
So the links do not depend on the number of processes that read the captures.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tlsdissect.handshake.retries import Peers, Retries, Retry, failed, peers
from tlsdissect.handshake.sessions import NOTHING, Named, Session, named
from tlsdissect.model.connection import Connection, Origin, Problem, Transport

if TYPE_CHECKING:
    from collections.abc import Callable


class Trace(NamedTuple):
    """The facts of a connection that may link it to others."""

    frame: int
    """The frame of its ClientHello, or its first frame."""
    transport: Transport
    named: Named
    peers: tuple[Peers, ...]
    failed: bool

    @classmethod
    def of(cls, connection: Connection, sessions: Named | None = None) -> Trace:
        """Return the trace of a connection; `sessions` are those it refers to, if already known."""
        sessions = named(connection) if sessions is None else sessions
        hello = connection.client_hello
        frame = connection.first_frame if hello is None else hello.frame
        return cls(frame, connection.transport, sessions, peers(connection), failed(connection))


class Links(NamedTuple):
    """The earlier connections to which a connection is linked."""

    resumes: Origin | None = None
    same_ticket_as: Origin | None = None
    retry: Retry | None = None
    ticket: Origin | None = None
    """The one that sent the ticket of TLS 1.3 with which it resumes."""


NONE = Links()
_GUESSED = Problem("inferred", "the retry is inferred from its time and its smaller offer", facts=("retry_of",))


class _FirstSeen(Struct, frozen=True, gc=False):
    """The first place in which a session was seen."""

    capture: int
    frame: int
    origin: Origin


class Linker:
    """The sessions and failures of a run; beyond the limit, those seen least recently are evicted."""

    def __init__(self, max_sessions: int) -> None:
        self._limit = max_sessions
        self._sessions: OrderedDict[bytes, _FirstSeen] = OrderedDict()
        self._retries = Retries(max_sessions)
        self._evicted = 0

    @property
    def evicted(self) -> int:
        """Sessions and failures that were evicted."""
        return self._evicted + self._retries.evicted

    def learn(self, capture: int, session: Session) -> None:
        """Remember where a session was first seen; `capture` is the number of its capture."""
        shown = _FirstSeen(capture, session.frame, Origin(session.source, session.stream))
        for key in session.keys:
            place = _place(session.transport, key)
            self._sessions.setdefault(place, shown)
            self._sessions.move_to_end(place)
        while len(self._sessions) > self._limit:
            self._sessions.popitem(last=False)
            self._evicted += 1

    def link(self, capture: int, connection: Connection) -> Connection:
        """Return a copy of the connection that names the connections it is linked to."""
        sessions = named(connection)
        if sessions is NOTHING and connection.complete and self._retries.is_empty:
            return connection
        return linked(connection, self.links(capture, Trace.of(connection, sessions), lambda: connection))

    def links(self, capture: int, trace: Trace, facts: Callable[[], Connection]) -> Links:
        """Return the links of a connection; `facts` is called only if a failed connection may be involved."""
        resumed, offered, selected = trace.named
        resumes = self._earlier(capture, trace, resumed) if resumed else None
        same = next((one for key in offered if (one := self._earlier(capture, trace, key))), None)
        ticket = self._earlier(capture, trace, selected) if selected else None
        retry = self._retries.find(facts()) if self._retries.has_failed(trace.peers) else None
        if trace.failed:
            self._retries.learn(facts())
        return Links(resumes, same, retry, ticket) if resumes or same or retry or ticket else NONE

    def _earlier(self, capture: int, trace: Trace, key: bytes) -> Origin | None:
        place = _place(trace.transport, key)
        shown = self._sessions.get(place)
        if shown is None:
            return None
        self._sessions.move_to_end(place)
        return shown.origin if (shown.capture, shown.frame) < (capture, trace.frame) else None


def _place(transport: Transport, key: bytes) -> bytes:
    """Return the key of a session of a transport; a tuple of both would take a fifth of the memory of sessions."""
    return transport.encode() + key


def linked(connection: Connection, links: Links) -> Connection:
    """Return the connection with these links."""
    if links is NONE:
        return connection
    resumes, same, retry, ticket = links
    problems, retry_of = connection.problems, None
    if retry is not None:
        retry_of = Origin(retry.source, retry.stream)
        if retry.guessed:
            problems = (*problems, _GUESSED)
    hidden = connection.hidden
    if hidden is not None and ticket is not None:
        hidden = replace(hidden, resumes=ticket)
    return replace(
        connection, resumes=resumes, same_ticket_as=same, retry_of=retry_of, hidden=hidden, problems=problems
    )


def unlinked(connection: Connection) -> Connection:
    """Return the connection without the links that `linked` gave it."""
    hidden = connection.hidden
    if hidden is not None and hidden.resumes is not None:
        hidden = replace(hidden, resumes=None)
    problems = tuple([one for one in connection.problems if one != _GUESSED])
    return replace(connection, resumes=None, same_ticket_as=None, retry_of=None, hidden=hidden, problems=problems)
