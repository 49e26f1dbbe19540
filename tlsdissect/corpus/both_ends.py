"""Joins the two views of a connection that two captures of a run contain.

Which connections have a second view is known only after all captures have been read, because a random may occur again.
So the captures are read twice, and the first reading keeps only the randoms. `read` reads once, so its records do not
name another view.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec.structs import replace

from tlsdissect.capture.inputs import find_inputs
from tlsdissect.corpus.query import OutputRows
from tlsdissect.model.transcript import kept
from tlsdissect.pipeline import Reading
from tlsdissect.views.both_ends.path import joined
from tlsdissect.views.both_ends.recognition import Recognizer, View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.corpus.query import OutputRow, Query
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection
    from tlsdissect.model.transcript import KeptConnection

HELD_BYTES = 256 << 20
"""Estimated memory of connections that wait for their other view; further ones are shown by themselves."""
_PACKET_BYTES = 512
"""Estimated overhead of a packet or record."""


def can_join(query: Query) -> bool:
    """Return whether a query reads several captures, each of which can be read twice: regular files."""
    if query.reads_datasets:
        return False
    paths = [one.path for one in find_inputs(query.captures).files]
    return not query.options.joined and len(paths) > 1 and all(path != "-" and os.path.isfile(path) for path in paths)  # noqa: PTH113


class BothEnds:
    """The selected connections of a reading that keeps transcripts: two views of a connection are one."""

    def __init__(self, reading: Reading, recognizing: Reading, selection: Selection) -> None:
        """`recognizing` reads the same captures, before `reading` does."""
        self._reading = reading
        self._recognizing = recognizing
        self._selection = selection
        self.is_recognizing = True
        """Whether the first reading goes on."""

    def __iter__(self) -> Iterator[Connection]:
        """Yield each connection; one with two views when the second was read."""
        others = self._others()
        held: dict[View, tuple[KeptConnection, bool, int]] = {}
        room = HELD_BYTES
        for connection in self._reading:
            matches = self._selection.matches(connection, self._reading.begin)
            view = View.of(connection)
            other = others.get(view)
            if other in held:
                first, matched, size = held.pop(other)
                room += size
                if matches or matched:
                    yield joined(first, kept(connection))
                continue
            size = _size(kept(connection)) if other is not None else 0
            if other is not None and size <= room:
                room -= size
                held[view] = kept(connection), matches, size
                continue
            self._reading.summary.views_not_joined += other is not None
            if matches:
                yield connection
        # What one reading saw may be given up by the other, which keeps more of each connection.
        for alone, matched, _ in held.values():
            if matched:
                yield alone

    def _others(self) -> dict[View, View]:
        recognizer = Recognizer()
        for connection in self._recognizing:
            recognizer.add(connection)
        self.is_recognizing = False
        self._reading.summary.views_not_joined += recognizer.left_out
        pairs = list(recognizer.pairs())
        return {**dict(pairs), **{other: one for one, other in pairs}}


def recognizing(captures: Iterable[str], options: Options) -> Reading:
    """Return a reading with the facts by which a connection is recognized in two captures."""
    return Reading(captures, replace(options, keep=False, linked=False, keylog=None))


class BothEndsRows(OutputRows):
    """The rows of a query that keeps transcripts: two views of a connection are one row."""

    def __init__(self, query: Query) -> None:
        reading = query.packet_reading()
        super().__init__(query, reading)
        self._first = recognizing(query.captures, query.options)
        self._connections = BothEnds(reading, self._first, query.selection)
        self.progress = self._both

    def __iter__(self) -> Iterator[OutputRow]:
        """Yield each row; a connection with two views comes when its second view was read."""
        yield from map(self._query.row, self._connections)

    def stop(self) -> None:
        """Stop reading."""
        self._first.stop()
        super().stop()

    def is_waiting(self) -> bool:
        """Whether the reading is blocked waiting for packets; those of regular files never are."""
        return False

    def _both(self) -> tuple[int, int | None]:
        """Return the bytes read so far in both passes, and the bytes that both passes read in all."""
        done, size = self._first.progress() if self._connections.is_recognizing else self._reading.progress()
        if size is None:
            return done, None
        return (done, 2 * size) if self._connections.is_recognizing else (size + done, 2 * size)


def _size(connection: KeptConnection) -> int:
    transcript = connection.transcript
    packets = (*transcript.packets, *transcript.eap_packets)
    parts = len(packets) + len(transcript.records) + len(transcript.quic)
    payload = sum(len(packet.payload) for packet in packets)
    fragments = sum(len(record.fragment or b"") for record in transcript.records)
    return payload + fragments + _PACKET_BYTES * parts
