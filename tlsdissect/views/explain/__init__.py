"""What happened in a handshake, in sentences, each with the frames that it rests on."""

from __future__ import annotations

from functools import partial

from msgspec.structs import replace

from tlsdissect.model.connection import Connection, Origin
from tlsdissect.model.renumbering import in_reading_order
from tlsdissect.model.transcript import KeptConnection
from tlsdissect.views.explain import eap
from tlsdissect.views.explain.both_ends import between
from tlsdissect.views.explain.conflicts import conflicting
from tlsdissect.views.explain.ending import ending
from tlsdissect.views.explain.keys import opened
from tlsdissect.views.explain.model import Explanation, Sentence
from tlsdissect.views.explain.negotiation import choice, observer, offer
from tlsdissect.views.explain.stories import Stories
from tlsdissect.views.explain.timing import trips
from tlsdissect.views.explain.verdict import verdict
from tlsdissect.views.printable import TextBlocks

_PROTOCOLS = {
    "unknown": "another protocol",
    "http-connect": "HTTP (CONNECT)",
    "http-upgrade": "HTTP (Upgrade)",
    "proxy": "the PROXY protocol",
    "mysql": "MySQL",
    "postgresql": "PostgreSQL",
    "sieve": "ManageSieve",
    "sunrpc": "ONC RPC",
    "gnutella": "Gnutella",
    "telnet": "Telnet",
}
"""Protocols before TLS whose names are not their codes in capitals."""


def text(width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> TextBlocks:
    """Return the view that explains each connection as text."""
    return TextBlocks(lambda connection: explain(connection).lines(width, coloured=coloured), encoding)


def grouped(width: int | None = None, *, coloured: bool = False, encoding: str = "utf-8") -> Stories:
    """Return the view that explains the first connection of each kind as text, and counts the others."""
    return Stories(explain, width, coloured=coloured, encoding=encoding)


def explain(connection: Connection) -> Explanation:
    """Say in sentences what was offered and chosen, what took how long, who could read what, and how it ended.

    Each sentence has a code that stays the same and the frames that it rests on; `guess` marks what is concluded and
    not read. `verdict` says in one line how the handshake ended. A connection that was read with `keep=True` also has
    sentences about losses and delays of TCP.
    """
    if not isinstance(connection, Connection):
        raise TypeError(f"this is not a connection but a {type(connection).__name__}")
    # These name frames in their texts.
    conflicts = tuple(conflicting(_seen(connection)))
    return in_reading_order(connection, _explained, conflicts)


def _seen(connection: Connection) -> Connection:
    """Return the connection as an observer without keys sees it; the same sentences explain it."""
    return connection if connection.hidden is None else replace(connection, hidden=None)


def _explained(connection: Connection, conflicts: tuple[Sentence, ...]) -> Explanation:
    before: tuple[Sentence, ...] = ()
    if connection.upgrade:
        target = f" to {connection.upgrade_target}" if connection.upgrade_target else ""
        spoken = f"{_PROTOCOLS.get(connection.upgrade, connection.upgrade.upper())}{target}"
        # Without an answer in TLS, the client may have begun it on its own.
        agreed = any(message.sender == "server" for message in connection.messages)
        text = (
            f"Before TLS, client and server spoke {spoken}."
            if agreed
            else f"Before the ClientHello, {spoken} was spoken."
        )
        before = (Sentence("offer", "upgrade", text, (connection.first_frame,)),)
    seen = _seen(connection)
    other = connection.other_view if isinstance(connection, KeptConnection) else None
    parts = (
        eap.access,
        offer,
        choice,
        trips,
        between,
        eap.fragments,
        eap.identity,
        observer,
        lambda _: conflicts,
        partial(ending, opened=connection),
        partial(eap.result, opened=connection),
    )
    return Explanation(
        connection.source,
        connection.transport,
        connection.stream,
        connection.client,
        connection.server,
        verdict(connection),
        (*before, *(sentence for part in parts for sentence in part(seen)), *opened(connection)),
        None if other is None else Origin(other.source, other.stream),
        connection.captures,
    )
