"""The summary of a run, and warnings about its inputs."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

from tlsdissect.cli.exit_status import warn
from tlsdissect.corpus.left_out import left_out, refusals
from tlsdissect.views.phrases import counted, listed_counts
from tlsdissect.views.printable import printable, wrapped_sentence
from tlsdissect.views.problems import counted_problems
from tlsdissect.views.table import NO_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from tlsdissect.corpus.query import OutputRow
    from tlsdissect.pipeline import Summary

_WARNINGS = 20
"""Places of damage that are reported one by one; the rest are counted."""
_USUAL = 80
"""Columns to assume if the terminal does not report its width."""


class Tally:
    """Counts of the connections that were selected."""

    def __init__(self) -> None:
        self.connections = 0
        self.printed = 0
        self.troubled = 0
        self.lost_certificates = 0
        """As `OutputRow.lost_certificates`."""
        self.versions: Counter[str | None] = Counter()
        self.problems: Counter[str] = Counter()
        self.findings: Counter[str] | None = None
        """By severity and code; None if findings were not requested."""
        self.lines: list[str] = []
        """Sentences about what was printed, if that is not connections."""
        self.source: str | None = None
        """The capture of the latest connection."""

    def add(self, row: OutputRow) -> None:
        """Count a connection."""
        self.source = row.source
        self.connections += 1
        self.versions[row.version] += 1
        if row.problems:
            self.troubled += 1
            self.problems.update(row.problems)
            self.lost_certificates += row.lost_certificates
        if row.findings is not None:
            self.findings = self.findings or Counter()
            self.findings.update(row.findings)

    def reaches(self, gate: frozenset[str]) -> bool:
        """Return whether there was a finding of one of these severities."""
        return any(finding.partition(" ")[0] in gate for finding in self.findings or ())


def complain(summary: Summary) -> None:
    """Print a line on standard error for each input, file or place that could not be read or written."""
    for line in refusals(summary):
        warn(line)
    for overlap in summary.overlaps[:_WARNINGS]:
        warn(
            f"{overlap.later}: begins before the end of {overlap.earlier}: their packets are not in chronological order"
        )
    if len(summary.overlaps) > _WARNINGS:
        warn(f"{len(summary.overlaps) - _WARNINGS:,} more captures begin before the end of an earlier one")
    if summary.open_between:
        warn(
            f"{counted(summary.open_between, 'connection')} open where one capture ends and the next begins: "
            "try --joined"
        )
    if summary.spill_error:
        warn(f"{summary.spill_error}: connections were printed before their end")
    for source, damage in summary.damage[:_WARNINGS]:
        warn(f"{source}: frame {damage.frame - damage.frames_before}, byte {damage.offset}: {damage.detail}")
    if len(summary.damage) > _WARNINGS:
        warn(f"{len(summary.damage) - _WARNINGS:,} more places of damage")


def sentences(tally: Tally, summary: Summary, *, selected: bool) -> list[str]:
    """Return the summary of a run: what was selected, and what was seen but not decoded."""
    looked = tally.findings is not None and (tally.connections or tally.findings)
    found = _found(tally.findings or Counter()) if looked else ()
    seen = _selected(tally, summary, selected=selected)
    return [*tally.lines, seen, *found, *_troubled(tally), *left_out(summary)]


def fitted(lines: list[str], terminal: TextIO) -> Iterator[str]:
    """Wrap sentences to a terminal, in printable form; a number is not separated from the word after it."""
    width = os.get_terminal_size(terminal.fileno()).columns or _USUAL
    for sentence in lines:
        yield from wrapped_sentence(printable(sentence), width, "  ")


def _selected(tally: Tally, summary: Summary, *, selected: bool) -> str:
    selected = selected and summary.connections > 0
    total = counted(summary.connections, "connection")
    found = f"{tally.connections:,} of {total}" if selected else counted(tally.connections, "connection")
    if summary.refused and not summary.captures:
        return "nothing was read"
    if not tally.connections:
        return f"none of {total} selected" if selected else "no TLS connections" if summary.frames else "no packets"
    cut = f", first {tally.printed:,} printed" if tally.printed < tally.connections else ""
    return f"{found}{cut}{_versions(tally)}"


def _versions(tally: Tally) -> str:
    """Count the versions; the only one needs no number."""
    if len(tally.versions) > 1:
        return ": " + ", ".join([f"{many:,} {version or NO_VERSION}" for version, many in tally.versions.most_common()])
    (version,) = tally.versions
    every = "" if tally.connections == 1 else "all "
    return f": {every}{version}" if version else f", {every}{NO_VERSION}"


def _troubled(tally: Tally) -> Iterator[str]:
    """Count the connections with problems; of one kind, without a heading."""
    kinds = counted_problems(dict(tally.problems.most_common()))
    if len(kinds) == 1:
        _, words = kinds[0].split(" ", 1)
        yield f"{counted(tally.troubled, 'connection')} {words}"
    elif kinds:
        yield f"{tally.troubled:,} with problems: {', '.join(kinds)}"


def _found(findings: Counter[str]) -> Iterator[str]:
    """Count the findings of each severity, the highest first."""
    if not findings:
        yield "nothing found"
    for severity in ("high", "medium", "low", "info"):
        start = f"{severity} "
        codes = Counter({name[len(start) :]: many for name, many in findings.items() if name.startswith(start)})
        if codes:
            yield f"{severity}: {listed_counts(codes)}"
