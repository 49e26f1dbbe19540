"""The entries of an answer, in their order: by this process, or shared among several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.corpus.carriers import LinkingCarrier
from tlsdissect.corpus.workers import Workers
from tlsdissect.pipeline import Reading, Summary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.corpus.carriers import Carrier
    from tlsdissect.corpus.question import Entry, Question


class Entries:
    """The entries of one reading, the question's own unless one is given."""

    def __init__(self, question: Question, reading: Reading | None = None) -> None:
        self._question = question
        self._reading = reading or question.reading()
        self.progress = self._reading.progress

    def __iter__(self) -> Iterator[Entry]:
        """Yield each as soon as nothing about it can change."""
        for connection in self._reading:
            if self._question.selection.wants(connection):
                yield self._question.entry(connection)

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


class SharedEntries:
    """The same entries, by several processes."""

    def __init__(self, question: Question, jobs: int, carrier: Carrier | None = None) -> None:
        self._carrier = carrier or LinkingCarrier(question)
        self._all = question.reading()
        self._workers = Workers(jobs, question.reading, self._carrier.packed, _summary)
        self._brought = 0
        self._asked = 0

    def __iter__(self) -> Iterator[Entry]:
        """Yield each when no process can have one that comes before it."""
        for line in self._workers:
            self._brought += 1
            entry = self._carrier.unpacked(line)
            if entry is not None:
                yield entry

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
        whole.not_tls += other.not_tls
        whole.given_up += other.given_up
        whole.late += other.late
        whole.untimely += other.untimely
        whole.unspilled = whole.unspilled or other.unspilled
        whole.displaced = max(whole.displaced, other.displaced)
    accounts[:] = [whole]
    return whole
