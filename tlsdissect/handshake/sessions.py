# cython: boundscheck=True, wraparound=False, overflowcheck=True, nonecheck=True, cdivision=False
"""Keys of sessions, by which connections are linked: of sessions that a handshake sets up, and that a hello offers.

A session is identified by the server's session ID (RFC 5246 section 7.4.1.3), by a plaintext ticket (RFC 5077 section
3.3), or, if the ticket was encrypted, by the identity under which clients offer it (RFC 8446 section 4.2.11).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

import cython

from tlsdissect.tls.codepoints import ExtensionType, HandshakeType
from tlsdissect.tls.extensions import FROM_CLIENT, decode
from tlsdissect.tls.messages import NewSessionTicket
from tlsdissect.tls.wire import Reader, WireError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.handshake.events import HandshakeEvent, SeenClientHello, SeenServerHello
    from tlsdissect.handshake.log import HandshakeLog
    from tlsdissect.model.connection import ClientHello as ConnectionHello
    from tlsdissect.model.connection import Connection, Transport

MIN_ID = 8
"""Minimum bytes of a session ID that counts as unique."""
# C integers, by the .pxd.
_NEW_SESSION_TICKET, _SERVER_HELLO_DONE = int(HandshakeType.NEW_SESSION_TICKET), int(HandshakeType.SERVER_HELLO_DONE)
# Looked up once: in Python 3.11, each access to a member of an Enum takes 0.2 µs.
_PRE_SHARED_KEY = ExtensionType.PRE_SHARED_KEY
_SESSION_TICKET = ExtensionType.SESSION_TICKET
_ID, _TICKET, _IDENTITY, _TICKET13 = b"id", b"ticket", b"identity", b"ticket13"


class Session(NamedTuple):
    """The keys of sessions that a connection set up, or of identities that it offered."""

    source: str
    transport: Transport
    stream: int
    frame: int
    """The frame that completed the message or the handshake."""
    keys: tuple[bytes, ...]


class Named(NamedTuple):
    """The keys of the sessions that a connection refers to."""

    resumed: bytes | None = None
    """The session that it resumes, in TLS 1.2 and older."""
    offered: tuple[bytes, ...] = ()
    """Its TLS 1.3 identities."""
    selected: bytes | None = None
    """The ticket of TLS 1.3 that the server accepted."""


NOTHING = Named()
_NOT_RESUMED = frozenset((None, "none", "psk"))


@cython.ccall
def established(log: HandshakeLog, decided_frame: cython.longlong) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the sessions that a handshake before TLS 1.3, decided in this frame, set up or renewed by a ticket."""
    event: HandshakeEvent
    server_hello: SeenServerHello | None = log.server_hello
    if log.tls13 or server_hello is None or not (log.has_finished[0] and log.has_finished[1]):
        return ()
    keys: list[bytes] = []
    full: cython.bint = False
    for event in log.events:
        if event.frame > decided_frame:
            break
        if event.handshake_type is None:
            continue
        kind: cython.longlong = event.handshake_type
        if kind == _NEW_SESSION_TICKET:
            keys += _ticket(event.body)
        elif kind == _SERVER_HELLO_DONE:
            full = True
    if full:
        keys += _session_id(server_hello.session_id)
    return tuple(keys)


@cython.cfunc
def _session_id(session_id: bytes) -> list[bytes]:
    """Return the key of the session ID of a full handshake; in a resumption the server repeats the client's."""
    return [_key(_ID, session_id)] if len(session_id) >= MIN_ID else []


@cython.cfunc
def _ticket(body: bytes) -> list[bytes]:
    """Return the key of a ticket; none if it is empty (RFC 5077 section 3.3) or malformed, which `facts` reports."""
    try:
        ticket = NewSessionTicket.read(Reader(body)).ticket
    except WireError:
        return []
    return [_key(_TICKET, ticket)] if ticket else []


@cython.ccall
def identities(log: HandshakeLog) -> tuple:  # type: ignore[type-arg]  # Cython would make a C struct of tuple[...]
    """Return the keys of the TLS 1.3 identities in the first ClientHello (RFC 8446 section 4.2.11)."""
    client_hello: SeenClientHello | None = log.client_hello
    data = None if client_hello is None else client_hello.pre_shared_keys
    if data is None:
        return ()
    try:
        body = decode(FROM_CLIENT, _PRE_SHARED_KEY, data)
    except WireError:
        return ()
    return tuple([_key(_IDENTITY, one.identity) for one in getattr(body, "identities", ())])


def opened_tickets(connection: Connection) -> Iterator[Session]:
    """Yield the tickets of TLS 1.3 that keys opened."""
    for ticket in () if connection.hidden is None else connection.hidden.session_tickets or ():
        key = _key(_TICKET13, bytes.fromhex(ticket.identity))
        yield Session(connection.source, connection.transport, connection.stream, ticket.frame, (key,))


def named(connection: Connection) -> Named:
    """Return the keys of the sessions that a connection refers to, by its facts."""
    hello, resumption = connection.client_hello, connection.resumption
    if hello is None:
        return NOTHING
    extensions = hello.extensions
    last = extensions[len(extensions) - 1] if extensions else None
    if last is not None and last.code == _PRE_SHARED_KEY:
        identities = [bytes.fromhex(one["identity"]) for one in getattr(last, "identities", ())]
        offered = tuple([_key(_IDENTITY, identity) for identity in identities])
        return Named(_resumed(hello, resumption), offered, _selected(connection, identities))
    return NOTHING if resumption in _NOT_RESUMED else Named(_resumed(hello, resumption))


def _selected(connection: Connection, identities: list[bytes]) -> bytes | None:
    """Return the ticket that the server accepted, if keys may have opened it where it was sent."""
    server_hello = connection.server_hello
    if connection.hidden is None or server_hello is None:
        return None
    for extension in server_hello.extensions or ():
        at = getattr(extension, "selected_identity", None)
        if at is not None and at < len(identities):
            return _key(_TICKET13, identities[at])
    return None


def _resumed(hello: ConnectionHello, resumption: str | None) -> bytes | None:
    if resumption == "session_id" and hello.session_id:
        return _key(_ID, bytes.fromhex(hello.session_id))
    if resumption == "ticket":
        tickets = [getattr(one, "data", "") for one in hello.extensions or () if one.code == _SESSION_TICKET]
        return _key(_TICKET, bytes.fromhex(tickets[0])) if tickets else None
    return None


@cython.cfunc
def _key(kind: bytes, name: bytes) -> bytes:
    """Hash a session ID, ticket or identity to 16 bytes, so that a table of keys is bounded."""
    return blake2b(name, digest_size=16, person=kind).digest()
