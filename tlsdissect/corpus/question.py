"""What is asked of captures, and an entry of the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from tlsdissect.flows.table import WHOLE, Shard
from tlsdissect.pipeline import Reading

if TYPE_CHECKING:
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.options import Options
    from tlsdissect.trust.judge import Judge


class View(Protocol):
    """What writes connections in one form."""

    @property
    def head(self) -> bytes:
        """What comes before the first."""
        ...

    def section(self, source: str) -> bytes:
        """Write what comes before a connection of this capture, if it is not the capture of the one before."""
        ...

    def row(self, connection: Connection) -> bytes:
        """Write a connection."""
        ...


class Entry(NamedTuple):
    """What is printed of a connection, and what of it is counted."""

    source: str
    version: str | None
    problems: tuple[str, ...]
    findings: tuple[str, ...] | None
    """Severity and code of each; None where none was looked for."""
    text: bytes

    @classmethod
    def of(cls, connection: Connection, text: bytes) -> Entry:
        """Count a connection that is written so."""
        problems = tuple(dict.fromkeys([problem.code for problem in connection.problems]))
        found = connection.findings
        findings = None if found is None else tuple([f"{finding.severity} {finding.code}" for finding in found])
        return cls(connection.source, connection.version, problems, findings, text)

    def packed(self) -> bytes:
        """Write the entry for the way from one process to another; findings are looked for by one alone."""
        counted = "\0".join([self.source, self.version or "", ",".join(self.problems), ""])
        return counted.encode("utf-8", "surrogateescape") + self.text

    @classmethod
    def unpacked(cls, data: bytes) -> Entry:
        """Read what `packed` wrote: no name of a file holds a zero byte."""
        *counted, text = data.split(b"\0", 3)
        source, version, problems = [part.decode("utf-8", "surrogateescape") for part in counted]
        return cls(source, version or None, tuple(problems.split(",")) if problems else (), None, text)


class Question(NamedTuple):
    """What is asked of which captures, and how the answer is written."""

    captures: tuple[str, ...]
    options: Options
    selection: Selection
    view: View
    judge: Judge | None = None
    evidence: Evidence | None = None
    tells_findings: bool = True
    """Unless a judge serves something else."""

    def reading(self, share: Shard = WHOLE) -> Reading:
        """Open a reading of all conversations, or of a share of them."""
        return Reading(self.captures, self.options, judge=self.judge, evidence=self.evidence, share=share)

    def entry(self, connection: Connection) -> Entry:
        """Write a connection."""
        entry = Entry.of(connection, self.view.row(connection))
        return entry if self.tells_findings else entry._replace(findings=None)
