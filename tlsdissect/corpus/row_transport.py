"""Transport of output rows from the worker processes to the process that prints them.

Links between connections depend on all earlier connections, which no worker has seen: each sees only its shard. So a
worker sends each row already formatted, together with what the linker needs, and the printing process formats a row
again only if it has a link. Few connections do, so that nearly all formatting runs in parallel.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Protocol

from msgspec import msgpack

from tlsdissect.corpus.query import OutputRow
from tlsdissect.handshake.links import NONE, Linker, Trace, linked
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.model import serialization
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from tlsdissect.corpus.query import Query
    from tlsdissect.corpus.workers import WorkerOutput
    from tlsdissect.handshake.connections import ReadingEvent
    from tlsdissect.model.connection import Connection

_SESSION, _CONNECTION = b"s", b"c"
_SENT = msgpack.Encoder()
_RECEIVED = msgpack.Decoder(tuple[Trace, bytes, bytes])


class RowTransport(Protocol):
    """Encodes rows in a worker process and decodes them in the process that prints."""

    @property
    def evicted_sessions(self) -> int:
        """Sessions evicted, so that later connections could not be linked to them."""
        ...

    def pack(self, event: ReadingEvent) -> bytes:
        """Encode, in a worker, what the printing process needs."""
        ...

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Decode what `pack` encoded, in output order; None if there is nothing to print."""
        ...


class LinkingTransport:
    """Sends each row as it is printed, with what links its connection; formats a row again if it has links."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._linker = Linker(query.options.limits.max_sessions)

    @property
    def evicted_sessions(self) -> int:
        """Sessions evicted, so that later connections could not be linked to them."""
        return self._linker.evicted

    def pack(self, event: ReadingEvent) -> bytes:
        """Encode the row of a connection, empty if it is not selected, and the connection's facts."""
        if isinstance(event, Session):
            return _SESSION + pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
        if isinstance(event, CapturedLookup):
            return b""
        row = self._query.row(event).pack() if self._query.selection.matches(event) else b""
        facts = b"" if row and isinstance(self._query.view, Ndjson) else serialization.packed(event)
        return _CONNECTION + _SENT.encode((Trace.of(event), row, facts))

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Decode a row and add its links."""
        kind, data = output.text[:1], memoryview(output.text)[1:]
        if kind == _SESSION:
            self._linker.learn(output.place.capture, pickle.loads(data))  # noqa: S301  # from our own process
        if kind != _CONNECTION:
            return None
        trace, row, facts = _RECEIVED.decode(data)
        links = self._linker.links(output.place.capture, trace, lambda: _facts(row, facts))
        if not row or links is NONE:
            return OutputRow.unpack(row) if row else None
        return self._query.row(linked(_facts(row, facts), links))


def _facts(row: bytes, facts: bytes) -> Connection:
    """Decode the connection of a row. A JSON row is the encoded connection, so no separate facts are sent with it."""
    return serialization.unpacked(facts or OutputRow.unpack(row).text)
