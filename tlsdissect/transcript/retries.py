"""Clients that try again after a failure, with less."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.transcript.connection import ClientHello, Connection

WITHIN = timedelta(seconds=10)
"""How long after the last packet of a failed connection its retry begins at the latest."""
MAX_FAILED = 8
"""Failed connections that are remembered of one client with one server."""

_SCSV = "TLS_FALLBACK_SCSV"
_NO_OFFER = frozenset(("GREASE", _SCSV, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"))
"""What fills a hello, or signals, and offers nothing."""

Peers = tuple[str | int, ...]
"""A client and a server, by their addresses or by the server's name."""


class _Failed(NamedTuple):
    """A connection that failed."""

    source: str
    stream: int
    start: datetime
    end: datetime
    hello: ClientHello
    peers: tuple[Peers, ...]


class Retry(NamedTuple):
    """The failed connection that another one takes up, and whether that is a guess."""

    source: str
    stream: int
    guessed: bool


def peers(connection: Connection) -> tuple[Peers, ...]:
    """Under what a connection and its retries are found: the server's address and port, and the name asked for."""
    client, server = connection.client.ip, connection.server
    address: Peers = (client, server.ip, server.port)
    return (address,) if connection.sni is None else (address, (client, connection.sni))


def failed(connection: Connection) -> bool:
    """Whether a handshake was refused, by an alert or by the server's silence or end: its client may try again.

    A client that leaves without an alert has lost interest.
    """
    refused = connection.outcome in {"alert", "no_answer"} or connection.failed_by == "server"
    return refused and not connection.complete and connection.client_hello is not None


class Retries:
    """The latest failed connections, by who talked to whom."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failed: OrderedDict[Peers, tuple[_Failed, ...]] = OrderedDict()
        self.forgotten = 0
        """Pairs of peers whose failures were forgotten for want of room."""

    def may_know(self, who: Iterable[Peers]) -> bool:
        """Whether a connection of these peers failed before."""
        return bool(self._failed) and any(one in self._failed for one in who)

    def learn(self, connection: Connection) -> None:
        """Remember a connection that failed, and when."""
        start, end = _time(connection.start), _time(connection.end)
        if connection.client_hello is None or start is None or end is None:
            return
        pairs = peers(connection)
        one = _Failed(connection.source, connection.stream, start, end, connection.client_hello, pairs)
        for who in pairs:
            before = self._failed.pop(who, ())
            self._failed[who] = (*before[1 - MAX_FAILED :], one)
        while len(self._failed) > self._limit:
            self._failed.popitem(last=False)
            self.forgotten += 1

    def find(self, connection: Connection) -> Retry | None:
        """Tell the latest failed connection that this one takes up with less, and that no other did; None: none."""
        hello, start = connection.client_hello, _time(connection.start)
        if hello is None or start is None:
            return None
        for who in peers(connection):
            for one in reversed(self._failed.get(who, ())):
                if one.start <= start <= one.end + WITHIN and _is_less(hello, one.hello):
                    self._take(one)
                    return Retry(one.source, one.stream, _SCSV not in (hello.cipher_suites or ()))
        return None

    def _take(self, one: _Failed) -> None:
        """Forget a failure: it was tried again."""
        for who in one.peers:
            others = tuple([other for other in self._failed.get(who, ()) if other is not one])
            if others:
                self._failed[who] = others
            else:
                self._failed.pop(who, None)


def _is_less(hello: ClientHello, than: ClientHello) -> bool:
    """Whether a hello has a lower highest version, TLS_FALLBACK_SCSV (RFC 7507), or nothing new and something less."""
    if _SCSV in (hello.cipher_suites or ()) or _highest(hello) < _highest(than):
        return True
    mine, others = _offer(hello), _offer(than)
    return mine != others and all(one <= other for one, other in zip(mine, others, strict=True))


def _highest(hello: ClientHello) -> str:
    """The highest version: names of versions are in the order of the alphabet."""
    versions = hello.supported_versions or (hello.version,)
    return max([name for name in versions if name.startswith(("SSL ", "TLS "))], default="")


def _offer(hello: ClientHello) -> tuple[frozenset[str], ...]:
    """Versions, cipher suites, groups, signature schemes and application protocols."""
    versions = hello.supported_versions or (hello.version,)
    lists = (versions, hello.cipher_suites, hello.groups, hello.signature_schemes, hello.alpn)
    return tuple(frozenset(names or ()) - _NO_OFFER for names in lists)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
