"""The summary of a run, and warnings about its inputs."""

from __future__ import annotations

import os
import re
from collections import Counter
from textwrap import wrap
from typing import TYPE_CHECKING

from tlsdissect.cli.exit_status import warn
from tlsdissect.flows.datagrams import MAX_COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from tlsdissect.corpus.query import OutputRow
    from tlsdissect.pipeline import Summary

_WARNINGS = 20
"""Places of damage that are reported one by one; the rest are counted."""
_USUAL = 80
"""Columns to assume if the terminal does not report its width."""
_KINDS = 12
"""Kinds of TCP flows without TLS that are named; the rest are counted."""
_TOGETHER = "\xa0"


class Tally:
    """Counts of the connections that were printed."""

    def __init__(self) -> None:
        self.connections = 0
        self.troubled = 0
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
        self.troubled += bool(row.problems)
        self.problems.update(row.problems)
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
    if summary.spill_error:
        warn(f"{summary.spill_error}: connections were printed before their end")
    for source, damage in summary.damage[:_WARNINGS]:
        warn(f"{source}: frame {damage.frame}, byte {damage.offset}: {damage.detail}")
    if len(summary.damage) > _WARNINGS:
        warn(f"{len(summary.damage) - _WARNINGS:,} more places of damage")


def refusals(summary: Summary) -> Iterator[str]:
    """Yield each input that could not be read at all, with the reason."""
    for source, why in summary.refused:
        yield f"{'standard input' if source == '-' else source}: {why}"


def sentences(tally: Tally, summary: Summary, *, selected: bool) -> list[str]:
    """Return the summary of a run: what was printed, and what was seen but not printed."""
    looked = tally.findings is not None and (tally.connections or tally.findings)
    found = _found(tally.findings or Counter()) if looked else ()
    troubled = [f"{tally.troubled:,} with problems: {_listed(tally.problems)}"] if tally.troubled else []
    return [*tally.lines, _printed(tally, summary, selected=selected), *found, *troubled, *left_out(summary)]


def fitted(lines: list[str], terminal: TextIO) -> Iterator[str]:
    """Wrap sentences to the width of a terminal; a number is not separated from the word after it."""
    width = os.get_terminal_size(terminal.fileno()).columns or _USUAL
    for sentence in lines:
        together = re.sub(r"(?<=\d) (?=\w)", _TOGETHER, sentence)
        for line in wrap(together, width, subsequent_indent="  ", break_on_hyphens=False):
            yield line.replace(_TOGETHER, " ")


def _printed(tally: Tally, summary: Summary, *, selected: bool) -> str:
    selected = selected and summary.connections > 0
    total = count(summary.connections, "connection")
    printed = f"{tally.connections:,} of {total}" if selected else count(tally.connections, "connection")
    if not tally.connections:
        return f"none of {total} selected" if selected else "no TLS connections"
    versions = [f"{many:,} {version or 'of no visible version'}" for version, many in tally.versions.most_common()]
    return f"{printed}: {', '.join(versions)}"


def _found(findings: Counter[str]) -> Iterator[str]:
    """Count the findings of each severity, the highest first."""
    if not findings:
        yield "nothing found"
    for severity in ("high", "medium", "low", "info"):
        start = f"{severity} "
        codes = Counter({name[len(start) :]: many for name, many in findings.items() if name.startswith(start)})
        if codes:
            yield f"{severity}: {_listed(codes)}"


def left_out(summary: Summary) -> Iterator[str]:
    """Yield what was seen but not decoded, and what could not be read."""
    yield from _not_tls(summary)
    counted = (("QUIC", summary.quic), ("DTLS", summary.dtls))
    others = [f"{'at least ' * (many >= MAX_COUNTED)}{many:,} {kind}" for kind, many in counted if many]
    if others:
        noun = "conversation" if summary.quic + summary.dtls == 1 else "conversations"
        yield f"{' and '.join(others)} {noun} not decoded"
    for (method, carrier), many in sorted(summary.eap.items()):
        yield f"{count(many, f'{method} conversation')} in {carrier} without a hello"
    if summary.skipped:
        yield f"not read: {_listed(summary.skipped)}"
    unused = len(summary.known_keys - summary.used_keys)
    if unused:
        yield f"secrets of {count(unused, 'connection')} opened nothing"
    if summary.given_up:
        yield f"{count(summary.given_up, 'connection')} given up"
    if summary.returned_early:
        yield f"{count(summary.returned_early, 'connection')} printed before their end, for lack of room to wait"
    if summary.evicted_connections:
        yield f"{count(summary.evicted_connections, 'flow')} evicted before their end"
    if summary.evicted_sessions:
        yield f"{count(summary.evicted_sessions, 'session')} evicted: later connections were not linked to them"
    if summary.late:
        yield f"{count(summary.late, 'packet')} after the end of their connection"
    if summary.damage:
        yield f"damage in {count(len(summary.damage), 'place')}"
    if summary.refused:
        yield f"{count(len(summary.refused), 'input')} refused"


def _not_tls(summary: Summary) -> Iterator[str]:
    """Count the TCP flows without TLS, by protocol."""
    total = summary.not_tls.total()
    if not total:
        return
    # The order must not depend on the number of processes.
    kinds = sorted(summary.not_tls.items(), key=lambda kind: (-kind[1], kind[0]))
    named = [f"{many:,} {kind}" for kind, many in kinds[:_KINDS]]
    rest = sum(many for _, many in kinds[_KINDS:])
    named += [f"{rest:,} of {count(len(kinds) - _KINDS, 'other kind')}"] if rest else []
    yield f"{count(total, 'other TCP flow' if summary.connections else 'TCP flow')}: {', '.join(named)}"


def count(many: int, noun: str) -> str:
    """Format a number and its noun."""
    return f"{many:,} {noun}{'' if many == 1 else 's'}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{many:,} {what}" for what, many in counts.most_common())
