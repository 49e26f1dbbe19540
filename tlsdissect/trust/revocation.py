"""Certificates held against the revocation lists that the user gave (RFC 5280 section 6.3)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from cryptography import x509
from msgspec import Struct

from tlsdissect.tls.wire import WireError
from tlsdissect.transcript.x509.der import printable
from tlsdissect.transcript.x509.libraries import ByCryptography
from tlsdissect.trust.details import details
from tlsdissect.trust.notes import Note, second, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tlsdissect.trust.chain import Link

    FindIssuer = Callable[[Link], Link | None]

_KNOWN = (x509.CRLNumber, x509.AuthorityKeyIdentifier, x509.IssuerAlternativeName, x509.AuthorityInformationAccess,
          x509.FreshestCRL, x509.IssuingDistributionPoint)  # fmt: skip


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
    """A revocation list."""

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
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001  # what the library raises on odd lists has no base in common
            raise CrlError(f"{source}: not a CRL that can be read: {printable(str(error).encode()[:160])}") from None

    def listed(self, serial: str) -> Listed:
        """Tell how a certificate of the CRL's issuer stands on it."""
        found = self._loaded.get_revoked_certificate_by_serial_number(int(serial, 16))
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

    def _signed_by(self, issuer: bytes) -> bool | None:
        inside = details(issuer)
        if inside.key_usage is not None and "cRLSign" not in inside.key_usage:
            return False
        try:
            return self._loaded.is_signature_valid(ByCryptography(issuer).key())  # type: ignore[arg-type]
        except (WireError, TypeError, ValueError):
            return None


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
