"""Retries: clients that connect again after a failed handshake, with a smaller offer."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tlsdissect.model.connection import ClientHello, Connection

WITHIN = timedelta(seconds=10)
"""Maximum time from the last packet of a failed connection to its retry."""
RETRIES_BYTES = 64 << 20
"""Maximum estimated bytes of remembered failures; beyond it, those of the peers that failed first are evicted."""
MAX_OFFERED = 4096
"""Maximum names in a hello; a connection that offers more is neither remembered nor recognised as a retry."""
MAX_FAILED = 8
"""Maximum failed connections remembered of one client with one server."""

FAILED_BYTES = 1024
"""Estimated bytes of a failure besides its offer."""
NAME_BYTES = 100
"""Estimated bytes of an offered name."""

_SCSV = "TLS_FALLBACK_SCSV"
_NO_OFFER = frozenset(("GREASE", _SCSV, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"))
"""Names in a hello that offer nothing: GREASE and signalling values."""

Peers = tuple[str | int, ...]
"""A transport, a client and a server, which is identified by its address and port or by its name."""


class _Failed(NamedTuple):
    """A connection that failed."""

    source: str
    stream: int
    start: datetime
    end: datetime
    highest: str
    offer: tuple[tuple[str, ...], ...] | None
    """The names in its hello (sets would take twice the memory); None if bytes of its hello are missing."""
    peers: tuple[Peers, ...]
    size: int
    """Its estimated bytes."""


class Retry(NamedTuple):
    """The failed connection that another one retries, and whether that is a guess."""

    source: str
    stream: int
    guessed: bool


def peers(connection: Connection) -> tuple[Peers, ...]:
    """Return the keys that a connection and its retries share: by the server's address and port, and by the SNI.

    In RADIUS, the client's address is that of a network access server with many supplicants.
    """
    server, transport, eap = connection.server, connection.transport, connection.eap
    client = connection.client.host if eap is None else eap.supplicant
    if client is None:
        return ()
    address: Peers = (transport, client, server.host, server.port or 0)
    return (address,) if connection.sni is None else (address, (transport, client, connection.sni))


def failed(connection: Connection) -> bool:
    """Return whether a client may retry: an alert, or a silent or closing server, ended its handshake.

    A client that closes the connection without an alert does not count as failed.
    """
    if connection.complete or connection.client_hello is None:
        return False
    return connection.outcome in {"alert", "no_answer"} or connection.failed_by == "server"


class Retries:
    """The latest failed connections, by client and server."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._failed: OrderedDict[Peers, tuple[_Failed, ...]] = OrderedDict()
        self._used = 0
        self.evicted = 0
        """Pairs of peers whose failures were evicted, or not remembered because of their size."""

    @property
    def is_empty(self) -> bool:
        """Whether no failure is remembered."""
        return not self._failed

    def has_failed(self, pairs: Iterable[Peers]) -> bool:
        """Return whether a connection of these peers has failed."""
        return bool(self._failed) and any(one in self._failed for one in pairs)

    def learn(self, connection: Connection) -> None:
        """Remember a connection that failed."""
        start, end = _time(connection.start), _time(connection.end)
        if connection.client_hello is None or start is None or end is None:
            return
        pairs, hello = peers(connection), connection.client_hello
        if _offered_names(hello) > MAX_OFFERED:
            self.evicted += len(pairs)
            return
        highest, offer = _highest(hello), _lists(hello) if connection.has_whole_client_hello else None
        size = FAILED_BYTES + NAME_BYTES * sum(map(len, offer or ())) + 2 * len(connection.sni or "")
        one = _Failed(connection.source, connection.stream, start, end, highest, offer, pairs, size)
        for pair in pairs:
            before = self._failed.pop(pair, ())
            kept = before[1 - MAX_FAILED :]
            self._failed[pair] = (*kept, one)
            self._used += size - sum([other.size for other in before[: len(before) - len(kept)]])
        while len(self._failed) > self._limit or self._used > RETRIES_BYTES:
            _, gone = self._failed.popitem(last=False)
            self._used -= sum([other.size for other in gone])
            self.evicted += 1

    def find(self, connection: Connection) -> Retry | None:
        """Return and remove the latest failed connection that this one retries with a smaller offer; None if none.

        An offer is smaller if its highest version is lower, if it has TLS_FALLBACK_SCSV (RFC 7507), or if it leaves
        something out and adds nothing. If bytes of either hello are missing, only TLS_FALLBACK_SCSV is evidence.
        """
        hello, start = connection.client_hello, _time(connection.start)
        if hello is None or start is None or _offered_names(hello) > MAX_OFFERED:
            return None
        falls_back = _SCSV in (hello.cipher_suites or ())
        if not connection.has_whole_client_hello and not falls_back:
            return None
        highest, offer = _highest(hello), _offer(_lists(hello))
        for pair in peers(connection):
            for one in reversed(self._failed.get(pair, ())):
                if not one.start <= start <= one.end + WITHIN:
                    continue
                if falls_back or (
                    one.offer is not None and (highest < one.highest or _is_less(offer, _offer(one.offer)))
                ):
                    self._remove(one)
                    return Retry(one.source, one.stream, not falls_back)
        return None

    def _remove(self, one: _Failed) -> None:
        """Remove a failure that was retried."""
        for pair in one.peers:
            before = self._failed.get(pair, ())
            others = tuple([other for other in before if other is not one])
            self._used -= one.size * (len(before) - len(others))
            if others:
                self._failed[pair] = others
            else:
                self._failed.pop(pair, None)


def _is_less(offer: tuple[frozenset[str], ...], than: tuple[frozenset[str], ...]) -> bool:
    """Return whether an offer leaves something out of another one and adds nothing."""
    return offer != than and all(one <= other for one, other in zip(offer, than, strict=True))


def _highest(hello: ClientHello) -> str:
    """Return the highest version; the alphabetical order of version names is their order."""
    versions = hello.supported_versions or (hello.version,)
    return max([name for name in versions if name.startswith(("SSL ", "TLS "))], default="")


def _offer(lists: tuple[tuple[str, ...], ...]) -> tuple[frozenset[str], ...]:
    """Return what the names in a hello offer."""
    return tuple([_offered(frozenset(names)) for names in lists])


def _offered_names(hello: ClientHello) -> int:
    return sum([len(names) for names in _lists(hello)])


def _lists(hello: ClientHello) -> tuple[tuple[str, ...], ...]:
    """Return the versions, cipher suites, groups, signature schemes and application protocols of a hello."""
    versions = hello.supported_versions or (hello.version,)
    lists = (hello.cipher_suites, hello.groups, hello.signature_schemes, hello.alpn)
    return versions, *[names or () for names in lists]


def _offered(names: frozenset[str]) -> frozenset[str]:
    """Remove names that offer nothing; the set is copied only if it contains any."""
    return names if _NO_OFFER.isdisjoint(names) else names - _NO_OFFER


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
