"""Lookups over plain HTTP matched to the handshakes that waited for them, and what they tell."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from tlsdissect.trust.details import details
from tlsdissect.trust.notes import second
from tlsdissect.trust.ocsp import OcspAnswer, answer
from tlsdissect.trust.rules import finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tlsdissect.transcript.connection import Finding
    from tlsdissect.transcript.facts.evidence import Evidence
    from tlsdissect.transcript.facts.moments import Moments
    from tlsdissect.transcript.tracking.lookups import CertId, Lookup
    from tlsdissect.trust.chain import Link
    from tlsdissect.trust.showing import Showing, Side

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHA1_DIGITS = 40


class Asked(NamedTuple):
    """A lookup that a side of a connection made while the other side waited."""

    lookup: Lookup
    asker: str
    """The side."""
    about: Link | None
    """None where the certificate is hidden: the match is by time and address alone."""
    given: OcspAnswer
    waited: float
    """Milliseconds between question and answer."""
    whole: float | None
    """Milliseconds from the ClientHello to the server's answer to the client's flight."""


def asked(showing: Showing, evidence: Evidence, issuer_of: Callable[[Link], Link | None]) -> Iterator[Asked]:
    """Find the OCSP lookups that a connection's sides made while it waited for the answers."""
    times = showing.moments
    if times is None or not evidence.lookups:
        return
    seen: set[int] = set()
    for asker, other, begin, end in _waits(times):
        if begin is None or end is None:
            continue
        ip, shown = showing.server.ip if asker == "server" else showing.client.ip, showing.shown(other)
        for lookup in evidence.asked(showing.source, begin, end):
            about, frame = _about(lookup, shown), lookup.exchange.asked_frame
            # Of a certificate that is hidden only who asked, and when, can be told.
            fits = about is not None or (shown is None and _is_one_host(lookup.client.ip, ip))
            if lookup.exchange.kind == "ocsp" and frame not in seen and fits:
                seen.add(frame)
                yield _asked(lookup, asker, about, times, evidence, issuer_of)


def _waits(times: Moments) -> tuple[tuple[Side, Side, int | None, int | None], ...]:
    """Tell who can look up whose certificate, and between which times the other side waits for that."""
    return (
        ("server", "server", times.hello, times.shown),
        ("server", "client", times.flight, times.reply),
        ("client", "server", times.shown, times.flight),
    )


def _asked(
    lookup: Lookup,
    asker: str,
    about: Link | None,
    times: Moments,
    evidence: Evidence,
    issuer_of: Callable[[Link], Link | None],
) -> Asked:
    exchange = lookup.exchange
    body, stated = evidence.encoding(exchange.sha256), exchange.answer
    given = OcspAnswer(status=None if stated is None else stated.cert_status)
    if about is not None and body is not None:
        at = datetime.fromtimestamp(exchange.answered // 1_000_000_000, UTC).isoformat()
        given = answer(body, about, issuer_of(about), second(at))
    whole = None if times.hello is None or times.reply is None else (times.reply - times.hello) / 1_000_000
    return Asked(lookup, asker, about, given, (exchange.answered - exchange.asked) / 1_000_000, whole)


def lookup_findings(found: Iterable[Asked]) -> Iterator[Finding]:
    """Tell what was asked, how long that took, and what the answer means."""
    for one in found:
        exchange, about = one.lookup.exchange, one.about
        sha256 = None if about is None else about.facts.sha256
        yield finding("ocsp_lookup", _told(one), exchange.asked_frame, sha256)
        if one.given.revokes:
            detail = f"by OCSP ({one.lookup.url}), since {one.given.since or _since(one)}"
            yield finding("revoked", detail, exchange.answered_frame, sha256)
        if about is not None and about.facts.ocsp_urls and not _is_named(one.lookup.url, about.facts.ocsp_urls):
            detail = f"{one.lookup.url} was asked; the certificate names {', '.join(about.facts.ocsp_urls)}"
            yield finding("ocsp_elsewhere", detail, exchange.asked_frame, sha256)


def download_findings(showing: Showing, evidence: Evidence) -> Iterator[Finding]:
    """Tell of the CRLs that a side fetched from where one of these certificates says, while the connection lasted."""
    if showing.start is None or showing.end is None:
        return
    begin, end = _nanoseconds(showing.start), _nanoseconds(showing.end) + 1000
    links = [link for chain in showing.chains for link in chain.links]
    for lookup in evidence.asked(showing.source, begin, end):
        exchange = lookup.exchange
        named = [one.facts for one in links if _is_named(lookup.url, one.facts.crl_urls or ())]
        if exchange.kind == "crl" and named:
            took = (exchange.answered - exchange.asked) / 1_000_000
            detail = f"{lookup.url} was fetched by {lookup.client.ip} in {took:.1f} ms"
            yield finding("crl_download", detail, exchange.asked_frame, named[0].sha256)


def _told(one: Asked) -> str:
    exchange, stated = one.lookup.exchange, one.lookup.exchange.answer
    serials = ", ".join([asked.serial for asked in exchange.about]) or "?"
    guess = " (by time and address; the certificate is hidden)" if one.about is None else ""
    said = one.given.status or (stated.response_status if stated is not None else None) or "no answer of OCSP"
    took = f"{one.waited:.1f} ms"
    if one.whole:
        took += f", {min(1.0, one.waited / one.whole):.0%} of the {one.whole:.1f} ms up to the server's answer"
    doubts = [f"it proves nothing: {'; '.join(one.given.flaws)}"] if one.given.flaws else []
    doubts += [one.given.stale] if one.given.stale else []
    told = f"the {one.asker} asked {one.lookup.url} about serial {serials}{guess}: {said} after {took}"
    return "; ".join([told, *doubts])


def _since(one: Asked) -> str | None:
    stated = one.lookup.exchange.answer
    return None if stated is None else stated.revocation_time


def _about(lookup: Lookup, shown: Sequence[Link] | None) -> Link | None:
    for link in shown or ():
        if any(_is(link, one) for one in lookup.exchange.about):
            return link
    return None


def _is(link: Link, asked_about: CertId) -> bool:
    """Tell whether a CertID is a certificate's: by its serial number, and its issuer's name where SHA-1 hashes it."""
    if link.facts.serial != asked_about.serial:
        return False
    name = None if link.encoding is None else details(link.encoding).issuer
    if name is None or len(asked_about.issuer_name_hash) != _SHA1_DIGITS:
        return True
    return sha1(name, usedforsecurity=False).hexdigest() == asked_about.issuer_name_hash


def _is_one_host(one: str, other: str) -> bool:
    """Tell whether two addresses are of one host: equal, or both of the loopback interface."""
    return one == other or (ip_address(one).is_loopback and ip_address(other).is_loopback)


def _is_named(url: str, urls: Iterable[str]) -> bool:
    """Tell whether an address is one of these; a path of nothing is that of a slash, letter case of a host is none."""
    return _canonical(url) in [_canonical(one) for one in urls]


def _canonical(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower().removesuffix(':80')}/{path}"


def _nanoseconds(time: str) -> int:
    """Read a capture's time, to the microsecond."""
    since = datetime.fromisoformat(time[:26].rstrip("Z")).replace(tzinfo=UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
