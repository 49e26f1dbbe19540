"""What of connections the one process has to know that tells their certificates, where several read."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from tlsdissect.corpus.question import Entry
from tlsdissect.transcript.sessions import Session
from tlsdissect.transcript.tracking.lookups import Heard
from tlsdissect.trust.showing import Showing, packed, unpacked

if TYPE_CHECKING:
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.corpus.workers import Line
    from tlsdissect.pipeline import Told
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.trust.exhibits import Exhibits

_LOOKUP, _CONNECTION = b"l", b"c"


class ShowingCarrier:
    """Brings what connections show of certificates, and lookups; connections that show none are counted."""

    forgotten = 0

    def __init__(self, selection: Selection, exhibits: Exhibits, evidence: Evidence) -> None:
        """`evidence` is that of the process in which this is used, and of the reading there."""
        self._selection = selection
        self._exhibits = exhibits
        self._evidence = evidence

    def packed(self, told: Told) -> bytes:
        """Write what a connection shows, or a lookup."""
        if isinstance(told, Heard):
            return _LOOKUP + pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        if isinstance(told, Session) or not self._selection.wants(told):
            return b""
        shows = told.certificates or told.client_certificates or told.hidden
        text = packed(Showing.of(told, self._evidence)) if shows else b""
        return _CONNECTION + Entry.of(told, text).packed()

    def unpacked(self, line: Line) -> Entry | None:
        """Read it, and hand it on."""
        kind, data = line.text[:1], line.text[1:]
        if kind == _LOOKUP:
            self._evidence.note(pickle.loads(data))  # noqa: S301  # from our own process
        if kind != _CONNECTION:
            return None
        entry = Entry.unpacked(data)
        if entry.text:
            self._exhibits.take(unpacked(entry.text))
        return entry._replace(text=b"")
