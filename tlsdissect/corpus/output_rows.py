"""The output rows of a query, in order: produced by this process, or by several in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.corpus.row_transport import LinkingTransport
from tlsdissect.corpus.workers import Workers
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.corpus.query import OutputRow, Query
    from tlsdissect.corpus.row_transport import RowTransport


class OutputRows:
    """The rows of one reading: a new one of the query, or the one given."""

    def __init__(self, query: Query, reading: Reading | None = None) -> None:
        self._query = query
        self._reading = reading or query.reading()
        self.progress = self._reading.progress

    def __iter__(self) -> Iterator[OutputRow]:
        """Yield each row as soon as nothing about its connection can change."""
        for connection in self._reading:
            if self._query.selection.matches(connection):
                yield self._query.row(connection)

    @property
    def summary(self) -> Summary:
        """The summary of what was read so far."""
        return self._reading.summary

    def stop(self) -> None:
        """Stop reading; the rows of what was read still follow."""
        self._reading.stop()

    def is_waiting(self) -> bool:
        """Whether the reading is blocked waiting for packets."""
        return self._reading.waiting

    def close(self) -> None:
        """Do nothing: there are no processes to end."""


class ParallelOutputRows:
    """The same rows, produced by several processes."""

    def __init__(self, query: Query, jobs: int, transport: RowTransport | None = None) -> None:
        self._transport = transport or LinkingTransport(query)
        self._all = query.reading()
        self._workers = Workers(jobs, query.reading, self._transport.pack, _summary)
        self._received = 0
        self._received_before = 0

    def __iter__(self) -> Iterator[OutputRow]:
        """Yield each row when no process can still produce an earlier one."""
        for output in self._workers:
            self._received += 1
            row = self._transport.unpack(output)
            if row is not None:
                yield row

    def progress(self) -> tuple[int, int | None]:
        """Return the bytes read by the process that is furthest, and the total."""
        return self._workers.position, self._all.progress()[1]

    @property
    def summary(self) -> Summary:
        """The merged summary of all workers; empty until they have finished."""
        summary = _merged(self._workers.results) if self._workers.results else Summary()
        summary.evicted_sessions = self._transport.evicted_sessions
        return summary

    def stop(self) -> None:
        """Stop reading; the rows of what was read still follow."""
        self._workers.finish()

    def is_waiting(self) -> bool:
        """Whether no process has sent anything since the previous call."""
        before, self._received_before = self._received_before, self._received
        return before == self._received

    def close(self) -> None:
        """Terminate the workers that still run."""
        self._workers.stop()


def _summary(reading: Reading) -> Summary:
    return reading.summary


def _merged(summaries: list[Summary]) -> Summary:
    """Merge the workers' summaries: every worker counted all packets, but only the connections of its shard."""
    whole, *others = summaries
    for other in others:
        whole.connections += other.connections
        whole.versions += other.versions
        whole.not_tls += other.not_tls
        whole.given_up += other.given_up
        whole.late += other.late
        whole.returned_early += other.returned_early
        whole.spill_error = whole.spill_error or other.spill_error
        whole.evicted_connections = max(whole.evicted_connections, other.evicted_connections)
    summaries[:] = [whole]
    return whole
