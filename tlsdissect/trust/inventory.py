"""The inventory of a run's certificates: each one once, with who sent it, when, and the findings about it."""

from __future__ import annotations

from collections import defaultdict
from sys import getsizeof
from typing import TYPE_CHECKING

from msgspec.structs import asdict

from tlsdissect.caches import footprint
from tlsdissect.model.connection import SEVERITIES, Certificate, Finding, Transport
from tlsdissect.model.dates import dated
from tlsdissect.trust.lookups import download_findings, lookup_findings
from tlsdissect.trust.path import Verdict  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.trust.presented_chains import PresentedChains
from tlsdissect.trust.rules import CertificateFinding, finding
from tlsdissect.trust.times import lifetime, parse_time
from tlsdissect.trust.weak_keys import MAX_COMPARED_BITS, MAX_MODULUS_BITS, ComparisonStoppedError, shared_primes
from tlsdissect.x509.certificates import certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.model.connection import Connection
    from tlsdissect.trust.chain import Chain, Link
    from tlsdissect.trust.judge import Judge

MAX_CERTIFICATES = 100_000
"""Certificates in the inventory; further ones are only counted."""
INVENTORY_BYTES = 512 << 20
"""Estimated bytes of all certificates with their facts, findings and names; further ones are only counted."""
LARGE_BYTES = 32 << 10
"""Bytes from which a certificate with its facts counts as large."""
MAX_LARGE_BYTES = 64 << 20
"""Bytes of all large certificates; a usual certificate takes 5 KB."""
MAX_FOUND = 1000
"""Findings per certificate; beyond it, only the first of each code is added, and a problem counts the rest."""
MAX_CHAINS = 100_000
"""Distinct chains that are counted."""
MAX_CHAIN_BYTES = 64 << 20
"""Estimated bytes of the distinct chains; beyond it, the count is a lower bound."""
_SEEN_BYTES = 2048
"""Estimated bytes of a certificate besides its encoding and its facts."""
_FINDING_BYTES = 512
"""Estimated bytes of a finding besides its detail."""
_DIGEST_BYTES = 128
"""Estimated bytes of a SHA-256 in a chain."""
MAX_LISTED = 100
"""Servers, clients and host names listed per certificate."""


class CertificateSummary(Certificate, frozen=True, kw_only=True):
    """A certificate with everything a run found out about it. Lists are in capture order."""

    roles: tuple[str, ...]
    """The sides that sent it: "server", "client"."""
    places: tuple[int, ...]
    """Its positions in chains, the leaf at 0."""
    connections: int
    servers: tuple[str, ...]
    """Addresses and ports of servers that sent it."""
    clients: tuple[str, ...]
    """Addresses of clients that sent it."""
    names_asked: tuple[str, ...]
    """Host names in SNI for which servers used it as their own certificate."""
    first_seen: str | None
    """None if the captures have no dates, like `last_seen`."""
    last_seen: str | None
    first_source: str
    first_transport: Transport
    first_stream: int
    first_frame: int | None
    lifetime_days: int | None
    """Whole days of the validity period, both ends included."""
    days_left: int | None
    """Whole days left when last seen, or at the time the user chose; negative once expired."""
    path: Verdict | None
    """Whether its path to a trust anchor is valid; None if it was never a leaf."""
    web_pki: Verdict | None
    """The same by the rules of the Web PKI; None if it was never a server's leaf."""
    name_matches: bool | None
    """Whether it covers all requested host names; None if there were none."""
    revocation: str | None
    """Status by the user's CRLs: "good" or "revoked"; None if they do not cover it."""
    ocsp: str | None
    """Status by valid staples and OCSP lookups: "good", "revoked" or "unknown"; None without any."""
    findings: tuple[Finding, ...]
    problems: tuple[str, ...]
    """Fields that could not be read."""
    with_keys: bool = False
    """Whether only keys show it, wherever it was sent."""

    def __repr__(self) -> str:
        return f"<CertificateSummary {self.sha256[:16]}: {self.subject!r}, until {self.not_after}>"

    def ends_within(self, days: int) -> bool:
        """Return whether it expires at most this many days after it was last seen, or before."""
        return self.days_left is not None and self.days_left <= days


class _Entry:
    """One certificate while the run is in progress."""

    def __init__(self, presented: PresentedChains, chain: Chain, link: Link) -> None:
        self.link = link
        self.roles: dict[str, None] = {}
        self.places: dict[int, None] = {}
        self.connections = 0
        self._latest: tuple[str, Transport, int] | None = None
        self.servers: dict[str, None] = {}
        self.clients: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.first = self.last = dated(presented.start)
        self.source, self.transport, self.stream = presented.source, presented.transport, presented.stream
        self.frame = chain.frame
        self.with_keys = chain.with_keys
        self.path: Verdict | None = None
        self.web_pki: Verdict | None = None
        self.matches: bool | None = None
        self.revocation: str | None = None
        self.ocsp: str | None = None
        self.found: dict[CertificateFinding, Finding] = {}
        self.codes: set[str] = set()
        self.left_out = 0
        """Number of findings left out because MAX_FOUND or INVENTORY_BYTES was reached."""

    def add_sighting(self, presented: PresentedChains, chain: Chain, place: int) -> None:
        """Record a connection that presented it."""
        # Both sides of a connection may present the same CA certificate.
        here = (presented.source, presented.transport, presented.stream)
        self.connections += here != self._latest
        self._latest = here
        self.with_keys = self.with_keys and chain.with_keys
        self.roles[chain.side] = None
        self.places[place] = None
        start = dated(presented.start)
        if start is not None:
            self.first = min(self.first or start, start)
            self.last = max(self.last or start, start)
        if chain.side == "server":
            _list(self.servers, str(presented.server))
        else:
            _list(self.clients, presented.client.host)


class CertificateInventory:
    """Collects the certificates of a run from its connections."""

    def __init__(self, judge: Judge, evidence: Evidence) -> None:
        self._judge = judge
        self._evidence = evidence
        self._entries: dict[str, _Entry] = {}
        self.chains: dict[tuple[str, ...], None] = {}
        """The distinct chains, each as the SHA-256 of its certificates."""
        self.chains_cut = False
        """True if a limit was exceeded, so `chains` is incomplete."""
        self.left_out = 0
        """Sightings of certificates that exceeded a limit."""
        self.not_compared = 0
        """Certificates whose modulus was not compared with the others."""
        self.compared = 0.0
        """Progress of the comparison of moduli, from 0 to 1."""
        self.comparison_stopped = False
        """True if the comparison of moduli was ended early, so that no shared prime is known."""
        self._compared_of: int | None = None
        """Number of certificates at the time of the last comparison."""
        self._used = 0
        self._used_by_large = 0
        self._chain_bytes = 0

    def add(self, connection: Connection) -> None:
        """Add a connection; the evidence must be that of the reading that produced it."""
        if connection.certificates or connection.client_certificates or connection.hidden:
            self.take(PresentedChains.of(connection, self._evidence))

    def take(self, presented: PresentedChains) -> None:
        """Add the chains of a connection."""
        for chain in presented.chains:
            key = chain.key[1:]
            self._count_chain(key)
            for place, link in enumerate(chain.links):
                entry = self._entry_of(presented, chain, link)
                if entry is not None and link.facts.sha256 not in key[:place]:
                    entry.add_sighting(presented, chain, place)
            self._add_verdicts(presented, chain)
        self._add_lookups(presented)

    def __iter__(self) -> Iterator[CertificateSummary]:
        """Iterate over the certificates in order of first sighting."""
        self.compare()
        for entry in self._entries.values():
            yield self._summary(entry)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._entries

    def encoding(self, sha256: str) -> bytes | None:
        """Return a certificate's DER encoding, if it was kept."""
        entry = self._entries.get(sha256)
        return None if entry is None else entry.link.encoding

    def _entry_of(self, presented: PresentedChains, chain: Chain, link: Link) -> _Entry | None:
        entry = self._entries.get(link.facts.sha256)
        if entry is None and len(self._entries) < MAX_CERTIFICATES and self._has_room(link):
            entry = self._entries[link.facts.sha256] = _Entry(presented, chain, link)
        self.left_out += entry is None
        return entry

    def _has_room(self, link: Link) -> bool:
        """Reserve memory for a certificate; return False if a limit would be exceeded."""
        size = _SEEN_BYTES + footprint(link.facts, link.encoding, enough=MAX_LARGE_BYTES)
        large = size if size > LARGE_BYTES else 0
        if self._used_by_large + large > MAX_LARGE_BYTES or not self._reserve(size):
            return False
        self._used_by_large += large
        return True

    def _reserve(self, size: int) -> bool:
        """Reserve `size` bytes; return False if INVENTORY_BYTES would be exceeded."""
        if self._used + size > INVENTORY_BYTES:
            return False
        self._used += size
        return True

    def _count_chain(self, key: tuple[str, ...]) -> None:
        if key in self.chains:
            return
        size = _DIGEST_BYTES * (len(key) + 1)
        if len(self.chains) >= MAX_CHAINS or self._chain_bytes + size > MAX_CHAIN_BYTES:
            self.chains_cut = True
            return
        self._chain_bytes += size
        self.chains[key] = None

    def _add_finding(self, entry: _Entry, key: CertificateFinding, found: Finding) -> None:
        """Add a finding if the limits allow; the first of each code is always added."""
        known = entry.found.get(key)
        if known is not None:
            if known.with_keys and not found.with_keys:
                entry.found[key] = found
            return
        room = len(entry.found) < MAX_FOUND and self._reserve(_FINDING_BYTES + getsizeof(key.detail))
        if room or key.code not in entry.codes:
            entry.codes.add(key.code)
            entry.found[key] = found
        else:
            entry.left_out += 1

    def _add_verdicts(self, presented: PresentedChains, chain: Chain) -> None:
        """Add the verdicts on a chain."""
        leaf, judge = self._entries.get(chain.links[0].facts.sha256), self._judge
        verdict = judge.verdicts.chain_verdict(chain, judge.time(presented))
        for link, state in zip(chain.links, verdict.revocation, strict=False):
            entry = self._entries.get(link.facts.sha256)
            if entry is not None:
                entry.revocation = state or entry.revocation
        for found in judge.chain_findings(presented, chain):
            entry = self._entries.get(found.certificate or "") or leaf
            if entry is not None:
                made = finding(found.code, found.detail, chain.frame, found.certificate, with_keys=chain.with_keys)
                self._add_finding(entry, found, made)
        if leaf is not None:
            leaf.path = _worse(leaf.path, verdict.path)
            self._add_server_verdicts(leaf, presented, chain)

    def _add_lookups(self, presented: PresentedChains) -> None:
        """Add findings and statuses from OCSP lookups and CRL downloads."""
        if not self._evidence.lookups:
            return
        lookups = self._judge.lookups(presented, self._evidence)
        for found in (*lookup_findings(presented, lookups), *download_findings(presented, self._evidence)):
            entry = self._entries.get(found.certificate or "")
            if entry is not None:
                self._add_finding(entry, CertificateFinding(found.code, found.detail, found.certificate), found)
        for one in lookups:
            entry = None if one.about is None else self._entries.get(one.about.facts.sha256)
            if entry is not None and one.result.status is not None and not one.result.problems and not one.result.stale:
                entry.ocsp = one.result.status

    def _add_server_verdicts(self, leaf: _Entry, presented: PresentedChains, chain: Chain) -> None:
        """Add the verdicts on a server's leaf certificate."""
        if chain.side != "server":
            return
        leaf.web_pki = _worse(leaf.web_pki, self._judge.web_pki(presented, chain))
        if presented.sni is not None:
            is_new = presented.sni not in leaf.names and len(leaf.names) < MAX_LISTED
            if is_new and self._reserve(getsizeof(presented.sni)):
                leaf.names[presented.sni] = None
            matches = self._judge.name_matches(presented, leaf.link.facts)
            leaf.matches = matches if leaf.matches is None else leaf.matches and matches is not False
        staple = self._judge.staple(presented, chain)
        # A staple is valid evidence only within its own validity period.
        timely = staple is not None and staple.stale is None and self._judge.time(presented) is not None
        if staple is not None and staple.status is not None and not staple.problems and timely:
            leaf.ocsp = staple.status

    def _summary(self, entry: _Entry) -> CertificateSummary:
        facts, encoding = entry.link.facts, entry.link.encoding
        at, end = parse_time(self._judge.at or entry.last), parse_time(facts.not_after)
        total = lifetime(facts.not_before, facts.not_after)
        problems = () if encoding is None else certificate(encoding)[1]
        if entry.left_out:
            problems += (f"findings: {entry.left_out:,} more were left out",)
        return CertificateSummary(
            **asdict(facts),
            roles=tuple(entry.roles),
            places=tuple(sorted(entry.places)),
            connections=entry.connections,
            servers=tuple(entry.servers),
            clients=tuple(entry.clients),
            names_asked=tuple(entry.names),
            first_seen=entry.first,
            last_seen=entry.last,
            first_source=entry.source,
            first_transport=entry.transport,
            first_stream=entry.stream,
            first_frame=entry.frame,
            lifetime_days=None if total is None else total.days,
            days_left=None if at is None or end is None else (end - at).days,
            path=entry.path,
            web_pki=entry.web_pki,
            name_matches=entry.matches,
            revocation=entry.revocation,
            ocsp=entry.ocsp,
            findings=_sorted(one for one in entry.found.values() if self._judge.reports(one)),
            problems=problems,
            with_keys=entry.with_keys,
        )

    def compare(self, stop: Callable[[], bool] | None = None) -> None:
        """Find shared primes and serials across all certificates; repeated only after new certificates were added.

        `stop` is called repeatedly while moduli are compared; once it returns true, they are `not_checked`.
        """
        if self._compared_of == len(self._entries):
            return
        self._compared_of = len(self._entries)
        for entry, key, with_keys in (*self._shared_primes(stop), *self._shared_serials()):
            entry.found[key] = finding(key.code, key.detail, entry.frame, key.certificate, with_keys=with_keys)

    def _shared_primes(self, stop: Callable[[], bool] | None) -> Iterator[tuple[_Entry, CertificateFinding, bool]]:
        """Yield each finding with its entry, and whether it rests on a certificate that only keys show."""
        owners: dict[int, list[_Entry]] = defaultdict(list)
        self.not_compared = room = 0
        for entry in self._entries.values():
            modulus = None if entry.link.details is None else entry.link.details.modulus
            if modulus is None or modulus <= 1:
                continue
            bits = modulus.bit_length()
            if bits > MAX_MODULUS_BITS or (modulus not in owners and room + bits > MAX_COMPARED_BITS):
                self.not_compared += 1
                detail = f"primes shared with other keys: a modulus of {bits:,} bits"
                yield entry, CertificateFinding("not_checked", detail, entry.link.facts.sha256), entry.with_keys
                continue
            room += bits * (modulus not in owners)
            owners[modulus].append(entry)

        def progress(share: float) -> None:
            self.compared = share
            if stop is not None and stop():
                raise ComparisonStoppedError

        try:
            found = shared_primes(list(owners), progress)
        except ComparisonStoppedError:
            self.comparison_stopped = True
            detail = "primes shared with other keys: the comparison was stopped"
            for entry in (entry for those in owners.values() for entry in those):
                yield entry, CertificateFinding("not_checked", detail, entry.link.facts.sha256), entry.with_keys
            return
        sharing = [(common, those) for common, those in zip(found, owners.values(), strict=True) if common > 1]
        # With which of the others a key shares its prime is not known: one that anyone sees may be among them.
        seen = [any(not entry.with_keys for entry in those) for _, those in sharing]
        for place, (common, those) in enumerate(sharing):
            detail = f"shares a prime of {common.bit_length():,} bits with another key"
            others_seen = sum(seen) > seen[place]
            for entry in those:
                shared = CertificateFinding("shared_prime", detail, entry.link.facts.sha256)
                yield entry, shared, entry.with_keys or not others_seen

    def _shared_serials(self) -> Iterator[tuple[_Entry, CertificateFinding, bool]]:
        owners: dict[tuple[str, str], list[_Entry]] = defaultdict(list)
        for entry in self._entries.values():
            facts = entry.link.facts
            if facts.issuer is not None and facts.serial is not None and not facts.self_signed:
                owners[facts.issuer, facts.serial].append(entry)
        for (_, serial), those in owners.items():
            for entry, other in zip(those, those[1:] + those[:1], strict=True):
                if entry is not other:
                    detail = f"serial {serial} is also that of {other.link.facts.sha256[:16]}…"
                    same = CertificateFinding("duplicate_serial", detail, entry.link.facts.sha256)
                    yield entry, same, entry.with_keys or other.with_keys


def _list(listed: dict[str, None], one: str) -> None:
    """Add one to a list unless the list is full."""
    if len(listed) < MAX_LISTED:
        listed[one] = None


def _worse(before: Verdict | None, now: Verdict) -> Verdict:
    """Return an untrusted verdict if there is one, else the first that is known."""
    if before is None or (now.trusted is False and before.trusted is not False) or before.trusted is None:
        return now
    return before


def _sorted(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort by descending severity."""
    return tuple(sorted(findings, key=lambda one: -SEVERITIES.index(one.severity)))
