"""Judges certificate chains: each certificate, the chain, its path to an authority, the Web PKI and revocation.

Verdicts are cached for as long as the passing of time cannot change them.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.caches import ByteCache
from tlsdissect.trust.certificate import certificate_findings, date_findings, expires_soon_from, lifetime_findings
from tlsdissect.trust.chain import Link, chain_findings, find_issuer, find_path, issued
from tlsdissect.trust.path import NOT_CHECKED, Verdict, Verifier
from tlsdissect.trust.revocation import Crl, RevocationLists
from tlsdissect.trust.rules import CertificateFinding
from tlsdissect.trust.times import parse_time, to_second
from tlsdissect.trust.web_pki import WebPki

if TYPE_CHECKING:
    from tlsdissect.trust.anchors import Anchor
    from tlsdissect.trust.chain import Chain

VERDICT_CACHE_BYTES = 16 << 20
"""Bytes of cached verdicts on chains."""
SMALL_VERDICT_CACHE_BYTES = 4 << 20
"""Bytes of each smaller cache: the times at which verdicts change, verdicts per host name, and OCSP staples."""

_INCOMPLETE = Verdict(None, "not all of the chain was kept")


class Settings(Struct, frozen=True):
    """What verdicts depend on besides the capture."""

    anchors: tuple[Anchor, ...] = ()
    """Trust anchors; without any, trust is not checked."""
    lists: tuple[Crl, ...] = ()
    at: str | None = None
    """The time at which to validate (RFC 3339); None: each connection's own, and no checks of dates if it has none."""


class ChainVerdict(Struct, frozen=True):
    """The verdict on a chain at a time."""

    findings: tuple[CertificateFinding, ...]
    path: Verdict
    revocation: tuple[str | None, ...]
    """The status of each certificate by the user's CRLs: "good", "revoked" or None."""


class Verdicts:
    """Validates chains with the user's trust anchors and CRLs."""

    def __init__(self, settings: Settings) -> None:
        self._anchors = tuple([Link(anchor.facts, anchor.encoding) for anchor in settings.anchors])
        self._by_subject: dict[str | None, list[Link]] = {}
        for link in self._anchors:
            self._by_subject.setdefault(link.facts.subject, []).append(link)
        self._trusted = frozenset([link.facts.subject for link in self._anchors if link.facts.subject is not None])
        self._lists = RevocationLists(settings.lists)
        self._verifier = Verifier(settings.anchors) if settings.anchors else None
        self._web_pki = WebPki(settings.anchors) if settings.anchors else None
        self._common = sorted([*self._lists.boundaries, *_dates(self._anchors)])
        self._boundaries: ByteCache[list[str]] = ByteCache(SMALL_VERDICT_CACHE_BYTES)
        self._judged: ByteCache[ChainVerdict] = ByteCache(VERDICT_CACHE_BYTES)
        self._by_name: ByteCache[Verdict] = ByteCache(SMALL_VERDICT_CACHE_BYTES)

    def chain_verdict(self, chain: Chain, at: str | None) -> ChainVerdict:
        """Validate a chain at a time (in the form of `to_second`); with None, skip all checks that depend on dates."""
        return self._judged.get((chain.key, self._epoch(chain, at)), lambda: self._judge(chain, at))

    def web_pki(self, chain: Chain, name: str | None, at: str | None) -> Verdict:
        """Validate a server's chain by the rules of the Web PKI, for the host name in SNI."""
        verifier, when = self._web_pki, parse_time(at)
        if verifier is None or when is None:
            return NOT_CHECKED
        encodings = [link.encoding for link in chain.links if link.encoding is not None]
        if len(encodings) < len(chain.links):
            return _INCOMPLETE
        key = (chain.key, name, self._epoch(chain, at))
        return self._by_name.get(key, lambda: verifier.verify(encodings, name, when))

    def issuer_of(self, chain: Chain, link: Link) -> Link | None:
        """Find a certificate's issuer in its chain, among the trust anchors, or in the peer's chain."""
        if link.facts.self_signed:
            return link
        sent = find_issuer(link, chain.links)
        if sent is not None:
            return sent
        # Try every anchor of that name: unlike the certificates of a chain, no sender controls how many there are.
        candidates = self._by_subject.get(link.facts.issuer, ())
        trusted = next((one for one in candidates if issued(link, one)), None)
        return trusted or find_issuer(link, chain.known)

    def _epoch(self, chain: Chain, at: str | None) -> tuple[int, int] | None:
        """Return a key for the interval around `at` in which the verdict on a chain cannot change.

        Verdicts only change at boundaries: a certificate's or a CRL's start or end. Between two of them any time gives
        the same verdict, so the cache is keyed by the interval and not by the second.
        """
        if at is None:
            return None
        own = self._boundaries.get(chain.key, lambda: sorted(_dates(chain.links)))
        return bisect_right(own, at), bisect_right(self._common, at)

    def _judge(self, chain: Chain, at: str | None) -> ChainVerdict:
        links = chain.links
        findings = [finding for link in _distinct(links) for finding in certificate_findings(link.facts, link.details)]
        findings += [finding for link in _distinct(links) for finding in date_findings(link.facts, at)]
        path = find_path(links)
        findings += chain_findings(links, path, chain.side, self._trusted)
        leaf = links[0].facts
        if chain.side == "server" and not leaf.is_ca:
            findings += lifetime_findings(leaf)
        findings += self._lists.findings(
            [links[place] for place in path.places], lambda link: self.issuer_of(chain, link), at
        )
        verdict = self._verify(links, at)
        if verdict.trusted is False:
            where = "" if verdict.depth is None else f" at depth {verdict.depth}"
            findings.append(
                CertificateFinding(
                    "untrusted", f"{verdict.reason}{where} (OpenSSL's {verdict.code})", verdict.certificate
                )
            )
        states = [self._lists.status(link, self.issuer_of(chain, link), at) for link in links] if self._lists else []
        return ChainVerdict(tuple(dict.fromkeys(findings)), verdict, tuple(states))

    def _verify(self, links: tuple[Link, ...], at: str | None) -> Verdict:
        when = parse_time(at)
        if self._verifier is None or when is None:
            return NOT_CHECKED
        encodings = [link.encoding for link in links if link.encoding is not None]
        return self._verifier.verify(encodings, when) if len(encodings) == len(links) else _INCOMPLETE


def _distinct(links: tuple[Link, ...]) -> list[Link]:
    return list({link.facts.sha256: link for link in links}.values())


def _dates(links: tuple[Link, ...]) -> list[str]:
    """Return the times, in seconds, at which findings about these certificates change."""
    found: list[str] = []
    for link in links:
        begin, end = link.facts.not_before, link.facts.not_after
        found += [to_second(begin)] if begin else []
        # A certificate is still valid in the second of notAfter; "~" sorts after every time in that second.
        found += [f"{to_second(end)}~", expires_soon_from(link.facts)] if end else []
    return found
