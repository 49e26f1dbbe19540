"""A query over captures, and the rows of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from tlsdissect.corpus.dataset import are_datasets, start_reading
from tlsdissect.flows.table import WHOLE, Shard
from tlsdissect.model.transcript import lost_certificates
from tlsdissect.pipeline import Reading
from tlsdissect.views.table import KEYED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tlsdissect.capture.inputs import Inputs
    from tlsdissect.corpus.dataset import DatasetReading
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection, Finding
    from tlsdissect.pipeline import Summary
    from tlsdissect.trust.judge import Judge


class View(Protocol):
    """Formats connections as one output format."""

    @property
    def head(self) -> bytes:
        """The header before the first row."""
        ...

    def section(self, source: str) -> bytes:
        """Return the section header if this capture is not that of the previous row, otherwise nothing."""
        ...

    def row(self, connection: Connection) -> bytes:
        """Format a connection."""
        ...


class OutputRow(NamedTuple):
    """The output for one connection, and what the summary counts of it."""

    source: str
    version: str | None
    problems: tuple[str, ...]
    """The code of each, marked as in tables if only keys show it."""
    findings: tuple[str, ...] | None
    """As `counted_as` names each; None if findings were not requested."""
    text: bytes
    key: tuple[Any, ...] | str | None = None
    """The values by which rows are sorted, or the time."""
    lost_certificates: bool = False
    """Whether the server's certificates may be among bytes that the capture lacks; not if they are encrypted anyway."""

    @classmethod
    def of(cls, connection: Connection, text: bytes, key: tuple[Any, ...] | str | None = None) -> OutputRow:
        """Make the row of a connection from its formatted text."""
        codes = [problem.code for problem in connection.problems]
        if connection.hidden is not None:
            codes += [f"{problem.code}{KEYED}" for problem in connection.hidden.problems]
        problems = tuple(dict.fromkeys(codes)) if codes else ()
        found = connection.findings
        findings = None if found is None else tuple(map(counted_as, found))
        lost = bool(problems) and lost_certificates(connection)
        return cls(connection.source, connection.version, problems, findings, text, key, lost)


def counted_as(found: Finding) -> str:
    """Return severity and code of a finding, marked as in tables if only keys show it."""
    return f"{found.severity} {found.code}{KEYED if found.with_keys else ''}"


class Query(NamedTuple):
    """Which captures to read, which connections to select, and how to format them."""

    captures: tuple[str, ...]
    options: Options
    selection: Selection
    view: View
    judge: Judge | None = None
    evidence: Evidence | None = None
    reports_findings: bool = True
    """False where the judge is needed for something else."""
    key: Callable[[Connection], tuple[Any, ...] | str | None] | None = None
    """Returns that of a row."""
    joins_views: bool = False
    """Whether a connection that two captures show is one row."""

    @property
    def reads_datasets(self) -> bool:
        """Whether datasets are read instead of captures."""
        return are_datasets(self.captures)

    def reading(self) -> Reading | DatasetReading:
        """Start reading the captures, or the datasets in their place."""
        return start_reading(self.captures, self.options, self.selection, judge=self.judge, evidence=self.evidence)

    def packet_reading(self, shard: Shard = WHOLE, inputs: Inputs | None = None) -> Reading:
        """Start reading captures: all connections, or those of one shard; `inputs` are the files, if already found."""
        return Reading(
            self.captures, self.options, judge=self.judge, evidence=self.evidence, shard=shard, inputs=inputs
        )

    def row(self, connection: Connection) -> OutputRow:
        """Format a connection."""
        key = None if self.key is None else self.key(connection)
        row = OutputRow.of(connection, self.view.row(connection), key)
        return row if self.reports_findings else row._replace(findings=None)


class OutputRows:
    """The rows of a reading."""

    def __init__(self, query: Query, reading: Reading | DatasetReading) -> None:
        self._query = query
        self._reading = reading
        self.progress, self.finishing = reading.progress, reading.finishing

    def __iter__(self) -> Iterator[OutputRow]:
        """Yield each row as soon as nothing about its connection can change."""
        query, selection = self._query, self._query.selection
        selects = bool(selection)
        for connection in self._reading:
            if not selects or selection.matches(connection, self._reading.begin):
                yield query.row(connection)

    @property
    def summary(self) -> Summary:
        """The summary of what was read so far."""
        return self._reading.summary

    def stop(self) -> None:
        """Stop reading; rows that were already read are still returned."""
        self._reading.stop()

    def is_waiting(self) -> bool:
        """Whether the reading is blocked waiting for packets."""
        return self._reading.waiting

    def close(self) -> None:
        """Do nothing: there are no processes to end."""
