"""Checks of certificates against the user's CRLs (RFC 5280 section 6.3)."""

from __future__ import annotations

import warnings
from array import array
from bisect import bisect_left
from functools import cached_property
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Struct

from tlsdissect.caches import ByteCache
from tlsdissect.tls.wire import WireError
from tlsdissect.trust.details import details
from tlsdissect.trust.rules import CertificateFinding
from tlsdissect.trust.times import format_time, to_second
from tlsdissect.x509 import der
from tlsdissect.x509.libraries import ByCryptography, refuse_costly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.trust.chain import Link

    FindIssuer = Callable[[Link], Link | None]

CRL_CACHE_BYTES = 1 << 20
"""Bytes of the cache, one per CRL, of which certificates signed it."""

_KNOWN = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuerAlternativeName, x509.AuthorityInformationAccess,
          x509.FreshestCRL, x509.IssuingDistributionPoint)  # fmt: skip
_PADDINGS = (padding.PKCS1v15, padding.PSS)


class CrlError(Exception):
    """A CRL cannot be read; the message says why."""


class CrlStatus(Struct, frozen=True):
    """A certificate's status by a CRL: "good", "revoked", or None if the CRL's scope does not cover it."""

    status: str | None
    since: str | None = None
    """When it was revoked."""
    reason: str | None = None
    """The CRLReason, if there is one (RFC 5280 section 5.3.1)."""


class Crl:
    """A certificate revocation list.

    It may have millions of entries and is searched for each certificate of its issuer. So the hashes of its serial
    numbers are sorted once, and its digest is computed once for all keys that its signature is checked with.
    """

    def __init__(self, encoding: bytes, source: str) -> None:
        """Load a DER CRL; raise CrlError if it cannot be read."""
        self.source = source
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._loaded = x509.load_der_x509_crl(encoding)
                self.issuer = self._loaded.issuer.public_bytes()
                self.this_update = format_time(self._loaded.last_update_utc)
                end = self._loaded.next_update_utc
                self.next_update = None if end is None else format_time(end)
                self._scope = _scope(self._loaded)
                self._is_consistent = _states_one_algorithm(encoding)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what the library raises on odd lists has no base in common
            raise CrlError(f"{source}: malformed CRL: {der.printable(str(error).encode()[:160])}") from None
        self._signatures: ByteCache[bool | None] = ByteCache(CRL_CACHE_BYTES)

    def __reduce__(self) -> tuple[type[Crl], tuple[bytes, str]]:
        return Crl, (self._loaded.public_bytes(Encoding.DER), self.source)

    def status_of(self, serial: str) -> CrlStatus:
        """Return the status of a certificate of the CRL's issuer."""
        entry = self._entry(int(serial, 16))
        if entry is None:
            return CrlStatus(None if self._scope else "good")
        return CrlStatus("revoked", f"{format_time(entry.revocation_date_utc)}Z", _reason(entry))

    def problems(self, issuer: Link | None, at: str | None) -> Iterator[str]:
        """Report why the CRL cannot be relied on at a time (in the form of `to_second`)."""
        if self._scope:
            yield self._scope
        if at is not None and at < self.this_update:
            yield f"it was issued later, at {self.this_update}Z"
        if at is not None and self.next_update is not None and at > self.next_update:
            yield f"it expired at {self.next_update}Z"
        if self.is_forged(issuer):
            yield "its issuer's key did not sign it"

    def is_forged(self, issuer: Link | None) -> bool:
        """Return whether the issuer's key is known and did not sign the CRL."""
        encoding = None if issuer is None else issuer.encoding
        return encoding is not None and self._signatures.get(encoding, lambda: self._is_signed_by(encoding)) is False

    def _entry(self, serial: int) -> x509.RevokedCertificate | None:
        """Find the first entry for a serial number."""
        digests, places = self._entries
        digest = hash(serial)
        for at in range(bisect_left(digests, digest), len(places)):
            if digests[at] != digest:
                break
            entry = self._loaded[places[at]]
            if entry.serial_number == serial:
                return entry
        return None

    @cached_property
    def _entries(self) -> tuple[array[int], array[int]]:
        """Sorted hashes of the serial numbers, and the index of each one's entry: 16 bytes per entry."""
        hashed = array("q", (hash(one.serial_number) for one in self._loaded))
        places = array("q", sorted(range(len(hashed)), key=hashed.__getitem__))
        return array("q", map(hashed.__getitem__, places)), places

    @cached_property
    def _digest(self) -> bytes:
        """The digest of the signed part."""
        algorithm = self._loaded.signature_hash_algorithm
        assert algorithm is not None  # noqa: S101  # only called for algorithms that have one
        digest = hashes.Hash(algorithm)
        digest.update(self._loaded.tbs_certlist_bytes)
        return digest.finalize()

    def _is_signed_by(self, issuer: bytes) -> bool | None:
        """Return whether the certificate's key signed the CRL; None if that cannot be checked."""
        inside = details(issuer)
        if inside.key_usage is not None and "cRLSign" not in inside.key_usage:
            return False
        try:
            key = ByCryptography(issuer).key()
            refuse_costly(key)
            return self._is_consistent and self._is_signed_with(key)
        except InvalidSignature:
            return False
        except (WireError, TypeError, ValueError):
            return None

    def _is_signed_with(self, key: object) -> bool:
        """Return whether a key made the signature; a wrong signature may also raise InvalidSignature."""
        loaded = self._loaded
        parameters, algorithm = loaded.signature_algorithm_parameters, loaded.signature_hash_algorithm
        if algorithm is not None and isinstance(key, rsa.RSAPublicKey) and isinstance(parameters, _PADDINGS):
            key.verify(loaded.signature, self._digest, parameters, Prehashed(algorithm))
            return True
        if algorithm is not None and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(parameters, ec.ECDSA):
            key.verify(loaded.signature, self._digest, ec.ECDSA(Prehashed(algorithm)))
            return True
        return loaded.is_signature_valid(key)  # type: ignore[arg-type]


def _states_one_algorithm(encoding: bytes) -> bool:
    """Return whether a CRL names the same algorithm inside and outside its signed part (RFC 5280 section 5.1.1.2)."""
    inside, stated, *_ = der.first(encoding).items(least=3)
    parts = inside.items(least=2)
    own = parts[1] if parts[0].tag == der.INTEGER else parts[0]
    return own.encoding == stated.encoding


class RevocationLists:
    """All CRLs that the user gave."""

    def __init__(self, lists: Sequence[Crl]) -> None:
        self._lists = tuple(lists)

    def __bool__(self) -> bool:
        return bool(self._lists)

    @property
    def boundaries(self) -> list[str]:
        """The seconds at which a CRL's validity begins or ends."""
        ends = [f"{one.next_update}~" for one in self._lists if one.next_update is not None]
        return [*ends, *[one.this_update for one in self._lists]]

    def findings(self, path: Sequence[Link], issuer_of: FindIssuer, at: str | None) -> Iterator[CertificateFinding]:
        """Report revoked certificates of a path, and CRLs that cannot be used for them."""
        for link in path:
            sha256, serial = link.facts.sha256, link.facts.serial
            if serial is None or link.facts.self_signed:
                continue
            for crl in self._of(link):
                yield from _crl_findings(crl, sha256, serial, issuer_of(link), at)

    def status(self, link: Link, issuer: Link | None, at: str | None) -> str | None:
        """Return a certificate's status by the CRLs, "good" or "revoked"; None if no CRL covers it."""
        if link.facts.serial is None:
            return None
        states = set()
        for crl in self._of(link):
            state = crl.status_of(link.facts.serial).status
            # "good" holds only while the CRL is valid; "revoked" is permanent.
            if not (crl.is_forged(issuer) if state == "revoked" else at is None or any(crl.problems(issuer, at))):
                states.add(state)
        return "revoked" if "revoked" in states else "good" if "good" in states else None

    def _of(self, link: Link) -> list[Crl]:
        """List the CRLs of a certificate's issuer."""
        inside = link.details
        return [] if inside is None else [crl for crl in self._lists if crl.issuer == inside.issuer]


def _crl_findings(
    crl: Crl, sha256: str, serial: str, issuer: Link | None, at: str | None
) -> Iterator[CertificateFinding]:
    problems = list(crl.problems(issuer, at))
    if problems:
        yield CertificateFinding("bad_crl", f"{crl.source}: {'; '.join(problems)}", sha256)
    state = crl.status_of(serial)
    # A revocation is permanent, so an expired CRL still proves it; a forged one does not.
    if state.status != "revoked" or crl.is_forged(issuer):
        return
    checked = "" if issuer is not None and issuer.encoding is not None else "; the CRL's signature was not checked"
    reason = f" for {state.reason}" if state.reason else ""
    since = "since" if at is None or to_second(state.since or "") <= at else "later, from"
    yield CertificateFinding(
        "revoked", f"serial {serial} is on {crl.source}, revoked {since} {state.since}{reason}{checked}", sha256
    )


def _scope(crl: x509.CertificateRevocationList) -> str:
    """Return why a CRL does not cover all certificates of its issuer; empty if it does."""
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint) and (value.indirect_crl or value.only_some_reasons):
            return "it is an indirect CRL, or covers some reasons only"
        if extension.critical and not isinstance(value, _KNOWN):
            return f"it has a critical extension ({extension.oid.dotted_string})"
    return ""


def _reason(entry: x509.RevokedCertificate) -> str | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, ValueError):
        return None
