"""What brings the entries of an answer from the processes that read to the one that prints."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Protocol

from msgspec import msgpack

from tlsdissect.corpus.question import Entry
from tlsdissect.transcript import portable
from tlsdissect.transcript.links import NONE, Linker, Trace, linked
from tlsdissect.transcript.sessions import Session
from tlsdissect.transcript.tracking.lookups import Heard
from tlsdissect.views.ndjson import Ndjson

if TYPE_CHECKING:
    from tlsdissect.corpus.question import Question
    from tlsdissect.corpus.workers import Line
    from tlsdissect.pipeline import Told
    from tlsdissect.transcript.connection import Connection

_SESSION, _CONNECTION = b"s", b"c"
_SENT = msgpack.Encoder()
_RECEIVED = msgpack.Decoder(tuple[Trace, bytes, bytes])


class Carrier(Protocol):
    """What brings connections from the processes that read to the one that prints."""

    @property
    def forgotten(self) -> int:
        """Sessions that later connections could not be linked to."""
        ...

    def packed(self, told: Told) -> bytes:
        """Write in one process what another needs to know."""
        ...

    def unpacked(self, line: Line) -> Entry | None:
        """Read what `packed` wrote, line by line in the order of output; None: there is nothing to print."""
        ...


class LinkingCarrier:
    """Brings entries as they are printed, with what may link their connections; what is linked is written anew."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._linker = Linker(question.options.limits.max_sessions)

    @property
    def forgotten(self) -> int:
        """Sessions that later connections could not be linked to."""
        return self._linker.forgotten

    def packed(self, told: Told) -> bytes:
        """Write an entry, empty if it is not asked for, and the facts beside it."""
        if isinstance(told, Session):
            return _SESSION + pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        if isinstance(told, Heard):
            return b""
        entry = self._question.entry(told).packed() if self._question.selection.wants(told) else b""
        facts = b"" if entry and isinstance(self._question.view, Ndjson) else portable.packed(told)
        return _CONNECTION + _SENT.encode((Trace.of(told), entry, facts))

    def unpacked(self, line: Line) -> Entry | None:
        """Give an entry, linked."""
        kind, data = line.text[:1], memoryview(line.text)[1:]
        if kind == _SESSION:
            self._linker.learn(line.place.capture, pickle.loads(data))  # noqa: S301  # from our own process
        if kind != _CONNECTION:
            return None
        trace, entry, facts = _RECEIVED.decode(data)
        links = self._linker.links(line.place.capture, trace, lambda: _facts(entry, facts))
        if not entry or links is NONE:
            return Entry.unpacked(entry) if entry else None
        return self._question.entry(linked(_facts(entry, facts), links))


def _facts(entry: bytes, facts: bytes) -> Connection:
    """The connection that came with an entry; one that was written as JSON came as nothing else."""
    return portable.unpacked(facts or Entry.unpacked(entry).text)
