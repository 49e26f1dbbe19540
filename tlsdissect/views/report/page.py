"""The page of a report, built from one connection after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlsdissect.model.connection import Hidden
from tlsdissect.trust.inventory import CertificateInventory
from tlsdissect.views.comparison.builder import ComparisonBuilder
from tlsdissect.views.comparison.formats import conclusions, filled_sections
from tlsdissect.views.explain.model import TOPICS, counted
from tlsdissect.views.printable import printable
from tlsdissect.views.report import certificates, findings, template
from tlsdissect.views.report.details import details
from tlsdissect.views.report.figures import Figures
from tlsdissect.views.report.grid import Grid, widths
from tlsdissect.views.report.packing import TOGETHER, Block, packed
from tlsdissect.views.report.summary import Overview
from tlsdissect.views.table import COLUMNS
from tlsdissect.views.tree import tree

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.inventory import CertificateSummary
    from tlsdissect.trust.judge import Judge
    from tlsdissect.views.report.findings import Found
    from tlsdissect.views.report.grid import Column

DETAILED = 20_000
"""Connections and certificates whose details are in the page; the rest have table rows only."""
MAX_LISTED = 100
"""Captures that are listed by name; the rest are counted."""
_LAST = ("ALPN", "client", "start", "certificate", "JA4", "source")
"""Columns of the terminal's table that the page shows last, where the reader has to scroll."""
_PAPER = ("stream", "server", "TLS", "suite", "group", "resumed", "RT", "ms", "outcome", "findings")
_COLUMNS = sorted(COLUMNS, key=lambda column: _LAST.index(column.title) if column.title in _LAST else -1)


class Report:
    """Collects connections and writes the page. Memory is bounded, except for the content of the page itself."""

    def __init__(self, captures: Sequence[str], judge: Judge, evidence: Evidence, detailed: int = DETAILED) -> None:
        """`judge` and `evidence` belong to the reading that yields the connections."""
        self._captures = captures
        self._judge = judge
        self._detailed = detailed
        self._rows: list[list[str]] = []
        self._blocks: list[str] = []
        self._block = Block()
        self._overview, self._comparison, self._figures = Overview(), ComparisonBuilder(), Figures()
        self._findings = findings.Findings()
        self._shown: dict[str, tuple[int, int]] = {}
        """The number of each certificate, by first appearance, and the number of its first connection."""
        self._inventory = CertificateInventory(judge, evidence)
        self.found: list[Found] = []
        """The findings, after the page was written."""

    def add(self, connection: Connection) -> None:
        """Add a connection that was read with its transcript."""
        self._rows.append(
            [printable(next((text for text in column.texts(connection) if text), "")) for column in _COLUMNS]
        )
        collectors = (self._overview, self._comparison, self._figures, self._findings, self._inventory)
        for add in [one.add for one in collectors]:
            add(connection)
        shown = self._certificates(connection)
        if len(self._rows) > self._detailed:
            return
        self._block.add(tree(connection), details(connection, shown))
        if len(self._block) == TOGETHER:
            self._finish_block()

    def pieces(self, notes: Sequence[str] = ()) -> Iterator[bytes]:
        """Yield the page in pieces; `notes` are added to its summary."""
        for piece in self._texts(notes):
            yield piece.encode("utf-8", "backslashreplace")

    def _texts(self, notes: Sequence[str]) -> Iterator[str]:
        self._finish_block()
        summaries = list(self._inventory)
        shown = [certificates.row(one) for one in summaries[: self._detailed]]
        yield self._head(notes, summaries, shown)
        yield template.data("connections-rows", packed(self._rows))
        for number, block in enumerate(self._blocks):
            yield template.data(f"connections-details-{number}", block)
        yield template.data("certificates-rows", packed(shown))
        for at in range(0, len(shown), TOGETHER):
            entries = [self._detail(one) for one in summaries[at : min(at + TOGETHER, len(shown))]]
            yield template.data(f"certificates-details-{at // TOGETHER}", packed({"entries": entries}))
        yield template.end()

    def _head(self, notes: Sequence[str], summaries: list[CertificateSummary], shown: list[list[str]]) -> str:
        """Return the part of the page that needs no script."""
        (whole,) = self._comparison.groups()
        self.found = found = self._findings.by_rule(summaries)
        captures = self._overview.captures
        choices = {
            "TLS": self._different("TLS"),
            "outcome": self._different("outcome"),
            "findings": [one.rule.code for one in found if one.connections],
        }
        codes = [one.rule.code for one in found if one.certificates]
        return template.head(
            title=self._title(),
            captures=[(printable(name), many) for name, many in list(captures.items())[:MAX_LISTED]],
            more_captures=max(len(captures) - MAX_LISTED, 0),
            summary=[*self._overview.sentences(whole), *map(printable, notes), *self._left_out(len(summaries))],
            found=found,
            verdicts=list(findings.sentences(found, self._judge)) if self._rows else [],
            versions=[side.version for side in whole.sides],
            compared=list(filled_sections(whole.sides)),
            conclusions=list(conclusions(whole.differences)) if whole.sides else [],
            figures=list(self._figures.drawn()),
            connections=Grid("connections", self._columns(), choices, len(self._rows)),
            certificates=Grid("certificates", certificates.columns(shown), {"findings": codes}, len(shown)),
            settings={"together": TOGETHER, "topics": list(TOPICS.values())},
        )

    def _finish_block(self) -> None:
        if len(self._block):
            self._blocks.append(self._block.packed())
            self._block = Block()

    def _certificates(self, connection: Connection) -> list[int]:
        """Return the numbers of a connection's certificates."""
        numbers: dict[int, None] = {}
        hidden = connection.hidden or Hidden()
        for sender in ("certificates", "client_certificates"):
            for one in getattr(connection, sender) or getattr(hidden, sender) or ():
                if one.sha256 in self._inventory:
                    self._shown.setdefault(one.sha256, (len(self._shown), len(self._rows) - 1))
                if one.sha256 in self._shown:
                    numbers[self._shown[one.sha256][0]] = None
        return list(numbers)

    def _detail(self, one: CertificateSummary) -> dict[str, Any]:
        _, connection = self._shown[one.sha256]
        return certificates.details(one, connection)

    def _columns(self) -> list[Column]:
        return widths([(column.title, column.right) for column in _COLUMNS], self._rows, _PAPER)

    def _different(self, title: str) -> list[str]:
        at = [column.title for column in _COLUMNS].index(title)
        return sorted({row[at] for row in self._rows if row[at]})

    def _title(self) -> str:
        if len(self._captures) == 1:
            return printable(self._captures[0])
        return counted(len(self._captures), "capture")

    def _left_out(self, certificates_seen: int) -> Iterator[str]:
        if len(self._rows) > self._detailed:
            yield f"This page has ladders and trees for the first {counted(self._detailed, 'connection')} only."
        if certificates_seen > self._detailed:
            yield f"This page has the first {counted(self._detailed, 'certificate')} of {certificates_seen:,} only."
        if self._inventory.left_out:
            yield f"{self._inventory.left_out:,} occurrences of certificates were not kept: memory limit reached."
