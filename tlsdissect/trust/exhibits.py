"""Every certificate that a run showed, once: who showed it, when, and what is to be said of it."""

from __future__ import annotations

from collections import defaultdict
from sys import getsizeof
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from tlsdissect.caches import footprint
from tlsdissect.transcript.connection import Certificate, Finding
from tlsdissect.transcript.x509.certificates import certificate
from tlsdissect.trust.details import details
from tlsdissect.trust.keys import MAX_COMPARED_BITS, MAX_MODULUS_BITS, shared_primes
from tlsdissect.trust.notes import Note, lifetime, moment
from tlsdissect.trust.path import Verdict  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.trust.rules import SEVERITIES, finding
from tlsdissect.trust.showing import Showing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tlsdissect.transcript.connection import Connection, Endpoint
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.trust.chain import Chain, Link
    from tlsdissect.trust.judge import Judge

MAX_CERTIFICATES = 100_000
"""Certificates of a run that are told; more are counted."""
MAX_BYTES = 512 << 20
"""Bytes that these certificates take with their facts, findings and names, by estimate; more are counted."""
LARGE_BYTES = 32 << 10
"""Bytes from which on a certificate is large, with its facts."""
MAX_LARGE_BYTES = 64 << 20
"""Bytes that large certificates take together: an honest one takes 5 KB."""
MAX_FOUND = 1000
"""Findings of one certificate; of more, one of each code, and its problems say how many were left out."""
MAX_CHAINS = 100_000
"""Chains of a run that are told apart."""
MAX_CHAIN_BYTES = 64 << 20
"""Bytes that these chains take, by estimate; of more it is only said that there are more."""
_SEEN_BYTES = 2048
"""Bytes that a certificate takes besides its encoding and its facts."""
_NOTE_BYTES = 512
"""Bytes that a finding takes besides what it says in words."""
_DIGEST_BYTES = 128
"""Bytes of a SHA-256 in a chain."""
MAX_LISTED = 100
"""Servers, clients and host names that are listed of one certificate."""


class Exhibit(Certificate, frozen=True, kw_only=True):
    """A certificate, and what a run tells of it. Lists are in the order of the capture."""

    roles: tuple[str, ...]
    """Who showed it: "server", "client"."""
    places: tuple[int, ...]
    """Where it stood in chains: the leaf at 0."""
    connections: int
    servers: tuple[str, ...]
    """Addresses and ports of servers that showed it."""
    clients: tuple[str, ...]
    """Addresses of clients that showed it."""
    names_asked: tuple[str, ...]
    """Host names for which servers showed it as their own."""
    first_seen: str | None
    """None where the captures do not tell times, as of `last_seen`."""
    last_seen: str | None
    first_source: str
    first_stream: int
    first_frame: int | None
    lifetime_days: int | None
    """Whole days from the beginning of validity to its end, both included."""
    days_left: int | None
    """Whole days left when it was seen last, or at the time that was asked for; negative once it is no longer valid."""
    path: Verdict | None
    """Whether the path from it to an authority holds; None where it was nobody's own."""
    web_pki: Verdict | None
    """The same by the rules of the Web PKI; None where no server showed it as its own."""
    name_matches: bool | None
    """Whether it is for all the names that were asked for; None where none was."""
    revocation: str | None
    """By the CRLs that were given: "good" or "revoked"; None where they do not tell."""
    ocsp: str | None
    """By staples and lookups that prove it: "good", "revoked" or "unknown"; None where there is none."""
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    """What of it could not be read."""


class _Seen:
    """One certificate while the run goes on."""

    def __init__(self, showing: Showing, chain: Chain, link: Link) -> None:
        self.link = link
        self.roles: dict[str, None] = {}
        self.places: dict[int, None] = {}
        self.connections = 0
        self._latest: tuple[str, int] | None = None
        self.servers: dict[str, None] = {}
        self.clients: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.first, self.last = showing.start, showing.start
        self.source, self.stream = showing.source, showing.stream
        self.frame = chain.frame
        self.path: Verdict | None = None
        self.web_pki: Verdict | None = None
        self.matches: bool | None = None
        self.revocation: str | None = None
        self.ocsp: str | None = None
        self.found: dict[Note, Finding] = {}
        self.codes: set[str] = set()
        self.left_out = 0
        """Findings that there was no more room for."""

    def shown(self, showing: Showing, chain: Chain, place: int) -> None:
        """Note a connection that shows it."""
        # Both sides of a connection may show the same authority.
        here = (showing.source, showing.stream)
        self.connections += here != self._latest
        self._latest = here
        self.roles[chain.side] = None
        self.places[place] = None
        if showing.start is not None:
            self.first = min(self.first or showing.start, showing.start)
            self.last = max(self.last or showing.start, showing.start)
        if chain.side == "server":
            _list(self.servers, _address(showing.server))
        else:
            _list(self.clients, showing.client.ip)

    def note(self, note: Note, found: Finding) -> None:
        """Note a finding."""
        self.codes.add(note.code)
        self.found[note] = found


class Exhibits:
    """The certificates of a run, as its connections come."""

    def __init__(self, judge: Judge, evidence: Evidence) -> None:
        self._judge = judge
        self._evidence = evidence
        self._seen: dict[str, _Seen] = {}
        self.chains: dict[tuple[str, ...], None] = {}
        """Each chain as it was sent, by the SHA-256 of its certificates."""
        self.chains_cut = False
        """There were more chains than are told apart."""
        self.left_out = 0
        """How often a certificate was shown that there was no more room for."""
        self.not_compared = 0
        """Certificates whose modulus was left out where moduli were compared."""
        self.compared = 0.0
        """The share of the comparison of moduli that is done."""
        self._compared_of: int | None = None
        """How many certificates there were when they were compared."""
        self._used = 0
        self._used_by_large = 0
        self._chain_bytes = 0

    def add(self, connection: Connection) -> None:
        """Note what a connection shows; the evidence was gathered by the reading that told it."""
        if connection.certificates or connection.client_certificates or connection.hidden:
            self.take(Showing.of(connection, self._evidence))

    def take(self, showing: Showing) -> None:
        """Note what a connection shows."""
        for chain in showing.chains:
            key = chain.key[1:]
            self._keep_chain(key)
            for place, link in enumerate(chain.links):
                seen = self._find(showing, chain, link)
                if seen is not None and link.facts.sha256 not in key[:place]:
                    seen.shown(showing, chain, place)
            self._judged(showing, chain)
        self._looked_up(showing)

    def __iter__(self) -> Iterator[Exhibit]:
        """Tell the certificates, in the order in which they were first seen."""
        self.compare()
        for seen in self._seen.values():
            yield self._exhibit(seen)

    def __len__(self) -> int:
        return len(self._seen)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._seen

    def encoding(self, sha256: str) -> bytes | None:
        """Give a certificate in DER, where it was kept."""
        seen = self._seen.get(sha256)
        return None if seen is None else seen.link.encoding

    def _find(self, showing: Showing, chain: Chain, link: Link) -> _Seen | None:
        seen = self._seen.get(link.facts.sha256)
        if seen is None and len(self._seen) < MAX_CERTIFICATES and self._has_room(link):
            seen = self._seen[link.facts.sha256] = _Seen(showing, chain, link)
        self.left_out += seen is None
        return seen

    def _has_room(self, link: Link) -> bool:
        """Take the room for a certificate, if there is enough."""
        size = _SEEN_BYTES + footprint(link.facts, link.encoding, enough=MAX_LARGE_BYTES)
        large = size if size > LARGE_BYTES else 0
        if self._used_by_large + large > MAX_LARGE_BYTES or not self._take(size):
            return False
        self._used_by_large += large
        return True

    def _take(self, size: int) -> bool:
        """Take so many bytes, if there are as many."""
        if self._used + size > MAX_BYTES:
            return False
        self._used += size
        return True

    def _keep_chain(self, key: tuple[str, ...]) -> None:
        if key in self.chains:
            return
        size = _DIGEST_BYTES * (len(key) + 1)
        if len(self.chains) >= MAX_CHAINS or self._chain_bytes + size > MAX_CHAIN_BYTES:
            self.chains_cut = True
            return
        self._chain_bytes += size
        self.chains[key] = None

    def _note(self, seen: _Seen, note: Note, found: Finding) -> None:
        """Note a finding, unless it is one of too many; the first of each code always counts."""
        if note in seen.found:
            return
        room = len(seen.found) < MAX_FOUND and self._take(_NOTE_BYTES + getsizeof(note.detail))
        if room or note.code not in seen.codes:
            seen.note(note, found)
        else:
            seen.left_out += 1

    def _judged(self, showing: Showing, chain: Chain) -> None:
        """Note the verdicts on a chain."""
        leaf, judge = self._seen.get(chain.links[0].facts.sha256), self._judge
        given = judge.verdicts.judged(chain, judge.time(showing))
        for link, state in zip(chain.links, given.revocation, strict=False):
            seen = self._seen.get(link.facts.sha256)
            if seen is not None:
                seen.revocation = state or seen.revocation
        for note in judge.notes(showing, chain):
            seen = self._seen.get(note.certificate or "") or leaf
            if seen is not None:
                self._note(seen, note, finding(note.code, note.detail, chain.frame, note.certificate))
        if leaf is not None:
            leaf.path = _worse(leaf.path, given.path)
            self._served(leaf, showing, chain)

    def _looked_up(self, showing: Showing) -> None:
        """Note what the sides of a connection asked others about certificates."""
        if not self._evidence.lookups:
            return
        for found in self._judge.lookup_findings(showing, self._evidence):
            seen = self._seen.get(found.certificate or "")
            if seen is not None:
                self._note(seen, Note(found.code, found.detail, found.certificate), found)
        for one in self._judge.lookups(showing, self._evidence):
            seen = None if one.about is None else self._seen.get(one.about.facts.sha256)
            if seen is not None and one.given.status is not None and not one.given.flaws and not one.given.stale:
                seen.ocsp = one.given.status

    def _served(self, leaf: _Seen, showing: Showing, chain: Chain) -> None:
        """Note what is said of a server's own certificate."""
        if chain.side != "server":
            return
        leaf.web_pki = _worse(leaf.web_pki, self._judge.web_pki(showing, chain))
        if showing.sni is not None:
            if showing.sni not in leaf.names and len(leaf.names) < MAX_LISTED and self._take(getsizeof(showing.sni)):
                _list(leaf.names, showing.sni)
            matches = self._judge.name(showing, leaf.link.facts)
            leaf.matches = matches if leaf.matches is None else leaf.matches and matches is not False
        given = self._judge.staple(showing, chain)
        # A staple proves something for its own time only.
        timely = given is not None and given.stale is None and self._judge.time(showing) is not None
        if given is not None and given.status is not None and not given.flaws and timely:
            leaf.ocsp = given.status

    def _exhibit(self, seen: _Seen) -> Exhibit:
        facts, at = seen.link.facts, moment(self._judge.at or seen.last)
        end, lives = moment(facts.not_after or ""), lifetime(facts.not_before, facts.not_after)
        encoding = seen.link.encoding
        return Exhibit(
            **asdict(facts),
            roles=tuple(seen.roles),
            places=tuple(sorted(seen.places)),
            connections=seen.connections,
            servers=tuple(seen.servers),
            clients=tuple(seen.clients),
            names_asked=tuple(seen.names),
            first_seen=seen.first,
            last_seen=seen.last,
            first_source=seen.source,
            first_stream=seen.stream,
            first_frame=seen.frame,
            lifetime_days=None if lives is None else lives.days,
            days_left=None if at is None or end is None else (end - at).days,
            path=seen.path,
            web_pki=seen.web_pki,
            name_matches=seen.matches,
            revocation=seen.revocation,
            ocsp=seen.ocsp,
            findings=_sorted(one for one in seen.found.values() if self._judge.tells(one)),
            problems=(*(() if encoding is None else certificate(encoding)[1]), *_cut(seen)),
        )

    def compare(self) -> None:
        """Find what only many certificates together show: once, for as long as no certificate is added."""
        if self._compared_of == len(self._seen):
            return
        self._compared_of = len(self._seen)
        for seen, note in (*self._shared_primes(), *self._shared_serials()):
            seen.found[note] = finding(note.code, note.detail, seen.frame, note.certificate)

    def _shared_primes(self) -> Iterator[tuple[_Seen, Note]]:
        owners: dict[int, list[_Seen]] = defaultdict(list)
        self.not_compared = room = 0
        for seen in self._seen.values():
            modulus = None if seen.link.encoding is None else details(seen.link.encoding).modulus
            if modulus is None or modulus <= 1:
                continue
            bits = modulus.bit_length()
            if bits > MAX_MODULUS_BITS or (modulus not in owners and room + bits > MAX_COMPARED_BITS):
                self.not_compared += 1
                detail = f"primes that other keys share: a modulus of {bits:,} bits"
                yield seen, Note("not_checked", detail, seen.link.facts.sha256)
                continue
            room += bits * (modulus not in owners)
            owners[modulus].append(seen)
        for common, those in zip(shared_primes(list(owners), self._progress), owners.values(), strict=True):
            if common > 1:
                detail = f"a prime of {common.bit_length():,} bits is that of another key, too"
                yield from ((seen, Note("shared_prime", detail, seen.link.facts.sha256)) for seen in those)

    def _progress(self, share: float) -> None:
        self.compared = share

    def _shared_serials(self) -> Iterator[tuple[_Seen, Note]]:
        owners: dict[tuple[str, str], list[_Seen]] = defaultdict(list)
        for seen in self._seen.values():
            facts = seen.link.facts
            if facts.issuer is not None and facts.serial is not None and not facts.self_signed:
                owners[facts.issuer, facts.serial].append(seen)
        for (_, serial), those in owners.items():
            for seen, other in zip(those, those[1:] + those[:1], strict=True):
                if seen is not other:
                    detail = f"serial {serial} is that of {other.link.facts.sha256[:16]}… too"
                    yield seen, Note("duplicate_serial", detail, seen.link.facts.sha256)


def _cut(seen: _Seen) -> Iterator[str]:
    if seen.left_out:
        yield f"findings: {seen.left_out:,} times one for which there was no room"


def _list(listed: dict[str, None], one: str) -> None:
    if len(listed) < MAX_LISTED:
        listed[one] = None


def _address(end: Endpoint) -> str:
    # RFC 3986 section 3.2.2
    return f"[{end.ip}]:{end.port}" if ":" in end.ip else f"{end.ip}:{end.port}"


def _worse(before: Verdict | None, now: Verdict) -> Verdict:
    """Of two verdicts, the one that does not hold; else the first that says anything."""
    if before is None or (now.trusted is False and before.trusted is not False) or before.trusted is None:
        return now
    return before


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Put the gravest first."""
    return tuple(sorted(findings, key=lambda one: -SEVERITIES.index(one.severity)))
