"""A query over captures, and one row of its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from tlsdissect.flows.table import WHOLE, Shard
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.options import Options
    from tlsdissect.model.connection import Connection
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
    findings: tuple[str, ...] | None
    """Severity and code of each; None if findings were not requested."""
    text: bytes

    @classmethod
    def of(cls, connection: Connection, text: bytes) -> OutputRow:
        """Make the row of a connection from its formatted text."""
        problems = tuple(dict.fromkeys([problem.code for problem in connection.problems]))
        found = connection.findings
        findings = None if found is None else tuple([f"{finding.severity} {finding.code}" for finding in found])
        return cls(connection.source, connection.version, problems, findings, text)

    def pack(self) -> bytes:
        """Encode the row for another process. Findings are left out: only a single process looks for them."""
        counted = "\0".join([self.source, self.version or "", ",".join(self.problems), ""])
        return counted.encode("utf-8", "surrogateescape") + self.text

    @classmethod
    def unpack(cls, data: bytes) -> OutputRow:
        """Decode what `pack` encoded. The separator is safe: a file name contains no zero byte."""
        *counted, text = data.split(b"\0", 3)
        source, version, problems = [part.decode("utf-8", "surrogateescape") for part in counted]
        return cls(source, version or None, tuple(problems.split(",")) if problems else (), None, text)


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

    def reading(self, shard: Shard = WHOLE) -> Reading:
        """Start reading all connections, or those of one shard."""
        return Reading(self.captures, self.options, judge=self.judge, evidence=self.evidence, shard=shard)

    def row(self, connection: Connection) -> OutputRow:
        """Format a connection."""
        row = OutputRow.of(connection, self.view.row(connection))
        return row if self.reports_findings else row._replace(findings=None)
