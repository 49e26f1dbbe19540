"""The evidence for verdicts besides facts: encoded certificates, OCSP responses and lookups, in bounded memory."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from contextlib import suppress
from ipaddress import ip_address
from operator import attrgetter
from typing import TYPE_CHECKING

from tlsdissect.caches import footprint
from tlsdissect.capture.packet import UNTIMED

if TYPE_CHECKING:
    from tlsdissect.handshake.facts.timing import CertificateTimes
    from tlsdissect.handshake.revocation_lookups import CapturedLookup, RevocationLookup
    from tlsdissect.model.connection import Connection

EVIDENCE_BYTES = 64 << 20
"""Maximum bytes of certificates and OCSP responses; beyond it, those seen least recently are evicted."""
ENTRY_BYTES = 384
"""Estimated bytes that an encoding takes besides its own."""
MAX_TIMES = 65_536
"""Maximum connections whose handshake times are kept; beyond it, the oldest are evicted."""
MAX_LOOKUPS = 65_536
"""Maximum lookups that are kept; later ones are only counted."""
LOOKUP_BYTES = 32 << 20
"""Maximum bytes of lookups without their responses; lookups that exceed it are only counted."""

INDEX_BYTES = 256
"""Estimated bytes that a lookup takes for each of its keys."""

Key = tuple[str, ...]
"""A key of lookups in the index."""

_asked = attrgetter("exchange.asked")
_SHA1_DIGITS = 40


def serial_key(serial: str, issuer_name_hash: str | None) -> Key:
    """Return the key of OCSP lookups about a serial number.

    `issuer_name_hash` is the SHA-1 of the issuer's name, or None for any issuer; a hash by another algorithm counts as
    the empty string.
    """
    return ("serial", serial) if issuer_name_hash is None else ("serial", serial, issuer_name_hash)


def client_key(host: str) -> Key:
    """Return the key of OCSP lookups by a host, in EAP a hardware address; all loopback addresses are one host."""
    with suppress(ValueError):
        return ("client", "loopback" if ip_address(host).is_loopback else host)
    return ("client", host)


def url_key(url: str) -> Key:
    """Return the key of CRL downloads from a URL; case of the host is ignored, and an empty path equals "/"."""
    return ("url", canonical_url(url))


def canonical_url(url: str) -> str:
    """Return the form of a URL that is equal for all its spellings."""
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower().removesuffix(':80')}/{path}"


def _keys(lookup: RevocationLookup) -> set[Key]:
    exchange = lookup.exchange
    if exchange.kind == "crl":
        return {url_key(lookup.url)}
    keys = {client_key(lookup.client.host)}
    for one in exchange.about:
        by_sha1 = one.issuer_name_hash if len(one.issuer_name_hash) == _SHA1_DIGITS else ""
        keys |= {serial_key(one.serial, None), serial_key(one.serial, by_sha1)}
    return keys


class Evidence:
    """Encodings by SHA-256, each kept once, and lookups by key and time."""

    def __init__(self, kept_bytes: int = EVIDENCE_BYTES) -> None:
        self._limit = kept_bytes
        self._used = 0
        self._encodings: OrderedDict[str, bytes] = OrderedDict()
        self._lookup_bytes = 0
        self._lookups: dict[tuple[str, Key], list[RevocationLookup]] = {}
        self._times: OrderedDict[tuple[str, str, int, int], CertificateTimes] = OrderedDict()
        self.lookups = 0
        """Number of lookups with times."""
        self.lookups_left_out = 0
        """Number of those that are not kept."""

    def keep(self, sha256: str, encoding: bytes) -> None:
        """Keep an encoding, or mark it as the most recent."""
        if sha256 in self._encodings:
            self._encodings.move_to_end(sha256)
            return
        self._encodings[sha256] = encoding
        self._used += len(encoding) + ENTRY_BYTES
        while self._used > self._limit:
            _, oldest = self._encodings.popitem(last=False)
            self._used -= len(oldest) + ENTRY_BYTES

    def add_lookup(self, captured: CapturedLookup) -> None:
        """Keep a lookup and its response; without times, it cannot be matched to a connection and is ignored."""
        lookup = captured.lookup
        if UNTIMED in (lookup.exchange.asked, lookup.exchange.answered):
            return
        self.lookups += 1
        keys = _keys(lookup)
        size = footprint(lookup, enough=LOOKUP_BYTES) + INDEX_BYTES * len(keys)
        if self.lookups > MAX_LOOKUPS or self._lookup_bytes + size > LOOKUP_BYTES:
            self.lookups_left_out += 1
            return
        self._lookup_bytes += size
        for key in keys:
            insort(self._lookups.setdefault((lookup.source, key), []), lookup, key=_asked)
        self.keep(lookup.exchange.sha256, captured.body)

    def set_certificate_times(self, connection: Connection, times: CertificateTimes) -> None:
        """Keep the times at which each side of a connection received the other's certificates."""
        self._times[_identity(connection)] = times
        if len(self._times) > MAX_TIMES:
            self._times.popitem(last=False)

    def certificate_times(self, connection: Connection) -> CertificateTimes | None:
        """Return when each side received the other's certificates; None if that was not kept."""
        return self._times.get(_identity(connection))

    def asked(self, source: str, key: Key, begin: int, end: int, most: int) -> list[RevocationLookup]:
        """Return the first `most` lookups of a capture with a key that began between two times in nanoseconds."""
        known = self._lookups.get((source, key), [])
        at = bisect_left(known, begin, key=_asked)
        return known[at : min(at + most, bisect_right(known, end, key=_asked))]

    def encoding(self, sha256: str) -> bytes | None:
        """Return the encoding with this SHA-256; None if it was not kept."""
        return self._encodings.get(sha256)


def _identity(connection: Connection) -> tuple[str, str, int, int]:
    # Several QUIC connections may have one stream number.
    return connection.source, connection.transport, connection.stream, connection.first_frame
