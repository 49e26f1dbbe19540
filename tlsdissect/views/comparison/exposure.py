"""Counts what anyone on the path could read of connections."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from tlsdissect.trust.certificate import emails
from tlsdissect.views.comparison.model import Exposure
from tlsdissect.views.comparison.predicates import version_group
from tlsdissect.views.comparison.sampling import Names, Sample

if TYPE_CHECKING:
    from tlsdissect.model.connection import Certificate, Connection
    from tlsdissect.views.comparison.model import Spread
    from tlsdissect.views.comparison.sampling import Budget

_NOT_HANDSHAKE = frozenset(("change_cipher_spec", "alert"))


class ExposureCounter:
    """Counts what was in the clear, and what was encrypted."""

    def __init__(self, budget: Budget) -> None:
        self._n: Counter[str] = Counter()
        self._certificates = Names(budget)
        self._names = Names(budget)
        self._emails = Names(budget)
        self._server_names = Names(budget)
        self._sizes: defaultdict[tuple[str, str], Sample] = defaultdict(lambda: Sample(budget))

    def add(self, c: Connection) -> None:
        """Add a connection."""
        offered = c.client_hello is not None and bool(c.client_hello.alpn)
        self._n["alpn_offered"] += offered
        self._n["alpn_agreed"] += c.alpn is not None
        self._n["connections"] += bool(c.certificates or c.client_certificates)
        self._n["client_certificates"] += bool(c.client_certificates)
        if c.sni is not None:
            self._n["sni"] += 1
            self._server_names.add(c.sni)
        for one in (*(c.certificates or ()), *(c.client_certificates or ())):
            self._certificate(one)
        if c.outcome == "established":
            hides = version_group(c) == "TLS 1.3"
            self._n["hidden_certificates"] += hides and c.certificates is None
            self._n["hidden_alpn"] += hides and offered
            self._handshake(c)

    def _certificate(self, one: Certificate) -> None:
        self._n["bytes"] += one.bytes
        if not self._certificates.add(one.sha256):
            return
        for name in (*(one.dns_names or ()), *(one.ip_addresses or ())):
            self._names.add(name)
        for address in emails(one):
            self._emails.add(address)

    def _handshake(self, c: Connection) -> None:
        sums: Counter[tuple[str, str]] = Counter()
        for one in c.messages:
            if one.type not in _NOT_HANDSHAKE:
                sums["encrypted" if one.type == "encrypted" else "readable", one.sender] += one.bytes
        for what, many in sums.items():
            self._sizes[what].add(many)

    def result(self) -> Exposure:
        """Return the counts."""
        counts = ("connections", "bytes", "client_certificates", "sni", "alpn_offered", "alpn_agreed")
        return Exposure(
            **{name: self._n[name] for name in (*counts, "hidden_certificates", "hidden_alpn")},
            distinct=len(self._certificates),
            names=len(self._names),
            emails=len(self._emails),
            sni_names=len(self._server_names),
            readable=self._spreads("readable"),
            encrypted=self._spreads("encrypted"),
            cut=any(one.cut for one in (self._certificates, self._names, self._emails, self._server_names)),
        )

    def _spreads(self, kind: str) -> dict[str, Spread]:
        spreads = ((side, self._sizes[kind, side].spread()) for side in ("client", "server"))
        return {side: spread for side, spread in spreads if spread is not None}
