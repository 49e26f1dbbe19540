"""The judge: turns connections into findings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tlsdissect.caches import ByteCache
from tlsdissect.model.connection import at_least
from tlsdissect.model.dates import dated
from tlsdissect.trust.chain import Chain
from tlsdissect.trust.conflicts import conflict_findings
from tlsdissect.trust.lookups import download_findings, lookup_findings, match_lookups
from tlsdissect.trust.names import is_for
from tlsdissect.trust.ocsp import OcspAnswer, answer
from tlsdissect.trust.presented_chains import PresentedChains
from tlsdissect.trust.protocol import exposure_findings, protocol_findings
from tlsdissect.trust.rules import CertificateFinding, finding
from tlsdissect.trust.staples import must_staple_findings, staple_findings
from tlsdissect.trust.times import to_second
from tlsdissect.trust.verdicts import SMALL_VERDICT_CACHE_BYTES, Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.revocation_lookups import LookupExchange
    from tlsdissect.model.connection import Certificate, Connection, Finding
    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.lookups import MatchedLookup
    from tlsdissect.trust.path import Verdict

ACME_PROTOCOL = "acme-tls/1"
"""RFC 8737 section 6.2."""


class Judge:
    """Produces the findings of connections; verdicts on chains and staples are cached across connections."""

    def __init__(self, settings: Settings | None = None, *, min_severity: str = "info") -> None:
        self.settings = settings or Settings()
        """What findings depend on besides the capture."""
        self.min_severity = min_severity
        """The lowest severity that is reported."""
        self._reported = at_least(min_severity)
        self.verdicts = Verdicts(self.settings)
        self._answers: ByteCache[OcspAnswer] = ByteCache(SMALL_VERDICT_CACHE_BYTES)

    def findings(self, connection: Connection, evidence: Evidence) -> tuple[Finding, ...]:
        """Return a connection's findings; `evidence` comes from the reading that produced the connection."""
        presented = PresentedChains.of(connection, evidence)
        found = [*protocol_findings(connection), *conflict_findings(connection), *exposure_findings(connection)]
        for chain in presented.chains:
            found += [
                finding(code, detail, chain.frame, sha256, with_keys=chain.with_keys)
                for code, detail, sha256 in self.chain_findings(presented, chain)
            ]
        if evidence.lookups:
            found += lookup_findings(presented, self.lookups(presented, evidence))
            found += download_findings(presented, evidence)
        return tuple([one for one in found if self.reports(one)])

    def lookups(self, presented: PresentedChains, evidence: Evidence) -> list[MatchedLookup]:
        """Return the OCSP lookups that the two sides made during the handshake."""
        combined = Chain("server", tuple([link for chain in presented.chains for link in chain.links]))

        def check(exchange: LookupExchange, about: Link) -> OcspAnswer | None:
            body, issuer = evidence.encoding(exchange.sha256), self.verdicts.issuer_of(combined, about)
            if body is None:
                return None
            at = to_second(datetime.fromtimestamp(exchange.answered // 1_000_000_000, UTC).isoformat())
            key = (exchange.sha256, about.facts.sha256, issuer and issuer.facts.sha256, at)
            return self._answers.get(key, lambda: answer(body, about, issuer, at))

        return match_lookups(presented, evidence, check)

    @property
    def at(self) -> str | None:
        """The time at which to validate everything; None: each connection at its own time."""
        return self.settings.at

    @property
    def checks_paths(self) -> bool:
        """Whether there are trust anchors, so that paths are checked."""
        return bool(self.settings.anchors)

    def reports(self, found: Finding) -> bool:
        """Return whether a finding reaches the minimum severity."""
        return found.severity in self._reported

    def time(self, presented: PresentedChains) -> str | None:
        """Return the time at which to validate, in the form of `to_second`; None if the capture has no dates."""
        at = self.settings.at or dated(presented.start)
        return None if at is None else to_second(at)

    def name_matches(self, presented: PresentedChains, leaf: Certificate) -> bool | None:
        """Return whether a server's certificate covers the name in SNI; None without SNI."""
        return None if presented.sni is None else is_for(leaf, presented.sni)

    def web_pki(self, presented: PresentedChains, chain: Chain) -> Verdict:
        """Validate a server's chain by the rules of the Web PKI."""
        return self.verdicts.web_pki(chain, presented.sni, self.time(presented))

    def staple(self, presented: PresentedChains, chain: Chain) -> OcspAnswer | None:
        """Check the staple that came with a chain; None if there is none, or it was not kept."""
        stapled, response, at = presented.staple, presented.response, self.time(presented)
        if stapled is None or response is None:
            return None
        early = at is not None and stapled.this_update is not None and at < to_second(stapled.this_update)
        late = at is not None and stapled.next_update is not None and at > to_second(stapled.next_update)
        leaf, issuer = chain.links[0], self.verdicts.issuer_of(chain, chain.links[0])
        key = (stapled.sha256, leaf.facts.sha256, issuer and issuer.facts.sha256, early, late)
        return self._answers.get(key, lambda: answer(response, leaf, issuer, at))

    def chain_findings(self, presented: PresentedChains, chain: Chain) -> Iterator[CertificateFinding]:
        """Report the findings of a chain in the connection that presented it."""
        at, leaf = self.time(presented), chain.links[0]
        yield from self.verdicts.chain_verdict(chain, at).findings
        if chain.side == "client":
            return
        yield from _names(presented, leaf.facts, matches=self.name_matches(presented, leaf.facts))
        yield from _purpose(presented, leaf.facts)
        verdict = self.web_pki(presented, chain)
        if verdict.trusted is False:
            yield CertificateFinding("not_web_pki", verdict.reason, leaf.facts.sha256)
        staple = self.staple(presented, chain)
        yield from must_staple_findings(presented, leaf)
        if staple is not None:
            yield from staple_findings(staple, leaf)


def _names(presented: PresentedChains, leaf: Certificate, *, matches: bool | None) -> Iterator[CertificateFinding]:
    if matches is not False:
        return
    names = [*(leaf.dns_names or ()), *(leaf.ip_addresses or ())]
    listed = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}" or "no name (RFC 9525)"
    yield CertificateFinding(
        "name_mismatch", f"{presented.sni} was requested; the certificate has {listed}", leaf.sha256
    )


def _purpose(presented: PresentedChains, leaf: Certificate) -> Iterator[CertificateFinding]:
    """Report a server's certificate for an ACME challenge, or a self-signed one."""
    if leaf.acme_identifier is not None:
        code = "acme_challenge" if presented.alpn == ACME_PROTOCOL else "acme_outside_challenge"
        protocol = presented.alpn or "no protocol"
        yield CertificateFinding(
            code, f"acmeIdentifier {leaf.acme_identifier[:16]}…, with {protocol} negotiated", leaf.sha256
        )
    elif leaf.self_signed:
        yield CertificateFinding("self_signed", f"{leaf.subject} signed its own certificate", leaf.sha256)
