"""Checks of a certificate chain as it was sent: order, missing and superfluous certificates, constraints."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.model.connection import Certificate  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.tls.wire import WireError
from tlsdissect.trust.constraints import NameChecker, count_lookups
from tlsdissect.trust.details import details, name_constraints
from tlsdissect.trust.rules import CertificateFinding
from tlsdissect.x509.certificates import certificate
from tlsdissect.x509.libraries import ByCryptography, ByOpenSSL, signed_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tlsdissect.trust.details import Details

MAX_ISSUERS = 4
"""Candidate issuers of the same name whose keys are tried on one signature.

If none of them made it and there are more, the signature counts as not checked. So a chain of n certificates costs at
most 4n signature checks.
"""
MAX_NAME_CHECKS = 1 << 18
"""Lookups of names in the name constraints of one chain; the constraints of further authorities are not checked.

A name of three labels takes three lookups for each authority that permits or excludes such names.
"""

_MAX_LISTED = 3
"""Names that a finding lists of those that are not permitted."""
SIGNATURE_CACHE_BYTES = 2 << 20
"""Bytes of cached results of signature checks between two certificates."""

_PURPOSES = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}
_ANY_PURPOSE = "2.5.29.37.0"
_STEP_UP = frozenset(("1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"))
"""Server Gated Cryptography, which old CA certificates have instead of serverAuth."""


class Link(Struct, frozen=True):
    """A certificate of a chain, with its DER encoding if that was kept."""

    facts: Certificate
    encoding: bytes | None

    @property
    def details(self) -> Details | None:
        """Further fields of the certificate; None if its encoding was not kept."""
        return None if self.encoding is None else details(self.encoding)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the encoding without the facts, if it was kept: it is smaller, and facts are cached by encoding."""
        return (Link, (self.facts, None)) if self.encoding is None else (_decoded, (self.encoding,))


def _decoded(encoding: bytes) -> Link:
    return Link(certificate(encoding)[0], encoding)


class Chain(Struct, frozen=True):
    """The chain that one side sent."""

    side: str
    links: tuple[Link, ...]
    known: tuple[Link, ...] = ()
    """The peer's chain, which may contain the issuer."""
    frame: int | None = None
    """The frame that completed the Certificate message."""
    with_keys: bool = False
    """Whether only keys show it."""

    @property
    def key(self) -> tuple[str, ...]:
        """A hashable identity: the side and the SHA-256 of each certificate."""
        return (self.side, *[link.facts.sha256 for link in self.links])


class Path(Struct, frozen=True):
    """The path from the leaf upwards, as far as the chain itself goes."""

    places: tuple[int, ...]
    """Indices into the chain, the leaf's first."""
    top: Certificate
    """The last certificate of the path."""
    untried: int = 0
    """Candidate issuers of `top` whose keys were not tried."""


def find_path(chain: Sequence[Link]) -> Path:
    """Follow issuers from the first certificate to the highest one that was sent."""
    by_subject: dict[str | None, list[int]] = {}
    for place, one in enumerate(chain):
        if one.facts.subject is not None:
            by_subject.setdefault(one.facts.subject, []).append(place)
    places, last, untried = {0: None}, 0, 0
    while not chain[last].facts.self_signed:
        below = chain[last]
        free = [place for place in by_subject.get(below.facts.issuer, ()) if place not in places]
        # A certificate that was sent several times counts once.
        keys = list({chain[place].facts.sha256: place for place in reversed(free)}.values())[::-1]
        found = next((place for place in keys[:MAX_ISSUERS] if issued(below, chain[place])), None)
        if found is None:
            untried = len(keys[MAX_ISSUERS:])
            break
        last = found
        places[last] = None
    return Path(tuple(places), chain[last].facts, untried)


def find_issuer(below: Link, candidates: Iterable[Link]) -> Link | None:
    """Find the issuer of a certificate among others; at most MAX_ISSUERS candidates are tried."""
    candidates_by_hash = {one.facts.sha256: one for one in candidates if one.facts.subject == below.facts.issuer}
    return next((one for one in islice(candidates_by_hash.values(), MAX_ISSUERS) if issued(below, one)), None)


def issued(below: Link, above: Link) -> bool:
    """Return whether `above` issued `below`: by name and, where it can be checked, by signature."""
    if below.facts.issuer is None or below.facts.issuer != above.facts.subject:
        return False
    if below.encoding is None or above.encoding is None:
        return True
    return signed(below.encoding, above.encoding) is not False


@cached(SIGNATURE_CACHE_BYTES)
def signed(below: bytes, above: bytes) -> bool | None:
    """Return whether the key of `above` signed `below`; None if that cannot be checked."""
    try:
        return signed_by(_key(above), below)
    except WireError:
        pass
    # `cryptography` supports more algorithms, but rejects more certificates.
    try:
        return ByCryptography(below).is_issued_by(ByCryptography(above))
    except WireError:
        return None


def chain_findings(
    chain: Sequence[Link], path: Path, side: str, trusted: Collection[str]
) -> Iterator[CertificateFinding]:
    """Report problems of a chain by itself; `trusted` are the subjects of the trust anchors."""
    yield from _order(chain, path)
    yield from _end(chain, path, trusted)
    yield from _constraints(chain, path, side)
    yield from _purpose(chain[0], side)


def _order(chain: Sequence[Link], path: Path) -> Iterator[CertificateFinding]:
    if list(path.places) != sorted(path.places):
        order = ", ".join(str(place) for place in path.places)
        yield CertificateFinding(
            "misordered_chain", f"in order from leaf to root it would be {order}", chain[0].facts.sha256
        )
    related = _related(chain, path)
    seen: set[str] = set()
    for place, one in enumerate(chain):
        facts = one.facts
        if facts.sha256 in seen:
            yield CertificateFinding("duplicate_in_chain", f"at {place}, a repetition", facts.sha256)
        elif place not in path.places and facts.subject not in related:
            yield CertificateFinding("unrelated_certificate", f"at {place}: {facts.subject}", facts.sha256)
        elif facts.self_signed and place:
            yield CertificateFinding("root_in_chain", f"at {place}: {facts.subject}", facts.sha256)
        seen.add(facts.sha256)


def _related(chain: Sequence[Link], path: Path) -> set[str | None]:
    """Return the names on any path from the leaf, also on alternative ones through a cross-certified authority."""
    related = {name for place in path.places for name in (chain[place].facts.subject, chain[place].facts.issuer)}
    while above := {one.facts.issuer for one in chain if one.facts.subject in related} - related:
        related |= above
    return related


def _end(chain: Sequence[Link], path: Path, trusted: Collection[str]) -> Iterator[CertificateFinding]:
    """Report a path that ends before a trust anchor."""
    top = path.top
    if top.self_signed is not False:
        return
    candidates = [one for one in chain if one.facts.subject == top.issuer and one.facts.sha256 != top.sha256]
    if path.untried:
        detail = f"{path.untried:,} more certificates of {top.issuer} were sent; their keys were not tried"
        yield CertificateFinding("not_checked", detail, top.sha256)
    elif candidates and find_issuer(chain[path.places[-1]], candidates) is None:
        yield CertificateFinding("bad_signature", f"the key of {top.issuer} in the chain did not sign it", top.sha256)
    elif trusted and not any(chain[place].facts.issuer in trusted for place in path.places):
        strays = len(path.places) < len({one.facts.sha256 for one in chain})
        suffix = "; other certificates were sent" if strays else ""
        yield CertificateFinding(
            "incomplete_chain", f"{top.issuer} was not sent and is not a trust anchor{suffix}", top.sha256
        )


def _constraints(chain: Sequence[Link], path: Path, side: str) -> Iterator[CertificateFinding]:
    """Check each issuer on the path (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.10 and 4.2.1.12)."""
    leaf = chain[path.places[0]]
    below = [(leaf.facts, _subject(leaf.details))]
    height = checks = 0
    lookups = count_lookups(leaf.facts)
    for place in path.places[1:]:
        link = chain[place]
        facts, inside = link.facts, link.details
        yield from _authority(facts, height)
        if inside is not None:
            yield from _limits(facts, inside, side)
        constraints = None if link.encoding is None else name_constraints(link.encoding)
        if constraints is not None:
            checker = NameChecker(constraints)
            cost = checker.cost(lookups)
            if checks + cost <= MAX_NAME_CHECKS:
                checks += cost
                yield from _named(below, facts, checker)
            else:
                detail = f"the name constraints of {facts.subject}: {cost:,} lookups of names"
                yield CertificateFinding("not_checked", detail, facts.sha256)
        # Self-issued certificates below an issuer are exempt: RFC 5280 section 6.1.3 (b).
        if facts.subject != facts.issuer:
            below.append((facts, _subject(inside)))
            lookups += count_lookups(facts)
            # Neither do they count for its path length (RFC 5280 section 4.2.1.9).
            height += 1


def _authority(facts: Certificate, height: int) -> Iterator[CertificateFinding]:
    """Check an issuer's basicConstraints; `height` counts the authorities between it and the leaf."""
    old = facts.version in (1, 2) and facts.self_signed
    if facts.is_ca is False and not old:
        yield CertificateFinding("issuer_not_ca", f"{facts.subject} issued a certificate", facts.sha256)
    if facts.path_length is not None and height > facts.path_length:
        detail = f"{height} authorities below {facts.subject}, which allows {facts.path_length}"
        yield CertificateFinding("path_too_long", detail, facts.sha256)


def _limits(facts: Certificate, inside: Details, side: str) -> Iterator[CertificateFinding]:
    """Check an issuer's keyUsage and extKeyUsage."""
    if inside.key_usage is not None and "keyCertSign" not in inside.key_usage:
        yield CertificateFinding(
            "wrong_key_usage", f"{facts.subject} issued a certificate without keyCertSign", facts.sha256
        )
    if inside.purposes is not None and _allowed(side).isdisjoint(inside.purposes):
        yield CertificateFinding("wrong_purpose", f"{facts.subject} may not issue {side} certificates", facts.sha256)


def _subject(inside: Details | None) -> bytes | None:
    return None if inside is None else inside.subject


def _named(
    below: Iterable[tuple[Certificate, bytes | None]], issuer: Certificate, checker: NameChecker
) -> Iterator[CertificateFinding]:
    """Check the names of certificates, each with its subject in DER, against the name constraints of an issuer."""
    if checker.skips_addresses:
        detail = f"the IP addresses below {issuer.subject}: its name constraints have a mask that is not contiguous"
        yield CertificateFinding("not_checked", detail, issuer.sha256)
    for facts, subject in below:
        found = list(islice(checker.violations(facts, subject), _MAX_LISTED))
        if found:
            yield CertificateFinding("name_not_permitted", f"{'; '.join(found)} by {issuer.subject}", facts.sha256)


def _allowed(side: str) -> set[str]:
    """Return the purposes that allow a side to use a certificate."""
    return {_PURPOSES[side], _ANY_PURPOSE} | (_STEP_UP if side == "server" else set())


def _purpose(leaf: Link, side: str) -> Iterator[CertificateFinding]:
    """Check the leaf's purposes against its use (RFC 5280 section 4.2.1.12)."""
    inside = leaf.details
    if inside is None:
        return
    if inside.purposes is not None and _allowed(side).isdisjoint(inside.purposes):
        yield CertificateFinding(
            "wrong_purpose", f"a {side} used it; its purposes do not include that", leaf.facts.sha256
        )
    # A client's key always signs; the use of a server's key depends on the suite.
    usage = inside.key_usage
    if side == "client" and usage is not None and "digitalSignature" not in usage:
        yield CertificateFinding(
            "wrong_key_usage", "a client used it; its key may not make signatures", leaf.facts.sha256
        )


def _key(encoding: bytes) -> object:
    try:
        return ByCryptography(encoding).key()
    except WireError:
        return ByOpenSSL(encoding).key()
