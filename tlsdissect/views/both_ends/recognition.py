"""Recognizes views of the same connection in several captures by the random of its hellos.

A random is 28 or 32 bytes that a side draws for each hello (RFC 8446 section 4.1.2), so neither addresses and ports,
which NAT changes, nor clocks matter. A proxy that terminates TLS sends hellos of its own with different randoms, so the
connections on its two sides remain two. A random that occurs twice in one capture, because a hello was replayed or the
same packets were captured twice, proves nothing: its connections are not recognized.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.model.connection import Connection, Transport

MAX_CONNECTIONS = 200_000
"""Connections among which views of the same one are recognized."""


class View(NamedTuple):
    """Where a connection is seen."""

    source: str
    transport: Transport
    stream: int
    first_frame: int
    """Several connections of QUIC may share a stream."""

    @classmethod
    def of(cls, c: Connection) -> View:
        """Return where a connection is seen."""
        return cls(c.source, c.transport, c.stream, c.first_frame)


class _Sighting(NamedTuple):
    view: View
    server: str | None
    """The server's random; None if it was not seen."""


class Recognizer:
    """Collects connections, and finds which are views of the same one."""

    def __init__(self) -> None:
        self._seen: dict[bytes, list[_Sighting]] = {}
        self._room = MAX_CONNECTIONS
        self._left_out = 0
        self._first: str | None = None
        self._several = False

    @property
    def left_out(self) -> int:
        """Connections beyond the limit, whose other view may have been missed; none for a single capture."""
        return self._left_out if self._several else 0

    def add(self, c: Connection) -> bool:
        """Add a connection; return whether an earlier one is another view of it."""
        self._first = self._first or c.source
        self._several = self._several or c.source != self._first
        hello = c.client_hello
        if hello is None or hello.random is None:
            return False
        if not self._room:
            self._left_out += 1
            return False
        self._room -= 1
        key = blake2b(f"{c.transport} {hello.random}".encode(), digest_size=16).digest()
        server = None if c.server_hello is None else c.server_hello.random
        before = self._seen.setdefault(key, [])
        same = [one.view.source for one in before if _agree(one.server, server)]
        before.append(_Sighting(View.of(c), server))
        return bool(same) and c.source not in same and len(set(same)) == len(same)

    def pairs(self) -> Iterator[tuple[View, View]]:
        """Yield the two views of each connection that two captures show; of more views, the first two."""
        for sightings in self._seen.values():
            for group in _groups(sightings):
                sources = {one.view.source for one in group}
                if len(group) == len(sources) > 1:
                    yield group[0].view, group[1].view


def _groups(sightings: list[_Sighting]) -> list[list[_Sighting]]:
    """Return the sightings by the server's random; one without it belongs to the others if these agree."""
    randoms = {one.server for one in sightings} - {None}
    if len(randoms) <= 1:
        return [sightings]
    return [[one for one in sightings if one.server == random] for random in sorted(filter(None, randoms))]


def _agree(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
