"""Chains judged: each once for as long as nothing about the verdict can change, however often it is shown."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.caches import ByteCache
from tlsdissect.trust.certificate import certificate_notes, date_notes, lifetime_notes, soon
from tlsdissect.trust.chain import Link, chain_notes, find_issuer, issued, path
from tlsdissect.trust.details import Details, details
from tlsdissect.trust.notes import Note, moment, second
from tlsdissect.trust.path import NOT_CHECKED, Verdict, Verifier
from tlsdissect.trust.revocation import Crl, RevocationLists
from tlsdissect.trust.web_pki import WebPki

if TYPE_CHECKING:
    from tlsdissect.trust.anchors import Anchor
    from tlsdissect.trust.chain import Chain

KEPT_BYTES = 16 << 20
"""Bytes of verdicts on chains that are kept for the next connection which shows the same chain."""
SMALL_KEPT_BYTES = 4 << 20
"""Bytes of other conclusions, of each kind: dates at which verdicts change, verdicts for a name, and on staples."""

_INCOMPLETE = Verdict(None, "not all of the chain was kept")


class Settings(Struct, frozen=True):
    """What verdicts rest on beside the capture."""

    anchors: tuple[Anchor, ...] = ()
    """Authorities that are trusted; without any, trust is not checked."""
    lists: tuple[Crl, ...] = ()
    at: str | None = None
    """The time to judge as of, by RFC 3339; None: that of each connection, and nothing by date where it has none."""


class Judged(Struct, frozen=True):
    """What is known of a chain at a time."""

    notes: tuple[Note, ...]
    path: Verdict
    revocation: tuple[str | None, ...]
    """Of each certificate in the chain, by the lists that were given: "good", "revoked" or None."""


class Verdicts:
    """Judges chains with what the user trusts."""

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
        self._boundaries: ByteCache[list[str]] = ByteCache(SMALL_KEPT_BYTES)
        self._judged: ByteCache[Judged] = ByteCache(KEPT_BYTES)
        self._by_name: ByteCache[Verdict] = ByteCache(SMALL_KEPT_BYTES)

    def judged(self, chain: Chain, at: str | None) -> Judged:
        """Judge a chain as of a time (of `second`); None: of none, so that nothing is said that rests on dates."""
        return self._judged.get((chain.key, self._epoch(chain, at)), lambda: self._judge(chain, at))

    def web_pki(self, chain: Chain, name: str | None, at: str | None) -> Verdict:
        """Judge a server's chain by the rules of the Web PKI, for the name that was asked for."""
        verifier, when = self._web_pki, moment(at)
        if verifier is None or when is None:
            return NOT_CHECKED
        encodings = [link.encoding for link in chain.links if link.encoding is not None]
        if len(encodings) < len(chain.links):
            return _INCOMPLETE
        key = (chain.key, name, self._epoch(chain, at))
        return self._by_name.get(key, lambda: verifier.verify(encodings, name, when))

    def issuer_of(self, chain: Chain, link: Link) -> Link | None:
        """Find the issuer of a certificate: in its chain, among the authorities, or in what the other side showed."""
        if link.facts.self_signed:
            return link
        sent = find_issuer(link, chain.links)
        if sent is not None:
            return sent
        # All that the user trusts are tried: no sender can put other certificates before these.
        named = self._by_subject.get(link.facts.issuer, ())
        trusted = next((one for one in named if issued(link, one)), None)
        return trusted or find_issuer(link, chain.known)

    def _epoch(self, chain: Chain, at: str | None) -> tuple[int, int] | None:
        """Number the stretch of time in which the verdict on a chain stays the same."""
        if at is None:
            return None
        own = self._boundaries.get(chain.key, lambda: sorted(_dates(chain.links)))
        return bisect_right(own, at), bisect_right(self._common, at)

    def _judge(self, chain: Chain, at: str | None) -> Judged:
        links = chain.links
        notes = [note for link in _distinct(links) for note in certificate_notes(link.facts, _inside(link))]
        notes += [note for link in _distinct(links) for note in date_notes(link.facts, at)]
        way = path(links)
        notes += chain_notes(links, way, chain.side, self._trusted)
        leaf = links[0].facts
        if chain.side == "server" and not leaf.is_ca:
            notes += lifetime_notes(leaf)
        notes += self._lists.notes([links[place] for place in way.places], lambda link: self.issuer_of(chain, link), at)
        verdict = self._verify(links, at)
        if verdict.trusted is False:
            where = "" if verdict.depth is None else f" at depth {verdict.depth}"
            notes.append(Note("untrusted", f"{verdict.reason}{where} (OpenSSL's {verdict.code})", verdict.certificate))
        states = [self._lists.status(link, self.issuer_of(chain, link), at) for link in links] if self._lists else []
        return Judged(tuple(dict.fromkeys(notes)), verdict, tuple(states))

    def _verify(self, links: tuple[Link, ...], at: str | None) -> Verdict:
        when = moment(at)
        if self._verifier is None or when is None:
            return NOT_CHECKED
        encodings = [link.encoding for link in links if link.encoding is not None]
        return self._verifier.verify(encodings, when) if len(encodings) == len(links) else _INCOMPLETE


def _inside(link: Link) -> Details | None:
    return None if link.encoding is None else details(link.encoding)


def _distinct(links: tuple[Link, ...]) -> list[Link]:
    return list({link.facts.sha256: link for link in links}.values())


def _dates(links: tuple[Link, ...]) -> list[str]:
    """List the seconds at which what is said of these certificates changes."""
    found: list[str] = []
    for link in links:
        begin, end = link.facts.not_before, link.facts.not_after
        found += [second(begin)] if begin else []
        # A certificate is valid through the second of its end.
        found += [f"{second(end)}~", soon(link.facts)] if end else []
    return found
