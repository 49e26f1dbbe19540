"""Transport of certificates from the worker processes to the process that prints the certificate inventory."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

from tlsdissect.corpus.query import OutputRow
from tlsdissect.handshake.revocation_lookups import CapturedLookup
from tlsdissect.handshake.sessions import Session
from tlsdissect.trust.presented_chains import PresentedChains, packed, unpacked

if TYPE_CHECKING:
    from tlsdissect.corpus.selection import Selection
    from tlsdissect.corpus.workers import WorkerOutput
    from tlsdissect.handshake.connections import ReadingEvent
    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.trust.inventory import CertificateInventory

_LOOKUP, _CONNECTION = b"l", b"c"


class CertificateTransport:
    """Sends the certificate chains of connections, and revocation lookups; a connection without any is only counted."""

    evicted_sessions = 0

    def __init__(self, selection: Selection, inventory: CertificateInventory, evidence: Evidence) -> None:
        """`evidence` is what the reading of this process fills: each worker has its own."""
        self._selection = selection
        self._inventory = inventory
        self._evidence = evidence

    def pack(self, event: ReadingEvent) -> bytes:
        """Encode the chains of a connection, or a lookup."""
        if isinstance(event, CapturedLookup):
            return _LOOKUP + pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
        if isinstance(event, Session) or not self._selection.matches(event):
            return b""
        has_chains = event.certificates or event.client_certificates or event.hidden
        text = packed(PresentedChains.of(event, self._evidence)) if has_chains else b""
        return _CONNECTION + OutputRow.of(event, text).pack()

    def unpack(self, output: WorkerOutput) -> OutputRow | None:
        """Decode the chains and add them to the inventory; return the row for the summary."""
        kind, data = output.text[:1], output.text[1:]
        if kind == _LOOKUP:
            self._evidence.add_lookup(pickle.loads(data))  # noqa: S301  # from our own process
        if kind != _CONNECTION:
            return None
        row = OutputRow.unpack(data)
        if row.text:
            self._inventory.take(unpacked(row.text))
        return row._replace(text=b"")
