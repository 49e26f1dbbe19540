"""The traces of a capture in a dataset: what links its connections to those of other captures, as Parquet.

A row is a session that was set up, or a connection that may resume one or retry another connection, in the order of the
reading. From these rows, the connections of all captures are linked without the captures.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from msgspec import json
from pyarrow import parquet

from tlsdissect.corpus.documents import damage_named
from tlsdissect.handshake.links import Trace
from tlsdissect.handshake.retries import Peers
from tlsdissect.handshake.sessions import Named, Session
from tlsdissect.views.ndjson import Ndjson
from tlsdissect.views.parquet import ParquetGroups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.model.connection import Connection

SCHEMA = pa.schema(
    [
        ("frame", pa.int64()),
        ("transport", pa.string()),
        ("stream", pa.int64()),
        ("keys", pa.list_(pa.binary())),
        ("resumed", pa.binary()),
        ("offered", pa.list_(pa.binary())),
        ("selected", pa.binary()),
        ("peers", pa.string()),
        ("failed", pa.bool_()),
        ("row", pa.int64()),
        ("json", pa.binary()),
    ]
)
"""`keys` are those of a session, and null for a connection. `row` is that in the documents, from 0; a connection that
was not selected has none, and its `json` here."""
ROWS = 8192
"""Rows of a group, and kept until it is written."""
GROUP_BYTES = 4 << 20
"""Bytes of JSON after which a group of rows is written."""

_peers = json.Decoder(tuple[Peers, ...])
_encode = json.Encoder().encode


class TracedConnection(NamedTuple):
    """A connection as far as links depend on it."""

    trace: Trace
    stream: int
    row: int | None
    """Its row in the documents; None if it is not there."""
    json: bytes
    """The connection, if it is not there."""


class TraceWriter:
    """Writes sessions and connections in the order of a reading."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._groups = ParquetGroups(SCHEMA, write, ROWS, GROUP_BYTES)
        self._line = Ndjson().row

    def session(self, session: Session) -> None:
        """Write a session."""
        self._add(frame=session.frame, transport=session.transport, stream=session.stream, keys=session.keys)

    def connection(self, connection: Connection, trace: Trace, row: int | None) -> None:
        """Write a connection; `row` is that in the documents, None if it is not there."""
        resumed, offered, selected = trace.named
        self._add(
            frame=trace.frame,
            transport=trace.transport,
            stream=connection.stream,
            resumed=resumed,
            offered=offered,
            selected=selected,
            peers=_encode(trace.peers).decode(),
            failed=trace.failed,
            row=row,
            json=None if row is not None else self._line(connection),
        )

    def end(self) -> None:
        """Write what is left, and what a Parquet file ends with."""
        self._groups.end()

    def _add(self, **row: Any) -> None:
        self._groups.add(row, len(row.get("json") or b""))


def read_traces(file: Any, source: str) -> Iterator[Session | TracedConnection]:
    """Yield the sessions and connections of a file of traces; CaptureError if it is damaged."""
    with damage_named(), parquet.ParquetFile(file) as opened:
        for batch in opened.iter_batches(batch_size=ROWS):
            for one in batch.to_pylist():
                frame, transport, stream = one["frame"], one["transport"], one["stream"]
                if one["keys"] is not None:
                    yield Session(source, transport, stream, frame, tuple(one["keys"]))
                    continue
                named = Named(one["resumed"], tuple(one["offered"]), one["selected"])
                trace = Trace(frame, transport, named, _peers.decode(one["peers"]), one["failed"])
                yield TracedConnection(trace, stream, one["row"], one["json"] or b"")


class DocumentRows:
    """Rows of a file of documents by their number; the group of the latest is kept."""

    def __init__(self, file: Any) -> None:
        """Raises CaptureError if the file is damaged."""
        with damage_named():
            self._file = parquet.ParquetFile(file)
        groups = self._file.metadata
        self._ends = list(accumulate(groups.row_group(at).num_rows for at in range(groups.num_row_groups)))
        self._first, self._lines = 0, pa.array([], pa.binary())

    def json(self, row: int) -> bytes:
        """Return the JSON of a row; CaptureError if the file is damaged."""
        with damage_named():
            if not self._first <= row < self._first + len(self._lines):
                group = bisect_right(self._ends, row)
                self._first = self._ends[group - 1] if group else 0
                self._lines = self._file.read_row_group(group, columns=["json"]).column(0)
            line: bytes = self._lines[row - self._first].as_py()
            return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()
