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
MAX_BYTES = 64 << 20
"""Bytes that remembered failures take, by estimate; of more, those of the peers that failed first are forgotten."""
MAX_FAILED = 8
"""Failed connections that are remembered of one client with one server."""

FAILED_BYTES = 1024
"""Bytes that a failure takes, by estimate, besides what was offered."""
NAME_BYTES = 100
"""Bytes that a name of what was offered takes in a set."""

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
    highest: str
    offer: tuple[frozenset[str], ...]
    peers: tuple[Peers, ...]
    size: int
    """Bytes that this takes, by estimate."""


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
        self._used = 0
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
        pairs, hello = peers(connection), connection.client_hello
        highest, offer = _highest(hello), _offer(hello)
        size = FAILED_BYTES + NAME_BYTES * sum(map(len, offer)) + 2 * len(connection.sni or "")
        one = _Failed(connection.source, connection.stream, start, end, highest, offer, pairs, size)
        for who in pairs:
            before = self._failed.pop(who, ())
            kept = before[1 - MAX_FAILED :]
            self._failed[who] = (*kept, one)
            self._used += size - sum([other.size for other in before[: len(before) - len(kept)]])
        while len(self._failed) > self._limit or self._used > MAX_BYTES:
            _, gone = self._failed.popitem(last=False)
            self._used -= sum([other.size for other in gone])
            self.forgotten += 1

    def find(self, connection: Connection) -> Retry | None:
        """Tell the latest failed connection that this one takes up with less, and that no other did; None: none."""
        hello, start = connection.client_hello, _time(connection.start)
        if hello is None or start is None:
            return None
        for who in peers(connection):
            for one in reversed(self._failed.get(who, ())):
                if one.start <= start <= one.end + WITHIN and _is_less(hello, one):
                    self._take(one)
                    return Retry(one.source, one.stream, _SCSV not in (hello.cipher_suites or ()))
        return None

    def _take(self, one: _Failed) -> None:
        """Forget a failure: it was tried again."""
        for who in one.peers:
            before = self._failed.get(who, ())
            others = tuple([other for other in before if other is not one])
            self._used -= one.size * (len(before) - len(others))
            if others:
                self._failed[who] = others
            else:
                self._failed.pop(who, None)


def _is_less(hello: ClientHello, than: _Failed) -> bool:
    """Whether a hello has a lower highest version, TLS_FALLBACK_SCSV (RFC 7507), or nothing new and something less."""
    if _SCSV in (hello.cipher_suites or ()) or _highest(hello) < than.highest:
        return True
    mine = _offer(hello)
    return mine != than.offer and all(one <= other for one, other in zip(mine, than.offer, strict=True))


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
