"""The output rows of a query, produced by several processes.

Links between connections depend on all earlier connections, which no worker has seen: each sees only its shard. So a
worker sends each row already formatted, together with what the linker needs, and the parent formats a row again only if
it has a link. Few connections do, so that nearly all formatting runs in parallel.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from tlsdissect.corpus.confinement import confine
from tlsdissect.corpus.query import OutputRow
from tlsdissect.corpus.workers import Workers
from tlsdissect.handshake.links import NONE, Linker, Trace, linked
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.pipeline import Reading, Summary
from tlsdissect.trust.presented_chains import PresentedChains
from tlsdissect.views.ndjson import Ndjson, parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.inputs import Inputs
    from tlsdissect.corpus.query import Query
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.corpus.workers import WorkerOutput
    from tlsdissect.flows.table import Shard
    from tlsdissect.handshake.connections import ReadingEvent
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.inventory import CertificateInventory


class RowTransport(Protocol):
    """Decides what a worker sends, and makes rows of it in the process that prints."""

    @property
    def evicted_sessions(self) -> int:
        """Sessions evicted, so that later connections could not be linked to them."""
        ...

    def pack(self, event: ReadingEvent, reading: Reading) -> object:
        """Return, in a worker, what the printing process needs; None if it needs nothing."""
        ...

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Return the row of what `pack` returned, in output order; None if there is nothing to print."""
        ...


class LinkingTransport:
    """Sends each row as it is printed, with what links its connection; formats a row again if it has or needs links."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._json = query.view if isinstance(query.view, Ndjson) else Ndjson()
        self._linker = Linker(query.options.limits.max_sessions)

    @property
    def evicted_sessions(self) -> int:
        """Sessions evicted, so that later connections could not be linked to them."""
        return self._linker.evicted

    def pack(self, event: ReadingEvent, reading: Reading) -> tuple[Any, ...] | None:
        """Return a session; or the row of a connection if it is selected, what links it, its capture and its JSON."""
        # Plain tuples are pickled much faster than named ones, and JSON is faster than a pickle of a connection.
        if isinstance(event, Session):
            return (tuple(event),)
        if isinstance(event, CapturedLookup):
            return None
        selected = self._query.selection.matches(event, reading.begin, linked=False)
        row = self._query.row(event) if selected else None
        line = row.text if row is not None and self._json is self._query.view else self._json.row(event)
        frame, transport, named, peers, failed = Trace.of(event)
        return row and tuple(row), (frame, transport, tuple(named), peers, failed), event.source, line

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Return the row with its links, or remember a session."""
        capture, content = output.place.capture, output.content
        if len(content) == 1:
            self._linker.learn(capture, Session(*content[0]))
            return None
        row, trace, source, line = content

        def connection() -> Connection:
            # In JSON, what is not UTF-8 in a file name is escaped.
            return replace(parse(line), source=source)

        links = self._linker.links(capture, Trace(*trace), connection)
        selection = self._query.selection
        if row is None or (links is NONE and not selection.needs_links):
            return row and OutputRow(*row)
        whole = linked(connection(), links)
        if selection.where is not None and selection.needs_links and not selection.where.matches(whole):
            return None
        return self._query.row(whole)


class CertificateTransport:
    """Sends the certificate chains of connections, and revocation lookups; a connection without any is only counted."""

    evicted_sessions = 0

    def __init__(self, selection: Selection, inventory: CertificateInventory, evidence: Evidence) -> None:
        """`evidence` is what the reading of this process fills: each worker has its own."""
        self._selection = selection
        self._inventory = inventory
        self._evidence = evidence

    def pack(
        self, event: ReadingEvent, reading: Reading
    ) -> CapturedLookup | tuple[OutputRow, PresentedChains | None] | None:
        """Return a lookup, or the chains of a connection."""
        if isinstance(event, CapturedLookup):
            return event
        if isinstance(event, Session) or not self._selection.matches(event, reading.begin):
            return None
        has_chains = event.certificates or event.client_certificates or event.hidden
        return OutputRow.of(event, b""), PresentedChains.of(event, self._evidence) if has_chains else None

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Add the chains to the inventory; return the row for the summary."""
        if isinstance(output.content, CapturedLookup):
            self._evidence.add_lookup(output.content)
            return None
        row: OutputRow
        row, presented = output.content
        if presented is not None:
            self._inventory.take(presented)
        return row


class ParallelOutputRows:
    """Yields the rows that `query.OutputRows` yields, but reads in several processes."""

    def __init__(self, query: Query, jobs: int, transport: RowTransport | None = None) -> None:
        self._transport = transport or LinkingTransport(query)
        self._all = query.packet_reading()
        # Found once: files that come or go meanwhile must not be read by some processes only.
        reading = partial(_confined, partial(query.packet_reading, inputs=self._all.inputs), self._all.inputs)
        self._workers = Workers(jobs, reading, self._transport.pack, _summary)
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
        """Return the bytes that all processes have read, and the total."""
        return self._workers.position, self._all.progress()[1]

    def finishing(self) -> tuple[int, int]:
        """Return how many connections all processes have sent of those that were left at the capture's end."""
        return self._workers.finishing

    @property
    def summary(self) -> Summary:
        """The merged summary of all workers; empty until they have finished."""
        results = self._workers.results
        summary = results[0] if results else Summary()
        for other in results[1:]:
            summary.include_shard(other)
        del results[1:]
        summary.evicted_sessions = self._transport.evicted_sessions
        return summary

    def stop(self) -> None:
        """Stop reading; rows that were already read are still returned."""
        self._workers.finish()

    def is_waiting(self) -> bool:
        """Whether no process has sent anything since the previous call."""
        before, self._received_before = self._received_before, self._received
        return before == self._received

    def close(self) -> None:
        """Terminate the workers that still run."""
        self._workers.stop()


def _confined(reading: Callable[[Shard], Reading], inputs: Inputs, shard: Shard) -> Reading:
    """Begin the reading of a worker, which may do nothing else from now on."""
    confine(one.path for one in inputs.files)
    return reading(shard)


def _summary(reading: Reading) -> Summary:
    return reading.summary
