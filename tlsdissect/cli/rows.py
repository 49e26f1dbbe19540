"""The rows of a result, in their order: by this process, or shared among several."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import msgpack

from tlsdissect.corpus import Workers
from tlsdissect.pipeline import Reading, Summary
from tlsdissect.streams.directory import WHOLE, Share
from tlsdissect.transcript import portable
from tlsdissect.transcript.links import NONE, Linker, Trace, linked
from tlsdissect.transcript.sessions import Session
from tlsdissect.transcript.tracking.lookups import Heard
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.cli.selection import Selection
    from tlsdissect.corpus import Line
    from tlsdissect.pipeline import Told
    from tlsdissect.streams.limits import Limits
    from tlsdissect.transcript.connection import Connection
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.trust.judge import Judge


_SESSION, _CONNECTION = b"s", b"c"
_SENT = msgpack.Encoder()
_RECEIVED = msgpack.Decoder(tuple[Trace, bytes, bytes])


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


class Row(NamedTuple):
    """What is printed of a connection, and what of it is counted."""

    source: str
    version: str | None
    problems: tuple[str, ...]
    findings: tuple[str, ...] | None
    """Severity and code of each; None where none was looked for."""
    text: bytes

    @classmethod
    def of(cls, connection: Connection, text: bytes) -> Row:
        """Count a connection that is written so."""
        problems = tuple(dict.fromkeys([problem.code for problem in connection.problems]))
        found = connection.findings
        findings = None if found is None else tuple([f"{finding.severity} {finding.code}" for finding in found])
        return cls(connection.source, connection.version, problems, findings, text)

    def packed(self) -> bytes:
        """Write the row for the way from one process to another; findings are looked for by one alone."""
        counted = "\0".join([self.source, self.version or "", ",".join(self.problems), ""])
        return counted.encode("utf-8", "surrogateescape") + self.text

    @classmethod
    def unpacked(cls, data: bytes) -> Row:
        """Read what `packed` wrote: no name of a file holds a zero byte."""
        *counted, text = data.split(b"\0", 3)
        source, version, problems = [part.decode("utf-8", "surrogateescape") for part in counted]
        return cls(source, version or None, tuple(problems.split(",")) if problems else (), None, text)


class Question(NamedTuple):
    """What is asked of which captures, and how the answer is written."""

    captures: tuple[str, ...]
    batch: int
    raw_fingerprints: bool
    limits: Limits
    selection: Selection
    view: View
    keep: bool = False
    judge: Judge | None = None
    evidence: Evidence | None = None
    idle: float | None = None
    """Seconds of silence that decide a handshake, where connections are told when it is decided."""
    linked: bool = True
    tells_findings: bool = True
    """Unless a judge serves something else."""

    def reading(self, share: Share = WHOLE) -> Reading:
        """Open a reading of all conversations, or of a share of them."""
        return Reading(
            self.captures,
            batch=self.batch,
            raw_fingerprints=self.raw_fingerprints,
            keep=self.keep,
            share=share,
            limits=self.limits,
            judge=self.judge,
            evidence=self.evidence,
            idle=self.idle,
            linked=self.linked,
        )

    def row(self, connection: Connection) -> Row:
        """Write a connection."""
        row = Row.of(connection, self.view.row(connection))
        return row if self.tells_findings else row._replace(findings=None)


class Carrier(Protocol):
    """What brings connections from the processes that read to the one that prints."""

    @property
    def forgotten(self) -> int:
        """Sessions that later connections could not be linked to."""
        ...

    def packed(self, told: Told) -> bytes:
        """Write in one process what another needs to know."""
        ...

    def unpacked(self, line: Line) -> Row | None:
        """Read what `packed` wrote, line by line in the order of output; None: there is nothing to print."""
        ...


class LinkingCarrier:
    """Brings rows as they are printed, with what may link their connections; those that are linked are written anew."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._linker = Linker(question.limits.max_sessions)

    @property
    def forgotten(self) -> int:
        """Sessions that later connections could not be linked to."""
        return self._linker.forgotten

    def packed(self, told: Told) -> bytes:
        """Write a row, empty if it is not asked for, and the facts beside it."""
        if isinstance(told, Session):
            return _SESSION + pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        if isinstance(told, Heard):
            return b""
        row = self._question.row(told).packed() if self._question.selection.wants(told) else b""
        facts = b"" if row and isinstance(self._question.view, Ndjson) else portable.packed(told)
        return _CONNECTION + _SENT.encode((Trace.of(told), row, facts))

    def unpacked(self, line: Line) -> Row | None:
        """Give a row, linked."""
        kind, data = line.text[:1], memoryview(line.text)[1:]
        if kind == _SESSION:
            self._linker.learn(line.place.capture, pickle.loads(data))  # noqa: S301  # from our own process
        if kind != _CONNECTION:
            return None
        trace, row, facts = _RECEIVED.decode(data)
        links = self._linker.links(line.place.capture, trace, lambda: _facts(row, facts))
        if not row or links is NONE:
            return Row.unpacked(row) if row else None
        return self._question.row(linked(_facts(row, facts), links))


def _facts(row: bytes, facts: bytes) -> Connection:
    """The connection that came with a row; one that was written as JSON came as nothing else."""
    return portable.unpacked(facts or Row.unpacked(row).text)


class Rows:
    """The rows of one reading, the question's own unless one is given."""

    def __init__(self, question: Question, reading: Reading | None = None) -> None:
        self._question = question
        self._reading = reading or question.reading()
        self.progress = self._reading.progress

    def __iter__(self) -> Iterator[Row]:
        """Yield each as soon as nothing about it can change."""
        for connection in self._reading:
            if self._question.selection.wants(connection):
                yield self._question.row(connection)

    @property
    def summary(self) -> Summary:
        """What was read so far."""
        return self._reading.summary

    def stop(self) -> None:
        """Read no more, but tell what was read."""
        self._reading.stop()

    def waits(self) -> bool:
        """Whether more packets are being waited for."""
        return self._reading.waiting

    def close(self) -> None:
        """Nothing is left behind."""


class SharedRows:
    """The same rows, by several processes."""

    def __init__(self, question: Question, jobs: int, carrier: Carrier | None = None) -> None:
        self._carrier = carrier or LinkingCarrier(question)
        self._all = question.reading()
        self._workers = Workers(jobs, question.reading, self._carrier.packed, _summary)
        self._brought = 0
        self._asked = 0

    def __iter__(self) -> Iterator[Row]:
        """Yield each when no process can have one that comes before it."""
        for line in self._workers:
            self._brought += 1
            row = self._carrier.unpacked(line)
            if row is not None:
                yield row

    def progress(self) -> tuple[int, int | None]:
        """Tell how far the first of the processes is: bytes read, and bytes in all."""
        return self._workers.position, self._all.progress()[1]

    @property
    def summary(self) -> Summary:
        """What was read, once it all is; before, nothing is known here."""
        summary = _merged(self._workers.accounts) if self._workers.accounts else Summary()
        summary.forgotten = self._carrier.forgotten
        return summary

    def stop(self) -> None:
        """Read no more, but tell what was read."""
        self._workers.finish()

    def waits(self) -> bool:
        """Whether no process has brought anything since this was asked last."""
        before, self._asked = self._asked, self._brought
        return before == self._brought

    def close(self) -> None:
        """End the processes, if they still run."""
        self._workers.stop()


def _summary(reading: Reading) -> Summary:
    return reading.summary


def _merged(accounts: list[Summary]) -> Summary:
    """Add up what each process found: all saw every packet, each told the connections of its share."""
    whole, *others = accounts
    for other in others:
        whole.connections += other.connections
        whole.versions += other.versions
        whole.given_up += other.given_up
        whole.late += other.late
        whole.displaced = max(whole.displaced, other.displaced)
    accounts[:] = [whole]
    return whole
