"""Connections in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.caches import ByteCache
from tlsdissect.trust.chain import Chain
from tlsdissect.trust.lookups import asked, download_findings, lookup_findings
from tlsdissect.trust.names import is_for
from tlsdissect.trust.notes import Note, second
from tlsdissect.trust.protocol import exposure_findings, protocol_findings
from tlsdissect.trust.rules import at_least, finding
from tlsdissect.trust.showing import Showing
from tlsdissect.trust.staples import must_staple_notes, staple_answer, staple_notes
from tlsdissect.trust.verdicts import SMALL_KEPT_BYTES, Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Certificate, Connection, Finding
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.trust.lookups import Asked
    from tlsdissect.trust.ocsp import OcspAnswer
    from tlsdissect.trust.path import Verdict

ACME_PROTOCOL = "acme-tls/1"
"""RFC 8737 section 6.2."""


class Judge:
    """Tells what is wrong with connections; what was judged once is not judged again."""

    def __init__(self, settings: Settings | None = None, *, least: str = "info") -> None:
        self._settings = settings or Settings()
        self.least = least
        """The severity from which on findings are told."""
        self._told = at_least(least)
        self.verdicts = Verdicts(self._settings)
        self._staples: ByteCache[OcspAnswer] = ByteCache(SMALL_KEPT_BYTES)

    def findings(self, connection: Connection, evidence: Evidence) -> tuple[Finding, ...]:
        """Judge a connection; `evidence` was gathered by the reading that told it."""
        showing = Showing.of(connection, evidence)
        found = [*protocol_findings(connection), *exposure_findings(connection)]
        for chain in showing.chains:
            found += [finding(code, detail, chain.frame, sha256) for code, detail, sha256 in self.notes(showing, chain)]
        if evidence.lookups:
            found += self.lookup_findings(showing, evidence)
        return tuple([one for one in found if self.tells(one)])

    def lookups(self, showing: Showing, evidence: Evidence) -> list[Asked]:
        """Find the OCSP lookups that the sides of a connection made while it waited."""
        helping = Chain("server", tuple([link for chain in showing.chains for link in chain.links]))
        return list(asked(showing, evidence, lambda link: self.verdicts.issuer_of(helping, link)))

    def lookup_findings(self, showing: Showing, evidence: Evidence) -> Iterator[Finding]:
        """Tell what the sides of a connection looked up over plain HTTP."""
        yield from lookup_findings(self.lookups(showing, evidence))
        yield from download_findings(showing, evidence)

    @property
    def at(self) -> str | None:
        """The time to judge everything as of; None: each connection as of its own."""
        return self._settings.at

    @property
    def trusts(self) -> bool:
        """Whether any authority is trusted, so that paths are checked."""
        return bool(self._settings.anchors)

    def tells(self, found: Finding) -> bool:
        """Tell whether a finding is grave enough."""
        return found.severity in self._told

    def time(self, showing: Showing) -> str | None:
        """Tell the time (of `second`) to judge a connection as of; None: the capture does not tell its."""
        at = self._settings.at or showing.start
        return None if at is None else second(at)

    def name(self, showing: Showing, leaf: Certificate) -> bool | None:
        """Tell whether a server's certificate is for the name that was asked for; None where none was."""
        return None if showing.sni is None else is_for(leaf, showing.sni)

    def web_pki(self, showing: Showing, chain: Chain) -> Verdict:
        """Judge a server's chain by the rules of the Web PKI alone."""
        return self.verdicts.web_pki(chain, showing.sni, self.time(showing))

    def staple(self, showing: Showing, chain: Chain) -> OcspAnswer | None:
        """Check the staple that came with a chain; None where there is none, or it was not kept."""
        stapled, response, at = showing.staple, showing.response, self.time(showing)
        if stapled is None or response is None:
            return None
        early = at is not None and stapled.this_update is not None and at < second(stapled.this_update)
        late = at is not None and stapled.next_update is not None and at > second(stapled.next_update)
        leaf, issuer = chain.links[0], self.verdicts.issuer_of(chain, chain.links[0])
        key = (stapled.sha256, leaf.facts.sha256, issuer and issuer.facts.sha256, early, late)
        return self._staples.get(key, lambda: staple_answer(response, leaf, issuer, at))

    def notes(self, showing: Showing, chain: Chain) -> Iterator[Note]:
        """Note what is wrong with a chain in the connection that showed it."""
        at, leaf = self.time(showing), chain.links[0]
        yield from self.verdicts.judged(chain, at).notes
        if chain.side == "client":
            return
        yield from _names(showing, leaf.facts, matches=self.name(showing, leaf.facts))
        yield from _purpose(showing, leaf.facts)
        verdict = self.web_pki(showing, chain)
        if verdict.trusted is False:
            yield Note("not_web_pki", verdict.reason, leaf.facts.sha256)
        given = self.staple(showing, chain)
        yield from must_staple_notes(showing, leaf)
        if given is not None:
            yield from staple_notes(given, leaf)


def _names(showing: Showing, leaf: Certificate, *, matches: bool | None) -> Iterator[Note]:
    if matches is not False:
        return
    names = [*(leaf.dns_names or ()), *(leaf.ip_addresses or ())]
    listed = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}" or "no name (RFC 9525)"
    yield Note("name_mismatch", f"{showing.sni} was asked for; the certificate has {listed}", leaf.sha256)


def _purpose(showing: Showing, leaf: Certificate) -> Iterator[Note]:
    """Note what a server's certificate is for: an ACME challenge, or nothing that an authority vouches for."""
    if leaf.acme_identifier is not None:
        code = "acme_challenge" if showing.alpn == ACME_PROTOCOL else "acme_outside_challenge"
        spoken = showing.alpn or "no protocol"
        yield Note(code, f"acmeIdentifier {leaf.acme_identifier[:16]}…, with {spoken} agreed on", leaf.sha256)
    elif leaf.self_signed:
        yield Note("self_signed", f"{leaf.subject} stands for itself", leaf.sha256)
