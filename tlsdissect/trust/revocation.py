"""Certificates held against the revocation lists that the user gave (RFC 5280 section 6.3)."""

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
from msgspec import Struct

from tlsdissect.caches import ByteCache
from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.x509 import der
from tlsdissect.transcript.x509.der import printable
from tlsdissect.transcript.x509.libraries import ByCryptography, refuse_costly
from tlsdissect.trust.details import details
from tlsdissect.trust.notes import Note, second, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.trust.chain import Link

    FindIssuer = Callable[[Link], Link | None]

CACHE_BYTES = 1 << 20
"""Bytes of issuers' certificates of which each list keeps whether they signed it."""

_KNOWN = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuerAlternativeName, x509.AuthorityInformationAccess,
          x509.FreshestCRL, x509.IssuingDistributionPoint)  # fmt: skip


_PADDINGS = (padding.PKCS1v15, padding.PSS)


class CrlError(Exception):
    """A CRL that cannot be read; the text says why."""


class Listed(Struct, frozen=True):
    """How a certificate stands on a CRL: `status` is "good", "revoked", or None where the CRL cannot tell."""

    status: str | None
    since: str | None = None
    """When it was revoked."""
    reason: str | None = None
    """By RFC 5280 section 5.3.1, where one is given."""


class Crl:
    """A revocation list.

    It may have millions of entries, and is held against each certificate of its issuer: so its serial numbers are
    sorted once, and it is hashed once, whoever's key its signature is then checked with.
    """

    def __init__(self, encoding: bytes, source: str) -> None:
        """Load a CRL in DER; raises CrlError where that is none."""
        self.source = source
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._loaded = x509.load_der_x509_crl(encoding)
                self.issuer = self._loaded.issuer.public_bytes()
                self.this_update = written(self._loaded.last_update_utc)
                end = self._loaded.next_update_utc
                self.next_update = None if end is None else written(end)
                self._scope = _scope(self._loaded)
                self._is_consistent = _states_one_algorithm(encoding)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what the library raises on odd lists has no base in common
            raise CrlError(f"{source}: not a CRL that can be read: {printable(str(error).encode()[:160])}") from None
        self._signatures: ByteCache[tuple[bool | None]] = ByteCache(CACHE_BYTES)

    def listed(self, serial: str) -> Listed:
        """Tell how a certificate of the CRL's issuer stands on it."""
        found = self._entry(int(serial, 16))
        if found is None:
            return Listed(None if self._scope else "good")
        return Listed("revoked", f"{written(found.revocation_date_utc)}Z", _reason(found))

    def flaws(self, issuer: Link | None, at: str | None) -> Iterator[str]:
        """Tell why the CRL is not to be relied on at a time (of `second`), or at any."""
        if self._scope:
            yield self._scope
        if at is not None and at < self.this_update:
            yield f"it is of {self.this_update}Z, which is later"
        if at is not None and self.next_update is not None and at > self.next_update:
            yield f"a newer one was due by {self.next_update}Z"
        if issuer is not None and issuer.encoding is not None and self._signed_by(issuer.encoding) is False:
            yield "its issuer's key did not sign it"

    def is_forged(self, issuer: Link | None) -> bool:
        """Tell whether the issuer is known and did not sign it."""
        return issuer is not None and issuer.encoding is not None and self._signed_by(issuer.encoding) is False

    def _entry(self, serial: int) -> x509.RevokedCertificate | None:
        """Find the first entry of a serial number."""
        digests, places = self._entries
        wanted = hash(serial)
        for at in range(bisect_left(digests, wanted), len(places)):
            if digests[at] != wanted:
                break
            entry = self._loaded[places[at]]
            if entry.serial_number == serial:
                return entry
        return None

    @cached_property
    def _entries(self) -> tuple[array[int], array[int]]:
        """Hashes of the serial numbers in order, and the entry that each is of: 16 bytes an entry."""
        hashed = array("q", (hash(one.serial_number) for one in self._loaded))
        places = array("q", sorted(range(len(hashed)), key=hashed.__getitem__))
        return array("q", map(hashed.__getitem__, places)), places

    @cached_property
    def _digest(self) -> bytes:
        """The hash of what was signed."""
        algorithm = self._loaded.signature_hash_algorithm
        assert algorithm is not None  # noqa: S101  # asked for where the algorithm has one
        digest = hashes.Hash(algorithm)
        digest.update(self._loaded.tbs_certlist_bytes)
        return digest.finalize()

    def _signed_by(self, issuer: bytes) -> bool | None:
        """Tell whether the certificate's key signed the list; None: that was not checked, or cannot be."""
        return self._signatures.get(issuer, lambda: (self._is_signed_by(issuer),))[0]

    def _is_signed_by(self, issuer: bytes) -> bool | None:
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
        """Tell whether a key made the signature; raises InvalidSignature, too, where it did not."""
        loaded = self._loaded
        how, algorithm = loaded.signature_algorithm_parameters, loaded.signature_hash_algorithm
        if algorithm is not None and isinstance(key, rsa.RSAPublicKey) and isinstance(how, _PADDINGS):
            key.verify(loaded.signature, self._digest, how, Prehashed(algorithm))
            return True
        if algorithm is not None and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
            key.verify(loaded.signature, self._digest, ec.ECDSA(Prehashed(algorithm)))
            return True
        return loaded.is_signature_valid(key)  # type: ignore[arg-type]


def _states_one_algorithm(encoding: bytes) -> bool:
    """Tell whether a CRL names the same algorithm inside and outside of what is signed (RFC 5280 section 5.1.1.2)."""
    inside, stated, *_ = der.first(encoding).items(least=3)
    parts = inside.items(least=2)
    own = parts[1] if parts[0].tag == der.INTEGER else parts[0]
    return own.encoding == stated.encoding


class RevocationLists:
    """All the lists that were given."""

    def __init__(self, lists: Sequence[Crl]) -> None:
        self._lists = tuple(lists)

    def __bool__(self) -> bool:
        return bool(self._lists)

    @property
    def boundaries(self) -> list[str]:
        """The seconds at which a list begins or ceases to hold."""
        ends = [f"{one.next_update}~" for one in self._lists if one.next_update is not None]
        return [*ends, *[one.this_update for one in self._lists]]

    def notes(self, way: Sequence[Link], issuer_of: FindIssuer, at: str | None) -> Iterator[Note]:
        """Note which certificates of a path are revoked, and which lists cannot be used for them."""
        for link in way:
            sha256, serial = link.facts.sha256, link.facts.serial
            if serial is None or link.encoding is None or link.facts.self_signed:
                continue
            for crl in self._of(link.encoding):
                yield from _notes(crl, sha256, serial, issuer_of(link), at)

    def status(self, link: Link, issuer: Link | None, at: str | None) -> str | None:
        """Tell whether a certificate is "good" or "revoked" by the lists; None where none of them can tell."""
        if link.encoding is None or link.facts.serial is None:
            return None
        states = set()
        for crl in self._of(link.encoding):
            state = crl.listed(link.facts.serial).status
            # A list that calls a certificate good does so for its own time only.
            if not (crl.is_forged(issuer) if state == "revoked" else at is None or any(crl.flaws(issuer, at))):
                states.add(state)
        return "revoked" if "revoked" in states else "good" if "good" in states else None

    def _of(self, encoding: bytes) -> list[Crl]:
        issuer = details(encoding).issuer
        return [crl for crl in self._lists if crl.issuer == issuer]


def _notes(crl: Crl, sha256: str, serial: str, issuer: Link | None, at: str | None) -> Iterator[Note]:
    flaws = list(crl.flaws(issuer, at))
    if flaws:
        yield Note("bad_crl", f"{crl.source}: {'; '.join(flaws)}", sha256)
    state = crl.listed(serial)
    # What is revoked stays so however old the list is; a forged list says nothing.
    if state.status != "revoked" or crl.is_forged(issuer):
        return
    checked = "" if issuer is not None and issuer.encoding is not None else "; whose key signed the list is not known"
    why = f" for {state.reason}" if state.reason else ""
    when = "since" if at is None or second(state.since or "") <= at else "later, from"
    yield Note("revoked", f"serial {serial} is on {crl.source}, revoked {when} {state.since}{why}{checked}", sha256)


def _scope(crl: x509.CertificateRevocationList) -> str:
    """Say why a list does not tell of all of its issuer's certificates; empty where it does."""
    for extension in crl.extensions:
        value = extension.value
        if isinstance(value, x509.IssuingDistributionPoint) and (value.indirect_crl or value.only_some_reasons):
            return "it is an indirect list, or for some reasons only"
        if extension.critical and not isinstance(value, _KNOWN):
            return f"it has a critical extension ({extension.oid.dotted_string})"
    return ""


def _reason(entry: x509.RevokedCertificate) -> str | None:
    try:
        return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
    except (x509.ExtensionNotFound, ValueError):
        return None
