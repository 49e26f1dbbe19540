"""Connections in, findings out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlsdissect.transcript.connection import Hidden
from tlsdissect.trust.chain import Link
from tlsdissect.trust.lookups import asked, download_findings, lookup_findings
from tlsdissect.trust.names import is_for
from tlsdissect.trust.notes import Note, second
from tlsdissect.trust.protocol import certificate_frame, exposure_findings, protocol_findings
from tlsdissect.trust.rules import at_least, finding
from tlsdissect.trust.staples import must_staple_notes, staple_answer, staple_notes
from tlsdissect.trust.verdicts import Bounded, Chain, Settings, Verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tlsdissect.transcript.connection import Certificate, Connection, Finding
    from tlsdissect.transcript.evidence import Evidence
    from tlsdissect.trust.lookups import Asked
    from tlsdissect.trust.ocsp import Answer
    from tlsdissect.trust.path import Verdict

ACME_PROTOCOL = "acme-tls/1"
"""RFC 8737 section 6.2."""


class Judge:
    """Tells what is wrong with connections; what was judged once is not judged again."""

    def __init__(self, settings: Settings | None = None, *, least: str = "info") -> None:
        """`least` is the severity from which on findings are told."""
        self._settings = settings or Settings()
        self._told = at_least(least)
        self.verdicts = Verdicts(self._settings)
        self._staples: Bounded[Answer] = Bounded()

    def findings(self, connection: Connection, evidence: Evidence) -> tuple[Finding, ...]:
        """Judge a connection; `evidence` was gathered by the reading that told it."""
        found = [*protocol_findings(connection), *exposure_findings(connection)]
        for chain in chains(connection, evidence):
            frame = certificate_frame(connection, chain.side)
            found += [
                finding(code, detail, frame, sha256) for code, detail, sha256 in self.notes(connection, chain, evidence)
            ]
        found += self.lookup_findings(connection, evidence)
        return tuple([one for one in found if self.tells(one)])

    def lookups(self, connection: Connection, evidence: Evidence) -> list[Asked]:
        """Find the OCSP lookups that the sides of a connection made while it waited."""
        given = {chain.side: chain for chain in chains(connection, evidence)}
        shown = {
            "server": _shown(given.get("server"), seen=connection.certificates is not None),
            "client": _shown(given.get("client"), seen=connection.client_certificate_requested is not None),
        }
        whole = tuple([link for chain in given.values() for link in chain.links])
        helping = Chain("server", whole)
        return list(asked(connection, shown, evidence, lambda link: self.verdicts.issuer_of(helping, link)))

    def lookup_findings(self, connection: Connection, evidence: Evidence) -> Iterator[Finding]:
        """Tell what the sides of a connection looked up over plain HTTP."""
        yield from lookup_findings(self.lookups(connection, evidence))
        links = [link for chain in chains(connection, evidence) for link in chain.links]
        yield from download_findings(connection, links, evidence)

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

    def time(self, connection: Connection) -> str:
        """Tell the time (of `second`) to judge a connection as of."""
        return second(self._settings.at or connection.start)

    def name(self, connection: Connection, leaf: Certificate) -> bool | None:
        """Tell whether a server's certificate is for the name that was asked for; None where none was."""
        return None if connection.sni is None else is_for(leaf, connection.sni)

    def web_pki(self, connection: Connection, chain: Chain) -> Verdict:
        """Judge a server's chain by the rules of the Web PKI alone."""
        return self.verdicts.web_pki(chain, connection.sni, self.time(connection))

    def staple(self, connection: Connection, chain: Chain, evidence: Evidence) -> Answer | None:
        """Check the staple that came with a chain; None where there is none, or it was not kept."""
        stapled, at = connection.ocsp_staple, self.time(connection)
        response = evidence.encoding(stapled.sha256) if stapled is not None and stapled.sha256 else None
        if stapled is None or response is None:
            return None
        early = stapled.this_update is not None and at < second(stapled.this_update)
        late = stapled.next_update is not None and at > second(stapled.next_update)
        leaf, issuer = chain.links[0], self.verdicts.issuer_of(chain, chain.links[0])
        key = (stapled.sha256, leaf.facts.sha256, issuer and issuer.facts.sha256, early, late)
        return self._staples.get(key, lambda: staple_answer(response, leaf, issuer, at))

    def notes(self, connection: Connection, chain: Chain, evidence: Evidence) -> Iterator[Note]:
        """Note what is wrong with a chain in the connection that showed it."""
        at, leaf = self.time(connection), chain.links[0]
        yield from self.verdicts.judged(chain, at).notes
        if chain.side == "client":
            return
        yield from _names(connection, leaf.facts, matches=self.name(connection, leaf.facts))
        yield from _purpose(connection, leaf.facts)
        verdict = self.web_pki(connection, chain)
        if verdict.trusted is False:
            yield Note("not_web_pki", verdict.reason, leaf.facts.sha256)
        given = self.staple(connection, chain, evidence)
        yield from must_staple_notes(connection, leaf)
        if given is not None:
            yield from staple_notes(given, leaf)


def chains(connection: Connection, evidence: Evidence) -> Iterator[Chain]:
    """Give the chains that were shown, the server's first, with their encodings where these were kept."""
    hidden = connection.hidden or Hidden()
    servers = _links(connection.certificates or hidden.certificates, evidence)
    clients = _links(connection.client_certificates or hidden.client_certificates, evidence)
    if servers:
        yield Chain("server", servers)
    if clients:
        yield Chain("client", clients, servers)


def _shown(chain: Chain | None, *, seen: bool) -> tuple[Link, ...] | None:
    """What a side showed; where there is no chain, nothing if that was `seen`, None if it is hidden."""
    return chain.links if chain is not None else () if seen else None


def _links(shown: tuple[Certificate, ...] | None, evidence: Evidence) -> tuple[Link, ...]:
    return tuple([Link(one, evidence.encoding(one.sha256)) for one in shown or ()])


def _names(connection: Connection, leaf: Certificate, *, matches: bool | None) -> Iterator[Note]:
    if matches is not False:
        return
    names = [*(leaf.dns_names or ()), *(leaf.ip_addresses or ())]
    listed = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}" or "no name (RFC 9525)"
    yield Note("name_mismatch", f"{connection.sni} was asked for; the certificate has {listed}", leaf.sha256)


def _purpose(connection: Connection, leaf: Certificate) -> Iterator[Note]:
    """Note what a server's certificate is for: an ACME challenge, or nothing that an authority vouches for."""
    if leaf.acme_identifier is not None:
        code = "acme_challenge" if connection.alpn == ACME_PROTOCOL else "acme_outside_challenge"
        spoken = connection.alpn or "no protocol"
        yield Note(code, f"acmeIdentifier {leaf.acme_identifier[:16]}…, with {spoken} agreed on", leaf.sha256)
    elif leaf.self_signed:
        yield Note("self_signed", f"{leaf.subject} stands for itself", leaf.sha256)
