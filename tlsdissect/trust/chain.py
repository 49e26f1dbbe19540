"""The chain as it was sent: its order, what is missing in it, and what has no place there (RFC 5246 section 7.4.2)."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from msgspec import Struct

from tlsdissect.caches import cached
from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.connection import Certificate  # noqa: TC001 (msgspec reads the annotations)
from tlsdissect.transcript.x509.libraries import ByCryptography, ByOpenSSL, signed_by
from tlsdissect.trust.constraints import MAX_MASKS, NameChecker, count_names
from tlsdissect.trust.details import details
from tlsdissect.trust.notes import Note

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from tlsdissect.trust.details import Details

MAX_ISSUERS = 4
"""Certificates by the issuer's name whose keys are tried on one signature; where none of them made it and there are
more, it is not checked. A chain of n certificates so takes no more than 4n checks of signatures."""
MAX_NAME_CHECKS = 1 << 20
"""Names held against the name constraints of one chain's authorities, a name once for each authority; what is further
up in a chain that needs more is not checked."""

_TOLD = 3
"""Names that are told of those that are not permitted."""
CACHE_BYTES = 2 << 20
"""Bytes of certificates of which it is kept whether one signed the other."""

_PURPOSES = {"server": "1.3.6.1.5.5.7.3.1", "client": "1.3.6.1.5.5.7.3.2"}
_ANY_PURPOSE = "2.5.29.37.0"
_STEP_UP = frozenset(("1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"))
"""Server Gated Cryptography, which old servers' authorities have in place of serverAuth."""


class Link(Struct, frozen=True):
    """A certificate of a chain, with its encoding where that was kept."""

    facts: Certificate
    encoding: bytes | None


class Chain(Struct, frozen=True):
    """A chain as one side showed it."""

    side: str
    links: tuple[Link, ...]
    known: tuple[Link, ...] = ()
    """What the other side showed: among it the issuer may be found."""
    frame: int | None = None
    """The frame that completed it."""

    @property
    def key(self) -> tuple[str, ...]:
        """What identifies it."""
        return (self.side, *[link.facts.sha256 for link in self.links])


class Path(Struct, frozen=True):
    """The way from the leaf up, as far as the chain itself goes."""

    places: tuple[int, ...]
    """Of the chain, the leaf's first."""
    top: Certificate
    """The last that was sent."""
    untried: int = 0
    """Certificates by the name of the issuer of `top` whose keys were not tried."""


def path(chain: Sequence[Link]) -> Path:
    """Find the way from the first certificate to the highest that was sent, from each to its issuer."""
    named: dict[str | None, list[int]] = {}
    for place, one in enumerate(chain):
        if one.facts.subject is not None:
            named.setdefault(one.facts.subject, []).append(place)
    places, last, untried = {0: None}, 0, 0
    while not chain[last].facts.self_signed:
        below = chain[last]
        free = [place for place in named.get(below.facts.issuer, ()) if place not in places]
        # A certificate that was sent several times is one key to try.
        keys = list({chain[place].facts.sha256: place for place in reversed(free)}.values())[::-1]
        found = next((place for place in keys[:MAX_ISSUERS] if issued(below, chain[place])), None)
        if found is None:
            untried = len(keys[MAX_ISSUERS:])
            break
        last = found
        places[last] = None
    return Path(tuple(places), chain[last].facts, untried)


def find_issuer(below: Link, candidates: Iterable[Link]) -> Link | None:
    """Find the first issuer of a certificate among others, of which no more than MAX_ISSUERS are tried."""
    named = {one.facts.sha256: one for one in candidates if one.facts.subject == below.facts.issuer}
    return next((one for one in islice(named.values(), MAX_ISSUERS) if issued(below, one)), None)


def issued(below: Link, above: Link) -> bool:
    """Tell whether one certificate is by the other's name and, where that can be checked, by its key."""
    if below.facts.issuer is None or below.facts.issuer != above.facts.subject:
        return False
    if below.encoding is None or above.encoding is None:
        return True
    return signed(below.encoding, above.encoding) is not False


@cached(CACHE_BYTES)
def signed(below: bytes, above: bytes) -> bool | None:
    """Tell whether the key of one certificate made the signature of another; None where that cannot be checked."""
    try:
        return signed_by(_key(above), below)
    except WireError:
        pass
    # The other way knows more algorithms, and fewer of the certificates that are seen.
    try:
        return ByCryptography(below).is_issued_by(ByCryptography(above))
    except WireError:
        return None


def chain_notes(chain: Sequence[Link], way: Path, side: str, trusted: Collection[str]) -> Iterator[Note]:
    """Note what is wrong with a chain in itself; `trusted` are the subjects of the authorities that are known."""
    yield from _order(chain, way)
    yield from _end(chain, way, trusted)
    yield from _constraints(chain, way, side)
    yield from _purpose(chain[0], side)


def _order(chain: Sequence[Link], way: Path) -> Iterator[Note]:
    if list(way.places) != sorted(way.places):
        order = ", ".join(str(place) for place in way.places)
        yield Note("misordered_chain", f"from leaf to root it should be {order}", chain[0].facts.sha256)
    related = _related(chain, way)
    seen: set[str] = set()
    for place, one in enumerate(chain):
        facts = one.facts
        if facts.sha256 in seen:
            yield Note("duplicate_in_chain", f"at {place}, and before", facts.sha256)
        elif place not in way.places and facts.subject not in related:
            yield Note("unrelated_certificate", f"at {place}: {facts.subject}", facts.sha256)
        elif facts.self_signed and place:
            yield Note("root_in_chain", f"at {place}: {facts.subject}", facts.sha256)
        seen.add(facts.sha256)


def _related(chain: Sequence[Link], way: Path) -> set[str | None]:
    """Name all who have a place above the leaf: also those of another way up, by an authority certified twice."""
    related = {name for place in way.places for name in (chain[place].facts.subject, chain[place].facts.issuer)}
    while above := {one.facts.issuer for one in chain if one.facts.subject in related} - related:
        related |= above
    return related


def _end(chain: Sequence[Link], way: Path, trusted: Collection[str]) -> Iterator[Note]:
    """Note where the way ends before it is at an authority that is known."""
    top = way.top
    if top.self_signed is not False:
        return
    others = [one for one in chain if one.facts.subject == top.issuer and one.facts.sha256 != top.sha256]
    if way.untried:
        detail = f"{way.untried:,} more certificates of {top.issuer} were sent, whose keys were not tried on it"
        yield Note("not_checked", detail, top.sha256)
    elif others and find_issuer(chain[way.places[-1]], others) is None:
        yield Note("bad_signature", f"the key of {top.issuer}, as it was sent, did not sign it", top.sha256)
    elif trusted and not any(chain[place].facts.issuer in trusted for place in way.places):
        strays = len(way.places) < len({one.facts.sha256 for one in chain})
        behind = "; other certificates were sent" if strays else ""
        yield Note("incomplete_chain", f"{top.issuer} was not sent, and is no trusted authority{behind}", top.sha256)


def _constraints(chain: Sequence[Link], way: Path, side: str) -> Iterator[Note]:
    """Hold each issuer of the way to its constraints (RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.10 and 4.2.1.12)."""
    below = [chain[way.places[0]]]
    height = checks = 0
    names = count_names(below[0].facts)
    for place in way.places[1:]:
        link = chain[place]
        facts, inside = link.facts, None if link.encoding is None else details(link.encoding)
        yield from _authority(facts, height)
        if inside is not None:
            yield from _limits(facts, inside, side)
        if inside is not None and inside.constraints is not None:
            checks += names
            if checks <= MAX_NAME_CHECKS:
                yield from _named(below, facts, NameChecker(inside.constraints))
            else:
                detail = f"the name constraints of {facts.subject}: {names:,} names are below it"
                yield Note("not_checked", detail, facts.sha256)
        below.append(link)
        names += count_names(facts)
        # What an authority issues to itself does not count.
        height += facts.subject != facts.issuer


def _authority(facts: Certificate, height: int) -> Iterator[Note]:
    """Hold an issuer to basicConstraints; `height` is how many authorities are between it and the leaf."""
    old = facts.version in (1, 2) and facts.self_signed
    if facts.is_ca is False and not old:
        yield Note("issuer_not_ca", f"{facts.subject} issued a certificate", facts.sha256)
    if facts.path_length is not None and height > facts.path_length:
        detail = f"{height} authorities below {facts.subject}, which allows {facts.path_length}"
        yield Note("path_too_long", detail, facts.sha256)


def _limits(facts: Certificate, inside: Details, side: str) -> Iterator[Note]:
    """Hold an issuer to what its key, and what is below it, may be used for."""
    if inside.key_usage is not None and "keyCertSign" not in inside.key_usage:
        yield Note("wrong_key_usage", f"{facts.subject} issued without keyCertSign", facts.sha256)
    if inside.purposes is not None and _allowed(side).isdisjoint(inside.purposes):
        yield Note("wrong_purpose", f"{facts.subject} is not to issue to a {side}", facts.sha256)


def _named(below: Sequence[Link], issuer: Certificate, checker: NameChecker) -> Iterator[Note]:
    """Hold the names of all that is below an issuer to what it may certify."""
    if checker.skips_addresses:
        detail = f"the addresses below {issuer.subject}: its name constraints have more than {MAX_MASKS} masks"
        yield Note("not_checked", detail, issuer.sha256)
    for height, one in enumerate(below):
        # An authority's certificate for itself goes free: RFC 5280 section 6.1.3 (b).
        if height and one.facts.subject == one.facts.issuer:
            continue
        subject = None if one.encoding is None else details(one.encoding).subject
        found = list(islice(checker.violations(one.facts, subject), _TOLD))
        if found:
            yield Note("name_not_permitted", f"{'; '.join(found)} by {issuer.subject}", one.facts.sha256)


def _allowed(side: str) -> set[str]:
    """Name the purposes that let a certificate be shown by a side."""
    return {_PURPOSES[side], _ANY_PURPOSE} | (_STEP_UP if side == "server" else set())


def _purpose(leaf: Link, side: str) -> Iterator[Note]:
    """Hold the leaf to what it was used for (RFC 5280 section 4.2.1.12)."""
    inside = None if leaf.encoding is None else details(leaf.encoding)
    if inside is None:
        return
    if inside.purposes is not None and _allowed(side).isdisjoint(inside.purposes):
        yield Note("wrong_purpose", f"a {side} showed it, which it is not for", leaf.facts.sha256)
    # A client always signs; what a server's key does is another question for each suite.
    usage = inside.key_usage
    if side == "client" and usage is not None and "digitalSignature" not in usage:
        yield Note("wrong_key_usage", "a client's key that is not for signatures", leaf.facts.sha256)


def _key(encoding: bytes) -> object:
    try:
        return ByCryptography(encoding).key()
    except WireError:
        return ByOpenSSL(encoding).key()
