"""OCSP lookups and CRL downloads over plain HTTP, matched to the handshakes that caused them."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.trust.ocsp import OcspAnswer, answer
from tlsdissect.trust.rules import finding
from tlsdissect.trust.times import to_second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.handshake.facts.evidence import Evidence
    from tlsdissect.handshake.facts.times import HandshakeTimes
    from tlsdissect.handshake.revocation_lookups import CertId, Lookup
    from tlsdissect.model.connection import Finding
    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.presented_chains import PresentedChains, Side

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHA1_DIGITS = 40


class MatchedLookup(NamedTuple):
    """An OCSP lookup that one side of a connection made while the other side waited."""

    lookup: Lookup
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
    presented: PresentedChains, evidence: Evidence, issuer_of: Callable[[Link], Link | None]
) -> Iterator[MatchedLookup]:
    """Find the OCSP lookups that the sides of a connection made during its handshake."""
    times = presented.moments
    if times is None or not evidence.lookups:
        return
    seen: set[int] = set()
    for asker, other, begin, end in _waits(times):
        if begin is None or end is None:
            continue
        ip, links = presented.server.ip if asker == "server" else presented.client.ip, presented.links_of(other)
        for lookup in evidence.asked(presented.source, begin, end):
            about, frame = _about(lookup, links), lookup.exchange.asked_frame
            # An encrypted certificate leaves only the time and the client's address to match by.
            fits = about is not None or (links is None and _is_one_host(lookup.client.ip, ip))
            if lookup.exchange.kind == "ocsp" and frame not in seen and fits:
                seen.add(frame)
                yield _matched(lookup, asker, about, times, evidence, issuer_of)


def _waits(times: HandshakeTimes) -> tuple[tuple[Side, Side, int | None, int | None], ...]:
    """List who may look up whose certificate, and between which times the peer waits for that."""
    return (
        ("server", "server", times.hello, times.shown),
        ("server", "client", times.flight, times.reply),
        ("client", "server", times.shown, times.flight),
    )


def _matched(
    lookup: Lookup,
    asker: str,
    about: Link | None,
    times: HandshakeTimes,
    evidence: Evidence,
    issuer_of: Callable[[Link], Link | None],
) -> MatchedLookup:
    exchange = lookup.exchange
    body, stated = evidence.encoding(exchange.sha256), exchange.answer
    result = OcspAnswer(status=None if stated is None else stated.cert_status)
    if about is not None and body is not None:
        at = datetime.fromtimestamp(exchange.answered // 1_000_000_000, UTC).isoformat()
        result = answer(body, about, issuer_of(about), to_second(at))
    handshake_ms = None if times.hello is None or times.reply is None else (times.reply - times.hello) / 1_000_000
    return MatchedLookup(lookup, asker, about, result, (exchange.answered - exchange.asked) / 1_000_000, handshake_ms)


def lookup_findings(found: Iterable[MatchedLookup]) -> Iterator[Finding]:
    """Report each lookup with its duration, and what follows from the response."""
    for one in found:
        exchange, about = one.lookup.exchange, one.about
        sha256 = None if about is None else about.facts.sha256
        yield finding("ocsp_lookup", _describe(one), exchange.asked_frame, sha256)
        if one.result.revokes:
            detail = f"by OCSP ({one.lookup.url}), since {one.result.since or _since(one)}"
            yield finding("revoked", detail, exchange.answered_frame, sha256)
        if about is not None and about.facts.ocsp_urls and not _is_named(one.lookup.url, about.facts.ocsp_urls):
            detail = f"{one.lookup.url} was queried; the certificate names {', '.join(about.facts.ocsp_urls)}"
            yield finding("ocsp_elsewhere", detail, exchange.asked_frame, sha256)


def download_findings(presented: PresentedChains, evidence: Evidence) -> Iterator[Finding]:
    """Report CRLs fetched during the connection from a distribution point of one of its certificates."""
    if presented.start is None or presented.end is None:
        return
    begin, end = _nanoseconds(presented.start), _nanoseconds(presented.end) + 1000
    links = [link for chain in presented.chains for link in chain.links]
    for lookup in evidence.asked(presented.source, begin, end):
        exchange = lookup.exchange
        certificates = [one.facts for one in links if _is_named(lookup.url, one.facts.crl_urls or ())]
        if exchange.kind == "crl" and certificates:
            took = (exchange.answered - exchange.asked) / 1_000_000
            detail = f"{lookup.client.ip} fetched {lookup.url} in {took:.1f} ms"
            yield finding("crl_download", detail, exchange.asked_frame, certificates[0].sha256)


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


def _about(lookup: Lookup, links: Sequence[Link] | None) -> Link | None:
    for link in links or ():
        if any(_matches(link, cert_id) for cert_id in lookup.exchange.about):
            return link
    return None


def _matches(link: Link, cert_id: CertId) -> bool:
    """Return whether a CertID matches a certificate: by serial number, and by issuer name if hashed with SHA-1."""
    if link.facts.serial != cert_id.serial:
        return False
    name = None if link.details is None else link.details.issuer
    if name is None or len(cert_id.issuer_name_hash) != _SHA1_DIGITS:
        return True
    return sha1(name, usedforsecurity=False).hexdigest() == cert_id.issuer_name_hash


def _is_one_host(one: str, other: str) -> bool:
    """Return whether two addresses belong to one host: equal, or both loopback addresses."""
    return one == other or (ip_address(one).is_loopback and ip_address(other).is_loopback)


def _is_named(url: str, urls: Iterable[str]) -> bool:
    """Return whether a URL is one of these; case of the host is ignored, and an empty path equals "/"."""
    return _canonical(url) in [_canonical(one) for one in urls]


def _canonical(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower().removesuffix(':80')}/{path}"


def _nanoseconds(time: str) -> int:
    """Parse a capture's time, to the microsecond."""
    since = datetime.fromisoformat(time[:26].rstrip("Z")).replace(tzinfo=UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
