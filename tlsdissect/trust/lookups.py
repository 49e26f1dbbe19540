"""OCSP lookups and CRL downloads over plain HTTP, matched to the handshakes that caused them."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tlsdissect.handshake.facts.evidence import canonical_url, client_key, serial_key, url_key
from tlsdissect.trust.ocsp import OcspAnswer
from tlsdissect.trust.rules import finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from tlsdissect.handshake.facts.evidence import Evidence, Key
    from tlsdissect.handshake.facts.timing import CertificateTimes
    from tlsdissect.handshake.revocation_lookups import LookupExchange, RevocationLookup
    from tlsdissect.model.connection import Finding, Side
    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.presented_chains import PresentedChains

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
T = TypeVar("T")

MAX_MATCHED = 64
"""OCSP lookups of one handshake, and CRL downloads of one connection, that are reported."""


class MatchedLookup(NamedTuple):
    """An OCSP lookup that one side of a connection made while the other side waited."""

    lookup: RevocationLookup
    asker: str
    """"server" or "client"."""
    about: Link | None
    """None if the certificate is encrypted: then the match is by time and address only."""
    result: OcspAnswer
    lookup_ms: float
    """Milliseconds from the OCSP request to its response."""
    handshake_ms: float | None
    """Milliseconds from the ClientHello to the server's response to the client's second flight."""


def match_lookups(
    presented: PresentedChains, evidence: Evidence, check: Callable[[LookupExchange, Link], OcspAnswer | None]
) -> list[MatchedLookup]:
    """Find the OCSP lookups that the sides of a connection made during its handshake, at most MAX_MATCHED + 1.

    `check` returns what a response says about a certificate; None if the response was not kept.
    """
    times = presented.times
    if times is None or not evidence.lookups:
        return []
    found: dict[int, MatchedLookup] = {}
    for asker, other, begin, end in _waits(times):
        if begin is None or end is None:
            continue
        host = presented.server.host if asker == "server" else presented.client.host
        links = presented.links_of(other)
        # An encrypted certificate leaves only the time and the client's address to match by.
        keys: dict[Key, Link | None] = {client_key(host): None} if links is None else {}
        for link in links or ():
            for key in _keys(link):
                keys.setdefault(key, link)
        for lookup, about in _asked(presented.source, evidence, keys, begin, end):
            if lookup.exchange.asked_frame not in found and len(found) <= MAX_MATCHED:
                found[lookup.exchange.asked_frame] = _matched(lookup, asker, about, times, check)
    return list(found.values())


def _waits(times: CertificateTimes) -> tuple[tuple[Side, Side, int | None, int | None], ...]:
    """List who may look up whose certificate, and between which times the peer waits for that."""
    return (
        ("server", "server", times.hello, times.shown),
        ("server", "client", times.flight, times.reply),
        ("client", "server", times.shown, times.flight),
    )


def _keys(link: Link) -> tuple[Key, ...]:
    """Return the keys of lookups about a certificate: by serial number, and by issuer name if hashed with SHA-1."""
    serial, name = link.facts.serial, None if link.details is None else link.details.issuer
    if serial is None:
        return ()
    if name is None:
        return (serial_key(serial, None),)
    return serial_key(serial, ""), serial_key(serial, sha1(name, usedforsecurity=False).hexdigest())


def _asked(
    source: str, evidence: Evidence, keys: Mapping[Key, T], begin: int, end: int
) -> list[tuple[RevocationLookup, T]]:
    """Return the first lookups under some keys within a time in order, each with the certificate of its key."""
    found: dict[int, tuple[RevocationLookup, T]] = {}
    for key, value in keys.items():
        for lookup in evidence.asked(source, key, begin, end, MAX_MATCHED + 1):
            found.setdefault(id(lookup), (lookup, value))
    return sorted(found.values(), key=lambda one: (one[0].exchange.asked, one[0].exchange.asked_frame))[
        : MAX_MATCHED + 1
    ]


def _matched(
    lookup: RevocationLookup,
    asker: str,
    about: Link | None,
    times: CertificateTimes,
    check: Callable[[LookupExchange, Link], OcspAnswer | None],
) -> MatchedLookup:
    exchange = lookup.exchange
    result = None if about is None else check(exchange, about)
    if result is None:
        result = OcspAnswer(status=None if exchange.answer is None else exchange.answer.cert_status)
    handshake_ms = None if times.hello is None or times.reply is None else (times.reply - times.hello) / 1_000_000
    return MatchedLookup(lookup, asker, about, result, (exchange.answered - exchange.asked) / 1_000_000, handshake_ms)


def lookup_findings(presented: PresentedChains, found: Iterable[MatchedLookup]) -> Iterator[Finding]:
    """Report each lookup with its duration, and what follows from the response."""
    keyed = presented.only_with_keys
    for place, one in enumerate(found):
        exchange, about = one.lookup.exchange, one.about
        sha256 = None if about is None else about.facts.sha256
        with_keys = sha256 in keyed
        if place == MAX_MATCHED:
            detail = f"OCSP lookups after the first {MAX_MATCHED} during the handshake"
            yield finding("not_checked", detail, exchange.asked_frame, sha256, with_keys=with_keys)
            return
        yield finding("ocsp_lookup", _describe(one), exchange.asked_frame, sha256, with_keys=with_keys)
        if one.result.revokes:
            detail = f"by OCSP ({one.lookup.url}), since {one.result.since or _since(one)}"
            yield finding("revoked", detail, exchange.answered_frame, sha256, with_keys=with_keys)
        urls = about.facts.ocsp_urls if about is not None else None
        if urls and canonical_url(one.lookup.url) not in map(canonical_url, urls):
            others = f" and {len(urls) - 3:,} more" if len(urls) > 3 else ""
            detail = f"{one.lookup.url} was queried; the certificate names {', '.join(urls[:3])}{others}"
            yield finding("ocsp_elsewhere", detail, exchange.asked_frame, sha256, with_keys=with_keys)


def download_findings(presented: PresentedChains, evidence: Evidence) -> Iterator[Finding]:
    """Report CRLs fetched during the connection from a distribution point of one of its certificates."""
    if presented.start is None or presented.end is None:
        return
    begin, end = _nanoseconds(presented.start), _nanoseconds(presented.end) + 1000
    links, keyed = [link for chain in presented.chains for link in chain.links], presented.only_with_keys
    certificates: dict[Key, str] = {}
    for facts in [link.facts for link in links]:
        for url in facts.crl_urls or ():
            certificates.setdefault(url_key(url), facts.sha256)
    for place, (lookup, sha256) in enumerate(_asked(presented.source, evidence, certificates, begin, end)):
        exchange = lookup.exchange
        if place == MAX_MATCHED:
            detail = f"downloads of CRLs after the first {MAX_MATCHED} during the connection"
            yield finding("not_checked", detail, exchange.asked_frame, sha256, with_keys=sha256 in keyed)
            return
        took = (exchange.answered - exchange.asked) / 1_000_000
        detail = f"{lookup.client.ip} fetched {lookup.url} in {took:.1f} ms"
        yield finding("crl_download", detail, exchange.asked_frame, sha256, with_keys=sha256 in keyed)


def _describe(one: MatchedLookup) -> str:
    exchange, stated = one.lookup.exchange, one.lookup.exchange.answer
    serials = ", ".join([cert_id.serial for cert_id in exchange.about]) or "?"
    basis = " (matched by time and address; the certificate is encrypted)" if one.about is None else ""
    status = one.result.status or (stated.response_status if stated is not None else None) or "no OCSP response"
    took = f"{one.lookup_ms:.1f} ms"
    if one.handshake_ms:
        share = min(1.0, one.lookup_ms / one.handshake_ms)
        took += f", {share:.0%} of the {one.handshake_ms:.1f} ms until the server's response"
    doubts = [f"not valid evidence: {'; '.join(one.result.problems)}"] if one.result.problems else []
    doubts += [one.result.stale] if one.result.stale else []
    text = f"the {one.asker} asked {one.lookup.url} about serial {serials}{basis}: {status} after {took}"
    return "; ".join([text, *doubts])


def _since(one: MatchedLookup) -> str | None:
    stated = one.lookup.exchange.answer
    return None if stated is None else stated.revocation_time


def _nanoseconds(time: str) -> int:
    """Parse a capture's time, to the microsecond."""
    since = datetime.fromisoformat(time[:26].rstrip("Z")).replace(tzinfo=UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
