"""Clients that try again after a failure, with less."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import ClientHello, Connection

WITHIN = timedelta(seconds=10)
"""How long after the last packet of a failed connection its retry begins at the latest."""
MAX_BYTES = 64 << 20
"""Bytes that remembered failures take, by estimate; of more, those of the peers that failed first are evicted."""
MAX_OFFERED = 4096
"""Names that a hello may offer to be remembered: a failure with more is evicted at once, and takes up no other."""
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
    offer: tuple[frozenset[str], ...] | None
    """None: bytes of its hello are missing, and what they offered is not known."""
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
        self._latest: tuple[ClientHello, tuple[frozenset[str], ...]] | None = None
        """The hello looked at last, and what it offers: one that fails again is looked for and then remembered."""
        self.evicted = 0
        """Pairs of peers whose failures were evicted for want of room."""

    def has_failed(self, who: Iterable[Peers]) -> bool:
        """Whether a connection of these peers failed before."""
        return bool(self._failed) and any(one in self._failed for one in who)

    def learn(self, connection: Connection) -> None:
        """Remember a connection that failed, and when."""
        start, end = _time(connection.start), _time(connection.end)
        if connection.client_hello is None or start is None or end is None:
            return
        pairs, hello = peers(connection), connection.client_hello
        if _offered_names(hello) > MAX_OFFERED:
            self.evicted += len(pairs)
            return
        highest, offer = _highest(hello), self._offer(hello) if connection.has_whole_client_hello else None
        size = FAILED_BYTES + NAME_BYTES * sum(map(len, offer or ())) + 2 * len(connection.sni or "")
        one = _Failed(connection.source, connection.stream, start, end, highest, offer, pairs, size)
        for who in pairs:
            before = self._failed.pop(who, ())
            kept = before[1 - MAX_FAILED :]
            self._failed[who] = (*kept, one)
            self._used += size - sum([other.size for other in before[: len(before) - len(kept)]])
        while len(self._failed) > self._limit or self._used > MAX_BYTES:
            _, gone = self._failed.popitem(last=False)
            self._used -= sum([other.size for other in gone])
            self.evicted += 1

    def find(self, connection: Connection) -> Retry | None:
        """Tell the latest failed connection that this one takes up with less, and that no other did; None: none.

        Less is a lower highest version, TLS_FALLBACK_SCSV (RFC 7507), or nothing new and something left out. Where
        bytes of either hello are missing, only TLS_FALLBACK_SCSV is evidence: what is not there may have been offered.
        """
        hello, start = connection.client_hello, _time(connection.start)
        if hello is None or start is None or _offered_names(hello) > MAX_OFFERED:
            return None
        falls_back = _SCSV in (hello.cipher_suites or ())
        if not connection.has_whole_client_hello and not falls_back:
            return None
        highest, offer = _highest(hello), self._offer(hello)
        for who in peers(connection):
            for one in reversed(self._failed.get(who, ())):
                if not one.start <= start <= one.end + WITHIN:
                    continue
                if falls_back or (one.offer is not None and (highest < one.highest or _is_less(offer, one.offer))):
                    self._remove(one)
                    return Retry(one.source, one.stream, not falls_back)
        return None

    def _offer(self, hello: ClientHello) -> tuple[frozenset[str], ...]:
        if self._latest is None or self._latest[0] is not hello:
            self._latest = hello, _offer(hello)
        return self._latest[1]

    def _remove(self, one: _Failed) -> None:
        """Forget a failure: it was tried again."""
        for who in one.peers:
            before = self._failed.get(who, ())
            others = tuple([other for other in before if other is not one])
            self._used -= one.size * (len(before) - len(others))
            if others:
                self._failed[who] = others
            else:
                self._failed.pop(who, None)


def _is_less(offer: tuple[frozenset[str], ...], than: tuple[frozenset[str], ...]) -> bool:
    """Whether an offer has nothing that another has not, and lacks something."""
    return offer != than and all(one <= other for one, other in zip(offer, than, strict=True))


def _highest(hello: ClientHello) -> str:
    """The highest version: names of versions are in the order of the alphabet."""
    versions = hello.supported_versions or (hello.version,)
    return max([name for name in versions if name.startswith(("SSL ", "TLS "))], default="")


def _offer(hello: ClientHello) -> tuple[frozenset[str], ...]:
    """Versions, cipher suites, groups, signature schemes and application protocols."""
    return tuple([_offered(frozenset(names)) for names in _lists(hello)])


def _offered_names(hello: ClientHello) -> int:
    return sum([len(names) for names in _lists(hello)])


def _lists(hello: ClientHello) -> tuple[tuple[str, ...], ...]:
    versions = hello.supported_versions or (hello.version,)
    lists = (hello.cipher_suites, hello.groups, hello.signature_schemes, hello.alpn)
    return versions, *[names or () for names in lists]


def _offered(names: frozenset[str]) -> frozenset[str]:
    """Leave out what is no offer; a long list is copied only if it has any of that."""
    return names if _NO_OFFER.isdisjoint(names) else names - _NO_OFFER


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
